//! What each operator computes, as ONNX Runtime 1.32 does, and what it refuses.

mod arithmetic;

use proptest::prelude::*;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, TensorProto};

use crate::inference::testing::*;
use crate::inference::{Model, ModelError};

const NAN: f32 = f32::NAN;

/// A model of `nodes` from `X` of `[rows, features]` to `Y`.
fn load(features: usize, initializer: Vec<TensorProto>, nodes: Vec<NodeProto>) -> Result<Model, ModelError> {
    let model: ModelProto = model(features as i64, initializer, nodes);
    Model::from_onnx("m.onnx", &bytes(&model), features)
}

/// What the model makes of `rows`.
#[track_caller]
fn run<const N: usize>(initializer: Vec<TensorProto>, nodes: Vec<NodeProto>, rows: &[[f32; N]]) -> Vec<f32> {
    let mut model = load(N, initializer, nodes).unwrap();
    let mut out = vec![0.0; rows.len() * model.n_outputs()];
    model.predict_batch(rows.as_flattened(), &mut out).unwrap();
    out
}

#[track_caller]
fn one<const N: usize>(operator: &str, attributes: Vec<AttributeProto>, rows: &[[f32; N]]) -> Vec<f32> {
    run(vec![], vec![node(operator, &["X"], "Y", attributes)], rows)
}

/// Equal to the bit, NaN included.
#[track_caller]
fn assert_bits(found: &[f32], expected: &[f32]) {
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected), "{found:?} instead of {expected:?}");
}

#[test]
fn scaler() {
    let attributes = || vec![floats("offset", [0.1, 0.2]), floats("scale", [2.0, 3.0])];
    let scaled = [(1.0_f32 - 0.1) * 2.0, (2.0_f32 - 0.2) * 3.0];
    assert_bits(&one("Scaler", attributes(), &[[1.0, 2.0]]), &scaled);
    let all = vec![floats("offset", [1.0]), floats("scale", [2.0])];
    assert_bits(&one("Scaler", all, &[[1.0, -2.0, 3.0]]), &[0.0, -6.0, 4.0]);
    // Doubles are rounded once, at the end.
    let nodes = vec![
        node("Cast", &["X"], "x", vec![int("to", 11)]),
        node("Scaler", &["x"], "Y", vec![floats("offset", [0.1]), floats("scale", [1.0 / 3.0])]),
    ];
    let x = 1.7_f32;
    let once = ((f64::from(x) - f64::from(0.1_f32)) * f64::from(1.0_f32 / 3.0)) as f32;
    assert_bits(&run(vec![], nodes, &[[x]]), &[once]);
}

#[test]
fn normalizer() {
    let rows = [[1.0, -2.0, 3.0], [0.0, 0.0, 0.0], [-1.0, -5.0, -2.0], [NAN, 1.0, 2.0], [-0.0, 0.0, -3.0]];
    let max = one("Normalizer", vec![string("norm", "MAX")], &rows);
    assert_bits(&max[..9], &[1.0 / 3.0, -2.0 / 3.0, 1.0, 0.0, 0.0, 0.0, 1.0, 5.0, 2.0]);
    assert_bits(&max[10..], &[0.5, 1.0, -0.0, 0.0, -3.0]);
    assert_bits(&one("Normalizer", vec![], &rows)[..3], &max[..3]);
    let l1 = one("Normalizer", vec![string("norm", "L1")], &rows);
    assert_bits(&l1[..6], &[1.0 / 6.0, -2.0 / 6.0, 0.5, 0.0, 0.0, 0.0]);
    assert!(l1[9..12].iter().all(|x| x.is_nan()));
    assert_bits(&l1[12..], &[-0.0, 0.0, -1.0]);
    let l2 = one("Normalizer", vec![string("norm", "L2")], &rows);
    let root = |x: f32| (x * x / 14.0).sqrt();
    assert_bits(&l2[..6], &[root(1.0), -root(2.0), root(3.0), 0.0, 0.0, 0.0]);
    assert_bits(&l2[12..], &[0.0, 0.0, -1.0]);
}

#[test]
fn imputer() {
    let rows = [[1.0, NAN], [NAN, -0.0]];
    let floats_of = |values: &[f32], replaced| {
        vec![floats("imputed_value_floats", values.to_vec()), float("replaced_value_float", replaced)]
    };
    assert_bits(&one("Imputer", floats_of(&[7.0, 8.0], NAN), &rows), &[1.0, 8.0, 7.0, -0.0]);
    assert_bits(&one("Imputer", floats_of(&[7.0], NAN), &rows), &[1.0, 7.0, 7.0, -0.0]);
    let zeros = one("Imputer", floats_of(&[7.0], 0.0), &rows);
    assert!(zeros[1].is_nan() && zeros[2].is_nan());
    assert_bits(&[zeros[0], zeros[3]], &[1.0, 7.0]);
    let whole = vec![
        node("Cast", &["X"], "i", vec![int("to", 7)]),
        node("Imputer", &["i"], "j", vec![ints("imputed_value_int64s", [7]), int("replaced_value_int64", 2)]),
        node("Cast", &["j"], "Y", vec![int("to", 1)]),
    ];
    assert_bits(&run(vec![], whole, &[[1.0, 2.0]]), &[1.0, 7.0]);
}

#[test]
fn binarizer_has_no_answer_for_nan() {
    let node = || node("Binarizer", &["X"], "Y", vec![float("threshold", 0.5)]);
    assert_bits(&run(vec![], vec![node()], &[[0.5, 0.6, -1.0]]), &[0.0, 1.0, 0.0]);
    let error = load(1, vec![], vec![node()]).unwrap().predict(&[NAN], &mut [0.0]).unwrap_err().to_string();
    assert!(
        error.contains("node `make Y` (Binarizer)") && error.contains("is NaN; put an Imputer"),
        "{error}"
    );
}

#[test]
fn linear_regressor() {
    let attributes = vec![
        floats("coefficients", [1.0, 2.0, 3.0, 4.0]),
        floats("intercepts", [0.5, 1.0]),
        int("targets", 2),
        string("post_transform", "NONE"),
    ];
    assert_bits(&one("LinearRegressor", attributes, &[[1.0, -2.0], [0.0, 0.0]]), &[-2.5, -4.0, 0.5, 1.0]);
    assert_bits(&one("LinearRegressor", vec![floats("coefficients", [3.0])], &[[2.0]]), &[6.0]);
}

#[test]
fn svm_regressor_knows_all_kernels() {
    let attributes = |kernel: &str| {
        vec![
            string("kernel_type", kernel),
            floats("kernel_params", [0.5, 1.0, 3.0]),
            floats("support_vectors", [1.0, 2.0, -1.0, 0.5]),
            floats("coefficients", [0.25, -2.0]),
            floats("rho", [0.125]),
            int("n_supports", 2),
        ]
    };
    let sum = |f: fn(f64, f64) -> f64| {
        // Dot products with (2, 1) and squared distances from it.
        (0.25 * f(4.0, 2.0) - 2.0 * f(-1.5, 9.25) + 0.125) as f32
    };
    for (kernel, expected) in [
        ("LINEAR", sum(|dot, _| dot)),
        ("POLY", sum(|dot, _| (0.5 * dot + 1.0).powi(3))),
        ("RBF", sum(|_, distance| libm::exp(-0.5 * distance))),
        ("SIGMOID", sum(|dot, _| libm::tanh(0.5 * dot + 1.0))),
    ] {
        let found = one("SVMRegressor", attributes(kernel), &[[2.0, 1.0]]);
        assert!((found[0] - expected).abs() <= 1e-6, "{kernel}: {found:?} instead of {expected}");
    }
    let linear = vec![floats("coefficients", [0.25, -2.0]), floats("rho", [0.125])];
    assert_bits(&one("SVMRegressor", linear, &[[2.0, 1.0]]), &[-1.375]);
}

#[test]
fn one_hot_encoder() {
    let nodes = |zeros| {
        vec![
            node("OneHotEncoder", &["X"], "h", vec![ints("cats_int64s", [3, 1, 2]), int("zeros", zeros)]),
            node("Reshape", &["h", "S"], "Y", vec![]),
        ]
    };
    let shape = || vec![index_tensor("S", &[-1, 3])];
    let found = run(shape(), nodes(1), &[[1.0], [2.7], [-1.0], [NAN]]);
    assert_bits(&found, &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let error = load(1, shape(), nodes(0)).unwrap().predict(&[5.0], &mut [0.0; 3]).unwrap_err().to_string();
    assert!(error.contains("5 is no category of cats_int64s"), "{error}");
}

#[test]
fn label_encoder() {
    let keys = || floats("keys_floats", [1.0, NAN, 0.0, 1.0]);
    let encode = |attributes, version| {
        let mut model = model(
            1,
            vec![],
            vec![
                node("LabelEncoder", &["X"], "i", attributes),
                node("Cast", &["i"], "Y", vec![int("to", 1)]),
            ],
        );
        model.opset_import[1].version = version;
        let mut model = Model::from_onnx("m", &bytes(&model), 1).unwrap();
        let mut out = [0.0; 4];
        model.predict_batch(&[1.0, 2.0, NAN, -0.0], &mut out).unwrap();
        out
    };
    let values = || ints("values_int64s", [10, 20, 30, 40]);
    // NaN became a key with version 4.
    assert_bits(&encode(vec![keys(), values()], 2), &[10.0, -1.0, -1.0, 30.0]);
    assert_bits(&encode(vec![keys(), values(), int("default_int64", 7)], 4), &[10.0, 7.0, 20.0, 30.0]);
    let floats_out = vec![keys(), floats("values_floats", [0.5; 4])];
    assert_bits(&encode(floats_out, 2), &[0.5, -0.0, -0.0, 0.5]);
    let tensors = vec![
        tensor_attribute("keys_tensor", tensor("", &[2], &[1.0, 2.0])),
        tensor_attribute("values_tensor", tensor("", &[2], &[5.0, 6.0])),
        tensor_attribute("default_tensor", tensor("", &[1], &[9.0])),
    ];
    assert_bits(&encode(tensors, 4), &[5.0, 6.0, 9.0, 9.0]);
}

#[test]
fn columns_are_picked_and_joined() {
    let indices = |values: &[i64]| vec![index_tensor("I", values)];
    let rows = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let pick = || vec![node("ArrayFeatureExtractor", &["X", "I"], "Y", vec![])];
    assert_bits(&run(indices(&[2, 0]), pick(), &rows), &[3.0, 1.0, 6.0, 4.0]);
    let gather = || vec![node("Gather", &["X", "I"], "Y", vec![int("axis", -1)])];
    assert_bits(&run(indices(&[-1, 0]), gather(), &rows), &[3.0, 1.0, 6.0, 4.0]);
    let message = |values: &[i64], nodes| load(3, indices(values), nodes).unwrap_err().to_string();
    assert!(message(&[-1], pick()).contains("(ArrayFeatureExtractor): index -1 is out of range"));
    assert!(message(&[3], gather()).contains("(Gather): index 3 is out of range, its input has 3 columns"));
    assert!(message(&[i64::MIN], gather()).contains("is out of range"));
    let join = |widths: [i64; 2]| {
        vec![
            node("ArrayFeatureExtractor", &["X", "I"], "c", vec![]),
            node("FeatureVectorizer", &["X", "c"], "Y", vec![ints("inputdimensions", widths)]),
        ]
    };
    assert_bits(&run(indices(&[1]), join([3, 1]), &rows[..1]), &[1.0, 2.0, 3.0, 2.0]);
    assert!(
        message(&[1], join([3, 2])).contains("inputdimensions[1]: is 2, the input has 1 columns"),
        "{}",
        message(&[1], join([3, 2]))
    );
    assert!(message(&[1], join([3, -1])).contains("inputdimensions[1]: is -1, must be 1 to 4096"));
}

#[test]
fn slices_are_cut_as_numpy_does() {
    let rows = [[0.0, 1.0, 2.0, 3.0, 4.0]];
    let cut = |start: i64, end: i64, step: i64| {
        let bounds = [("a", start), ("b", end), ("c", 1), ("d", step)];
        let initializer = bounds.map(|(name, value)| index_tensor(name, &[value])).to_vec();
        (initializer, vec![node("Slice", &["X", "a", "b", "c", "d"], "Y", vec![])])
    };
    for (start, end, step, expected) in [
        (1, 3, 1, &[1.0, 2.0][..]),
        (-2, i64::MAX, 1, &[3.0, 4.0]),
        (0, i64::MAX, 2, &[0.0, 2.0, 4.0]),
        (-1, i64::MIN, -2, &[4.0, 2.0, 0.0]),
        (3, 1, -1, &[3.0, 2.0]),
        (-99, 1, 1, &[0.0]),
    ] {
        let (initializer, nodes) = cut(start, end, step);
        assert_bits(&run(initializer, nodes, &rows), expected);
    }
    for (start, end, step) in [(3, 3, 1), (0, 5, 0), (4, 0, 1)] {
        let (initializer, nodes) = cut(start, end, step);
        let error = load(5, initializer, nodes).unwrap_err().to_string();
        assert!(error.contains("(Slice): takes nothing of axis 1"), "{error}");
    }
    // The old form, and an axis taken whole.
    let old = vec![node(
        "Slice",
        &["X"],
        "Y",
        vec![ints("starts", [0, 1]), ints("ends", [i64::MAX, 3]), ints("axes", [0, 1])],
    )];
    assert_bits(&run(vec![], old.clone(), &rows), &[1.0, 2.0]);
    let mut first_row = old;
    first_row[0].attribute[1] = ints("ends", [1, 3]);
    let error = load(5, vec![], first_row).unwrap_err().to_string();
    assert!(error.contains("acts along the rows; each row must be predicted by itself"), "{error}");
}

#[test]
fn malformed_attributes_are_refused_with_their_place() {
    let cases: Vec<(&str, Vec<AttributeProto>, &str)> = vec![
        ("Scaler", vec![], "offset: has 0 values, scale has 0"),
        ("Scaler", vec![floats("offset", [1.0]), floats("scale", [1.0, 2.0])], "has 1 values, scale has 2"),
        (
            "Scaler",
            vec![floats("offset", [NAN]), floats("scale", [1.0])],
            "offset[0]: is NaN, must be finite",
        ),
        (
            "Scaler",
            vec![floats("offset", [1.0; 3]), floats("scale", [1.0; 3])],
            "offset has 3 values, its input has 2",
        ),
        ("Scaler", vec![ints("offset", [1]), floats("scale", [1.0])], "offset: has type INTS where FLOATS"),
        ("Scaler", vec![floats("scale", [1.0]), floats("scale", [1.0])], "scale: is given twice"),
        ("Scaler", vec![int("colour", 1)], "colour: is not an attribute of Scaler"),
        ("Normalizer", vec![string("norm", "L3")], "norm: is `L3`, must be MAX, L1 or L2"),
        ("Imputer", vec![], "imputed_value_floats: has 0 values, imputed_value_int64s has 0; give one"),
        ("Imputer", vec![floats("imputed_value_floats", [f32::INFINITY])], "imputed_value_floats[0]: is inf"),
        ("Imputer", vec![ints("imputed_value_int64s", [1])], "stand for I64 values, its input holds F32"),
        ("Binarizer", vec![float("threshold", NAN)], "threshold: is NaN"),
        ("LinearRegressor", vec![], "coefficients: has 0 values for 1 targets"),
        ("LinearRegressor", vec![int("targets", 0)], "targets: must be 1 to 256"),
        (
            "LinearRegressor",
            vec![floats("coefficients", [1.0; 3])],
            "coefficients has 3 values, its input has 2",
        ),
        (
            "LinearRegressor",
            vec![floats("coefficients", [1.0; 2]), floats("intercepts", [1.0; 2])],
            "intercepts: has 2",
        ),
        (
            "LinearRegressor",
            vec![floats("coefficients", [1.0; 2]), string("post_transform", "LOGISTIC")],
            "post_transform: is `LOGISTIC`, only NONE is supported",
        ),
        ("SVMRegressor", vec![floats("rho", [0.0])], "support_vectors: has 0 values, coefficients has 0"),
        ("SVMRegressor", vec![floats("coefficients", [1.0; 2])], "rho: has 0 values where one is expected"),
        ("SVMRegressor", vec![string("kernel_type", "COSINE")], "kernel_type: is `COSINE`"),
        ("SVMRegressor", vec![floats("kernel_params", [1.0])], "kernel_params: has 1 values"),
        ("SVMRegressor", vec![int("n_supports", -1)], "which do not match"),
        ("SVMRegressor", vec![int("one_class", 1)], "one_class: is set"),
        (
            "SVMRegressor",
            vec![floats("coefficients", [1.0; 3]), floats("rho", [0.0])],
            "is made for 3 features, its input has 2 columns",
        ),
        ("OneHotEncoder", vec![], "cats_int64s: has 0 categories, must be 1 to 4096"),
        ("OneHotEncoder", vec![ints("cats_int64s", 0..5000)], "has 5000 categories"),
        ("OneHotEncoder", vec![ints("cats_int64s", [1, 2, 1])], "cats_int64s[2]: repeats category 1"),
        (
            "OneHotEncoder",
            vec![strings("cats_strings", ["a"])],
            "cats_strings: holds texts; encode categories",
        ),
        ("LabelEncoder", vec![strings("classes_strings", ["a"])], "classes_strings: holds texts"),
        ("LabelEncoder", vec![floats("keys_floats", [1.0])], "keys: are 1, values are 0"),
        ("LabelEncoder", vec![floats("keys_floats", [1.0]), ints("keys_int64s", [1])], "keep one of them"),
        (
            "LabelEncoder",
            vec![ints("keys_int64s", [1]), ints("values_int64s", [1])],
            "its keys are I64, its input",
        ),
        (
            "LabelEncoder",
            vec![tensor_attribute("default_tensor", tensor("", &[2], &[1.0, 2.0]))],
            "default_tensor: must hold one value",
        ),
        ("FeatureVectorizer", vec![], "inputdimensions: has 0 values for 1 inputs"),
        ("Cast", vec![], "to: is no type"),
        ("Cast", vec![int("to", 8)], "to: is STRING"),
        ("Cast", vec![int("to", i64::MAX)], "to: is no type"),
        ("Mul", vec![int("broadcast", 1)], "broadcast: is not an attribute of Mul"),
    ];
    for (operator, attributes, wanted) in cases {
        let inputs: &[&str] = match operator {
            "Mul" => &["X", "X"],
            _ => &["X"],
        };
        let error = load(2, vec![], vec![node(operator, inputs, "Y", attributes)]).unwrap_err().to_string();
        assert!(error.contains(&format!("node `make Y` ({operator})")), "{operator}: {error}");
        assert!(error.contains(wanted), "expected `{wanted}` in `{error}`");
    }
}

const OPERATORS: &[&str] = &[
    "ArgMax",
    "ArrayFeatureExtractor",
    "Binarizer",
    "Cast",
    "Clip",
    "Concat",
    "CumSum",
    "GatherElements",
    "TopK",
    "FeatureVectorizer",
    "Flatten",
    "Gather",
    "Imputer",
    "LabelEncoder",
    "LinearRegressor",
    "Normalizer",
    "OneHotEncoder",
    "ReduceL2",
    "ReduceMax",
    "ReduceProd",
    "ReduceSum",
    "SVMRegressor",
    "Scaler",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
    "Where",
];
const NAMES: &[&str] = &[
    "axes",
    "axis",
    "cats_int64s",
    "coefficients",
    "default_int64",
    "ends",
    "imputed_value_floats",
    "inputdimensions",
    "intercepts",
    "keepdims",
    "kernel_params",
    "keys_floats",
    "keys_int64s",
    "n_supports",
    "offset",
    "perm",
    "rho",
    "scale",
    "split",
    "starts",
    "support_vectors",
    "targets",
    "to",
    "values_int64s",
    "zeros",
];

prop_compose! {
    fn any_attribute()(
        name in prop::sample::select(NAMES),
        kind in 0..4,
        whole in prop::collection::vec(prop_oneof![-3..4_i64, any::<i64>()], 0..4),
        real in prop::collection::vec(any::<f32>(), 0..5),
    ) -> AttributeProto {
        match kind {
            0 => int(name, whole.first().copied().unwrap_or_default()),
            1 => ints(name, whole),
            2 => floats(name, real),
            _ => float(name, real.first().copied().unwrap_or_default()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// What loads predicts or says why not; nothing panics.
    #[test]
    fn no_attributes_make_it_panic(
        operator in prop::sample::select(OPERATORS),
        attributes in prop::collection::vec(any_attribute(), 0..5),
        indices in prop::collection::vec(prop_oneof![-3..4_i64, any::<i64>()], 1..4),
        inputs in 1..4_usize,
        opset in prop::sample::select(&[9_i64, 11, 13, 17, 18][..]),
    ) {
        let inputs: Vec<&str> = ["X", "I", "I", "I"].into_iter().take(inputs).collect();
        let mut file = model(
            2,
            vec![index_tensor("I", &indices)],
            vec![node(operator, &inputs, "y", attributes), node("Identity", &["y"], "Y", vec![])],
        );
        file.opset_import[0].version = opset;
        if let Ok(mut model) = Model::from_onnx("m", &bytes(&file), 2) {
            let mut out = vec![0.0; model.n_outputs() * 2];
            let _ = model.predict_batch(&[0.0, 1.0, NAN, f32::INFINITY], &mut out);
        }
    }
}
