//! From feature values to ranks: which of a feature's thresholds lie below the value.
//!
//! All tests of a tree have the form `x <= t`. With the thresholds of a feature in order, such a test is
//! a comparison of small integers: with `rank(x)` the number of thresholds below `x`, and `key(t)` the
//! number of thresholds below `t`, `x <= t` holds exactly if `rank(x) <= key(t)`. The rank is found once
//! a row and serves every node of every tree.
//!
//! ```text
//! thresholds of UCAIT   18.2   19.5   21.0   24.3          x = 20.1   rank 2
//! key                      0      1      2      3          x <= 19.5 is 2 <= 1: no; x <= 24.3 is 2 <= 3: yes
//! ```

use super::super::condition::Condition;
use super::lanes::{Block, Lanes, Ranks};

/// Slots: what the byte permutations of the processors choose from.
pub(super) const SLOTS: usize = 64;

/// Most thresholds of a slot: ranks go from 0 to this, and 255 is above every key.
const MAX_THRESHOLDS: usize = 254;

/// The key of a test that always holds.
pub(super) const ALWAYS: u8 = 255;

/// The rank of a missing value that fails every test.
const ABOVE_ALL: u8 = 255;

/// Thresholds of a block.
const BLOCK: usize = 16;

// A slot has as many pivots as a block has places, and its last block is never full: see `Slot::pivots`.
const _: () = assert!(MAX_THRESHOLDS < BLOCK * BLOCK);

/// Where a test finds its rank, and what it compares the rank with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Test {
    pub(super) slot: u8,
    pub(super) key: u8,
}

/// What NaN means in a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Missing {
    /// It passes every test.
    Low,
    /// It fails every test.
    High,
    /// It passes some and fails others: no rank can say that. The rank lets it pass all, and the slot is marked in
    /// [`Ranked::blanks`], so that those it fails are looked up (`Tables::blank`).
    Mixed,
}

/// One bit a slot.
pub(super) type SlotSet = u64;

const _: () = assert!(SLOTS <= SlotSet::BITS as usize);

/// A row whose values are ranked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked {
    pub(super) ranks: Ranks,
    /// The slots whose value is missing, of those where that passes some tests and fails others.
    pub(super) blanks: SlotSet,
}

impl Ranked {
    pub(super) const NONE: Ranked = Ranked { ranks: [0; SLOTS], blanks: 0 };
}

/// Up to [`MAX_THRESHOLDS`] thresholds of one feature. A feature with more has several slots.
#[derive(Debug, Clone)]
struct Slot {
    /// The last threshold of each block: a search of two steps, each of one comparison of vectors. The last
    /// block is filled up with infinities, one at least, so that a value above all thresholds ends there
    /// and not in the block after it, which is the next slot's.
    pivots: Block,
    feature: u32,
    /// Index of the first block.
    first: u32,
    missing: Missing,
}

/// The thresholds of one or several ensembles.
#[derive(Debug, Clone)]
pub(super) struct Ranking {
    slots: Vec<Slot>,
    blocks: Vec<Block>,
}

impl Ranking {
    /// Ranks the row.
    #[inline(always)]
    pub(super) fn rank<L: Lanes>(&self, lanes: L, row: &[f32], ranked: &mut Ranked) {
        ranked.blanks = 0;
        for (at, (slot, rank)) in self.slots.iter().zip(&mut ranked.ranks).enumerate() {
            let x = row.get(slot.feature as usize).copied().unwrap_or(f32::NAN);
            let block = lanes.count_below(&slot.pivots, x);
            // There is always such a block: the pivot of the last one is infinite, nothing is above that.
            let within = self.blocks.get(slot.first as usize + block);
            *rank = (BLOCK * block + within.map_or(0, |within| lanes.count_below(within, x))) as u8;
            if x.is_nan() {
                *rank = if slot.missing == Missing::High { ABOVE_ALL } else { 0 };
                ranked.blanks |= SlotSet::from(slot.missing == Missing::Mixed) << at;
            }
        }
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.slots.as_slice()) + size_of_val(self.blocks.as_slice())
    }
}

/// All thresholds that are to be ranked.
#[derive(Debug, Default)]
pub(super) struct Thresholds {
    /// By feature.
    features: Vec<Feature>,
}

/// What is tested of one feature.
#[derive(Debug, Default)]
struct Feature {
    /// In order; none if the feature is not tested.
    thresholds: Vec<f32>,
    missing: Option<Missing>,
    /// Its first slot.
    first: usize,
}

impl Feature {
    fn slots(&self) -> usize {
        self.thresholds.len().div_ceil(MAX_THRESHOLDS)
    }
}

impl Thresholds {
    /// The thresholds of these conditions.
    pub(super) fn of(conditions: impl Iterator<Item = Condition>) -> Thresholds {
        let mut features: Vec<Feature> = Vec::new();
        for condition in conditions {
            let at = condition.feature as usize;
            if at >= features.len() {
                features.resize_with(at + 1, Feature::default);
            }
            let Some(feature) = features.get_mut(at) else { continue };
            feature.thresholds.push(condition.threshold);
            let missing = if condition.nan_is_low { Missing::Low } else { Missing::High };
            let known = feature.missing.get_or_insert(missing);
            if *known != missing {
                *known = Missing::Mixed;
            }
        }
        let mut next = 0;
        for feature in &mut features {
            feature.thresholds.sort_unstable_by(f32::total_cmp);
            feature.thresholds.dedup();
            feature.first = next;
            next += feature.slots();
        }
        Thresholds { features }
    }

    /// Slots that the thresholds take.
    pub(super) fn slots(&self) -> usize {
        self.features.iter().map(Feature::slots).sum()
    }

    /// The slots that [`Ranked::blanks`] may tell of; none of those beyond [`SLOTS`].
    pub(super) fn mixed(&self) -> SlotSet {
        let mixed = self.features.iter().filter(|feature| feature.missing == Some(Missing::Mixed));
        let slots = mixed.flat_map(|feature| feature.first..feature.first + feature.slots());
        slots.filter(|slot| *slot < SLOTS).fold(0, |set, slot| set | 1 << slot)
    }

    /// How a condition reads once the row is ranked.
    pub(super) fn test(&self, condition: &Condition) -> Option<Test> {
        let feature = self.features.get(condition.feature as usize)?;
        let at = feature.thresholds.partition_point(|threshold| *threshold < condition.threshold);
        feature.thresholds.get(at).filter(|threshold| **threshold == condition.threshold)?;
        let slot = u8::try_from(feature.first + at / MAX_THRESHOLDS).ok()?;
        Some(Test { slot, key: (at % MAX_THRESHOLDS) as u8 })
    }

    /// The tables that rank a row; `None` if there are more than [`SLOTS`] slots.
    pub(super) fn ranking(&self) -> Option<Ranking> {
        if self.slots() > SLOTS {
            return None;
        }
        let mut ranking = Ranking { slots: Vec::new(), blocks: Vec::new() };
        for (number, feature) in (0..).zip(&self.features) {
            let Some(missing) = feature.missing else { continue };
            for own in feature.thresholds.chunks(MAX_THRESHOLDS) {
                let first = ranking.blocks.len() as u32;
                let mut pivots = Block([f32::INFINITY; BLOCK]);
                // One block more than there are full ones: the last is filled up with infinities.
                for (at, pivot) in pivots.0.iter_mut().enumerate().take(own.len() / BLOCK + 1) {
                    let mut block = Block([f32::INFINITY; BLOCK]);
                    let thresholds = own.iter().skip(at * BLOCK);
                    block.0.iter_mut().zip(thresholds).for_each(|(slot, t)| *slot = *t);
                    *pivot = block.0.last().copied().unwrap_or(f32::INFINITY);
                    ranking.blocks.push(block);
                }
                ranking.slots.push(Slot { pivots, feature: number, first, missing });
            }
        }
        Some(ranking)
    }
}
