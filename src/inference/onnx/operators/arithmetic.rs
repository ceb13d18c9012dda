//! Mul, Div, Max and Min that compute what is written. tract's own turn a division into a multiplication by the
//! reciprocal, merge constant factors, drop a factor of zero, and prefer numbers to NaN: nearly the same, but a
//! threshold behind it may fall on the other side, and what is missing must stay missing.

use std::ops::{Div, Mul};

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_core::ops::binary::BinMiniOp;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::binary::{BinIntoHir, Nary};
use tract_onnx::tract_hir::tract_ndarray::Zip;

use super::Built;
use super::attributes::Reader;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arithmetic {
    Product,
    Quotient,
    Maximum,
    Minimum,
}

pub(super) fn product(_: &ParsingContext, node: &NodeProto) -> Built {
    Reader::new(node).finish()?;
    Ok((Arithmetic::Product.into_hir(), vec![]))
}

pub(super) fn maximum(_: &ParsingContext, node: &NodeProto) -> Built {
    Reader::new(node).finish()?;
    Ok((Box::new(Nary(Box::new(Arithmetic::Maximum), false)), vec![]))
}

pub(super) fn minimum(_: &ParsingContext, node: &NodeProto) -> Built {
    Reader::new(node).finish()?;
    Ok((Box::new(Nary(Box::new(Arithmetic::Minimum), false)), vec![]))
}

pub(super) fn quotient(_: &ParsingContext, node: &NodeProto) -> Built {
    Reader::new(node).finish()?;
    Ok((Arithmetic::Quotient.into_hir(), vec![]))
}

impl Arithmetic {
    fn float<T: Mul<Output = T> + Div<Output = T> + PartialOrd + Copy>(self, a: T, b: T) -> T {
        let is_nan = |x: T| x.partial_cmp(&x).is_none();
        match self {
            Arithmetic::Product => a * b,
            Arithmetic::Quotient => a / b,
            Arithmetic::Maximum if is_nan(a) || a > b => a,
            Arithmetic::Minimum if is_nan(a) || a < b => a,
            Arithmetic::Maximum | Arithmetic::Minimum => b,
        }
    }

    /// Wraps around, and gives 0 for a division by zero.
    fn whole(self, a: i64, b: i64) -> i64 {
        match self {
            Arithmetic::Product => a.wrapping_mul(b),
            Arithmetic::Quotient if b == 0 => 0,
            Arithmetic::Quotient => a.wrapping_div(b),
            Arithmetic::Maximum => a.max(b),
            Arithmetic::Minimum => a.min(b),
        }
    }

    fn fill<T: Datum + Copy>(
        c: &mut Tensor,
        a: &Tensor,
        b: &Tensor,
        f: impl Fn(T, T) -> T,
    ) -> TractResult<()> {
        let (a, b) = (a.to_plain_array_view::<T>()?, b.to_plain_array_view::<T>()?);
        let mut plain = c.try_as_plain_ram_mut()?;
        let mut c = plain.to_array_view_mut::<T>()?;
        Zip::from(&mut c).and_broadcast(a).and_broadcast(b).for_each(|c, a, b| *c = f(*a, *b));
        Ok(())
    }
}

impl BinMiniOp for Arithmetic {
    fn name(&self) -> &'static str {
        match self {
            Arithmetic::Product => "Mul",
            Arithmetic::Quotient => "Div",
            Arithmetic::Maximum => "Max",
            Arithmetic::Minimum => "Min",
        }
    }

    fn result_datum_type(&self, a: DatumType, b: DatumType) -> TractResult<DatumType> {
        let known = [DatumType::F32, DatumType::F64, DatumType::I64, DatumType::I32];
        if a != b || !known.contains(&a) {
            bail!("{} takes two tensors of FLOAT, DOUBLE, INT64 or INT32, not {a:?} and {b:?}", self.name());
        }
        Ok(a)
    }

    #[allow(clippy::cast_possible_truncation)] // of a 32-bit number and a result that wraps around
    fn eval_out_of_place(&self, c: &mut Tensor, a: &Tensor, b: &Tensor) -> TractResult<()> {
        match c.datum_type() {
            DatumType::F32 => Arithmetic::fill(c, a, b, |a: f32, b| self.float(a, b)),
            DatumType::F64 => Arithmetic::fill(c, a, b, |a: f64, b| self.float(a, b)),
            DatumType::I64 => Arithmetic::fill(c, a, b, |a, b| self.whole(a, b)),
            DatumType::I32 => {
                Arithmetic::fill(c, a, b, |a: i32, b: i32| self.whole(a.into(), b.into()) as i32)
            }
            other => bail!("{} does not take {other:?}", self.name()),
        }
    }

    fn eval_in_a(&self, a: &mut Tensor, b: &Tensor) -> TractResult<()> {
        let first = a.clone();
        self.eval_out_of_place(a, &first, b)
    }

    fn is_commutative(&self) -> bool {
        *self != Arithmetic::Quotient
    }
}
