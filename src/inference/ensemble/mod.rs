//! A validated tree ensemble: what the tree operators of ai.onnx.ml mean once their parallel arrays
//! have been checked and joined.

use std::sync::Arc;

mod attributes;
mod build;
mod check;
mod five;
mod layout;
mod number;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use attributes::{Attributes, Kind};
pub(crate) use five::AttributesFive;
pub(crate) use number::Number;

/// The comparison of an inner node; the walk goes to the true child when `x <mode> threshold` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
    /// `x` is one of the set of this index in [`Ensemble::sets`]; there is no threshold.
    Member(u32),
}

/// One node of the flat node table; children and weights are indices proven to be in range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node<T = f32> {
    Branch {
        mode: Mode,
        feature: u32,
        threshold: T,
        /// A NaN feature goes to the true child, whatever the comparison says.
        missing_true: bool,
        on_true: u32,
        on_false: u32,
    },
    Leaf {
        /// Index of the first of this leaf's weights.
        first: u32,
        /// Number of its weights.
        count: u32,
    },
}

/// What a leaf adds to one output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Weight<T = f32> {
    pub(crate) target: u32,
    pub(crate) value: T,
}

/// How the leaves of all trees become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

impl Aggregate {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Aggregate::Sum => "SUM",
            Aggregate::Average => "AVERAGE",
            Aggregate::Min => "MIN",
            Aggregate::Max => "MAX",
        }
    }
}

/// What is done to the aggregates after the base values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PostTransform {
    None,
    Logistic,
    Softmax,
    /// Softmax in which a score of zero stays zero.
    SoftmaxZero,
    Probit,
}

/// How the scores of a classifier become its outputs, one a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Classifier {
    /// Every class has its own score.
    PerClass,
    /// Of two classes only the first has weights: its score decides between both.
    Binary {
        /// No weight is negative: the score counts as the probability of the second class, and the
        /// first gets what is missing to 1.
        weights_are_all_positive: bool,
    },
}

/// A tree ensemble whose indices are all in range and whose walks all end.
///
/// Invariants, established by [`Attributes::build`] and [`AttributesFive::build`] and relied on by the kernels:
/// - every child index is below `nodes.len()`, every weight range within `weights`, every set index
///   within `sets`;
/// - the nodes of a tree stand together, its root first, in the order of `roots`;
/// - the graph below each root has no cycle and no path longer than `max_depth`;
/// - every `target` is below `n_targets`; with one target every leaf has exactly one weight;
/// - `base_values` is empty or has `n_targets` entries; a classifier of two classes may have one,
///   that of the first;
/// - weights and base values are finite, thresholds and members are not NaN.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ensemble<T = f32> {
    pub(crate) nodes: Vec<Node<T>>,
    pub(crate) roots: Vec<u32>,
    pub(crate) weights: Vec<Weight<T>>,
    /// The sets of [`Mode::Member`], each in ascending order.
    pub(crate) sets: Vec<Box<[T]>>,
    pub(crate) n_targets: usize,
    pub(crate) aggregate: Aggregate,
    pub(crate) base_values: Vec<T>,
    pub(crate) post_transform: PostTransform,
    /// The ensemble is a classifier; the targets are its classes.
    pub(crate) classifier: Option<Classifier>,
    /// Some node is the child of more than one node (a directed acyclic graph, not a tree).
    pub(crate) shared: bool,
    /// Branches on the longest path of each tree.
    pub(crate) depths: Vec<u32>,
    /// Most leaves in one tree.
    pub(crate) max_leaves: usize,
    /// Number of features a row must have at least: the largest feature index in use, plus one.
    pub(crate) min_features: usize,
}

impl<T> Ensemble<T> {
    /// Bytes of nodes and weights.
    pub(crate) fn table_bytes(&self) -> usize {
        size_of_val(self.nodes.as_slice()) + size_of_val(self.weights.as_slice())
    }

    /// Leaves of all trees.
    pub(crate) fn leaves(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node, Node::Leaf { .. })).count()
    }

    /// Branches on the longest path of all trees.
    pub(crate) fn max_depth(&self) -> u32 {
        self.depths.iter().copied().max().unwrap_or(0)
    }
}

impl Ensemble {
    /// The same ensemble for double inputs: every number keeps its value, sums become exacter.
    pub(crate) fn widen(&self) -> Ensemble<f64> {
        let node = |node: &Node| match *node {
            Node::Leaf { first, count } => Node::Leaf { first, count },
            Node::Branch { mode, feature, threshold, missing_true, on_true, on_false } => {
                let threshold = f64::from(threshold);
                Node::Branch { mode, feature, threshold, missing_true, on_true, on_false }
            }
        };
        let weight = |weight: &Weight| Weight { target: weight.target, value: f64::from(weight.value) };
        Ensemble {
            nodes: self.nodes.iter().map(node).collect(),
            roots: self.roots.clone(),
            weights: self.weights.iter().map(weight).collect(),
            sets: self.sets.iter().map(|set| set.iter().copied().map(f64::from).collect()).collect(),
            n_targets: self.n_targets,
            aggregate: self.aggregate,
            base_values: self.base_values.iter().copied().map(f64::from).collect(),
            post_transform: self.post_transform,
            classifier: self.classifier,
            shared: self.shared,
            depths: self.depths.clone(),
            max_leaves: self.max_leaves,
            min_features: self.min_features,
        }
    }
}

/// An ensemble in the precision its model was exported in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AnyEnsemble {
    /// Float inputs and thresholds: what the fast kernels take.
    Single(Arc<Ensemble>),
    /// Double ones, from exporters asked for double inputs.
    Double(Ensemble<f64>),
}

impl From<Ensemble> for AnyEnsemble {
    fn from(ensemble: Ensemble) -> AnyEnsemble {
        AnyEnsemble::Single(Arc::new(ensemble))
    }
}

impl From<Ensemble<f64>> for AnyEnsemble {
    fn from(ensemble: Ensemble<f64>) -> AnyEnsemble {
        AnyEnsemble::Double(ensemble)
    }
}
