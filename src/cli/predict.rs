//! `cooltwin predict`: readings, or a ready feature matrix, to predictions.

mod matrix;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use super::exit::complain;
use super::input::{Readings, Row};
use super::{Outcome, model, output};
use crate::domain::{Effect, Now, Publish, PublishKind, Timestamp, ZoneSpec};
use crate::engine::{Engine, EngineSettings, Input};

/// Most units of one file. Far above any building; a file in which a column of numbers is taken for the unit
/// does not fill the memory.
const MAX_UNITS: usize = 100_000;

const EXAMPLES: &str = "\
Readings go through the very code of the daemon: each line becomes one JSON
document, the same that `cooltwin run` publishes for the same readings. Only
latency_us is zero, so that the same input always gives the same bytes. A line
whose inputs do not carry a prediction gives none; standard error says why.

Examples:
  cooltwin predict readings.csv
  cooltwin simulate --rows 100 | cooltwin predict -
  cooltwin predict --bundle my-models readings.jsonl > predictions.jsonl
  cooltwin predict --features matrix.csv
      a matrix as `cooltwin features` writes it; columns are found by name, the
      others are ignored. Without a header it has the features alone, in order";

/// What `cooltwin predict` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of the model bundle [default: models/unit-cooler, or the installed one]
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// FILE is a feature matrix, not readings
    #[arg(long)]
    pub features: bool,
    /// Readings as CSV or JSON lines, or a feature matrix as CSV; `-` for standard input
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    /// Zone of times without an offset: UTC, a name such as Europe/Vienna, or +02:00
    #[arg(long, default_value = "UTC", value_parser = ZoneSpec::parse)]
    pub zone: ZoneSpec,
}

/// Does it.
///
/// # Errors
/// A bundle that is not usable (78), input that makes no sense, output that cannot be written.
pub fn predict(args: &Args) -> Outcome {
    let bundle = model::load(&model::locate(args.bundle.as_deref())?)?;
    let mut out = output::bulk();
    if args.features {
        matrix::predict(bundle, &args.input, &mut out)?;
        return Ok(());
    }
    let mut readings = Readings::open(&args.input, args.zone.clone())?;
    // The stopwatch stands still: the same input gives the same bytes.
    let mut engine = Engine::new(bundle, replay_settings(), || 0);
    replay(&mut engine, &mut readings, &mut out)?;
    for line in summary(&engine) {
        complain(&line);
    }
    Ok(())
}

/// The daemon's settings, except for what only makes sense in real time.
fn replay_settings() -> EngineSettings {
    EngineSettings {
        max_units: MAX_UNITS,
        unit_ttl: Duration::MAX,
        target_topics: false,
        // Times of long ago are what replay is for.
        clock_floor: Timestamp::from_micros(i64::MIN),
        ..EngineSettings::default()
    }
}

fn replay(engine: &mut Engine, readings: &mut Readings, out: &mut impl Write) -> anyhow::Result<()> {
    let mut row = Row::default();
    let mut effects = Vec::new();
    while readings.read(&mut row)? {
        let names = readings.names();
        let values: Vec<(&str, f64)> = row
            .values
            .iter()
            .filter_map(|(place, value)| Some((names.get(*place)?.as_str(), *value)))
            .collect();
        let input = Input::Readings { unit: &row.unit, time: Some(row.time), readings: &values };
        engine.handle(Now::replay(row.time), input, &mut effects);
        for effect in effects.drain(..) {
            if let Effect::Publish(publish) = effect {
                print(&publish, out).context("writing predictions")?;
            }
        }
    }
    out.flush().context("writing predictions")
}

fn print(publish: &Publish, out: &mut impl Write) -> std::io::Result<()> {
    match publish.kind {
        PublishKind::Prediction => {
            out.write_all(&publish.payload)?;
            out.write_all(b"\n")
        }
        PublishKind::State => {
            if let Some(message) = withheld(&publish.payload) {
                complain(&message);
            }
            Ok(())
        }
        PublishKind::Target
        | PublishKind::Alarm
        | PublishKind::Event
        | PublishKind::Discovery
        | PublishKind::Request => Ok(()),
    }
}

/// What a unit's state says when it has just stopped being predicted.
fn withheld(payload: &[u8]) -> Option<String> {
    let state: serde_json::Value = serde_json::from_slice(payload).ok()?;
    if state.get("state")? != "withheld" {
        return None;
    }
    let reasons: Vec<&str> =
        state.get("reasons")?.as_array()?.iter().filter_map(serde_json::Value::as_str).collect();
    let (unit, time) = (state.get("unit")?.as_str()?, state.get("time")?.as_str()?);
    Some(format!("{unit} is not predicted from {time} on: {}", reasons.join(", ")))
}

fn summary(engine: &Engine) -> Vec<String> {
    let counters = engine.counters();
    let mut lines = vec![format!(
        "{} lines, {} predictions, {} withheld",
        counters.messages, counters.predictions, counters.withheld
    )];
    let rejects = counters.rejects.iter();
    lines.extend(rejects.map(|(reason, count)| format!("{count} readings not used: {reason}")));
    lines
}
