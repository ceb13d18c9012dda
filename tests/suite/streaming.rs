//! Streaming frame by frame and batch give identical bits, and the engine uses the same features.

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

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}

#[test]
fn streaming_equals_batch_to_the_bit() {
    let frames = frames();
    let files = bundles::files("models/unit-cooler");
    let load = || cooltwin::bundle::Bundle::load(&files).unwrap();

    // Batch: one unit after the other, vectors made straight from the bundle.
    let mut batch = std::collections::BTreeMap::new();
    let mut bundle = load();
    for unit in ["cooler-01", "cooler-02"] {
        let mut state = bundle.evaluator.assembler.new_state();
        let channels: Vec<String> = bundle.manifest.channels().into_iter().map(str::to_owned).collect();
        for frame in frames.iter().filter(|frame| frame.unit == unit) {
            let now = Now::replay(frame.time);
            for (name, value) in &frame.readings {
                let channel = channels.iter().position(|channel| channel == name).unwrap();
                let _ = bundle.evaluator.assembler.apply(&mut state, channel, *value, frame.time, now);
            }
            let evaluation = bundle.evaluator.evaluate(&state, now, || 0).unwrap();
            let predictions = evaluation.predictions.map(<[f64]>::to_vec);
            batch.insert((frame.time, unit.to_owned()), (bits(evaluation.row), predictions));
        }
    }
    assert_eq!(batch.len(), frames.len());

    // Streaming: JSON frames through the engine, units interleaved; predictions read back from documents.
    let settings = EngineSettings { target_topics: false, ..EngineSettings::default() };
    let mut engine = Engine::new(load(), settings, || 0);
    let mut compared = 0;
    for frame in &frames {
        let body: Vec<String> =
            frame.readings.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let payload = format!("{{\"timestamp\":\"{}\",\"data\":{{{}}}}}", frame.time, body.join(","));
        let now = Now::replay(frame.time);
        let topic = format!("hvac/{}/sensors", frame.unit);
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
        let (_, expected) = &batch[&(frame.time, frame.unit.clone())];
        assert_eq!(published.is_some(), expected.is_some());
        if let (Some(payload), Some(expected)) = (published, expected) {
            let document: serde_json::Value = serde_json::from_slice(payload).unwrap();
            let got: Vec<u64> = ["UCAOT", "UCWOT", "UCAF"]
                .iter()
                .map(|name| document[name].as_f64().unwrap().to_bits())
                .collect();
            let expected: Vec<u64> = expected.iter().map(|value| value.to_bits()).collect();
            assert_eq!(got, expected);
            compared += 1;
        }
    }
    assert!(compared > ROWS, "only {compared} predictions compared");
}
