//! Readings into a unit's state, and a unit's state into the feature vector with its quality.

use std::time::Duration;

use super::compile::{FeatureError, FeatureSource, compile};
use super::manifest::{Manifest, Missing};
use super::program::{Program, Scratch};
use super::reference::Reference;
use crate::domain::quality::quality_of;
use crate::domain::{Held, Now, Quality, Reason, RejectReason, Timestamp, UnitState};

/// Share of the trained range by which a value may leave it unremarked: sensor noise at the very edge of
/// what training happened to see says nothing.
const TRAINED_RANGE_MARGIN: f64 = 0.02;

/// What the manifest says of one channel, in the form the hot path wants.
#[derive(Debug, Clone)]
struct ChannelRule {
    accept: (f64, f64),
    max_age: Duration,
    missing: Missing,
    trained: Option<(f64, f64)>,
}

/// Assembles feature vectors. Owns its working memory: nothing is allocated per vector.
#[derive(Debug, Clone)]
pub struct Assembler {
    program: Program,
    /// Sensors first, then the channels that measure targets.
    rules: Vec<ChannelRule>,
    sensors: usize,
    max_missing_features: usize,
    scratch: Scratch,
    values: Vec<f64>,
    row: Vec<f32>,
    reasons: Vec<Reason>,
}

/// A feature vector and what is to be said about it. Borrowed from the assembler until the next one.
#[derive(Debug)]
pub struct Assembly<'a> {
    /// The features, in the models' order; NaN where missing.
    pub row: &'a [f32],
    /// Why the quality is not good.
    pub reasons: &'a [Reason],
    /// The worst of the reasons.
    pub quality: Quality,
    /// Event time of the vector.
    pub time: Timestamp,
    /// Age of the oldest sensor value that was used.
    pub oldest: Duration,
    /// Sensors with a fresh value.
    pub fresh: usize,
    /// All sensors.
    pub sensors: usize,
}

impl Assembler {
    /// Compiles a manifest's features.
    ///
    /// # Errors
    /// Everything that is wrong with any feature.
    pub fn new(manifest: &Manifest, reference: Option<&Reference>) -> Result<Self, Vec<FeatureError>> {
        let sensors: Vec<&str> = manifest.sensors.iter().map(|sensor| sensor.name.as_str()).collect();
        let sources: Vec<FeatureSource> = manifest
            .features
            .iter()
            .map(|feature| FeatureSource {
                name: &feature.name,
                expr: feature.expr.as_deref(),
                missing: feature.missing,
            })
            .collect();
        let program = compile(&sensors, &sources, manifest.step, manifest.zone.clone())?;
        Ok(Self {
            rules: channel_rules(manifest, reference),
            sensors: sensors.len(),
            max_missing_features: manifest.max_missing_features,
            scratch: program.scratch(),
            values: vec![f64::NAN; sensors.len()],
            row: vec![f32::NAN; program.features()],
            // Each sensor, feature and target can give two reasons at most, as can the unit.
            reasons: Vec::with_capacity(
                2 * (sensors.len() + program.features() + manifest.targets.len() + 1),
            ),
            program,
        })
    }

    /// The compiled features.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// A state for a unit of which nothing is known yet.
    #[must_use]
    pub fn new_state(&self) -> UnitState {
        let (signals, capacity) = self.program.history_shape();
        UnitState::new(self.rules.len(), signals, capacity)
    }

    /// Judges one value for its channel, whatever the unit holds; gives it back when it can be used.
    ///
    /// # Errors
    /// Why it cannot: no such channel, not finite, outside the accepted range.
    pub fn accept(&self, channel: usize, value: f64) -> Result<f64, RejectReason> {
        let rule = self.rules.get(channel).ok_or(RejectReason::UnknownSensor)?;
        if !value.is_finite() {
            return Err(RejectReason::NotFinite);
        }
        if value < rule.accept.0 || value > rule.accept.1 {
            return Err(RejectReason::OutOfRange);
        }
        Ok(value)
    }

    /// The range of a sensor that the models were trained on, with its margin, where the bundle tells it.
    #[must_use]
    pub fn trained_range(&self, sensor: usize) -> Option<(f64, f64)> {
        self.rules.get(sensor)?.trained
    }

    /// Applies one reading to a unit's state, sampling the grid up to its time before.
    ///
    /// # Errors
    /// Why the reading was not used: out of range, or older than what is held.
    pub fn apply(
        &mut self,
        state: &mut UnitState,
        channel: usize,
        value: f64,
        event: Timestamp,
        now: Now,
    ) -> Result<(), RejectReason> {
        let value = self.accept(channel, value)?;
        if state.get(channel).is_some_and(|held| held.event > event) {
            return Err(RejectReason::LateReading);
        }
        if state.event_time().is_some_and(|newest| newest < event) {
            self.program.advance(state, event, &mut self.scratch, &grid_value(&self.rules));
        }
        state.set(channel, Held::new(value, event, now));
        Ok(())
    }

    /// Assembles the feature vector of a unit as of its newest reading, judged `now`. `None` before the
    /// first reading.
    pub fn assemble(&mut self, state: &UnitState, now: Now) -> Option<Assembly<'_>> {
        let time = state.event_time()?;
        self.reasons.clear();
        let (mut oldest, mut fresh) = (Duration::ZERO, 0);
        for (index, (rule, slot)) in self.rules.iter().take(self.sensors).zip(&mut self.values).enumerate() {
            let held = state.get(index);
            let age = held.map(|held| held.age(now));
            let is_fresh = age.is_some_and(|age| age <= rule.max_age);
            fresh += usize::from(is_fresh);
            let (value, reason) = rule.value_now(index as u16, held.map(|held| held.value), is_fresh);
            self.reasons.extend(reason);
            let uses_held = is_fresh || (held.is_some() && rule.missing == Missing::Hold);
            oldest = oldest.max(age.filter(|_| uses_held).unwrap_or_default());
            *slot = value;
        }
        self.program.evaluate(
            state,
            time,
            &self.values,
            &grid_value(&self.rules),
            &mut self.scratch,
            &mut self.row,
        );
        self.judge_ranges();
        self.judge_features(state);
        if fresh == 0 {
            self.reasons.push(Reason::Silent);
        }
        Some(Assembly {
            row: &self.row,
            reasons: &self.reasons,
            quality: quality_of(&self.reasons),
            time,
            oldest,
            fresh,
            sensors: self.sensors,
        })
    }

    fn judge_ranges(&mut self) {
        for (index, (rule, value)) in self.rules.iter().zip(&self.values).enumerate() {
            if rule.trained.is_some_and(|(low, high)| *value < low || *value > high) {
                self.reasons.push(Reason::OutsideTrainedRange(index as u16));
            }
        }
    }

    fn judge_features(&mut self, state: &UnitState) {
        let mut missing = 0;
        for (index, (value, facts)) in self.row.iter().zip(&self.program.facts).enumerate() {
            let is_incomplete = !Program::has_full_windows(facts, state, &self.scratch);
            if is_incomplete {
                self.reasons.push(Reason::IncompleteHistory(index as u16));
            }
            if value.is_nan() {
                missing += 1;
                // Where a sensor is missing its own reason says so already.
                let explained = is_incomplete
                    || facts.sensors.iter().any(|sensor| {
                        self.values.get(usize::from(*sensor)).is_none_or(|value| value.is_nan())
                    });
                if !explained {
                    self.reasons.push(Reason::Undefined(index as u16));
                }
            }
        }
        if missing > self.max_missing_features {
            self.reasons.push(Reason::TooManyMissing);
        }
    }

    /// How long from `now` until the first required sensor that is still fresh turns stale.
    #[must_use]
    pub fn next_stale(&self, state: &UnitState, now: Now) -> Option<Duration> {
        let sensors = self.rules.iter().take(self.sensors).enumerate();
        sensors
            .filter(|(_, rule)| rule.missing == Missing::Required)
            .filter_map(|(index, rule)| rule.max_age.checked_sub(state.get(index)?.age(now)))
            .min()
            // Fresh means an age of at most `max_age`, so it is stale one tick of the clock later.
            .map(|left| left.saturating_add(Duration::from_micros(1)))
    }

    /// How long from `now` until the last fresh sensor turns stale, zero when none is fresh; and the longest
    /// `max_age` of the sensors that were read.
    #[must_use]
    pub fn all_stale(&self, state: &UnitState, now: Now) -> (Duration, Duration) {
        let (mut left, mut longest) = (Duration::ZERO, Duration::ZERO);
        for (index, rule) in self.rules.iter().take(self.sensors).enumerate() {
            let Some(held) = state.get(index) else { continue };
            longest = longest.max(rule.max_age);
            if let Some(fresh_for) = rule.max_age.checked_sub(held.age(now)) {
                // As above: stale one tick of the clock later.
                left = left.max(fresh_for.saturating_add(Duration::from_micros(1)));
            }
        }
        (left, longest)
    }

    /// The fresh measurement a channel holds, as of `now`.
    #[must_use]
    pub fn measurement(&self, state: &UnitState, channel: usize, now: Now) -> Option<f64> {
        let rule = self.rules.get(channel)?;
        state.get(channel).filter(|held| held.age(now) <= rule.max_age).map(|held| held.value)
    }
}

impl ChannelRule {
    fn value_now(&self, sensor: u16, held: Option<f64>, is_fresh: bool) -> (f64, Option<Reason>) {
        match (held, is_fresh, self.missing) {
            (Some(value), true, _) => (value, None),
            (None, _, Missing::Required) => (f64::NAN, Some(Reason::RequiredMissing(sensor))),
            (Some(_), _, Missing::Required) => (f64::NAN, Some(Reason::RequiredStale(sensor))),
            (Some(value), _, Missing::Hold) => (value, Some(Reason::Held(sensor))),
            (_, _, Missing::Default(value)) => (value, Some(Reason::Defaulted(sensor))),
            (None, _, Missing::Hold | Missing::Nan) => (f64::NAN, Some(Reason::Missing(sensor))),
            (Some(_), _, Missing::Nan) => (f64::NAN, Some(Reason::Stale(sensor))),
        }
    }

    /// The value at a grid instant. Ages count in event time here, so that history depends on readings alone.
    fn value_on_grid(&self, held: Option<&Held>, at: Timestamp) -> f64 {
        match (held, self.missing) {
            (Some(held), _) if at.since(held.event) <= self.max_age => held.value,
            (Some(held), Missing::Hold) => held.value,
            (_, Missing::Default(value)) => value,
            _ => f64::NAN,
        }
    }
}

/// What the history grid sees of each sensor.
fn grid_value(rules: &[ChannelRule]) -> impl Fn(usize, &UnitState, Timestamp) -> f64 {
    move |sensor, state, at| {
        rules.get(sensor).map_or(f64::NAN, |rule| rule.value_on_grid(state.get(sensor), at))
    }
}

fn channel_rules(manifest: &Manifest, reference: Option<&Reference>) -> Vec<ChannelRule> {
    let trained = |name: &str| {
        let (low, high) = reference?.features.iter().find(|channel| channel.name == name)?.range()?;
        let margin = (high - low) * TRAINED_RANGE_MARGIN;
        Some((low - margin, high + margin))
    };
    let mut rules: Vec<ChannelRule> = manifest
        .sensors
        .iter()
        .map(|sensor| ChannelRule {
            accept: sensor.accept,
            max_age: sensor.max_age,
            missing: sensor.missing,
            trained: trained(&sensor.name),
        })
        .collect();
    for name in manifest.channels().iter().skip(manifest.sensors.len()) {
        let measuring = manifest.targets.iter().find(|target| target.measured_by.as_deref() == Some(name));
        rules.extend(measuring.map(|target| ChannelRule {
            accept: target.accept,
            max_age: target.max_age,
            missing: Missing::Nan,
            trained: None,
        }));
    }
    rules
}

#[cfg(test)]
#[path = "vector_tests.rs"]
mod tests;
