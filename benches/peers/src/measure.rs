//! Checks that all competitors agree, then times them in turns.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Error;
use crate::competitor::{Agreement, Competitor, Runner, TOLERANCE, Task};
use crate::data::{Rows, Setup, Suite};
use crate::ours::{self, Spin};
use crate::python::{self, Python};

/// In tables: [`Spin`] as long as cooltwin takes for the same task.
pub const SPIN: &str = "spin as long";

/// A size of batches and how it is measured.
#[derive(Clone, Copy)]
pub struct Size {
    /// Rows a call.
    pub batch: usize,
    /// Timed calls of each competitor and model in one round.
    pub calls: usize,
    /// Calls before them that are not timed: the caches hold what the one before has left, and it takes some twenty
    /// calls until single rows run evenly.
    pub warm_up: usize,
    /// Rounds, at one for the shortest run.
    pub rounds: usize,
}

/// Many short rounds rather than few long ones: a moment's disturbance then hits all competitors alike.
pub const SIZES: [Size; 3] = [
    Size { batch: 1, calls: 128, warm_up: 64, rounds: 80 },
    Size { batch: 64, calls: 4, warm_up: 1, rounds: 60 },
    Size { batch: 1024, calls: 1, warm_up: 0, rounds: 60 },
];

/// Rows of the largest batch.
pub const LONGEST_STRETCH: usize = 1024;

/// Times of one competitor at one task, nanoseconds a call.
pub struct Series {
    /// The competitor.
    pub competitor: &'static str,
    /// Place of the model in its suite; none is all of them.
    pub model: Option<usize>,
    /// Rows a call.
    pub batch: usize,
    times: Vec<u32>,
    /// What p99 lies above p50 in the median round, a share of p50: noise comes in spells, most rounds see little.
    pub excess: f64,
}

impl Series {
    /// The time a row below which the given share of calls stays, in nanoseconds.
    pub fn quantile(&self, share: f64) -> f64 {
        let place = ((self.times.len() - 1) as f64 * share).round() as usize;
        f64::from(self.times[place]) / self.batch as f64
    }

    /// Number of timed calls.
    pub fn calls(&self) -> usize {
        self.times.len()
    }
}

/// The tasks of a suite: each model, then all.
pub fn tasks<'a>(setup: &Setup, suite: &'a Suite, batch: usize) -> Vec<Task<'a>> {
    let models = (0..suite.models.len()).map(Some).chain([None]);
    models.map(|model| Task { suite, model, batch, features: setup.features }).collect()
}

/// How far a competitor's predictions are from cooltwin's.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Difference {
    /// Predictions compared.
    pub compared: usize,
    /// Those that differ in any bit.
    pub differing: usize,
    /// The largest difference, relative to the value or 1.
    pub worst: f64,
}

/// Predicts all rows by all competitors and compares. A competitor that cannot be made goes to the list of the
/// missing; one that gives other numbers is an error.
pub fn verify(
    competitors: &[Competitor],
    task: &Task<'_>,
    rows: &Rows,
    missing: &mut Vec<(String, String)>,
    differences: &mut BTreeMap<&'static str, Difference>,
) -> Result<(), Error> {
    let mut expected: Option<Vec<f64>> = None;
    for competitor in competitors.iter().filter(|competitor| competitor.agreement != Agreement::None) {
        let mut runner = match (competitor.make)(task) {
            Ok(runner) => runner,
            Err(error) => {
                missing.push((competitor.name.to_owned(), error.to_string()));
                continue;
            }
        };
        let found = predict_all(runner.as_mut(), task, rows)?;
        // cooltwin comes first.
        let expected = expected.get_or_insert_with(|| found.clone());
        let worst = worst_difference(expected, &found);
        let differing = expected.iter().zip(&found).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        let agrees = match competitor.agreement {
            Agreement::Exact => differing == 0,
            _ => worst <= TOLERANCE,
        };
        if !agrees {
            let (name, suite, count) = (competitor.name, &task.suite.name, found.len());
            let text =
                format!("{name}, {suite}, batches of {}: {differing} of {count} predictions", task.batch);
            return Err(format!("{text} differ from cooltwin's, by up to {worst:e}").into());
        }
        let sum = differences.entry(competitor.name).or_default();
        sum.compared += found.len();
        sum.differing += differing;
        sum.worst = sum.worst.max(worst);
    }
    Ok(())
}

fn predict_all(runner: &mut dyn Runner, task: &Task<'_>, rows: &Rows) -> Result<Vec<f64>, Error> {
    let models = task.models().len();
    let mut all = Vec::with_capacity(rows.len() * models);
    for start in (0..rows.len()).step_by(task.batch) {
        runner.run(rows.stretch(start, task.batch))?;
        let outputs = (0..task.batch).flat_map(|row| (0..models).map(move |model| (row, model)));
        all.extend(outputs.map(|(row, model)| runner.output(row, model)));
    }
    Ok(all)
}

fn worst_difference(expected: &[f64], found: &[f64]) -> f64 {
    let differences = expected.iter().zip(found).map(|(a, b)| (a - b).abs() / a.abs().max(1.0));
    // A NaN anywhere must show.
    differences.fold(
        0.0,
        |worst, difference| if difference > worst || difference.is_nan() { difference } else { worst },
    )
}

/// Times all competitors at all tasks of a suite. Each round goes through the tasks, each task through the
/// competitors, which all read the same rows; who begins changes from round to round.
pub fn measure(
    competitors: &[Competitor],
    tasks: &[Task<'_>],
    size: Size,
    rows: &Rows,
    mut python: Option<&mut Python>,
) -> Result<Vec<Series>, Error> {
    let mut lanes =
        tasks.iter().map(|task| lanes(competitors, task, size, rows)).collect::<Result<Vec<_>, Error>>()?;
    let suite = &tasks[0].suite.name;
    let mut from_python: Vec<Series> = tasks.iter().map(|task| series(python::NAME, task)).collect();
    for round in 0..size.rounds {
        let start = round * size.calls * size.batch;
        for lanes in &mut lanes {
            let count = lanes.len();
            for place in 0..count {
                let (series, runner) = &mut lanes[(place + round) % count];
                pass(runner.as_mut(), size, rows, start, &mut series.times)?;
            }
        }
        if let Some(python) = &mut python {
            for (series, times) in
                from_python.iter_mut().zip(python.turn(suite, size.batch, start, size.calls)?)
            {
                series.times.extend(times);
            }
        }
    }
    let measured = lanes.into_iter().flatten().map(|(series, _)| series);
    let mut all: Vec<Series> =
        measured.chain(from_python).filter(|series| !series.times.is_empty()).collect();
    for series in &mut all {
        let mut excesses: Vec<f64> = series.times.chunks_mut(size.calls).map(excess).collect();
        excesses.sort_by(f64::total_cmp);
        series.excess = excesses[excesses.len() / 2];
        series.times.sort_unstable();
    }
    Ok(all)
}

/// What p99 lies above p50, a share of p50.
fn excess(times: &mut [u32]) -> f64 {
    times.sort_unstable();
    let at = |share: usize| f64::from(times[(times.len() - 1) * share / 100]);
    at(99) / at(50) - 1.0
}

type Lane = (Series, Box<dyn Runner>);

fn series(competitor: &'static str, task: &Task<'_>) -> Series {
    Series { competitor, model: task.model, batch: task.batch, times: Vec::new(), excess: f64::NAN }
}

/// Everybody at one task, with a spin of cooltwin's length for single rows.
fn lanes(competitors: &[Competitor], task: &Task<'_>, size: Size, rows: &Rows) -> Result<Vec<Lane>, Error> {
    let mut lanes: Vec<Lane> = Vec::new();
    for competitor in competitors {
        lanes.push((series(competitor.name, task), (competitor.make)(task)?));
    }
    let ours = lanes.iter_mut().find(|(series, _)| series.competitor == ours::NAME);
    if let (1, Some((_, runner))) = (size.batch, ours) {
        let spin = spin_as_long_as(runner.as_mut(), size, rows)?;
        lanes.push((series(SPIN, task), Box::new(spin)));
    }
    Ok(lanes)
}

/// Medians of a few passes in turns, of which the quickest counts: neighbours only ever make it slower.
fn spin_as_long_as(runner: &mut dyn Runner, size: Size, rows: &Rows) -> Result<Spin, Error> {
    const TURNS: u32 = 2000;
    const REPEATS: usize = 10;
    let mut quickest = [f64::INFINITY; 3];
    for repeat in 0..REPEATS {
        let candidates: [&mut dyn Runner; 3] = [&mut Spin { turns: 0 }, &mut Spin { turns: TURNS }, runner];
        for (quickest, runner) in quickest.iter_mut().zip(candidates) {
            let mut times = Vec::new();
            pass(runner, size, rows, repeat * size.calls, &mut times)?;
            times.sort_unstable();
            *quickest = quickest.min(f64::from(times[times.len() / 2]));
        }
    }
    let [empty, spin, runner] = quickest;
    Ok(Spin { turns: ((runner - empty) / (spin - empty) * f64::from(TURNS)).max(0.0) as u32 })
}

fn pass(
    runner: &mut dyn Runner,
    size: Size,
    rows: &Rows,
    start: usize,
    times: &mut Vec<u32>,
) -> Result<(), Error> {
    // Counted from a round earlier, so that the rows before `start` exist.
    let before = start + rows.len() * size.warm_up - size.warm_up * size.batch;
    for call in 0..size.warm_up {
        runner.run(rows.stretch(before + call * size.batch, size.batch))?;
    }
    let mut hot = Vec::new();
    for call in 0..size.calls {
        let rows = rows.stretch(start + call * size.batch, size.batch);
        let time = if size.batch == 1 {
            by_the_wall(runner, rows, &mut hot)?
        } else {
            by_the_processor(runner, rows)?
        };
        times.push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
    }
    Ok(())
}

/// The row lies in the cache, as it does for whoever has just computed it: otherwise the time would contain the way
/// from the harness's matrix.
fn by_the_wall(runner: &mut dyn Runner, row: &[f32], hot: &mut Vec<f32>) -> Result<Duration, Error> {
    hot.clear();
    hot.extend_from_slice(row);
    let row = black_box(hot.as_slice());
    let begin = Instant::now();
    runner.run(row)?;
    Ok(begin.elapsed())
}

/// A batch of the slow ones takes longer than the scheduler gives at a stretch: on a busy machine their wall time
/// would contain other programs, that of the quick ones would not. Processor time is without them, and that of the
/// whole process would show helper threads.
fn by_the_processor(runner: &mut dyn Runner, rows: &[f32]) -> Result<Duration, Error> {
    let begin = processor_time()?;
    runner.run(black_box(rows))?;
    Ok(processor_time()?.saturating_sub(begin))
}

fn processor_time() -> Result<Duration, Error> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to the given place.
    if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}
