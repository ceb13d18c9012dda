//! Judging predictions against what is measured, and the alarms that stand.

pub mod alarms;

pub use alarms::{Alarms, Raised, Standing};

/// Measured minus predicted, where both are numbers.
#[must_use]
pub fn residual(measured: Option<f64>, predicted: f64) -> Option<f64> {
    measured.map(|measured| measured - predicted).filter(|residual| residual.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_residual_needs_both_sides() {
        assert_eq!(residual(Some(21.0), 20.5), Some(0.5));
        assert_eq!(residual(None, 20.5), None);
        assert_eq!(residual(Some(1.0), f64::NAN), None);
    }
}
