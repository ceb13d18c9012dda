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
mod reasons;
pub mod reference;
pub mod seal;
pub mod signature;
pub mod vector;

use std::collections::BTreeMap;

pub use evaluate::{Evaluation, Evaluator, Predictor};
pub use load::compile_features;
pub use manifest::Manifest;
pub use reasons::ListedReason;
pub use reference::Reference;
pub use seal::seal;
pub use signature::{PublicKey, SignedBy};
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
    /// How long the steps of loading took.
    pub load_times: LoadTimes,
}

/// How to load a bundle.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// The kernel that evaluates the tree ensembles; `None` is the fastest for each.
    pub kernel: Option<KernelKind>,
    /// Reads a clock, in nanoseconds.
    pub stopwatch: fn() -> u64,
}

impl Default for LoadOptions {
    /// The fastest kernels, and no clock.
    fn default() -> Self {
        Self { kernel: None, stopwatch: || 0 }
    }
}

/// How long the steps of loading took, in nanoseconds of [`LoadOptions::stopwatch`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadTimes {
    /// Comparing files with the hashes the manifest states.
    pub hashes: u64,
    /// Decoding, checking and laying out the models.
    pub models: u64,
    /// Parsing the manifest and the reference, compiling the features.
    pub features: u64,
    /// Replaying the golden vectors.
    pub golden: u64,
}

impl Bundle {
    /// Loads a bundle: manifest, features, models, hashes, golden vectors. All of it, or nothing.
    ///
    /// # Errors
    /// All that is wrong with it, each with file and place.
    pub fn load(files: &BundleFiles) -> Result<Self, BundleErrors> {
        load::load(files, LoadOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`Bundle::load`], and if the kernel asked for cannot evaluate a model of the bundle.
    pub fn load_with(files: &BundleFiles, options: LoadOptions) -> Result<Self, BundleErrors> {
        load::load(files, options)
    }

    /// Names of the targets, in order.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.manifest.targets.iter().map(|target| target.name.as_str())
    }
}
