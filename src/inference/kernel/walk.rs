//! The fast walk: nodes of eight bytes, [`LANES`] trees at a time.
//!
//! A tree walk waits: each step needs the node that the step before has chosen, and the processor
//! cannot guess the comparison. So several trees are walked in turns, whose waits overlap, and the
//! comparison is arithmetic on the child's index, not a branch.
//!
//! - Every test is brought to the form `x <= threshold`; siblings are neighbours, the true child first,
//!   so the next node is `child + !(x <= threshold)`.
//! - A leaf is its own child and tests a slot that holds -inf, which is below every threshold: once
//!   reached it is not left, and all trees of a group can take the same number of steps. Its threshold
//!   is free to hold what the leaf is worth.
//! - Features are first copied into slots, which the eight bits of a node can name. A feature whose
//!   missing value goes to the true child has a second slot, in which NaN has become -inf; plain NaN
//!   fails the comparison by itself.

use std::collections::{BTreeMap, VecDeque};

use super::super::ensemble::{Aggregate, Ensemble, Node};
use super::condition::Condition;
use super::fold::{Finish, Fold};
use super::leaves::Leaves;

/// Trees walked in turns. Measured: fewer leave the processor waiting, more spill registers.
const LANES: usize = 12;

/// Slots a node's eight bits can name.
const SLOTS: usize = 256;

/// The slot that holds -inf, tested by leaves.
const LEAF_SLOT: u32 = SLOTS as u32 - 1;

/// Nodes a link's 24 bits can name.
const MAX_NODES: usize = 1 << 24;

/// Eight bytes: `link` is `true_child << 8 | slot`.
#[derive(Debug, Clone, Copy)]
struct WalkNode {
    threshold: f32,
    link: u32,
}

/// What a slot is filled with.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slot {
    feature: u32,
    nan_is_low: bool,
}

/// An ensemble in the fast layout.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    nodes: Vec<WalkNode>,
    /// Root of each tree, padded with node 0, a leaf, to a multiple of [`LANES`].
    roots: Vec<[u32; LANES]>,
    /// Steps that bring every tree of a group to its leaf.
    steps: Vec<u32>,
    n_trees: usize,
    slots: Vec<Slot>,
    leaves: Leaves,
    aggregate: Aggregate,
    finish: Finish,
}

/// The slots of one row; kept between calls to spare the allocation.
#[derive(Debug, Clone)]
pub(super) struct Slots(Box<[f32; SLOTS]>);

impl Default for Slots {
    fn default() -> Slots {
        Slots(Box::new([f32::NEG_INFINITY; SLOTS]))
    }
}

impl Walk {
    /// The ensemble in the fast layout, or why it does not fit.
    pub(super) fn new(ensemble: &Ensemble) -> Result<Walk, String> {
        if ensemble.shared {
            return Err("some node has two parents".to_owned());
        }
        if ensemble.nodes.len() + 1 > MAX_NODES {
            return Err(format!("it has {} nodes, fewer than {MAX_NODES} fit", ensemble.nodes.len()));
        }
        Walk::lay_out(ensemble).ok_or_else(|| {
            format!("it has tests of equality or membership, strict tests against -inf, or more than {LEAF_SLOT} slots")
        })
    }

    /// Bytes of the nodes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.nodes.as_slice())
    }

    fn lay_out(ensemble: &Ensemble) -> Option<Walk> {
        let mut builder = Builder::new(ensemble);
        let mut roots = Vec::with_capacity(ensemble.roots.len());
        for root in &ensemble.roots {
            roots.push(builder.tree(*root)?);
        }
        Some(Walk {
            steps: ensemble.depths.chunks(LANES).map(|d| d.iter().copied().max().unwrap_or(0)).collect(),
            roots: roots
                .chunks(LANES)
                .map(|chunk| {
                    let mut group = [0; LANES];
                    group.iter_mut().zip(chunk).for_each(|(lane, root)| *lane = *root);
                    group
                })
                .collect(),
            n_trees: ensemble.roots.len(),
            nodes: builder.nodes,
            slots: builder.slots,
            leaves: builder.leaves,
            aggregate: ensemble.aggregate,
            finish: Finish::new(ensemble),
        })
    }

    /// Predicts one row.
    ///
    /// Shapes: `row` has at least the ensemble's `min_features` values; `out` and `scored` have one
    /// entry per target.
    pub(super) fn predict(&self, row: &[f32], out: &mut [f32], scored: &mut [bool], slots: &mut Slots) {
        let slots = &mut *slots.0;
        for (value, slot) in slots.iter_mut().zip(&self.slots) {
            let x = row.get(slot.feature as usize).copied().unwrap_or(f32::NAN);
            *value = if slot.nan_is_low && x.is_nan() { f32::NEG_INFINITY } else { x };
        }
        if let (Leaves::Single, Aggregate::Sum | Aggregate::Average, [only]) =
            (&self.leaves, self.aggregate, &mut *out)
        {
            // The common case, with its sum in a register.
            let mut sum = 0.0;
            self.walk(slots, |_, weight| sum += weight);
            *only = sum;
            return self.finish.apply(out);
        }
        let mut fold = Fold::new(self.aggregate, out, scored);
        self.walk(slots, |tree, number| self.leaves.fold(&mut fold, tree, number));
        fold.finish(&self.finish);
    }

    /// Walks all trees and hands the number in each one's leaf to `add`, in tree order.
    #[inline(always)]
    #[allow(clippy::inline_always)] // one copy per closure, so that the sum stays in a register
    fn walk(&self, slots: &[f32; SLOTS], mut add: impl FnMut(usize, f32)) {
        let mut tree = 0;
        for (roots, steps) in self.roots.iter().zip(&self.steps) {
            let at = self.walk_group(*roots, *steps, slots);
            for lane in at.iter().take(self.n_trees - tree) {
                add(tree, self.node(*lane).threshold);
                tree += 1;
            }
        }
    }

    #[inline]
    fn walk_group(&self, roots: [u32; LANES], steps: u32, slots: &[f32; SLOTS]) -> [u32; LANES] {
        let mut at = roots;
        for _ in 0..steps {
            for lane in &mut at {
                let node = self.node(*lane);
                // In range whatever the node holds: there are 256 slots.
                #[allow(clippy::indexing_slicing)]
                let x = slots[(node.link & 0xff) as usize];
                #[allow(clippy::neg_cmp_op_on_partial_ord)] // NaN must count as "not less or equal"
                let not_leq = !(x <= node.threshold);
                *lane = (node.link >> 8) + u32::from(not_leq);
            }
        }
        at
    }

    /// The index is checked although every link is in range by construction: the check costs 2 % of the
    /// walk (measured), too little to be worth `unsafe`.
    #[inline]
    fn node(&self, at: u32) -> WalkNode {
        self.nodes.get(at as usize).copied().unwrap_or(WalkNode { threshold: 0.0, link: LEAF_SLOT })
    }
}

struct Builder<'a> {
    ensemble: &'a Ensemble,
    nodes: Vec<WalkNode>,
    slots: Vec<Slot>,
    /// Where the slot of a feature stands, for each of the two ways NaN can go.
    places: BTreeMap<(u32, bool), u32>,
    leaves: Leaves,
}

impl<'a> Builder<'a> {
    fn new(ensemble: &'a Ensemble) -> Builder<'a> {
        let nodes = vec![WalkNode { threshold: 0.0, link: LEAF_SLOT }];
        Builder {
            leaves: Leaves::kind_of(ensemble),
            ensemble,
            nodes,
            slots: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Lays out one tree breadth first, siblings together; gives the index of its root.
    fn tree(&mut self, root: u32) -> Option<u32> {
        let at = self.nodes.len();
        self.nodes.push(WalkNode { threshold: 0.0, link: LEAF_SLOT });
        let mut queue = VecDeque::from([(root, at)]);
        while let Some((source, at)) = queue.pop_front() {
            let made = match *self.ensemble.nodes.get(source as usize)? {
                Node::Leaf { first, count } => {
                    let number = self.leaves.add(self.ensemble, first, count)?;
                    WalkNode { threshold: number, link: (at as u32) << 8 | LEAF_SLOT }
                }
                ref branch @ Node::Branch { .. } => {
                    let Condition { feature, threshold, nan_is_low, low, high } = Condition::of(branch)?;
                    let slot = self.slot(Slot { feature, nan_is_low })?;
                    let child = self.nodes.len();
                    for source in [low, high] {
                        queue.push_back((source, self.nodes.len()));
                        self.nodes.push(WalkNode { threshold: 0.0, link: LEAF_SLOT });
                    }
                    WalkNode { threshold, link: (child as u32) << 8 | slot }
                }
            };
            *self.nodes.get_mut(at)? = made;
        }
        Some(at as u32)
    }

    fn slot(&mut self, wanted: Slot) -> Option<u32> {
        let slots = &mut self.slots;
        let at = *self.places.entry((wanted.feature, wanted.nan_is_low)).or_insert_with(|| {
            slots.push(wanted);
            slots.len() as u32 - 1
        });
        (at < LEAF_SLOT).then_some(at)
    }
}
