//! Tree ensembles made of arbitrary bytes, and what the definition of the operator makes of a row: the judge of
//! every kernel.

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use tract_onnx::pb::{AttributeProto, ModelProto};

use crate::build::{
    byte_tensor, floats, int, ints, model_of, node, string, strings, tensor, tensor_attribute,
};

/// Comparisons, by the numbers that version 5 gives them.
const MODES: [&str; 6] = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

/// Aggregates, by the numbers that version 5 gives them.
const AGGREGATES: [&str; 4] = ["AVERAGE", "SUM", "MIN", "MAX"];

/// A node of a tree; the root is the first.
#[derive(Debug, Clone)]
enum Node {
    Branch { mode: usize, feature: usize, threshold: f32, missing: bool, children: [usize; 2] },
    Leaf(Vec<(usize, f32)>),
}

/// An ensemble and rows for it.
#[derive(Debug)]
pub struct Case {
    /// Features of a row.
    pub features: usize,
    /// Row after row.
    pub rows: Vec<f32>,
    targets: usize,
    aggregate: usize,
    base_values: Vec<f32>,
    trees: Vec<Vec<Node>>,
    /// Written as version 5 does it.
    five: bool,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Case> {
        let features = *u.choose(&[1, 3, 4, 8, 52, 64, 65, 300])?;
        let five = u.ratio(1, 4)?;
        let targets = *u.choose(&[1, 1, 1, 2, 3])?;
        let aggregate = *u.choose(&[1, 1, 1, 0, 2, 3])?;
        let base_values = if u.arbitrary()? { vec![weight(u)?; targets] } else { vec![] };
        // A few thresholds that many nodes share, or as many as there are nodes.
        let palette = (0..u.int_in_range(1..=24)?).map(|_| number(u)).collect::<Result<Vec<f32>>>()?;
        let shape = Shape {
            features,
            targets,
            one_weight: five || u.arbitrary()?,
            modes: if u.arbitrary()? { vec![*u.choose(&[0, 0, 1, 2, 3, 4, 5])?] } else { (0..6).collect() },
            missing: u.arbitrary()?,
            equal_missing: u.arbitrary()?,
            palette,
        };
        let mut trees = Vec::new();
        for _ in 0..u.int_in_range(1..=24)? {
            trees.push(shape.tree(u)?);
        }
        // Kernels work on groups of trees: so many of them, without spending bytes on each.
        let copies = *u.choose(&[1, 1, 1, 2, 5, 13])?;
        let mut trees: Vec<Vec<Node>> = trees.iter().cycle().take(trees.len() * copies).cloned().collect();
        if !five && !base_values.is_empty() {
            // A base value asks for a weight on every way.
            trees.push(vec![Node::Leaf((0..targets).map(|target| (target, 0.25)).collect())]);
        }
        let mut rows = Vec::new();
        for _ in 0..features * u.int_in_range(1..=4)? {
            rows.push(shape.cell(u)?);
        }
        Ok(Case { features, rows, targets, aggregate, base_values, trees, five })
    }
}

/// What the trees of a case have in common.
struct Shape {
    features: usize,
    targets: usize,
    one_weight: bool,
    modes: Vec<usize>,
    missing: bool,
    /// Equality tests in a row are one set to ONNX, so they share their way for what is missing.
    equal_missing: bool,
    palette: Vec<f32>,
}

impl Shape {
    fn tree(&self, u: &mut Unstructured) -> Result<Vec<Node>> {
        let mut nodes = vec![self.leaf(u)?];
        let deep = u.ratio(1, 8)?;
        for _ in 0..*u.choose(&[0, 1, 2, 3, 7, 15, 30, 31, 32, 40, 63, 64, 90])? {
            if u.is_empty() {
                break;
            }
            let leaves =
                || nodes.iter().enumerate().filter(|(_, n)| matches!(n, Node::Leaf(_))).map(|(at, _)| at);
            let chosen = if deep { 0 } else { u.int_in_range(0..=leaves().count() - 1)? };
            let at = if deep { leaves().last() } else { leaves().nth(chosen) }.unwrap_or(0);
            let children = [nodes.len(), nodes.len() + 1];
            let mode = *u.choose(&self.modes)?;
            let missing = if mode == 4 { self.equal_missing } else { self.missing && u.arbitrary()? };
            let feature = u.int_in_range(0..=self.features - 1)?;
            let threshold = if u.ratio(1, 16)? { number(u)? } else { *u.choose(&self.palette)? };
            nodes[at] = Node::Branch { mode, feature, threshold, missing, children };
            for _ in 0..2 {
                nodes.push(self.leaf(u)?);
            }
        }
        Ok(nodes)
    }

    fn leaf(&self, u: &mut Unstructured) -> Result<Node> {
        let count = if self.one_weight { 1 } else { u.int_in_range(0..=2)? };
        let pair = |u: &mut Unstructured| Ok((u.int_in_range(0..=self.targets - 1)?, weight(u)?));
        // A single target wants exactly one weight a leaf.
        let count = if self.targets == 1 { 1 } else { count };
        Ok(Node::Leaf((0..count).map(|_| pair(u)).collect::<Result<_>>()?))
    }

    /// A value at, just below or just above a threshold, or a special one.
    fn cell(&self, u: &mut Unstructured) -> Result<f32> {
        let threshold = *u.choose(&self.palette)?;
        Ok(match u.int_in_range(0..=4)? {
            0 => threshold,
            1 => threshold.next_up(),
            2 => threshold.next_down(),
            3 => f32::NAN,
            _ => number(u)?,
        })
    }
}

/// Any number, more often one of those at which programs are wrong.
fn number(u: &mut Unstructured) -> Result<f32> {
    const SPECIAL: [f32; 8] =
        [0.0, -0.0, 1e-45, -1e-45, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NEG_INFINITY];
    let kind: u8 = u.arbitrary()?;
    Ok(match kind {
        0..=63 => SPECIAL[usize::from(kind % 8)],
        64..=191 => f32::from(i16::from(kind) - 128) / 8.0,
        _ => f32::arbitrary(u)?,
    })
}

/// Weights and base values are finite.
fn weight(u: &mut Unstructured) -> Result<f32> {
    let weight = number(u)?;
    Ok(if weight.is_finite() { weight } else { 1.5 })
}

impl Case {
    /// The ensemble as a model.
    pub fn model(&self) -> ModelProto {
        let (operator, version, attributes) = if self.five {
            ("TreeEnsemble", 5, self.version_5())
        } else {
            ("TreeEnsembleRegressor", 3, self.version_3())
        };
        model_of(self.features, version, vec![], vec![node(operator, &["X"], &["Y"], attributes)])
    }

    fn version_3(&self) -> Vec<AttributeProto> {
        let (mut nodes, mut modes, mut values) = (Vec::<[i64; 6]>::new(), Vec::new(), Vec::new());
        let (mut targets, mut weights) = (Vec::<[i64; 3]>::new(), Vec::new());
        for (tree, source) in self.trees.iter().enumerate() {
            let tree = tree as i64;
            // Sparse ids, in any order but that the root is first.
            let id = |at: usize| 3 * at as i64 + 2;
            let (root, others) = source.split_at(1);
            for (at, node) in root
                .iter()
                .enumerate()
                .chain(others.iter().enumerate().map(|(at, node)| (at + 1, node)).rev())
            {
                match node {
                    Node::Branch { mode, feature, threshold, missing, children } => {
                        let [yes, no] = children.map(id);
                        nodes.push([tree, id(at), *feature as i64, yes, no, i64::from(*missing)]);
                        modes.push(MODES[*mode]);
                        values.push(*threshold);
                    }
                    Node::Leaf(leaf) => {
                        nodes.push([tree, id(at), 0, 0, 0, 0]);
                        modes.push("LEAF");
                        values.push(0.0);
                        for (target, weight) in leaf {
                            targets.push([tree, id(at), *target as i64]);
                            weights.push(*weight);
                        }
                    }
                }
            }
        }
        let column =
            |name: &str, at: usize| ints(name, &nodes.iter().map(|node| node[at]).collect::<Vec<i64>>());
        let target = |name: &str, at: usize| ints(name, &targets.iter().map(|t| t[at]).collect::<Vec<i64>>());
        let mut attributes = vec![
            int("n_targets", self.targets as i64),
            string("aggregate_function", AGGREGATES[self.aggregate]),
            column("nodes_treeids", 0),
            column("nodes_nodeids", 1),
            column("nodes_featureids", 2),
            column("nodes_truenodeids", 3),
            column("nodes_falsenodeids", 4),
            column("nodes_missing_value_tracks_true", 5),
            strings("nodes_modes", &modes),
            floats("nodes_values", &values),
            target("target_treeids", 0),
            target("target_nodeids", 1),
            target("target_ids", 2),
            floats("target_weights", &weights),
        ];
        if !self.base_values.is_empty() {
            attributes.push(floats("base_values", &self.base_values));
        }
        attributes
    }

    /// One array of branches, one of leaves; a tree that is a leaf becomes a branch to it both ways.
    fn version_5(&self) -> Vec<AttributeProto> {
        let mut roots = Vec::new();
        let (mut nodes, mut modes, mut splits) = (Vec::<[i64; 6]>::new(), Vec::new(), Vec::new());
        let (mut targets, mut weights) = (Vec::new(), Vec::new());
        for tree in &self.trees {
            roots.push(nodes.len() as i64);
            // Where each node of the tree goes: its index among branches or leaves, and whether it is a leaf.
            let (mut branch, mut leaf) = (nodes.len() as i64, targets.len() as i64);
            let mut places = Vec::new();
            for node in tree {
                let next = if matches!(node, Node::Leaf(_)) { &mut leaf } else { &mut branch };
                places.push((*next, i64::from(matches!(node, Node::Leaf(_)))));
                *next += 1;
            }
            for node in tree {
                match node {
                    Node::Branch { mode, feature, threshold, missing, children } => {
                        let [yes, no] = children.map(|at| places[at]);
                        nodes.push([*feature as i64, yes.0, yes.1, no.0, no.1, i64::from(*missing)]);
                        modes.push(*mode as u8);
                        splits.push(*threshold);
                    }
                    Node::Leaf(leaf) => {
                        for (target, weight) in leaf {
                            targets.push(*target as i64);
                            weights.push(*weight);
                        }
                    }
                }
            }
            if let [Node::Leaf(_)] = tree.as_slice() {
                let at = targets.len() as i64 - 1;
                nodes.push([0, at, 1, at, 1, 0]);
                modes.push(0);
                splits.push(0.0);
            }
        }
        let column =
            |name: &str, at: usize| ints(name, &nodes.iter().map(|node| node[at]).collect::<Vec<i64>>());
        let many =
            |name: &str, values: &[f32]| tensor_attribute(name, tensor("", &[values.len() as i64], values));
        vec![
            int("n_targets", self.targets as i64),
            int("aggregate_function", self.aggregate as i64),
            int("post_transform", 0),
            ints("tree_roots", &roots),
            column("nodes_featureids", 0),
            column("nodes_truenodeids", 1),
            column("nodes_trueleafs", 2),
            column("nodes_falsenodeids", 3),
            column("nodes_falseleafs", 4),
            column("nodes_missing_value_tracks_true", 5),
            tensor_attribute("nodes_modes", byte_tensor("", &modes)),
            many("nodes_splits", &splits),
            ints("leaf_targetids", &targets),
            many("leaf_weights", &weights),
        ]
    }

    /// Whether a model of it may be refused: no leaf says anything.
    pub fn is_empty(&self) -> bool {
        self.trees.iter().flatten().all(|node| match node {
            Node::Leaf(weights) => weights.is_empty(),
            Node::Branch { .. } => true,
        })
    }

    /// Outputs a row.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// What the operator's definition and ONNX Runtime's order of operations make of `row`.
    pub fn expected(&self, row: &[f32]) -> Vec<f32> {
        let aggregate = AGGREGATES[self.aggregate];
        let mut scores: Vec<Option<f32>> = vec![None; self.targets];
        for (target, weight) in self.trees.iter().flat_map(|tree| walk(tree, row)) {
            let score = &mut scores[*target];
            *score = Some(match (aggregate, *score) {
                ("MIN", Some(old)) => {
                    if *weight < old {
                        *weight
                    } else {
                        old
                    }
                }
                ("MAX", Some(old)) => {
                    if *weight > old {
                        *weight
                    } else {
                        old
                    }
                }
                ("MIN" | "MAX", None) => *weight,
                (_, old) => old.unwrap_or(0.0) + weight,
            });
        }
        let base_values = if self.five { &[][..] } else { &self.base_values };
        let extreme = matches!(aggregate, "MIN" | "MAX");
        let finish = |(target, score): (usize, Option<f32>)| {
            let mut score = score.unwrap_or(0.0);
            if aggregate == "AVERAGE" {
                score /= self.trees.len() as f32;
            }
            match base_values.get(target) {
                Some(base) => score + base,
                None if self.targets == 1 || extreme => score + 0.0,
                None => score,
            }
        };
        scores.into_iter().enumerate().map(finish).collect()
    }
}

/// The weights that `row` reaches.
fn walk<'a>(tree: &'a [Node], row: &[f32]) -> &'a [(usize, f32)] {
    let mut at = 0;
    loop {
        match &tree[at] {
            Node::Leaf(weights) => return weights,
            Node::Branch { mode, feature, threshold, missing, children } => {
                let x = row[*feature];
                let yes = match MODES[*mode] {
                    "BRANCH_LEQ" => x <= *threshold,
                    "BRANCH_LT" => x < *threshold,
                    "BRANCH_GTE" => x >= *threshold,
                    "BRANCH_GT" => x > *threshold,
                    "BRANCH_EQ" => x == *threshold,
                    _ => x != *threshold,
                };
                at = children[usize::from(!(yes || x.is_nan() && *missing))];
            }
        }
    }
}
