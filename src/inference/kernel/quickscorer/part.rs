//! The scoring of one ensemble.

use super::super::super::ensemble::{Aggregate, Ensemble};
use super::super::fold::{Finish, Fold};
use super::super::leaves::Leaves;
use super::lanes::Lanes;
use super::ranks::{Ranked, Thresholds};
use super::tables::{PLANE, Tables, slots_of};

/// One ensemble laid out for the scorer.
#[derive(Debug, Clone)]
pub(super) struct Part<L: Lanes> {
    tables: Tables<L::Bytes>,
    /// The number of each leaf, as many places for each tree as its planes have bits.
    numbers: Vec<f32>,
    leaves: Leaves,
    aggregate: Aggregate,
    finish: Finish,
    n_targets: usize,
}

/// The trees of one row or of one ensemble, whose leaves are added up one after the other.
#[derive(Clone, Copy)]
pub(super) struct Chain<'a, const LEAVES: usize> {
    /// The numbers of each tree's leaves.
    pub(super) numbers: &'a [[f32; LEAVES]],
    /// The leaf reached in each tree.
    pub(super) reached: &'a [u8],
}

impl<L: Lanes> Part<L> {
    pub(super) fn new(ensemble: &Ensemble, planes: usize, thresholds: &Thresholds) -> Option<Part<L>> {
        let mut leaves = Leaves::kind_of(ensemble);
        let (tables, numbers) = Tables::new::<L>(ensemble, planes, thresholds, &mut leaves)?;
        Some(Part {
            tables,
            numbers,
            leaves,
            aggregate: ensemble.aggregate,
            finish: Finish::new(ensemble),
            n_targets: ensemble.n_targets,
        })
    }

    pub(super) fn n_targets(&self) -> usize {
        self.n_targets
    }

    pub(super) fn bytes(&self) -> usize {
        self.tables.bytes() + size_of_val(self.numbers.as_slice())
    }

    /// Groups of trees.
    #[inline]
    pub(super) fn groups(&self) -> usize {
        self.tables.groups()
    }

    /// Whether the only output is the sum of the numbers of the leaves.
    #[inline]
    pub(super) fn is_sum(&self) -> bool {
        self.n_targets == 1
            && matches!(self.leaves, Leaves::Single)
            && matches!(self.aggregate, Aggregate::Sum | Aggregate::Average)
    }

    /// The numbers of the leaves of each tree.
    #[inline]
    pub(super) fn all_numbers<const LEAVES: usize>(&self) -> &[[f32; LEAVES]] {
        self.numbers.as_chunks().0
    }

    /// The same for the trees of a group.
    #[inline]
    pub(super) fn numbers<const LEAVES: usize>(&self, group: usize) -> &[[f32; LEAVES]] {
        let all = self.all_numbers();
        all.get(group * L::N..).map(|from| from.get(..L::N).unwrap_or(from)).unwrap_or_default()
    }

    /// Makes ready for the first tree.
    #[inline]
    pub(super) fn begin(&self, out: &mut [f32], scored: &mut [bool]) {
        Fold::new(self.aggregate, out, scored);
    }

    /// Adds the leaves reached in the trees from `tree`.
    #[inline]
    pub(super) fn add<const LEAVES: usize>(
        &self,
        chain: Chain<'_, LEAVES>,
        tree: usize,
        out: &mut [f32],
        scored: &mut [bool],
    ) {
        let mut fold = Fold::resume(self.aggregate, out, scored);
        for (at, (numbers, leaf)) in chain.numbers.iter().zip(chain.reached).enumerate() {
            self.leaves.fold(&mut fold, tree + at, number(numbers, *leaf));
        }
    }

    /// Makes outputs of what was added.
    #[inline]
    pub(super) fn end(&self, out: &mut [f32]) {
        self.finish.apply(out);
    }

    /// The first leaf that is left when all nodes of a group were asked, in each lane.
    #[inline(always)]
    pub(super) fn leaves<const P: usize>(&self, lanes: L, group: usize, row: &Ranked) -> L::Vector {
        let table = lanes.table(&row.ranks);
        let mut planes = [lanes.splat(0xff); P];
        for slot in slots_of(row.blanks) {
            for (plane, left) in planes.iter_mut().zip(self.tables.blank(group, slot)) {
                *plane = lanes.and(*plane, lanes.load(left));
            }
        }
        let mut rest = self.tables.group(group);
        for plane in 0..P {
            for reach in (0..=plane).rev() {
                let count = self.tables.steps(plane, reach);
                let planes = planes.get_mut(plane - reach..=plane).unwrap_or_default();
                // Known numbers of planes keep them in registers.
                rest = match reach {
                    0 => ask::<L, 3>(lanes, table, rest, count, planes),
                    1 => ask::<L, 4>(lanes, table, rest, count, planes),
                    2 => ask::<L, 5>(lanes, table, rest, count, planes),
                    3 => ask::<L, 6>(lanes, table, rest, count, planes),
                    _ => ask_far(lanes, table, rest, count, planes),
                };
            }
        }
        first_leaf::<L, P>(lanes, planes)
    }
}

/// The number of a leaf.
#[inline(always)]
fn number<const LEAVES: usize>(numbers: &[f32; LEAVES], leaf: u8) -> f32 {
    // In range whatever the byte holds: LEAVES is a power of two.
    #[allow(clippy::indexing_slicing)]
    numbers[usize::from(leaf) & (LEAVES - 1)]
}

/// Adds the numbers of several chains to their sums, each in the order of its trees.
///
/// An addition waits for the one before in its chain; several chains in turns wait together.
#[inline(always)]
pub(super) fn add_up<const LEAVES: usize, const CHAINS: usize>(
    chains: [Chain<'_, LEAVES>; CHAINS],
    sums: &mut [f32; CHAINS],
) {
    let length = |chain: &Chain<'_, LEAVES>| chain.numbers.len().min(chain.reached.len());
    let common = chains.iter().map(length).min().unwrap_or(0);
    let mut rest = chains;
    let heads = rest.each_mut().map(|chain| {
        let (numbers, more) = chain.numbers.split_at(common);
        let (reached, further) = chain.reached.split_at(common);
        *chain = Chain { numbers: more, reached: further };
        Chain { numbers, reached }
    });
    let mut totals = *sums;
    for at in 0..common {
        for (total, chain) in totals.iter_mut().zip(&heads) {
            // Both are `common` long.
            #[allow(clippy::indexing_slicing)]
            let value = number(&chain.numbers[at], chain.reached[at]);
            *total += value;
        }
    }
    for (total, chain) in totals.iter_mut().zip(&rest) {
        for (numbers, leaf) in chain.numbers.iter().zip(chain.reached) {
            *total += number(numbers, *leaf);
        }
    }
    *sums = totals;
}

/// Asks the questions of `count` steps of `VECTORS` vectors each: slots, keys, and masks for their own plane,
/// the last of `planes`, and for those before it. Gives the vectors after them.
#[inline(always)]
fn ask<'a, L: Lanes, const VECTORS: usize>(
    lanes: L,
    table: L::Table,
    mut vectors: &'a [L::Bytes],
    count: usize,
    planes: &mut [L::Vector],
) -> &'a [L::Bytes] {
    // The first two places stand for slots and keys; nothing is kept in them.
    let mut kept = [lanes.splat(0xff); VECTORS];
    for _ in 0..count {
        let Some((step, after)) = vectors.split_first_chunk::<VECTORS>() else { break };
        vectors = after;
        // All indices are below VECTORS, which is three at least.
        #[allow(clippy::indexing_slicing)]
        {
            let ranks = lanes.look_up(table, lanes.load(&step[0]));
            let held = lanes.at_most(ranks, lanes.load(&step[1]));
            let mut at = 2;
            while at < VECTORS {
                kept[at] = lanes.keep(kept[at], held, lanes.load(&step[at]));
                at += 1;
            }
        }
    }
    for (plane, kept) in planes.iter_mut().rev().zip(kept.iter().skip(2)) {
        *plane = lanes.and(*plane, *kept);
    }
    vectors
}

/// The same for any number of planes.
#[inline(always)]
fn ask_far<'a, L: Lanes>(
    lanes: L,
    table: L::Table,
    mut vectors: &'a [L::Bytes],
    count: usize,
    planes: &mut [L::Vector],
) -> &'a [L::Bytes] {
    for _ in 0..count {
        let Some((step, after)) = vectors.split_at_checked(2 + planes.len()) else { break };
        vectors = after;
        let [slots, keys, masks @ ..] = step else { break };
        let held = lanes.at_most(lanes.look_up(table, lanes.load(slots)), lanes.load(keys));
        for (plane, mask) in planes.iter_mut().rev().zip(masks) {
            *plane = lanes.keep(*plane, held, lanes.load(mask));
        }
    }
    vectors
}

/// The first leaf that is left, in each lane: the lowest one bit of the lowest plane that has one.
#[inline(always)]
fn first_leaf<L: Lanes, const P: usize>(lanes: L, planes: [L::Vector; P]) -> L::Vector {
    let mut bits = lanes.splat(0xff);
    let mut first = lanes.splat(0);
    for (at, plane) in planes.iter().enumerate().rev() {
        bits = lanes.or_else(*plane, *plane, bits);
        first = lanes.or_else(*plane, lanes.splat((at * PLANE) as u8), first);
    }
    lanes.add(first, lanes.trailing_zeros(bits))
}
