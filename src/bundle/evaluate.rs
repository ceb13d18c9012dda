//! A unit's state to predictions: assemble the vector, run the models, judge the result.
//!
//! The one path that the engine, golden replay and the command line share. Allocates nothing per vector
//! when the models are tree ensembles.

use std::time::Duration;

use super::manifest::{InputScaler, Manifest, OutputScaler};
use super::vector::Assembler;
use crate::domain::quality::quality_of;
use crate::domain::{Now, Quality, Reason, Timestamp, UnitState};
use crate::inference::{ModelError, ModelSet};

#[derive(Debug, Clone)]
struct TargetRule {
    plausible: (f64, f64),
    input_scaler: Option<InputScaler>,
    output_scaler: Option<OutputScaler>,
}

/// Runs the models of a bundle on feature vectors, scaling where the targets ask for it.
#[derive(Debug, Clone)]
pub struct Predictor {
    models: ModelSet,
    targets: Vec<TargetRule>,
    raw: Vec<f32>,
    scaled: Vec<f32>,
    predictions: Vec<f64>,
}

impl Predictor {
    /// Joins loaded models with what the manifest says of their targets.
    #[must_use]
    pub fn new(manifest: &Manifest, models: ModelSet) -> Self {
        let targets: Vec<TargetRule> = manifest
            .targets
            .iter()
            .map(|target| TargetRule {
                plausible: target.plausible,
                input_scaler: target.input_scaler.clone(),
                output_scaler: target.output_scaler,
            })
            .collect();
        let count = targets.len();
        let scaled = vec![0.0; manifest.features.len()];
        Self { models, targets, raw: vec![0.0; count], scaled, predictions: vec![f64::NAN; count] }
    }

    /// The loaded models.
    #[must_use]
    pub fn models(&self) -> &ModelSet {
        &self.models
    }

    /// Predicts every target from one feature row, in the targets' units and order.
    ///
    /// # Errors
    /// A model that failed; never for tree ensembles and a row of the right length.
    pub fn predict(&mut self, row: &[f32]) -> Result<&[f64], ModelError> {
        if self.targets.iter().all(|target| target.input_scaler.is_none()) {
            self.models.predict(row, &mut self.raw)?;
        } else {
            for (index, (target, slot)) in self.targets.iter().zip(&mut self.raw).enumerate() {
                let input = match &target.input_scaler {
                    Some(scaler) => {
                        scale_row(scaler, row, &mut self.scaled);
                        &self.scaled
                    }
                    None => row,
                };
                *slot = self.models.predict_target(index, input)?;
            }
        }
        for ((target, raw), slot) in self.targets.iter().zip(&self.raw).zip(&mut self.predictions) {
            let raw = f64::from(*raw);
            *slot = target.output_scaler.map_or(raw, |scaler| raw * scaler.scale + scaler.mean);
        }
        Ok(&self.predictions)
    }

    /// The latest predictions, by target.
    #[must_use]
    pub fn latest(&self) -> &[f64] {
        &self.predictions
    }

    /// Adds what is wrong with the latest predictions.
    pub fn judge(&self, reasons: &mut Vec<Reason>) {
        for (index, (target, value)) in self.targets.iter().zip(&self.predictions).enumerate() {
            if !value.is_finite() {
                reasons.push(Reason::NotComputable(index as u16));
            } else if *value < target.plausible.0 || *value > target.plausible.1 {
                reasons.push(Reason::Implausible(index as u16));
            }
        }
    }
}

fn scale_row(scaler: &InputScaler, row: &[f32], scaled: &mut [f32]) {
    for (((slot, value), mean), scale) in scaled.iter_mut().zip(row).zip(&scaler.mean).zip(&scaler.scale) {
        *slot = ((f64::from(*value) - mean) / scale) as f32;
    }
}

/// Assembler and predictor together, with the memory for the reasons. A clone, for whoever evaluates beside the engine,
/// shares the tables of the models and gives the same bits.
#[derive(Debug, Clone)]
pub struct Evaluator {
    /// Readings to vectors.
    pub assembler: Assembler,
    /// Vectors to predictions.
    pub predictor: Predictor,
    reasons: Vec<Reason>,
}

/// One evaluation of a unit. Borrowed from the evaluator until the next one.
#[derive(Debug)]
pub struct Evaluation<'a> {
    /// Event time of the newest reading.
    pub time: Timestamp,
    /// The feature vector.
    pub row: &'a [f32],
    /// Predictions by target; `None` when they are withheld.
    pub predictions: Option<&'a [f64]>,
    /// The worst of the reasons.
    pub quality: Quality,
    /// Why the quality is not good.
    pub reasons: &'a [Reason],
    /// Age of the oldest sensor value used.
    pub oldest: Duration,
    /// Sensors with a fresh value.
    pub fresh: usize,
    /// All sensors.
    pub sensors: usize,
    /// Stopwatch readings: begin, vector assembled, models run.
    pub ticks: [u64; 3],
}

impl Evaluator {
    /// Joins both halves.
    #[must_use]
    pub fn new(assembler: Assembler, predictor: Predictor) -> Self {
        // Assembly gives two reasons a channel at most; the predictor adds one a target.
        let most = 2 * (assembler.program().features() + predictor.targets.len()) + 1024;
        Self { assembler, predictor, reasons: Vec::with_capacity(most) }
    }

    /// Evaluates a unit as of its newest reading, judged `now`. `None` before the first reading.
    pub fn evaluate(
        &mut self,
        state: &UnitState,
        now: Now,
        stopwatch: fn() -> u64,
    ) -> Option<Evaluation<'_>> {
        let begin = stopwatch();
        let assembly = self.assembler.assemble(state, now)?;
        let assembled = stopwatch();
        self.reasons.clear();
        self.reasons.extend_from_slice(assembly.reasons);
        if assembly.quality != Quality::Bad {
            match self.predictor.predict(assembly.row) {
                Ok(_) => self.predictor.judge(&mut self.reasons),
                Err(_) => self.reasons.push(Reason::NotComputable(0)),
            }
        }
        let quality = quality_of(&self.reasons);
        Some(Evaluation {
            time: assembly.time,
            row: assembly.row,
            predictions: (quality != Quality::Bad).then_some(self.predictor.predictions.as_slice()),
            quality,
            reasons: &self.reasons,
            oldest: assembly.oldest,
            fresh: assembly.fresh,
            sensors: assembly.sensors,
            ticks: [begin, assembled, stopwatch()],
        })
    }
}
