//! Streaming frame by frame and batch give identical bits, and the engine uses the same features.

use std::collections::BTreeMap;

use cooltwin::bundle::Bundle;
use cooltwin::domain::{Effect, Now, Timestamp};
use cooltwin::engine::{Engine, EngineSettings, Input};
use cooltwin::simulator::{CHANNELS, Simulator, SimulatorConfig};

use super::bundles;

/// Rows of a simulated day's part, per unit.
const ROWS: usize = 400;

struct Frame {
    unit: String,
    time: Timestamp,
    readings: Vec<(&'static str, f64)>,
}

fn frames() -> Vec<Frame> {
    let config = SimulatorConfig { seed: 7, units: 2, ..SimulatorConfig::default() };
    let mut simulator = Simulator::new(config).unwrap();
    let mut frames = Vec::new();
    for row in 0..ROWS {
        for unit in simulator.next_row().units {
            let readings = CHANNELS
                .iter()
                .zip(&unit.values)
                .enumerate()
                // Some sensors are silent now and then, so that staleness is part of the comparison.
                .filter(|(index, _)| (row / 40 + index) % 9 != 0)
                .filter_map(|(_, (name, value))| value.map(|value| (*name, value)))
                .collect();
            frames.push(Frame {
                unit: unit.unit.clone(),
                time: Timestamp::from_micros(unit.time_us),
                readings,
            });
        }
    }
    frames
}

/// The frame as a line of a readings file, which is also what a gateway would send.
fn line(frame: &Frame) -> String {
    let body: Vec<String> =
        frame.readings.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let (time, unit) = (frame.time, &frame.unit);
    format!("{{\"time\":\"{time}\",\"unit\":\"{unit}\",\"data\":{{{}}}}}", body.join(","))
}

/// Quality and features of each row as `cooltwin features` writes them; a missing feature is NaN.
fn matrix(frames: &[Frame], features: usize) -> Vec<(String, Vec<f32>)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("readings.jsonl");
    std::fs::write(&file, frames.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cooltwin"))
        .args(["features", "--bundle", "models/unit-cooler"])
        .arg(&file)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |cell: &str| if cell.is_empty() { f32::NAN } else { cell.parse().unwrap() };
    text.lines()
        .skip(1)
        .map(|row| {
            let cells: Vec<&str> = row.split(',').collect();
            (cells[2].to_owned(), cells[3..3 + features].iter().map(|cell| number(cell)).collect())
        })
        .collect()
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}

fn reference_bundle() -> Bundle {
    Bundle::load(&bundles::files("models/unit-cooler")).unwrap()
}

/// The vectors of a stream of frames are those of the feature matrix that training reads.
#[test]
fn streamed_vectors_equal_the_feature_matrix() {
    let frames = frames();
    let mut bundle = reference_bundle();
    let channels: Vec<String> = bundle.manifest.channels().into_iter().map(str::to_owned).collect();
    let matrix = matrix(&frames, bundle.manifest.features.len());
    assert_eq!(matrix.len(), frames.len());
    let mut states = BTreeMap::new();
    for (frame, (quality, row)) in frames.iter().zip(&matrix) {
        let assembler = &mut bundle.evaluator.assembler;
        let state = states.entry(frame.unit.clone()).or_insert_with(|| assembler.new_state());
        let now = Now::replay(frame.time);
        for (name, value) in &frame.readings {
            let channel = channels.iter().position(|channel| channel == name).unwrap();
            let _ = assembler.apply(state, channel, *value, frame.time, now);
        }
        let evaluation = bundle.evaluator.evaluate(state, now, || 0).unwrap();
        assert_eq!(evaluation.quality.name(), quality);
        assert_eq!(bits(evaluation.row), bits(row), "{} {}", frame.unit, frame.time);
    }
}

/// What the engine publishes is what the models say of the feature matrix's rows.
#[test]
fn published_predictions_equal_those_of_the_feature_matrix() {
    let frames = frames();
    let mut models = reference_bundle();
    let matrix = matrix(&frames, models.manifest.features.len());
    let settings = EngineSettings { target_topics: false, ..EngineSettings::default() };
    let mut engine = Engine::new(reference_bundle(), settings, || 0);
    let mut compared = 0;
    for (frame, (quality, row)) in frames.iter().zip(&matrix) {
        let (topic, payload) = (format!("hvac/{}/sensors", frame.unit), line(frame));
        let now = Now::replay(frame.time);
        let mut effects = Vec::new();
        let message = Input::Message {
            topic: &topic,
            payload: payload.as_bytes(),
            retained: false,
            token: None,
            arrived: now.monotonic,
        };
        engine.handle(now, message, &mut effects);
        let published = effects.iter().find_map(|effect| match effect {
            Effect::Publish(publish) if publish.topic.ends_with("/predictions") => Some(&publish.payload),
            _ => None,
        });
        assert_eq!(published.is_some(), quality != "bad");
        let Some(payload) = published else { continue };
        let document: serde_json::Value = serde_json::from_slice(payload).unwrap();
        let predictions = models.evaluator.predictor.predict(row).unwrap();
        for (name, value) in ["UCAOT", "UCWOT", "UCAF"].iter().zip(predictions) {
            assert_eq!(document[name].as_f64().unwrap().to_bits(), value.to_bits(), "{name}");
        }
        compared += 1;
    }
    assert!(compared > ROWS, "only {compared} predictions compared");
}
