//! The text of a manifest to what it declares: every entry checked by itself, every problem with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::{
    FeatureSpec, InputScaler, MANIFEST_FILE, MAX_FEATURES, MAX_SENSORS, MAX_TARGETS, Manifest, Missing,
    OutputScaler, SCHEMA, SensorSpec, TargetSpec,
};
use crate::domain::ZoneSpec;
use crate::domain::prediction::DOCUMENT_FIELDS;

/// Keys of a frame that speak of the frame itself; a channel of that name would never be read.
const FRAME_KEYS: [&str; 2] = ["time", "unit"];

/// Haystack's tags with a value of their own, which are no markers: most of them a point has already, and a marker of
/// the bundle would stand in the place of its id, its unit or its kind.
pub(super) const VALUE_TAGS: [&str; 15] = [
    "id",
    "dis",
    "doc",
    "kind",
    "unit",
    "enum",
    "tz",
    "mod",
    "equip",
    "curVal",
    "curStatus",
    "curErr",
    "hisMode",
    "bacnetCur",
    "ver",
];
/// The same by their beginnings: those of our own.
const OWN_TAGS: [&str; 2] = ["mqtt", "cooltwin"];
/// The same by their ends: references.
const REFERENCE: &str = "Ref";

/// Problems collected, each with its place.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<String>);

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
pub(super) struct RawManifest {
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
    haystack: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "missing must be `required`, `hold`, `nan` or `{ default = x }`")]
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
    brick: Option<String>,
    haystack: Option<String>,
}

impl RawManifest {
    pub(super) fn check(self, problems: &mut Problems) -> Option<Manifest> {
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
    check_channel(place, &raw.name, problems);
    check_tags(place, raw.brick.as_deref(), raw.haystack.as_deref(), problems);
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
        haystack: raw.haystack,
    })
}

#[allow(clippy::unnecessary_wraps)] // of the shape that `entries` wants of every check
fn check_feature(place: &str, raw: RawFeature, problems: &mut Problems) -> Option<FeatureSpec> {
    check_name(place, &raw.name, problems);
    if raw.missing.is_some_and(|value| !value.is_finite()) {
        problems.add(place, "missing must be a finite number; without it a missing value is NaN");
    }
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
    if DOCUMENT_FIELDS.contains(&raw.name.as_str()) {
        problems.add(place, "the prediction document has a field of that name; rename the target");
    }
    if let Some(channel) = &raw.measured_by {
        check_channel(&format!("{place} measured_by"), channel, problems);
    }
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
    check_tags(place, raw.brick.as_deref(), raw.haystack.as_deref(), problems);
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
        brick: raw.brick,
        haystack: raw.haystack,
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

/// Tags stand in graphs as names, not as texts.
fn check_tags(place: &str, brick: Option<&str>, haystack: Option<&str>, problems: &mut Problems) {
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if brick.is_some_and(|class| !class.starts_with(|c: char| c.is_ascii_alphabetic()) || !is_name(class)) {
        problems.add(
            place,
            "brick is to be the name of a class alone, such as \"Return_Air_Temperature_Sensor\"",
        );
    }
    let tags = || haystack.into_iter().flat_map(str::split_whitespace);
    if !tags().all(|tag| tag.starts_with(|c: char| c.is_ascii_lowercase()) && is_name(tag)) {
        problems.add(
            place,
            "haystack is to be names of markers with blanks between, such as \"discharge air temp\"; each begins with \
             a lower-case letter",
        );
    }
    for tag in tags().filter(|tag| has_value(tag)) {
        let remedy = "the point list gives its value where there is one; remove it";
        problems.add(place, format!("haystack has `{tag}`, which is no marker: {remedy}"));
    }
}

/// Whether a tag is one that has a value.
fn has_value(tag: &str) -> bool {
    VALUE_TAGS.contains(&tag) || tag.ends_with(REFERENCE) || OWN_TAGS.iter().any(|own| tag.starts_with(own))
}

/// Channels are read from topics and frames.
fn check_channel(place: &str, name: &str, problems: &mut Problems) {
    check_name(place, name, problems);
    if FRAME_KEYS.contains(&name) {
        problems.add(place, format!("`{name}` is a key of the frame itself; rename the sensor"));
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
