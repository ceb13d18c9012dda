//! Models and sets of models as the layers to the right see them.

use proptest::prelude::*;

use super::testing::*;
use super::*;

/// An ensemble whose answer is negated by one more operator: the plan cannot be skipped.
fn through_a_plan(arrays: &Arrays) -> Vec<u8> {
    let nodes = vec![arrays.node("X", "t"), node("Neg", &["t"], "Y", vec![])];
    bytes(&model(FEATURES, vec![], nodes))
}

fn network() -> Vec<u8> {
    bytes(&model(
        2,
        vec![
            tensor("W1", &[2, 3], &[1.0, -1.0, 0.5, 2.0, 0.25, -0.5]),
            tensor("B1", &[3], &[0.0, 1.0, 0.5]),
            tensor("W2", &[3, 2], &[1.0, 0.5, 2.0, 0.0, -3.0, -1.0]),
            tensor("B2", &[2], &[10.0, 20.0]),
        ],
        vec![
            node("Scaler", &["X"], "x", vec![floats("offset", [1.0, -1.0]), floats("scale", [2.0, 0.5])]),
            node("MatMul", &["x", "W1"], "m", vec![]),
            node("Add", &["m", "B1"], "a", vec![]),
            node("Relu", &["a"], "r", vec![]),
            node("Gemm", &["r", "W2", "B2"], "Y", vec![]),
        ],
    ))
}

/// The same network by hand; all its numbers are exact in binary.
fn network_by_hand(row: &[f32]) -> [f32; 2] {
    let x = [(row[0] - 1.0) * 2.0, (row[1] + 1.0) * 0.5];
    let hidden = [x[0] + 2.0 * x[1], 1.0 - x[0] + 0.25 * x[1], 0.5 + 0.5 * x[0] - 0.5 * x[1]];
    let [a, b, c] = hidden.map(|h| h.max(0.0));
    [a + 2.0 * b - 3.0 * c + 10.0, 0.5 * a - c + 20.0]
}

fn stump(low: f32, high: f32) -> Vec<u8> {
    Arrays::new(1, "SUM", &[], &[branch("BRANCH_LEQ", 1, 0.5, leaf(low), leaf(high))]).bytes(2)
}

#[test]
fn models_can_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Model>();
    is_send::<ModelSet>();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn kernel_and_plan_give_the_same_bits(((arrays, trees), rows) in (ensemble(&MODES), rows())) {
        let mut kernel = Model::from_onnx("kernel", &arrays.bytes(FEATURES), FEATURES as usize).unwrap();
        let mut plan = Model::from_onnx("plan", &through_a_plan(&arrays), FEATURES as usize).unwrap();
        prop_assert_eq!(kernel.describe().path, Path::Kernel);
        prop_assert_eq!(plan.describe().path, Path::Plan);
        let width = kernel.n_outputs();
        let wanted: Vec<f32> = rows.iter().flat_map(|row| expected(&arrays, &trees, row)).collect();
        let matrix = rows.concat();
        for (model, sign) in [(&mut kernel, 1.0), (&mut plan, -1.0)] {
            let wanted = bits(&wanted.iter().map(|v| v * sign).collect::<Vec<_>>());
            let mut batch = vec![5.0; rows.len() * width];
            model.predict_batch(&matrix, &mut batch).unwrap();
            prop_assert_eq!(bits(&batch), wanted.clone());
            let mut single = vec![5.0; width];
            for (row, wanted) in rows.iter().zip(wanted.chunks(width)) {
                model.predict(row, &mut single).unwrap();
                prop_assert_eq!(bits(&single), wanted);
            }
        }
    }
}

#[test]
fn a_network_runs_at_any_batch_size() {
    let mut model = Model::from_onnx("net", &network(), 2).unwrap();
    assert_eq!((model.n_features(), model.n_outputs()), (2, 2));
    for n in [1, 2, 7, 255, 256, 257, 600] {
        let rows: Vec<f32> = (0..2 * n).map(|i| (i % 37) as f32 * 0.25 - 4.0).collect();
        let mut out = vec![0.0; 2 * n];
        model.predict_batch(&rows, &mut out).unwrap();
        let wanted: Vec<f32> = rows.chunks(2).flat_map(network_by_hand).collect();
        assert_eq!(out, wanted, "{n} rows");
    }
    let mut none = [];
    model.predict_batch(&[], &mut none).unwrap();
}

#[test]
fn an_output_without_columns_is_one_column() {
    let tree = Arrays::new(1, "SUM", &[], &[branch("BRANCH_LEQ", 1, 0.5, leaf(3.0), leaf(4.0))]);
    let nodes = vec![tree.node("X", "t"), node("Squeeze", &["t", "axes"], "Y", vec![])];
    let file = bytes(&model(2, vec![index_tensor("axes", &[1])], nodes));
    let mut model = Model::from_onnx("flat", &file, 2).unwrap();
    assert_eq!(model.n_outputs(), 1);
    let mut out = [0.0; 2];
    model.predict_batch(&[0.0, 0.0, 0.0, 1.0], &mut out).unwrap();
    assert_eq!(out, [3.0, 4.0]);
}

#[test]
fn several_ensembles_may_be_joined() {
    let tree = |w| Arrays::new(1, "SUM", &[], &[branch("BRANCH_LT", 0, 1.0, leaf(w), leaf(-w))]);
    let nodes = vec![
        tree(2.0).node("X", "a"),
        tree(3.0).node("X", "b"),
        node("Concat", &["a", "b"], "Y", vec![int("axis", 1)]),
    ];
    let mut model = Model::from_onnx("joined", &bytes(&model(1, vec![], nodes)), 1).unwrap();
    assert_eq!((model.n_outputs(), model.describe().ensembles.len()), (2, 2));
    let mut out = [0.0; 4];
    model.predict_batch(&[0.0, 1.0], &mut out).unwrap();
    assert_eq!(out, [2.0, 3.0, -2.0, -3.0]);
}

#[test]
fn an_identity_around_an_ensemble_costs_nothing() {
    let tree = Arrays::new(1, "SUM", &[], &[leaf(3.0)]);
    let nodes = vec![
        node("Identity", &["X"], "x", vec![]),
        tree.node("x", "t"),
        node("Identity", &["t"], "Y", vec![]),
    ];
    let model = Model::from_onnx("wrapped", &bytes(&model(2, vec![], nodes)), 2).unwrap();
    assert_eq!(model.describe().path, Path::Kernel);
}

#[test]
fn the_description_says_what_was_loaded() {
    let model = Model::from_onnx("ucaot.onnx", &stump(1.0, 2.0), 2).unwrap();
    let info = model.describe();
    assert_eq!((info.name.as_str(), info.producer.as_str()), ("ucaot.onnx", "tests 1"));
    assert_eq!(info.opsets, [("ai.onnx".to_owned(), 17), ("ai.onnx.ml".to_owned(), 3)]);
    assert_eq!(info.operators, ["TreeEnsembleRegressor"]);
    let ensemble = EnsembleInfo {
        trees: 1,
        nodes: 3,
        leaves: 2,
        max_leaves: 2,
        max_depth: 1,
        targets: 1,
        aggregate: "SUM",
        kernel: info.ensembles[0].kernel,
        reason: info.ensembles[0].reason.clone(),
        table_bytes: info.ensembles[0].table_bytes,
    };
    assert_eq!(info.ensembles, [ensemble]);
}

#[test]
fn wrong_lengths_are_errors() {
    let mut model = Model::from_onnx("m", &stump(1.0, 2.0), 2).unwrap();
    let mut out = [0.0; 2];
    let message = |result: Result<(), ModelError>| result.unwrap_err().to_string();
    assert_eq!(
        message(model.predict(&[0.0], &mut out[..1])),
        "model `m`: the feature row holds 1 values where 2 are expected"
    );
    assert_eq!(
        message(model.predict(&[0.0; 2], &mut out)),
        "model `m`: the output row holds 2 values where 1 are expected"
    );
    assert_eq!(
        message(model.predict_batch(&[0.0; 5], &mut out)),
        "model `m`: the feature matrix holds 5 values where 4 are expected"
    );
    assert_eq!(
        message(model.predict_batch(&[0.0; 6], &mut out)),
        "model `m`: the output matrix holds 2 values where 3 are expected"
    );
}

#[test]
fn a_set_puts_each_target_in_its_column() {
    let load = |name: &str, file: &[u8]| Model::from_onnx(name, file, 2).unwrap();
    let models = vec![
        (load("a", &stump(1.0, 2.0)), 0),
        (load("net", &network()), 1),
        (load("b", &stump(-1.0, -2.0)), 0),
    ];
    let mut set = ModelSet::new(models).unwrap();
    assert_eq!((set.n_features(), set.n_targets(), set.models().len()), (2, 3, 3));
    let row = |i: usize| [i as f32 * 0.5 - 3.0, f32::from(u8::from(i.is_multiple_of(2)))];
    let wanted = |i: usize| {
        let high = row(i)[1] > 0.5;
        [if high { 2.0 } else { 1.0 }, network_by_hand(&row(i))[1], if high { -2.0 } else { -1.0 }]
    };
    let mut out = [0.0; 3];
    for i in 0..10 {
        set.predict(&row(i), &mut out).unwrap();
        assert_eq!(out, wanted(i));
        for (target, wanted) in wanted(i).into_iter().enumerate() {
            assert_eq!(set.predict_target(target, &row(i)).unwrap(), wanted);
        }
    }
    for n in [1, 63, 64, 65, 200] {
        let rows: Vec<f32> = (0..n).flat_map(row).collect();
        let mut out = vec![0.0; 3 * n];
        set.predict_batch(&rows, &mut out).unwrap();
        assert_eq!(out, (0..n).flat_map(wanted).collect::<Vec<f32>>());
    }
    assert!(set.predict_target(3, &row(0)).unwrap_err().to_string().contains("a, net, b"));
    assert!(set.predict(&[0.0; 3], &mut out).is_err());
}

#[test]
fn models_that_are_trees_are_evaluated_together() {
    let stump = |feature, missing, weights: [Vec<(usize, f32)>; 2]| Tree::Branch {
        mode: "BRANCH_LEQ",
        feature,
        threshold: 0.5,
        missing,
        children: Box::new(weights.map(Tree::Leaf)),
    };
    let one = |feature, missing, low, high| stump(feature, missing, [vec![(0, low)], vec![(0, high)]]);
    // Feature 1 is missing to the left in one model and to the right in the other: no rank alone can say that.
    let a = Arrays::new(1, "SUM", &[], &[one(0, false, 1.0, 2.0), one(1, false, 10.0, 20.0)]);
    let both = [vec![(0, 100.0), (1, 300.0)], vec![(0, 200.0), (1, 400.0)]];
    let b = Arrays::new(2, "SUM", &[], &[stump(1, true, both)]);
    let models = |kernel| {
        [("a", &a), ("b", &b)]
            .map(|(name, arrays)| Model::with_kernel(name, &arrays.bytes(2), 2, kernel).unwrap())
            .into()
    };
    let targets = [(1, 1), (0, 0), (1, 0)].map(|(model, column)| TargetSource { model, column });
    let set = |kernel| ModelSet::with_targets(models(kernel), targets.to_vec()).unwrap();
    let (mut joined, mut apart) = (set(Some(KernelKind::Quickscorer)), set(Some(KernelKind::Walk)));
    assert!(joined.is_joint() && !apart.is_joint());
    let files = [("a", a.bytes(2)), ("b", b.bytes(2))];
    let sources = files.each_ref().map(|(name, bytes)| ModelSource { name, bytes });
    let load = |kernel, rows| ModelSet::load(&sources, targets.to_vec(), 2, Some(kernel), rows).unwrap();
    // Models that are evaluated together have no tables of their own, and say what evaluates them.
    let mut joint = load(KernelKind::Quickscorer, Rows::Shared);
    let kinds =
        |set: &ModelSet| set.models().iter().map(|m| m.describe().ensembles[0].kernel).collect::<Vec<_>>();
    assert!(joint.is_joint());
    assert_eq!(kinds(&joint), [KernelKind::Quickscorer; 2]);
    let described = |set: &ModelSet, at: usize| set.models()[at].describe().ensembles[0].clone();
    let single = Model::with_kernel("a", &a.bytes(2), 2, Some(KernelKind::Quickscorer)).unwrap();
    // Its own tables without those that rank the row.
    assert!((1..single.describe().ensembles[0].table_bytes).contains(&described(&joint, 0).table_bytes));
    assert_eq!(described(&joint, 1).reason, "asked for");
    assert!(!load(KernelKind::Quickscorer, Rows::Own).is_joint());
    assert!(!load(KernelKind::Walk, Rows::Shared).is_joint());
    let values = [0.0, 1.0, f32::NAN, 0.5];
    // Around the rows that a set and a kernel take at once.
    for n in [1, 31, 32, 63, 64, 65, 130] {
        let rows: Vec<f32> = (0..n).flat_map(|i| [values[i % 4], values[i / 4 % 4]]).collect();
        let (mut found, mut wanted) = (vec![7.0; 3 * n], vec![9.0; 3 * n]);
        apart.predict_batch(&rows, &mut wanted).unwrap();
        joined.predict_batch(&rows, &mut found).unwrap();
        assert_eq!(found, wanted, "{n} rows");
        joint.predict_batch(&rows, &mut found).unwrap();
        assert_eq!(found, wanted, "{n} rows");
        let mut single = [0.0; 3];
        for (row, wanted) in rows.chunks(2).zip(wanted.chunks(3)) {
            joint.predict(row, &mut single).unwrap();
            assert_eq!(single, wanted);
            let each = [0, 1, 2].map(|target| joint.predict_target(target, row).unwrap());
            assert_eq!(each, wanted);
        }
    }
    // By hand: a row with the odd missing value, and one without.
    let mut out = [0.0; 6];
    joint.predict_batch(&[0.0, f32::NAN, 1.0, 1.0], &mut out).unwrap();
    assert_eq!(out, [300.0, 21.0, 100.0, 400.0, 22.0, 200.0]);
}

#[test]
fn targets_may_share_a_model() {
    let target = |column| TargetSource { model: 0, column };
    let models = vec![Model::from_onnx("net", &network(), 2).unwrap()];
    let mut set = ModelSet::with_targets(models, vec![target(1), target(0)]).unwrap();
    let mut out = [0.0; 2];
    set.predict(&[2.0, 3.0], &mut out).unwrap();
    let [first, second] = network_by_hand(&[2.0, 3.0]);
    assert_eq!(out, [second, first]);
}

#[test]
fn a_set_loads_as_a_whole_or_not_at_all() {
    let good = stump(1.0, 2.0);
    let sources = |second: &'static [u8], third: &'static [u8]| {
        [
            ModelSource { name: "good", bytes: &good },
            ModelSource { name: "bad", bytes: second },
            ModelSource { name: "worse", bytes: third },
        ]
    };
    let targets = vec![TargetSource { model: 0, column: 0 }];
    let errors = ModelSet::load(&sources(b"x", b""), targets.clone(), 2, None, Rows::Shared).unwrap_err();
    assert_eq!(errors.0.len(), 2);
    let message = errors.to_string();
    assert!(message.contains("model `bad` is refused") && message.contains("model `worse` is refused"));
    assert!(ModelSet::load(&sources(b"x", b"")[..1], targets, 2, None, Rows::Shared).is_ok());
}

#[test]
fn targets_that_do_not_exist_are_refused_together() {
    let load =
        |features| Model::from_onnx("m", &Arrays::new(1, "SUM", &[], &[leaf(1.0)]).bytes(-1), features);
    let targets = vec![TargetSource { model: 0, column: 1 }, TargetSource { model: 7, column: 0 }];
    let errors = ModelSet::with_targets(vec![load(2).unwrap(), load(3).unwrap()], targets).unwrap_err();
    let message = errors.to_string();
    assert_eq!(errors.0.len(), 3, "{message}");
    assert!(message.contains("features: are 3, those of the first model 2"));
    assert!(message.contains("target 0: is column 1, the model has 1"));
    assert!(message.contains("target 1: names model 7, there are 2"));
    assert!(ModelSet::new(vec![]).is_err());
}
