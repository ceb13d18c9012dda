//! A sample to predictions, by the very code of the engine.

use std::sync::Arc;

use super::sample::Sample;
use crate::bundle::{Evaluator, Manifest};
use crate::daemon::desk::Served;
use crate::domain::quality::quality_of;
use crate::domain::{Now, Quality, Reason, Timestamp, UnitState};
use crate::monitor::residual;

/// An evaluator with the memory of one unit, forgotten after each sample.
#[derive(Debug)]
pub(super) struct Evaluating {
    evaluator: Evaluator,
    state: UnitState,
    /// The channel that measures each target.
    measured_by: Vec<Option<usize>>,
    /// The sensor that each feature is, if it is one as it is.
    sensor_of: Vec<Option<usize>>,
    max_missing_features: usize,
    reasons: Vec<Reason>,
    residuals: Vec<Option<f64>>,
}

/// What came of a sample.
#[derive(Debug)]
pub(super) struct Outcome<'a> {
    /// By target; `None` when the inputs do not carry a prediction.
    pub(super) predictions: Option<&'a [f64]>,
    /// Measured minus predicted, by target.
    pub(super) residuals: &'a [Option<f64>],
    pub(super) quality: Quality,
    pub(super) reasons: &'a [Reason],
}

impl Evaluating {
    pub(super) fn new(served: &Arc<Served>) -> Self {
        let evaluator = served.evaluator.clone();
        let manifest = &served.manifest;
        let channels = manifest.channels();
        let measured_by = manifest.targets.iter().map(|target| {
            let name = target.measured_by.as_deref()?;
            channels.iter().position(|channel| *channel == name)
        });
        Self {
            measured_by: measured_by.collect(),
            sensor_of: sensors_of(manifest),
            state: evaluator.assembler.new_state(),
            max_missing_features: manifest.max_missing_features,
            reasons: Vec::new(),
            residuals: vec![None; manifest.targets.len()],
            evaluator,
        }
    }

    /// Evaluates a sample without violations, measured at `time`, which nobody vouches for when the clock is not set.
    pub(super) fn evaluate(&mut self, sample: &Sample, time: Timestamp, is_clock_unset: bool) -> Outcome<'_> {
        self.residuals.fill(None);
        // A row of features has its times in it.
        if sample.has_features { self.row(sample) } else { self.readings(sample, time, is_clock_unset) }
    }

    /// As a unit that is new and sends its first frame.
    fn readings(&mut self, sample: &Sample, time: Timestamp, is_clock_unset: bool) -> Outcome<'_> {
        let now = Now::replay(time);
        self.state.clear();
        for (channel, value) in sample.values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            // Its range was checked, and nothing is newer.
            let _ = self.evaluator.assembler.apply(&mut self.state, channel, *value, time, now);
        }
        let Some(evaluation) = self.evaluator.evaluate(&self.state, now, || 0) else {
            return Outcome {
                predictions: None,
                residuals: &self.residuals,
                quality: Quality::Bad,
                reasons: &[Reason::Silent],
            };
        };
        let predicted = evaluation.predictions.unwrap_or_default();
        for ((slot, channel), predicted) in self.residuals.iter_mut().zip(&self.measured_by).zip(predicted) {
            let measured = channel.and_then(|channel| sample.values.get(channel).copied());
            *slot = residual(measured, *predicted);
        }
        self.reasons.clear();
        self.reasons.extend_from_slice(evaluation.reasons);
        if is_clock_unset {
            self.reasons.push(Reason::ClockNotSet);
        }
        Outcome {
            predictions: evaluation.predictions,
            residuals: &self.residuals,
            quality: quality_of(&self.reasons),
            reasons: &self.reasons,
        }
    }

    /// As a row of the training matrix.
    fn row(&mut self, sample: &Sample) -> Outcome<'_> {
        self.reasons.clear();
        let mut missing = 0;
        for (feature, (value, sensor)) in sample.row.iter().zip(&self.sensor_of).enumerate() {
            if value.is_nan() {
                missing += 1;
                self.reasons.push(match sensor {
                    Some(sensor) => Reason::Missing(*sensor as u16),
                    None => Reason::Undefined(feature as u16),
                });
            } else if let Some(sensor) = sensor
                && let Some((low, high)) = self.evaluator.assembler.trained_range(*sensor)
                && sample.values.get(*sensor).is_some_and(|value| *value < low || *value > high)
            {
                self.reasons.push(Reason::OutsideTrainedRange(*sensor as u16));
            }
        }
        if missing > self.max_missing_features {
            self.reasons.push(Reason::TooManyMissing);
        }
        let predictor = &mut self.evaluator.predictor;
        let is_made = quality_of(&self.reasons) != Quality::Bad && predictor.predict(&sample.row).is_ok();
        if is_made {
            predictor.judge(&mut self.reasons);
        }
        let quality = if is_made { quality_of(&self.reasons) } else { Quality::Bad };
        Outcome {
            predictions: (quality != Quality::Bad).then(|| self.evaluator.predictor.latest()),
            residuals: &self.residuals,
            quality,
            reasons: &self.reasons,
        }
    }
}

fn sensors_of(manifest: &Manifest) -> Vec<Option<usize>> {
    let features = manifest.features.iter();
    let sensor = |name: &str| manifest.sensors.iter().position(|sensor| sensor.name == name);
    features.map(|feature| sensor(&feature.name).filter(|_| feature.expr.is_none())).collect()
}
