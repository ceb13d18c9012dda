//! What the demo knows: rows sent, predictions received, and how the two compare.

#[cfg(test)]
pub(super) mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::stats::Summary;
use crate::simulator::{CHANNELS, Row, SENSOR_COUNT, UnitRow};

/// Rows kept per unit until their prediction arrives: several seconds at the highest speed.
const ROWS_KEPT: usize = 256;
/// Times kept for percentiles and rates.
const TIMES_KEPT: usize = 512;
/// Time over which rates are taken.
const RATE_SPAN: Duration = Duration::from_secs(2);
/// Shortest span a rate is taken over, s: one prediction in the first millisecond is no thousand a second.
const MIN_SPAN_S: f64 = 0.1;
/// Residuals averaged: 10 simulated minutes, long enough that sensor noise is gone.
pub(super) const SMOOTHED: usize = 20;
/// A smoothed residual this many times beyond what the healthy unit showed is marked.
const MARK_FACTOR: f64 = 2.0;

/// A target as the view shows it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) unit: String,
}

/// Newest numbers of one target of one unit.
#[derive(Debug, Default, Clone)]
pub(super) struct TargetBoard {
    pub(super) predicted: Option<f64>,
    pub(super) measured: Option<f64>,
    pub(super) truth: Option<f64>,
    residuals: VecDeque<f64>,
    /// Largest smoothed residual, by amount, while the unit was healthy.
    usual: f64,
}

impl TargetBoard {
    /// Measured minus predicted.
    pub(super) fn residual(&self) -> Option<f64> {
        self.residuals.back().copied()
    }

    /// The mean of the last [`SMOOTHED`] residuals, once there are as many.
    pub(super) fn smoothed(&self) -> Option<f64> {
        (self.residuals.len() == SMOOTHED).then(|| self.residuals.iter().sum::<f64>() / SMOOTHED as f64)
    }

    /// Is the smoothed residual far beyond what the healthy unit showed?
    pub(super) fn is_marked(&self) -> bool {
        self.usual > 0.0 && self.smoothed().is_some_and(|mean| mean.abs() > MARK_FACTOR * self.usual)
    }

    fn note(&mut self, is_healthy: bool) {
        if let (Some(measured), Some(predicted)) = (self.measured, self.predicted) {
            push(&mut self.residuals, measured - predicted, SMOOTHED);
        }
        if let Some(mean) = self.smoothed().filter(|_| is_healthy) {
            self.usual = self.usual.max(mean.abs());
        }
    }
}

/// One unit.
#[derive(Debug)]
pub(super) struct UnitBoard {
    pub(super) name: String,
    rows: VecDeque<(Duration, UnitRow)>,
    pub(super) quality: String,
    pub(super) reasons: Vec<String>,
    pub(super) targets: Vec<TargetBoard>,
}

impl UnitBoard {
    /// The latest value of a channel.
    pub(super) fn latest(&self, channel: &str) -> Option<f64> {
        self.rows.back().and_then(|(_, row)| value_of(row, channel))
    }
}

/// The fault that sets in.
#[derive(Debug, Clone)]
pub(super) struct FaultPlan {
    pub(super) unit: String,
    pub(super) from_row: u64,
    /// As on the command line: `clogged-filter:0.3`.
    pub(super) name: String,
}

/// Everything the view shows.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) targets: Vec<Target>,
    pub(super) units: Vec<UnitBoard>,
    pub(super) fault: Option<FaultPlan>,
    pub(super) rows_sent: u64,
    pub(super) time_us: i64,
    pub(super) predictions: u64,
    arrivals: VecDeque<Duration>,
    daemon_us: VecDeque<f64>,
    round_trips_us: VecDeque<f64>,
}

impl Board {
    pub(super) fn new(targets: Vec<Target>, fault: Option<FaultPlan>) -> Self {
        Self {
            targets,
            units: Vec::new(),
            fault,
            rows_sent: 0,
            time_us: 0,
            predictions: 0,
            arrivals: VecDeque::new(),
            daemon_us: VecDeque::new(),
            round_trips_us: VecDeque::new(),
        }
    }

    /// A row went out `at` since the start.
    pub(super) fn sent(&mut self, row: Row, at: Duration) {
        self.rows_sent = row.index + 1;
        self.time_us = row.time_us;
        for unit_row in row.units {
            if !self.units.iter().any(|unit| unit.name == unit_row.unit) {
                self.units.push(UnitBoard {
                    name: unit_row.unit.clone(),
                    rows: VecDeque::new(),
                    quality: "waiting".to_owned(),
                    reasons: Vec::new(),
                    targets: vec![TargetBoard::default(); self.targets.len()],
                });
            }
            if let Some(unit) = self.units.iter_mut().find(|unit| unit.name == unit_row.unit) {
                push(&mut unit.rows, (at, unit_row), ROWS_KEPT);
            }
        }
    }

    /// Has the fault set in at this unit?
    pub(super) fn is_faulty(&self, unit: &str) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.unit == unit && self.rows_sent > fault.from_row)
    }

    /// A prediction document arrived `at` since the start. Gives it back with what only the simulation
    /// knows added; `None` when it is none of ours.
    pub(super) fn predicted(&mut self, payload: &[u8], at: Duration) -> Option<Value> {
        let mut document: Value = serde_json::from_slice(payload).ok()?;
        let name = document.get("unit")?.as_str()?.to_owned();
        let is_faulty = self.is_faulty(&name);
        let time: jiff::Timestamp = document.get("time")?.as_str()?.parse().ok()?;
        let unit = self.units.iter_mut().find(|unit| unit.name == name)?;
        let (sent_at, row) = unit.rows.iter().rev().find(|(_, row)| row.time_us == time.as_microsecond())?;
        let round_trip_us = at.saturating_sub(*sent_at).as_secs_f64() * 1e6;
        let mut truths = serde_json::Map::new();
        for (target, board) in self.targets.iter().zip(&mut unit.targets) {
            board.predicted = document.get(&target.name).and_then(Value::as_f64);
            board.measured = value_of(row, &target.name);
            board.truth = truth_of(row, &target.name);
            board.note(!is_faulty);
            truths.insert(target.name.clone(), json!(board.truth));
        }
        document.get("quality").and_then(Value::as_str).unwrap_or("?").clone_into(&mut unit.quality);
        unit.reasons = document
            .get("reasons")
            .and_then(Value::as_array)
            .map(|reasons| reasons.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        self.predictions += 1;
        push(&mut self.arrivals, at, TIMES_KEPT);
        push(&mut self.round_trips_us, round_trip_us, TIMES_KEPT);
        if let Some(total) = document.pointer("/latency_us/total").and_then(Value::as_f64) {
            push(&mut self.daemon_us, total, TIMES_KEPT);
        }
        let added = document.as_object_mut()?;
        added.insert("truth".to_owned(), Value::Object(truths));
        added.insert("fault".to_owned(), json!(self.fault.as_ref().filter(|_| is_faulty).map(|f| &f.name)));
        added.insert("round_trip_us".to_owned(), json!(round_trip_us.round()));
        Some(document)
    }

    /// Predictions a second over the last two seconds, or as far back as times are kept.
    pub(super) fn rate(&self, at: Duration) -> f64 {
        let mut span = RATE_SPAN.min(at);
        if self.arrivals.len() == TIMES_KEPT {
            span = span.min(at.saturating_sub(self.arrivals.front().copied().unwrap_or_default()));
        }
        let since = at.saturating_sub(span);
        let recent = self.arrivals.iter().rev().take_while(|arrival| **arrival >= since).count();
        recent as f64 / span.as_secs_f64().max(MIN_SPAN_S)
    }

    /// What there was, in one sentence.
    pub(super) fn summary(&self, at: Duration) -> String {
        let mut text = format!(
            "{} predictions for {} units in {:.0} s",
            self.predictions,
            self.units.len(),
            at.as_secs_f64()
        );
        let marked: Vec<String> = self
            .units
            .iter()
            .flat_map(|unit| unit.targets.iter().zip(&self.targets).map(move |pair| (unit, pair)))
            .filter(|(_, (numbers, _))| numbers.is_marked())
            .map(|(unit, (numbers, target))| {
                let mean = numbers.smoothed().unwrap_or_default();
                format!("{} {} by {mean:+.1} {}", unit.name, target.name, target.unit)
            })
            .collect();
        if !marked.is_empty() {
            text.push_str("; residuals far beyond the healthy unit: ");
            text.push_str(&marked.join(", "));
        }
        text
    }

    /// Time from reading to prediction within the daemon, and from sending a frame to having its
    /// prediction over the broker; microseconds.
    pub(super) fn latencies(&self) -> (Option<Summary>, Option<Summary>) {
        let summary = |times: &VecDeque<f64>| Summary::of(&times.iter().copied().collect::<Vec<_>>());
        (summary(&self.daemon_us), summary(&self.round_trips_us))
    }
}

fn value_of(row: &UnitRow, channel: &str) -> Option<f64> {
    let place = CHANNELS.iter().position(|known| *known == channel)?;
    row.values.get(place).copied().flatten()
}

fn truth_of(row: &UnitRow, target: &str) -> Option<f64> {
    let place = CHANNELS.iter().skip(SENSOR_COUNT).position(|known| *known == target)?;
    row.truth.get(place).copied()
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}
