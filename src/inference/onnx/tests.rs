//! What is refused, and that nothing in a file can do worse than be refused.

mod graph;
mod trees;

use proptest::prelude::*;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value::DimParam;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
    StringStringEntryProto, TrainingInfoProto, ValueInfoProto,
};

use prost::Message;

use super::super::Model;
use super::super::ensemble::{Attributes, Kind};
use super::super::limits::{MAX_MESSAGES, MAX_MODEL_BYTES};
use super::super::testing::*;
use super::lists;

fn stump() -> Arrays {
    Arrays::new(1, "SUM", &[], &[branch("BRANCH_LEQ", 1, 0.5, leaf(1.0), leaf(2.0))])
}

fn stump_model() -> ModelProto {
    model(2, vec![], vec![stump().node("X", "Y")])
}

/// A network of every kind of part: scaler, two layers, reshape, an output of `[rows, 1]`.
fn network() -> ModelProto {
    model(
        2,
        vec![
            tensor("W1", &[2, 3], &[1.0, -1.0, 0.5, 2.0, 0.25, -0.5]),
            tensor("B1", &[3], &[0.0, 1.0, 0.5]),
            tensor("W2", &[3, 1], &[1.0, 2.0, -3.0]),
            tensor("B2", &[1], &[10.0]),
            index_tensor("S", &[-1, 1]),
        ],
        vec![
            node("Scaler", &["X"], "x", vec![floats("offset", [1.0, -1.0]), floats("scale", [2.0, 0.5])]),
            node("MatMul", &["x", "W1"], "m", vec![]),
            node("Add", &["m", "B1"], "a", vec![]),
            node("Relu", &["a"], "r", vec![]),
            node("Gemm", &["r", "W2", "B2"], "g", vec![]),
            node("Reshape", &["g", "S"], "Y", vec![]),
        ],
    )
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

#[track_caller]
fn assert_refused(model: &ModelProto, wanted: &str) {
    let error =
        Model::from_onnx("m.onnx", &bytes(model), 2).map(drop).expect_err("must be refused").to_string();
    assert!(error.starts_with("model `m.onnx` is refused:"), "{error}");
    assert!(error.contains(wanted), "expected `{wanted}` in `{error}`");
}

#[track_caller]
fn assert_spoilt(from: ModelProto, spoil: impl FnOnce(&mut GraphProto), wanted: &str) {
    let mut model = from;
    spoil(graph(&mut model));
    assert_refused(&model, wanted);
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let message = |bytes: &[u8]| Model::from_onnx("m", bytes, 2).unwrap_err().to_string();
    assert!(message(b"").contains("the file has 0 bytes"));
    assert!(message(b"hello").contains("no protobuf message"));
    assert!(message(&[0x08, 0x01]).contains("the file holds no graph"));
    assert!(message(&vec![0; MAX_MODEL_BYTES + 1]).contains("must be 1 to 33554432"));
    let whole = bytes(&stump_model());
    assert!(message(&whole[..whole.len() / 2]).contains("damaged"));
    let features = Model::from_onnx("m", &whole, 0).unwrap_err().to_string();
    assert!(features.contains("are 0, must be 1 to 4096"), "{features}");
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    // Two bytes each in the file, hundreds in memory.
    let mut model = stump_model();
    graph(&mut model).node.resize(MAX_MESSAGES + 1, NodeProto::default());
    assert_refused(&model, "no regressor needs as many");
}

#[test]
fn parts_that_no_regressor_has_are_refused() {
    let mut model = stump_model();
    model.training_info.push(TrainingInfoProto::default());
    assert_refused(&model, "training information");
    let mut model = stump_model();
    model.functions.push(FunctionProto::default());
    assert_refused(&model, "local functions");
    assert_spoilt(
        stump_model(),
        |g| g.sparse_initializer.push(SparseTensorProto::default()),
        "sparse tensors",
    );
    let body = AttributeProto {
        name: "then_branch".to_owned(),
        r#type: AttributeType::Graph as i32,
        g: Some(GraphProto::default()),
        ..AttributeProto::default()
    };
    assert_spoilt(stump_model(), |g| g.node[0].attribute.push(body), "control flow");
}

#[test]
fn external_data_are_refused_before_anything_is_read() {
    let location = StringStringEntryProto { key: "location".to_owned(), value: "/etc/passwd".to_owned() };
    let external = |t: &mut tract_onnx::pb::TensorProto| {
        t.float_data.clear();
        t.data_location = Some(DataLocation::External as i32);
        t.external_data.push(location.clone());
    };
    assert_spoilt(
        network(),
        |g| external(&mut g.initializer[0]),
        "initializer `W1`: refers to external data",
    );
    // In an attribute as well.
    let mut values = tensor("", &[3], &[0.5, 0.0, 0.0]);
    external(&mut values);
    let mut arrays = stump().node("X", "Y");
    arrays.attribute.retain(|a| a.name != "nodes_values");
    arrays.attribute.push(tensor_attribute("nodes_values_as_tensor", values));
    assert_refused(
        &model(2, vec![], vec![arrays]),
        "(TreeEnsembleRegressor): nodes_values_as_tensor: refers to external data",
    );
}

#[test]
fn tensors_must_fit_their_data() {
    for (dims, wanted) in [
        (vec![3, 3], "has shape [3, 3] and 6 values"),
        (vec![-2, -3], "has shape [-2, -3]"),
        (vec![0], "has shape [0]"),
        (vec![i64::MAX, i64::MAX], "which do not match"),
        (vec![1; 9], "has 9 axes, at most 8"),
    ] {
        assert_spoilt(network(), |g| g.initializer[0].dims = dims, wanted);
    }
    assert_spoilt(network(), |g| g.initializer[0].raw_data = vec![0; 23], "23 raw bytes");
    assert_spoilt(network(), |g| g.initializer[0].data_type = DataType::String as i32, "has type STRING");
    assert_spoilt(network(), |g| g.initializer[0].data_type = 99, "has type unknown");
}

#[test]
fn the_interface_is_one_float_matrix_to_one() {
    assert_spoilt(stump_model(), |g| g.input.push(value("Z", &[-1, 2])), "graph inputs: has 4 features, the");
    assert_spoilt(stump_model(), |g| g.input.clear(), "graph inputs: there are 0");
    assert_spoilt(stump_model(), |g| g.output.push(value("X", &[-1, 2])), "graph outputs: there are 2");
    assert_spoilt(
        stump_model(),
        |g| g.input[0] = value("X", &[-1, 5]),
        "input `X`: has 5 features, the bundle declares 2",
    );
    assert_spoilt(stump_model(), |g| g.input[0] = value("X", &[2]), "has 1 axes; [rows, features]");
    let whole = |g: &mut GraphProto| set_type(&mut g.input[0], DataType::Int64);
    assert_spoilt(stump_model(), whole, "holds INT64 values; export the model with FLOAT or DOUBLE input");
    let open = |g: &mut GraphProto| g.input = vec![value("X", &[-1, -1]), value("Z", &[-1, 1])];
    assert_spoilt(stump_model(), open, "input `X`: leaves its number of columns open");
    let many = |g: &mut GraphProto| g.input.extend((0..2000).map(|i| value(&format!("Z{i}"), &[-1, 1])));
    assert_spoilt(stump_model(), many, "graph inputs: there are 2001, must be 1 to 1024");
    assert_spoilt(stump_model(), |g| g.output[0] = value("Q", &[]), "output `Q`: is made by no operator");
}

fn set_type(info: &mut ValueInfoProto, to: DataType) {
    let Some(TensorType(tensor)) = info.r#type.as_mut().unwrap().value.as_mut() else { panic!() };
    tensor.elem_type = to as i32;
}

#[test]
fn shapes_the_file_leaves_open_are_checked_at_the_ensemble() {
    let mut model = stump_model();
    graph(&mut model).input[0] = value("X", &[-1, -1]);
    let file = bytes(&model);
    assert_eq!(Model::from_onnx("m", &file, 3).unwrap().n_features(), 3);
    let error = Model::from_onnx("m", &file, 1).unwrap_err().to_string();
    assert!(
        error.contains("(TreeEnsembleRegressor): nodes_featureids reach up to 1, its input has 1"),
        "{error}"
    );
}

#[test]
fn the_graph_is_in_order() {
    assert_spoilt(network(), |g| g.node.swap(0, 1), "input `x` is no graph input, initializer or earlier");
    assert_spoilt(network(), |g| g.node[1].output[0] = "x".to_owned(), "output `x` exists already");
    assert_spoilt(network(), |g| g.node.clear(), "has 0 operators, must be 1 to 1024");
    assert_spoilt(
        network(),
        |g| g.node[1].input[0] = "W1".to_owned(),
        "node `make m` (MatMul): does not depend on the features",
    );
}

#[test]
fn unknown_operators_are_named() {
    assert_spoilt(
        network(),
        |g| g.node[3].op_type = "LSTM".to_owned(),
        "node `make r` (LSTM): operator LSTM of ai.onnx is not supported: a model sees one row of features",
    );
    // The operator is known, but not from there.
    assert_spoilt(
        stump_model(),
        |g| g.node[0].domain = "com.example".to_owned(),
        "operator TreeEnsembleRegressor of com.example is not supported",
    );
}

#[test]
fn problems_of_an_ensemble_come_through_unflattened() {
    let mut arrays = stump();
    arrays.modes[0] = "BRANCH";
    arrays.nodes[1][1] = -1;
    let error = Model::from_onnx("m", &arrays.bytes(2), 2).unwrap_err();
    let super::super::ModelError::Refused { problems, .. } = error else { panic!("{error}") };
    assert_eq!(problems.listed().len(), 2);
    assert_eq!(problems.listed()[0].place, "node `make Y` (TreeEnsembleRegressor): nodes_modes[0]");
    assert_eq!(problems.listed()[1].place, "node `make Y` (TreeEnsembleRegressor): nodes_nodeids[1]");
}

#[test]
fn broadcasting_cannot_ask_for_terabytes() {
    let wide = 30_000;
    let nodes = vec![
        node("Reshape", &["X", "S"], "a", vec![]),
        node("Add", &["a", "W"], "b", vec![]),
        node("Reshape", &["b", "S"], "c", vec![]),
        node("Add", &["c", "W"], "d", vec![]),
        node("Reshape", &["d", "S"], "e", vec![]),
        node("Add", &["e", "W"], "Y", vec![]),
    ];
    let weights = vec![index_tensor("S", &[-1, 1]), tensor("W", &[1, wide], &vec![0.0; wide as usize])];
    assert_refused(&model(2, weights, nodes), "at most 65536 values a row are supported");
    // Rows times rows is no regressor either.
    let square = vec![
        node("Transpose", &["X"], "t", vec![ints("perm", [1, 0])]),
        node("MatMul", &["X", "t"], "Y", vec![]),
    ];
    assert_refused(&model(2, vec![], square), "in proportion to the rows");
}

#[test]
fn a_transposition_is_a_permutation() {
    for perm in [&[1_i64, 1][..], &[0, 2], &[-1, 0], &[0, i64::MIN], &[9; 9]] {
        let back = node("Transpose", &["t"], "Y", vec![ints("perm", [1, 0])]);
        let spoilt = node("Transpose", &["X"], "t", vec![ints("perm", perm.iter().copied())]);
        assert_refused(&model(2, vec![], vec![spoilt, back]), "node `make t` (Transpose): perm [");
    }
    let swap = |from: &str, to: &str| node("Transpose", &[from], to, vec![ints("perm", [1, 0])]);
    let twice = model(2, vec![], vec![swap("X", "t"), swap("t", "Y")]);
    Model::from_onnx("m.onnx", &bytes(&twice), 2).unwrap();
}

#[test]
fn a_dropout_lets_everything_pass() {
    let of = |inputs: &[&str], training: f32| {
        let mut mode = tensor("mode", &[1], &[]);
        mode.data_type = DataType::Bool as i32;
        mode.int32_data = vec![training as i32];
        let ratios = tensor("ratios", &[2], &[0.5, 2.0]);
        model(2, vec![mode, ratios], vec![node("Dropout", inputs, "d", vec![]), stump().node("d", "Y")])
    };
    // tract reads beyond the one number that a ratio is.
    for inputs in [&["X"][..], &["X", "ratios"], &["X", "ratios", "mode"], &["X", "", "mode"]] {
        let mut dropped = Model::from_onnx("m.onnx", &bytes(&of(inputs, 0.0)), 2).unwrap();
        let mut out = [0.0];
        dropped.predict(&[0.0, 0.25], &mut out).unwrap();
        assert_eq!(out, [1.0]);
    }
    assert_refused(&of(&["X", "", "mode"], 1.0), "(Dropout): training_mode is not the constant false");
    assert_refused(&of(&["X", "", "X"], 0.0), "training_mode is not the constant false");
    let spoil = |g: &mut GraphProto| {
        g.node[0].output.push("mask".to_owned());
        g.node[1].input[0] = "mask".to_owned();
    };
    assert_spoilt(of(&["X"], 0.0), spoil, "its mask is used");
}

#[test]
fn normalisation_is_of_a_matrix() {
    let four = |values: [f32; 2]| ["s", "b", "m", "v"].map(|name| tensor(name, &[2], &values));
    let normalise = |from: &str| node("BatchNormalization", &[from, "s", "b", "m", "v"], "Y", vec![]);
    let matrix = model(2, four([3.0, 8.0]).to_vec(), vec![normalise("X")]);
    let mut model_of_matrix = Model::from_onnx("m.onnx", &bytes(&matrix), 2).unwrap();
    let mut out = [0.0; 2];
    model_of_matrix.predict(&[3.0, 9.0], &mut out).unwrap();
    assert!((out[0] - 3.0).abs() < 1e-5 && (out[1] - (8.0 + 8.0_f32.sqrt())).abs() < 1e-4, "{out:?}");
    // tract's own reads beyond the end of this shape.
    let row = node("ReduceMean", &["X"], "r", vec![ints("axes", [1]), int("keepdims", 0)]);
    assert_refused(&model(2, four([3.0, 8.0]).to_vec(), vec![row, normalise("r")]), "BatchNorm");
}

#[test]
fn recorded_shapes_are_not_trusted() {
    // An expression nested deep enough to exhaust the stack of a recursive parser.
    let mut model = stump_model();
    let deep = format!("{}N{}", "(".repeat(200_000), ")".repeat(200_000));
    let g = graph(&mut model);
    g.value_info = vec![value("Y", &[-1, 1])];
    for info in g.input.iter_mut().chain(&mut g.output).chain(&mut g.value_info) {
        let Some(TensorType(t)) = info.r#type.as_mut().unwrap().value.as_mut() else { panic!() };
        t.shape.as_mut().unwrap().dim[0].value = Some(DimParam(deep.clone()));
    }
    let mut loaded = Model::from_onnx("m", &bytes(&model), 2).unwrap();
    let mut out = [0.0];
    loaded.predict(&[0.0, 1.0], &mut out).unwrap();
    assert_eq!(out, [2.0]);
}

/// Loading must answer; what loads must predict.
fn survives(file: &[u8]) {
    if let Ok(mut model) = Model::from_onnx("mutated", file, 2) {
        let mut out = vec![0.0; model.n_outputs()];
        for row in [[0.0, 1.0], [f32::NAN, f32::INFINITY]] {
            // A network may fail while running, with an error.
            let _ = model.predict(&row, &mut out);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_bytes_make_it_panic(
        tree in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        double in prop::option::weighted(0.2, (any::<prop::sample::Index>(), 1..40_usize)),
    ) {
        let mut file = bytes(&if tree { stump_model() } else { network() });
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some((at, len)) = double {
            let at = at.index(file.len());
            let piece = file[at..(at + len).min(file.len())].to_vec();
            file.splice(at..at, piece);
        }
        if let Some(at) = cut {
            file.truncate(at.index(file.len()));
        }
        survives(&file);
    }

    #[test]
    fn no_arrays_make_it_panic(
        (arrays, _) in ensemble(&MODES),
        changes in prop::collection::vec(
            (0..9_usize, any::<prop::sample::Index>(), prop_oneof![-2..12_i64, any::<i64>()]),
            1..4,
        ),
    ) {
        let mut arrays = arrays;
        for (column, at, number) in changes {
            match column {
                0..=5 => { let at = at.index(arrays.nodes.len()); arrays.nodes[at][column] = number; }
                6 => { let at = at.index(arrays.modes.len()); arrays.modes[at] = MODES[at % 6]; }
                7 => { let at = at.index(arrays.targets.len()); arrays.targets[at][1] = number; }
                _ => { let at = at.index(arrays.targets.len()); arrays.targets[at][2] = number; }
            }
        }
        if let Ok(mut model) = Model::from_onnx("mutated", &arrays.bytes(-1), FEATURES as usize) {
            let mut out = vec![0.0; model.n_outputs()];
            model.predict(&[f32::NAN, 0.0, 1.0, -1.5], &mut out).unwrap();
        }
    }

    #[test]
    fn no_network_attribute_makes_it_panic(
        which in 0..6_usize,
        name in prop::sample::select(&["axis", "axes", "transA", "transB", "to", "perm", "alpha", "allowzero"][..]),
        operator in prop::sample::select(&["Concat", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Cast",
            "Softmax", "ReduceMean", "Gemm", "Reshape", "Clip", "BatchNormalization", "LinearRegressor"][..]),
        number in prop_oneof![-3..4_i64, any::<i64>()],
    ) {
        let mut file = network();
        let changed = &mut graph(&mut file).node[which];
        changed.op_type = operator.to_owned();
        changed.domain = if operator == "LinearRegressor" { "ai.onnx.ml" } else { "" }.to_owned();
        let list = matches!(name, "axes" | "perm");
        changed.attribute.push(if list { ints(name, [number]) } else { int(name, number) });
        survives(&bytes(&file));
    }
}

/// The node as the loader hands it on.
fn put_aside(node: NodeProto) -> NodeProto {
    let bytes = lists::put_aside(&bytes(&model(2, vec![], vec![node])));
    ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap().node.remove(0)
}

#[test]
fn attributes_are_type_checked() {
    let node = |extra| {
        let mut node = stump().node("X", "Y");
        node.attribute.push(extra);
        node
    };
    let message = |extra| {
        Attributes::<f32>::read(&put_aside(node(extra)), Kind::Regressor)
            .expect_err("must be refused")
            .to_string()
    };
    assert!(message(int("base_values", 1)).contains("base_values: has type INT where FLOATS is expected"));
    assert!(message(string("colour", "red")).contains("colour: is not an attribute"));
    assert!(message(int("n_targets", 1)).contains("n_targets: is given twice"));
    assert!(message(strings("base_values", ["1"])).contains("has type STRINGS"));
    let values = tensor("", &[3], &[0.5, 0.0, 0.0]);
    assert!(
        message(tensor_attribute("nodes_values_as_tensor", values.clone()))
            .contains("nodes_values: nodes_values_as_tensor is given as well")
    );
    let mut half = values;
    half.data_type = 10;
    assert!(message(tensor_attribute("base_values_as_tensor", half)).contains("holds FLOAT16 values"));
}

#[test]
fn float_tensors_stand_for_arrays() {
    let mut node = stump().node("X", "Y");
    node.attribute.retain(|a| a.name != "nodes_values" && a.name != "target_weights");
    let mut raw = tensor("", &[2], &[]);
    raw.raw_data = [1.0_f32, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    node.attribute.push(tensor_attribute("nodes_values_as_tensor", tensor("", &[3], &[0.5, 0.0, 0.0])));
    node.attribute.push(tensor_attribute("target_weights_as_tensor", raw.clone()));
    let read = |node: &NodeProto| {
        let node = put_aside(node.clone());
        Attributes::<f32>::read(&node, Kind::Regressor).and_then(|attributes| attributes.build())
    };
    assert_eq!(read(&node).unwrap(), stump().build().unwrap());
    node.attribute.pop();
    raw.raw_data.pop();
    node.attribute.push(tensor_attribute("target_weights_as_tensor", raw));
    assert!(read(&node).unwrap_err().to_string().contains("raw_data has 7 bytes"));
}
