//! What a graph gives: exporters add labels beside the scores of a classifier. Here the graph is cut down to the
//! scores.

use std::collections::HashSet;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};

use super::super::error::Problems;
use super::guard::clip;
use super::operators::describe;
use super::trees::CLASSIFIER;

/// Keeps one output, and of the graph what it depends on.
pub(super) fn reduce(graph: &mut GraphProto, problems: &mut Problems) {
    if graph.output.len() != 1 {
        let mut numeric = graph.output.iter().filter(|output| is_numeric(output));
        if let (Some(only), None) = (numeric.next().cloned(), numeric.next()) {
            graph.output = vec![only];
            prune(graph);
        }
    }
    if graph.node.iter().any(|node| node.op_type == "ZipMap") {
        let reason = "hold maps (ZipMap); export the scores as one tensor, with options={'zipmap': False}";
        problems.push("graph outputs", reason);
    } else if graph.output.len() != 1 {
        let names: Vec<String> = graph.output.iter().map(|o| clip(&o.name)).take(8).collect();
        let reason = format!(
            "there are {} ({}); one is expected, or one of FLOAT beside the label of a classifier",
            graph.output.len(),
            names.join(", ")
        );
        problems.push("graph outputs", reason);
    } else {
        drop_labels(graph, problems);
    }
}

fn is_numeric(output: &ValueInfoProto) -> bool {
    let kind = element_type(output);
    kind == Some(DataType::Float as i32) || kind == Some(DataType::Double as i32)
}

/// The element type of a tensor; `None` for sequences, maps and what is not said.
fn element_type(value: &ValueInfoProto) -> Option<i32> {
    let TypeValue::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    Some(tensor.elem_type)
}

/// Removes the operators that no output depends on.
fn prune(graph: &mut GraphProto) {
    let mut needed: HashSet<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    // Operators stand after those they depend on, so one pass from the end finds all. In a graph where
    // they do not, too many are removed, and the check of the order reports it.
    let mut kept: Vec<NodeProto> = Vec::with_capacity(graph.node.len());
    for node in graph.node.drain(..).rev() {
        if node.output.iter().any(|name| needed.contains(name)) {
            needed.extend(node.input.iter().filter(|name| !name.is_empty()).cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
}

/// Leaves classifiers only their scores.
fn drop_labels(graph: &mut GraphProto, problems: &mut Problems) {
    let used: HashSet<String> = graph
        .node
        .iter()
        .flat_map(|node| node.input.iter().cloned())
        .chain(graph.output.iter().map(|output| output.name.clone()))
        .collect();
    for node in graph.node.iter_mut().filter(|node| node.op_type == CLASSIFIER) {
        let place = describe(node);
        match node.output.as_slice() {
            [label, _] if !label.is_empty() && used.contains(label) => problems.push(
                place,
                format!("its label `{}` is used; a target is a number, take the scores", clip(label)),
            ),
            [_, scores] => node.output = vec![scores.clone()],
            outputs => problems.push(place, format!("has {} outputs where 2 are expected", outputs.len())),
        }
    }
}
