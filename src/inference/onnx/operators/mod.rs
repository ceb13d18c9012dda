//! Operators tract does not have, but for the tree ensembles: `Scaler` of ai.onnx.ml.

// tract's way of writing operators: its prelude of some forty names, and rules that index inputs and
// outputs whose number has been checked in the line before.
#![allow(clippy::wildcard_imports, clippy::indexing_slicing)]

mod batch_normalization;

use std::sync::Arc;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{AttributeProto, NodeProto};
use tract_onnx::tract_core::ops;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;

use self::batch_normalization::{BATCH_NORMALIZATION, batch_normalization};
use super::trees;
use crate::inference::error::Problems;

/// Operator name of the feature scaler.
pub(super) const SCALER: &str = "Scaler";

/// tract with the operators of this module.
pub(super) fn framework() -> tract_onnx::Onnx {
    let mut onnx = tract_onnx::onnx();
    trees::register(&mut onnx);
    onnx.op_register.insert(SCALER, scaler);
    onnx.op_register.insert(BATCH_NORMALIZATION, batch_normalization);
    onnx
}

/// How problems of a node are introduced.
pub(super) fn describe(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    let name: String = name.map(String::as_str).unwrap_or_default().chars().take(80).collect();
    format!("node `{name}` ({})", node.op_type.chars().take(80).collect::<String>())
}

fn scaler(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let floats = |name: &str| -> &[f32] {
        node.attribute.iter().find(|a: &&AttributeProto| a.name == name).map_or(&[], |a| &a.floats)
    };
    let (offset, scale) = (floats("offset"), floats("scale"));
    if offset.is_empty() || offset.len() != scale.len() {
        let mut problems = Problems::default();
        let reason =
            format!("has {} values, scale has {}; give one each per feature", offset.len(), scale.len());
        problems.push("offset", reason);
        return Err(problems.within(&describe(node)).into());
    }
    Ok((expand(Scaler { offset: rctensor1(offset), scale: rctensor1(scale) }), vec![]))
}

/// `(x - offset) * scale`, feature by feature.
#[derive(Debug, Clone)]
struct Scaler {
    offset: Arc<Tensor>,
    scale: Arc<Tensor>,
}

impl Expansion for Scaler {
    fn name(&self) -> StaticName {
        SCALER.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, f32::datum_type())?;
        s.equals(&outputs[0].shape, &inputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        use ops::{cast::cast, math};
        let x = model.wire_node(format!("{prefix}.to_f32"), cast(f32::datum_type()), inputs)?[0];
        let offset = model.add_const(format!("{prefix}.offset"), self.offset.clone())?;
        let scale = model.add_const(format!("{prefix}.scale"), self.scale.clone())?;
        let x = wire_with_rank_broadcast(format!("{prefix}.sub"), model, math::sub(), &[x, offset])?[0];
        wire_with_rank_broadcast(prefix, model, math::mul(), &[x, scale])
    }
}
