//! Checks on the decoded file, before tract sees it.
//!
//! tract trusts its input: it evaluates constants while it loads, follows paths to external data and
//! parses shape expressions recursively. So the graph is reduced here to what a feed-forward regressor
//! is made of, with every tensor's size known to fit its data, and with everything removed that takes
//! no part in a prediction.

use std::collections::HashMap;

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use super::super::error::Problems;
use super::super::limits::{MAX_ATTRIBUTES, MAX_OPERATORS, MAX_RANK};
use super::operators::describe;
use super::{arguments, inputs, outputs, vocabulary};

/// What a value of the graph is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Features,
    Constant,
    /// The shape of a tensor that depends on the features.
    Shape,
}

/// Checks `model`, strips it of what takes no part in a prediction, and gives it one FLOAT input of
/// `[rows, n_features]`.
pub(super) fn check(model: &mut ModelProto, n_features: usize) -> Result<(), Problems> {
    let mut problems = Problems::default();
    let Some(graph) = &mut model.graph else {
        problems.push("", "the file holds no graph; it is damaged or no ONNX model");
        return Err(problems);
    };
    for tensor in &graph.initializer {
        check_tensor(tensor, &format!("initializer `{}`", clip(&tensor.name)), &mut problems);
    }
    let taken = inputs::check(graph, n_features, &mut problems);
    outputs::reduce(graph, &mut problems);
    check_nodes(graph, &mut problems);
    let Some(taken) = taken.filter(|_| problems.is_empty()) else { return Err(problems) };
    arguments::pass_through_dropout(graph, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    fill_without_shapes(graph);
    inputs::unify(graph, &taken, n_features);
    strip(model);
    Ok(())
}

/// Names from the file, at a length that suits a log line.
pub(super) fn clip(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Known operators, in an order in which each finds its inputs, with sound tensors in their attributes.
fn check_nodes(graph: &GraphProto, problems: &mut Problems) {
    if graph.node.is_empty() || graph.node.len() > MAX_OPERATORS {
        problems.push("graph", format!(
                "has {} operators, must be 1 to {MAX_OPERATORS}; polynomials of many features belong in the bundle's \
                 expressions",
                graph.node.len()
            ));
        return;
    }
    // Every value so far.
    let mut values: HashMap<&str, Origin> = HashMap::new();
    values.extend(graph.input.iter().map(|input| (input.name.as_str(), Origin::Features)));
    values.extend(graph.initializer.iter().map(|tensor| (tensor.name.as_str(), Origin::Constant)));
    for node in &graph.node {
        let place = describe(node);
        check_operator(node, &place, problems);
        check_constants(node, &values, &place, problems);
        check_shapes(node, &values, &place, problems);
        let mut constant = true;
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            match values.get(name.as_str()) {
                Some(origin) => constant &= *origin == Origin::Constant,
                None => problems.push(
                    place.clone(),
                    format!("input `{}` is no graph input, initializer or earlier output", clip(name)),
                ),
            }
        }
        if constant && !vocabulary::may_be_constant(&node.op_type) {
            problems.push(
                place.clone(),
                "does not depend on the features; fold constants when exporting (e.g. with onnxsim)",
            );
        }
        let origin = match node.op_type.as_str() {
            _ if constant => Origin::Constant,
            "Shape" => Origin::Shape,
            _ => Origin::Features,
        };
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if values.insert(name, origin).is_some() {
                problems.push(place.clone(), format!("output `{}` exists already", clip(name)));
            }
        }
    }
    for output in &graph.output {
        match values.get(output.name.as_str()) {
            Some(Origin::Features) => {}
            Some(_) => {
                problems.push(format!("output `{}`", clip(&output.name)), "does not depend on the features");
            }
            None => problems.push(format!("output `{}`", clip(&output.name)), "is made by no operator"),
        }
    }
}

fn check_operator(node: &NodeProto, place: &str, problems: &mut Problems) {
    if let Err(reason) = vocabulary::check(node) {
        problems.push(place, reason);
    }
    arguments::check(node, place, problems);
    let attributes = node.attribute.len();
    if attributes > MAX_ATTRIBUTES {
        problems.push(place, format!("has {attributes} attributes, at most {MAX_ATTRIBUTES} are supported"));
    }
    for attribute in node.attribute.iter().take(MAX_ATTRIBUTES) {
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            check_tensor(tensor, &format!("{place}: {}", clip(&attribute.name)), problems);
        }
    }
}

/// Inputs that decide about shapes and indices are constants, so that what is checked at load holds for every row.
fn check_constants(node: &NodeProto, values: &HashMap<&str, Origin>, place: &str, problems: &mut Problems) {
    let Some(first) = vocabulary::first_constant_input(&node.op_type) else { return };
    let constant = |name: &String| values.get(name.as_str()) == Some(&Origin::Constant);
    if node.op_type == "ArrayFeatureExtractor" && node.input.first().is_some_and(constant) {
        return; // looks a constant up; its indices are checked when it does
    }
    for name in node.input.iter().skip(first).filter(|name| !name.is_empty()) {
        if values.get(name.as_str()).is_some_and(|origin| *origin != Origin::Constant) {
            problems.push(
                place,
                format!(
                    "input `{}` depends on the features; shapes and indices must be constants",
                    clip(name)
                ),
            );
        }
    }
}

/// The shape of a tensor may only serve to make a constant tensor of that shape.
fn check_shapes(node: &NodeProto, values: &HashMap<&str, Origin>, place: &str, problems: &mut Problems) {
    let of_shape = node.op_type == "ConstantOfShape";
    for name in node.input.iter().filter(|name| !name.is_empty()) {
        if values.get(name.as_str()).is_some_and(|origin| (*origin == Origin::Shape) != of_shape) {
            problems.push(
                place,
                "the output of Shape can only be the input of ConstantOfShape, and only that; export with fixed shapes",
            );
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
        // Bytes name the node modes of a TreeEnsemble.
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

/// Gives each `ConstantOfShape` the tensor whose shape it was given: our own operator fills a tensor like it. So no
/// shape is computed, and no tensor made that is larger than one that has been checked.
fn fill_without_shapes(graph: &mut GraphProto) {
    let mut measured: HashMap<String, String> = HashMap::new();
    graph.node.retain(|node| {
        if node.op_type != "Shape" {
            return true;
        }
        measured.extend(node.output.first().cloned().zip(node.input.first().cloned()));
        false
    });
    for node in graph.node.iter_mut().filter(|node| node.op_type == "ConstantOfShape") {
        for name in &mut node.input {
            if let Some(tensor) = measured.get(name) {
                name.clone_from(tensor);
            }
        }
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
