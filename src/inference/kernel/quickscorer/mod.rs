//! The scorer: all nodes of many trees asked side by side (see `tables`), on ranks (see `ranks`).
//!
//! One scorer evaluates one ensemble or several that read the same row, which is then ranked once.

// What is called with `lanes` must become part of the function compiled for their instructions.
#![allow(clippy::inline_always)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod batch;
mod lanes;
#[cfg(target_arch = "aarch64")]
mod neon;
mod part;
mod ranks;
mod tables;

use super::super::ensemble::Ensemble;
use super::condition::Condition;
use batch::Batch;
use lanes::{Lanes, Portable};
use part::Part;
use ranks::{Ranked, Ranking, SLOTS, Thresholds};
use tables::{MAX_LEAVES, PLANE};

/// Rows that are scored together, so that the tables of a group of trees are read once for all of them.
const BATCH_ROWS: usize = 32;

/// The instructions a scorer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instructions {
    /// Plain Rust.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Instructions {
    /// Whether this processor has them.
    pub(crate) fn available(self) -> bool {
        match self {
            Instructions::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => avx512::Avx512::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => neon::Neon::detect().is_some(),
        }
    }
}

/// One or several ensembles laid out for the scorer.
#[derive(Debug, Clone)]
pub(crate) struct Quickscorer {
    ranking: Ranking,
    backend: Backend,
    outputs: usize,
}

/// The tables, in the layout that suits the instructions.
#[derive(Debug, Clone)]
enum Backend {
    Portable(Parts<Portable>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Parts<avx2::Avx2>),
    #[cfg(target_arch = "x86_64")]
    Avx512(Parts<avx512::Avx512>),
    #[cfg(target_arch = "aarch64")]
    Neon(Parts<neon::Neon>),
}

/// The ensembles, and the proof that the processor can evaluate them.
#[derive(Debug, Clone)]
struct Parts<L: Lanes> {
    lanes: L,
    ensembles: Vec<Part<L>>,
    /// Planes of the trees with the most leaves: a power of two.
    planes: usize,
}

/// Does the same with whichever tables there are.
macro_rules! with_parts {
    ($backend:expr, $parts:ident => $do:expr) => {
        match $backend {
            Backend::Portable($parts) => $do,
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2($parts) => $do,
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512($parts) => $do,
            #[cfg(target_arch = "aarch64")]
            Backend::Neon($parts) => $do,
        }
    };
}

/// What the scorer remembers between the steps of one call, kept to spare the allocation.
#[derive(Debug, Clone)]
pub(crate) struct QuickscorerScratch {
    ranked: Vec<Ranked>,
    scored: Vec<bool>,
    /// The leaf reached in each tree of each ensemble, for one row.
    reached: Vec<u8>,
}

impl Quickscorer {
    /// The ensembles, laid out; or why they do not fit.
    pub(crate) fn new(ensembles: &[&Ensemble], instructions: Instructions) -> Result<Quickscorer, String> {
        for ensemble in ensembles {
            if ensemble.shared {
                // Laid out as a tree, it could have as many more leaves as there are paths to them.
                return Err("some node has two parents".to_owned());
            }
            if ensemble.max_leaves > MAX_LEAVES {
                return Err(format!("a tree has {} leaves, at most {MAX_LEAVES} fit", ensemble.max_leaves));
            }
        }
        let nodes = || ensembles.iter().flat_map(|ensemble| &ensemble.nodes);
        let thresholds = Thresholds::of(nodes().filter_map(Condition::of));
        let ranking = thresholds.ranking().ok_or_else(|| {
            format!("its features and thresholds take {} slots, at most {SLOTS} fit", thresholds.slots())
        })?;
        let backend = Backend::new(ensembles, &thresholds, instructions)?;
        Ok(Quickscorer {
            ranking,
            backend,
            outputs: ensembles.iter().map(|ensemble| ensemble.n_targets).sum(),
        })
    }

    pub(crate) fn scratch(&self) -> QuickscorerScratch {
        QuickscorerScratch {
            ranked: vec![Ranked::NONE; BATCH_ROWS],
            scored: vec![false; BATCH_ROWS * self.outputs],
            reached: vec![0; with_parts!(&self.backend, parts => parts.places())],
        }
    }

    /// Bytes of the tables.
    pub(crate) fn bytes(&self) -> usize {
        let parts =
            with_parts!(&self.backend, parts => parts.ensembles.iter().map(Part::bytes).sum::<usize>());
        self.ranking.bytes() + parts
    }

    /// Bytes of the tables of one ensemble.
    pub(crate) fn part_bytes(&self, at: usize) -> usize {
        with_parts!(&self.backend, parts => parts.ensembles.get(at).map_or(0, Part::bytes))
    }

    /// Predicts rows of `width` features; `out` has the outputs of all ensembles for each row.
    pub(crate) fn predict(
        &self,
        rows: &[f32],
        width: usize,
        out: &mut [f32],
        scratch: &mut QuickscorerScratch,
    ) {
        let outputs = self.outputs;
        for (rows, out) in rows.chunks(BATCH_ROWS * width).zip(out.chunks_mut(BATCH_ROWS * outputs)) {
            let ranking = &self.ranking;
            with_parts!(&self.backend, parts => {
                parts.lanes.run(Batch { ranking, parts, rows, width, out, outputs, scratch });
            });
        }
    }
}

impl Backend {
    fn new(
        ensembles: &[&Ensemble],
        thresholds: &Thresholds,
        instructions: Instructions,
    ) -> Result<Backend, String> {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let missing = || "the processor lacks the instructions".to_owned();
        Ok(match instructions {
            Instructions::Portable => Backend::Portable(Parts::new(Portable, ensembles, thresholds)?),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => {
                let lanes = avx2::Avx2::detect().ok_or_else(missing)?;
                Backend::Avx2(Parts::new(lanes, ensembles, thresholds)?)
            }
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => {
                let lanes = avx512::Avx512::detect().ok_or_else(missing)?;
                Backend::Avx512(Parts::new(lanes, ensembles, thresholds)?)
            }
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => {
                let lanes = neon::Neon::detect().ok_or_else(missing)?;
                Backend::Neon(Parts::new(lanes, ensembles, thresholds)?)
            }
        })
    }
}

impl<L: Lanes> Parts<L> {
    fn new(lanes: L, ensembles: &[&Ensemble], thresholds: &Thresholds) -> Result<Parts<L>, String> {
        let leaves = ensembles.iter().map(|ensemble| ensemble.max_leaves).max().unwrap_or(1);
        let planes = leaves.div_ceil(PLANE).next_power_of_two();
        let parts = ensembles.iter().map(|ensemble| {
            Part::new(ensemble, planes, thresholds).ok_or_else(|| {
                "it has tests of equality or membership, or strict tests against -inf".to_owned()
            })
        });
        Ok(Parts { lanes, ensembles: parts.collect::<Result<_, _>>()?, planes })
    }

    /// Places for the leaf of each tree, those included that only fill the last group.
    fn places(&self) -> usize {
        self.ensembles.iter().map(|part| part.groups() * L::N).sum()
    }
}
