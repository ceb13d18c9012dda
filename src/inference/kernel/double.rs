//! Ensembles that compare and add in double precision: the plain walk, and its result as it is or
//! narrowed.

use super::super::ensemble::Ensemble;
use super::fold::Finish;
use super::reference;

/// A double-precision ensemble.
#[derive(Debug, Clone)]
pub(crate) struct Double {
    ensemble: Ensemble<f64>,
    finish: Finish<f64>,
}

impl Double {
    pub(super) fn new(ensemble: Ensemble<f64>) -> Double {
        Double { finish: Finish::new(&ensemble), ensemble }
    }

    /// Predicts one row, which may be in single precision. Shapes: `row` has at least
    /// `min_features` values, `scores` and `scored` one per target.
    pub(crate) fn predict<X: Copy + Into<f64>>(&self, row: &[X], scores: &mut [f64], scored: &mut [bool]) {
        reference::predict(&self.ensemble, &self.finish, row, scores, scored);
    }
}
