//! The documents that go out: a prediction, and the state of a unit.

use std::io::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::quality::Quality;
use super::time::Timestamp;

/// Schema number in every document; field names never change within one.
pub const SCHEMA_VERSION: u32 = 1;

/// The fields of a prediction document beside the targets; no target can have one of these names.
pub const DOCUMENT_FIELDS: [&str; 11] = [
    "schema",
    "time",
    "unit",
    "seq",
    "quality",
    "reasons",
    "inputs",
    "residuals",
    "residuals_usable",
    "model",
    "latency_us",
];

/// Which model made a prediction.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ModelIdentity {
    /// The bundle's id.
    pub id: String,
    /// The bundle's version.
    pub version: String,
    /// SHA-256 over the bundle, in hex, shortened to the first 16 digits.
    pub sha256: String,
}

/// Where the time of a prediction went, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct LatencyMicros {
    /// From the arrival of the first reading that asked for it until work began.
    pub wait: f64,
    /// Assembling the feature vector.
    pub features: f64,
    /// Running the models.
    pub inference: f64,
    /// Sum of the three.
    pub total: f64,
}

/// One prediction with its quality, ready to be written.
#[derive(Debug)]
pub struct PredictionDocument<'a> {
    /// Event time of the newest reading.
    pub time: Timestamp,
    /// Unit name.
    pub unit: &'a str,
    /// Counts the unit's predictions since it appeared; a message delivered again is predicted again, with
    /// the next number.
    pub seq: u64,
    /// Target names with their predictions, in the target's unit.
    pub predictions: &'a [(&'a str, f64)],
    /// Whether to trust it.
    pub quality: Quality,
    /// Why the quality is not good: `code:subject`.
    pub reasons: &'a [String],
    /// Age in seconds of the oldest sensor used, the number of sensors with a fresh value and of all.
    pub oldest_s: f64,
    /// See `oldest_s`.
    pub fresh: usize,
    /// See `oldest_s`.
    pub sensors: usize,
    /// Target names with measured minus predicted, where a fresh measurement is held.
    pub residuals: &'a [(&'a str, f64)],
    /// Whether residuals say anything about faults: not when features are computed from measured targets.
    /// Only written when false.
    pub residuals_usable: bool,
    /// Which model made it.
    pub model: &'a ModelIdentity,
    /// Where the time went.
    pub latency_us: LatencyMicros,
}

/// Writes pairs as an object.
pub(crate) struct Pairs<'a>(pub(crate) &'a [(&'a str, f64)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (*name, *value)))
    }
}

#[derive(serde::Serialize)]
struct Inputs {
    oldest_s: f64,
    fresh: usize,
    sensors: usize,
}

impl Serialize for PredictionDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &SCHEMA_VERSION)?;
        map.serialize_entry("time", &format_args!("{}", self.time))?;
        map.serialize_entry("unit", self.unit)?;
        map.serialize_entry("seq", &self.seq)?;
        for (name, value) in self.predictions {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("quality", self.quality.name())?;
        map.serialize_entry("reasons", self.reasons)?;
        map.serialize_entry(
            "inputs",
            &Inputs { oldest_s: self.oldest_s, fresh: self.fresh, sensors: self.sensors },
        )?;
        map.serialize_entry("residuals", &Pairs(self.residuals))?;
        if !self.residuals_usable {
            map.serialize_entry("residuals_usable", &false)?;
        }
        map.serialize_entry("model", self.model)?;
        map.serialize_entry("latency_us", &self.latency_us)?;
        map.end()
    }
}

/// What a unit is doing; published retained whenever it changes.
#[derive(Debug, serde::Serialize)]
pub struct StateDocument<'a> {
    /// Schema number.
    pub schema: u32,
    /// Unit name.
    pub unit: &'a str,
    /// `predicting` or `withheld`.
    pub state: &'static str,
    /// Why predictions are withheld or uncertain: `code:subject`.
    pub reasons: &'a [String],
    /// Quality of the last evaluation.
    pub quality: &'static str,
    /// Alarms of the unit that stand; only written when there are any.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub alarms: &'a [&'static str],
    /// Event time of the evaluation that led to this state, so that a retained state shows its age.
    pub time: String,
    /// Which model is in use.
    pub model: &'a ModelIdentity,
}

/// Writes a document as JSON bytes onto `out`.
pub fn write_json(document: &impl Serialize, out: &mut Vec<u8>) {
    // Writing to memory cannot fail and every map key above is a string, so the result carries nothing.
    let _ = serde_json::to_writer(&mut *out, document);
}

/// Writes a bare number as the shortest text that reads back to the same double.
pub fn write_number(value: f64, out: &mut Vec<u8>) {
    let _ = write!(out, "{value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_documented_fields() {
        let model = ModelIdentity { id: "m".into(), version: "1".into(), sha256: "ab".into() };
        let document = PredictionDocument {
            time: Timestamp::from_micros(1_000_000),
            unit: "c1",
            seq: 7,
            predictions: &[("UCAOT", 14.25)],
            quality: Quality::Uncertain,
            reasons: &["held:UCTSP".to_owned()],
            oldest_s: 2.5,
            fresh: 19,
            sensors: 20,
            residuals: &[("UCAOT", -0.5)],
            residuals_usable: true,
            model: &model,
            latency_us: LatencyMicros::default(),
        };
        let mut bytes = Vec::new();
        write_json(&document, &mut bytes);
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            concat!(
                r#"{"schema":1,"time":"1970-01-01T00:00:01Z","unit":"c1","seq":7,"UCAOT":14.25,"quality":"uncertain","#,
                r#""reasons":["held:UCTSP"],"inputs":{"oldest_s":2.5,"fresh":19,"sensors":20},"residuals":{"UCAOT":-0.5},"#,
                r#""model":{"id":"m","version":"1","sha256":"ab"},"#,
                r#""latency_us":{"wait":0.0,"features":0.0,"inference":0.0,"total":0.0}}"#
            )
        );
    }

    #[test]
    fn every_field_is_listed() {
        let model = ModelIdentity { id: "m".into(), version: "1".into(), sha256: "ab".into() };
        let document = PredictionDocument {
            time: Timestamp::default(),
            unit: "c1",
            seq: 1,
            predictions: &[],
            quality: Quality::Good,
            reasons: &[],
            oldest_s: 0.0,
            fresh: 0,
            sensors: 0,
            residuals: &[],
            residuals_usable: false,
            model: &model,
            latency_us: LatencyMicros::default(),
        };
        let value = serde_json::to_value(&document).unwrap();
        let mut listed = DOCUMENT_FIELDS;
        listed.sort_unstable();
        assert_eq!(value.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>(), listed);
    }

    #[test]
    fn bare_numbers_read_back() {
        let mut out = Vec::new();
        write_number(0.1 + 0.2, &mut out);
        assert_eq!(String::from_utf8(out).unwrap().parse::<f64>().unwrap(), 0.1 + 0.2);
    }
}
