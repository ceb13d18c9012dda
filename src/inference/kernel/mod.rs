//! Evaluation of tree ensembles.
//!
//! - `quickscorer` asks all nodes of many trees side by side: the fastest for trees of up to 64 leaves,
//!   where the processor has the instructions;
//! - `walk` follows twelve trees in turns: for larger trees and other processors;
//! - `reference` follows one tree after the other: for what fits neither, behind kernels that leave it nothing to do, and to
//!   test them against.
//!
//! All give the same bits on every input; `tests.rs` and `large.rs` hold them to it. Only the
//! instruction sets of `quickscorer` use `unsafe`.

mod condition;
mod double;
mod fold;
#[cfg(test)]
mod instructions;
mod kind;
#[cfg(test)]
mod large;
mod leaves;
mod quickscorer;
mod reference;
#[cfg(test)]
mod tests;
mod transform;
mod walk;

use std::sync::Arc;

use super::ensemble::{AnyEnsemble, Ensemble};
use super::info::EnsembleInfo;
pub(crate) use double::Double;
use fold::Finish;
pub use kind::KernelKind;
use quickscorer::{Instructions, Quickscorer, QuickscorerScratch};
use walk::{Slots, Walk};

/// The reason for a kernel that was not chosen here.
const ASKED_FOR: &str = "asked for";

/// How many times as large as the average the largest tree may be: the quickscorer asks all trees as many
/// questions as the largest has, and its tables grow alike.
const MOST_UNEVEN: usize = 4;

/// An ensemble with the kernel that evaluates it.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    tables: Tables,
    info: EnsembleInfo,
    n_targets: usize,
    min_features: usize,
    /// What the tables were made of, for a kernel that is to evaluate several ensembles together.
    source: Option<Arc<Ensemble>>,
}

#[derive(Debug, Clone)]
enum Tables {
    Quickscorer(Box<Quickscorer>),
    Walk(Box<Walk>),
    Reference(Arc<Ensemble>, Finish),
    /// Double precision: the reference walk only.
    Double(Double),
}

/// Buffers of one caller, so that a prediction allocates nothing.
#[derive(Debug, Clone)]
pub(crate) struct Scratch {
    scored: Box<[bool]>,
    slots: Slots,
    quickscorer: Option<QuickscorerScratch>,
    doubles: Box<[f64]>,
}

impl Kernel {
    /// The ensemble without tables of its own, to be given a fast kernel by [`Kernel::with`] or [`Joint::new`]. Until
    /// then the reference evaluates it.
    pub(crate) fn undecided(ensemble: impl Into<AnyEnsemble>) -> Kernel {
        match ensemble.into() {
            AnyEnsemble::Single(ensemble) => {
                let tables = Tables::reference(&ensemble);
                Kernel::of_single(ensemble, KernelKind::Reference, tables, String::new())
            }
            AnyEnsemble::Double(ensemble) => Kernel::of_double(ensemble),
        }
    }

    fn single(ensemble: Arc<Ensemble>, forced: Option<KernelKind>) -> Result<Kernel, String> {
        let (kind, tables, reason) = match forced {
            Some(kind) => {
                let tables = Tables::new(&ensemble, kind)
                    .map_err(|why| format!("kernel {kind} does not fit: {why}"))?;
                (kind, tables, ASKED_FOR.to_owned())
            }
            None => choose(&ensemble),
        };
        Ok(Kernel::of_single(ensemble, kind, tables, reason))
    }

    fn of_double(ensemble: Ensemble<f64>) -> Kernel {
        Kernel {
            info: describe(
                &ensemble,
                KernelKind::Reference,
                "the model adds in double precision".to_owned(),
                ensemble.table_bytes(),
            ),
            n_targets: ensemble.n_targets,
            min_features: ensemble.min_features,
            source: None,
            tables: Tables::Double(Double::new(ensemble)),
        }
    }

    fn of_single(ensemble: Arc<Ensemble>, kind: KernelKind, tables: Tables, reason: String) -> Kernel {
        Kernel {
            info: describe(&ensemble, kind, reason, tables.bytes()),
            tables,
            n_targets: ensemble.n_targets,
            min_features: ensemble.min_features,
            source: Some(ensemble),
        }
    }

    /// The same ensemble with another kernel; `None` for the fastest that fits it on this processor.
    ///
    /// # Errors
    /// Why that kernel cannot evaluate the ensemble.
    pub(crate) fn with(&self, kind: Option<KernelKind>) -> Result<Kernel, String> {
        match (&self.source, kind) {
            (Some(source), kind) => Kernel::single(Arc::clone(source), kind),
            (None, None | Some(KernelKind::Reference)) => Ok(self.clone()),
            (None, Some(kind)) => {
                Err(format!("kernel {kind} does not fit: the model adds in double precision"))
            }
        }
    }

    /// The same ensemble when `joint` evaluates it as its part `part`, which leaves this kernel nothing to do.
    ///
    /// # Errors
    /// As [`Kernel::with`].
    pub(crate) fn behind(&self, joint: &Joint, part: usize) -> Result<Kernel, String> {
        let mut kernel = self.with(Some(KernelKind::Reference))?;
        kernel.info.kernel = joint.kind;
        kernel.info.reason =
            if joint.is_forced { ASKED_FOR.to_owned() } else { few_leaves(kernel.info.max_leaves) };
        kernel.info.table_bytes = joint.quickscorer.part_bytes(part);
        Ok(kernel)
    }

    /// Forgets what only [`Kernel::with`] and [`Joint::new`] need.
    pub(crate) fn release_source(&mut self) {
        self.source = None;
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
        let n = self.n_targets;
        let (quickscorer, doubles) = match &self.tables {
            Tables::Quickscorer(quickscorer) => (Some(quickscorer.scratch()), 0),
            Tables::Double(..) => (None, n),
            _ => (None, 0),
        };
        Scratch {
            scored: vec![false; n].into(),
            slots: Slots::default(),
            quickscorer,
            doubles: vec![0.0; doubles].into(),
        }
    }

    /// Predicts rows of `width` features, which are [`Kernel::min_features`] at least. Shapes: `rows` is
    /// `[n, width]`, `out` `[n, n_targets]`; `scratch` is from [`Kernel::scratch`] of this kernel.
    pub(crate) fn predict(&self, rows: &[f32], width: usize, out: &mut [f32], scratch: &mut Scratch) {
        let Scratch { scored, slots, quickscorer, doubles } = scratch;
        let width = width.max(1);
        let each = rows.chunks_exact(width);
        match &self.tables {
            Tables::Quickscorer(tables) => {
                let Some(scratch) = quickscorer else { return };
                tables.predict(rows, width, out, scratch);
            }
            Tables::Walk(walk) => {
                for (row, out) in each.zip(out.chunks_exact_mut(self.n_targets)) {
                    walk.predict(row, out, scored, slots);
                }
            }
            Tables::Reference(ensemble, finish) => {
                for (row, out) in each.zip(out.chunks_exact_mut(self.n_targets)) {
                    reference::predict(ensemble, finish, row, out, scored);
                }
            }
            Tables::Double(double) => {
                for (row, out) in each.zip(out.chunks_exact_mut(self.n_targets)) {
                    double.predict(row, doubles, scored);
                    out.iter_mut().zip(&*doubles).for_each(|(out, score)| *out = *score as f32);
                }
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
}

impl Tables {
    fn new(ensemble: &Arc<Ensemble>, kind: KernelKind) -> Result<Tables, String> {
        if let Some(why) = kind.unavailable() {
            return Err(why);
        }
        match (kind, kind.instructions()) {
            (_, Some(instructions)) => Tables::quickscorer(ensemble, instructions),
            (KernelKind::Walk, _) => Walk::new(ensemble).map(Box::new).map(Tables::Walk),
            _ => Ok(Tables::reference(ensemble)),
        }
    }

    /// Bytes that predictions read.
    fn bytes(&self) -> usize {
        match self {
            Tables::Quickscorer(quickscorer) => quickscorer.bytes(),
            Tables::Walk(walk) => walk.bytes(),
            Tables::Reference(ensemble, _) => ensemble.table_bytes(),
            // Described before the tables are made.
            Tables::Double(_) => 0,
        }
    }

    fn reference(ensemble: &Arc<Ensemble>) -> Tables {
        Tables::Reference(Arc::clone(ensemble), Finish::new(ensemble))
    }

    fn quickscorer(ensemble: &Ensemble, instructions: Instructions) -> Result<Tables, String> {
        Ok(Tables::Quickscorer(Box::new(Quickscorer::new(&[ensemble], instructions)?)))
    }
}

/// The fastest kernel that fits, with the reason.
fn choose(ensemble: &Arc<Ensemble>) -> (KernelKind, Tables, String) {
    let not_scored = match vectorised() {
        Some(_) if uneven(ensemble) => {
            let average = ensemble.leaves() / ensemble.roots.len().max(1);
            format!("the largest tree has {} leaves, the average {average}", ensemble.max_leaves)
        }
        Some(kind) => match Tables::new(ensemble, kind) {
            Ok(tables) => {
                return (kind, tables, few_leaves(ensemble.max_leaves));
            }
            Err(why) => why,
        },
        None => "the processor has no instructions for the quickscorer".to_owned(),
    };
    match Tables::new(ensemble, KernelKind::Walk) {
        Ok(tables) => (KernelKind::Walk, tables, not_scored),
        Err(why) => (KernelKind::Reference, Tables::reference(ensemble), why),
    }
}

/// The quickscorer of the widest vectors that this processor has.
fn vectorised() -> Option<KernelKind> {
    let best = KernelKind::ALL.into_iter().rev().find(|kind| kind.unavailable().is_none());
    best.filter(|kind| *kind != KernelKind::Quickscorer)
}

/// Whether one tree is so much larger than the others that the quickscorer would ask mostly empty questions.
fn uneven(ensemble: &Ensemble) -> bool {
    ensemble.roots.len() * ensemble.max_leaves > MOST_UNEVEN * ensemble.leaves()
}

/// Why an ensemble is evaluated by the quickscorer.
fn few_leaves(max_leaves: usize) -> String {
    format!("at most {max_leaves} leaves a tree")
}

fn describe<T>(
    ensemble: &Ensemble<T>,
    kernel: KernelKind,
    reason: String,
    table_bytes: usize,
) -> EnsembleInfo {
    EnsembleInfo {
        trees: ensemble.roots.len(),
        nodes: ensemble.nodes.len(),
        leaves: ensemble.leaves(),
        max_leaves: ensemble.max_leaves,
        max_depth: ensemble.max_depth() as usize,
        targets: ensemble.n_targets,
        aggregate: ensemble.aggregate.name(),
        kernel,
        reason,
        table_bytes,
    }
}

/// Several ensembles that read the same rows, evaluated together: the rows are ranked once. Clones share the tables.
#[derive(Debug, Clone)]
pub(crate) struct Joint {
    kind: KernelKind,
    /// The kind was asked for, not chosen.
    is_forced: bool,
    quickscorer: Arc<Quickscorer>,
    scratch: QuickscorerScratch,
}

impl Joint {
    /// The ensembles of all kernels together, evaluated by `forced` or by what is fastest; `None` if that is no
    /// quickscorer, or their thresholds together do not fit one.
    pub(crate) fn new(kernels: &[&Kernel], forced: Option<KernelKind>) -> Option<Joint> {
        let kind = forced.or_else(vectorised).filter(|kind| kind.unavailable().is_none())?;
        let instructions = kind.instructions()?;
        let ensembles: Option<Vec<&Ensemble>> =
            kernels.iter().map(|kernel| kernel.source.as_deref()).collect();
        let ensembles = ensembles.filter(|ensembles| {
            !ensembles.is_empty() && (forced.is_some() || !ensembles.iter().any(|ensemble| uneven(ensemble)))
        })?;
        let quickscorer = Arc::new(Quickscorer::new(&ensembles, instructions).ok()?);
        Some(Joint { kind, is_forced: forced.is_some(), scratch: quickscorer.scratch(), quickscorer })
    }

    /// Predicts rows of `width` features; `out` has the outputs of all ensembles for each row.
    pub(crate) fn predict(&mut self, rows: &[f32], width: usize, out: &mut [f32]) {
        self.quickscorer.predict(rows, width, out, &mut self.scratch);
    }
}
