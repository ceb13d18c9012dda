//! The tree ensembles of ai.onnx.ml as an operator for tract.

// tract's way of writing operators: its prelude of some forty names, and rules that index inputs and
// outputs whose number has been checked in the line before.
#![allow(clippy::wildcard_imports, clippy::indexing_slicing)]

use std::sync::Arc;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops;
use tract_onnx::tract_hir::internal::*;

use super::super::ensemble::Attributes;
use super::super::error::Problems;
use super::super::kernel::Kernel;
use super::operators::describe;

/// Operator name of the tree ensemble.
pub(super) const TREE_ENSEMBLE: &str = "TreeEnsembleRegressor";

/// Makes tract know the operator.
pub(super) fn register(onnx: &mut tract_onnx::Onnx) {
    onnx.op_register.insert(TREE_ENSEMBLE, tree_ensemble);
}

fn tree_ensemble(_: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    // Problems travel as the error itself, so that the loader gets them back unflattened.
    let ensemble = Attributes::read(node)
        .and_then(|attributes| attributes.build())
        .map_err(|problems| problems.within(&describe(node)))?;
    let place = describe(node);
    Ok((expand(TreeEnsemble { kernel: Arc::new(Kernel::new(ensemble)), place }), vec![]))
}

/// The operator, before and after translation: rows of features to rows of targets.
#[derive(Debug, Clone)]
pub(super) struct TreeEnsemble {
    pub(super) kernel: Arc<Kernel>,
    place: String,
}

// tract compares operators to merge equal nodes. Two ensembles are equal if they are the same one;
// comparing tables of a million nodes would cost more than it could save.
impl PartialEq for TreeEnsemble {
    fn eq(&self, other: &TreeEnsemble) -> bool {
        Arc::ptr_eq(&self.kernel, &other.kernel)
    }
}
impl Eq for TreeEnsemble {}

impl TreeEnsemble {
    /// The number of features must be known, and enough.
    fn check_features(&self, dims: &[TDim]) -> TractResult<()> {
        let refuse = |reason: String| {
            let mut problems = Problems::default();
            problems.push(self.place.clone(), reason);
            problems
        };
        let [_, features] = dims else {
            return Err(refuse(format!("its input has {} axes where two are expected", dims.len())).into());
        };
        let found =
            features.to_usize().map_err(|_| refuse("its number of features is not fixed".to_owned()))?;
        if found < self.kernel.min_features() {
            let wanted = self.kernel.min_features() - 1;
            let reason = format!("nodes_featureids reach up to {wanted}, its input has {found} features");
            return Err(refuse(reason).into());
        }
        Ok(())
    }
}

impl Expansion for TreeEnsemble {
    fn name(&self) -> StaticName {
        TREE_ENSEMBLE.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&inputs[0].rank, 2)?;
        s.equals(&outputs[0].datum_type, f32::datum_type())?;
        s.equals(&outputs[0].rank, 2)?;
        s.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        s.equals(&outputs[0].shape[1], self.kernel.n_targets().to_dim())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let Some(input) = inputs.first() else { bail!("{} has no input", self.place) };
        self.check_features(&model.outlet_fact(*input)?.shape)?;
        let mut input = *input;
        if model.outlet_fact(input)?.datum_type != f32::datum_type() {
            let cast = ops::cast::cast(f32::datum_type());
            input = model.wire_node(format!("{prefix}.to_f32"), cast, &[input])?[0];
        }
        model.wire_node(prefix, self.clone(), &[input])
    }
}

impl Op for TreeEnsemble {
    fn name(&self) -> StaticName {
        TREE_ENSEMBLE.into()
    }

    op_as_typed_op!();
}

impl EvalOp for TreeEnsemble {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let &[rows, features] = input.shape() else { bail!("{}: rank {}", self.place, input.rank()) };
        let values = input.try_as_plain_ram()?;
        let values = values.as_slice::<f32>()?;
        let targets = self.kernel.n_targets();
        let mut outputs = vec![0_f32; rows * targets];
        let mut scratch = self.kernel.scratch();
        for (row, out) in values.chunks_exact(features.max(1)).zip(outputs.chunks_exact_mut(targets)) {
            self.kernel.predict(row, out, &mut scratch);
        }
        Ok(tvec!(Tensor::from_shape(&[rows, targets], &outputs)?.into_tvalue()))
    }
}

impl TypedOp for TreeEnsemble {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let Some(input) = inputs.first() else { bail!("{} has no input", self.place) };
        self.check_features(&input.shape)?;
        Ok(tvec!(f32::fact([input.shape[0].clone(), self.kernel.n_targets().to_dim()])))
    }

    as_op!();
}
