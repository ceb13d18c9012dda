//! `TreeEnsemble` of ai.onnx.ml 5: inner nodes and leaves in lists of their own, roots by index, tests
//! of membership in a set.

use std::borrow::Cow;

use super::super::error::Problems;
use super::super::limits::{MAX_DEPTH, MAX_FEATURES, MAX_NODES, MAX_OUTPUTS, MAX_TREES};
use super::build::comparable;
use super::layout::{Draft, Fault, Whole};
use super::weights::check_base_values;
use super::{Aggregate, Ensemble, Mode, Node, Number, PostTransform, Weight};

/// The parallel arrays of the operator as they stand in the file, types checked, nothing else.
#[derive(Debug, Clone)]
pub(crate) struct AttributesFive<'a, T: Clone = f32> {
    pub(crate) n_targets: Option<i64>,
    pub(crate) aggregate: i64,
    pub(crate) post_transform: i64,
    pub(crate) roots: Cow<'a, [i64]>,
    pub(crate) feature_ids: Cow<'a, [i64]>,
    pub(crate) modes: Cow<'a, [u8]>,
    pub(crate) splits: Cow<'a, [T]>,
    pub(crate) true_ids: Cow<'a, [i64]>,
    pub(crate) true_leafs: Cow<'a, [i64]>,
    pub(crate) false_ids: Cow<'a, [i64]>,
    pub(crate) false_leafs: Cow<'a, [i64]>,
    pub(crate) missing_true: Cow<'a, [i64]>,
    /// The sets of the `BRANCH_MEMBER` nodes in their order, each but the last ended by a NaN.
    pub(crate) members: Cow<'a, [T]>,
    pub(crate) leaf_targets: Cow<'a, [i64]>,
    pub(crate) leaf_weights: Cow<'a, [T]>,
}

impl<T: Clone> Default for AttributesFive<'_, T> {
    fn default() -> Self {
        AttributesFive {
            n_targets: None,
            aggregate: 1,
            post_transform: 0,
            roots: Cow::Borrowed(&[]),
            feature_ids: Cow::Borrowed(&[]),
            modes: Cow::Borrowed(&[]),
            splits: Cow::Borrowed(&[]),
            true_ids: Cow::Borrowed(&[]),
            true_leafs: Cow::Borrowed(&[]),
            false_ids: Cow::Borrowed(&[]),
            false_leafs: Cow::Borrowed(&[]),
            missing_true: Cow::Borrowed(&[]),
            members: Cow::Borrowed(&[]),
            leaf_targets: Cow::Borrowed(&[]),
            leaf_weights: Cow::Borrowed(&[]),
        }
    }
}

impl<T: Number> AttributesFive<'_, T> {
    /// Checks everything and joins the arrays.
    ///
    /// # Errors
    /// Every problem found in the first group of checks that failed, as
    /// [`super::Attributes::build`].
    pub(crate) fn build(&self) -> Result<Ensemble<T>, Problems> {
        let whole = self.check_scalars_and_lengths()?;
        let sets = self.check_sets()?;
        let draft = self.draft(&whole, sets)?;
        let mut problems = Problems::default();
        let laid = draft.lay_out(|tree, fault| {
            let (place, reason) = match fault {
                Fault::Cycle(at) => {
                    (format!("nodes_truenodeids[{at}]"), format!("tree {tree} has a cycle through this node"))
                }
                Fault::Depth(depth) => (
                    format!("tree_roots[{tree}]"),
                    format!("the tree is {depth} branches deep, at most {MAX_DEPTH} are supported"),
                ),
                Fault::Size => (
                    format!("tree_roots[{tree}]"),
                    format!("up to this tree there are more than {MAX_NODES} nodes, shared ones copied"),
                ),
            };
            problems.push(place, reason);
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        check_base_values(&whole, &laid)?;
        Ok(laid.ensemble(draft.sets, whole))
    }

    fn check_scalars_and_lengths(&self) -> Result<Whole<T>, Problems> {
        let mut problems = Problems::default();
        let n_targets = self.n_targets.unwrap_or(1);
        let n = usize::try_from(n_targets).unwrap_or(0);
        if !(1..=MAX_OUTPUTS).contains(&n) {
            problems.push("n_targets", format!("is {n_targets}, must be 1 to {MAX_OUTPUTS}"));
        }
        let aggregate = match self.aggregate {
            0 => Aggregate::Average,
            2 => Aggregate::Min,
            3 => Aggregate::Max,
            other => {
                if other != 1 {
                    let reason = format!("is {other}, must be 0 (AVERAGE), 1 (SUM), 2 (MIN) or 3 (MAX)");
                    problems.push("aggregate_function", reason);
                }
                Aggregate::Sum
            }
        };
        // 1 and 2 as ONNX Runtime reads them; the operator's text has them the other way round.
        let post_transform = match self.post_transform {
            1 => PostTransform::Logistic,
            2 => PostTransform::Softmax,
            3 => PostTransform::SoftmaxZero,
            4 => PostTransform::Probit,
            other => {
                if other != 0 {
                    problems.push("post_transform", format!("is {other}, must be 0 to 4"));
                }
                PostTransform::None
            }
        };
        self.check_lengths(&mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Whole { n_targets: n, aggregate, base_values: Vec::new(), post_transform, classifier: None })
    }

    fn check_lengths(&self, problems: &mut Problems) {
        let (n, leaves) = (self.feature_ids.len(), self.leaf_targets.len());
        if n == 0 || leaves == 0 || n + leaves > MAX_NODES {
            let reason = format!(
                "has {n} entries, leaf_targetids {leaves}; each must have at least 1, both together at most \
                 {MAX_NODES}"
            );
            problems.push("nodes_featureids", reason);
        }
        for (name, len) in [
            ("nodes_modes", self.modes.len()),
            ("nodes_splits", self.splits.len()),
            ("nodes_truenodeids", self.true_ids.len()),
            ("nodes_trueleafs", self.true_leafs.len()),
            ("nodes_falsenodeids", self.false_ids.len()),
            ("nodes_falseleafs", self.false_leafs.len()),
        ] {
            if len != n {
                problems.push(name, format!("has {len} entries, nodes_featureids has {n}"));
            }
        }
        let missing = self.missing_true.len();
        if missing != 0 && missing != n {
            problems.push(
                "nodes_missing_value_tracks_true",
                format!("has {missing} entries, nodes_featureids has {n}; give none or one each"),
            );
        }
        if self.leaf_weights.len() != leaves {
            let reason = format!("has {} entries, leaf_targetids has {leaves}", self.leaf_weights.len());
            problems.push("leaf_weights", reason);
        }
        let trees = self.roots.len();
        if trees == 0 || trees > MAX_TREES {
            problems.push("tree_roots", format!("has {trees} entries, must be 1 to {MAX_TREES}"));
        }
    }

    /// The sets of the `BRANCH_MEMBER` nodes, in the order of these.
    fn check_sets(&self) -> Result<Vec<Box<[T]>>, Problems> {
        let mut problems = Problems::default();
        let wanted = self.modes.iter().copied().filter(|mode| *mode == MEMBER).count();
        let members = match &*self.members {
            [members @ .., last] if last.is_nan() => members,
            members => members,
        };
        let mut sets: Vec<Box<[T]>> = Vec::with_capacity(wanted);
        if !self.members.is_empty() {
            for (i, set) in members.split(|member| member.is_nan()).enumerate() {
                let mut set = set.to_vec();
                if set.is_empty() {
                    problems.push("membership_values", format!("set {i} is empty; leave the test out"));
                }
                set.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
                set.dedup();
                sets.push(set.into());
            }
        }
        if sets.len() != wanted {
            problems.push(
                "membership_values",
                format!("holds {} sets, nodes_modes has {wanted} BRANCH_MEMBER (6) nodes", sets.len()),
            );
        }
        if problems.is_empty() { Ok(sets) } else { Err(problems) }
    }

    /// The nodes with their children: inner nodes in the order of the file, then the leaves.
    fn draft(&self, whole: &Whole<T>, sets: Vec<Box<[T]>>) -> Result<Draft<T>, Problems> {
        let mut problems = Problems::default();
        let mut nodes = self.inner_nodes(&mut problems);
        let mut weights = Vec::with_capacity(self.leaf_targets.len());
        for (i, (target, value)) in self.leaf_targets.iter().zip(self.leaf_weights.iter()).enumerate() {
            if !usize::try_from(*target).is_ok_and(|target| target < whole.n_targets) {
                let reason = format!("is {target}, must be 0 to {}", whole.n_targets - 1);
                problems.push(format!("leaf_targetids[{i}]"), reason);
            }
            if !value.is_finite() {
                problems.push(format!("leaf_weights[{i}]"), format!("is {value}, must be finite"));
            }
            nodes.push(Node::Leaf { first: i as u32, count: 1 });
            weights.push(Weight { target: *target as u32, value: *value });
        }
        let mut roots = Vec::with_capacity(self.roots.len());
        let n = self.feature_ids.len();
        for (i, root) in self.roots.iter().enumerate() {
            match usize::try_from(*root).ok().filter(|root| *root < n) {
                Some(root) => roots.push(self.root(root)),
                None => problems.push(
                    format!("tree_roots[{i}]"),
                    format!("is {root}, must be 0 to {}", n.saturating_sub(1)),
                ),
            }
        }
        if problems.is_empty() { Ok(Draft { nodes, weights, sets, roots }) } else { Err(problems) }
    }

    /// A tree that is a single leaf is written as a node whose children are both that leaf.
    fn root(&self, root: usize) -> u32 {
        let at = |list: &[i64]| list.get(root).copied().unwrap_or(0);
        let leafs = at(&self.true_leafs) == 1 && at(&self.false_leafs) == 1;
        if leafs && at(&self.true_ids) == at(&self.false_ids) {
            return self.feature_ids.len() as u32 + at(&self.true_ids) as u32;
        }
        root as u32
    }

    fn inner_nodes(&self, problems: &mut Problems) -> Vec<Node<T>> {
        let missing = self.missing_true.iter().copied().chain(std::iter::repeat(0));
        let yes = self.true_ids.iter().zip(self.true_leafs.iter());
        let no = self.false_ids.iter().zip(self.false_leafs.iter());
        let tests = self.feature_ids.iter().zip(self.modes.iter()).zip(self.splits.iter());
        let mut sets = 0;
        let mut nodes = Vec::with_capacity(self.feature_ids.len() + self.leaf_targets.len());
        for (i, (((feature, mode), split), ((yes, no), missing))) in
            tests.zip(yes.zip(no).zip(missing)).enumerate()
        {
            if !usize::try_from(*feature).is_ok_and(|feature| feature < MAX_FEATURES) {
                problems.push(
                    format!("nodes_featureids[{i}]"),
                    format!("is {feature}, must be 0 to {}", MAX_FEATURES - 1),
                );
            }
            if !matches!(missing, 0 | 1) {
                let place = format!("nodes_missing_value_tracks_true[{i}]");
                problems.push(place, format!("is {missing}, must be 0 or 1"));
            }
            let mode = match *mode {
                0 => Mode::Leq,
                1 => Mode::Lt,
                2 => Mode::Gte,
                3 => Mode::Gt,
                4 => Mode::Eq,
                5 => Mode::Neq,
                MEMBER => {
                    sets += 1;
                    Mode::Member(sets - 1)
                }
                other => {
                    problems.push(
                        format!("nodes_modes[{i}]"),
                        format!(
                            "is {other}, must be 0 (BRANCH_LEQ), 1 (BRANCH_LT), 2 (BRANCH_GTE), 3 (BRANCH_GT), \
                             4 (BRANCH_EQ), 5 (BRANCH_NEQ) or 6 (BRANCH_MEMBER)"
                        ),
                    );
                    Mode::Leq
                }
            };
            let (mode, threshold, missing_true) = match mode {
                Mode::Member(_) => (mode, T::default(), missing == 1),
                mode => comparable(mode, *split, missing == 1),
            };
            let on_true = self.child(i, ["nodes_truenodeids", "nodes_trueleafs"], yes, problems);
            let on_false = self.child(i, ["nodes_falsenodeids", "nodes_falseleafs"], no, problems);
            let feature = *feature as u32;
            nodes.push(Node::Branch { mode, feature, threshold, missing_true, on_true, on_false });
        }
        nodes
    }

    /// The index of a child in the table of inner nodes and leaves.
    fn child(
        &self,
        i: usize,
        [ids, leafs]: [&str; 2],
        (id, is_leaf): (&i64, &i64),
        problems: &mut Problems,
    ) -> u32 {
        let (inner, leaves) = (self.feature_ids.len(), self.leaf_targets.len());
        let (first, n, what) = match is_leaf {
            0 => (0, inner, "node"),
            1 => (inner, leaves, "leaf"),
            other => {
                problems.push(format!("{leafs}[{i}]"), format!("is {other}, must be 0 or 1"));
                return 0;
            }
        };
        if let Some(id) = usize::try_from(*id).ok().filter(|id| *id < n) {
            return (first + id) as u32;
        }
        let reason = format!("is {id}: there is no such {what}, they are 0 to {}", n - 1);
        problems.push(format!("{ids}[{i}]"), reason);
        0
    }
}

/// The number of `BRANCH_MEMBER` among the modes.
const MEMBER: u8 = 6;
