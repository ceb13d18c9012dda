//! Evaluation of tree ensembles: [`Packed`] for the layouts it fits, [`reference`] for the others.
//! Both give the same bits on every input; `tests.rs` holds them to it.

mod double;
mod fold;
mod packed;
mod reference;
#[cfg(test)]
mod tests;
mod transform;

use super::ensemble::{AnyEnsemble, Ensemble, Node};
use super::info::{EnsembleInfo, Walk};
pub(crate) use double::Double;
use fold::Finish;
use packed::{Packed, Slots};

/// An ensemble with the fastest walk that fits it.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    tables: Tables,
    info: EnsembleInfo,
    n_targets: usize,
    min_features: usize,
}

#[derive(Debug, Clone)]
enum Tables {
    Packed(Packed),
    Plain(Ensemble, Finish),
    Double(Double),
}

/// Buffers of one caller, so that a prediction allocates nothing.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    scored: Box<[bool]>,
    /// Scores of a double-precision ensemble.
    wide: Box<[f64]>,
    slots: Slots,
}

impl Kernel {
    pub(crate) fn new(ensemble: impl Into<AnyEnsemble>) -> Kernel {
        match ensemble.into() {
            AnyEnsemble::Single(ensemble) => {
                let (n_targets, min_features) = (ensemble.n_targets, ensemble.min_features);
                let mut info = describe(&ensemble);
                let tables = match Packed::new(&ensemble) {
                    Some(packed) => {
                        info.walk = Walk::Packed;
                        Tables::Packed(packed)
                    }
                    None => {
                        let finish = Finish::new(&ensemble);
                        Tables::Plain(ensemble, finish)
                    }
                };
                Kernel { tables, info, n_targets, min_features }
            }
            AnyEnsemble::Double(ensemble) => {
                let (n_targets, min_features) = (ensemble.n_targets, ensemble.min_features);
                let info = describe(&ensemble);
                Kernel { tables: Tables::Double(Double::new(ensemble)), info, n_targets, min_features }
            }
        }
    }

    /// The ensemble, if it is a double-precision one.
    pub(crate) fn double(&self) -> Option<&Double> {
        match &self.tables {
            Tables::Double(double) => Some(double),
            _ => None,
        }
    }

    pub(crate) fn info(&self) -> &EnsembleInfo {
        &self.info
    }

    /// Outputs of a row.
    pub(crate) fn n_targets(&self) -> usize {
        self.n_targets
    }

    /// Features a row must have at least.
    pub(crate) fn min_features(&self) -> usize {
        self.min_features
    }

    pub(crate) fn scratch(&self) -> Scratch {
        let wide = match &self.tables {
            Tables::Double(_) => vec![0.0; self.n_targets].into(),
            _ => Box::default(),
        };
        Scratch { scored: vec![false; self.n_targets].into(), slots: Slots::default(), wide }
    }

    /// Predicts one row. Shapes: `row` at least `min_features` long, `out` one value per target,
    /// `scratch` from [`Kernel::scratch`] of this kernel. A feature beyond the row counts as NaN.
    pub(crate) fn predict(&self, row: &[f32], out: &mut [f32], scratch: &mut Scratch) {
        match &self.tables {
            Tables::Packed(packed) => packed.predict(row, out, &mut scratch.scored, &mut scratch.slots),
            Tables::Plain(ensemble, finish) => {
                reference::predict(ensemble, finish, row, out, &mut scratch.scored);
            }
            Tables::Double(double) => {
                double.predict(row, &mut scratch.wide, &mut scratch.scored);
                for (out, score) in out.iter_mut().zip(&scratch.wide) {
                    *out = *score as f32;
                }
            }
        }
    }
}

/// Size and kind, with the plain walk.
fn describe<T>(ensemble: &Ensemble<T>) -> EnsembleInfo {
    EnsembleInfo {
        trees: ensemble.roots.len(),
        nodes: ensemble.nodes.len(),
        leaves: ensemble.nodes.iter().filter(|node| matches!(node, Node::Leaf { .. })).count(),
        max_leaves: ensemble.max_leaves,
        max_depth: ensemble.max_depth() as usize,
        targets: ensemble.n_targets,
        aggregate: ensemble.aggregate.name(),
        walk: Walk::Plain,
    }
}
