//! `BatchNormalization` of a feature matrix. tract has one for images too, whose search for the channel axis
//! reads beyond the end of a shape of one axis; here the number of axes is part of the rules.

// See the parent module.
#![allow(clippy::wildcard_imports, clippy::indexing_slicing)]

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::logic::wire_with_rank_broadcast;

/// What the ONNX specification adds to variances if the file does not say.
const DEFAULT_EPSILON: f32 = 1e-5;

pub(super) fn batch_normalization(
    _: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let epsilon = node.get_attr_opt("epsilon")?.unwrap_or(DEFAULT_EPSILON);
    if node.get_attr_opt("training_mode")?.unwrap_or(0_i64) != 0
        || node.get_attr_opt("spatial")? == Some(0_i64)
    {
        bail!("training_mode and spatial = 0 are not supported; export the model for inference");
    }
    Ok((expand(BatchNormalization { epsilon }), vec![]))
}

/// `(x - mean) * scale / sqrt(variance + epsilon) + shift`, feature by feature; inputs are x, scale, shift, mean and
/// variance, all but the first constants.
#[derive(Debug, Clone)]
struct BatchNormalization {
    epsilon: f32,
}

impl Expansion for BatchNormalization {
    fn name(&self) -> StaticName {
        "BatchNormalization".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 5)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].rank, 2)?;
        s.equals(&outputs[0].shape, &inputs[0].shape)?;
        s.equals(&outputs[0].datum_type, f32::datum_type())?;
        for input in inputs {
            s.equals(&input.datum_type, f32::datum_type())?;
        }
        for parameter in &inputs[1..] {
            s.equals(&parameter.rank, 1)?;
            s.equals(&parameter.shape[0], &inputs[0].shape[1])?;
        }
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let parameter = |at: usize| -> TractResult<Vec<f32>> {
            let Some(tensor) = &model.outlet_fact(inputs[at])?.konst else {
                bail!("scale, shift, mean and variance must be constants");
            };
            Ok(tensor.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
        };
        let (scale, shift, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
        let deviation = variance.iter().map(|v| (v + self.epsilon).sqrt());
        let slope: Vec<f32> = scale.iter().zip(deviation.clone()).map(|(scale, d)| scale / d).collect();
        let moved = mean.iter().zip(&scale).zip(deviation).map(|((mean, scale), d)| mean * scale / d);
        let offset: Vec<f32> = shift.iter().zip(moved).map(|(shift, moved)| shift - moved).collect();
        let slope = model.add_const(format!("{prefix}.slope"), tensor1(&slope))?;
        let offset = model.add_const(format!("{prefix}.offset"), tensor1(&offset))?;
        let x =
            wire_with_rank_broadcast(format!("{prefix}.mul"), model, math::mul(), &[inputs[0], slope])?[0];
        wire_with_rank_broadcast(prefix, model, math::add(), &[x, offset])
    }
}
