//! The attributes of the tree operators, read from the protobuf and type-checked. Lists are where
//! [`lists::put_aside`] has put them.

use std::borrow::Cow;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::super::ensemble::{Attributes, AttributesFive, Kind, Number};
use super::super::error::Problems;
use super::lists;

/// Whether thresholds, weights or base values are given in double precision.
pub(super) fn holds_doubles(node: &NodeProto) -> bool {
    let statistics = |name: &str| name.starts_with("nodes_hitrates");
    let tensors = node.attribute.iter().filter(|a| !statistics(&a.name)).filter_map(|a| a.t.as_ref());
    tensors.into_iter().any(|tensor| tensor.data_type == DataType::Double as i32)
}

/// Sets every attribute of `node` by `set`. Unknown names and wrong types are problems; a missing
/// array is an empty one, which the build refuses by its length.
fn read_each<'a>(
    node: &'a NodeProto,
    mut set: impl FnMut(&'a AttributeProto) -> Result<(), String>,
) -> Problems {
    let mut problems = Problems::default();
    let mut seen: Vec<&str> = Vec::new();
    for attribute in &node.attribute {
        let name = attribute.name.as_str();
        if seen.contains(&name) {
            problems.push(name, "is given twice");
        } else if let Err(reason) = set(attribute) {
            problems.push(name, reason);
        }
        seen.push(name);
    }
    for name in ["base_values", "nodes_values", "target_weights", "class_weights"] {
        if seen.contains(&name) && seen.contains(&format!("{name}_as_tensor").as_str()) {
            problems.push(name, format!("{name}_as_tensor is given as well; keep one of the two"));
        }
    }
    problems
}

impl<'a, T: Number> Attributes<'a, T> {
    /// Reads the attributes of a `TreeEnsembleRegressor` or `TreeEnsembleClassifier`.
    pub(crate) fn read(node: &'a NodeProto, kind: Kind) -> Result<Attributes<'a, T>, Problems> {
        let mut attributes = Attributes { kind, ..Attributes::default() };
        let mut labels: Vec<usize> = Vec::new();
        let mut problems = read_each(node, |attribute| {
            match attribute.name.as_str() {
                "classlabels_int64s" if kind == Kind::Classifier => labels.push(ints(attribute)?.len()),
                "classlabels_strings" if kind == Kind::Classifier => labels.push(strings(attribute)?.len()),
                name => attributes.set(name, attribute)?,
            }
            Ok(())
        });
        if kind == Kind::Classifier {
            labels.retain(|n| *n > 0);
            match labels.as_slice() {
                [n] => attributes.n_targets = i64::try_from(*n).ok(),
                _ => problems.push("classlabels_int64s", "give either these labels or classlabels_strings"),
            }
        }
        if problems.is_empty() { Ok(attributes) } else { Err(problems) }
    }

    fn set(&mut self, name: &str, attribute: &'a AttributeProto) -> Result<(), String> {
        let own = match self.kind {
            Kind::Regressor => name.strip_prefix("target_"),
            Kind::Classifier => name.strip_prefix("class_"),
        };
        match (name, own) {
            ("n_targets", _) if self.kind == Kind::Regressor => self.n_targets = Some(int(attribute)?),
            ("aggregate_function", _) if self.kind == Kind::Regressor => self.aggregate = string(attribute)?,
            ("post_transform", _) => self.post_transform = string(attribute)?,
            ("base_values", _) => self.base_values = floats(attribute)?,
            ("nodes_treeids", _) => self.tree_ids = ints(attribute)?,
            ("nodes_nodeids", _) => self.node_ids = ints(attribute)?,
            ("nodes_featureids", _) => self.feature_ids = ints(attribute)?,
            ("nodes_modes", _) => self.modes = strings(attribute)?,
            ("nodes_values", _) => self.values = floats(attribute)?,
            ("nodes_truenodeids", _) => self.true_ids = ints(attribute)?,
            ("nodes_falsenodeids", _) => self.false_ids = ints(attribute)?,
            ("nodes_missing_value_tracks_true", _) => self.missing_true = ints(attribute)?,
            (_, Some("treeids")) => self.target_tree_ids = ints(attribute)?,
            (_, Some("nodeids")) => self.target_node_ids = ints(attribute)?,
            (_, Some("ids")) => self.target_ids = ints(attribute)?,
            (_, Some("weights")) => self.target_weights = floats(attribute)?,
            ("base_values_as_tensor", _) => self.base_values = tensor(attribute)?,
            ("nodes_values_as_tensor", _) => self.values = tensor(attribute)?,
            (_, Some("weights_as_tensor")) => self.target_weights = tensor(attribute)?,
            // Statistics of the training set; they take no part in a prediction.
            ("nodes_hitrates" | "nodes_hitrates_as_tensor", _) => {}
            _ => {
                let operator = match self.kind {
                    Kind::Regressor => "TreeEnsembleRegressor",
                    Kind::Classifier => "TreeEnsembleClassifier",
                };
                return Err(format!("is not an attribute of {operator} (ai.onnx.ml 1 and 3)"));
            }
        }
        Ok(())
    }
}

impl<'a, T: Number> AttributesFive<'a, T> {
    /// Reads the attributes of a `TreeEnsemble`.
    pub(crate) fn read(node: &'a NodeProto) -> Result<AttributesFive<'a, T>, Problems> {
        let mut attributes = AttributesFive::default();
        let problems = read_each(node, |attribute| attributes.set(attribute));
        if problems.is_empty() { Ok(attributes) } else { Err(problems) }
    }

    fn set(&mut self, attribute: &'a AttributeProto) -> Result<(), String> {
        match attribute.name.as_str() {
            "n_targets" => self.n_targets = Some(int(attribute)?),
            "aggregate_function" => self.aggregate = int(attribute)?,
            "post_transform" => self.post_transform = int(attribute)?,
            "tree_roots" => self.roots = ints(attribute)?,
            "nodes_featureids" => self.feature_ids = ints(attribute)?,
            "nodes_modes" => self.modes = bytes(attribute)?,
            "nodes_splits" => self.splits = tensor(attribute)?,
            "nodes_truenodeids" => self.true_ids = ints(attribute)?,
            "nodes_trueleafs" => self.true_leafs = ints(attribute)?,
            "nodes_falsenodeids" => self.false_ids = ints(attribute)?,
            "nodes_falseleafs" => self.false_leafs = ints(attribute)?,
            "nodes_missing_value_tracks_true" => self.missing_true = ints(attribute)?,
            "membership_values" => self.members = tensor(attribute)?,
            "leaf_targetids" => self.leaf_targets = ints(attribute)?,
            "leaf_weights" => self.leaf_weights = tensor(attribute)?,
            // Statistics of the training set; they take no part in a prediction.
            "nodes_hitrates" => {}
            _ => return Err("is not an attribute of TreeEnsemble (ai.onnx.ml 5)".to_owned()),
        }
        Ok(())
    }
}

fn expect(attribute: &AttributeProto, wanted: AttributeType) -> Result<(), String> {
    if attribute.r#type == wanted as i32 {
        return Ok(());
    }
    let found = AttributeType::try_from(attribute.r#type).map_or("unknown", |t| t.as_str_name());
    Err(format!("has type {found} where {} is expected", wanted.as_str_name()))
}

fn int(attribute: &AttributeProto) -> Result<i64, String> {
    expect(attribute, AttributeType::Int).map(|()| attribute.i)
}

fn ints(attribute: &AttributeProto) -> Result<Cow<'static, [i64]>, String> {
    expect(attribute, AttributeType::Ints)?;
    lists::ints(attribute).map(Cow::Owned)
}

fn floats<T: Number>(attribute: &AttributeProto) -> Result<Cow<'static, [T]>, String> {
    expect(attribute, AttributeType::Floats)?;
    lists::floats(attribute).map(|values| T::list(values.into()))
}

fn strings(attribute: &AttributeProto) -> Result<Vec<&[u8]>, String> {
    expect(attribute, AttributeType::Strings)?;
    lists::strings(attribute)
}

fn string(attribute: &AttributeProto) -> Result<Cow<'_, str>, String> {
    expect(attribute, AttributeType::String)?;
    std::str::from_utf8(&attribute.s).map(Into::into).map_err(|_| "is not UTF-8".to_owned())
}

/// The elements of a tensor, either as they stand in its list or from its raw bytes.
fn elements<const N: usize, E: Clone>(
    list: &[E],
    raw: &[u8],
    from_bytes: impl Fn([u8; N]) -> E,
) -> Result<Vec<E>, String> {
    if raw.is_empty() {
        return Ok(list.to_vec());
    }
    let (chunks, rest) = raw.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(format!("raw_data has {} bytes, not a multiple of {N}", raw.len()));
    }
    Ok(chunks.iter().map(|bytes| from_bytes(*bytes)).collect())
}

/// Numbers given as a tensor, in any number of axes.
fn tensor<T: Number>(attribute: &AttributeProto) -> Result<Cow<'_, [T]>, String> {
    expect(attribute, AttributeType::Tensor)?;
    let tensor: &TensorProto = attribute.t.as_ref().ok_or("has no tensor")?;
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => {
            let values = elements(&tensor.float_data, &tensor.raw_data, f32::from_le_bytes)?;
            Ok(T::list(values.into()))
        }
        Ok(DataType::Double) => {
            let values = elements(&tensor.double_data, &tensor.raw_data, f64::from_le_bytes)?;
            Ok(values.into_iter().map(T::from_f64).collect())
        }
        other => {
            let found = other.map_or("unknown", |t| t.as_str_name());
            Err(format!("holds {found} values; export FLOAT or DOUBLE"))
        }
    }
}

/// Small numbers given as a UINT8 tensor.
fn bytes(attribute: &AttributeProto) -> Result<Cow<'_, [u8]>, String> {
    expect(attribute, AttributeType::Tensor)?;
    let tensor: &TensorProto = attribute.t.as_ref().ok_or("has no tensor")?;
    if tensor.data_type != DataType::Uint8 as i32 {
        let found = DataType::try_from(tensor.data_type).map_or("unknown", |t| t.as_str_name());
        return Err(format!("holds {found} values where UINT8 is expected"));
    }
    if tensor.raw_data.is_empty() {
        // What does not fit in a byte becomes one that names no mode.
        return Ok(tensor.int32_data.iter().map(|value| u8::try_from(*value).unwrap_or(u8::MAX)).collect());
    }
    Ok(tensor.raw_data.as_slice().into())
}
