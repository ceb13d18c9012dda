//! What the operators that work on one tensor, value by value or row by row, have in common.

use std::fmt;
use std::sync::Arc;

use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::{describe, refusal};

/// How the shape of the output follows from that of the input.
pub(super) enum Shape {
    /// The same.
    Same,
    /// The last axis has this many values instead.
    Columns(usize),
    /// Each value becomes this many, on a further axis.
    Appended(usize),
}

/// One operator: what it makes of a tensor.
pub(super) trait RowFunction: fmt::Debug + Send + Sync + 'static {
    /// Its name in ONNX.
    fn name(&self) -> &'static str;

    /// Type and shape of the output for inputs of `columns` values a row (`None`: not fixed).
    ///
    /// # Errors
    /// Why it cannot take such an input.
    fn output(&self, input: DatumType, columns: Option<usize>) -> Result<(DatumType, Shape), String>;

    /// Computes it. Type and columns of `input` have been accepted by [`RowFunction::output`];
    /// `shape` is that of the output.
    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor>;
}

/// A [`RowFunction`] as an operator of tract, before and after translation.
#[derive(Debug, Clone)]
pub(super) struct RowOperator {
    function: Arc<dyn RowFunction>,
    place: String,
}

// tract compares operators to merge equal nodes.
impl PartialEq for RowOperator {
    fn eq(&self, other: &RowOperator) -> bool {
        Arc::ptr_eq(&self.function, &other.function)
    }
}
impl Eq for RowOperator {}

/// The operator that `function` is at `node`.
pub(super) fn operator(node: &NodeProto, function: impl RowFunction) -> (Box<dyn InferenceOp>, Vec<String>) {
    (expand(RowOperator::new(describe(node), function)), vec![])
}

impl RowOperator {
    pub(super) fn new(place: String, function: impl RowFunction) -> RowOperator {
        RowOperator { function: Arc::new(function), place }
    }

    fn output(&self, input: DatumType, dims: &[TDim]) -> TractResult<(DatumType, TVec<TDim>)> {
        let columns = dims.last().and_then(|last| last.to_usize().ok());
        let accepted = self.function.output(input, columns);
        let (datum_type, shape) = accepted.map_err(|reason| refusal(&self.place, reason))?;
        let mut dims: TVec<TDim> = dims.into();
        match (shape, dims.last_mut()) {
            (Shape::Columns(columns), Some(last)) => *last = columns.to_dim(),
            (Shape::Appended(values), _) => dims.push(values.to_dim()),
            _ => {}
        }
        Ok((datum_type, dims))
    }
}

impl Expansion for RowOperator {
    fn name(&self) -> StaticName {
        self.function.name().into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let ([input], [output]) = (inputs, outputs) else {
            bail!("{} takes one input and gives one output", self.place);
        };
        s.given_2(&input.datum_type, &input.shape, move |s, datum_type, dims| {
            let (datum_type, dims) = self.output(datum_type, &dims)?;
            s.equals(&output.datum_type, datum_type)?;
            s.equals(&output.shape, dims)
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for RowOperator {
    fn name(&self) -> StaticName {
        self.function.name().into()
    }

    op_as_typed_op!();
}

impl EvalOp for RowOperator {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let dims: TVec<TDim> = input.shape().iter().map(ToDim::to_dim).collect();
        let (_, dims) = self.output(input.datum_type(), &dims)?;
        let shape = dims.iter().map(DimLike::to_usize).collect::<Result<TVec<usize>, _>>()?;
        let output = self.function.eval(&input, &shape).with_context(|| self.place.clone())?;
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for RowOperator {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let &[input] = inputs else { bail!("{} takes one input", self.place) };
        let (datum_type, dims) = self.output(input.datum_type, &input.shape)?;
        Ok(tvec!(datum_type.fact(dims)))
    }

    as_op!();
}

/// Number of columns, where an operator cannot do without.
pub(super) fn fixed(columns: Option<usize>) -> Result<usize, String> {
    columns.ok_or_else(|| "its input has no fixed number of columns".to_owned())
}

/// The input must be of a type that casts to floats without surprise.
pub(super) fn number(input: DatumType) -> Result<(), String> {
    if [DatumType::F32, DatumType::F64, DatumType::I64, DatumType::I32].contains(&input) {
        return Ok(());
    }
    Err(format!("takes FLOAT, DOUBLE, INT64 or INT32, its input holds {input:?}"))
}

/// A new tensor of `shape`, its rows made from those of `input` (which has as many).
pub(super) fn map_rows<T: Datum + Copy, U: Datum + Copy + Default>(
    input: &Tensor,
    shape: &[usize],
    mut f: impl FnMut(&[T], &mut [U]),
) -> TractResult<Tensor> {
    let plain = input.try_as_plain_ram()?;
    let values = plain.as_slice::<T>()?;
    let mut output = vec![U::default(); shape.iter().product()];
    let columns = input.shape().last().copied().unwrap_or(1).max(1);
    let rows = values.len() / columns;
    let width = output.len().checked_div(rows).unwrap_or(0).max(1);
    for (row, out) in values.chunks_exact(columns).zip(output.chunks_exact_mut(width)) {
        f(row, out);
    }
    Tensor::from_shape(shape, &output)
}
