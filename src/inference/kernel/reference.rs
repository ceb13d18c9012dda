//! The plain walk: every kind of ensemble, one node after the other. It is the twin the fast kernel
//! is tested against to the bit, and runs what does not fit the fast kernel's layout.

use super::super::ensemble::{Ensemble, Mode, Node, Weight};
use super::fold::Fold;

/// Predicts one row.
///
/// Shapes: `row` has at least `ensemble.min_features` values, `out` has `ensemble.n_targets`.
pub(crate) fn predict(ensemble: &Ensemble, row: &[f32], out: &mut [f32], scored: &mut [bool]) {
    let mut fold = Fold::new(ensemble.aggregate, out, scored);
    for root in &ensemble.roots {
        for weight in leaf(ensemble, *root, row) {
            fold.add(weight.target as usize, weight.value);
        }
    }
    fold.finish(ensemble.roots.len(), &ensemble.base_values);
}

/// The weights of the leaf that `row` reaches from `root`.
fn leaf<'a>(ensemble: &'a Ensemble, root: u32, row: &[f32]) -> &'a [Weight] {
    let mut at = root;
    // The build has shown that there is no cycle and no index out of range, so this ends at a leaf.
    // The defaults below cannot be reached; they stand where an index could otherwise panic.
    while let Some(node) = ensemble.nodes.get(at as usize) {
        match *node {
            Node::Leaf { first, count } => {
                return ensemble.weights.get(first as usize..(first + count) as usize).unwrap_or_default();
            }
            Node::Branch { mode, feature, threshold, missing_true, on_true, on_false } => {
                let x = row.get(feature as usize).copied().unwrap_or(f32::NAN);
                at = if holds(mode, x, threshold) || (missing_true && x.is_nan()) {
                    on_true
                } else {
                    on_false
                };
            }
        }
    }
    &[]
}

/// IEEE comparisons: -0.0 equals 0.0, and NaN satisfies only `!=`.
fn holds(mode: Mode, x: f32, threshold: f32) -> bool {
    match mode {
        Mode::Leq => x <= threshold,
        Mode::Lt => x < threshold,
        Mode::Gte => x >= threshold,
        Mode::Gt => x > threshold,
        Mode::Eq => x == threshold,
        Mode::Neq => x != threshold,
    }
}
