//! The tree operators as files hold them.

use super::*;
use crate::inference::info::Path;
use crate::inference::onnx::trees;

/// What the model gives for the two sides of the stump, and how.
#[track_caller]
fn predict(model: &ModelProto) -> (Vec<f32>, Path) {
    let mut loaded = Model::from_onnx("m.onnx", &bytes(model), 2).unwrap();
    let mut out = vec![0.0; 2 * loaded.n_outputs()];
    loaded.predict_batch(&[0.0, 0.5, 0.0, 0.6], &mut out).unwrap();
    (out, loaded.describe().path)
}

fn classifier() -> Arrays {
    let leaves = [Tree::Leaf(vec![(0, 0.25), (1, 0.75)]), Tree::Leaf(vec![(0, 0.5), (1, 0.0)])];
    let [low, high] = leaves;
    let trees = [branch("BRANCH_LEQ", 1, 0.5, low, high)];
    Arrays { kind: Kind::Classifier, ..Arrays::new(2, "SUM", &[], &trees) }
}

/// The classifier as it is exported: a label beside the scores.
fn classifier_model() -> ModelProto {
    let mut model = model(2, vec![], vec![classifier().node("X", "Y")]);
    let mut label = value("label", &[-1]);
    set_type(&mut label, DataType::Int64);
    graph(&mut model).output.insert(0, label);
    model
}

fn double_tensor(values: &[f64]) -> tract_onnx::pb::TensorProto {
    tract_onnx::pb::TensorProto {
        data_type: DataType::Double as i32,
        double_data: values.to_vec(),
        ..tensor("", &[values.len() as i64], &[])
    }
}

/// The stump with its numbers as tensors of doubles that floats cannot hold.
fn double_stump() -> NodeProto {
    let mut node = stump().node("X", "Y");
    node.attribute.retain(|a| a.name != "nodes_values" && a.name != "target_weights");
    node.attribute.push(tensor_attribute("nodes_values_as_tensor", double_tensor(&[0.6, 0.0, 0.0])));
    node.attribute.push(tensor_attribute("target_weights_as_tensor", double_tensor(&[0.1, 0.2])));
    node
}

#[test]
fn the_scores_of_a_classifier_are_taken_and_its_label_is_dropped() {
    let scores = vec![0.25, 0.75, 0.5, 0.0];
    assert_eq!(predict(&classifier_model()), (scores.clone(), Path::Kernel));
    // Whatever the label is used for goes with it, supported or not.
    let mut with_names = classifier_model();
    graph(&mut with_names).output[0].name = "name".to_owned();
    graph(&mut with_names).node.push(node("LabelEncoder", &["label"], "name", vec![]));
    assert_eq!(predict(&with_names), (scores.clone(), Path::Kernel));
    // A graph of the scores alone.
    let mut alone = classifier_model();
    graph(&mut alone).output.remove(0);
    assert_eq!(predict(&alone).0, scores);
}

#[test]
fn a_label_is_no_number() {
    let label_only = |g: &mut GraphProto| drop(g.output.pop());
    assert_spoilt(classifier_model(), label_only, "(TreeEnsembleClassifier): its label `label` is used");
    let both = |g: &mut GraphProto| set_type(&mut g.output[0], DataType::Float);
    assert_spoilt(
        classifier_model(),
        both,
        "there are 2 (label, Y); one is expected, or one of FLOAT beside",
    );
    let cut = |g: &mut GraphProto| drop((g.node[0].output.remove(0), g.output.remove(0)));
    assert_spoilt(classifier_model(), cut, "has 1 outputs where 2 are expected");
}

#[test]
fn maps_are_refused_with_the_remedy() {
    let mut model = classifier_model();
    let g = graph(&mut model);
    g.node.push(node("ZipMap", &["Y"], "maps", vec![ints("classlabels_int64s", [0, 1])]));
    g.output[1] = ValueInfoProto { name: "maps".to_owned(), ..ValueInfoProto::default() };
    assert_refused(&model, "graph outputs: hold maps (ZipMap)");
    assert_refused(&model, "options={'zipmap': False}");
}

#[test]
fn the_labels_of_a_classifier_count_its_classes() {
    let spoilt = |change: fn(&mut Vec<AttributeProto>)| {
        let mut node = classifier().node("X", "Y");
        change(&mut node.attribute);
        trees::read(&put_aside(node), trees::CLASSIFIER).map(drop).unwrap_err().to_string()
    };
    let message = spoilt(|attributes| attributes.push(strings("classlabels_strings", ["no", "yes"])));
    assert!(
        message.contains("classlabels_int64s: give either these labels or classlabels_strings"),
        "{message}"
    );
    let message = spoilt(|attributes| attributes.retain(|a| a.name != "classlabels_int64s"));
    assert!(message.contains("classlabels_int64s: give either"), "{message}");
    let message = spoilt(|attributes| attributes.push(int("n_targets", 2)));
    assert!(message.contains("n_targets: is not an attribute of TreeEnsembleClassifier"), "{message}");
}

#[test]
fn a_double_model_compares_and_adds_in_double() {
    let mut model = model(2, vec![], vec![double_stump()]);
    let message = Model::from_onnx("m", &bytes(&model), 2).unwrap_err().to_string();
    assert!(
        message.contains("(TreeEnsembleRegressor): thresholds, weights or base values are DOUBLE"),
        "{message}"
    );
    set_type(&mut graph(&mut model).input[0], DataType::Double);
    // As a float, 0.6 lies above the double 0.6.
    assert_eq!(predict(&model), (vec![0.1, 0.2], Path::Kernel));
}

#[test]
fn a_double_model_adds_exactly_what_its_plan_does() {
    let twice = |last: NodeProto| {
        let stump = NodeProto { name: "stump".to_owned(), output: vec!["t".to_owned()], ..double_stump() };
        let mut model = model(2, vec![], vec![stump, last]);
        set_type(&mut graph(&mut model).input[0], DataType::Double);
        predict(&model)
    };
    assert_eq!(twice(node("Neg", &["t"], "Y", vec![])), (vec![-0.1, -0.2], Path::Plan));
    // A cast of the output, as exporters of double models write it, is no reason for a plan.
    assert_eq!(twice(node("Cast", &["t"], "Y", vec![int("to", 11)])), (vec![0.1, 0.2], Path::Kernel));
}

#[test]
fn version_5_is_read_with_its_sets() {
    let trees = [branch(MEMBER, 1, 1.0, leaf(1.0), branch("BRANCH_GT", 1, 0.5, leaf(3.0), leaf(2.0)))];
    let five = Five::new(1, 1, &trees);
    let node = five.node("X", "Y");
    assert_eq!(trees::read(&put_aside(node.clone()), trees::FIVE).unwrap(), five.build().unwrap().into());
    let mut loaded = Model::from_onnx("m", &bytes(&model(2, vec![], vec![node])), 2).unwrap();
    let mut out = [0.0; 5];
    loaded.predict_batch(&[0.0, 1.0, 0.0, -1.5, 0.0, 0.5, 0.0, 7.0, 0.0, f32::NAN], &mut out).unwrap();
    assert_eq!(out, [1.0, 1.0, 2.0, 3.0, 2.0]);
}

fn replace(node: &mut NodeProto, attribute: AttributeProto) {
    node.attribute.retain(|a| a.name != attribute.name);
    node.attribute.push(attribute);
}

#[test]
fn version_5_attributes_are_type_checked() {
    let message = |change: fn(&mut NodeProto)| {
        let mut node = Five::new(1, 1, &[leaf(1.0)]).node("X", "Y");
        change(&mut node);
        trees::read(&put_aside(node.clone()), trees::FIVE).map(drop).expect_err("must be refused").to_string()
    };
    let found = message(|node| replace(node, tensor_attribute("nodes_modes", tensor("", &[1], &[0.0]))));
    assert!(found.contains("nodes_modes: holds FLOAT values where UINT8 is expected"), "{found}");
    let found = message(|node| replace(node, floats("leaf_weights", [1.0])));
    assert!(found.contains("leaf_weights: has type FLOATS where TENSOR is expected"), "{found}");
    let found = message(|node| replace(node, tensor_attribute("nodes_splits", index_tensor("", &[1]))));
    assert!(found.contains("nodes_splits: holds INT64 values; export FLOAT or DOUBLE"), "{found}");
    let found = message(|node| node.attribute.push(string("nodes_values", "0")));
    assert!(found.contains("nodes_values: is not an attribute of TreeEnsemble (ai.onnx.ml 5)"), "{found}");
}

#[test]
fn version_5_gives_doubles_for_doubles() {
    let mut node = Five::new(1, 1, &[branch("BRANCH_LEQ", 1, 0.5, leaf(1.0), leaf(2.0))]).node("X", "Y");
    for attribute in &mut node.attribute {
        let Some(tensor) = &mut attribute.t else { continue };
        if tensor.data_type == DataType::Float as i32 {
            *tensor =
                double_tensor(&tensor.float_data.iter().map(|v| f64::from(*v) * 0.1).collect::<Vec<_>>());
        }
    }
    let mut model = model(2, vec![], vec![node]);
    set_type(&mut graph(&mut model).input[0], DataType::Double);
    set_type(&mut graph(&mut model).output[0], DataType::Double);
    assert_eq!(predict(&model), (vec![0.2, 0.2], Path::Kernel));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_arrays_of_version_5_make_it_panic(
        (targets, trees) in trees_of_five(),
        aggregate in -1..5_i64,
        post_transform in -1..6_i64,
        changes in prop::collection::vec(
            (0..10_usize, any::<prop::sample::Index>(), prop_oneof![-2..12_i64, any::<i64>()]),
            0..4,
        ),
    ) {
        let mut five = Five { post_transform, ..Five::new(targets, aggregate, &trees) };
        for (column, at, number) in changes {
            let node = at.index(five.nodes.len());
            match column {
                0..=5 => five.nodes[node][column] = number,
                6 => five.modes[node] = number as u8,
                7 => { let at = at.index(five.roots.len()); five.roots[at] = number; }
                8 => { let at = at.index(five.targets.len()); five.targets[at] = number; }
                _ => five.members.truncate(at.index(five.members.len() + 1)),
            }
        }
        let file = bytes(&model(FEATURES, vec![], vec![five.node("X", "Y")]));
        if let Ok(mut model) = Model::from_onnx("mutated", &file, FEATURES as usize) {
            let mut out = vec![0.0; model.n_outputs()];
            model.predict(&[f32::NAN, 0.0, 1.0, -1.5], &mut out).unwrap();
        }
    }

    #[test]
    fn no_arrays_of_a_classifier_make_it_panic(
        (arrays, _) in ensemble(&MODES),
        transform in prop::sample::select(&["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT", "?"][..]),
        bases in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), -1..4_i64), 0..9),
    ) {
        let mut arrays = Arrays { kind: Kind::Classifier, post_transform: transform.to_owned(), ..arrays };
        arrays.base_values = vec![0.5; bases];
        for (at, class) in changes {
            let at = at.index(arrays.targets.len());
            arrays.targets[at][2] = class;
        }
        if let Ok(mut model) = Model::from_onnx("mutated", &arrays.bytes(FEATURES), FEATURES as usize) {
            let mut out = vec![0.0; model.n_outputs()];
            model.predict(&[f32::NAN, 0.0, 1.0, -1.5], &mut out).unwrap();
        }
    }
}
