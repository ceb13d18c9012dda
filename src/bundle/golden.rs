//! Golden vectors: readings that follow one another, with the features and outputs they must give.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::evaluate::Evaluator;
use super::manifest::Manifest;
use crate::domain::{Decoder, Now, PayloadKeys, Timestamp, UnitState, ZoneSpec};

/// Name of the file in a bundle folder.
pub const GOLDEN_FILE: &str = "golden.jsonl";
/// Most golden frames of a bundle: replaying them is part of every start.
pub const MAX_GOLDEN_FRAMES: usize = 20_000;
/// Differences listed before the rest is only counted.
const MAX_DIFFERENCES: usize = 5;

/// One line of `golden.jsonl`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoldenLine<'a> {
    time: String,
    unit: String,
    #[serde(borrow)]
    readings: &'a RawValue,
    features: Vec<Option<f32>>,
    outputs: Option<Vec<f64>>,
    quality: String,
}

/// One line of a readings file: `{"time", "unit", "data": {..}}`.
#[derive(Deserialize)]
struct ReadingsLine<'a> {
    time: String,
    unit: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// What one frame gave.
struct Outcome {
    features: Vec<f32>,
    outputs: Option<Vec<f64>>,
    quality: &'static str,
}

/// Feeds frames to an evaluator, as the engine would.
struct Replay<'e> {
    evaluator: &'e mut Evaluator,
    decoder: Decoder,
    states: BTreeMap<String, UnitState>,
}

impl<'e> Replay<'e> {
    fn new(evaluator: &'e mut Evaluator, manifest: &Manifest) -> Self {
        let decoder = Decoder::new(manifest.channels(), PayloadKeys::default(), ZoneSpec::utc());
        Self { evaluator, decoder, states: BTreeMap::new() }
    }

    fn frame(&mut self, time: &str, unit: &str, readings: &str) -> Result<Outcome, String> {
        let time = Timestamp::parse(time, &ZoneSpec::utc())
            .ok_or_else(|| format!("`{time}` is no RFC 3339 time"))?;
        let now = Now::replay(time);
        if !self.states.contains_key(unit) {
            self.states.insert(unit.to_owned(), self.evaluator.assembler.new_state());
        }
        let Some(state) = self.states.get_mut(unit) else { return Err("no state".to_owned()) };
        let decoded =
            self.decoder.frame(readings.as_bytes()).map_err(|reason| format!("readings: {reason}"))?;
        for reading in decoded.readings {
            if let Ok(value) = reading.value {
                // Rejected readings are part of the golden story: what they leave behind is compared.
                let _ = self.evaluator.assembler.apply(state, reading.channel, value, time, now);
            }
        }
        let evaluation =
            self.evaluator.evaluate(state, now, || 0).ok_or("no reading of the frame is usable")?;
        Ok(Outcome {
            features: evaluation.row.to_vec(),
            outputs: evaluation.predictions.map(<[f64]>::to_vec),
            quality: evaluation.quality.name(),
        })
    }
}

/// Replays the golden file and compares features, outputs and quality bit for bit (outputs within the
/// tolerance where the manifest states one). Gives the number of frames.
///
/// # Errors
/// The first differences, each with its line.
pub fn verify(evaluator: &mut Evaluator, manifest: &Manifest, text: &str) -> Result<usize, Vec<String>> {
    let mut replay = Replay::new(evaluator, manifest);
    let (mut problems, mut differing, mut frames) = (Vec::new(), 0_usize, 0_usize);
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        frames += 1;
        if frames > MAX_GOLDEN_FRAMES {
            problems.push(format!("{GOLDEN_FILE}: more than {MAX_GOLDEN_FRAMES} frames"));
            break;
        }
        if let Err(problem) = verify_line(&mut replay, manifest, line) {
            differing += 1;
            if differing <= MAX_DIFFERENCES {
                problems.push(format!("{GOLDEN_FILE}:{}: {problem}", index + 1));
            }
        }
    }
    if differing > MAX_DIFFERENCES {
        problems.push(format!("{GOLDEN_FILE}: {differing} of {frames} frames differ in all"));
    }
    if frames == 0 {
        problems.push(format!("{GOLDEN_FILE}: has no frame; run `cooltwin seal` with readings"));
    }
    if problems.is_empty() { Ok(frames) } else { Err(problems) }
}

fn verify_line(replay: &mut Replay<'_>, manifest: &Manifest, line: &str) -> Result<(), String> {
    let golden: GoldenLine = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let got = replay.frame(&golden.time, &golden.unit, golden.readings.get())?;
    if golden.features.len() != got.features.len() {
        return Err(format!(
            "has {} features, the bundle gives {}",
            golden.features.len(),
            got.features.len()
        ));
    }
    for ((want, value), feature) in golden.features.iter().zip(&got.features).zip(&manifest.features) {
        let want = want.unwrap_or(f32::NAN);
        let same = want.to_bits() == value.to_bits() || (want.is_nan() && value.is_nan());
        if !same {
            return Err(format!("feature `{}` is {value}, golden is {want}", feature.name));
        }
    }
    if golden.quality != got.quality {
        return Err(format!("quality is {}, golden is {}", got.quality, golden.quality));
    }
    let (want, outputs) = match (&golden.outputs, &got.outputs) {
        (None, None) => return Ok(()),
        (Some(want), Some(got)) if want.len() == got.len() => (want, got),
        (want, got) => return Err(format!("outputs are {got:?}, golden is {want:?}")),
    };
    for ((want, value), target) in want.iter().zip(outputs).zip(&manifest.targets) {
        let allowed = manifest.golden_tolerance * want.abs().max(1.0);
        if want.to_bits() != value.to_bits()
            && (value - want).abs().partial_cmp(&allowed) != Some(std::cmp::Ordering::Less)
        {
            return Err(format!("target `{}` is {value}, golden is {want}", target.name));
        }
    }
    Ok(())
}

/// Runs readings and writes what they give as a golden file. Accepts readings lines and golden lines, so
/// that an existing golden file can be made anew.
///
/// # Errors
/// Every line that is no frame.
pub fn record(evaluator: &mut Evaluator, manifest: &Manifest, text: &str) -> Result<String, Vec<String>> {
    let mut replay = Replay::new(evaluator, manifest);
    let (mut golden, mut problems) = (String::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = serde_json::from_str::<GoldenLine>(line)
            .map(|line| (line.time, line.unit, line.readings))
            .or_else(|_| {
                serde_json::from_str::<ReadingsLine>(line).map(|line| (line.time, line.unit, line.data))
            })
            .map_err(|error| format!("{error}; expected {{\"time\", \"unit\", \"data\": {{..}}}}"));
        let outcome = parsed.and_then(|(time, unit, readings)| {
            let outcome = replay.frame(&time, &unit, readings.get())?;
            write_line(&mut golden, &time, &unit, readings, &outcome);
            Ok(())
        });
        if let Err(problem) = outcome {
            problems.push(format!("readings line {}: {problem}", index + 1));
        }
    }
    if problems.is_empty() { Ok(golden) } else { Err(problems) }
}

fn write_line(golden: &mut String, time: &str, unit: &str, readings: &RawValue, outcome: &Outcome) {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let _ = write!(
        golden,
        "{{\"time\":{},\"unit\":{},\"readings\":{},\"features\":[",
        text(time),
        text(unit),
        readings.get()
    );
    for (index, value) in outcome.features.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = if value.is_nan() { write!(golden, "{comma}null") } else { write!(golden, "{comma}{value}") };
    }
    let outputs = match &outcome.outputs {
        Some(values) => format!("[{}]", values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
        None => "null".to_owned(),
    };
    let _ = writeln!(golden, "],\"outputs\":{outputs},\"quality\":\"{}\"}}", outcome.quality);
}
