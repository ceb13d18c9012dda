//! The attributes of the tree operators, as parallel arrays.

use std::borrow::Cow;

/// The parallel arrays of the operator as they stand in the file, types checked, nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a, T: Clone = f32> {
    pub(crate) n_targets: Option<i64>,
    pub(crate) aggregate: Cow<'a, str>,
    pub(crate) post_transform: Cow<'a, str>,
    pub(crate) base_values: Cow<'a, [T]>,
    pub(crate) tree_ids: &'a [i64],
    pub(crate) node_ids: &'a [i64],
    pub(crate) feature_ids: &'a [i64],
    pub(crate) modes: Vec<&'a [u8]>,
    pub(crate) values: Cow<'a, [T]>,
    pub(crate) true_ids: &'a [i64],
    pub(crate) false_ids: &'a [i64],
    pub(crate) missing_true: &'a [i64],
    pub(crate) target_tree_ids: &'a [i64],
    pub(crate) target_node_ids: &'a [i64],
    pub(crate) target_ids: &'a [i64],
    pub(crate) target_weights: Cow<'a, [T]>,
}

// By hand: derived, it would ask for a default of `T`, which no list needs.
impl<T: Clone> Default for Attributes<'_, T> {
    fn default() -> Self {
        Attributes {
            n_targets: None,
            aggregate: "SUM".into(),
            post_transform: "NONE".into(),
            base_values: Cow::Borrowed(&[]),
            tree_ids: &[],
            node_ids: &[],
            feature_ids: &[],
            modes: Vec::new(),
            values: Cow::Borrowed(&[]),
            true_ids: &[],
            false_ids: &[],
            missing_true: &[],
            target_tree_ids: &[],
            target_node_ids: &[],
            target_ids: &[],
            target_weights: Cow::Borrowed(&[]),
        }
    }
}
