//! A validated tree ensemble: what `TreeEnsembleRegressor` means once its parallel arrays have
//! been checked and joined.

mod attributes;
mod build;
#[cfg(test)]
mod tests;

pub(crate) use attributes::Attributes;

/// The comparison of an inner node; the walk goes to the true child when `x <mode> threshold` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// One node of the flat node table; children and weights are indices proven to be in range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node {
    Branch {
        mode: Mode,
        feature: u32,
        threshold: f32,
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
pub(crate) struct Weight {
    pub(crate) target: u32,
    pub(crate) value: f32,
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

/// A tree ensemble whose indices are all in range and whose walks all end.
///
/// Invariants, established by [`Attributes::build`] and relied on by the kernels:
/// - every child index is below `nodes.len()`, every weight range within `weights`;
/// - the graph below each root has no cycle and no path longer than `max_depth`;
/// - every `target` is below `n_targets`; with one target every leaf has exactly one weight;
/// - `base_values` is empty or has `n_targets` entries;
/// - weights and base values are finite, thresholds are not NaN.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ensemble {
    pub(crate) nodes: Vec<Node>,
    pub(crate) roots: Vec<u32>,
    pub(crate) weights: Vec<Weight>,
    pub(crate) n_targets: usize,
    pub(crate) aggregate: Aggregate,
    pub(crate) base_values: Vec<f32>,
    /// Some node is the child of more than one node (a directed acyclic graph, not a tree).
    pub(crate) shared: bool,
    /// Branches on the longest path of each tree.
    pub(crate) depths: Vec<u32>,
    /// Most leaves in one tree.
    pub(crate) max_leaves: usize,
    /// Number of features a row must have at least: the largest feature index in use, plus one.
    pub(crate) min_features: usize,
}

impl Ensemble {
    /// Branches on the longest path of all trees.
    pub(crate) fn max_depth(&self) -> u32 {
        self.depths.iter().copied().max().unwrap_or(0)
    }
}
