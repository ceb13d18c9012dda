//! The hot path allocates nothing: from a decoded reading to the finished vector and prediction values.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use cooltwin::bundle::{Bundle, BundleFiles};
use cooltwin::domain::source::ConversionSpec;
use cooltwin::domain::{Batch, Births, Now, Rule, RuleSpec, Timestamp, ZoneSpec};
use cooltwin::engine::EngineSettings;
use cooltwin::simulator::{CHANNELS, Simulator, SimulatorConfig};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[allow(unsafe_code)] // an allocator can only be written so; it hands every call on unchanged
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn reference_bundle() -> Bundle {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/unit-cooler");
    let files: BTreeMap<String, Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    Bundle::load(&BundleFiles(files)).unwrap()
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.with(Cell::get);
    let boxed = std::hint::black_box(Box::new(1));
    assert_eq!(ALLOCATIONS.with(Cell::get), before + 1);
    drop(boxed);
}

#[test]
fn readings_to_predictions_without_allocation() {
    let mut bundle = reference_bundle();
    let channels: Vec<usize> = CHANNELS
        .iter()
        .map(|name| bundle.manifest.channels().iter().position(|channel| channel == name).unwrap())
        .collect();
    let mut simulator =
        Simulator::new(SimulatorConfig { seed: 3, units: 1, ..SimulatorConfig::default() }).unwrap();
    let mut state = bundle.evaluator.assembler.new_state();
    let mut predictions = 0;
    for row in 0..200 {
        let frame = simulator.next_row();
        let unit = &frame.units[0];
        // A gap makes the grid catch up; a silent sensor makes reasons.
        let time = Timestamp::from_micros(unit.time_us + if row > 100 { 3_600_000_000 } else { 0 });
        let now = Now::replay(time);
        let before = ALLOCATIONS.with(Cell::get);
        for (channel, value) in channels.iter().zip(&unit.values) {
            if let Some(value) = value.filter(|_| row % 7 != 0 || *channel > 3) {
                let _ = bundle.evaluator.assembler.apply(&mut state, *channel, value, time, now);
            }
        }
        let evaluation = bundle.evaluator.evaluate(&state, now, || 0).unwrap();
        predictions += usize::from(evaluation.predictions.is_some());
        assert_eq!(ALLOCATIONS.with(Cell::get), before, "row {row}");
    }
    assert!(predictions > 150, "only {predictions} predictions");
}

/// From a message's bytes to readings by the built-in rules and by those of numbers and objects.
#[test]
fn messages_to_readings_without_allocation() {
    let bundle = reference_bundle();
    let spec = |kind: &str, topic: &str| RuleSpec {
        name: kind.to_owned(),
        topic: topic.to_owned(),
        kind: kind.to_owned(),
        rename: [("room".to_owned(), "UCAIT".to_owned())].into(),
        sensors: [(
            "UCAIT".to_owned(),
            ConversionSpec {
                from: Some("degF".to_owned()),
                invalid: vec![-999.0],
                ..ConversionSpec::default()
            },
        )]
        .into(),
        ..RuleSpec::default()
    };
    let rule = |kind, topic| Rule::new(spec(kind, topic), &ZoneSpec::utc()).unwrap();
    let sources = vec![rule("number", "a/{unit}/{sensor}"), rule("object", "b/{unit}")];
    let settings = EngineSettings { sources, ..EngineSettings::default() };
    let (mut rules, problems) = settings.bind(&bundle.manifest);
    assert!(problems.is_empty());
    let (mut batch, mut births) = (Batch::default(), Births::default());
    let messages: [(&str, &str); 5] = [
        (
            "hvac/c1/sensors",
            r#"{"timestamp":"2026-03-01T12:00:00Z","data":{"UCAIT":21.4,"UCWIT":7.1,"UCWF":0.31}}"#,
        ),
        ("hvac/c1/sensors/UCAIT", "21.4"),
        ("hvac/c1/sensors/UCAIT", r#"{"value":21.4,"time":1772366400}"#),
        ("a/c1/room", "71.6"),
        ("b/c1", r#"{"time":1772366400,"room":71.6,"UCWIT":"7.1","UCWF":0.31}"#),
    ];
    for round in 0..3 {
        for (topic, payload) in messages {
            let before = ALLOCATIONS.with(Cell::get);
            rules.read(topic, payload.as_bytes(), &mut births, &mut batch).unwrap();
            let after = ALLOCATIONS.with(Cell::get);
            assert!(!batch.is_empty() && batch.rejects().total() == 0, "{topic} {payload}");
            // The first round lays out the memory that is used again.
            assert!(round == 0 || after == before, "{topic} {payload}: {}", after - before);
        }
    }
}
