//! A rule as it is written in the configuration, not yet checked.

use std::collections::BTreeMap;

/// One `[[source]]` as it is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleSpec {
    /// Its name in messages.
    pub name: String,
    /// Topics: text, `{unit}`, `{sensor}`, `+`, and `#` at the end.
    pub topic: String,
    /// Kind of payload, by the name of a [`super::Kind`].
    pub kind: String,
    /// Takes what the rules before it leave of its topics.
    pub fallback: bool,
    /// Whether units wait for quiet before they are predicted; by the kind if unset.
    pub settle: Option<bool>,
    /// The unit, where it is always the same.
    pub unit: Option<String>,
    /// JSON pointer of the unit's name.
    pub unit_at: Option<String>,
    /// Tag that names the unit.
    pub unit_tag: Option<String>,
    /// Tag that names the sensor.
    pub sensor_tag: Option<String>,
    /// What names of metrics look like: text, `+`, `{unit}`, and `{sensor}` at the end.
    pub metric: Option<String>,
    /// Whether nodes are asked for their BIRTH where it is missing.
    pub rebirth: Option<bool>,
    /// The sensor, where it is always the same.
    pub sensor: Option<String>,
    /// JSON pointer of the sensor's name.
    pub sensor_at: Option<String>,
    /// JSON pointer of what holds the readings.
    pub at: Option<String>,
    /// JSON pointer of the value.
    pub value: Option<String>,
    /// JSON pointer of the time.
    pub time: Option<String>,
    /// Name of a [`super::TimeFormat`].
    pub time_format: Option<String>,
    /// Zone of times without an offset.
    pub zone: Option<String>,
    /// The source's names of sensors, and ours.
    pub rename: BTreeMap<String, String>,
    /// The source's names of units, and ours.
    pub units: BTreeMap<String, String>,
    /// Names that are none of our business and not worth counting.
    pub ignore: Vec<String>,
    /// What is done to the values of a sensor, by our name of it.
    pub sensors: BTreeMap<String, ConversionSpec>,
    /// The same for single units, by our name of the unit; what is not given there holds as for all.
    pub overrides: BTreeMap<String, BTreeMap<String, ConversionSpec>>,
}

/// What is done to the values of one sensor, as it is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConversionSpec {
    /// Unit in which the source gives them.
    pub from: Option<String>,
    /// Factor that makes `from` of the raw number.
    pub scale: Option<f64>,
    /// What is added after that.
    pub offset: Option<f64>,
    /// Raw numbers that mean: no value.
    pub invalid: Vec<f64>,
    /// Words that stand for numbers.
    pub words: BTreeMap<String, f64>,
}

impl ConversionSpec {
    /// This, with what is not given here taken from `base`.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        let (own, base) = (self.clone(), base.clone());
        Self {
            from: own.from.or(base.from),
            scale: own.scale.or(base.scale),
            offset: own.offset.or(base.offset),
            invalid: if own.invalid.is_empty() { base.invalid } else { own.invalid },
            words: if own.words.is_empty() { base.words } else { own.words },
        }
    }
}

/// One thing that is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// The key at fault, `sensors.UCAIT.from`.
    pub key: String,
    /// Its value as written.
    pub value: Option<String>,
    /// Why it cannot be used.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl RuleProblem {
    /// A problem with the value of a key.
    pub(super) fn new(
        key: impl Into<String>,
        value: Option<&str>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let value = value.map(|text| format!("\"{text}\""));
        Self { key: key.into(), value, reason: reason.into(), remedy: remedy.into() }
    }
}
