//! The measurements.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::report::Line;
use crate::bundle::{Assembler, Bundle, BundleFiles};
use crate::cli::model;
use crate::cli::stats::Summary;
use crate::domain::{Effect, Now, PublishKind, Timestamp, UnitState};
use crate::engine::{Engine, EngineSettings, Input};
use crate::inference::Model;
use crate::simulator::{CHANNELS, Simulator, UnitRow, format};

/// Different rows that take turns. More than any branch predictor remembers, few enough to stay in cache
/// beside the models, as readings just received would be.
const ROTATION: usize = 1024;
/// Readings of the clock whose median is its cost.
const CLOCK_READINGS: usize = 10_001;

/// Simulated rows in the forms that the stages take.
pub(super) struct Workload {
    /// Rows of one unit; they take turns, their times go on.
    rows: Vec<UnitRow>,
    /// Where each channel of a simulated row stands in the bundle.
    places: Vec<Option<usize>>,
}

impl Workload {
    /// Takes [`ROTATION`] rows of the first simulated unit.
    pub(super) fn new(bundle: &Bundle, mut simulator: Simulator) -> Self {
        let channels = bundle.manifest.channels();
        let place = |name: &&str| channels.iter().position(|channel| channel == name);
        let rows = (0..ROTATION).filter_map(|_| simulator.next_row().units.into_iter().next()).collect();
        Self { rows, places: CHANNELS.iter().map(place).collect() }
    }

    /// The row of a turn, at a time after that of the turn before.
    fn row(&self, turn: usize) -> UnitRow {
        let first = self.rows.first();
        let start = first.map_or(0, |row| row.time_us);
        let step_us = self.rows.get(1).map_or(0, |row| row.time_us - start);
        let mut row = self.rows.get(turn % self.rows.len().max(1)).cloned().unwrap_or_else(|| UnitRow {
            unit: String::new(),
            time_us: 0,
            values: [None; CHANNELS.len()],
            truth: [0.0; 3],
        });
        row.time_us = start + i64::try_from(turn).unwrap_or(0) * step_us;
        row
    }

    /// The readings of a row: channel and value.
    fn readings<'a>(&'a self, row: &'a UnitRow) -> impl Iterator<Item = (usize, f64)> + 'a {
        self.places.iter().zip(row.values).filter_map(|(place, value)| Some(((*place)?, value?)))
    }

    /// Feature rows as the bundle computes them from the simulated readings.
    pub(super) fn features(&self, bundle: &mut Bundle) -> Vec<Vec<f32>> {
        let assembler = &mut bundle.evaluator.assembler;
        let mut state = assembler.new_state();
        let mut vectors = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let now = Now::replay(Timestamp::from_micros(row.time_us));
            for (channel, value) in self.readings(row) {
                // A reading the bundle refuses is missing, as it would be in service.
                let _ = assembler.apply(&mut state, channel, value, now.wall, now);
            }
            vectors.extend(assembler.assemble(&state, now).map(|assembly| assembly.row.to_vec()));
        }
        vectors
    }
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs {
    pub(super) warm_up: u32,
    pub(super) measured: u32,
}

impl Runs {
    /// Gives `work` turn after turn and summarises the times it returns, without those of the warm-up.
    fn measure(
        self,
        name: &str,
        mut work: impl FnMut(usize) -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Line> {
        let mut samples = Vec::with_capacity(self.measured as usize);
        for turn in 0..self.warm_up as usize + self.measured as usize {
            let took = work(turn).with_context(|| name.to_owned())?;
            if turn >= self.warm_up as usize {
                samples.push(took.as_secs_f64() * 1e9);
            }
        }
        Ok(Line::new(name, Summary::of(&samples).context("nothing was measured")?))
    }
}

/// Median time between two readings of the clock, ns.
pub(super) fn timer_overhead_ns() -> f64 {
    let between: Vec<f64> =
        (0..CLOCK_READINGS).map(|_| Instant::now().elapsed().as_secs_f64() * 1e9).collect();
    Summary::of(&between).map_or(0.0, |summary| summary.p50)
}

/// Each model on its own, then all of them as they predict.
pub(super) fn models(
    bundle: &mut Bundle,
    files: &BundleFiles,
    workload: &Workload,
    runs: Runs,
) -> anyhow::Result<Vec<Line>> {
    let vectors = workload.features(bundle);
    let row = |turn: usize| vectors.get(turn % vectors.len().max(1)).map(Vec::as_slice).context("no row");
    let width = bundle.manifest.features.len();
    let predictor = &mut bundle.evaluator.predictor;
    let mut lines = Vec::new();
    for loaded in predictor.models().models() {
        let bytes = files.0.get(loaded.name()).context("the model's file is missing")?;
        let start = Instant::now();
        let mut model = Model::from_onnx(loaded.name(), bytes, width)?;
        let load_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut out = vec![0.0; model.n_outputs()];
        let line = runs.measure(loaded.name(), |turn| {
            let row = row(turn)?;
            let start = Instant::now();
            model.predict(black_box(row), black_box(&mut out))?;
            Ok(start.elapsed())
        })?;
        lines.push(Line { load_ms: Some(load_ms), file_bytes: Some(bytes.len()), ..line });
    }
    let loads: f64 = lines.iter().filter_map(|line| line.load_ms).sum();
    let sizes: usize = lines.iter().filter_map(|line| line.file_bytes).sum();
    let all = runs.measure("all models", |turn| {
        let row = row(turn)?;
        let start = Instant::now();
        black_box(predictor.predict(black_box(row))?);
        Ok(start.elapsed())
    })?;
    lines.push(Line { load_ms: Some(loads), file_bytes: Some(sizes), ..all });
    Ok(lines)
}

/// Applying a frame's readings to a unit's state, and assembling the feature vector from it.
pub(super) fn vectors(bundle: &mut Bundle, workload: &Workload, runs: Runs) -> anyhow::Result<[Line; 2]> {
    let assembler = &mut bundle.evaluator.assembler;
    let mut state = assembler.new_state();
    let apply = |turn: usize, assembler: &mut Assembler, state: &mut UnitState| {
        let row = workload.row(turn);
        let readings: Vec<(usize, f64)> = workload.readings(&row).collect();
        let now = Now::replay(Timestamp::from_micros(row.time_us));
        let start = Instant::now();
        for (channel, value) in &readings {
            // Refused readings cost time as well.
            let _ = black_box(assembler.apply(state, *channel, *value, now.wall, now));
        }
        (start.elapsed(), now)
    };
    let applied = runs.measure("readings into the state", |turn| Ok(apply(turn, assembler, &mut state).0))?;
    let mut state = assembler.new_state();
    let vector = runs.measure("feature vector", |turn| {
        let (_, now) = apply(turn, assembler, &mut state);
        let start = Instant::now();
        black_box(assembler.assemble(black_box(&state), now).context("no vector")?);
        Ok(start.elapsed())
    })?;
    Ok([applied, vector])
}

/// From the bytes of a frame to the bytes of the prediction document, through the engine.
pub(super) fn street(bundle: Bundle, workload: &Workload, runs: Runs) -> anyhow::Result<Line> {
    let settings = EngineSettings { target_topics: false, ..EngineSettings::default() };
    let mut engine = Engine::new(bundle, settings, model::stopwatch);
    let mut effects = Vec::new();
    let mut frame = String::new();
    let mut refused = 0_u64;
    let line = runs.measure("frame to prediction", |turn| {
        let row = workload.row(turn);
        frame.clear();
        format::frame(&row, &mut frame);
        let now = Now::replay(Timestamp::from_micros(row.time_us));
        let message = Input::Message {
            topic: "hvac/bench/sensors",
            payload: black_box(frame.as_bytes()),
            retained: false,
            token: None,
            arrived: now.monotonic,
        };
        let start = Instant::now();
        engine.handle(now, message, &mut effects);
        let took = start.elapsed();
        refused += u64::from(!effects.iter().any(is_prediction));
        black_box(&effects);
        effects.clear();
        Ok(took)
    })?;
    ensure!(
        refused == 0,
        "{refused} simulated frames gave no prediction: the bundle wants other sensors than the simulated unit \
         cooler has, so the whole street cannot be measured"
    );
    Ok(line)
}

fn is_prediction(effect: &Effect) -> bool {
    matches!(effect, Effect::Publish(publish) if publish.kind == PublishKind::Prediction)
}
