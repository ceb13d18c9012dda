//! cooltwin: MQTT sensor readings of HVAC unit coolers in, model predictions with their quality out.
//!
//! One street, one direction:
//!
//! ```text
//! bytes -> Reading -> UnitState -> FeatureVector -> Prediction -> Publish
//! ```
//!
//! The layers, leftmost first; imports point only leftward:
//!
//! ```text
//! domain <- bundle, inference, monitor, simulator <- engine <- daemon <- http <- cli
//! ```
//!
//! Everything left of `daemon` is pure: no clock, no file, no socket, no thread. Time comes in as
//! an argument and results go out as values, so replay, tests, benches and the daemon call the very
//! same [`engine::Engine::handle`]. `tests/architecture.rs` walks the sources and enforces this.

#[cfg(feature = "onnx")]
pub mod bundle;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod domain;
#[cfg(feature = "onnx")]
pub mod engine;
#[cfg(feature = "daemon")]
pub mod folder;
#[cfg(feature = "daemon")]
pub mod http;
pub mod inference;
#[cfg(feature = "onnx")]
pub mod monitor;
pub mod simulator;
