//! Warm starts: an engine that takes up what another saved goes on as if it had never stopped.

use std::time::Duration;

use cooltwin::bundle::Bundle;
use cooltwin::domain::{Effect, Monotonic, Now, Timestamp};
use cooltwin::engine::snapshot::MAX_SNAPSHOT_BYTES;
use cooltwin::engine::{Engine, EngineSettings, Input, Snapshot, SnapshotError, Stamp};
use cooltwin::simulator::{CHANNELS, Simulator, SimulatorConfig};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::bundles;

/// What stands before the checksum, and the checksum.
const MAGIC_BYTES: usize = 16;
const HEADER_BYTES: usize = MAGIC_BYTES + 32;
/// Rows of thirty seconds: more than the longest window of the reference bundle.
const ROWS: usize = 90;

struct Frame {
    time: Timestamp,
    unit: String,
    readings: Vec<(&'static str, f64)>,
}

fn frames() -> Vec<Frame> {
    let mut simulator =
        Simulator::new(SimulatorConfig { seed: 11, units: 2, ..SimulatorConfig::default() }).unwrap();
    let mut frames = Vec::new();
    for row in 0..ROWS {
        for unit in simulator.next_row().units {
            let values = CHANNELS.iter().zip(&unit.values).enumerate();
            let readings = values
                // Some sensors are silent for a while, so that staleness is part of what goes on.
                .filter(|(index, _)| (row / 15 + index) % 7 != 0)
                .filter_map(|(_, (name, value))| value.map(|value| (*name, value)))
                .collect();
            frames.push(Frame { time: Timestamp::from_micros(unit.time_us), unit: unit.unit, readings });
        }
    }
    frames
}

fn reference() -> Bundle {
    Bundle::load(&bundles::files("models/unit-cooler")).unwrap()
}

fn engine(bundle: Bundle) -> Engine {
    Engine::new(bundle, EngineSettings::default(), || 0)
}

fn stamp(now: Now) -> Stamp {
    Stamp { saved: now, boot: "a".to_owned(), is_synced: true }
}

fn save(engine: &Engine, now: Now) -> Vec<u8> {
    let (bytes, left_out) = engine.snapshot(&stamp(now), MAX_SNAPSHOT_BYTES).unwrap();
    assert_eq!(left_out, 0);
    bytes
}

fn published(effects: Vec<Effect>) -> Vec<String> {
    let texts = effects.into_iter().filter_map(|effect| match effect {
        Effect::Publish(publish) => {
            Some(format!("{} {}", publish.topic, String::from_utf8(publish.payload).unwrap()))
        }
        _ => None,
    });
    texts.collect()
}

/// Predictions, documents and bare numbers; states are published anew after a start.
fn predictions(engine: &mut Engine, now: Now, frame: &Frame) -> Vec<String> {
    let mut effects = Vec::new();
    let input = Input::Readings { unit: &frame.unit, time: Some(frame.time), readings: &frame.readings };
    engine.handle(now, input, &mut effects);
    published(effects).into_iter().filter(|text| text.contains("/predictions")).collect()
}

#[test]
fn predictions_go_on_bit_for_bit() {
    let frames = frames();
    let mut steady = engine(reference());
    let expected: Vec<_> =
        frames.iter().map(|frame| predictions(&mut steady, Now::replay(frame.time), frame)).collect();
    assert!(expected.iter().flatten().count() > 4 * ROWS);
    // Stopped after these frames, both units of a row, for ten seconds, with the machine started anew meanwhile.
    for stop in [4, 40, 42, 120] {
        let mut first = engine(reference());
        for frame in &frames[..stop] {
            predictions(&mut first, Now::replay(frame.time), frame);
        }
        let at = frames[stop - 1].time;
        let bytes = save(&first, Now::replay(at.plus(Duration::from_secs(5))));
        let snapshot = Snapshot::read(&bytes).unwrap();
        assert_eq!(snapshot.stamp, stamp(Now::replay(at.plus(Duration::from_secs(5)))));
        let mut second = engine(reference());
        let start = at.plus(Duration::from_secs(15));
        let since_boot =
            |time: Timestamp| Now { wall: time, monotonic: Monotonic(micros(time.since(start)) + 9) };
        let mut effects = Vec::new();
        let units =
            second.restore(since_boot(start), snapshot, Duration::from_secs(10), &mut effects).unwrap();
        assert_eq!(units, 2);
        for (frame, expected) in frames.iter().zip(&expected).skip(stop) {
            assert_eq!(
                predictions(&mut second, since_boot(frame.time), frame),
                *expected,
                "stopped after {stop}"
            );
        }
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

fn at(second: i64) -> Now {
    Now::replay(Timestamp::from_micros((1_772_366_400 + second) * 1_000_000))
}

fn feed(engine: &mut Engine, second: i64, readings: &[(&str, f64)]) -> Vec<String> {
    let mut effects = Vec::new();
    engine.handle(at(second), Input::Readings { unit: "c1", time: None, readings }, &mut effects);
    published(effects)
}

const ALL: [(&str, f64); 4] = [("R", 10.0), ("H", 1.0), ("N", 100.0), ("D", 2.0)];

/// The small bundle with two units' readings, as saved at second 30.
fn small() -> Vec<u8> {
    let mut engine = engine(bundles::tiny());
    feed(&mut engine, 0, &ALL);
    feed(&mut engine, 30, &ALL[1..]);
    save(&engine, at(30))
}

fn take_up(bytes: &[u8], second: i64) -> Result<(Engine, Vec<String>), SnapshotError> {
    let mut engine = engine(bundles::tiny());
    let mut effects = Vec::new();
    let snapshot = Snapshot::read(bytes)?;
    let ago = at(second).wall.since(snapshot.stamp.saved.wall);
    engine.restore(at(second), snapshot, ago, &mut effects)?;
    engine.handle(at(second), Input::Tick, &mut effects);
    Ok((engine, published(effects)))
}

#[test]
fn what_grew_old_meanwhile_is_old() {
    let (_, documents) = take_up(&small(), 59).unwrap();
    assert_eq!(documents, ["hvac/c1/alarms/unit_silent "], "R is fresh for one more second");
    let (mut engine, documents) = take_up(&small(), 61).unwrap();
    assert!(
        documents[1].contains("\"state\":\"withheld\",\"reasons\":[\"required_stale:R\""),
        "{documents:?}"
    );
    let documents = feed(&mut engine, 62, &[("R", 10.0)]);
    assert!(
        documents[0].contains("\"seq\":3,") && documents[0].contains("\"oldest_s\":32.0"),
        "{documents:?}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let bytes = small();
    let refused = |bytes: &[u8], second| take_up(bytes, second).unwrap_err();
    assert!(
        matches!(refused(&bytes, 30 + 91), SnapshotError::TooOld { window_s: 60, .. }),
        "{:?}",
        refused(&bytes, 121)
    );
    assert_eq!(refused(b"something else", 40), SnapshotError::Unknown);
    for cut in MAGIC_BYTES..bytes.len() {
        assert!(matches!(refused(&bytes[..cut], 40), SnapshotError::Damaged(_)), "{cut}");
    }
    for flip in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[flip] ^= 1;
        assert!(take_up(&changed, 40).is_err(), "{flip}");
    }
    let mut other = engine(reference());
    let error = other.restore(at(40), Snapshot::read(&bytes).unwrap(), Duration::ZERO, &mut Vec::new());
    assert!(matches!(error, Err(SnapshotError::OtherBundle { .. })));
}

/// The count would overflow with the next prediction.
#[test]
fn more_predictions_than_there_can_be_are_refused() {
    let mut bytes = small();
    let name = bytes.windows(10).position(|found| found == b"\x02\0\0\0\0\0\0\0c1").unwrap();
    let seq = name + 10..name + 18;
    assert_eq!(bytes[seq.clone()], 2_u64.to_le_bytes(), "what feed() made");
    bytes[seq].copy_from_slice(&u64::MAX.to_le_bytes());
    let refused = take_up(&sealed(bytes), 40).unwrap_err();
    assert_eq!(refused, SnapshotError::Damaged("more predictions than there can be"));
}

#[test]
fn a_snapshot_has_a_bound_and_a_time() {
    let mut engine = engine(bundles::tiny());
    for unit in 0..20 {
        let (name, mut effects) = (format!("c{unit}"), Vec::new());
        engine.handle(at(0), Input::Readings { unit: &name, time: None, readings: &ALL }, &mut effects);
    }
    let (whole, _) = engine.snapshot(&stamp(at(1)), MAX_SNAPSHOT_BYTES).unwrap();
    let (bytes, left_out) = engine.snapshot(&stamp(at(1)), whole.len() / 2).unwrap();
    assert!(bytes.len() <= whole.len() / 2 && (9..=12).contains(&left_out), "{left_out}");
    let mut second = self::engine(bundles::tiny());
    let units = second.restore(at(1), Snapshot::read(&bytes).unwrap(), Duration::ZERO, &mut Vec::new());
    assert_eq!(units, Ok(20 - left_out));
    let unset = Now { wall: Timestamp::from_micros(5), monotonic: Monotonic(5) };
    assert_eq!(engine.snapshot(&stamp(unset), MAX_SNAPSHOT_BYTES), None, "nobody could tell its age");
}

/// Puts the right checksum on changed bytes.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest = Sha256::digest(&bytes[HEADER_BYTES..]);
    bytes[MAGIC_BYTES..HEADER_BYTES].copy_from_slice(&digest);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever a snapshot with a right checksum says: it is refused, or the engine goes on with it.
    #[test]
    fn no_snapshot_harms(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = SMALL.with(Clone::clone);
        for (place, value, is_top) in changes {
            let words = (bytes.len() - HEADER_BYTES) / 8;
            // First and last bytes of words are where counts and signs are.
            let place = HEADER_BYTES + place.index(words) * 8 + if is_top { 7 } else { 0 };
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(HEADER_BYTES + cut.index(bytes.len() - HEADER_BYTES));
        }
        let Ok(snapshot) = Snapshot::read(&sealed(bytes)) else { return Ok(()) };
        let mut engine = engine(bundles::tiny());
        let mut effects = Vec::new();
        if engine.restore(at(40), snapshot, Duration::from_secs(10), &mut effects).is_ok() {
            engine.handle(at(40), Input::Opened, &mut effects);
            engine.handle(at(40), Input::Tick, &mut effects);
            feed(&mut engine, 70, &ALL);
            engine.handle(at(70), Input::Flush, &mut effects);
            prop_assert!(engine.sizes().unit_bytes <= engine.bytes_per_unit());
            save(&engine, at(71));
        }
    }
}

thread_local! {
    static SMALL: Vec<u8> = small();
}
