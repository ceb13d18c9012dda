//! `bundle.toml`: what a bundle declares. Parsing checks everything that can be checked without the
//! other files and reports all of it at once.

mod check;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::domain::ZoneSpec;
use check::{Problems, RawManifest};

/// Name of the manifest in a bundle folder.
pub const MANIFEST_FILE: &str = "bundle.toml";
/// The schema this program reads.
pub const SCHEMA: i64 = 1;
/// Most sensors of a bundle: ten times the reference bundle's; each costs memory in every unit.
pub const MAX_SENSORS: usize = 256;
/// Most features of a bundle.
pub const MAX_FEATURES: usize = 1024;
/// Most targets of a bundle.
pub const MAX_TARGETS: usize = 64;

/// What a sensor counts as when it was never read or is older than its `max_age`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Missing {
    /// Without it nothing is predicted.
    Required,
    /// The last value is used; missing when there is none.
    Hold,
    /// It has no value; models may know how to handle that.
    Nan,
    /// This value is used.
    Default(f64),
}

/// One sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct SensorSpec {
    /// Name, as in topics and frames.
    pub name: String,
    /// Unit of its values.
    pub unit: String,
    /// What it measures.
    pub description: String,
    /// Values outside are rejected.
    pub accept: (f64, f64),
    /// Older values are stale.
    pub max_age: Duration,
    /// What it counts as without a fresh value.
    pub missing: Missing,
    /// Brick class, for point lists.
    pub brick: Option<String>,
    /// Project Haystack's markers with blanks between, for point lists.
    pub haystack: Option<String>,
}

/// One feature, in the order the models want.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSpec {
    /// Name.
    pub name: String,
    /// Expression; `None` for the sensor of the same name.
    pub expr: Option<String>,
    /// Unit.
    pub unit: String,
    /// What it means.
    pub description: String,
    /// Value in place of a missing one; NaN without it.
    pub missing: Option<f64>,
}

/// Mean and scale of each input feature: a model trained on scaled values sees `(x - mean) / scale`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputScaler {
    /// Mean of each feature.
    pub mean: Vec<f64>,
    /// Scale of each feature; not zero.
    pub scale: Vec<f64>,
}

/// Mean and scale of the output: the prediction is `y * scale + mean`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputScaler {
    /// Mean.
    pub mean: f64,
    /// Scale.
    pub scale: f64,
}

/// One target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSpec {
    /// Name, as in prediction documents.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// What it means.
    pub description: String,
    /// ONNX file.
    pub model: String,
    /// Column of the model's output.
    pub output: usize,
    /// Predictions outside are marked as implausible.
    pub plausible: (f64, f64),
    /// Channel that measures it at sites that have one; gives residuals.
    pub measured_by: Option<String>,
    /// Brick class, for point lists.
    pub brick: Option<String>,
    /// Project Haystack's markers with blanks between, for point lists.
    pub haystack: Option<String>,
    /// Measurements outside are rejected.
    pub accept: (f64, f64),
    /// Older measurements give no residual.
    pub max_age: Duration,
    /// Scaling of the model's inputs.
    pub input_scaler: Option<InputScaler>,
    /// Scaling of the model's output.
    pub output_scaler: Option<OutputScaler>,
}

/// A checked manifest.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The bundle's id.
    pub id: String,
    /// The bundle's version.
    pub version: String,
    /// What it is and what it was trained on.
    pub description: String,
    /// Distance of the grid's instants.
    pub step: Duration,
    /// Zone of `hour()`.
    pub zone: ZoneSpec,
    /// Sensors, in order.
    pub sensors: Vec<SensorSpec>,
    /// Features, in the order the models want.
    pub features: Vec<FeatureSpec>,
    /// Targets, in order.
    pub targets: Vec<TargetSpec>,
    /// With more missing features than this nothing is predicted.
    pub max_missing_features: usize,
    /// Relative difference of outputs from the golden ones that is allowed; 0 for tree ensembles. Networks
    /// may need one, as their sums depend on the processor.
    pub golden_tolerance: f64,
    /// SHA-256 of each other file, in hex.
    pub hashes: BTreeMap<String, String>,
}

impl Manifest {
    /// Parses and checks the manifest's text.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let raw: RawManifest = toml::from_str(text)
            .map_err(|error| vec![format!("{MANIFEST_FILE}: {}", error.to_string().trim_end())])?;
        let mut problems = Problems::default();
        let manifest = raw.check(&mut problems);
        match manifest {
            Some(manifest) if problems.0.is_empty() => Ok(manifest),
            _ => Err(problems.0),
        }
    }

    /// Names of all channels: the sensors, then the channels that measure targets and are no sensor.
    #[must_use]
    pub fn channels(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.sensors.iter().map(|sensor| sensor.name.as_str()).collect();
        for measured in self.targets.iter().filter_map(|target| target.measured_by.as_deref()) {
            if !names.contains(&measured) {
                names.push(measured);
            }
        }
        names
    }

    /// The unit of a channel's values.
    #[must_use]
    pub fn unit_of(&self, channel: &str) -> Option<&str> {
        let sensor = self.sensors.iter().find(|sensor| sensor.name == channel).map(|sensor| &sensor.unit);
        let measured = self.targets.iter().find(|target| target.measured_by.as_deref() == Some(channel));
        sensor.or(measured.map(|target| &target.unit)).map(String::as_str)
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
