//! Attributes and inputs of plain operators with which tract would not fail but never come back, or read
//! where nothing is.

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::super::error::Problems;
use super::super::limits::MAX_RANK;
use super::operators::describe;

/// Checks the attributes of `node`, which stands in problems as `place`.
pub(super) fn check(node: &NodeProto, place: &str, problems: &mut Problems) {
    if node.op_type != "Transpose" {
        return;
    }
    for attribute in node.attribute.iter().filter(|attribute| attribute.name == "perm") {
        // tract follows the cycles of a permutation until each closes.
        let axes = &attribute.ints;
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if axes.len() > MAX_RANK || !sorted.into_iter().eq(0..axes.len() as i64) {
            let axes: Vec<i64> = axes.iter().take(MAX_RANK).copied().collect();
            problems.push(place, format!("perm {axes:?} is no permutation of up to {MAX_RANK} axes"));
        }
    }
}

/// Makes an Identity of every Dropout, which is what it is when a model predicts. tract reads its ratio
/// and its training mode unchecked.
pub(super) fn pass_through_dropout(graph: &mut GraphProto, problems: &mut Problems) {
    let is_dropout = |node: &NodeProto| node.op_type == "Dropout";
    for node in graph.node.iter().filter(|node| is_dropout(node)) {
        let training = node.input.get(2).filter(|name| !name.is_empty());
        let is_off = |name: &String| {
            let given = graph.initializer.iter().find(|tensor| tensor.name == *name);
            given.is_some_and(|tensor: &TensorProto| {
                tensor.raw_data.iter().all(|byte| *byte == 0)
                    && tensor.int32_data.iter().all(|value| *value == 0)
            })
        };
        if training.is_some_and(|name| !is_off(name)) {
            problems.push(
                describe(node),
                "training_mode is not the constant false; export the model for inference",
            );
        }
        let mask = node.output.get(1).filter(|name| !name.is_empty());
        let is_used = |mask: &String| {
            graph.node.iter().any(|other| other.input.contains(mask))
                || graph.output.iter().any(|output| output.name == *mask)
        };
        if mask.is_some_and(is_used) {
            problems.push(describe(node), "its mask is used; export the model for inference");
        }
    }
    for node in graph.node.iter_mut().filter(|node| is_dropout(node)) {
        "Identity".clone_into(&mut node.op_type);
        node.input.truncate(1);
        node.output.truncate(1);
        node.attribute.clear();
    }
}
