//! Reductions along one axis. Sums are made in double precision, one after the other: every processor gives the
//! same bits. The greatest and the least value of a row with NaN is NaN; in ONNX Runtime that depends on where in the row
//! it stands.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_hir::internal::*;

use super::attributes::Reader;
use super::columns::{constant, resolve_axis};
use super::rows::{RowFunction, RowOperator, Shape, fixed, map_rows};
use super::{Built, describe, refusal};

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduction {
    ArgMax { last: bool },
    ArgMin { last: bool },
    L1,
    L2,
    Max,
    Mean,
    Min,
    Product,
    Sum,
    SumSquare,
}

#[derive(Debug, Clone)]
struct Reduce {
    name: &'static str,
    reduction: Reduction,
    /// `None`: not given as an attribute.
    axes: Option<Vec<i64>>,
    keep: bool,
    place: String,
}

/// The operator of a node whose name says which reduction it is.
pub(super) fn reduce(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let arg = node.op_type.starts_with("Arg");
    let last = arg && reader.int("select_last_index").unwrap_or(0) != 0;
    let (name, reduction) = match node.op_type.as_str() {
        "ArgMax" => ("ArgMax", Reduction::ArgMax { last }),
        "ArgMin" => ("ArgMin", Reduction::ArgMin { last }),
        "ReduceL1" => ("ReduceL1", Reduction::L1),
        "ReduceL2" => ("ReduceL2", Reduction::L2),
        "ReduceMax" => ("ReduceMax", Reduction::Max),
        "ReduceMean" => ("ReduceMean", Reduction::Mean),
        "ReduceMin" => ("ReduceMin", Reduction::Min),
        "ReduceProd" => ("ReduceProd", Reduction::Product),
        "ReduceSum" => ("ReduceSum", Reduction::Sum),
        "ReduceSumSquare" => ("ReduceSumSquare", Reduction::SumSquare),
        other => bail!("{other} is no reduction"),
    };
    let keep = reader.int("keepdims").unwrap_or(1) != 0;
    let axes = if arg {
        Some(vec![reader.int("axis").unwrap_or(0)])
    } else {
        // Without axes all are reduced, or none; neither leaves the rows apart.
        let _ = reader.int("noop_with_empty_axes");
        Some(reader.ints("axes").to_vec()).filter(|axes| !axes.is_empty())
    };
    reader.finish()?;
    Ok((expand(Reduce { name, reduction, axes, keep, place: describe(node) }), vec![]))
}

impl Reduce {
    /// The axis of `dims` that `axes` name, which must not be that of the rows.
    fn axis(&self, axes: &[i64], dims: &[TDim]) -> TractResult<usize> {
        let &[axis] = axes else {
            return Err(refusal(&self.place, format!("reduces {} axes, one is supported", axes.len())));
        };
        let axis = resolve_axis(axis, dims.len(), &self.place)?;
        if dims.get(axis).is_some_and(|dim| dim.to_usize().is_ok()) {
            return Ok(axis);
        }
        let reason = format!("works along axis {axis}, that of the rows; each row is predicted by itself");
        Err(refusal(&self.place, reason))
    }

    fn reduced(&self, axis: usize, mut dims: TVec<TDim>) -> TVec<TDim> {
        match dims.get_mut(axis) {
            Some(dim) if self.keep => *dim = 1.to_dim(),
            _ => drop(dims.remove(axis)),
        }
        dims
    }

    fn output(&self, input: DatumType) -> DatumType {
        match self.reduction {
            Reduction::ArgMax { .. } | Reduction::ArgMin { .. } => DatumType::I64,
            _ => input,
        }
    }
}

impl Expansion for Reduce {
    fn name(&self) -> StaticName {
        self.name.into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let ([input, axes @ ..], [output]) = (inputs, outputs) else {
            return Err(refusal(&self.place, "gives one output"));
        };
        s.given(&input.datum_type, move |s, input| s.equals(&output.datum_type, self.output(input)))?;
        s.given(&input.shape, move |s, dims| {
            if let Some(axes) = &self.axes {
                let axis = self.axis(axes, &dims)?;
                return s.equals(&output.shape, self.reduced(axis, dims));
            }
            let [axes] = axes else { return Err(refusal(&self.place, "reduces all axes; give one")) };
            s.given(&axes.value, move |s, axes| {
                let axes = axes.cast_to::<i64>()?;
                let axis = self.axis(axes.try_as_plain_ram()?.as_slice::<i64>()?, &dims)?;
                s.equals(&output.shape, self.reduced(axis, dims.clone()))
            })
        })
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let Some((input, rest)) = inputs.split_first() else { bail!("{} has no input", self.place) };
        let dims = model.outlet_fact(*input)?.shape.clone();
        let axis = match &self.axes {
            Some(axes) => self.axis(axes, &dims)?,
            None => self.axis(&constant(model, rest.first(), &self.place, "axes")?, &dims)?,
        };
        let last = dims.rank() - 1;
        let mut wire = tvec!(*input);
        if axis != last {
            wire = model.wire_node(format!("{prefix}.to_last"), AxisOp::Move(axis, last), &wire)?;
        }
        let function = Named { name: self.name, reduction: self.reduction };
        let function = RowOperator::new(self.place.clone(), function);
        wire = model.wire_node(format!("{prefix}.reduced"), function, &wire)?;
        let back = if self.keep { AxisOp::Move(last, axis) } else { AxisOp::Rm(last) };
        if self.keep && axis == last { Ok(wire) } else { model.wire_node(prefix, back, &wire) }
    }
}

#[derive(Debug)]
struct Named {
    name: &'static str,
    reduction: Reduction,
}

impl RowFunction for Named {
    fn name(&self) -> &'static str {
        self.name
    }

    fn output(&self, input: DatumType, columns: Option<usize>) -> Result<(DatumType, Shape), String> {
        if fixed(columns)? == 0 {
            return Err("its input has no columns".to_owned());
        }
        if ![DatumType::F32, DatumType::F64].contains(&input) {
            return Err(format!("takes FLOAT or DOUBLE, its input holds {input:?}"));
        }
        let index = matches!(self.reduction, Reduction::ArgMax { .. } | Reduction::ArgMin { .. });
        Ok((if index { DatumType::I64 } else { input }, Shape::Columns(1)))
    }

    #[allow(clippy::cast_possible_truncation)] // the type of the input is that of the output
    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        if let Reduction::ArgMax { last } | Reduction::ArgMin { last } = self.reduction {
            let greatest = matches!(self.reduction, Reduction::ArgMax { .. });
            let input = input.cast_to::<f64>()?;
            return map_rows(&input, shape, |row: &[f64], out: &mut [i64]| {
                out.fill(extreme(row, greatest, last).0 as i64);
            });
        }
        if input.datum_type() == DatumType::F64 {
            return map_rows(input, shape, |row: &[f64], out: &mut [f64]| {
                out.fill(self.reduction.row(row.iter().copied()));
            });
        }
        map_rows(input, shape, |row: &[f32], out: &mut [f32]| {
            out.fill(match self.reduction {
                // Rounded at each step, as it is written.
                Reduction::Product => row.iter().product(),
                reduction => reduction.row(row.iter().map(|x| f64::from(*x))) as f32,
            });
        })
    }
}

/// Position and value of the greatest or least number, the first or last of equals.
fn extreme(row: &[f64], greatest: bool, last: bool) -> (usize, f64) {
    let mut numbers = row.iter().copied().enumerate();
    let first = numbers.next().unwrap_or((0, f64::NAN));
    numbers.fold(first, |(at, best), (i, x)| {
        let beyond = if greatest { x > best } else { x < best };
        if beyond || (last && x == best) { (i, x) } else { (at, best) }
    })
}

impl Reduction {
    fn row(self, row: impl ExactSizeIterator<Item = f64>) -> f64 {
        let n = row.len() as f64;
        match self {
            Reduction::L1 => row.fold(0.0, |sum, x| sum + x.abs()),
            Reduction::L2 => row.fold(0.0, |sum, x| sum + x * x).sqrt(),
            Reduction::Max => {
                row.reduce(|best, x| if x > best || x.is_nan() { x } else { best }).unwrap_or(f64::NAN)
            }
            Reduction::Min => {
                row.reduce(|best, x| if x < best || x.is_nan() { x } else { best }).unwrap_or(f64::NAN)
            }
            Reduction::Mean => row.fold(0.0, |sum, x| sum + x) / n,
            Reduction::Product => row.fold(1.0, |product, x| product * x),
            Reduction::Sum => row.fold(0.0, |sum, x| sum + x),
            Reduction::SumSquare => row.fold(0.0, |sum, x| sum + x * x),
            // Positions, not values.
            Reduction::ArgMax { .. } | Reduction::ArgMin { .. } => f64::NAN,
        }
    }
}
