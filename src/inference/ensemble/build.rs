//! From parallel arrays to a validated [`Ensemble`].
//!
//! Where the operator's text leaves a case open, what ONNX Runtime computes is followed; where it
//! computes something nobody can have meant, the model is refused.

use super::super::error::Problems;
use super::super::limits::{MAX_DEPTH, MAX_FEATURES, MAX_NODES, MAX_OUTPUTS, MAX_TREES, MAX_WEIGHTS};
use super::{Aggregate, Attributes, Ensemble, Mode, Node, Number, PostTransform, Weight};

/// Nodes of one tree: a contiguous run of the node arrays.
struct Run {
    tree_id: i64,
    start: usize,
    /// (node id, index), sorted by id.
    ids: Vec<(i64, u32)>,
}

impl Run {
    fn find(&self, node_id: i64) -> Option<u32> {
        let at = self.ids.binary_search_by_key(&node_id, |(id, _)| *id).ok()?;
        self.ids.get(at).map(|(_, index)| *index)
    }
}

impl<T: Number> Attributes<'_, T> {
    /// Checks everything and joins the arrays.
    ///
    /// # Errors
    /// Every problem found in the first group of checks that failed (lengths before contents,
    /// contents before structure: later groups would only repeat the earlier ones' faults).
    pub(crate) fn build(&self) -> Result<Ensemble<T>, Problems> {
        let (aggregate, post_transform, n_targets) = self.check_scalars_and_lengths()?;
        let modes = self.check_nodes()?;
        let runs = self.find_trees()?;
        let mut nodes = self.resolve_children(&modes, &runs)?;
        let shape = measure(&nodes, &runs)?;
        let weights = self.attach_weights(&mut nodes, &runs, n_targets)?;
        let features = nodes.iter().map(|node| match node {
            Node::Branch { feature, .. } => *feature as usize + 1,
            Node::Leaf { .. } => 0,
        });
        Ok(Ensemble {
            min_features: features.max().unwrap_or(0),
            roots: runs.iter().map(|run| run.start as u32).collect(),
            nodes,
            weights,
            n_targets,
            aggregate,
            sets: Vec::new(),
            post_transform,
            classifier: None,
            base_values: self.base_values.to_vec(),
            shared: shape.shared,
            depths: shape.depths,
            max_leaves: shape.max_leaves,
        })
    }

    fn check_scalars_and_lengths(&self) -> Result<(Aggregate, PostTransform, usize), Problems> {
        let mut problems = Problems::default();
        let n_targets = self.n_targets.unwrap_or(1);
        let n = usize::try_from(n_targets).unwrap_or(0);
        if !(1..=MAX_OUTPUTS).contains(&n) {
            problems.push("n_targets", format!("is {n_targets}, must be 1 to {MAX_OUTPUTS}"));
        }
        let aggregate = match &*self.aggregate {
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            other => {
                if other != "SUM" {
                    problems.push(
                        "aggregate_function",
                        format!("is `{other}`, must be SUM, AVERAGE, MIN or MAX"),
                    );
                }
                Aggregate::Sum
            }
        };
        let post_transform = match &*self.post_transform {
            "LOGISTIC" => PostTransform::Logistic,
            "SOFTMAX" => PostTransform::Softmax,
            "SOFTMAX_ZERO" => PostTransform::SoftmaxZero,
            "PROBIT" => PostTransform::Probit,
            other => {
                if other != "NONE" {
                    problems.push(
                        "post_transform",
                        format!("is `{other}`, must be NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT"),
                    );
                }
                PostTransform::None
            }
        };
        if !self.base_values.is_empty() && self.base_values.len() != n {
            problems.push(
                "base_values",
                format!(
                    "has {} values for {n_targets} targets; give none or one each",
                    self.base_values.len()
                ),
            );
        }
        if let Some(at) = self.base_values.iter().position(|v| !v.is_finite()) {
            problems.push(format!("base_values[{at}]"), "is not finite");
        }
        self.check_lengths(&mut problems);
        if problems.is_empty() { Ok((aggregate, post_transform, n)) } else { Err(problems) }
    }

    fn check_lengths(&self, problems: &mut Problems) {
        let n = self.tree_ids.len();
        if n == 0 || n > MAX_NODES {
            problems.push("nodes_treeids", format!("has {n} entries, must be 1 to {MAX_NODES}"));
        }
        for (name, len) in [
            ("nodes_nodeids", self.node_ids.len()),
            ("nodes_featureids", self.feature_ids.len()),
            ("nodes_modes", self.modes.len()),
            ("nodes_values", self.values.len()),
            ("nodes_truenodeids", self.true_ids.len()),
            ("nodes_falsenodeids", self.false_ids.len()),
        ] {
            if len != n {
                problems.push(name, format!("has {len} entries, nodes_treeids has {n}"));
            }
        }
        let missing = self.missing_true.len();
        if missing != 0 && missing != n {
            problems.push(
                "nodes_missing_value_tracks_true",
                format!("has {missing} entries, nodes_treeids has {n}; give none or one each"),
            );
        }
        let w = self.target_weights.len();
        if w == 0 || w > MAX_WEIGHTS {
            problems.push("target_weights", format!("has {w} entries, must be 1 to {MAX_WEIGHTS}"));
        }
        for (name, len) in [
            ("target_treeids", self.target_tree_ids.len()),
            ("target_nodeids", self.target_node_ids.len()),
            ("target_ids", self.target_ids.len()),
        ] {
            if len != w {
                problems.push(name, format!("has {len} entries, target_weights has {w}"));
            }
        }
    }

    /// Modes of all nodes (`None` for a leaf), with the values of each node checked.
    fn check_nodes(&self) -> Result<Vec<Option<Mode>>, Problems> {
        let mut problems = Problems::default();
        let mut modes = Vec::with_capacity(self.modes.len());
        for (i, name) in self.modes.iter().enumerate() {
            let mode = match *name {
                b"BRANCH_LEQ" => Some(Mode::Leq),
                b"BRANCH_LT" => Some(Mode::Lt),
                b"BRANCH_GTE" => Some(Mode::Gte),
                b"BRANCH_GT" => Some(Mode::Gt),
                b"BRANCH_EQ" => Some(Mode::Eq),
                b"BRANCH_NEQ" => Some(Mode::Neq),
                b"LEAF" => None,
                other => {
                    let shown: String = String::from_utf8_lossy(other).chars().take(40).collect();
                    problems.push(
                        format!("nodes_modes[{i}]"),
                        format!(
                            "is `{shown}`, must be BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, BRANCH_GT, \
                             BRANCH_EQ, BRANCH_NEQ or LEAF"
                        ),
                    );
                    None
                }
            };
            modes.push(mode);
        }
        for (i, id) in self.node_ids.iter().enumerate().filter(|(_, id)| **id < 0) {
            problems.push(format!("nodes_nodeids[{i}]"), format!("is {id}, must not be negative"));
        }
        for (i, flag) in self.missing_true.iter().enumerate().filter(|(_, flag)| !matches!(flag, 0 | 1)) {
            problems
                .push(format!("nodes_missing_value_tracks_true[{i}]"), format!("is {flag}, must be 0 or 1"));
        }
        for (i, (feature, value)) in self.feature_ids.iter().zip(self.values.iter()).enumerate() {
            // Feature and value of a leaf mean nothing; exporters put anything there.
            if modes.get(i).is_none_or(Option::is_none) {
                continue;
            }
            if !usize::try_from(*feature).is_ok_and(|feature| feature < MAX_FEATURES) {
                problems.push(
                    format!("nodes_featureids[{i}]"),
                    format!("is {feature}, must be 0 to {}", MAX_FEATURES - 1),
                );
            }
            if value.is_nan() {
                problems.push(format!("nodes_values[{i}]"), "is NaN: no comparison with it can hold");
            }
        }
        if problems.is_empty() { Ok(modes) } else { Err(problems) }
    }

    /// The trees in the order of their first node, which is the order their leaves are added in.
    fn find_trees(&self) -> Result<Vec<Run>, Problems> {
        let mut problems = Problems::default();
        let mut runs: Vec<Run> = Vec::new();
        for (i, (tree_id, node_id)) in self.tree_ids.iter().zip(self.node_ids).enumerate() {
            match runs.last_mut() {
                Some(run) if run.tree_id == *tree_id => run.ids.push((*node_id, i as u32)),
                _ => runs.push(Run { tree_id: *tree_id, start: i, ids: vec![(*node_id, i as u32)] }),
            }
        }
        if runs.len() > MAX_TREES {
            problems.push(
                "nodes_treeids",
                format!("has {} trees, at most {MAX_TREES} are supported", runs.len()),
            );
        }
        let mut starts: Vec<(i64, usize)> = runs.iter().map(|run| (run.tree_id, run.start)).collect();
        starts.sort_unstable();
        for pair in starts.windows(2) {
            if let [(first, _), (second, at)] = pair
                && first == second
            {
                problems.push(
                    format!("nodes_treeids[{at}]"),
                    format!("returns to tree {second} after another tree; list each tree's nodes together"),
                );
            }
        }
        for run in &mut runs {
            run.ids.sort_unstable();
            for pair in run.ids.windows(2) {
                if let [(first, _), (second, at)] = pair
                    && first == second
                {
                    problems.push(
                        format!("nodes_nodeids[{at}]"),
                        format!("repeats node {second} of tree {}", run.tree_id),
                    );
                }
            }
        }
        if problems.is_empty() { Ok(runs) } else { Err(problems) }
    }

    fn resolve_children(&self, modes: &[Option<Mode>], runs: &[Run]) -> Result<Vec<Node<T>>, Problems> {
        let mut problems = Problems::default();
        let mut nodes = Vec::with_capacity(modes.len());
        let missing = self.missing_true.iter().map(|flag| *flag == 1).chain(std::iter::repeat(false));
        let branches =
            self.feature_ids.iter().zip(self.values.iter()).zip(self.true_ids.iter().zip(self.false_ids));
        let mut rest = modes.iter().zip(branches).zip(missing).enumerate();
        for run in runs {
            for (i, ((mode, ((feature, value), (true_id, false_id))), missing_true)) in
                rest.by_ref().take(run.ids.len())
            {
                let Some(mode) = *mode else {
                    nodes.push(Node::Leaf { first: 0, count: 0 });
                    continue;
                };
                let mut child = |attribute: &str, id: i64| {
                    run.find(id).unwrap_or_else(|| {
                        let reason = format!("is {id}: tree {} has no such node", run.tree_id);
                        problems.push(format!("{attribute}[{i}]"), reason);
                        0
                    })
                };
                let on_true = child("nodes_truenodeids", *true_id);
                let on_false = child("nodes_falsenodeids", *false_id);
                nodes.push(Node::Branch {
                    mode,
                    feature: *feature as u32,
                    threshold: *value,
                    missing_true,
                    on_true,
                    on_false,
                });
            }
        }
        if problems.is_empty() {
            check_equality_chains(&nodes, &mut problems);
        }
        if problems.is_empty() { Ok(nodes) } else { Err(problems) }
    }

    /// Gives each leaf its weights, in the order of the file.
    fn attach_weights(
        &self,
        nodes: &mut [Node<T>],
        runs: &[Run],
        n_targets: usize,
    ) -> Result<Vec<Weight<T>>, Problems> {
        let mut problems = Problems::default();
        let mut by_id: Vec<&Run> = runs.iter().collect();
        by_id.sort_unstable_by_key(|run| run.tree_id);
        let positions = self.target_tree_ids.iter().zip(self.target_node_ids);
        let values = self.target_ids.iter().zip(self.target_weights.iter());
        let mut placed: Vec<(u32, Weight<T>)> = Vec::with_capacity(self.target_weights.len());
        for (i, ((tree, node), (target, value))) in positions.zip(values).enumerate() {
            let run = by_id.binary_search_by_key(tree, |run| run.tree_id).ok().and_then(|at| by_id.get(at));
            let Some(run) = run else {
                problems.push(format!("target_treeids[{i}]"), format!("is {tree}: there is no such tree"));
                continue;
            };
            let Some(index) = run.find(*node) else {
                let reason = format!("is {node}: tree {tree} has no such node");
                problems.push(format!("target_nodeids[{i}]"), reason);
                continue;
            };
            if !usize::try_from(*target).is_ok_and(|target| target < n_targets) {
                problems
                    .push(format!("target_ids[{i}]"), format!("is {target}, must be 0 to {}", n_targets - 1));
            } else if !value.is_finite() {
                problems.push(format!("target_weights[{i}]"), format!("is {value}, must be finite"));
            } else if matches!(nodes.get(index as usize), Some(Node::Leaf { .. })) {
                // Weights of inner nodes, written by some old exporters, take no part in a prediction.
                placed.push((index, Weight { target: *target as u32, value: *value }));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        // Stable: several weights of one leaf stay in the order of the file.
        placed.sort_by_key(|(index, _)| *index);
        let mut next = 0;
        for (i, node) in nodes.iter_mut().enumerate() {
            let Node::Leaf { first, count } = node else { continue };
            let own =
                placed.get(next..).unwrap_or_default().iter().take_while(|(at, _)| *at as usize == i).count();
            (*first, *count) = (next as u32, own as u32);
            next += own;
            if n_targets == 1 && own != 1 {
                problems.push(
                    format!("nodes_nodeids[{i}]"),
                    format!("is a leaf with {own} weights; with one target each leaf must have exactly one"),
                );
            }
        }
        if problems.is_empty() {
            Ok(placed.into_iter().map(|(_, weight)| weight).collect())
        } else {
            Err(problems)
        }
    }
}

/// Exporters write "x is one of 3, 5, 7" as a chain of equality tests with a common true child. There
/// a NaN flag that differs within the chain means different things to different runtimes.
fn check_equality_chains<T: Number>(nodes: &[Node<T>], problems: &mut Problems) {
    for (i, node) in nodes.iter().enumerate() {
        let &Node::Branch { mode: Mode::Eq, feature, missing_true, on_true, on_false, .. } = node else {
            continue;
        };
        if let Some(&Node::Branch { mode: Mode::Eq, feature: f, missing_true: m, on_true: t, .. }) =
            nodes.get(on_false as usize)
            && (f, t) == (feature, on_true)
            && m != missing_true
        {
            problems.push(
                format!("nodes_missing_value_tracks_true[{i}]"),
                "differs from the next BRANCH_EQ test of the same feature with the same true child; \
                 give the whole chain one value",
            );
        }
    }
}

struct Shape {
    shared: bool,
    depths: Vec<u32>,
    max_leaves: usize,
}

/// Walks every tree from its root: no cycle, no unreachable node, no path beyond [`MAX_DEPTH`].
fn measure<T: Number>(nodes: &[Node<T>], runs: &[Run]) -> Result<Shape, Problems> {
    let mut problems = Problems::default();
    let mut shape = Shape { shared: false, depths: Vec::with_capacity(runs.len()), max_leaves: 0 };
    let mut heights: Vec<Height> = vec![Height::Unseen; nodes.len()];
    for run in runs {
        match measure_tree(nodes, run.start, &mut heights, &mut shape.shared) {
            Ok(depth) if depth as usize > MAX_DEPTH => problems.push(
                format!("nodes_treeids[{}]", run.start),
                format!("tree {} is {depth} branches deep, at most {MAX_DEPTH} are supported", run.tree_id),
            ),
            Ok(depth) => shape.depths.push(depth),
            Err(at) => {
                let reason = format!("is its own ancestor: tree {} has a cycle", run.tree_id);
                problems.push(format!("nodes_nodeids[{at}]"), reason);
                continue;
            }
        }
        let own = run.start..run.start + run.ids.len();
        let orphan = own.clone().find(|i| matches!(heights.get(*i), Some(Height::Unseen)));
        if let Some(orphan) = orphan {
            problems.push(
                format!("nodes_nodeids[{orphan}]"),
                format!(
                    "cannot be reached from node {}, the first of tree {}; list each tree's root first",
                    run.start, run.tree_id
                ),
            );
        }
        let leaves = nodes.get(own).unwrap_or_default().iter().filter(|n| matches!(n, Node::Leaf { .. }));
        shape.max_leaves = shape.max_leaves.max(leaves.count());
    }
    if problems.is_empty() { Ok(shape) } else { Err(problems) }
}

#[derive(Clone, Copy, PartialEq)]
enum Height {
    Unseen,
    /// On the path that is being walked: meeting it again is a cycle.
    Open,
    /// Branches on the longest path below.
    Known(u32),
}

/// Depth-first with an explicit stack: a file must not be able to exhaust the thread's stack.
/// Gives the height of the tree, or the index of a node on a cycle.
fn measure_tree<T: Number>(
    nodes: &[Node<T>],
    root: usize,
    heights: &mut [Height],
    shared: &mut bool,
) -> Result<u32, usize> {
    let children = |i: usize| match nodes.get(i) {
        Some(Node::Branch { on_true, on_false, .. }) => Some([*on_true as usize, *on_false as usize]),
        _ => None,
    };
    let height = |heights: &[Height], i: usize| heights.get(i).copied().unwrap_or(Height::Unseen);
    // (node, its children already visited)
    let mut stack = vec![(root, false)];
    while let Some((i, done)) = stack.pop() {
        let Some(slot) = heights.get_mut(i) else { continue };
        let below = children(i);
        match (*slot, below) {
            (Height::Known(_), _) => *shared = true,
            (Height::Open, Some(below)) if done => {
                let known = below.map(|c| match height(heights, c) {
                    Height::Known(h) => h,
                    _ => 0,
                });
                if let Some(slot) = heights.get_mut(i) {
                    *slot = Height::Known(1 + known.into_iter().max().unwrap_or(0));
                }
            }
            (Height::Open, _) => return Err(i),
            (Height::Unseen, None) => *slot = Height::Known(0),
            (Height::Unseen, Some(below)) => {
                *slot = Height::Open;
                stack.push((i, true));
                stack.extend(below.map(|c| (c, false)));
            }
        }
    }
    match height(heights, root) {
        Height::Known(h) => Ok(h),
        _ => Err(root),
    }
}
