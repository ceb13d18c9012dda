//! The attributes of the tree operators, as parallel arrays.

use std::borrow::Cow;

/// Which of the two operators of ai.onnx.ml 1 and 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// `TreeEnsembleRegressor`: attributes `target_*`, `n_targets`.
    #[default]
    Regressor,
    /// `TreeEnsembleClassifier`: attributes `class_*`, a target for each class label.
    Classifier,
}

impl Kind {
    /// The full name of an attribute that begins with `target_` or `class_`.
    pub(crate) fn attribute(self, rest: &str) -> String {
        let prefix = match self {
            Kind::Regressor => "target",
            Kind::Classifier => "class",
        };
        format!("{prefix}_{rest}")
    }
}

/// The parallel arrays of the operators of ai.onnx.ml 1 and 3 as they stand in the file, types checked,
/// nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a, T: Clone = f32> {
    pub(crate) kind: Kind,
    /// Targets of a regressor, class labels of a classifier.
    pub(crate) n_targets: Option<i64>,
    pub(crate) aggregate: Cow<'a, str>,
    pub(crate) post_transform: Cow<'a, str>,
    pub(crate) base_values: Cow<'a, [T]>,
    pub(crate) tree_ids: Cow<'a, [i64]>,
    pub(crate) node_ids: Cow<'a, [i64]>,
    pub(crate) feature_ids: Cow<'a, [i64]>,
    pub(crate) modes: Vec<&'a [u8]>,
    pub(crate) values: Cow<'a, [T]>,
    pub(crate) true_ids: Cow<'a, [i64]>,
    pub(crate) false_ids: Cow<'a, [i64]>,
    pub(crate) missing_true: Cow<'a, [i64]>,
    pub(crate) target_tree_ids: Cow<'a, [i64]>,
    pub(crate) target_node_ids: Cow<'a, [i64]>,
    pub(crate) target_ids: Cow<'a, [i64]>,
    pub(crate) target_weights: Cow<'a, [T]>,
}

// By hand: derived, it would ask for a default of `T`, which no list needs.
impl<T: Clone> Default for Attributes<'_, T> {
    fn default() -> Self {
        Attributes {
            kind: Kind::Regressor,
            n_targets: None,
            aggregate: "SUM".into(),
            post_transform: "NONE".into(),
            base_values: Cow::Borrowed(&[]),
            tree_ids: Cow::Borrowed(&[]),
            node_ids: Cow::Borrowed(&[]),
            feature_ids: Cow::Borrowed(&[]),
            modes: Vec::new(),
            values: Cow::Borrowed(&[]),
            true_ids: Cow::Borrowed(&[]),
            false_ids: Cow::Borrowed(&[]),
            missing_true: Cow::Borrowed(&[]),
            target_tree_ids: Cow::Borrowed(&[]),
            target_node_ids: Cow::Borrowed(&[]),
            target_ids: Cow::Borrowed(&[]),
            target_weights: Cow::Borrowed(&[]),
        }
    }
}
