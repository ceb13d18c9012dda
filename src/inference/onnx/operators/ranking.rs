//! What the exporter of `AdaBoost` makes its weighted median of: `TopK`, `CumSum`, `GatherElements`, and weights looked up by
//! computed indices. These are the only indices that may depend on the features; each is checked when it is used.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::attributes::Reader;
use super::columns::{constant, last_len, resolve_axis};
use super::rows::{RowFunction, RowOperator, Shape, map_rows};
use super::{Built, describe, refusal};

/// The greatest or least `k` values of a row, in order, and their positions. Of equal values the first comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TopK {
    axis: i64,
    largest: bool,
    place: String,
    /// Known after translation.
    k: usize,
}

pub(super) fn top_k(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let axis = reader.int("axis").unwrap_or(-1);
    let largest = reader.int("largest").unwrap_or(1) != 0;
    let _ = reader.int("sorted"); // unsorted, any order is right
    if node.output.len() != 2 || node.input.len() != 2 {
        reader.refuse("", "must have two inputs and two outputs; export with operator set 10 or later");
    }
    reader.finish()?;
    Ok((expand(TopK { axis, largest, place: describe(node), k: 0 }), vec![]))
}

impl TopK {
    /// How many are taken of rows of `dims`.
    fn count(&self, k: &[i64], dims: &[TDim]) -> TractResult<usize> {
        let len = last_len(self.axis, dims, &self.place)?;
        match k {
            &[k] => usize::try_from(k).ok().filter(|k| (1..=len).contains(k)),
            _ => None,
        }
        .ok_or_else(|| refusal(&self.place, format!("K is {k:?}, must be one number from 1 to {len}")))
    }
}

fn with_last(dims: &[TDim], last: usize) -> TVec<TDim> {
    let mut dims: TVec<TDim> = dims.into();
    if let Some(dim) = dims.last_mut() {
        *dim = last.to_dim();
    }
    dims
}

impl Expansion for TopK {
    fn name(&self) -> StaticName {
        "TopK".into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(2)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let ([data, k], [values, positions]) = (inputs, outputs) else {
            return Err(refusal(&self.place, "takes two inputs and gives two outputs"));
        };
        s.equals(&values.datum_type, f32::datum_type())?;
        s.equals(&positions.datum_type, i64::datum_type())?;
        s.given_2(&data.shape, &k.value, move |s, dims, k| {
            let k = self.count(k.cast_to::<i64>()?.try_as_plain_ram()?.as_slice::<i64>()?, &dims)?;
            s.equals(&values.shape, with_last(&dims, k))?;
            s.equals(&positions.shape, with_last(&dims, k))
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let &[data, k] = inputs else { return Err(refusal(&self.place, "takes two inputs")) };
        let fact = model.outlet_fact(data)?.clone();
        if fact.datum_type != f32::datum_type() {
            return Err(refusal(&self.place, format!("takes FLOAT, its input holds {:?}", fact.datum_type)));
        }
        let k = self.count(&constant(model, Some(&k), &self.place, "K")?, &fact.shape)?;
        model.wire_node(prefix, TopK { k, ..self.clone() }, &[data])
    }
}

impl Op for TopK {
    fn name(&self) -> StaticName {
        "TopK".into()
    }

    op_as_typed_op!();
}

impl EvalOp for TopK {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let mut shape: TVec<usize> = input.shape().into();
        if let Some(last) = shape.last_mut() {
            *last = self.k;
        }
        let positions = map_rows(&input, &shape, |row: &[f32], out: &mut [i64]| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            // Stable, and NaN has its place: the last.
            order.sort_by(|a, b| {
                let (a, b) = (row.get(*a).copied(), row.get(*b).copied());
                let [a, b] =
                    [a, b].map(|x| x.filter(|x| !x.is_nan()).map(|x| if self.largest { -x } else { x }));
                a.is_none().cmp(&b.is_none()).then(a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal))
            });
            out.iter_mut().zip(order).for_each(|(y, at)| *y = at as i64);
        })?;
        let values = gather(&input, &positions, &self.place)?;
        Ok(tvec!(values.into_tvalue(), positions.into_tvalue()))
    }
}

impl TypedOp for TopK {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let &[input] = inputs else { bail!("{} takes one input", self.place) };
        let dims = with_last(&input.shape, self.k);
        Ok(tvec!(f32::fact(dims.clone()), i64::fact(dims)))
    }

    as_op!();
}

/// `data[.., positions]`, row by row. Both have as many rows.
fn gather(data: &Tensor, positions: &Tensor, place: &str) -> TractResult<Tensor> {
    match data.datum_type() {
        DatumType::F32 => gather_rows::<f32>(data, positions, place),
        DatumType::F64 => gather_rows::<f64>(data, positions, place),
        DatumType::I64 => gather_rows::<i64>(data, positions, place),
        other => bail!("{place}: takes FLOAT, DOUBLE or INT64, not {other:?}"),
    }
}

fn gather_rows<T: Datum + Copy + Default>(
    data: &Tensor,
    positions: &Tensor,
    place: &str,
) -> TractResult<Tensor> {
    let (plain, shape) = (data.try_as_plain_ram()?, positions.shape());
    let columns = data.shape().last().copied().unwrap_or(1).max(1);
    let mut rows = plain.as_slice::<T>()?.chunks_exact(columns);
    let mut wrong = None;
    let output = map_rows(positions, shape, |positions: &[i64], out: &mut [T]| {
        let row = rows.next().unwrap_or_default();
        for (at, y) in positions.iter().zip(out) {
            match pick(row, *at) {
                Some(x) => *y = x,
                None => wrong = Some(*at),
            }
        }
    });
    match wrong {
        Some(at) => bail!("{place}: index {at} is out of range, there are {columns} values"),
        None => output,
    }
}

/// The value at `at`, counted from the end if negative.
fn pick<T: Copy>(row: &[T], at: i64) -> Option<T> {
    let at = if at < 0 { at.checked_add_unsigned(row.len() as u64)? } else { at };
    row.get(usize::try_from(at).ok()?).copied()
}

/// `data[row][positions[row][..]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GatherElements {
    axis: i64,
    place: String,
}

pub(super) fn gather_elements(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let axis = reader.int("axis").unwrap_or(0);
    reader.finish()?;
    Ok((expand(GatherElements { axis, place: describe(node) }), vec![]))
}

impl GatherElements {
    /// Rows against rows, along the columns.
    fn check(&self, data: &[TDim], positions: &[TDim]) -> TractResult<()> {
        let ([data_rows, columns], [rows, _]) = (data, positions) else {
            return Err(refusal(&self.place, "takes two matrices"));
        };
        if resolve_axis(self.axis, 2, &self.place)? != 1 || columns.to_usize().is_err() {
            return Err(refusal(&self.place, "must work along axis 1; each row is predicted by itself"));
        }
        if data_rows != rows {
            return Err(refusal(&self.place, format!("has {data_rows} rows of data and {rows} of indices")));
        }
        Ok(())
    }
}

impl Expansion for GatherElements {
    fn name(&self) -> StaticName {
        "GatherElements".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        s.equals(&outputs[0].shape, &inputs[1].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for GatherElements {
    fn name(&self) -> StaticName {
        "GatherElements".into()
    }

    op_as_typed_op!();
}

impl EvalOp for GatherElements {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (data, positions) = args_2!(inputs);
        let positions = positions.cast_to::<i64>()?;
        if data.shape().first() != positions.shape().first() {
            bail!("{}: data and indices have different numbers of rows", self.place);
        }
        Ok(tvec!(gather(&data, &positions, &self.place)?.into_tvalue()))
    }
}

impl TypedOp for GatherElements {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let &[data, positions] = inputs else { bail!("{} takes two inputs", self.place) };
        self.check(&data.shape, &positions.shape)?;
        if ![DatumType::I64, DatumType::I32].contains(&positions.datum_type) {
            return Err(refusal(&self.place, format!("its indices are {:?}", positions.datum_type)));
        }
        Ok(tvec!(data.datum_type.fact(positions.shape.to_tvec())))
    }

    as_op!();
}

/// A constant list, looked up by computed positions.
#[derive(Debug)]
struct LookUp(Vec<f32>);

impl RowFunction for LookUp {
    fn name(&self) -> &'static str {
        "ArrayFeatureExtractor"
    }

    fn output(&self, input: DatumType, _: Option<usize>) -> Result<(DatumType, Shape), String> {
        if input == DatumType::I64 {
            return Ok((DatumType::F32, Shape::Same));
        }
        Err(format!("its indices are {input:?}, must be INT64"))
    }

    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        let mut wrong = None;
        let output = map_rows(input, shape, |row: &[i64], out: &mut [f32]| {
            for (at, y) in row.iter().zip(out) {
                match self.0.get(usize::try_from(*at).unwrap_or(usize::MAX)) {
                    Some(x) => *y = *x,
                    None => wrong = Some(*at),
                }
            }
        });
        match wrong {
            Some(at) => bail!("index {at} is out of range, there are {} values", self.0.len()),
            None => output,
        }
    }
}

/// The operator that looks up `data`, a constant list of FLOAT values.
pub(super) fn look_up(data: &Tensor, place: &str) -> TractResult<RowOperator> {
    if data.datum_type() != DatumType::F32 || data.shape().last() != Some(&data.len()) {
        return Err(refusal(
            place,
            "only a constant list of FLOAT values can be looked up by computed indices",
        ));
    }
    Ok(RowOperator::new(place.to_owned(), LookUp(data.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())))
}

/// Sums of each row's values up to each one.
#[derive(Debug)]
struct RunningSum;

/// `CumSum`, with the axis as a constant input.
#[derive(Debug, Clone)]
struct CumSum {
    place: String,
}

pub(super) fn cum_sum(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    for name in ["exclusive", "reverse"] {
        if reader.int(name).unwrap_or(0) != 0 {
            reader.refuse(name, "is not supported");
        }
    }
    reader.finish()?;
    Ok((expand(CumSum { place: describe(node) }), vec![]))
}

impl Expansion for CumSum {
    fn name(&self) -> StaticName {
        "CumSum".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 2)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, &inputs[0].datum_type)?;
        s.equals(&outputs[0].shape, &inputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let &[data, axis] = inputs else { return Err(refusal(&self.place, "takes two inputs")) };
        let dims = model.outlet_fact(data)?.shape.clone();
        let &[axis] = constant(model, Some(&axis), &self.place, "axis")?.as_slice() else {
            return Err(refusal(&self.place, "takes one axis"));
        };
        last_len(axis, &dims, &self.place)?;
        model.wire_node(prefix, RowOperator::new(self.place.clone(), RunningSum), &[data])
    }
}

impl RowFunction for RunningSum {
    fn name(&self) -> &'static str {
        "CumSum"
    }

    fn output(&self, input: DatumType, _: Option<usize>) -> Result<(DatumType, Shape), String> {
        if input == DatumType::F32 {
            return Ok((input, Shape::Same));
        }
        Err(format!("takes FLOAT, its input holds {input:?}"))
    }

    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        map_rows(input, shape, |row: &[f32], out: &mut [f32]| {
            let mut sum = 0.0;
            for (x, y) in row.iter().zip(out) {
                sum += x;
                *y = sum;
            }
        })
    }
}
