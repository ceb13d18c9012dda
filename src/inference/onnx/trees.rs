//! The tree ensembles of ai.onnx.ml as an operator for tract.

// tract's way of writing operators: its prelude of some forty names, and rules that index inputs and
// outputs whose number has been checked in the line before.
#![allow(clippy::wildcard_imports, clippy::indexing_slicing)]

use std::sync::Arc;

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops;
use tract_onnx::tract_hir::internal::*;

use super::super::ensemble::{AnyEnsemble, Attributes, AttributesFive, Kind};
use super::super::error::Problems;
use super::super::kernel::{Kernel, KernelKind};
use super::attributes::holds_doubles;
use super::operators::{describe, refusal};

/// `TreeEnsembleRegressor` of ai.onnx.ml 1 and 3.
pub(super) const REGRESSOR: &str = "TreeEnsembleRegressor";
/// `TreeEnsembleClassifier` of ai.onnx.ml 1 and 3; only its scores, the label has been cut off.
pub(super) const CLASSIFIER: &str = "TreeEnsembleClassifier";
/// `TreeEnsemble` of ai.onnx.ml 5.
pub(super) const FIVE: &str = "TreeEnsemble";

/// Makes tract know the operators.
pub(super) fn register(onnx: &mut tract_onnx::Onnx) {
    onnx.op_register.insert(REGRESSOR, |_, node| parse(node, REGRESSOR));
    onnx.op_register.insert(CLASSIFIER, |_, node| parse(node, CLASSIFIER));
    onnx.op_register.insert(FIVE, |_, node| parse(node, FIVE));
}

fn parse(node: &NodeProto, name: &'static str) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let place = describe(node);
    // Problems travel as the error itself, so that the loader gets them back unflattened.
    let ensemble = read(node, name).map_err(|problems| problems.within(&place))?;
    Ok((expand(Source { name, ensemble: Arc::new(ensemble), place }), vec![]))
}

/// Reads and validates the attributes, in the precision they are given in.
pub(super) fn read(node: &NodeProto, name: &str) -> Result<AnyEnsemble, Problems> {
    let kind = match name {
        FIVE if holds_doubles(node) => return Ok(AttributesFive::<f64>::read(node)?.build()?.into()),
        FIVE => return Ok(AttributesFive::<f32>::read(node)?.build()?.into()),
        CLASSIFIER => Kind::Classifier,
        _ => Kind::Regressor,
    };
    if holds_doubles(node) {
        Ok(Attributes::<f64>::read(node, kind)?.build()?.into())
    } else {
        Ok(Attributes::<f32>::read(node, kind)?.build()?.into())
    }
}

/// Gives all ensembles of the graph their kernel: `kind`, or the fastest.
///
/// # Errors
/// Which of them cannot be evaluated by it, and why.
pub(super) fn decide(model: &mut TypedModel, kind: Option<KernelKind>) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for node in model.nodes_mut() {
        if let Some(op) = node.op_as_mut::<TreeEnsemble>() {
            match op.kernel.with(kind) {
                Ok(kernel) => op.kernel = Arc::new(kernel),
                Err(why) => problems.push(op.place.clone(), why),
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The operator before translation, when the type of its input is not known yet.
#[derive(Debug, Clone)]
struct Source {
    name: &'static str,
    ensemble: Arc<AnyEnsemble>,
    place: String,
}

impl PartialEq for Source {
    fn eq(&self, other: &Source) -> bool {
        Arc::ptr_eq(&self.ensemble, &other.ensemble)
    }
}
impl Eq for Source {}

impl Source {
    fn n_targets(&self) -> usize {
        match &*self.ensemble {
            AnyEnsemble::Single(ensemble) => ensemble.n_targets,
            AnyEnsemble::Double(ensemble) => ensemble.n_targets,
        }
    }

    /// The type of the scores: that of the input in version 5, always FLOAT before.
    fn output(&self, input: DatumType) -> DatumType {
        if self.name == FIVE && input == f64::datum_type() { input } else { f32::datum_type() }
    }

    /// The operator for an input of `input`: with double inputs everything is done in double.
    fn for_input(&self, input: DatumType) -> TractResult<TreeEnsemble> {
        let double = input == f64::datum_type();
        let kernel = match (&*self.ensemble, double) {
            (AnyEnsemble::Single(ensemble), true) => Kernel::undecided(ensemble.widen()),
            (AnyEnsemble::Double(_), false) => {
                let reason = "thresholds, weights or base values are DOUBLE, the input is not; export the model \
                              with one type for all";
                return Err(refusal(&self.place, reason));
            }
            (ensemble, _) => Kernel::undecided(ensemble.clone()),
        };
        Ok(TreeEnsemble {
            name: self.name,
            kernel: Arc::new(kernel),
            output: self.output(input),
            place: self.place.clone(),
        })
    }
}

impl Expansion for Source {
    fn name(&self) -> StaticName {
        self.name.into()
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
        s.given(&inputs[0].datum_type, move |s, input| s.equals(&outputs[0].datum_type, self.output(input)))?;
        s.equals(&outputs[0].rank, 2)?;
        s.equals(&outputs[0].shape[0], &inputs[0].shape[0])?;
        s.equals(&outputs[0].shape[1], self.n_targets().to_dim())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let Some(input) = inputs.first() else { bail!("{} has no input", self.place) };
        let mut input = *input;
        let given = model.outlet_fact(input)?.datum_type;
        let op = self.for_input(given)?;
        op.check_features(&model.outlet_fact(input)?.shape)?;
        if ![f32::datum_type(), f64::datum_type()].contains(&given) {
            // Integers are compared as single-precision numbers.
            let cast = ops::cast::cast(f32::datum_type());
            input = model.wire_node(format!("{prefix}.to_f32"), cast, &[input])?[0];
        }
        model.wire_node(prefix, op, &[input])
    }
}

/// The operator: rows of features to rows of targets.
#[derive(Debug, Clone)]
pub(super) struct TreeEnsemble {
    name: &'static str,
    pub(super) kernel: Arc<Kernel>,
    output: DatumType,
    pub(super) place: String,
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
        let refuse = |reason: String| refusal(&self.place, reason);
        let [_, features] = dims else {
            return Err(refuse(format!("its input has {} axes where two are expected", dims.len())));
        };
        let found =
            features.to_usize().map_err(|_| refuse("its number of features is not fixed".to_owned()))?;
        if found < self.kernel.min_features() {
            let wanted = self.kernel.min_features() - 1;
            let reason = format!("nodes_featureids reach up to {wanted}, its input has {found} features");
            return Err(refuse(reason));
        }
        Ok(())
    }

    /// Scores of all rows in single precision.
    fn single(&self, values: &[f32], features: usize, outputs: &mut [f32]) {
        self.kernel.predict(values, features, outputs, &mut self.kernel.scratch());
    }

    /// Scores of all rows in double precision.
    fn double(&self, values: &[f64], features: usize, outputs: &mut [f64]) -> TractResult<()> {
        let Some(double) = self.kernel.double() else { bail!("{}: the input is DOUBLE", self.place) };
        let targets = self.kernel.n_targets();
        let mut scored = vec![false; targets];
        for (row, out) in values.chunks_exact(features.max(1)).zip(outputs.chunks_exact_mut(targets)) {
            double.predict(row, out, &mut scored);
        }
        Ok(())
    }
}

impl Op for TreeEnsemble {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    op_as_typed_op!();
}

impl EvalOp for TreeEnsemble {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let &[rows, features] = input.shape() else { bail!("{}: rank {}", self.place, input.rank()) };
        let shape = [rows, self.kernel.n_targets()];
        let plain = input.try_as_plain_ram()?;
        if input.datum_type() == f64::datum_type() {
            let mut scores = vec![0_f64; shape.iter().product()];
            self.double(plain.as_slice::<f64>()?, features, &mut scores)?;
            if self.output == f64::datum_type() {
                return Ok(tvec!(Tensor::from_shape(&shape, &scores)?.into_tvalue()));
            }
            let scores: Vec<f32> = scores.iter().map(|score| *score as f32).collect();
            return Ok(tvec!(Tensor::from_shape(&shape, &scores)?.into_tvalue()));
        }
        let mut scores = vec![0_f32; shape.iter().product()];
        self.single(plain.as_slice::<f32>()?, features, &mut scores);
        Ok(tvec!(Tensor::from_shape(&shape, &scores)?.into_tvalue()))
    }
}

impl TypedOp for TreeEnsemble {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let Some(input) = inputs.first() else { bail!("{} has no input", self.place) };
        self.check_features(&input.shape)?;
        Ok(tvec!(self.output.fact([input.shape[0].clone(), self.kernel.n_targets().to_dim()])))
    }

    as_op!();
}
