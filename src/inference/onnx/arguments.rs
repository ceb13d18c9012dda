//! Attributes of plain operators with which tract would not fail but never come back.

use tract_onnx::pb::NodeProto;

use super::super::error::Problems;
use super::super::limits::MAX_RANK;

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
