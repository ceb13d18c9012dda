//! One sample: read from its JSON, and what is wrong with it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::problem::{Allowed, Problem, Violation};
use super::names::{Meaning, Names};
use super::{Violations, not_json};
use crate::bundle::Manifest;
use crate::daemon::desk::Served;
use crate::domain::json::{Key, number};
use crate::domain::{RejectReason, Timestamp, ZoneSpec};

/// The key of a sample's time, unless a sensor or feature has this name.
pub(in crate::http) const TIME_KEY: &str = "timestamp";
/// Largest value of a feature that is no sensor: what single precision holds, rounded down to something to write.
pub(in crate::http) const LARGEST_FEATURE: f64 = 1e38;
/// Longest value that a violation repeats, in bytes.
const MAX_SHOWN_BYTES: usize = 64;
/// Longest name that a violation repeats, in characters.
const MAX_NAME_CHARS: usize = 64;

/// One sample. Its memory is used again and again.
#[derive(Debug)]
pub(super) struct Sample {
    /// By channel; NaN where nothing was given.
    pub(super) values: Vec<f64>,
    /// By feature; NaN where nothing was given. Read as they are written, not by way of double precision.
    pub(super) row: Vec<f32>,
    /// Whether features were given that are no sensors: then all of them must be.
    pub(super) has_features: bool,
    /// When it was measured; unset means now.
    pub(super) time: Option<Timestamp>,
    /// By the place of each name, the last sample in which it came.
    seen: Vec<u64>,
    /// The last sample in which it was said to be wrong.
    faulty: Vec<u64>,
    /// Counts samples.
    round: u64,
}

impl Sample {
    pub(super) fn new(names: &Names) -> Self {
        Self {
            values: vec![f64::NAN; names.channels()],
            row: vec![f32::NAN; names.features],
            has_features: false,
            time: None,
            seen: vec![0; names.len()],
            faulty: vec![0; names.len()],
            round: 0,
        }
    }

    /// Takes in the sample's JSON.
    pub(super) fn read(
        &mut self,
        text: &str,
        place: Option<usize>,
        names: &Names,
        served: &Served,
        violations: &mut Violations,
    ) -> Result<(), Problem> {
        self.values.fill(f64::NAN);
        self.row.fill(f32::NAN);
        (self.has_features, self.time) = (false, None);
        self.round += 1;
        let mut has_time = false;
        let entry = |name: &str, raw: &str| match names.get(name) {
            Some(meaning) => self.take(name, raw, meaning, place, &served.manifest, violations),
            None if name == TIME_KEY => self.take_time(raw, place, &served.zone, &mut has_time, violations),
            None => violations.add(|| unknown(place, name, raw, names)),
        };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer.deserialize_map(Entries(entry)).map_err(|error| not_json(&error))?;
        deserializer.end().map_err(|error| not_json(&error))
    }

    fn take(
        &mut self,
        name: &str,
        raw: &str,
        meaning: Meaning,
        sample: Option<usize>,
        manifest: &Manifest,
        violations: &mut Violations,
    ) {
        if let Some(seen) = self.seen.get_mut(meaning.place)
            && std::mem::replace(seen, self.round) == self.round
        {
            violations.add(|| wrong(sample, name, raw, "duplicate", "stands twice; which one holds?", None));
            return;
        }
        if meaning.channel.is_none() {
            self.has_features = true;
        }
        if raw == "null" {
            return;
        }
        let value = match number(raw) {
            Ok(value) => value,
            Err(why) => {
                let (reason, text) = match why {
                    RejectReason::NotFinite => ("not_finite", "is not finite; leave it out, or send null"),
                    _ => ("not_a_number", "is not a number; send it without quotes"),
                };
                if let Some(faulty) = self.faulty.get_mut(meaning.place) {
                    *faulty = self.round;
                }
                let allowed = allowed(meaning, manifest);
                violations.add(|| wrong(sample, name, raw, reason, text, allowed));
                return;
            }
        };
        if let Some(slot) = meaning.channel.and_then(|channel| self.values.get_mut(channel)) {
            *slot = value;
        }
        if let Some(slot) = meaning.feature.and_then(|feature| self.row.get_mut(feature)) {
            *slot = raw.parse().unwrap_or(f32::NAN);
            if value.abs() > LARGEST_FEATURE && meaning.channel.is_none() {
                let allowed = allowed(meaning, manifest);
                let text = "is beyond what a feature can hold";
                violations.add(|| wrong(sample, name, raw, "out_of_range", text, allowed));
            }
        }
    }

    fn take_time(
        &mut self,
        raw: &str,
        sample: Option<usize>,
        zone: &ZoneSpec,
        has_time: &mut bool,
        violations: &mut Violations,
    ) {
        if std::mem::replace(has_time, true) {
            violations
                .add(|| wrong(sample, TIME_KEY, raw, "duplicate", "stands twice; which one holds?", None));
            return;
        }
        if raw == "null" {
            return;
        }
        self.time =
            serde_json::from_str::<Cow<'_, str>>(raw).ok().and_then(|text| Timestamp::parse(&text, zone));
        if self.time.is_none() {
            let text = "is no time; write it as \"2026-01-31T12:00:00Z\"";
            violations.add(|| wrong(sample, TIME_KEY, raw, "not_a_time", text, None));
        }
    }

    /// Looks for values out of range and for what is missing.
    pub(super) fn check(
        &self,
        sample: Option<usize>,
        names: &Names,
        served: &Served,
        violations: &mut Violations,
    ) {
        let (manifest, assembler) = (&served.manifest, &served.evaluator.assembler);
        for (channel, value) in self.values.iter().enumerate() {
            if !value.is_nan() && assembler.accept(channel, *value).is_err() {
                let name = names.channel(channel);
                let meaning = Meaning { channel: Some(channel), ..Meaning::default() };
                let allowed = allowed(meaning, manifest);
                let raw = value.to_string();
                violations.add(|| wrong(sample, name, &raw, "out_of_range", "is out of range", allowed));
            }
        }
        for channel in &names.required {
            let is_told = || {
                let place = names.get(names.channel(*channel)).map(|meaning| meaning.place);
                place.is_some_and(|place| self.faulty.get(place) == Some(&self.round))
            };
            if self.values.get(*channel).is_none_or(|value| value.is_nan()) && !is_told() {
                let text = "is required: without it nothing can be predicted";
                let allowed = allowed(Meaning { channel: Some(*channel), ..Meaning::default() }, manifest);
                violations.add(|| wrong(sample, names.channel(*channel), "null", "required", text, allowed));
            }
        }
        if self.has_features {
            self.check_features(sample, names, manifest, violations);
        }
    }

    fn check_features(
        &self,
        sample: Option<usize>,
        names: &Names,
        manifest: &Manifest,
        violations: &mut Violations,
    ) {
        for feature in &manifest.features {
            let is_given = names
                .get(&feature.name)
                .is_some_and(|meaning| self.seen.get(meaning.place) == Some(&self.round));
            if !is_given {
                let text = "is missing: give all features (null where one has no value), or sensors only";
                violations.add(|| wrong(sample, &feature.name, "null", "feature_missing", text, None));
            }
        }
        for target in manifest.targets.iter().filter_map(|target| target.measured_by.as_deref()) {
            let Some(meaning) = names.get(target).filter(|meaning| meaning.feature.is_none()) else {
                continue;
            };
            if self.seen.get(meaning.place) == Some(&self.round) {
                let text = "is measured; it goes with sensors, not with features";
                violations.add(|| wrong(sample, target, "null", "unknown", text, None));
            }
        }
    }
}

/// The range of a name with its unit.
pub(in crate::http) fn range_of_channel(channel: usize, manifest: &Manifest) -> Option<(f64, f64, String)> {
    if let Some(sensor) = manifest.sensors.get(channel) {
        return Some((sensor.accept.0, sensor.accept.1, sensor.unit.clone()));
    }
    let channels = manifest.channels();
    let name = channels.get(channel)?;
    let target = manifest.targets.iter().find(|target| target.measured_by.as_deref() == Some(name))?;
    Some((target.accept.0, target.accept.1, target.unit.clone()))
}

fn allowed(meaning: Meaning, manifest: &Manifest) -> Option<Allowed> {
    if let Some((min, max, unit)) = meaning.channel.and_then(|channel| range_of_channel(channel, manifest)) {
        return Some(Allowed { min, max, unit });
    }
    let unit = manifest.features.get(meaning.feature?)?.unit.clone();
    Some(Allowed { min: -LARGEST_FEATURE, max: LARGEST_FEATURE, unit })
}

fn unknown(sample: Option<usize>, name: &str, raw: &str, names: &Names) -> Violation {
    let text = match names.nearest(name) {
        Some(near) => format!("is no sensor of the bundle; did you mean {near}?"),
        None => "is no sensor of the bundle; GET /model lists them".to_owned(),
    };
    wrong(sample, name, raw, "unknown", &text, None)
}

fn wrong(
    sample: Option<usize>,
    name: &str,
    raw: &str,
    reason: &'static str,
    text: &str,
    allowed: Option<Allowed>,
) -> Violation {
    let field: String = name.chars().take(MAX_NAME_CHARS).collect();
    let value = shown(raw);
    let value = if reason == "not_finite" && value.is_string() {
        Value::String("not finite".to_owned())
    } else {
        value
    };
    let range =
        allowed.as_ref().map(|allowed| format!(" ({} to {} {})", allowed.min, allowed.max, allowed.unit));
    let message = format!("{field} {text}{}", range.filter(|_| reason == "out_of_range").unwrap_or_default());
    Violation { sample, field, value, reason, message, allowed }
}

/// A value to be repeated: as it came when it is short and plain, else its beginning as text. Lists and objects are never
/// taken apart: they can be made to take a hundred times their size.
fn shown(raw: &str) -> Value {
    if raw.len() > MAX_SHOWN_BYTES || raw.starts_with(['[', '{']) {
        let more = if raw.chars().nth(MAX_SHOWN_BYTES).is_some() { "..." } else { "" };
        return Value::String(raw.chars().take(MAX_SHOWN_BYTES).chain(more.chars()).collect());
    }
    serde_json::from_str(raw).unwrap_or_else(|_| Value::String(raw.to_owned()))
}

/// Calls a function with each name and the text of its value.
struct Entries<F>(F);

impl<'t, F: FnMut(&str, &'t str)> Visitor<'t> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with sensors by name")
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Key<'t>>()? {
            let raw: &'t RawValue = map.next_value()?;
            (self.0)(&name.0, raw.get());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_short_whatever_came() {
        assert_eq!(shown("12.5"), Value::from(12.5));
        assert_eq!(shown("\"text\""), Value::from("text"));
        assert_eq!(shown("[1,2]"), Value::from("[1,2]"));
        let list = format!("[\"{}ü\",{}]", "x".repeat(61), "{\"\":0},".repeat(100_000));
        for raw in [list, format!("\"{}\"", "ü".repeat(100_000)), "1".repeat(100_000)] {
            assert!(shown(&raw).to_string().len() < 300);
        }
    }
}
