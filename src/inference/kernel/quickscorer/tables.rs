//! The trees of an ensemble, laid out for the scorer.
//!
//! The leaves of a tree are numbered from left to right, the side where `x <= t` holds being left. A node
//! whose test fails rules out the leaves on its left. The leaf that is reached is the first one that no
//! node has ruled out (`QuickScorer`: Lucchese and others, 2015), so all nodes can be asked in any order,
//! without a walk.
//!
//! As many trees as a register has bytes are asked side by side (as in `V-QuickScorer` and `RapidScorer`),
//! one byte a tree. A tree's leaves are bits in *planes* of eight: plane 0 holds leaves 0 to 7 of each
//! tree, and so on. The node between leaves `i` and `i + 1` rules out leaves `lo..=i`, which mostly lie in
//! the plane of `i` alone; it is asked in a step of that plane, those that reach furthest down first, so that
//! trees with the same reach share a step. A step is some vectors: slots, keys, a mask for its own plane,
//! and one for each plane further down that any of the trees reaches.
//!
//! A missing value takes the same way at all nodes that ask for it, or some nodes send it left and others right. What the
//! latter rule out does not depend on any other value, so it is there ready-made, a vector a plane (`Tables::blank`).

use super::super::super::ensemble::{Ensemble, Node};
use super::super::condition::Condition;
use super::super::leaves::Leaves;
use super::lanes::Lanes;
use super::ranks::{ALWAYS, SlotSet, Test, Thresholds};

/// Leaves of a plane: the bits of a byte.
pub(super) const PLANE: usize = 8;

/// Most planes. The time grows with the leaves of a tree, that of a walk with its depth: of 300 trees
/// with 64 leaves the quickscorer needs 0.7 to 0.9 (AVX2) and 0.55 (AVX-512) of the walk's time, with 128
/// leaves 1.5 and 1.05 of it (measured).
pub(super) const MAX_PLANES: usize = 8;

/// Most leaves of a tree.
pub(super) const MAX_LEAVES: usize = MAX_PLANES * PLANE;

/// A node that is asked.
#[derive(Debug, Clone, Copy)]
struct Question {
    test: Test,
    /// A missing value fails it.
    fails_blank: bool,
    /// First leaf on its left.
    first: usize,
    /// Last leaf on its left.
    last: usize,
}

impl Question {
    /// How many planes below its own it reaches.
    fn reach(&self) -> usize {
        self.last / PLANE - self.first / PLANE
    }

    /// The leaves of a plane that stay when the test fails.
    fn mask(&self, plane: usize) -> u8 {
        let start = plane * PLANE;
        // Bits below the first leaf, and those below the one after the last: between them lie the leaves ruled out.
        let below = |leaf: usize| (1_u16 << leaf.saturating_sub(start).min(PLANE)) - 1;
        !(below(self.last + 1) & !below(self.first)) as u8
    }
}

/// A tree as the scorer sees it.
#[derive(Debug, Default)]
struct Tree {
    /// By own plane; in a plane those of the longest reach first.
    planes: Vec<Vec<Question>>,
}

/// The vectors of all groups of trees, `B` being a vector in memory.
#[derive(Debug, Clone)]
pub(super) struct Tables<B> {
    /// Group after group; in a group plane after plane, step after step.
    vectors: Vec<B>,
    /// Vectors of a group.
    group: usize,
    groups: usize,
    /// Steps of plane `p` that reach `r` planes down: `steps[p * planes + r]`. The same in all groups, so
    /// that the processor learns them.
    steps: Vec<u8>,
    planes: usize,
    /// The slots where a missing value passes some tests and fails others.
    mixed: SlotSet,
    /// What is left of the leaves when the nodes that a missing value fails have ruled out theirs: group after group, slot
    /// after slot of `mixed`, plane after plane.
    blanks: Vec<B>,
}

impl<B: Copy + AsRef<[u8]> + AsMut<[u8]>> Tables<B> {
    /// Lays out the trees of `ensemble`, whose leaves fit in `planes`; fills `leaves` with what they are
    /// worth and gives their numbers, [`PLANE`] for each tree and plane. `None` if a branch has no condition
    /// or its threshold is not ranked.
    pub(super) fn new<L: Lanes<Bytes = B>>(
        ensemble: &Ensemble,
        planes: usize,
        thresholds: &Thresholds,
        leaves: &mut Leaves,
    ) -> Option<(Tables<B>, Vec<f32>)> {
        let width = planes * PLANE;
        let mut values = vec![0.0; ensemble.roots.len() * width];
        let mut trees = Vec::with_capacity(ensemble.roots.len());
        for (root, values) in ensemble.roots.iter().zip(values.chunks_exact_mut(width)) {
            let tree = Tree { planes: (0..planes).map(|_| Vec::with_capacity(PLANE)).collect() };
            let mut visitor = Visitor { ensemble, thresholds, leaves, values, tree };
            visitor.visit(*root, 0)?;
            let mut tree = visitor.tree;
            for questions in &mut tree.planes {
                questions.sort_by_key(|question| std::cmp::Reverse(question.reach()));
            }
            trees.push(tree);
        }
        let reaches = reaches(&trees, planes);
        let mut steps = vec![0; planes * planes];
        for (own, reaches) in steps.chunks_exact_mut(planes).zip(&reaches) {
            for reach in reaches {
                *own.get_mut(*reach)? += 1;
            }
        }
        let group = reaches.iter().flatten().map(|reach| 3 + reach).sum();
        let groups = trees.len().div_ceil(L::N);
        let mixed = thresholds.mixed();
        let mut vectors = Vec::with_capacity(group * groups);
        let mut blanks = Vec::with_capacity(mixed.count_ones() as usize * planes * groups);
        for trees in trees.chunks(L::N) {
            lay_out::<L>(trees, &reaches, &mut vectors);
            for slot in slots_of(mixed) {
                blanks.append(&mut blank::<L>(trees, planes, slot));
            }
        }
        Some((Tables { vectors, group, groups, steps, planes, mixed, blanks }, values))
    }

    /// Groups of trees.
    #[inline]
    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    /// The vectors of a group.
    #[inline]
    pub(super) fn group(&self, at: usize) -> &[B] {
        self.vectors.get(at * self.group..(at + 1) * self.group).unwrap_or_default()
    }

    /// Steps of a plane that reach some planes down.
    #[inline]
    pub(super) fn steps(&self, plane: usize, reach: usize) -> usize {
        self.steps.get(plane * self.planes + reach).copied().map_or(0, usize::from)
    }

    /// What a missing value in a slot leaves of each plane of a group.
    #[inline]
    pub(super) fn blank(&self, group: usize, slot: u8) -> &[B] {
        let below = (self.mixed & ((1 << slot) - 1)).count_ones() as usize;
        let at = (group * self.mixed.count_ones() as usize + below) * self.planes;
        self.blanks.get(at..at + self.planes).unwrap_or_default()
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.vectors.as_slice()) + size_of_val(self.blanks.as_slice())
    }
}

/// The slots of a set, in order.
#[inline(always)]
pub(super) fn slots_of(set: SlotSet) -> impl Iterator<Item = u8> {
    let mut rest = set;
    std::iter::from_fn(move || {
        let slot = rest.trailing_zeros() as u8;
        rest &= rest.checked_sub(1)?;
        Some(slot)
    })
}

/// What a missing value in `slot` leaves of each plane, a tree a lane.
fn blank<L: Lanes>(trees: &[Tree], planes: usize, slot: u8) -> Vec<L::Bytes> {
    let mut left = vec![L::bytes(0xff); planes];
    for (lane, tree) in trees.iter().enumerate() {
        let questions = tree.planes.iter().flatten();
        for question in questions.filter(|question| question.fails_blank && question.test.slot == slot) {
            for (plane, left) in left.iter_mut().enumerate() {
                if let Some(left) = left.as_mut().get_mut(lane) {
                    *left &= question.mask(plane);
                }
            }
        }
    }
    left
}

/// For each plane the reach of each of its steps, long ones first: what the tree with the longest needs.
fn reaches(trees: &[Tree], planes: usize) -> Vec<Vec<usize>> {
    let mut reaches: Vec<Vec<usize>> = vec![Vec::new(); planes];
    for tree in trees {
        for (reaches, questions) in reaches.iter_mut().zip(&tree.planes) {
            for (at, question) in questions.iter().enumerate() {
                match reaches.get_mut(at) {
                    Some(reach) => *reach = question.reach().max(*reach),
                    None => reaches.push(question.reach()),
                }
            }
        }
    }
    // Trees of one leaf ask nothing; one step that always holds spares the scorer that case.
    if let (true, Some(first)) = (reaches.iter().all(Vec::is_empty), reaches.first_mut()) {
        first.push(0);
    }
    reaches
}

/// The vectors of one group, a tree a lane.
fn lay_out<L: Lanes>(trees: &[Tree], reaches: &[Vec<usize>], vectors: &mut Vec<L::Bytes>) {
    for (plane, reaches) in reaches.iter().enumerate() {
        for (at, reach) in reaches.iter().enumerate() {
            let (mut slots, mut keys) = (L::bytes(0), L::bytes(ALWAYS));
            let mut masks = vec![L::bytes(0xff); reach + 1];
            let lanes = slots.as_mut().iter_mut().zip(keys.as_mut()).enumerate();
            for ((lane, (slot, key)), tree) in lanes.zip(trees) {
                let Some(question) = tree.planes.get(plane).and_then(|questions| questions.get(at)) else {
                    continue;
                };
                (*slot, *key) = (question.test.slot, question.test.key);
                for (below, mask) in masks.iter_mut().enumerate() {
                    if let Some(mask) = mask.as_mut().get_mut(lane) {
                        *mask = question.mask(plane - below);
                    }
                }
            }
            vectors.extend([slots, keys]);
            vectors.append(&mut masks);
        }
    }
}

/// Visits the leaves of one tree from left to right.
struct Visitor<'a> {
    ensemble: &'a Ensemble,
    thresholds: &'a Thresholds,
    leaves: &'a mut Leaves,
    /// What each leaf is worth.
    values: &'a mut [f32],
    tree: Tree,
}

impl Visitor<'_> {
    /// Visits what is below node `at`, whose first leaf has the number `first`; gives the number after its
    /// last one. Ends at the latest when there are more leaves than places, and recurses no deeper than
    /// that: a node on the way down has a leaf of its own to the left or to the right.
    fn visit(&mut self, at: u32, first: usize) -> Option<usize> {
        let node = self.ensemble.nodes.get(at as usize)?;
        if let Node::Leaf { first: weights, count } = *node {
            *self.values.get_mut(first)? = self.leaves.add(self.ensemble, weights, count)?;
            return Some(first + 1);
        }
        let condition = Condition::of(node)?;
        let test = self.thresholds.test(&condition)?;
        let middle = self.visit(condition.low, first)?;
        let question = Question { test, fails_blank: !condition.nan_is_low, first, last: middle - 1 };
        self.tree.planes.get_mut(question.last / PLANE)?.push(question);
        self.visit(condition.high, middle)
    }
}
