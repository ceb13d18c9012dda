//! Cast. tract's own makes dimensions of INT64 and turns NaN into the number 0: a missing category would
//! become the first one.

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::tract_core::ops;
use tract_onnx::tract_hir::internal::*;

use super::attributes::Reader;
use super::rows::{RowFunction, RowOperator, Shape, map_rows};
use super::{Built, describe};

#[derive(Debug, Clone)]
struct Cast {
    to: DatumType,
    place: String,
}

pub(super) fn cast(_: &ParsingContext, node: &NodeProto) -> Built {
    let mut reader = Reader::new(node);
    let to = reader.int("to");
    // Of eight-bit floats, which are not supported.
    let _ = reader.int("saturate");
    let _ = reader.string("round_mode");
    let data_type = to.and_then(|to| i32::try_from(to).ok()).and_then(|to| DataType::try_from(to).ok());
    let to = match data_type {
        Some(DataType::Float) => DatumType::F32,
        Some(DataType::Double) => DatumType::F64,
        Some(DataType::Int32) => DatumType::I32,
        Some(DataType::Int64) => DatumType::I64,
        Some(DataType::Bool) => DatumType::Bool,
        other => {
            let found = other.map_or("no type", |t| t.as_str_name());
            reader.refuse("to", format!("is {found}; FLOAT, DOUBLE, INT32, INT64 and BOOL are supported"));
            DatumType::F32
        }
    };
    reader.finish()?;
    Ok((expand(Cast { to, place: describe(node) }), vec![]))
}

impl Expansion for Cast {
    fn name(&self) -> StaticName {
        "Cast".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        s.equals(&outputs[0].datum_type, self.to)?;
        s.equals(&outputs[0].shape, &inputs[0].shape)
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        let &[input] = inputs else { bail!("{} takes one input", self.place) };
        let from = model.outlet_fact(input)?.datum_type;
        if from.is_float() && self.to.is_integer() {
            return model.wire_node(prefix, RowOperator::new(self.place.clone(), WholePart(self.to)), inputs);
        }
        model.wire_node(prefix, ops::cast::cast(self.to), inputs)
    }
}

/// The whole part of each number. What is none, or too large, becomes the least number there is: the same on every
/// processor, what ONNX Runtime gives on x86-64, and no category of any encoder.
#[derive(Debug)]
struct WholePart(DatumType);

impl RowFunction for WholePart {
    fn name(&self) -> &'static str {
        "Cast"
    }

    fn output(&self, input: DatumType, _: Option<usize>) -> Result<(DatumType, Shape), String> {
        if [DatumType::F32, DatumType::F64].contains(&input) {
            return Ok((self.0, Shape::Same));
        }
        Err(format!("takes FLOAT or DOUBLE, its input holds {input:?}"))
    }

    #[allow(clippy::cast_possible_truncation)] // in range where it is used
    fn eval(&self, input: &Tensor, shape: &[usize]) -> TractResult<Tensor> {
        let input = input.cast_to::<f64>()?;
        if self.0 == DatumType::I32 {
            return map_rows(&input, shape, |row: &[f64], out: &mut [i32]| {
                let whole = row.iter().map(|x| whole_part(*x, 31).map_or(i32::MIN, |x| x as i32));
                out.iter_mut().zip(whole).for_each(|(y, x)| *y = x);
            });
        }
        map_rows(&input, shape, |row: &[f64], out: &mut [i64]| {
            let whole = row.iter().map(|x| whole_part(*x, 63).map_or(i64::MIN, |x| x as i64));
            out.iter_mut().zip(whole).for_each(|(y, x)| *y = x);
        })
    }
}

/// `x` without its fraction, if that fits a signed number of `bits` and a sign.
fn whole_part(x: f64, bits: i32) -> Option<f64> {
    let limit = 2_f64.powi(bits);
    Some(x.trunc()).filter(|x| (-limit..limit).contains(x))
}
