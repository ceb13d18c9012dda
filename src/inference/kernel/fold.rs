//! How the leaf weights of all trees become the outputs of a row.
//!
//! The order and the precision of every operation are those of ONNX Runtime with one thread, since
//! equality to the bit with it is what tells an exported model from a nearly exported one: single
//! precision throughout, trees in the order of the file, the first weight added to 0.0, the base value
//! added last.

use super::super::ensemble::Aggregate;

/// Running aggregate of one row, in place in the output slice.
pub(super) struct Fold<'a> {
    aggregate: Aggregate,
    out: &'a mut [f32],
    /// For MIN and MAX: whether the output has met a weight yet.
    scored: &'a mut [bool],
}

impl<'a> Fold<'a> {
    /// Both slices have one entry per target.
    pub(super) fn new(aggregate: Aggregate, out: &'a mut [f32], scored: &'a mut [bool]) -> Fold<'a> {
        out.fill(0.0);
        scored.fill(false);
        Fold { aggregate, out, scored }
    }

    #[inline]
    pub(super) fn add(&mut self, target: usize, weight: f32) {
        let (Some(score), Some(scored)) = (self.out.get_mut(target), self.scored.get_mut(target)) else {
            return;
        };
        *score = match self.aggregate {
            Aggregate::Sum | Aggregate::Average => *score + weight,
            Aggregate::Min if !*scored || weight < *score => weight,
            Aggregate::Max if !*scored || weight > *score => weight,
            Aggregate::Min | Aggregate::Max => *score,
        };
        *scored = true;
    }

    pub(super) fn finish(self, n_trees: usize, base_values: &[f32]) {
        finish(self.aggregate, self.out, n_trees, base_values);
    }
}

/// Turns raw aggregates into outputs. `base_values` is empty or has one entry per target.
pub(super) fn finish(aggregate: Aggregate, out: &mut [f32], n_trees: usize, base_values: &[f32]) {
    if aggregate == Aggregate::Average {
        for score in &mut *out {
            *score /= n_trees as f32;
        }
    }
    // Without base values a single target, and any MIN or MAX, still gets 0.0 added, which makes a
    // positive zero of a negative one; sums of several targets are left as they are.
    let adds_zero = out.len() == 1 || matches!(aggregate, Aggregate::Min | Aggregate::Max);
    if base_values.is_empty() {
        if adds_zero {
            for score in out {
                *score += 0.0;
            }
        }
    } else {
        for (score, base) in out.iter_mut().zip(base_values) {
            *score += base;
        }
    }
}
