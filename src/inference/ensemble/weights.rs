//! Which leaf holds which weights, and whether every row meets those it must.

use super::super::error::Problems;
use super::attributes::Attributes;
use super::build::Run;
use super::layout::{Laid, Whole};
use super::{Aggregate, Classifier, Node, Number, PostTransform, Weight};

impl<T: Number> Attributes<'_, T> {
    /// Gives each leaf its weights, in the order of the file.
    pub(super) fn attach_weights(
        &self,
        nodes: &mut [Node<T>],
        runs: &[Run],
        whole: &Whole<T>,
    ) -> Result<Vec<Weight<T>>, Problems> {
        let mut problems = Problems::default();
        let mut placed = self.place_weights(nodes, runs, whole.n_targets)?;
        // Stable: several weights of one leaf stay in the order of the file.
        placed.sort_by_key(|(index, _)| *index);
        let mut rest = placed.into_iter().peekable();
        let mut weights = Vec::with_capacity(rest.len());
        for (i, node) in nodes.iter_mut().enumerate() {
            let Node::Leaf { first, count } = node else { continue };
            let start = weights.len();
            while let Some((_, weight)) = rest.next_if(|(at, _)| *at as usize == i) {
                weights.push(weight);
            }
            if whole.n_targets == 1 && weights.len() != start + 1 {
                match self.lone_weight(i, weights.len() - start, whole.aggregate) {
                    Ok(weight) => weights.push(weight),
                    Err(reason) => problems.push(format!("nodes_nodeids[{i}]"), reason),
                }
            }
            (*first, *count) = (start as u32, (weights.len() - start) as u32);
        }
        if problems.is_empty() { Ok(weights) } else { Err(problems) }
    }

    /// The weight of leaf `i`, which has `found` where there is one target: none where it can be taken
    /// for zero. ONNX Runtime reads one number for such a leaf: the first weight, or, without a weight,
    /// the leaf's entry in `nodes_values`.
    fn lone_weight(&self, i: usize, found: usize, aggregate: Aggregate) -> Result<Weight<T>, String> {
        if found > 0 {
            return Err(format!(
                "is a leaf with {found} weights; with one target each leaf must have exactly one"
            ));
        }
        let sums = matches!(aggregate, Aggregate::Sum | Aggregate::Average);
        if sums && self.values.get(i).is_some_and(|value| *value == T::default()) {
            return Ok(Weight { target: 0, value: T::default() });
        }
        Err("is a leaf without a weight; with one target each leaf must have exactly one".to_owned())
    }

    /// Each weight with the leaf it belongs to, in the order of the file.
    fn place_weights(
        &self,
        nodes: &[Node<T>],
        runs: &[Run],
        n_targets: usize,
    ) -> Result<Vec<(u32, Weight<T>)>, Problems> {
        let mut problems = Problems::default();
        let place = |name: &str, i: usize| format!("{}[{i}]", self.kind.attribute(name));
        let mut by_id: Vec<&Run> = runs.iter().collect();
        by_id.sort_unstable_by_key(|run| run.tree_id);
        let positions = self.target_tree_ids.iter().zip(self.target_node_ids.iter());
        let values = self.target_ids.iter().zip(self.target_weights.iter());
        let mut placed = Vec::with_capacity(self.target_weights.len());
        for (i, ((tree, node), (target, value))) in positions.zip(values).enumerate() {
            let run = by_id.binary_search_by_key(tree, |run| run.tree_id).ok().and_then(|at| by_id.get(at));
            let Some(run) = run else {
                problems.push(place("treeids", i), format!("is {tree}: there is no such tree"));
                continue;
            };
            let Some(index) = run.find(*node) else {
                problems.push(place("nodeids", i), format!("is {node}: tree {tree} has no such node"));
                continue;
            };
            if !usize::try_from(*target).is_ok_and(|target| target < n_targets) {
                problems.push(place("ids", i), format!("is {target}, must be 0 to {}", n_targets - 1));
            } else if !value.is_finite() {
                problems.push(place("weights", i), format!("is {value}, must be finite"));
            } else if matches!(nodes.get(index as usize), Some(Node::Leaf { .. })) {
                // Weights of inner nodes, written by some old exporters, take no part in a prediction.
                placed.push((index, Weight { target: *target as u32, value: *value }));
            }
        }
        if problems.is_empty() { Ok(placed) } else { Err(problems) }
    }

    /// What the outputs of a classifier are made of. With two classes ONNX Runtime decides row by row,
    /// by which classes have met a weight; that makes sense where it decides alike for every row.
    pub(super) fn classifier(&self, whole: &Whole<T>, laid: &Laid<T>) -> Result<Classifier, Problems> {
        let mut problems = Problems::default();
        if whole.n_targets != 2 {
            return Ok(Classifier::PerClass);
        }
        let always = laid.always_scored(2);
        let always = |class: usize| always.get(class).copied().unwrap_or(false);
        let uses = |class: i64| self.target_ids.contains(&class);
        let has_base = whole.base_values.iter().any(|base| *base != T::default());
        if has_base && !always(0) {
            let reason = "has a value for class 0, which some rows meet no weight for; give every leaf of one \
                          tree a weight for it, 0 if need be";
            problems.push("base_values", reason);
        }
        if whole.base_values.len() == 2 {
            let reason = "has 2 values for two classes, which ONNX Runtime does not add to the classes; give \
                          the base value of the only score, or add the values to the weights of one tree";
            problems.push("base_values", reason);
        }
        if uses(1) && !always(1) {
            let reason = "holds class 1, but some rows meet no weight for it; give every leaf of one tree a \
                          weight for it, 0 if need be";
            problems.push("class_ids", reason);
        }
        if !uses(1) && whole.post_transform == PostTransform::Probit {
            problems.push("post_transform", "is PROBIT, which is not defined for two classes with one score");
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if uses(1) {
            return Ok(Classifier::PerClass);
        }
        let negative = self.target_weights.iter().any(|weight| *weight < T::default());
        Ok(Classifier::Binary { weights_are_all_positive: !negative })
    }
}

/// A target that some row meets no weight for gets no base value in ONNX Runtime either.
pub(super) fn check_base_values<T: Number>(whole: &Whole<T>, laid: &Laid<T>) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if whole.n_targets > 1 && whole.base_values.iter().any(|base| *base != T::default()) {
        let always = laid.always_scored(whole.n_targets);
        for (target, (base, always)) in whole.base_values.iter().zip(&always).enumerate() {
            if !always && *base != T::default() {
                problems.push(
                    format!("base_values[{target}]"),
                    format!(
                        "is {base}, but some rows meet no weight for target {target}, which would make them 0; \
                         give every leaf of one tree a weight for it, 0 if need be"
                    ),
                );
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
