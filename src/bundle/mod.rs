//! A bundle is the whole model: sensors, features, ONNX files, golden vectors, drift reference, hashes.

pub mod compile;
pub mod expression;
pub mod manifest;
pub mod program;
pub mod reference;
pub mod vector;

use std::collections::BTreeMap;

/// The files of a bundle folder, by name, as read by the edge.
#[derive(Debug, Clone, Default)]
pub struct BundleFiles(pub BTreeMap<String, Vec<u8>>);

/// Everything that is wrong with a bundle, all at once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BundleErrors(pub Vec<String>);

/// A loaded bundle: checked, compiled, proven against its golden vectors.
#[derive(Debug)]
pub struct Bundle {
    /// Which model this is.
    pub identity: crate::domain::ModelIdentity,
}

impl Bundle {
    /// Loads a bundle from its files.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(_files: &BundleFiles) -> Result<Self, BundleErrors> {
        Err(BundleErrors(vec!["not built yet".into()]))
    }
}
