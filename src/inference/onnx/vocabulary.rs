//! Which operators a model may be made of, and what to do about those it may not.

use tract_onnx::pb::NodeProto;

use super::guard::clip;
use super::operators::ml_operators;

/// Operators of the default domain that regressors on feature vectors are built of. What is not
/// listed is refused by name: an operator that makes large tensors of small ones, or that reads
/// indices from data, would need checks of its own.
const OPERATORS: &[&str] = &[
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Cos",
    "CumSum",
    "Div",
    "Dropout",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "Gelu",
    "Gemm",
    "Greater",
    "GreaterOrEqual",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsNaN",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "MatMul",
    "Max",
    "Mean",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "PRelu",
    "Pow",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Round",
    "Selu",
    "Shape",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "ThresholdedRelu",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Where",
    "Xor",
];

/// Operators that may be given constants only: tract evaluates those while it loads, and these cannot
/// make a result larger than their input.
const CONSTANT_OPERATORS: &[&str] =
    &["Cast", "Constant", "Flatten", "Identity", "Neg", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// Operators with inputs that are shapes or indices, and the position of the first of these.
const INDEXING_OPERATORS: &[(&str, usize)] = &[
    ("ArrayFeatureExtractor", 1),
    ("Clip", 1),
    ("CumSum", 1),
    ("Gather", 1),
    ("ReduceL1", 1),
    ("ReduceL2", 1),
    ("ReduceMax", 1),
    ("ReduceMean", 1),
    ("ReduceMin", 1),
    ("ReduceProd", 1),
    ("ReduceSum", 1),
    ("ReduceSumSquare", 1),
    ("Reshape", 1),
    ("Slice", 1),
    ("Split", 1),
    ("Squeeze", 1),
    ("TopK", 1),
    ("Unsqueeze", 1),
];

const CATEGORIES: &str = "encode categories as numbers before the model";
const CLASSES: &str = "it tells classes; a regressor is expected";
const HISTORY: &str = "a model sees one row of features; windows over time belong in the bundle's features";
const OTHER_KIND: &str =
    "it is part of nearest neighbours; train another kind of model, e.g. gradient boosting";

/// What to do about operators that people meet.
const REMEDIES: &[(&str, &str)] = &[
    ("CDist", OTHER_KIND),
    ("CategoryMapper", CATEGORIES),
    ("Conv", HISTORY),
    ("DictVectorizer", CATEGORIES),
    ("GRU", HISTORY),
    ("LSTM", HISTORY),
    ("LinearClassifier", CLASSES),
    ("RNN", HISTORY),
    ("SVMClassifier", CLASSES),
    ("StringNormalizer", CATEGORIES),
    ("TfIdfVectorizer", CATEGORIES),
    ("ZipMap", "export without ZipMap (option zipmap=False); CatBoost: train one model for each target"),
];

/// Whether the operator of `node` is known.
///
/// # Errors
/// Why not, with the remedy if there is one.
pub(super) fn check(node: &NodeProto) -> Result<(), String> {
    let operator = node.op_type.as_str();
    let known = match node.domain.as_str() {
        "" | "ai.onnx" => OPERATORS.contains(&operator),
        "ai.onnx.ml" => ml_operators().any(|known| known == operator),
        _ => false,
    };
    if known {
        return match operator {
            "Shape" if !node.attribute.is_empty() => {
                Err("takes part of a shape, which is not supported".to_owned())
            }
            _ => Ok(()),
        };
    }
    let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
    let remedy = REMEDIES.iter().find(|(name, _)| *name == operator).map(|(_, remedy)| format!(": {remedy}"));
    Err(format!(
        "operator {} of {} is not supported{}; models are made of {} of ai.onnx.ml and of operators of dense networks \
         (docs/bundle.md lists them)",
        clip(operator),
        clip(domain),
        remedy.unwrap_or_default(),
        ml_operators().collect::<Vec<_>>().join(", "),
    ))
}

/// Whether the operator may be given constants only.
pub(super) fn may_be_constant(operator: &str) -> bool {
    CONSTANT_OPERATORS.contains(&operator)
}

/// The first input that must be a constant, and all that follow.
pub(super) fn first_constant_input(operator: &str) -> Option<usize> {
    INDEXING_OPERATORS.iter().find(|(name, _)| *name == operator).map(|(_, first)| *first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_lists_what_is_supported() {
        let document = include_str!("../../../docs/bundle.md");
        let section = document.split("### Operators").nth(1).unwrap().split("\n### ").next().unwrap();
        let listed: Vec<&str> = section.split(|c: char| !c.is_alphanumeric()).collect();
        for operator in OPERATORS.iter().copied().chain(ml_operators()) {
            assert!(listed.contains(&operator), "docs/bundle.md does not list {operator}");
        }
    }

    #[test]
    fn remedies_and_rules_are_of_operators_that_matter() {
        let known = |name: &str| OPERATORS.contains(&name) || ml_operators().any(|known| known == name);
        assert!(OPERATORS.is_sorted() && REMEDIES.iter().all(|(name, _)| !known(name)));
        assert!(INDEXING_OPERATORS.iter().all(|(name, _)| known(name)));
        assert!(CONSTANT_OPERATORS.iter().all(|name| known(name)));
    }
}
