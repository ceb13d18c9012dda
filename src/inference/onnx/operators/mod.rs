//! Operators of our own: those of ai.onnx.ml, which tract lacks or computes otherwise than ONNX Runtime, and some of
//! the default domain whose indices must be checked or whose arithmetic must be exact.

// tract's way of writing operators: its prelude of some forty names, and rules that index inputs and
// outputs whose number has been checked in the line before.
#![allow(clippy::wildcard_imports, clippy::indexing_slicing)]

mod activations;
mod arithmetic;
mod attributes;
mod batch_normalization;
mod casting;
mod categories;
mod columns;
mod linear;
mod ranking;
mod reductions;
mod rows;
mod scaling;
#[cfg(test)]
mod tests;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::trees;
use crate::inference::error::Problems;

/// What makes an operator of a node.
type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;
type Build = fn(&ParsingContext, &NodeProto) -> Built;

/// The operators of ai.onnx.ml, but for the tree ensembles.
const ML_OPERATORS: &[(&str, Build)] = &[
    ("ArrayFeatureExtractor", columns::array_feature_extractor),
    ("Binarizer", scaling::binarizer),
    ("FeatureVectorizer", columns::feature_vectorizer),
    ("Imputer", scaling::imputer),
    ("LabelEncoder", categories::label_encoder),
    ("LinearRegressor", linear::linear_regressor),
    ("Normalizer", scaling::normalizer),
    ("OneHotEncoder", categories::one_hot_encoder),
    ("SVMRegressor", linear::svm_regressor),
    ("Scaler", scaling::scaler),
];

/// Operators of the default domain that stand in for tract's.
const REPLACED_OPERATORS: &[(&str, Build)] = &[
    ("ArgMax", reductions::reduce),
    ("ArgMin", reductions::reduce),
    ("BatchNormalization", batch_normalization::batch_normalization),
    ("Cast", casting::cast),
    ("Celu", activations::activation),
    ("Clip", activations::clip),
    ("ConstantOfShape", columns::filled_like),
    ("Cos", activations::activation),
    ("CumSum", ranking::cum_sum),
    ("Div", arithmetic::quotient),
    ("Elu", activations::activation),
    ("Erf", activations::activation),
    ("Exp", activations::activation),
    ("Gather", columns::gather),
    ("GatherElements", ranking::gather_elements),
    ("Gelu", activations::activation),
    ("HardSigmoid", activations::activation),
    ("HardSwish", activations::activation),
    ("Log", activations::activation),
    ("Max", arithmetic::maximum),
    ("Min", arithmetic::minimum),
    ("Mul", arithmetic::product),
    ("ReduceL1", reductions::reduce),
    ("ReduceL2", reductions::reduce),
    ("ReduceMax", reductions::reduce),
    ("ReduceMean", reductions::reduce),
    ("ReduceMin", reductions::reduce),
    ("ReduceProd", reductions::reduce),
    ("ReduceSum", reductions::reduce),
    ("ReduceSumSquare", reductions::reduce),
    ("Relu", activations::activation),
    ("Selu", activations::activation),
    ("Sigmoid", activations::activation),
    ("Sin", activations::activation),
    ("Slice", columns::slice),
    ("Softplus", activations::activation),
    ("Tanh", activations::activation),
    ("TopK", ranking::top_k),
];

/// Names of the operators of ai.onnx.ml.
pub(super) fn ml_operators() -> impl Iterator<Item = &'static str> {
    [trees::REGRESSOR, trees::CLASSIFIER, trees::FIVE]
        .into_iter()
        .chain(ML_OPERATORS.iter().map(|(name, _)| *name))
}

/// tract with the operators of this module.
pub(super) fn framework() -> tract_onnx::Onnx {
    let mut onnx = tract_onnx::onnx();
    trees::register(&mut onnx);
    for (name, build) in ML_OPERATORS.iter().chain(REPLACED_OPERATORS) {
        onnx.op_register.insert(name, *build);
    }
    onnx
}

/// A refusal at `place`, which travels through tract as it is.
pub(super) fn refusal(place: &str, reason: impl Into<String>) -> TractError {
    let mut problems = Problems::default();
    problems.push(place, reason);
    problems.into()
}

/// How problems of a node are introduced.
pub(super) fn describe(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    let name: String = name.map(String::as_str).unwrap_or_default().chars().take(80).collect();
    format!("node `{name}` ({})", node.op_type.chars().take(80).collect::<String>())
}
