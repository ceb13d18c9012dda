//! What the engine can tell of its units, as values: for whoever looks at the daemon from outside. Looking changes nothing.

use std::time::Duration;

use serde::Serialize;

use super::Engine;
use super::outlet::texts;
use super::unit::Unit;
use crate::domain::{Now, Quality, UnitId};
use crate::monitor::{Alarms, residual};

/// All units, at most as many as were asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitList {
    /// Units held.
    pub count: usize,
    /// The first of them, by name.
    pub units: Vec<UnitBrief>,
}

/// One unit in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitBrief {
    /// Its name.
    pub unit: String,
    /// `predicting`, `withheld`, or `waiting` for its first evaluation.
    pub state: &'static str,
    /// `good`, `uncertain` or `bad`, of the last evaluation.
    pub quality: &'static str,
    /// Why the quality is not good: `code:subject`.
    pub reasons: Vec<String>,
    /// Predictions since the unit appeared.
    pub seq: u64,
    /// Seconds since something came of it.
    pub heard_s: f64,
    /// Seconds since the latest prediction, if there was one.
    pub predicted_s: Option<f64>,
    /// Event time of the latest prediction.
    pub time: Option<String>,
    /// The latest prediction of each target.
    pub targets: Vec<TargetView>,
    /// Alarms that stand.
    pub alarms: Vec<AlarmView>,
}

/// One unit with all that is held of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitView {
    /// What stands in the list of all units too.
    #[serde(flatten)]
    pub brief: UnitBrief,
    /// Its sensors, in the bundle's order.
    pub sensors: Vec<SensorView>,
}

/// One target of one unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetView {
    /// Its name.
    pub name: String,
    /// Unit of measurement.
    pub unit: String,
    /// Predicted last; none before the first prediction.
    pub predicted: Option<f64>,
    /// What was measured when that was predicted.
    pub measured: Option<f64>,
    /// Measured minus predicted.
    pub residual: Option<f64>,
}

/// One sensor of one unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SensorView {
    /// Its name.
    pub name: String,
    /// Unit of measurement.
    pub unit: String,
    /// `fresh`, `stale` or `missing`.
    pub status: &'static str,
    /// The value held.
    pub value: Option<f64>,
    /// Its age in seconds.
    pub age_s: Option<f64>,
    /// When it was measured.
    pub time: Option<String>,
    /// Smallest and largest value that is accepted.
    pub accepted: (f64, f64),
    /// Smallest and largest value that the models were trained on.
    pub trained: Option<(f64, f64)>,
}

/// One alarm that stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlarmView {
    /// Its name.
    pub id: &'static str,
    /// `warning` or `critical`.
    pub severity: &'static str,
    /// Since when.
    pub since: String,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

impl Engine {
    /// The units by name, at most `most` of them.
    #[must_use]
    pub fn view_units(&self, now: Now, most: usize) -> UnitList {
        let units = self.units.iter().take(most).map(|(id, unit)| self.brief(id, unit, now)).collect();
        UnitList { count: self.units.len(), units }
    }

    /// One unit; `None` when there is none of that name.
    #[must_use]
    pub fn view_unit(&self, now: Now, id: &UnitId) -> Option<UnitView> {
        let unit = self.units.get(id)?;
        Some(UnitView { brief: self.brief(id, unit, now), sensors: self.sensors_of(unit, now) })
    }

    /// The alarms of the daemon as a whole that stand.
    #[must_use]
    pub fn view_alarms(&self) -> Vec<AlarmView> {
        alarms(&self.alarms)
    }

    fn brief(&self, id: &UnitId, unit: &Unit, now: Now) -> UnitBrief {
        let quality = unit.quality();
        let state = match quality {
            Quality::Bad if unit.last_evaluated.is_none() => "waiting",
            Quality::Bad => "withheld",
            _ => "predicting",
        };
        let reasons = unit.published.as_ref().map_or(&[][..], |state| &state.reasons);
        let was_predicted = !unit.latest.values.is_empty();
        UnitBrief {
            unit: id.as_str().to_owned(),
            state,
            quality: quality.name(),
            reasons: texts(&self.bundle, reasons),
            seq: unit.seq,
            heard_s: seconds(now.monotonic.since(unit.last_heard)),
            predicted_s: was_predicted.then(|| seconds(now.monotonic.since(unit.latest.at))),
            time: was_predicted.then(|| unit.latest.time.to_string()),
            targets: self.targets_of(unit),
            alarms: alarms(&unit.alarms),
        }
    }

    fn targets_of(&self, unit: &Unit) -> Vec<TargetView> {
        let targets = self.bundle.manifest.targets.iter().enumerate();
        targets
            .map(|(index, target)| {
                let predicted = unit.latest.values.get(index).copied();
                let measured = unit.latest.measured.get(index).copied().flatten();
                TargetView {
                    name: target.name.clone(),
                    unit: target.unit.clone(),
                    predicted,
                    measured,
                    residual: predicted.and_then(|predicted| residual(measured, predicted)),
                }
            })
            .collect()
    }

    fn sensors_of(&self, unit: &Unit, now: Now) -> Vec<SensorView> {
        let assembler = &self.bundle.evaluator.assembler;
        let sensors = self.bundle.manifest.sensors.iter().enumerate();
        sensors
            .map(|(index, sensor)| {
                let held = unit.state.get(index);
                let age = held.map(|held| held.age(now));
                SensorView {
                    name: sensor.name.clone(),
                    unit: sensor.unit.clone(),
                    status: match age {
                        None => "missing",
                        Some(age) if age <= sensor.max_age => "fresh",
                        Some(_) => "stale",
                    },
                    value: held.map(|held| held.value),
                    age_s: age.map(seconds),
                    time: held.map(|held| held.event.to_string()),
                    accepted: sensor.accept,
                    trained: assembler.trained_range(index),
                }
            })
            .collect()
    }
}

fn alarms(standing: &Alarms) -> Vec<AlarmView> {
    standing
        .iter()
        .map(|standing| AlarmView {
            id: standing.alarm.id.name(),
            severity: standing.alarm.severity.name(),
            since: standing.since.to_string(),
            text: standing.alarm.text.clone(),
            remedy: standing.alarm.remedy.clone(),
        })
        .collect()
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
