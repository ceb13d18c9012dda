//! Small valid models of every operator that a regressor may have, and of some that are refused today.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{AttributeProto, ModelProto, NodeProto, TensorProto};

use crate::build::{
    byte_tensor, double_tensor, float, floats, index_tensor, int, ints, model, model_of, node, string,
    strings, tensor, tensor_attribute,
};

/// Operators of one input that keep its shape.
const UNARY: &[&str] = &[
    "Abs",
    "Cos",
    "Sin",
    "Celu",
    "Elu",
    "Erf",
    "Exp",
    "Flatten",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "Neg",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
    "ThresholdedRelu",
    "Mish",
    "Floor",
    "Ceil",
    "Round",
    "Sign",
    "IsNaN",
    "Not",
    "Dropout",
    "Binarizer",
    "Normalizer",
    "Transpose",
    "Shape",
];

/// Operators of two inputs that broadcast.
const BINARY: &[&str] = &[
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Max",
    "Min",
    "Mean",
    "Sum",
    "PRelu",
    "Mod",
    "Less",
    "Greater",
    "Equal",
    "LessOrEqual",
    "GreaterOrEqual",
];

fn one(operator: &str, attributes: Vec<AttributeProto>) -> Vec<NodeProto> {
    vec![node(operator, &["X"], &["Y"], attributes)]
}

/// A tree ensemble's attributes as versions 1 and 3 of ai.onnx.ml write them: two trees, one of them
/// a single leaf. `leaf` is `target` or `class`.
pub fn tree_attributes(leaf: &str, mode: &str) -> Vec<AttributeProto> {
    let name = |rest: &str| format!("{leaf}_{rest}");
    vec![
        ints("nodes_treeids", &[0, 0, 0, 0, 0, 1]),
        ints("nodes_nodeids", &[0, 1, 2, 3, 4, 0]),
        ints("nodes_featureids", &[0, 1, 0, 0, 0, 0]),
        ints("nodes_truenodeids", &[1, 2, 0, 0, 0, 0]),
        ints("nodes_falsenodeids", &[4, 3, 0, 0, 0, 0]),
        ints("nodes_missing_value_tracks_true", &[1, 0, 0, 0, 0, 0]),
        floats("nodes_hitrates", &[1.0; 6]),
        strings("nodes_modes", &[mode, mode, "LEAF", "LEAF", "LEAF", "LEAF"]),
        floats("nodes_values", &[0.5, -1.0, 0.0, 0.0, 0.0, 0.0]),
        ints(&name("treeids"), &[0, 0, 0, 1]),
        ints(&name("nodeids"), &[2, 3, 4, 0]),
        ints(&name("ids"), &[0, 0, 0, 0]),
        floats(&name("weights"), &[1.0, -2.0, 0.25, 4.0]),
    ]
}

fn regressor(mode: &str, more: Vec<AttributeProto>) -> Vec<NodeProto> {
    let mut attributes = tree_attributes("target", mode);
    attributes.push(int("n_targets", 1));
    attributes.extend(more);
    one("TreeEnsembleRegressor", attributes)
}

fn double_regressor() -> Vec<NodeProto> {
    let mut attributes = tree_attributes("target", "BRANCH_LEQ");
    attributes.push(int("n_targets", 1));
    attributes
        .retain(|a| a.name != "nodes_values" && a.name != "target_weights" && a.name != "nodes_hitrates");
    let values = double_tensor("", &[0.5, -1.0, 0.0, 0.0, 0.0, 0.0]);
    attributes.push(tensor_attribute("nodes_values_as_tensor", values));
    attributes.push(tensor_attribute("target_weights_as_tensor", double_tensor("", &[1.0, -2.0, 0.25, 4.0])));
    attributes.push(tensor_attribute("base_values_as_tensor", double_tensor("", &[0.1])));
    one("TreeEnsembleRegressor", attributes)
}

fn classifier(binary: bool, transform: &str) -> Vec<NodeProto> {
    let mut attributes = tree_attributes("class", "BRANCH_LT");
    attributes.push(ints("classlabels_int64s", &[0, 1]));
    attributes.push(string("post_transform", transform));
    if !binary {
        attributes.iter_mut().filter(|a| a.name == "class_ids").for_each(|a| a.ints = vec![0, 1, 2, 1]);
        attributes.iter_mut().filter(|a| a.name == "classlabels_int64s").for_each(|a| a.ints.push(2));
    }
    vec![node("TreeEnsembleClassifier", &["X"], &["label", "Y"], attributes)]
}

/// The form of version 5: one array of nodes, one of leaves, sets of members.
fn version_5(modes: &[u8], member: bool) -> Vec<NodeProto> {
    let mut attributes = vec![
        int("n_targets", 1),
        int("aggregate_function", 1),
        int("post_transform", 0),
        ints("tree_roots", &[0]),
        ints("nodes_featureids", &[0, 1]),
        tensor_attribute("nodes_splits", tensor("", &[2], &[0.5, 2.0])),
        tensor_attribute("nodes_modes", byte_tensor("", modes)),
        ints("nodes_truenodeids", &[0, 1]),
        ints("nodes_trueleafs", &[1, 1]),
        ints("nodes_falsenodeids", &[1, 2]),
        ints("nodes_falseleafs", &[0, 1]),
        ints("nodes_missing_value_tracks_true", &[1, 0]),
        ints("leaf_targetids", &[0, 0, 0]),
        tensor_attribute("leaf_weights", tensor("", &[3], &[1.0, -2.0, 0.25])),
    ];
    if member {
        let values = tensor("", &[4], &[1.0, 3.0, f32::NAN, 2.0]);
        attributes.push(tensor_attribute("membership_values", values));
    }
    one("TreeEnsemble", attributes)
}

/// A way from input X to output Y: constants and nodes.
pub type Part = (Vec<TensorProto>, Vec<NodeProto>);

/// Parts of models, each a valid model by itself.
pub fn parts() -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    parts.extend(UNARY.iter().map(|operator| (vec![], one(operator, vec![]))));
    for operator in BINARY {
        let nodes = vec![node(operator, &["X", "w"], &["Y"], vec![])];
        parts.push((vec![tensor("w", &[4], &[0.5, 2.0, -1.0, 0.0])], nodes));
    }
    parts.extend(trees());
    parts.extend(shapes());
    parts.extend(dense());
    parts.extend(prepared());
    parts.extend(compared());
    parts.extend(encoded());
    parts
}

/// Reductions in both ways to say the axis, and truth values on the way.
fn compared() -> Vec<Part> {
    let float = |from: &str| node("Cast", &[from], &["Y"], vec![int("to", 1)]);
    let mut parts = Vec::new();
    for operator in ["L1", "L2", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"] {
        let operator = format!("Reduce{operator}");
        parts.push((vec![], one(&operator, vec![ints("axes", &[1]), int("keepdims", 1)])));
        let nodes = vec![node(&operator, &["X", "a"], &["Y"], vec![int("keepdims", 0)])];
        parts.push((vec![index_tensor("a", &[-1])], nodes));
    }
    for operator in ["ArgMax", "ArgMin"] {
        let attributes = vec![int("axis", 1), int("keepdims", 1), int("select_last_index", 0)];
        parts.push((vec![], vec![node(operator, &["X"], &["t"], attributes), float("t")]));
    }
    for operator in ["And", "Or", "Xor"] {
        let nodes = vec![
            node("Less", &["X", "w"], &["t"], vec![]),
            node("Not", &["t"], &["u"], vec![]),
            node(operator, &["t", "u"], &["v"], vec![]),
            float("v"),
        ];
        parts.push((vec![tensor("w", &[4], &[0.0; 4])], nodes));
    }
    let filled = vec![
        node("Shape", &["X"], &["s"], vec![]),
        node("ConstantOfShape", &["s"], &["t"], vec![tensor_attribute("value", tensor("", &[1], &[2.5]))]),
        node("Add", &["X", "t"], &["Y"], vec![]),
    ];
    parts.push((vec![], filled));
    parts
}

fn encoded() -> Vec<Part> {
    let whole = |to: &str| node("Cast", &["X"], &[to], vec![int("to", 7)]);
    vec![
        (
            vec![],
            one(
                "LabelEncoder",
                vec![
                    floats("keys_floats", &[0.0, 1.0, 2.0]),
                    floats("values_floats", &[5.0, 6.0, 7.0]),
                    float("default_float", -1.0),
                ],
            ),
        ),
        (
            vec![],
            vec![
                whole("t"),
                node(
                    "LabelEncoder",
                    &["t"],
                    &["Y"],
                    vec![ints("keys_int64s", &[0, 1, 2]), floats("values_floats", &[5.0, 6.0, 7.0])],
                ),
            ],
        ),
        (
            vec![],
            vec![
                whole("t"),
                node("OneHotEncoder", &["t"], &["u"], vec![ints("cats_int64s", &[0, 1, 2]), int("zeros", 1)]),
                node("Flatten", &["u"], &["Y"], vec![int("axis", 1)]),
            ],
        ),
        (
            vec![],
            one(
                "SVMRegressor",
                vec![
                    string("kernel_type", "RBF"),
                    floats("kernel_params", &[0.5, 0.0, 3.0]),
                    int("n_supports", 2),
                    floats("support_vectors", &[1.0, -1.0, 0.5, 2.0, 0.0, 0.25, 1.0, 3.0]),
                    floats("coefficients", &[1.0, -2.0]),
                    floats("rho", &[0.5]),
                ],
            ),
        ),
    ]
}

fn trees() -> Vec<Part> {
    let mut parts = Vec::new();
    for mode in ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"] {
        parts.push(regressor(mode, vec![]));
    }
    for aggregate in ["AVERAGE", "MIN", "MAX"] {
        parts.push(regressor("BRANCH_LEQ", vec![string("aggregate_function", aggregate)]));
    }
    for transform in ["LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"] {
        let more = vec![string("post_transform", transform), floats("base_values", &[0.5])];
        parts.push(regressor("BRANCH_LEQ", more));
        parts.push(classifier(transform == "LOGISTIC", transform));
    }
    for modes in [[0, 0], [1, 2], [3, 4], [5, 0]] {
        parts.push(version_5(&modes, false));
    }
    parts.push(version_5(&[6, 6], true));
    parts.into_iter().map(|nodes| (vec![], nodes)).collect()
}

fn shapes() -> Vec<Part> {
    let index = |name: &str, values: &[i64]| index_tensor(name, values);
    vec![
        (vec![], vec![node("Concat", &["X", "X"], &["Y"], vec![int("axis", 1)])]),
        (vec![index("s", &[-1, 4])], vec![node("Reshape", &["X", "s"], &["Y"], vec![])]),
        (
            vec![index("s", &[0, 2, 2]), index("a", &[2])],
            vec![
                node("Reshape", &["X", "s"], &["t"], vec![]),
                node("ReduceSum", &["t", "a"], &["Y"], vec![int("keepdims", 0)]),
            ],
        ),
        (
            vec![index("a", &[1])],
            vec![
                node("Unsqueeze", &["X", "a"], &["t"], vec![]),
                node("Squeeze", &["t", "a"], &["Y"], vec![]),
            ],
        ),
        (vec![], one("ReduceMean", vec![ints("axes", &[1]), int("keepdims", 1)])),
        (vec![], one("ReduceMax", vec![ints("axes", &[-1]), int("keepdims", 1)])),
        (vec![index("i", &[0, 2])], vec![node("Gather", &["X", "i"], &["Y"], vec![int("axis", 1)])]),
        (
            vec![index("b", &[1]), index("e", &[3])],
            vec![node("Slice", &["X", "b", "e", "b"], &["Y"], vec![])],
        ),
        (vec![], vec![node("Split", &["X"], &["Y", "u"], vec![int("axis", 1)])]),
        (
            vec![],
            vec![
                node("Cast", &["X"], &["t"], vec![int("to", 11)]),
                node("Cast", &["t"], &["Y"], vec![int("to", 1)]),
            ],
        ),
        (
            vec![],
            vec![
                node("Transpose", &["X"], &["t"], vec![ints("perm", &[1, 0])]),
                node("Transpose", &["t"], &["Y"], vec![ints("perm", &[1, 0])]),
            ],
        ),
        (
            vec![tensor("w", &[4], &[0.0; 4])],
            vec![node("Less", &["X", "w"], &["t"], vec![]), node("Where", &["t", "w", "X"], &["Y"], vec![])],
        ),
    ]
}

fn dense() -> Vec<Part> {
    let w = || tensor("w", &[4, 2], &[0.5, -1.0, 2.0, 0.25, 1.0, 0.0, -0.5, 3.0]);
    let v = || tensor("v", &[2, 1], &[1.0, -1.0]);
    let b = || tensor("b", &[2], &[0.125, -0.5]);
    let four = |name: &str| tensor(name, &[4], &[1.0, 2.0, 0.5, 0.25]);
    let scalar = |name: &str, x: f32| tensor(name, &[], &[x]);
    vec![
        (vec![w()], vec![node("MatMul", &["X", "w"], &["Y"], vec![])]),
        (
            vec![w(), b()],
            vec![node("Gemm", &["X", "w", "b"], &["Y"], vec![float("alpha", 0.5), int("transB", 0)])],
        ),
        (
            vec![w(), b(), v()],
            vec![
                node("Gemm", &["X", "w", "b"], &["h"], vec![]),
                node("Relu", &["h"], &["r"], vec![]),
                node("MatMul", &["r", "v"], &["Y"], vec![]),
            ],
        ),
        (vec![scalar("lo", -1.0), scalar("hi", 1.0)], vec![node("Clip", &["X", "lo", "hi"], &["Y"], vec![])]),
        (
            vec![four("s"), four("b"), four("m"), four("v")],
            vec![node(
                "BatchNormalization",
                &["X", "s", "b", "m", "v"],
                &["Y"],
                vec![float("epsilon", 1e-3)],
            )],
        ),
        (
            vec![four("s"), four("b")],
            vec![node("LayerNormalization", &["X", "s", "b"], &["Y"], vec![int("axis", -1)])],
        ),
        (
            vec![],
            vec![
                node("Constant", &[], &["c"], vec![tensor_attribute("value", four(""))]),
                node("Mul", &["X", "c"], &["Y"], vec![]),
            ],
        ),
        (
            vec![],
            one(
                "LinearRegressor",
                vec![
                    floats("coefficients", &[1.0, -1.0, 0.5, 2.0]),
                    floats("intercepts", &[0.5]),
                    int("targets", 1),
                ],
            ),
        ),
        (
            vec![],
            one(
                "SVMRegressor",
                vec![
                    string("kernel_type", "LINEAR"),
                    floats("coefficients", &[1.0, -1.0, 0.5, 2.0]),
                    floats("rho", &[0.5]),
                ],
            ),
        ),
    ]
}

fn prepared() -> Vec<Part> {
    let scaler = |to: &str| {
        node(
            "Scaler",
            &["X"],
            &[to],
            vec![floats("offset", &[0.0, 1.0, 2.0, 3.0]), floats("scale", &[1.0, 0.5, 0.25, 2.0])],
        )
    };
    let imputer = |to: &str| {
        node(
            "Imputer",
            &["X"],
            &[to],
            vec![
                floats("imputed_value_floats", &[0.0, 1.0, 2.0, 3.0]),
                float("replaced_value_float", f32::NAN),
            ],
        )
    };
    let trees = |from: &str| {
        node("TreeEnsembleRegressor", &[from], &["Y"], regressor("BRANCH_LT", vec![])[0].attribute.clone())
    };
    vec![
        (vec![], vec![scaler("Y")]),
        (vec![], vec![imputer("Y")]),
        (vec![], vec![scaler("t"), trees("t")]),
        (vec![], vec![imputer("t"), trees("t")]),
        (vec![], one("Normalizer", vec![string("norm", "L2")])),
        (vec![], one("Normalizer", vec![string("norm", "L1")])),
        (vec![index_tensor("i", &[3, 1])], vec![node("ArrayFeatureExtractor", &["X", "i"], &["Y"], vec![])]),
        (
            vec![],
            vec![node("FeatureVectorizer", &["X", "X"], &["Y"], vec![ints("inputdimensions", &[4, 4])])],
        ),
        (
            vec![tensor("lr", &[], &[0.1])],
            vec![
                {
                    let mut first = regressor("BRANCH_LEQ", vec![]).remove(0);
                    first.output = vec!["t".to_owned()];
                    first
                },
                node("Mul", &["t", "lr"], &["Y"], vec![]),
            ],
        ),
    ]
}

/// The parts as models, and models with inputs of other kinds.
pub fn models() -> Vec<ModelProto> {
    let version = |nodes: &[NodeProto]| if nodes.iter().any(|n| n.op_type == "TreeEnsemble") { 5 } else { 3 };
    let parts = parts().into_iter();
    let mut models: Vec<ModelProto> =
        parts.map(|(constants, nodes)| model(version(&nodes), constants, nodes)).collect();
    // Two inputs of two columns.
    let mut columns = model(3, vec![], vec![node("Concat", &["X", "Z"], &["Y"], vec![int("axis", 1)])]);
    let inputs = |name: &str| {
        model_of(2, 3, vec![], vec![])
            .graph
            .into_iter()
            .flat_map(|g| g.input)
            .map(move |mut input| {
                input.name = name.to_owned();
                input
            })
            .collect::<Vec<_>>()
    };
    if let Some(graph) = &mut columns.graph {
        graph.input = [inputs("X"), inputs("Z")].concat();
    }
    models.push(columns);
    // A DOUBLE input.
    for nodes in [vec![node("Cast", &["X"], &["Y"], vec![int("to", 1)])], double_regressor()] {
        let mut double = model(3, vec![], nodes);
        let inputs = double.graph.iter_mut().flat_map(|g| &mut g.input);
        for value in inputs.filter_map(|input| input.r#type.as_mut()?.value.as_mut()) {
            if let Value::TensorType(tensor) = value {
                tensor.elem_type = DataType::Double as i32;
            }
        }
        models.push(double);
    }
    models
}
