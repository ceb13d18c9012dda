//! What can be said about the parallel arrays one by one: ranges, lengths, names.

use super::super::error::Problems;
use super::super::limits::{MAX_FEATURES, MAX_NODES, MAX_OUTPUTS, MAX_WEIGHTS};
use super::attributes::{Attributes, Kind};
use super::layout::Whole;
use super::{Aggregate, Mode, Number, PostTransform};

impl<T: Number> Attributes<'_, T> {
    pub(super) fn check_scalars_and_lengths(&self) -> Result<Whole<T>, Problems> {
        let mut problems = Problems::default();
        let n_targets = self.n_targets.unwrap_or(1);
        let n = usize::try_from(n_targets).unwrap_or(0);
        if !(1..=MAX_OUTPUTS).contains(&n) {
            let (place, what) = match self.kind {
                Kind::Regressor => ("n_targets", "is"),
                Kind::Classifier => ("classlabels_int64s or classlabels_strings", "labels"),
            };
            problems.push(place, format!("{what} {n_targets}, must be 1 to {MAX_OUTPUTS}"));
        }
        let aggregate = match &*self.aggregate {
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Min,
            "MAX" => Aggregate::Max,
            other => {
                if other != "SUM" {
                    let reason = format!("is `{other}`, must be SUM, AVERAGE, MIN or MAX");
                    problems.push("aggregate_function", reason);
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
                    let reason =
                        format!("is `{other}`, must be NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT");
                    problems.push("post_transform", reason);
                }
                PostTransform::None
            }
        };
        let bases = self.base_values.len();
        // Exporters give a classifier of two classes the base value of its only score.
        let binary = self.kind == Kind::Classifier && n == 2 && bases == 1;
        if bases != 0 && bases != n && !binary {
            let reason = format!("has {bases} values for {n_targets} targets; give none or one each");
            problems.push("base_values", reason);
        }
        if let Some(at) = self.base_values.iter().position(|v| !v.is_finite()) {
            problems.push(format!("base_values[{at}]"), "is not finite");
        }
        self.check_lengths(&mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let base_values = self.base_values.to_vec();
        Ok(Whole { n_targets: n, aggregate, base_values, post_transform, classifier: None })
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
            problems
                .push(self.kind.attribute("weights"), format!("has {w} entries, must be 1 to {MAX_WEIGHTS}"));
        }
        for (name, len) in [
            ("treeids", self.target_tree_ids.len()),
            ("nodeids", self.target_node_ids.len()),
            ("ids", self.target_ids.len()),
        ] {
            if len != w {
                let weights = self.kind.attribute("weights");
                problems.push(self.kind.attribute(name), format!("has {len} entries, {weights} has {w}"));
            }
        }
    }

    /// Modes of all nodes (`None` for a leaf), with the values of each node checked.
    pub(super) fn check_nodes(&self) -> Result<Vec<Option<Mode>>, Problems> {
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
        for (name, ids) in [("nodes_treeids", &self.tree_ids), ("nodes_nodeids", &self.node_ids)] {
            for (i, id) in ids.iter().enumerate().filter(|(_, id)| **id < 0) {
                problems.push(format!("{name}[{i}]"), format!("is {id}, must not be negative"));
            }
        }
        for (i, flag) in self.missing_true.iter().enumerate().filter(|(_, flag)| !matches!(flag, 0 | 1)) {
            problems
                .push(format!("nodes_missing_value_tracks_true[{i}]"), format!("is {flag}, must be 0 or 1"));
        }
        for (i, feature) in self.feature_ids.iter().enumerate() {
            // The feature of a leaf means nothing; exporters put anything there.
            if modes.get(i).is_none_or(Option::is_none) {
                continue;
            }
            if !usize::try_from(*feature).is_ok_and(|feature| feature < MAX_FEATURES) {
                problems.push(
                    format!("nodes_featureids[{i}]"),
                    format!("is {feature}, must be 0 to {}", MAX_FEATURES - 1),
                );
            }
        }
        if problems.is_empty() { Ok(modes) } else { Err(problems) }
    }
}
