//! Random tree ensembles for tests, and the ONNX files that hold them.

mod five;
#[cfg(feature = "onnx")]
mod onnx;

use proptest::prelude::*;

use super::ensemble::{Attributes, Ensemble, Kind};
use super::error::Problems;
pub(super) use five::*;
#[cfg(feature = "onnx")]
pub(super) use onnx::*;

/// A tree as a test thinks of it.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Leaf(Vec<(usize, f32)>),
    Branch { mode: &'static str, feature: i64, threshold: f32, missing: bool, children: Box<[Tree; 2]> },
}

pub(super) fn leaf(weight: f32) -> Tree {
    Tree::Leaf(vec![(0, weight)])
}

pub(super) fn branch(mode: &'static str, feature: i64, threshold: f32, yes: Tree, no: Tree) -> Tree {
    Tree::Branch { mode, feature, threshold, missing: false, children: Box::new([yes, no]) }
}

impl Tree {
    /// The weights `row` reaches, read off the definition of the operator.
    pub(super) fn evaluate(&self, row: &[f32]) -> &[(usize, f32)] {
        match self {
            Tree::Leaf(weights) => weights,
            Tree::Branch { mode, feature, threshold, missing, children } => {
                let x = row[*feature as usize];
                let yes = match *mode {
                    "BRANCH_LEQ" => x <= *threshold,
                    "BRANCH_LT" => x < *threshold,
                    "BRANCH_GTE" => x >= *threshold,
                    "BRANCH_GT" => x > *threshold,
                    "BRANCH_EQ" => x == *threshold,
                    MEMBER => SETS[*threshold as usize].contains(&x),
                    _ => x != *threshold,
                };
                children[usize::from(!(yes || x.is_nan() && *missing))].evaluate(row)
            }
        }
    }
}

/// The arrays of a `TreeEnsembleRegressor` or `TreeEnsembleClassifier`, to be filled from trees or spoilt by hand.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrays {
    pub(super) kind: Kind,
    /// Targets, or classes.
    pub(super) n_targets: i64,
    pub(super) aggregate: String,
    pub(super) post_transform: String,
    pub(super) base_values: Vec<f32>,
    /// tree, node, feature, true child, false child, missing
    pub(super) nodes: Vec<[i64; 6]>,
    pub(super) modes: Vec<&'static str>,
    pub(super) values: Vec<f32>,
    /// tree, node, target
    pub(super) targets: Vec<[i64; 3]>,
    pub(super) weights: Vec<f32>,
}

impl Arrays {
    pub(super) fn new(n_targets: usize, aggregate: &str, base_values: &[f32], trees: &[Tree]) -> Arrays {
        let mut arrays = Arrays {
            n_targets: n_targets as i64,
            aggregate: aggregate.to_owned(),
            post_transform: "NONE".to_owned(),
            base_values: base_values.to_vec(),
            ..Arrays::default()
        };
        for (id, tree) in trees.iter().enumerate() {
            arrays.push(id as i64, &mut 0, tree);
        }
        arrays
    }

    fn push(&mut self, tree: i64, next: &mut i64, source: &Tree) -> i64 {
        let id = *next;
        *next += 1;
        match source {
            Tree::Leaf(weights) => {
                self.nodes.push([tree, id, 0, 0, 0, 0]);
                self.modes.push("LEAF");
                self.values.push(0.0);
                for (target, weight) in weights {
                    self.targets.push([tree, id, *target as i64]);
                    self.weights.push(*weight);
                }
            }
            Tree::Branch { mode, feature, threshold, missing, children } => {
                let at = self.nodes.len();
                self.nodes.push([tree, id, *feature, 0, 0, i64::from(*missing)]);
                self.modes.push(mode);
                self.values.push(*threshold);
                for (slot, child) in children.iter().enumerate() {
                    self.nodes[at][3 + slot] = self.push(tree, next, child);
                }
            }
        }
        id
    }

    /// The validated ensemble, or why there is none.
    pub(super) fn build(&self) -> Result<Ensemble, Problems> {
        let column = |at: usize| self.nodes.iter().map(|node| node[at]).collect();
        let target = |at: usize| self.targets.iter().map(|target| target[at]).collect();
        let [trees, nodes, features, yes, no, missing]: [Vec<i64>; 6] = std::array::from_fn(column);
        let [leaf_trees, leaves, targets]: [Vec<i64>; 3] = std::array::from_fn(target);
        let attributes = Attributes {
            kind: self.kind,
            n_targets: Some(self.n_targets),
            aggregate: (&*self.aggregate).into(),
            post_transform: (&*self.post_transform).into(),
            base_values: (&*self.base_values).into(),
            tree_ids: trees.into(),
            node_ids: nodes.into(),
            feature_ids: features.into(),
            modes: self.modes.iter().map(|mode| mode.as_bytes()).collect(),
            values: (&*self.values).into(),
            true_ids: yes.into(),
            false_ids: no.into(),
            missing_true: missing.into(),
            target_tree_ids: leaf_trees.into(),
            target_node_ids: leaves.into(),
            target_ids: targets.into(),
            target_weights: (&*self.weights).into(),
        };
        attributes.build()
    }
}

/// Features of the random ensembles.
pub(super) const FEATURES: i64 = 4;

pub(super) const MODES: [&str; 6] =
    ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

/// Thresholds of the random ensembles, so few that rows often meet them exactly.
const THRESHOLDS: [f32; 12] = [
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1,
    1e-45,
    -1e-45,
    f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];

fn threshold() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => prop::sample::select(&THRESHOLDS[..]),
        1 => any::<f32>().prop_filter("not NaN", |t| !t.is_nan()),
    ]
}

/// A value at, just below or just above a threshold, or a special one.
fn cell() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => (prop::sample::select(&THRESHOLDS[..]), -1..=1_i8).prop_map(|(t, step)| match step {
            -1 => t.next_down(),
            0 => t,
            _ => t.next_up(),
        }),
        1 => Just(f32::NAN),
        1 => any::<f32>(),
    ]
}

pub(super) fn rows() -> impl Strategy<Value = Vec<Vec<f32>>> {
    prop::collection::vec(prop::collection::vec(cell(), FEATURES as usize), 1..24)
}

/// A random ensemble with its trees: any aggregate, up to three targets, base values or none.
pub(super) fn ensemble(modes: &'static [&'static str]) -> impl Strategy<Value = (Arrays, Vec<Tree>)> {
    (1..=3_usize, 0..3_u8).prop_flat_map(move |(targets, leaves)| {
        let weight = || prop_oneof![-1e3_f32..1e3, Just(-0.0), Just(1e-40), Just(3e38)];
        let weights = match (targets, leaves) {
            (1, _) => weight().prop_map(|w| vec![(0, w)]).boxed(),
            // Several weights a leaf, for any targets, repeated or none at all.
            (_, 0) => prop::collection::vec((0..targets, weight()), 0..4).boxed(),
            // One weight a leaf for any target.
            (_, 1) => (0..targets, weight()).prop_map(|w| vec![w]).boxed(),
            _ => weight().prop_map(|w| vec![(1, w)]).boxed(),
        };
        let tree = weights.prop_map(Tree::Leaf).prop_recursive(6, 40, 2, move |inner| {
            (
                prop::sample::select(modes),
                0..FEATURES,
                threshold(),
                any::<bool>(),
                [inner.clone(), inner].prop_map(Box::new),
            )
                .prop_map(|(mode, feature, threshold, missing, children)| Tree::Branch {
                    mode,
                    feature,
                    threshold,
                    missing,
                    children,
                })
        });
        let aggregate = prop::sample::select(&["SUM", "AVERAGE", "MIN", "MAX"][..]);
        let base = prop_oneof![Just(vec![]), prop::collection::vec(weight(), targets)];
        (Just(targets), aggregate, base, prop::collection::vec(tree, 1..30)).prop_filter_map(
            "at least one weight",
            |(targets, aggregate, base, mut trees)| {
                if targets > 1 && !base.is_empty() {
                    // Base values are for targets that every row meets a weight for.
                    trees.push(Tree::Leaf((0..targets).map(|target| (target, 0.5)).collect()));
                }
                let arrays = Arrays::new(targets, aggregate, &base, &trees);
                (!arrays.weights.is_empty()).then_some((arrays, trees))
            },
        )
    })
}

/// What the operator's definition and ONNX Runtime's order of operations make of `row`.
pub(super) fn expected(arrays: &Arrays, trees: &[Tree], row: &[f32]) -> Vec<f32> {
    let targets = arrays.n_targets as usize;
    let mut scores: Vec<Option<f32>> = vec![None; targets];
    for (target, weight) in trees.iter().flat_map(|tree| tree.evaluate(row)) {
        let score = &mut scores[*target];
        *score = Some(match (arrays.aggregate.as_str(), *score) {
            ("MIN", Some(old)) if *weight < old => *weight,
            ("MAX", Some(old)) if *weight > old => *weight,
            ("MIN" | "MAX", Some(old)) => old,
            ("MIN" | "MAX", None) => *weight,
            (_, old) => old.unwrap_or(0.0) + weight,
        });
    }
    let extreme = matches!(arrays.aggregate.as_str(), "MIN" | "MAX");
    let finish = |(target, score): (usize, Option<f32>)| {
        let mut score = score.unwrap_or(0.0);
        if arrays.aggregate == "AVERAGE" {
            score /= trees.len() as f32;
        }
        match arrays.base_values.get(target) {
            Some(base) => score + base,
            None if targets == 1 || extreme => score + 0.0,
            None => score,
        }
    };
    scores.into_iter().enumerate().map(finish).collect()
}

/// Bits, with every NaN the same: its payload is not part of the result.
pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}
