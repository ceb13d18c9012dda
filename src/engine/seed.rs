//! The topics of the project that this one grew out of, beside our own: one cooler, results, alerts by severity.
//!
//! Of its documents only `{"timestamp", "data": {..}}` is known, which comes in. What goes out is shaped after it.

use serde::Serialize;

use super::Engine;
use crate::domain::prediction::{Pairs, write_json};
use crate::domain::{
    Effect, Now, PredictionDocument, Publish, PublishKind, Quality, RuleSpec, Severity, UnitId,
};

/// Readings come in here.
pub const SENSORS: &str = "hvac/sensors/data";
/// Predictions go out here.
pub const RESULTS: &str = "hvac/predictions/results";
/// Alerts go out below this topic, by severity.
pub const ALERTS: &str = "hvac/alerts";
/// The daemon's heartbeat goes out here.
pub const STATUS: &str = "hvac/status";

/// That these topics are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The one unit that they speak of.
    pub unit: UnitId,
}

impl Seed {
    /// How the readings are read.
    #[must_use]
    pub fn rule(&self) -> RuleSpec {
        RuleSpec {
            name: "seed".to_owned(),
            topic: SENSORS.to_owned(),
            kind: "object".to_owned(),
            at: Some("/data".to_owned()),
            time: Some("/timestamp".to_owned()),
            unit: Some(self.unit.as_str().to_owned()),
            ..RuleSpec::default()
        }
    }

    /// Everything that is published here.
    pub fn outputs() -> impl Iterator<Item = String> {
        let alerts = [OVER, Severity::Warning.name(), ERROR, Severity::Critical.name()];
        let alerts = alerts.into_iter().map(|severity| format!("{ALERTS}/{severity}"));
        alerts.chain([RESULTS.to_owned(), STATUS.to_owned()])
    }

    /// A prediction of the unit.
    pub(super) fn result(document: &PredictionDocument<'_>) -> Effect {
        let result = ResultDocument {
            timestamp: document.time.to_string(),
            predictions: Pairs(document.predictions),
            residuals: Pairs(document.residuals),
            quality: document.quality.name(),
            reasons: document.reasons,
            latency_ms: document.latency_us.total / 1000.0,
            model_version: &document.model.version,
        };
        let mut payload = Vec::with_capacity(512);
        write_json(&result, &mut payload);
        Effect::Publish(Publish {
            topic: RESULTS.to_owned(),
            payload,
            retain: false,
            kind: PublishKind::Prediction,
        })
    }
}

#[derive(Serialize)]
struct ResultDocument<'a> {
    timestamp: String,
    predictions: Pairs<'a>,
    residuals: Pairs<'a>,
    quality: &'static str,
    reasons: &'a [String],
    latency_ms: f64,
    model_version: &'a str,
}

#[derive(Serialize)]
struct AlertDocument<'a> {
    timestamp: String,
    severity: &'static str,
    id: &'a str,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

/// What an alert says.
pub(super) struct Alert<'a> {
    /// Its name: that of the alarm, or `withheld`.
    pub(super) id: &'a str,
    /// `warning`, `error` or `critical` while it lasts, `info` when it is over.
    pub(super) severity: &'static str,
    pub(super) message: &'a str,
    pub(super) remedy: Option<&'a str>,
}

/// The severity of what is over.
const OVER: &str = "info";
/// The severity of a unit that is not predicted.
const ERROR: &str = "error";

impl<'a> Alert<'a> {
    pub(super) fn raised(id: &'a str, severity: Severity, message: &'a str, remedy: &'a str) -> Self {
        Self { id, severity: severity.name(), message, remedy: Some(remedy) }
    }

    pub(super) fn over(id: &'a str) -> Self {
        Self { id, severity: OVER, message: "is over", remedy: None }
    }
}

/// The id of the alert that a unit is not predicted.
const WITHHELD: &str = "withheld";

impl Engine {
    /// Publishes an alert of the daemon, or of a unit if it is the one that these topics speak of.
    pub(super) fn alert(
        &self,
        now: Now,
        unit: Option<&UnitId>,
        alert: &Alert<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(seed) = &self.settings.seed else { return };
        if unit.is_none_or(|unit| *unit == seed.unit) {
            effects.push(told(now, unit, alert));
        }
    }

    /// Says when the unit stops being predicted, and when it is predicted again.
    pub(super) fn alert_withheld(
        &mut self,
        now: Now,
        id: &UnitId,
        quality: Quality,
        effects: &mut Vec<Effect>,
    ) {
        if self.settings.seed.as_ref().is_none_or(|seed| seed.unit != *id) {
            return;
        }
        if quality != Quality::Bad {
            self.end_withheld(now, effects);
        } else if self.told_withheld.is_none() {
            let (message, remedy) = ("no prediction is made", "the unit's state says why");
            let alert = Alert { id: WITHHELD, severity: ERROR, message, remedy: Some(remedy) };
            effects.push(told(now, Some(id), &alert));
            self.told_withheld = Some(id.clone());
        }
    }

    /// Says that the alert is over, if it stands: the unit is predicted again, or forgotten.
    pub(super) fn end_withheld(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Some(unit) = self.told_withheld.take() {
            effects.push(told(now, Some(&unit), &Alert::over(WITHHELD)));
        }
    }

    /// The same when a reload has taken these topics from the unit: nobody would say it later.
    pub(super) fn mind_seed(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let unit = self.settings.seed.as_ref().map(|seed| &seed.unit);
        if self.told_withheld.as_ref() != unit {
            self.end_withheld(now, effects);
        }
    }
}

fn told(now: Now, unit: Option<&UnitId>, alert: &Alert<'_>) -> Effect {
    let document = AlertDocument {
        timestamp: now.wall.to_string(),
        severity: alert.severity,
        id: alert.id,
        active: alert.severity != OVER,
        unit: unit.map(UnitId::as_str),
        message: alert.message,
        remedy: alert.remedy,
    };
    let mut payload = Vec::with_capacity(256);
    write_json(&document, &mut payload);
    let topic = format!("{ALERTS}/{}", alert.severity);
    Effect::Publish(Publish { topic, payload, retain: false, kind: PublishKind::Event })
}
