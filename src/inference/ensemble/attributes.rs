//! The attributes of a `TreeEnsembleRegressor` node, as parallel arrays.

use std::borrow::Cow;

/// The parallel arrays of the operator as they stand in the file, types checked, nothing else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attributes<'a> {
    pub(crate) n_targets: Option<i64>,
    pub(crate) aggregate: Cow<'a, str>,
    pub(crate) post_transform: Cow<'a, str>,
    pub(crate) base_values: Cow<'a, [f32]>,
    pub(crate) tree_ids: &'a [i64],
    pub(crate) node_ids: &'a [i64],
    pub(crate) feature_ids: &'a [i64],
    pub(crate) modes: Vec<&'a [u8]>,
    pub(crate) values: Cow<'a, [f32]>,
    pub(crate) true_ids: &'a [i64],
    pub(crate) false_ids: &'a [i64],
    pub(crate) missing_true: &'a [i64],
    pub(crate) target_tree_ids: &'a [i64],
    pub(crate) target_node_ids: &'a [i64],
    pub(crate) target_ids: &'a [i64],
    pub(crate) target_weights: Cow<'a, [f32]>,
}
