//! Documents read into values: whatever is missing or strange in them is nothing, and all text can be printed.

use serde_json::Value;

use super::{MAX_NAME, MAX_REASONS, MAX_TARGETS, MAX_TEXT};
use crate::cli::terminal::clean;
use crate::cli::watch::news::{Declared, Target};
use crate::domain::{Timestamp, ZoneSpec};

/// What a unit does in one word.
pub(super) fn word(state: &str, quality: &str) -> &'static str {
    match (state, quality) {
        ("withheld", _) | ("predicting", "bad") => "withheld",
        ("waiting", _) => "waiting",
        ("predicting", "good") => "good",
        ("predicting", "uncertain") => "uncertain",
        _ => "unknown",
    }
}

pub(super) fn text_of<'d>(document: &'d Value, field: &str) -> &'d str {
    document.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn reasons(document: &Value) -> Vec<String> {
    let reasons = document.get("reasons").and_then(Value::as_array);
    let reasons = reasons.into_iter().flatten().filter_map(Value::as_str).take(MAX_REASONS);
    reasons.map(|reason| clean(reason, 2 * MAX_NAME)).collect()
}

pub(super) fn time_of(document: &Value) -> Option<Timestamp> {
    parse_time(text_of(document, "time"))
}

pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text, &ZoneSpec::utc())
}

pub(super) fn tidy(declared: &Declared) -> Declared {
    let targets = declared.targets.iter().take(MAX_TARGETS);
    let tidy =
        |target: &Target| Target { name: clean(&target.name, MAX_NAME), unit: clean(&target.unit, MAX_NAME) };
    Declared { bundle: clean(&declared.bundle, MAX_NAME), targets: targets.map(tidy).collect() }
}

/// A document with all its text made safe.
pub(super) fn tidy_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text, MAX_TEXT)),
        Value::Array(items) => items.iter().map(tidy_value).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (clean(name, MAX_NAME), tidy_value(value))).collect()
        }
        other => other.clone(),
    }
}
