//! `bundle.toml`: what a bundle declares. Parsing checks everything that can be checked without the
//! other files and reports all of it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use crate::domain::ZoneSpec;

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
}

/// Problems collected, each with its place.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, place: &str, problem: impl std::fmt::Display) {
        self.0.push(format!("{MANIFEST_FILE}: {place}: {problem}"));
    }

    fn take<T>(&mut self, place: &str, result: Result<T, impl std::fmt::Display>) -> Option<T> {
        result.map_err(|problem| self.add(place, problem)).ok()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    schema: i64,
    id: String,
    version: String,
    #[serde(default)]
    description: String,
    step: String,
    #[serde(default = "utc")]
    time_zone: String,
    sensors: Vec<toml::Table>,
    features: Vec<toml::Table>,
    targets: Vec<toml::Table>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    golden: RawGolden,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawGolden {
    #[serde(default)]
    tolerance: f64,
    #[serde(default)]
    reason: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    max_missing_features: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSensor {
    name: String,
    unit: String,
    #[serde(default)]
    description: String,
    accept: [f64; 2],
    max_age: String,
    missing: RawMissing,
    brick: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMissing {
    Word(String),
    Default { default: f64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFeature {
    name: String,
    expr: Option<String>,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    description: String,
    missing: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTarget {
    name: String,
    unit: String,
    #[serde(default)]
    description: String,
    model: String,
    #[serde(default)]
    output: usize,
    plausible: [f64; 2],
    measured_by: Option<String>,
    accept: Option<[f64; 2]>,
    max_age: Option<String>,
    input_scaler: Option<InputScaler>,
    output_scaler: Option<OutputScaler>,
}

impl RawManifest {
    fn check(self, problems: &mut Problems) -> Option<Manifest> {
        if self.schema != SCHEMA {
            problems.add("schema", format!("is {}, this program reads {SCHEMA}", self.schema));
        }
        for (field, value) in [("id", &self.id), ("version", &self.version)] {
            if value.trim().is_empty() {
                problems.add(field, "must not be empty");
            }
        }
        let step = problems.take("step", parse_span(&self.step));
        let zone = problems.take("time_zone", ZoneSpec::parse(&self.time_zone));
        let sensors = entries("sensors", self.sensors, MAX_SENSORS, problems, check_sensor);
        let features = entries("features", self.features, MAX_FEATURES, problems, check_feature);
        let width = features.len();
        let tolerance = self.golden.tolerance;
        if !(0.0..=0.01).contains(&tolerance) || (tolerance > 0.0 && self.golden.reason.trim().is_empty()) {
            problems.add("golden", "tolerance must lie in 0..=0.01 and needs a `reason` when it is not 0");
        }
        let targets = entries("targets", self.targets, MAX_TARGETS, problems, |place, raw, problems| {
            check_target(place, raw, width, problems)
        });
        unique("sensors", sensors.iter().map(|sensor| sensor.name.as_str()), problems);
        unique("features", features.iter().map(|feature| feature.name.as_str()), problems);
        unique("targets", targets.iter().map(|target| target.name.as_str()), problems);
        check_shadowing(&sensors, &features, problems);
        Some(Manifest {
            id: self.id,
            version: self.version,
            description: self.description,
            step: step?,
            zone: zone?,
            max_missing_features: self.limits.max_missing_features.unwrap_or(features.len()),
            sensors,
            features,
            targets,
            golden_tolerance: tolerance,
            hashes: self.hashes,
        })
    }
}

/// Reads a list of tables one by one, so that one bad entry does not hide the others' problems.
fn entries<R: for<'de> Deserialize<'de>, T>(
    list: &str,
    tables: Vec<toml::Table>,
    most: usize,
    problems: &mut Problems,
    mut check: impl FnMut(&str, R, &mut Problems) -> Option<T>,
) -> Vec<T> {
    if tables.is_empty() || tables.len() > most {
        problems.add(list, format!("there are {}, expected 1 to {most}", tables.len()));
        return Vec::new();
    }
    let mut checked = Vec::with_capacity(tables.len());
    for (index, table) in tables.into_iter().enumerate() {
        let name = table.get("name").and_then(toml::Value::as_str).unwrap_or("?").to_owned();
        let place = format!("{list}[{index}] `{name}`");
        let raw = toml::Value::Table(table).try_into::<R>().map_err(|error| error.message().to_owned());
        if let Some(raw) = problems.take(&place, raw) {
            checked.extend(check(&place, raw, problems));
        }
    }
    checked
}

fn check_sensor(place: &str, raw: RawSensor, problems: &mut Problems) -> Option<SensorSpec> {
    check_name(place, &raw.name, problems);
    let accept = check_range(place, "accept", raw.accept, problems);
    let missing = match raw.missing {
        RawMissing::Default { default } if default.is_finite() => Ok(Missing::Default(default)),
        RawMissing::Word(word) => match word.as_str() {
            "required" => Ok(Missing::Required),
            "hold" => Ok(Missing::Hold),
            "nan" => Ok(Missing::Nan),
            _ => {
                Err(format!("missing is `{word}`, expected `required`, `hold`, `nan` or `{{ default = x }}`"))
            }
        },
        RawMissing::Default { .. } => Err("missing.default must be a finite number".to_owned()),
    };
    Some(SensorSpec {
        missing: problems.take(place, missing)?,
        max_age: problems.take(&format!("{place} max_age"), parse_span(&raw.max_age))?,
        accept: accept?,
        name: raw.name,
        unit: raw.unit,
        description: raw.description,
        brick: raw.brick,
    })
}

#[allow(clippy::unnecessary_wraps)] // of the shape that `entries` wants of every check
fn check_feature(place: &str, raw: RawFeature, problems: &mut Problems) -> Option<FeatureSpec> {
    check_name(place, &raw.name, problems);
    Some(FeatureSpec {
        name: raw.name,
        expr: raw.expr,
        unit: raw.unit,
        description: raw.description,
        missing: raw.missing,
    })
}

fn check_target(place: &str, raw: RawTarget, width: usize, problems: &mut Problems) -> Option<TargetSpec> {
    check_name(place, &raw.name, problems);
    if raw.model.contains(['/', '\\']) || raw.model.starts_with('.') {
        problems
            .add(place, format!("model `{}` must be a plain file name in the bundle's folder", raw.model));
    }
    if let Some(scaler) = &raw.input_scaler {
        if scaler.mean.len() != width || scaler.scale.len() != width {
            let (means, scales) = (scaler.mean.len(), scaler.scale.len());
            problems.add(
                place,
                format!("input_scaler has {means} means and {scales} scales for {width} features"),
            );
        }
        if scaler.scale.iter().chain(&scaler.mean).any(|value| !value.is_finite())
            || scaler.scale.contains(&0.0)
        {
            problems.add(place, "input_scaler must have finite means and finite scales other than zero");
        }
    }
    if raw.output_scaler.is_some_and(|scaler| !scaler.mean.is_finite() || !scaler.scale.is_finite()) {
        problems.add(place, "output_scaler must have a finite mean and scale");
    }
    let plausible = check_range(place, "plausible", raw.plausible, problems);
    let accept = check_range(place, "accept", raw.accept.unwrap_or(raw.plausible), problems);
    let max_age = raw.max_age.as_deref().unwrap_or("5m");
    Some(TargetSpec {
        max_age: problems.take(&format!("{place} max_age"), parse_span(max_age))?,
        plausible: plausible?,
        accept: accept?,
        name: raw.name,
        unit: raw.unit,
        description: raw.description,
        model: raw.model,
        output: raw.output,
        measured_by: raw.measured_by,
        input_scaler: raw.input_scaler,
        output_scaler: raw.output_scaler,
    })
}

/// Names stand in topics, expressions and documents alike.
fn check_name(place: &str, name: &str, problems: &mut Problems) {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        problems.add(place, "a name is a letter followed by letters, digits and `_`, 64 at most");
    }
}

fn check_range(place: &str, field: &str, range: [f64; 2], problems: &mut Problems) -> Option<(f64, f64)> {
    let [low, high] = range;
    if low.is_finite() && high.is_finite() && low < high {
        return Some((low, high));
    }
    problems
        .add(place, format!("{field} = [{low}, {high}] is no range, expected [low, high] with low < high"));
    None
}

fn unique<'n>(list: &str, names: impl Iterator<Item = &'n str>, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            problems.add(list, format!("`{name}` stands twice; names must be unique"));
        }
    }
}

/// A derived feature with a sensor's name would make the name mean two things.
fn check_shadowing(sensors: &[SensorSpec], features: &[FeatureSpec], problems: &mut Problems) {
    for feature in features.iter().filter(|feature| feature.expr.is_some()) {
        if sensors.iter().any(|sensor| sensor.name == feature.name) {
            problems.add(
                &format!("features `{}`", feature.name),
                "has an `expr` but the name of a sensor; rename it",
            );
        }
    }
}

/// Parses `30s`, `5m`, `1h`, `1d`.
fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time span, expected one such as 30s, 5m, 1h or 1d");
    let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds).ok().filter(|span| !span.is_zero()).ok_or_else(wrong)
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
