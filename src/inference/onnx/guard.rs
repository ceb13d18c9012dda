//! Checks on the decoded file, before tract sees it.
//!
//! tract trusts its input: it evaluates constants while it loads, follows paths to external data and
//! parses shape expressions recursively. So the graph is reduced here to what a feed-forward regressor
//! is made of, with every tensor's size known to fit its data, and with everything removed that takes
//! no part in a prediction.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

use super::super::error::Problems;
use super::super::limits::{MAX_OPERATORS, MAX_RANK};
use super::arguments;
use super::interface;
use super::operators::{SCALER, describe};
use super::trees::{CLASSIFIER, FIVE, REGRESSOR};

/// Operators of the default domain that regressors on feature vectors are built of. What is not
/// listed is refused by name: an operator that makes large tensors of small ones, or that reads
/// indices from data, would need checks of its own.
const OPERATORS: &[&str] = &[
    "Abs",
    "Add",
    "BatchNormalization",
    "Cast",
    "Celu",
    "Clip",
    "Concat",
    "Constant",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Flatten",
    "Gelu",
    "Gemm",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "MatMul",
    "Max",
    "Mean",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pow",
    "Reciprocal",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "ThresholdedRelu",
    "Transpose",
    "Unsqueeze",
];

/// The same for ai.onnx.ml.
const ML_OPERATORS: &[&str] = &[REGRESSOR, CLASSIFIER, FIVE, SCALER, "LinearRegressor", "Normalizer"];

/// Operators that may be given constants only: tract evaluates those while it loads, and these cannot
/// make a result larger than their input.
const CONSTANT_OPERATORS: &[&str] =
    &["Cast", "Constant", "Flatten", "Identity", "Neg", "Reshape", "Squeeze", "Transpose", "Unsqueeze"];

/// Checks `model` and strips it of what takes no part in a prediction.
pub(super) fn check(model: &mut ModelProto, n_features: usize) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let Some(graph) = &mut model.graph else {
        problems.push("", "the file holds no graph; it is damaged or no ONNX model");
        return Err(problems);
    };
    for tensor in &graph.initializer {
        check_tensor(tensor, &format!("initializer `{}`", clip(&tensor.name)), &mut problems);
    }
    check_interface(graph, n_features, &mut problems);
    interface::reduce(graph, &mut problems);
    check_nodes(graph, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    interface::feed_with_floats(graph);
    strip(model);
    Ok(())
}

/// Names from the file, at a length that suits a log line.
pub(super) fn clip(name: &str) -> String {
    name.chars().take(80).collect()
}

/// One input of `[rows, n_features]` floats or doubles.
fn check_interface(graph: &GraphProto, n_features: usize, problems: &mut Problems) {
    let given = |input: &&ValueInfoProto| graph.initializer.iter().all(|t| t.name != input.name);
    let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(given).collect();
    let [input] = inputs.as_slice() else {
        let names: Vec<String> = inputs.iter().map(|i| clip(&i.name)).take(8).collect();
        problems.push(
            "graph inputs",
            format!(
                "there are {} ({}); one tensor of all features is expected",
                inputs.len(),
                names.join(", ")
            ),
        );
        return;
    };
    let place = format!("input `{}`", clip(&input.name));
    let Some(TypeValue::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        problems.push(place, "is not a tensor; sequences and maps are not supported");
        return;
    };
    if ![DataType::Float as i32, DataType::Double as i32].contains(&tensor.elem_type) {
        let found = DataType::try_from(tensor.elem_type).map_or("unknown", |t| t.as_str_name());
        problems.push(
            place.clone(),
            format!("holds {found} values; export the model with FLOAT or DOUBLE input"),
        );
    }
    let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice());
    match dims {
        // No shape at all: the feature count of the caller stands, and the operators are checked against it.
        None => {}
        Some([_, features]) => {
            if let Some(Dim::DimValue(found)) = features.value
                && usize::try_from(found) != Ok(n_features)
            {
                let reason = format!("has {found} features, the bundle declares {n_features}");
                problems.push(place, reason);
            }
        }
        Some(dims) => {
            problems.push(place, format!("has {} axes; [rows, features] is expected", dims.len()));
        }
    }
}

/// Known operators, in an order in which each finds its inputs, with sound tensors in their attributes.
fn check_nodes(graph: &GraphProto, problems: &mut Problems) {
    if graph.node.is_empty() || graph.node.len() > MAX_OPERATORS {
        problems.push("graph", format!("has {} operators, must be 1 to {MAX_OPERATORS}", graph.node.len()));
        return;
    }
    // Every value so far, and whether it is a constant.
    let mut values: HashMap<&str, bool> = HashMap::new();
    values.extend(graph.input.iter().map(|input| (input.name.as_str(), false)));
    values.extend(graph.initializer.iter().map(|tensor| (tensor.name.as_str(), true)));
    for node in &graph.node {
        let place = describe(node);
        check_operator(node, &place, problems);
        let mut constant = true;
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            match values.get(name.as_str()) {
                Some(known) => constant &= known,
                None => problems.push(
                    place.clone(),
                    format!("input `{}` is no graph input, initializer or earlier output", clip(name)),
                ),
            }
        }
        if constant && !CONSTANT_OPERATORS.contains(&node.op_type.as_str()) {
            problems.push(
                place.clone(),
                "does not depend on the features; fold constants when exporting (e.g. with onnxsim)",
            );
        }
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if values.insert(name, constant).is_some() {
                problems.push(place.clone(), format!("output `{}` exists already", clip(name)));
            }
        }
    }
    for output in &graph.output {
        match values.get(output.name.as_str()) {
            Some(false) => {}
            Some(true) => {
                problems.push(format!("output `{}`", clip(&output.name)), "does not depend on the features");
            }
            None => problems.push(format!("output `{}`", clip(&output.name)), "is made by no operator"),
        }
    }
}

fn check_operator(node: &NodeProto, place: &str, problems: &mut Problems) {
    let operator = node.op_type.as_str();
    let known = match node.domain.as_str() {
        "" | "ai.onnx" => OPERATORS.contains(&operator),
        "ai.onnx.ml" => ML_OPERATORS.contains(&operator),
        _ => false,
    };
    if !known {
        let domain = if node.domain.is_empty() { "ai.onnx" } else { &node.domain };
        problems.push(
            place,
            format!(
                "operator {} of {} is not supported; supported are tree ensembles ({}) and dense networks ({})",
                clip(operator),
                clip(domain),
                ML_OPERATORS.join(", "),
                OPERATORS.join(", "),
            ),
        );
    }
    arguments::check(node, place, problems);
    for attribute in &node.attribute {
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            check_tensor(tensor, &format!("{place}: {}", clip(&attribute.name)), problems);
        }
    }
}

/// The tensor's data are in the file, of a plain type, and as many as its shape says.
fn check_tensor(tensor: &TensorProto, place: &str, problems: &mut Problems) {
    if tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty() {
        problems.push(place, "refers to external data; export the model as one file");
        return;
    }
    if tensor.segment.is_some() {
        problems.push(place, "is split in segments; export the model as one file");
        return;
    }
    let (width, values) = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => (4, tensor.float_data.len()),
        Ok(DataType::Double) => (8, tensor.double_data.len()),
        Ok(DataType::Int32) => (4, tensor.int32_data.len()),
        Ok(DataType::Int64) => (8, tensor.int64_data.len()),
        Ok(DataType::Bool | DataType::Uint8) => (1, tensor.int32_data.len()),
        other => {
            let found = other.map_or("unknown", |t| t.as_str_name());
            problems.push(
                place,
                format!("has type {found}; FLOAT, DOUBLE, INT32, INT64, UINT8 and BOOL are supported"),
            );
            return;
        }
    };
    if tensor.dims.len() > MAX_RANK {
        problems.push(place, format!("has {} axes, at most {MAX_RANK} are supported", tensor.dims.len()));
        return;
    }
    let volume = tensor
        .dims
        .iter()
        .try_fold(1_usize, |volume, dim| usize::try_from(*dim).ok().and_then(|dim| volume.checked_mul(dim)));
    let raw = tensor.raw_data.len();
    let fits = volume.is_some_and(|volume| {
        volume > 0
            && if raw > 0 { volume.checked_mul(width) == Some(raw) && values == 0 } else { values == volume }
    });
    if !fits {
        problems.push(
            place,
            format!("has shape {:?} and {values} values or {raw} raw bytes, which do not match", tensor.dims),
        );
    }
}

/// Removes what takes no part in a prediction, so that tract never reads it: recorded shapes (it
/// infers them itself, and parses their expressions recursively), texts, annotations.
fn strip(model: &mut ModelProto) {
    model.doc_string.clear();
    model.metadata_props.clear();
    let Some(graph) = &mut model.graph else { return };
    graph.value_info.clear();
    graph.quantization_annotation.clear();
    graph.doc_string.clear();
    for value in graph.input.iter_mut().chain(&mut graph.output) {
        if let Some(TypeValue::TensorType(tensor)) = value.r#type.as_mut().and_then(|t| t.value.as_mut()) {
            tensor.shape = None;
        }
    }
    for node in &mut graph.node {
        node.doc_string.clear();
    }
}
