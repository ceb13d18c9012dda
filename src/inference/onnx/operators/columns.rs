//! Operators that pick and join columns: `ArrayFeatureExtractor` and `FeatureVectorizer` of ai.onnx.ml, Gather and
//! Slice of the default domain. Indices are constants and checked at load: tract would find a wrong one
//! when a row is predicted.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops;
use tract_onnx::tract_hir::internal::*;

use super::attributes::{Numbers, Reader};
use super::ranking::look_up;
use super::rows::{RowFunction, Shape, number, operator};
use super::{Built, describe, refusal};
use crate::inference::limits::{MAX_FEATURES, MAX_ROW_ELEMENTS};

/// The values of an input that must be a constant.
pub(super) fn constant(
    model: &TypedModel,
    outlet: Option<&OutletId>,
    place: &str,
    what: &str,
) -> TractResult<Vec<i64>> {
    let tensor = outlet.and_then(|outlet| model.outlet_fact(*outlet).ok()?.konst.clone());
    let tensor = tensor.ok_or_else(|| refusal(place, format!("its {what} are no constants")))?;
    let tensor = tensor.cast_to::<i64>()?;
    Ok(tensor.try_as_plain_ram()?.as_slice::<i64>()?.to_vec())
}

/// `axis`, counted from the end if negative.
pub(super) fn resolve_axis(axis: i64, rank: usize, place: &str) -> TractResult<usize> {
    let positive = if axis < 0 { axis.checked_add_unsigned(rank as u64) } else { Some(axis) };
    positive
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|axis| *axis < rank)
        .ok_or_else(|| refusal(place, format!("axis {axis} does not exist, its input has {rank} axes")))
}

/// Number of values along `axis`, which must not be that of the rows. It is counted out in lists, so it is bounded
/// here: the sizes of tensors are only checked when all are known.
pub(super) fn fixed_len(dims: &[TDim], axis: usize, place: &str) -> TractResult<usize> {
    let len = dims.get(axis).and_then(|dim| dim.to_usize().ok());
    let len =
        len.ok_or_else(|| refusal(place, "acts along the rows; each row must be predicted by itself"))?;
    if i64::try_from(len).is_ok_and(|len| len <= MAX_ROW_ELEMENTS) {
        return Ok(len);
    }
    Err(refusal(place, format!("its input has {len} columns, at most {MAX_ROW_ELEMENTS} are supported")))
}

/// Number of values along `axis`, which must be the last, for operators that take a row after the other.
pub(super) fn last_len(axis: i64, dims: &[TDim], place: &str) -> TractResult<usize> {
    let axis = resolve_axis(axis, dims.len(), place)?;
    let len = fixed_len(dims, axis, place)?;
    if axis + 1 != dims.len() {
        return Err(refusal(place, format!("works along axis {axis}; only the last is supported")));
    }
    Ok(len)
}

/// Gather, and `ArrayFeatureExtractor`, which gathers on the last axis and knows no negative index.
#[derive(Debug, Clone)]
struct Pick {
    axis: i64,
    features: bool,
    place: String,
}

pub(super) fn gather(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let axis = reader.int("axis").unwrap_or(0);
    reader.finish()?;
    Ok((expand(Pick { axis, features: false, place: describe(node) }), vec![]))
}

pub(super) fn array_feature_extractor(_: &ParsingContext, node: &NodeProto) -> Built {
    Reader::new(node).finish()?;
    Ok((expand(Pick { axis: -1, features: true, place: describe(node) }), vec![]))
}

impl Pick {
    fn index(&self, index: i64, len: usize) -> TractResult<i64> {
        let positive =
            if index < 0 && !self.features { index.checked_add_unsigned(len as u64) } else { Some(index) };
        let sound = positive.filter(|index| usize::try_from(*index).is_ok_and(|index| index < len));
        sound.ok_or_else(|| {
            refusal(&self.place, format!("index {index} is out of range, its input has {len} columns"))
        })
    }
}

impl Expansion for Pick {
    fn name(&self) -> StaticName {
        if self.features { "ArrayFeatureExtractor".into() } else { "Gather".into() }
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let ([data, indices], [output]) = (inputs, outputs) else {
            return Err(refusal(&self.place, "takes two inputs and gives one output"));
        };
        s.equals(&output.datum_type, &data.datum_type)?;
        s.given_2(&data.shape, &indices.shape, move |s, dims, picked| {
            let axis = resolve_axis(self.axis, dims.len(), &self.place)?;
            let mut shape: TVec<TDim> = dims.iter().take(axis).cloned().collect();
            if self.features && shape.is_empty() {
                // A list counts as one row.
                shape.push(1.to_dim());
            }
            if self.features {
                shape.push(picked.iter().product());
            } else {
                shape.extend(picked);
            }
            shape.extend(dims.iter().skip(axis + 1).cloned());
            s.equals(&output.shape, shape)
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let &[data, indices] = inputs else { return Err(refusal(&self.place, "takes two inputs")) };
        let fact = model.outlet_fact(data)?.clone();
        if let (true, Some(data)) = (self.features, &fact.konst) {
            let dims = model.outlet_fact(indices)?.shape.to_tvec();
            let found = look_up(data, &self.place)?;
            let found = model.wire_node(format!("{prefix}.found"), found, &[indices])?;
            let flat = tvec!(1.to_dim(), dims.iter().product());
            return model.wire_node(prefix, AxisOp::Reshape(0, dims, flat), &found);
        }
        let shape = fact.shape;
        let axis = resolve_axis(self.axis, shape.rank(), &self.place)?;
        let len = fixed_len(&shape, axis, &self.place)?;
        let picked = constant(model, Some(&indices), &self.place, "indices")?;
        let checked =
            picked.into_iter().map(|index| self.index(index, len)).collect::<TractResult<Vec<i64>>>()?;
        let picked = &model.outlet_fact(indices)?.shape;
        let shape: Vec<usize> = match picked.as_concrete() {
            _ if self.features => vec![checked.len()],
            Some(shape) => shape.to_vec(),
            None => return Err(refusal(&self.place, "the number of its indices is not fixed")),
        };
        let tensor = Tensor::from_shape(&shape, &checked)?.into_arc_tensor();
        let indices = model.add_const(format!("{prefix}.indices"), tensor)?;
        model.wire_node(prefix, ops::array::Gather::new(axis), &[data, indices])
    }
}

/// Slice, with its bounds as inputs or, before operator set 10, as attributes.
#[derive(Debug, Clone)]
struct Slice {
    /// Starts, ends and axes of the old form.
    attributes: Option<[Vec<i64>; 3]>,
    /// Which of the inputs starts, ends, axes and steps are there.
    given: [bool; 4],
    place: String,
}

pub(super) fn slice(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let attributes = ["starts", "ends", "axes"].map(|name| reader.ints(name).to_vec());
    reader.finish()?;
    let given = [1, 2, 3, 4].map(|at| node.input.get(at).is_some_and(|name| !name.is_empty()));
    let attributes = (!given[0]).then_some(attributes);
    Ok((expand(Slice { attributes, given, place: describe(node) }), vec![]))
}

/// Positions `start`, `start + step` ... before `end` on an axis of `len`, as numpy counts them.
fn positions(start: i64, end: i64, step: i64, len: usize) -> Vec<i64> {
    let len = len as i64;
    let (low, high) = if step < 0 { (-1, len - 1) } else { (0, len) };
    let resolve = |at: i64| if at < 0 { at.saturating_add(len) } else { at }.clamp(low, high);
    let (start, end) = (resolve(start), resolve(end));
    let mut found = Vec::new();
    let mut at = start;
    while (step > 0 && at < end) || (step < 0 && at > end) {
        found.push(at);
        at = at.saturating_add(step);
    }
    found
}

impl Slice {
    /// What is picked of each axis that is not taken whole.
    fn picks(&self, bounds: [Vec<i64>; 4], dims: &[TDim]) -> TractResult<Vec<(usize, Vec<i64>)>> {
        let [starts, ends, axes, steps] = bounds;
        let n = starts.len();
        let axes = if axes.is_empty() { (0..n as i64).collect() } else { axes };
        let steps = if steps.is_empty() { vec![1; n] } else { steps };
        if n == 0 || ends.len() != n || axes.len() != n || steps.len() != n || n > dims.len() {
            return Err(refusal(&self.place, "starts, ends, axes and steps must be one each per axis"));
        }
        let mut picks = Vec::new();
        for ((start, end), (axis, step)) in starts.into_iter().zip(ends).zip(axes.into_iter().zip(steps)) {
            let axis = resolve_axis(axis, dims.len(), &self.place)?;
            // All rows: any end beyond what a tensor can hold stands for that.
            if dims.get(axis).is_some_and(|dim| dim.to_usize().is_err())
                && (start, step) == (0, 1)
                && end >= i64::from(i32::MAX)
            {
                continue;
            }
            let found = positions(start, end, step, fixed_len(dims, axis, &self.place)?);
            if found.is_empty() || step == 0 {
                return Err(refusal(&self.place, format!("takes nothing of axis {axis}")));
            }
            picks.push((axis, found));
        }
        Ok(picks)
    }

    fn shape(picks: &[(usize, Vec<i64>)], dims: &[TDim]) -> TVec<TDim> {
        let mut shape: TVec<TDim> = dims.into();
        for (axis, found) in picks {
            if let Some(dim) = shape.get_mut(*axis) {
                *dim = found.len().to_dim();
            }
        }
        shape
    }
}

impl Expansion for Slice {
    fn name(&self) -> StaticName {
        "Slice".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let ([data, bounds @ ..], [output]) = (inputs, outputs) else {
            return Err(refusal(&self.place, "gives one output"));
        };
        s.equals(&output.datum_type, &data.datum_type)?;
        s.given(&data.shape, move |s, dims| {
            let rest: Vec<_> = bounds.iter().map(|input| (&input.value).bex()).collect();
            s.given_all(rest, move |s, values: Vec<Arc<Tensor>>| {
                let mut values = values.into_iter();
                let mut bounds = <[Vec<i64>; 4]>::default();
                for (slot, _) in bounds.iter_mut().zip(self.given).filter(|(_, given)| *given) {
                    let Some(value) = values.next() else { break };
                    *slot = value.cast_to::<i64>()?.try_as_plain_ram()?.as_slice::<i64>()?.to_vec();
                }
                let picks = self.picks(self.with_attributes(bounds), &dims)?;
                s.equals(&output.shape, Slice::shape(&picks, &dims))
            })
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let Some((data, rest)) = inputs.split_first() else {
            return Err(refusal(&self.place, "has no input"));
        };
        let mut rest = rest.iter();
        let mut bounds = <[Vec<i64>; 4]>::default();
        for (slot, _) in bounds.iter_mut().zip(self.given).filter(|(_, given)| *given) {
            *slot = constant(model, rest.next(), &self.place, "bounds")?;
        }
        let dims = model.outlet_fact(*data)?.shape.clone();
        let mut data = *data;
        for (axis, found) in self.picks(self.with_attributes(bounds), &dims)? {
            let indices = model.add_const(format!("{prefix}.indices-{axis}"), rctensor1(&found))?;
            let name = format!("{prefix}.axis-{axis}");
            data = model.wire_node(name, ops::array::Gather::new(axis), &[data, indices])?[0];
        }
        Ok(tvec!(data))
    }
}

impl Slice {
    fn with_attributes(&self, bounds: [Vec<i64>; 4]) -> [Vec<i64>; 4] {
        match &self.attributes {
            Some([starts, ends, axes]) => [starts.clone(), ends.clone(), axes.clone(), vec![]],
            None => bounds,
        }
    }
}

/// Joins its inputs, column by column.
#[derive(Debug, Clone)]
struct FeatureVectorizer {
    widths: Vec<usize>,
    place: String,
}

pub(super) fn feature_vectorizer(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let found = reader.ints("inputdimensions");
    if found.len() != node.input.len() || found.is_empty() {
        reader
            .refuse("inputdimensions", format!("has {} values for {} inputs", found.len(), node.input.len()));
    }
    let mut widths = Vec::with_capacity(found.len());
    for (i, width) in found.iter().enumerate() {
        match usize::try_from(*width).ok().filter(|width| (1..=MAX_FEATURES).contains(width)) {
            Some(width) => widths.push(width),
            None => {
                reader.refuse(
                    format!("inputdimensions[{i}]"),
                    format!("is {width}, must be 1 to {MAX_FEATURES}"),
                );
            }
        }
    }
    reader.finish()?;
    Ok((expand(FeatureVectorizer { widths, place: describe(node) }), vec![]))
}

impl Expansion for FeatureVectorizer {
    fn name(&self) -> StaticName {
        "FeatureVectorizer".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let ([first, ..], [output]) = (inputs, outputs) else {
            return Err(refusal(&self.place, "takes inputs and gives one output"));
        };
        for input in inputs {
            s.equals(&input.rank, 2)?;
        }
        s.equals(&output.datum_type, f32::datum_type())?;
        s.equals(&output.rank, 2)?;
        s.equals(&output.shape[0], &first.shape[0])?;
        s.equals(&output.shape[1], self.widths.iter().sum::<usize>().to_dim())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let mut parts: TVec<OutletId> = tvec!();
        for (i, (input, width)) in inputs.iter().zip(&self.widths).enumerate() {
            let fact = model.outlet_fact(*input)?;
            number(fact.datum_type).map_err(|reason| refusal(&self.place, reason))?;
            let found = fact.shape.get(1).and_then(|dim| dim.to_usize().ok());
            if found != Some(*width) {
                let found = found.map_or("an open number of".to_owned(), |found| found.to_string());
                let reason = format!("is {width}, the input has {found} columns");
                return Err(refusal(&format!("{}: inputdimensions[{i}]", self.place), reason));
            }
            let cast = ops::cast::cast(f32::datum_type());
            parts.extend(model.wire_node(format!("{prefix}.to_f32-{i}"), cast, &[*input])?);
        }
        model.wire_node(prefix, ops::array::TypedConcat::new(1), &parts)
    }
}

/// `ConstantOfShape` of the shape of a tensor, rewritten to take the tensor itself: so its size is that
/// of a tensor which has been checked.
#[derive(Debug)]
struct FilledLike(Numbers);

pub(super) fn filled_like(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let value = reader.tensor("value").unwrap_or(Numbers::Single(vec![0.0]));
    if value.len() != 1 {
        reader.refuse("value", format!("has {} values where one is expected", value.len()));
    }
    reader.finish()?;
    Ok(operator(node, FilledLike(value)))
}

impl RowFunction for FilledLike {
    fn name(&self) -> &'static str {
        "ConstantOfShape"
    }

    fn output(&self, _: DatumType, _: Option<usize>) -> Result<(DatumType, Shape), String> {
        let datum_type = match &self.0 {
            Numbers::Whole(_) => DatumType::I64,
            Numbers::Single(_) => DatumType::F32,
            Numbers::Double(_) => DatumType::F64,
        };
        Ok((datum_type, Shape::Same))
    }

    fn eval(&self, _: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        match &self.0 {
            Numbers::Whole(value) => tensor1(value),
            Numbers::Single(value) => tensor1(value),
            Numbers::Double(value) => tensor1(value),
        }
        .broadcast_to_shape(shape)
    }
}
