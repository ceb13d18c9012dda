//! Models: ONNX bytes in, numbers out.
//!
//! ```text
//! bytes -> prescan -> decode -> guard -> tract -> kernel (a bare tree ensemble) or plan (the rest)
//! ```
//!
//! - `onnx` takes a file through its checks and through tract, which it gives the operators of
//!   gradient-boosted trees and forests that tract lacks.
//! - `ensemble` is a tree ensemble whose every index has been checked.
//! - `kernel` evaluates it, to the bit as ONNX Runtime with one thread does.
//! - [`Model`] and [`ModelSet`] are what the layers to the right see.
//!
//! This layer knows bytes and numbers only: no files, no clock, no names of sensors.

// Without the feature `onnx` nothing fills the ensembles and calls the kernels but their tests.
#[cfg_attr(not(feature = "onnx"), allow(dead_code, unused_imports))]
mod ensemble;
#[cfg_attr(not(feature = "onnx"), allow(dead_code))]
mod error;
mod info;
#[cfg_attr(not(feature = "onnx"), allow(dead_code))]
mod kernel;
pub mod limits;
#[cfg(feature = "onnx")]
mod model;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
mod set;
#[cfg(test)]
mod testing;
#[cfg(test)]
#[cfg(feature = "onnx")]
mod tests;

pub use error::{ModelError, ModelErrors, Problem, Problems};
pub use info::{EnsembleInfo, ModelInfo, Path};
pub use kernel::KernelKind;
#[cfg(feature = "onnx")]
pub use model::Model;
#[cfg(feature = "onnx")]
pub use set::{ModelSet, ModelSource, Rows, TargetSource};
