//! Random ensembles of version 5: membership tests, one weight a leaf.

use proptest::prelude::*;

use super::super::ensemble::{AttributesFive, Ensemble};
use super::super::error::Problems;
use super::{FEATURES, MODES, Tree, threshold};

/// The mode of version 5 beside [`MODES`]; its threshold is an index into [`SETS`].
pub(in super::super) const MEMBER: &str = "BRANCH_MEMBER";

/// The sets of the random membership tests.
pub(in super::super) const SETS: [&[f32]; 4] =
    [&[0.0], &[1.0, -1.5, 0.1], &[f32::INFINITY, 1e-45, 2.0], &[f32::MIN, 1.0, 0.0, f32::MAX]];

/// The arrays of a `TreeEnsemble`, to be filled from trees or spoilt by hand.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Five {
    pub(in super::super) n_targets: i64,
    pub(in super::super) aggregate: i64,
    pub(in super::super) post_transform: i64,
    pub(in super::super) roots: Vec<i64>,
    pub(in super::super) modes: Vec<u8>,
    pub(in super::super) splits: Vec<f32>,
    /// feature, true child, whether a leaf, false child, whether a leaf, missing
    pub(in super::super) nodes: Vec<[i64; 6]>,
    pub(in super::super) members: Vec<f32>,
    pub(in super::super) targets: Vec<i64>,
    pub(in super::super) weights: Vec<f32>,
}

impl Five {
    /// `aggregate` by its number: AVERAGE, SUM, MIN, MAX.
    pub(in super::super) fn new(n_targets: usize, aggregate: i64, trees: &[Tree]) -> Five {
        let mut five = Five { n_targets: n_targets as i64, aggregate, ..Five::default() };
        for tree in trees {
            let root = five.nodes.len() as i64;
            five.roots.push(root);
            if let Tree::Leaf(_) = tree {
                let (leaf, _) = five.push(tree);
                five.add(0, 0.0, [0, leaf, 1, leaf, 1, 0]);
            } else {
                five.push(tree);
            }
        }
        five
    }

    fn add(&mut self, mode: u8, split: f32, node: [i64; 6]) {
        self.modes.push(mode);
        self.splits.push(split);
        self.nodes.push(node);
    }

    fn push(&mut self, tree: &Tree) -> (i64, i64) {
        match tree {
            Tree::Leaf(weights) => {
                let (target, weight) = weights[0];
                self.targets.push(target as i64);
                self.weights.push(weight);
                (self.targets.len() as i64 - 1, 1)
            }
            Tree::Branch { mode, feature, threshold, missing, children } => {
                let at = self.nodes.len();
                let number = MODES.iter().position(|m| m == mode).unwrap_or(MODES.len()) as u8;
                let split = if *mode == MEMBER { 0.0 } else { *threshold };
                if *mode == MEMBER {
                    self.members.extend(SETS[*threshold as usize]);
                    self.members.push(f32::NAN);
                }
                self.add(number, split, [*feature, 0, 0, 0, 0, i64::from(*missing)]);
                for (slot, child) in children.iter().enumerate() {
                    let (id, leaf) = self.push(child);
                    self.nodes[at][1 + 2 * slot..3 + 2 * slot].copy_from_slice(&[id, leaf]);
                }
                (at as i64, 0)
            }
        }
    }

    pub(in super::super) fn build(&self) -> Result<Ensemble, Problems> {
        let column = |at: usize| self.nodes.iter().map(|node| node[at]).collect();
        let [features, yes, yes_leafs, no, no_leafs, missing]: [Vec<i64>; 6] = std::array::from_fn(column);
        let attributes = AttributesFive {
            n_targets: Some(self.n_targets),
            aggregate: self.aggregate,
            post_transform: self.post_transform,
            roots: (&*self.roots).into(),
            feature_ids: features.into(),
            modes: (&*self.modes).into(),
            splits: (&*self.splits).into(),
            true_ids: yes.into(),
            true_leafs: yes_leafs.into(),
            false_ids: no.into(),
            false_leafs: no_leafs.into(),
            missing_true: missing.into(),
            members: (&*self.members).into(),
            leaf_targets: (&*self.targets).into(),
            leaf_weights: (&*self.weights).into(),
        };
        attributes.build()
    }
}

/// Trees of every mode, NaN thresholds included, up to three targets.
pub(in super::super) fn trees_of_five() -> impl Strategy<Value = (usize, Vec<Tree>)> {
    (1..=3_usize).prop_flat_map(|targets| {
        let leaf = (0..targets, -1e3_f32..1e3).prop_map(|weight| Tree::Leaf(vec![weight]));
        let test = prop_oneof![
            3 => (prop::sample::select(&MODES[..]), prop_oneof![9 => threshold(), 1 => Just(f32::NAN)]),
            2 => (Just(MEMBER), (0..SETS.len()).prop_map(|set| set as f32)),
        ];
        let tree = leaf.prop_recursive(6, 40, 2, move |inner| {
            (test.clone(), 0..FEATURES, any::<bool>(), [inner.clone(), inner].prop_map(Box::new)).prop_map(
                |((mode, threshold), feature, missing, children)| Tree::Branch {
                    mode,
                    feature,
                    threshold,
                    missing,
                    children,
                },
            )
        });
        (Just(targets), prop::collection::vec(tree, 1..30))
    })
}
