//! From the parallel arrays of ai.onnx.ml 1 and 3 to a validated [`Ensemble`].
//!
//! Where the operator's text leaves a case open, what ONNX Runtime computes is followed; where it
//! computes something nobody can have meant, the model is refused.

use super::super::error::Problems;
use super::super::limits::{MAX_DEPTH, MAX_NODES, MAX_TREES};
use super::attributes::{Attributes, Kind};
use super::layout::{Draft, Fault, Laid};
use super::weights::check_base_values;
use super::{Ensemble, Mode, Node, Number};

/// Nodes of one tree: a contiguous run of the node arrays.
pub(super) struct Run {
    pub(super) tree_id: i64,
    start: usize,
    /// (node id, index), sorted by id.
    ids: Vec<(i64, u32)>,
}

impl Run {
    pub(super) fn find(&self, node_id: i64) -> Option<u32> {
        // Most exporters number the nodes of a tree from 0 without gaps.
        let guess = usize::try_from(node_id).ok().and_then(|at| self.ids.get(at));
        if let Some((id, index)) = guess
            && *id == node_id
        {
            return Some(*index);
        }
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
        let mut whole = self.check_scalars_and_lengths()?;
        let modes = self.check_nodes()?;
        let runs = self.find_trees()?;
        let mut nodes = self.resolve_children(&modes, &runs)?;
        let weights = self.attach_weights(&mut nodes, &runs, &whole)?;
        let roots = runs.iter().map(|run| run.start as u32).collect();
        let draft = Draft { nodes, weights, sets: Vec::new(), roots };
        let laid = lay_out(&draft, &runs)?;
        if self.kind == Kind::Classifier {
            whole.classifier = Some(self.classifier(&whole, &laid)?);
        } else {
            check_base_values(&whole, &laid)?;
        }
        Ok(laid.ensemble(draft.sets, whole))
    }

    /// The trees in the order of their first node, which is the order their leaves are added in.
    fn find_trees(&self) -> Result<Vec<Run>, Problems> {
        let mut problems = Problems::default();
        let mut runs: Vec<Run> = Vec::new();
        for (i, (tree_id, node_id)) in self.tree_ids.iter().zip(self.node_ids.iter()).enumerate() {
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
        let branches = self
            .feature_ids
            .iter()
            .zip(self.values.iter())
            .zip(self.true_ids.iter().zip(self.false_ids.iter()));
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
                let feature = *feature as u32;
                let (mode, threshold, missing_true) = comparable(mode, *value, missing_true);
                nodes.push(Node::Branch { mode, feature, threshold, missing_true, on_true, on_false });
            }
        }
        if problems.is_empty() {
            check_equality_chains(&nodes, &mut problems);
        }
        if problems.is_empty() { Ok(nodes) } else { Err(problems) }
    }
}

/// A comparison with NaN holds for no number, except `!=`, which holds for all; brought to a form with
/// a threshold that can be ordered.
pub(super) fn comparable<T: Number>(mode: Mode, threshold: T, missing_true: bool) -> (Mode, T, bool) {
    let lowest = T::from(f32::NEG_INFINITY);
    match mode {
        _ if !threshold.is_nan() => (mode, threshold, missing_true),
        Mode::Neq => (Mode::Gte, lowest, true),
        _ => (Mode::Lt, lowest, missing_true),
    }
}

/// The trees in one table, each complete and below its first node.
fn lay_out<T: Number>(draft: &Draft<T>, runs: &[Run]) -> Result<Laid<T>, Problems> {
    let mut problems = Problems::default();
    let laid = draft.lay_out(|tree, fault| {
        let Some(Run { tree_id, start, .. }) = runs.get(tree) else { return };
        match fault {
            Fault::Cycle(at) => problems.push(
                format!("nodes_nodeids[{at}]"),
                format!("is its own ancestor: tree {tree_id} has a cycle"),
            ),
            Fault::Depth(depth) => problems.push(
                format!("nodes_treeids[{start}]"),
                format!("tree {tree_id} is {depth} branches deep, at most {MAX_DEPTH} are supported"),
            ),
            Fault::Size => {
                problems.push("nodes_treeids", format!("has more than {MAX_NODES} nodes"));
            }
        }
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    // Nodes that pruning has cut off are left out. But where one of them could be the root, the first
    // node is not, and ONNX Runtime, which takes the first for it, computes something nobody meant.
    for run in runs {
        let alone = matches!(draft.nodes.get(run.start), Some(Node::Leaf { .. }));
        let above = (run.start..run.start + run.ids.len()).find(|i| {
            let cut_off = !laid.reached.get(*i).copied().unwrap_or(true);
            cut_off
                && matches!(draft.nodes.get(*i), Some(Node::Branch { on_true, on_false, .. })
                    if alone || [on_true, on_false].contains(&&(run.start as u32)))
        });
        if let Some(above) = above {
            problems.push(
                format!("nodes_nodeids[{above}]"),
                format!(
                    "cannot be reached from node {}, the first of tree {}; list each tree's root first",
                    run.start, run.tree_id
                ),
            );
        }
    }
    if problems.is_empty() { Ok(laid) } else { Err(problems) }
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
