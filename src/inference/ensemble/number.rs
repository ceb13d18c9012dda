//! The two precisions an ensemble can compare and add in.

use std::borrow::Cow;
use std::fmt::{Debug, Display};
use std::ops::{Add, Div, Mul, Neg};

/// `f32`, or `f64` for a model that was exported with double inputs.
pub(crate) trait Number:
    Copy
    + Debug
    + Display
    + Default
    + PartialOrd
    + From<f32>
    + Into<f64>
    + Add<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Send
    + Sync
    + 'static
{
    /// The lowest finite number.
    const LOWEST: Self;

    /// The nearest value to `value`.
    fn from_f64(value: f64) -> Self;

    /// A list of single-precision numbers in this precision, the list itself where it is the same.
    fn list(values: Cow<'_, [f32]>) -> Cow<'_, [Self]>;

    fn is_nan(self) -> bool;

    fn is_finite(self) -> bool;

    /// The nearest single-precision value: what the operator gives out whatever it adds in.
    fn to_f32(self) -> f32;

    /// e to the power of this, rounded to the nearest.
    fn exp(self) -> Self;
}

impl Number for f32 {
    const LOWEST: f32 = f32::MIN;

    fn from_f64(value: f64) -> f32 {
        value as f32
    }

    fn list(values: Cow<'_, [f32]>) -> Cow<'_, [f32]> {
        values
    }

    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }

    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }

    fn to_f32(self) -> f32 {
        self
    }

    fn exp(self) -> f32 {
        libm::exp(f64::from(self)) as f32
    }
}

impl Number for f64 {
    const LOWEST: f64 = f64::MIN;

    fn from_f64(value: f64) -> f64 {
        value
    }

    fn list(values: Cow<'_, [f32]>) -> Cow<'_, [f64]> {
        values.iter().map(|value| f64::from(*value)).collect()
    }

    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }

    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }

    fn to_f32(self) -> f32 {
        self as f32
    }

    fn exp(self) -> f64 {
        libm::exp(self)
    }
}
