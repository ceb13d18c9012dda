//! The scoring of some rows by all ensembles.

use super::lanes::{Lanes, Task};
use super::part::{Chain, Part, add_up};
use super::ranks::{Ranked, Ranking};
use super::tables::PLANE;
use super::{Parts, QuickscorerScratch};

/// Rows whose leaves are added up in turns.
const ABREAST: usize = 4;

/// At most as many rows as the scratch has places for.
pub(super) struct Batch<'a, L: Lanes> {
    pub(super) ranking: &'a Ranking,
    pub(super) parts: &'a Parts<L>,
    pub(super) rows: &'a [f32],
    pub(super) width: usize,
    pub(super) out: &'a mut [f32],
    pub(super) outputs: usize,
    pub(super) scratch: &'a mut QuickscorerScratch,
}

impl<L: Lanes> Task<L> for Batch<'_, L> {
    #[inline(always)]
    fn work(self, lanes: L) {
        for (row, ranked) in self.rows.chunks_exact(self.width).zip(&mut self.scratch.ranked) {
            self.ranking.rank(lanes, row, ranked);
        }
        match self.parts.planes {
            1 => self.score::<1, { PLANE }>(lanes),
            2 => self.score::<2, { 2 * PLANE }>(lanes),
            4 => self.score::<4, { 4 * PLANE }>(lanes),
            _ => self.score::<8, { 8 * PLANE }>(lanes),
        }
    }
}

impl<L: Lanes> Batch<'_, L> {
    #[inline(always)]
    fn score<const P: usize, const LEAVES: usize>(self, lanes: L) {
        let QuickscorerScratch { ranked, scored, reached } = self.scratch;
        let parts = self.parts.ensembles.as_slice();
        let count = (self.rows.len() / self.width).min(ranked.len());
        let mut rows = Rows { ranked, out: self.out, scored, outputs: self.outputs };
        for (part, first) in with_offsets(parts) {
            for row in 0..count {
                let (out, scored) = rows.of(row, first, part.n_targets());
                part.begin(out, scored);
            }
        }
        let alone = count - count % ABREAST;
        for (part, first) in with_offsets(parts) {
            // Trees on the outside: the tables of a group stay in the cache while all rows pass.
            for group in 0..if alone == 0 { 0 } else { part.groups() } {
                for several in (0..alone).step_by(ABREAST) {
                    rows.score_several::<L, P, LEAVES>(lanes, part, group, first, several);
                }
            }
        }
        for row in alone..count {
            rows.score_one::<L, P, LEAVES>(lanes, parts, row, reached);
        }
        for (part, first) in with_offsets(parts) {
            for row in 0..count {
                let (out, _) = rows.of(row, first, part.n_targets());
                part.end(out);
            }
        }
    }
}

/// Each part with the place of its first output.
fn with_offsets<L: Lanes>(parts: &[Part<L>]) -> impl Iterator<Item = (&Part<L>, usize)> {
    parts.iter().scan(0, |next, part| {
        let first = *next;
        *next += part.n_targets();
        Some((part, first))
    })
}

/// Ranked rows, and where their predictions go.
struct Rows<'a> {
    ranked: &'a [Ranked],
    /// `outputs` for each row.
    out: &'a mut [f32],
    /// As `out`.
    scored: &'a mut [bool],
    outputs: usize,
}

impl Rows<'_> {
    /// Some outputs of a row.
    #[inline(always)]
    fn of(&mut self, row: usize, first: usize, targets: usize) -> (&mut [f32], &mut [bool]) {
        let from = row * self.outputs + first;
        let range = from..from + targets;
        (self.out.get_mut(range.clone()).unwrap_or_default(), self.scored.get_mut(range).unwrap_or_default())
    }

    /// The sum so far of an ensemble that only adds up.
    #[inline(always)]
    fn sum(&self, row: usize, first: usize) -> f32 {
        self.out.get(row * self.outputs + first).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn set_sum(&mut self, row: usize, first: usize, sum: f32) {
        if let Some(out) = self.out.get_mut(row * self.outputs + first) {
            *out = sum;
        }
    }

    /// One group of trees for [`ABREAST`] rows from `row`.
    #[inline(always)]
    fn score_several<L: Lanes, const P: usize, const LEAVES: usize>(
        &mut self,
        lanes: L,
        part: &Part<L>,
        group: usize,
        first: usize,
        row: usize,
    ) {
        let numbers = part.numbers::<LEAVES>(group);
        let mut reached = [L::bytes(0); ABREAST];
        // No closure here: what is in one would not be compiled with the instructions of `lanes`.
        for (ranked, reached) in self.ranked.iter().skip(row).zip(&mut reached) {
            lanes.store(part.leaves::<P>(lanes, group, ranked), reached);
        }
        let chains = reached.each_ref().map(|reached| Chain { numbers, reached: reached.as_ref() });
        if part.is_sum() {
            let mut sums = std::array::from_fn(|at| self.sum(row + at, first));
            add_up(chains, &mut sums);
            for (row, sum) in (row..).zip(sums) {
                self.set_sum(row, first, sum);
            }
        } else {
            for (row, chain) in (row..).zip(chains) {
                let (out, scored) = self.of(row, first, part.n_targets());
                part.add(chain, group * L::N, out, scored);
            }
        }
    }

    /// All trees of all ensembles for one row: the ensembles' sums are what can be added up in turns.
    #[inline(always)]
    fn score_one<L: Lanes, const P: usize, const LEAVES: usize>(
        &mut self,
        lanes: L,
        parts: &[Part<L>],
        row: usize,
        reached: &mut [u8],
    ) {
        let Some(ranked) = self.ranked.get(row) else { return };
        let mut places = reached.chunks_exact_mut(L::N);
        for part in parts {
            for (group, place) in (0..part.groups()).zip(&mut places) {
                let mut bytes = L::bytes(0);
                lanes.store(part.leaves::<P>(lanes, group, ranked), &mut bytes);
                place.copy_from_slice(bytes.as_ref());
            }
        }
        let mut rest = &*reached;
        let mut chain = |part: &'_ Part<L>| {
            let (own, after) = rest.split_at_checked(part.groups() * L::N).unwrap_or_default();
            rest = after;
            own
        };
        let mut first = 0;
        for parts in parts.chunks(3) {
            if let [a, b, c] = parts
                && parts.iter().all(Part::is_sum)
            {
                let chains = [a, b, c]
                    .map(|part| Chain { numbers: part.all_numbers::<LEAVES>(), reached: chain(part) });
                let mut sums = [0, 1, 2].map(|at| self.sum(row, first + at));
                add_up(chains, &mut sums);
                for (at, sum) in sums.into_iter().enumerate() {
                    self.set_sum(row, first + at, sum);
                }
                first += 3;
                continue;
            }
            for part in parts {
                let chain = Chain { numbers: part.all_numbers::<LEAVES>(), reached: chain(part) };
                if part.is_sum() {
                    let mut sums = [self.sum(row, first)];
                    add_up([chain], &mut sums);
                    self.set_sum(row, first, sums[0]);
                } else {
                    let (out, scored) = self.of(row, first, part.n_targets());
                    part.add(chain, 0, out, scored);
                }
                first += part.n_targets();
            }
        }
    }
}
