//! Predictions as they are answered.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::evaluate::Outcome;
use crate::daemon::desk::Served;
use crate::domain::Reason;
use crate::domain::prediction::write_json;

/// Appends the answer to one sample; with the time it took and the model, when it stands alone.
pub(super) fn write(served: &Served, outcome: &Outcome<'_>, latency_ms: Option<f64>, out: &mut Vec<u8>) {
    write_json(&Answer { served, outcome, latency_ms }, out);
}

/// Appends what stands behind the list of a batch.
pub(super) fn write_batch_end(served: &Served, count: usize, latency_ms: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"count\":");
    write_json(&count, out);
    out.extend_from_slice(b",\"latency_total_ms\":");
    write_json(&latency_ms, out);
    out.extend_from_slice(b",\"latency_per_sample_ms\":");
    write_json(&(latency_ms / count.max(1) as f64), out);
    out.extend_from_slice(b",\"model_version\":");
    write_json(&served.identity.version, out);
    out.extend_from_slice(b",\"model\":");
    write_json(&served.identity, out);
    out.push(b'}');
}

struct Answer<'a> {
    served: &'a Served,
    outcome: &'a Outcome<'a>,
    latency_ms: Option<f64>,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { served, outcome, latency_ms } = self;
        let targets = &served.manifest.targets;
        let mut map = serializer.serialize_map(None)?;
        for (index, target) in targets.iter().enumerate() {
            let value = outcome.predictions.and_then(|values| values.get(index));
            map.serialize_entry(&target.name, &value)?;
        }
        map.serialize_entry("quality", outcome.quality.name())?;
        map.serialize_entry("reasons", &Reasons(served, outcome.reasons))?;
        map.serialize_entry("residuals", &Residuals(served, outcome.residuals))?;
        if let Some(latency) = latency_ms {
            map.serialize_entry("latency_ms", latency)?;
            map.serialize_entry("model_version", &served.identity.version)?;
            map.serialize_entry("model", &served.identity)?;
        }
        map.end()
    }
}

struct Residuals<'a>(&'a Served, &'a [Option<f64>]);

impl Serialize for Residuals<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = self.0.manifest.targets.iter().zip(self.1);
        serializer.collect_map(named.filter_map(|(target, residual)| Some((&target.name, (*residual)?))))
    }
}

struct Reasons<'a>(&'a Served, &'a [Reason]);

impl Serialize for Reasons<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.manifest.listed(self.1))
    }
}
