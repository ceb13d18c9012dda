//! A bundle is the whole model: sensors, features, ONNX files, golden vectors, drift reference, hashes.
//!
//! The daemon has no feature formula of its own: features are declared in `bundle.toml` and compiled at
//! load, and the same compiled features build the training matrix.

pub mod compile;
pub mod evaluate;
pub mod expression;
pub mod golden;
mod load;
pub mod manifest;
pub mod program;
pub mod reference;
pub mod seal;
pub mod vector;

use std::collections::BTreeMap;

pub use evaluate::{Evaluation, Evaluator, Predictor};
pub use load::compile_features;
pub use manifest::Manifest;
pub use reference::Reference;
pub use seal::seal;
pub use vector::{Assembler, Assembly};

use crate::domain::ModelIdentity;
use crate::inference::KernelKind;

/// The files of a bundle folder, by name, as read by the edge.
#[derive(Debug, Clone, Default)]
pub struct BundleFiles(pub BTreeMap<String, Vec<u8>>);

/// Everything that is wrong with a bundle, all at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BundleErrors(pub Vec<String>);

/// A loaded bundle: checked, compiled, proven against its golden vectors.
#[derive(Debug)]
pub struct Bundle {
    /// Which model this is.
    pub identity: ModelIdentity,
    /// What it declares.
    pub manifest: Manifest,
    /// How its training data were distributed, where it says so.
    pub reference: Option<Reference>,
    /// Readings to predictions.
    pub evaluator: Evaluator,
    /// Features computed from a measured target. Where there is one, residuals say nothing about faults.
    pub leaking_features: Vec<String>,
    /// Golden frames that were replayed.
    pub golden_frames: usize,
}

impl Bundle {
    /// Loads a bundle: manifest, features, models, hashes, golden vectors. All of it, or nothing.
    ///
    /// # Errors
    /// All that is wrong with it, each with file and place.
    pub fn load(files: &BundleFiles) -> Result<Self, BundleErrors> {
        load::load(files, None)
    }

    /// The same with the kernel that evaluates the tree ensembles; `None` for the fastest.
    ///
    /// # Errors
    /// As [`Bundle::load`], and if the kernel cannot evaluate a model of the bundle.
    pub fn load_with(files: &BundleFiles, kernel: Option<KernelKind>) -> Result<Self, BundleErrors> {
        load::load(files, kernel)
    }

    /// Names of the targets, in order.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.manifest.targets.iter().map(|target| target.name.as_str())
    }
}
