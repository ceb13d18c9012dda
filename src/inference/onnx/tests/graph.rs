//! What stands around the operators: inputs, shapes, indices, and that rows do not meet.

use super::*;
use crate::inference::info::Path;

#[track_caller]
fn assert_predicts(model: &ModelProto, rows: &[f32], expected: &[f32]) -> Model {
    let mut loaded = Model::from_onnx("m.onnx", &bytes(model), 2).unwrap();
    let mut out = vec![0.0; expected.len()];
    loaded.predict_batch(rows, &mut out).unwrap();
    assert_eq!(out, expected);
    loaded
}

#[test]
fn several_inputs_take_the_features_in_their_order() {
    let mut model = stump_model();
    let g = graph(&mut model);
    // A name that the loader would have taken, and one input of each type.
    g.input = vec![value("features", &[-1, 1]), value("Z", &[-1, 1])];
    set_type(&mut g.input[1], DataType::Double);
    g.node = vec![
        node("Cast", &["Z"], "z", vec![int("to", 1)]),
        node("Concat", &["features", "z"], "x", vec![int("axis", 1)]),
        stump().node("x", "Y"),
    ];
    let loaded = assert_predicts(&model, &[9.0, 0.0, 0.0, 9.0], &[1.0, 2.0]);
    assert_eq!(loaded.describe().operators, ["Cast", "Concat", "TreeEnsembleRegressor"]);
    assert_spoilt(
        model,
        |g| g.input[1] = value("Z", &[-1, 2]),
        "graph inputs: has 3 features, the bundle declares 2",
    );
}

#[test]
fn double_models_take_and_give_floats() {
    let mut model = model(
        2,
        vec![],
        vec![
            node("Cast", &["X"], "f", vec![int("to", 1)]),
            stump().node("f", "t"),
            node("Cast", &["t"], "Y", vec![int("to", 11)]),
        ],
    );
    set_type(&mut graph(&mut model).input[0], DataType::Double);
    let loaded = assert_predicts(&model, &[0.0, 0.5, 0.0, 0.6], &[1.0, 2.0]);
    // Widening and narrowing back changes no bit: the kernel is called directly.
    assert_eq!(loaded.describe().path, Path::Kernel);
}

#[test]
fn shapes_around_an_ensemble_do_not_keep_the_kernel_away() {
    let around = |last: Vec<NodeProto>| {
        let mut nodes = vec![node("Identity", &["X"], "x", vec![]), stump().node("x", "t")];
        nodes.extend(last);
        model(2, vec![index_tensor("S", &[-1])], nodes)
    };
    for last in [
        vec![node("Identity", &["t"], "Y", vec![])],
        vec![node("Flatten", &["t"], "Y", vec![])],
        vec![node("Reshape", &["t", "S"], "Y", vec![])],
    ] {
        let loaded = assert_predicts(&around(last), &[0.0, 0.5, 0.0, 0.6], &[1.0, 2.0]);
        assert_eq!(loaded.describe().path, Path::Kernel);
    }
    let loaded = assert_predicts(&around(vec![node("Neg", &["t"], "Y", vec![])]), &[0.0, 0.5], &[-1.0]);
    assert_eq!(loaded.describe().path, Path::Plan);
}

#[test]
fn several_outputs_in_one_column_are_told_apart() {
    let nodes = |first: NodeProto| {
        model(2, vec![index_tensor("S", &[-1, 1])], vec![first, node("Reshape", &["a", "S"], "Y", vec![])])
    };
    let abs = nodes(node("Abs", &["X"], "a", vec![]));
    let loaded = assert_predicts(&abs, &[-1.0, 2.0, 3.0, -4.0], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(loaded.n_outputs(), 2);
    // Transposed before, a row's values do not stand together.
    let turned = nodes(node("Transpose", &["X"], "a", vec![ints("perm", [1, 0])]));
    assert_refused(&turned, "graph outputs: the output has shape");
}

#[test]
fn shapes_and_indices_are_constants() {
    let nodes = || {
        vec![
            node("Cast", &["X"], "i", vec![int("to", 7)]),
            node("Gather", &["X", "i"], "Y", vec![int("axis", 1)]),
        ]
    };
    assert_refused(
        &model(2, vec![], nodes()),
        "node `make Y` (Gather): input `i` depends on the features; shapes and indices must be constants",
    );
    let mut reshape = nodes();
    reshape[1] = node("Reshape", &["X", "i"], "Y", vec![]);
    assert_refused(&model(2, vec![], reshape), "(Reshape): input `i` depends on the features");
}

#[test]
fn a_shape_serves_to_fill_a_tensor_like_it_and_for_nothing_else() {
    let nodes = |consumer: NodeProto| {
        model(
            2,
            vec![],
            vec![node("Shape", &["X"], "s", vec![]), consumer, node("Add", &["X", "o"], "Y", vec![])],
        )
    };
    let ones = tensor_attribute("value", tensor("", &[1], &[1.0]));
    let filled = nodes(node("ConstantOfShape", &["s"], "o", vec![ones]));
    assert_predicts(&filled, &[1.0, 2.0], &[2.0, 3.0]);
    let wanted = "the output of Shape can only be the input of ConstantOfShape";
    assert_refused(&nodes(node("Cast", &["s"], "o", vec![int("to", 1)])), wanted);
    assert_spoilt(filled.clone(), |g| g.node[1].input[0] = "X".to_owned(), wanted);
    assert_spoilt(filled, |g| g.node[0].attribute.push(int("start", 1)), "(Shape): takes part of a shape");
}

#[test]
fn rows_are_predicted_each_by_itself() {
    let first = index_tensor("I", &[0]);
    let across = vec![
        (node("ReduceSum", &["X", "I"], "Y", vec![]), "node `make Y` (ReduceSum): works along axis 0"),
        (node("Softmax", &["X"], "Y", vec![int("axis", 0)]), "works along axis 0, that of the rows"),
        (node("Concat", &["X", "X"], "Y", vec![int("axis", 0)]), "works along axis 0, that of the rows"),
        (node("Gather", &["X", "I"], "Y", vec![]), "(Gather): acts along the rows"),
        (node("ArgMax", &["X"], "Y", vec![int("axis", 0)]), "works along axis 0, that of the rows"),
    ];
    for (node, wanted) in across {
        assert_refused(&model(2, vec![first.clone()], vec![node]), wanted);
    }
    // Features times features: what is left does not know the rows.
    let mixed = vec![
        node("Transpose", &["X"], "t", vec![ints("perm", [1, 0])]),
        node("MatMul", &["t", "X"], "Y", vec![]),
    ];
    assert_refused(&model(2, vec![], mixed), "in proportion to the rows");
}

/// Columns that are four and two at once, with `n` Splits behind them, each of which repeats the term that tract makes
/// of that: with some tens of them, a file of a few kilobytes would keep it busy for good.
fn misfit(n: usize) -> Vec<NodeProto> {
    let mut nodes = vec![node("Add", &["X", "W"], "t0", vec![])];
    for i in 0..n {
        let mut split = node("Split", &[&format!("t{i}")], &format!("t{}", i + 1), vec![int("axis", 1)]);
        split.output.push(format!("u{i}"));
        nodes.push(split);
    }
    nodes
}

#[test]
fn sizes_that_do_not_fit_are_found_before_they_multiply() {
    let refused = |mut nodes: Vec<NodeProto>, last: &[NodeProto]| {
        nodes.extend_from_slice(last);
        let file = model(4, vec![tensor("W", &[4, 2], &[1.0; 8])], nodes);
        let error = Model::from_onnx("m", &bytes(&file), 4).unwrap_err().to_string();
        assert!(error.contains("node `make t0` (Add): makes a tensor of shape"), "{error}");
        assert!(error.contains("the sizes of its inputs do not fit each other"), "{error}");
    };
    refused(misfit(60), &[node("Neg", &["t60"], "Y", vec![])]);
    // Where nothing depends on them.
    refused(misfit(60), &[node("Neg", &["X"], "Y", vec![])]);
    // Where the output meets something worse first.
    let bad = node("Transpose", &["X"], "b", vec![ints("perm", [1, 0])]);
    refused(misfit(60), &[bad, node("Add", &["b", "t60"], "Y", vec![])]);
}

#[test]
fn operators_have_so_many_attributes() {
    let attributes = (0..65).map(|i| int(&format!("a{i}"), 1)).collect();
    let file = model(2, vec![], vec![node("Neg", &["X"], "Y", attributes)]);
    assert_refused(&file, "has 65 attributes, at most 64 are supported");
}
