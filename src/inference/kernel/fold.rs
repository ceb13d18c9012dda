//! How the leaf weights of all trees become the outputs of a row.
//!
//! The order and the precision of every operation are those of ONNX Runtime with one thread, since
//! equality to the bit with it is what tells an exported model from a nearly exported one: the
//! precision of the model throughout, trees in the order of the file, the first weight added to 0.0,
//! the base value added last, then the transform.

use super::super::ensemble::{Aggregate, Classifier, Ensemble, Number, PostTransform};
use super::transform;

/// What is done once every tree has spoken.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finish<T = f32> {
    aggregate: Aggregate,
    n_trees: usize,
    base_values: Vec<T>,
    post_transform: PostTransform,
    classifier: Option<Classifier>,
}

impl<T: Number> Finish<T> {
    pub(super) fn new(ensemble: &Ensemble<T>) -> Finish<T> {
        Finish {
            aggregate: ensemble.aggregate,
            n_trees: ensemble.roots.len(),
            base_values: ensemble.base_values.clone(),
            post_transform: ensemble.post_transform,
            classifier: ensemble.classifier,
        }
    }

    /// Turns raw aggregates into outputs, in place; one entry per target.
    #[inline]
    pub(super) fn apply(&self, scores: &mut [T]) {
        if let Some(classifier) = self.classifier {
            return transform::classify(classifier, self.post_transform, &self.base_values, scores);
        }
        if self.aggregate == Aggregate::Average {
            let n = T::from_f64(self.n_trees as f64);
            for score in &mut *scores {
                *score = *score / n;
            }
        }
        // Without base values a single target, and any MIN or MAX, still gets 0.0 added, which makes a
        // positive zero of a negative one; sums of several targets are left as they are.
        let adds_zero = scores.len() == 1 || matches!(self.aggregate, Aggregate::Min | Aggregate::Max);
        if self.base_values.is_empty() {
            if adds_zero {
                for score in &mut *scores {
                    *score = *score + T::default();
                }
            }
        } else {
            for (score, base) in scores.iter_mut().zip(&self.base_values) {
                *score = *score + *base;
            }
        }
        if self.post_transform != PostTransform::None {
            transform::regression(self.post_transform, scores);
        }
    }
}

/// Running aggregate of one row, in place in the scores.
pub(super) struct Fold<'a, T = f32> {
    aggregate: Aggregate,
    scores: &'a mut [T],
    /// For MIN and MAX: whether the target has met a weight yet.
    scored: &'a mut [bool],
}

impl<'a, T: Number> Fold<'a, T> {
    /// Both slices have one entry per target.
    pub(super) fn new(aggregate: Aggregate, scores: &'a mut [T], scored: &'a mut [bool]) -> Fold<'a, T> {
        scores.fill(T::default());
        scored.fill(false);
        Fold { aggregate, scores, scored }
    }

    /// Goes on where another fold on the same slices has ended.
    pub(super) fn resume(aggregate: Aggregate, scores: &'a mut [T], scored: &'a mut [bool]) -> Fold<'a, T> {
        Fold { aggregate, scores, scored }
    }

    #[inline]
    pub(super) fn add(&mut self, target: usize, weight: T) {
        let (Some(score), Some(scored)) = (self.scores.get_mut(target), self.scored.get_mut(target)) else {
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

    pub(super) fn finish(self, finish: &Finish<T>) {
        finish.apply(self.scores);
    }
}
