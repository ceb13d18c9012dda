//! The attributes of a `TreeEnsembleRegressor` node, read from the protobuf and type-checked.

use std::borrow::Cow;

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

use super::super::ensemble::Attributes;
use super::super::error::Problems;

impl<'a> Attributes<'a> {
    /// Reads the attributes of `node`. Unknown names and wrong types are problems; a missing
    /// array is an empty one, which the build refuses by its length.
    pub(crate) fn read(node: &'a NodeProto) -> Result<Attributes<'a>, Problems> {
        let mut attributes = Attributes::default();
        let mut problems = Problems::default();
        let mut seen: Vec<&str> = Vec::new();
        for attribute in &node.attribute {
            let name = attribute.name.as_str();
            if seen.contains(&name) {
                problems.push(name, "is given twice");
            } else if let Err(reason) = attributes.set(attribute) {
                problems.push(name, reason);
            }
            seen.push(name);
        }
        for name in ["base_values", "nodes_values", "target_weights"] {
            if seen.contains(&name) && seen.contains(&format!("{name}_as_tensor").as_str()) {
                problems.push(name, format!("{name}_as_tensor is given as well; keep one of the two"));
            }
        }
        if problems.is_empty() { Ok(attributes) } else { Err(problems) }
    }

    fn set(&mut self, attribute: &'a AttributeProto) -> Result<(), String> {
        match attribute.name.as_str() {
            "n_targets" => self.n_targets = Some(int(attribute)?),
            "aggregate_function" => self.aggregate = string(attribute)?,
            "post_transform" => self.post_transform = string(attribute)?,
            "base_values" => self.base_values = floats(attribute)?,
            "nodes_treeids" => self.tree_ids = ints(attribute)?,
            "nodes_nodeids" => self.node_ids = ints(attribute)?,
            "nodes_featureids" => self.feature_ids = ints(attribute)?,
            "nodes_modes" => self.modes = strings(attribute)?.iter().map(Vec::as_slice).collect(),
            "nodes_values" => self.values = floats(attribute)?,
            "nodes_truenodeids" => self.true_ids = ints(attribute)?,
            "nodes_falsenodeids" => self.false_ids = ints(attribute)?,
            "nodes_missing_value_tracks_true" => self.missing_true = ints(attribute)?,
            "target_treeids" => self.target_tree_ids = ints(attribute)?,
            "target_nodeids" => self.target_node_ids = ints(attribute)?,
            "target_ids" => self.target_ids = ints(attribute)?,
            "target_weights" => self.target_weights = floats(attribute)?,
            "base_values_as_tensor" => self.base_values = tensor_floats(attribute)?,
            "nodes_values_as_tensor" => self.values = tensor_floats(attribute)?,
            "target_weights_as_tensor" => self.target_weights = tensor_floats(attribute)?,
            // Statistics of the training set; they take no part in a prediction.
            "nodes_hitrates" | "nodes_hitrates_as_tensor" => {}
            _ => return Err("is not an attribute of TreeEnsembleRegressor (ai.onnx.ml 1 and 3)".to_owned()),
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

fn ints(attribute: &AttributeProto) -> Result<&[i64], String> {
    expect(attribute, AttributeType::Ints).map(|()| attribute.ints.as_slice())
}

fn floats(attribute: &AttributeProto) -> Result<Cow<'_, [f32]>, String> {
    expect(attribute, AttributeType::Floats).map(|()| attribute.floats.as_slice().into())
}

fn strings(attribute: &AttributeProto) -> Result<&[Vec<u8>], String> {
    expect(attribute, AttributeType::Strings).map(|()| attribute.strings.as_slice())
}

fn string(attribute: &AttributeProto) -> Result<Cow<'_, str>, String> {
    expect(attribute, AttributeType::String)?;
    std::str::from_utf8(&attribute.s).map(Into::into).map_err(|_| "is not UTF-8".to_owned())
}

/// Values given as a tensor. Only FLOAT: with float inputs the operator compares and adds in single
/// precision, and ONNX Runtime too refuses double thresholds for them.
fn tensor_floats(attribute: &AttributeProto) -> Result<Cow<'_, [f32]>, String> {
    expect(attribute, AttributeType::Tensor)?;
    let tensor: &TensorProto = attribute.t.as_ref().ok_or("has no tensor")?;
    if tensor.data_type != DataType::Float as i32 {
        let found = DataType::try_from(tensor.data_type).map_or("unknown", |t| t.as_str_name());
        return Err(format!(
            "holds {found} values; the models here take float features, so export FLOAT thresholds and weights"
        ));
    }
    if tensor.dims.len() > 1 {
        return Err(format!("has {} axes where one is expected", tensor.dims.len()));
    }
    if tensor.raw_data.is_empty() {
        return Ok(tensor.float_data.as_slice().into());
    }
    let (chunks, rest) = tensor.raw_data.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("raw_data has {} bytes, not a multiple of 4", tensor.raw_data.len()));
    }
    Ok(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<f32>>().into())
}
