//! A day of everything at once through the engine: nothing grows.

use std::time::Duration;

use cooltwin::bundle::Bundle;
use cooltwin::domain::{Effect, Monotonic, Now, Timestamp};
use cooltwin::engine::{Engine, EngineSettings, Input, MAX_UNIT_ALARMS, Sizes};

use super::bundles;

const MINUTE: u64 = 60_000_000;
const HOUR: u64 = 60 * MINUTE;
/// 2026-03-01T12:00:00Z.
const START: i64 = 1_772_366_400_000_000;
const MAX_UNITS: usize = 40;

struct Day {
    engine: Engine,
    monotonic: u64,
    tokens: u64,
    acknowledged: u64,
    predictions: u64,
    largest: usize,
}

impl Day {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp::from_micros(START + self.monotonic as i64),
            monotonic: Monotonic(self.monotonic),
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        let (now, mut effects) = (self.now(), Vec::new());
        self.engine.handle(now, input, &mut effects);
        self.largest = self.largest.max(effects.len());
        for effect in effects {
            match effect {
                Effect::Acknowledge(_) => self.acknowledged += 1,
                Effect::Publish(publish) if publish.topic.ends_with("/predictions") => self.predictions += 1,
                _ => {}
            }
        }
    }

    fn message(&mut self, topic: &str, payload: &str, retained: bool) {
        self.tokens += 1;
        let (token, arrived) = (Some(self.tokens), Monotonic(self.monotonic));
        self.feed(Input::Message { topic, payload: payload.as_bytes(), retained, token, arrived });
    }

    fn tick_until(&mut self, until: u64) {
        while let Some(deadline) = self.engine.next_deadline().filter(|deadline| deadline.0 <= until) {
            self.monotonic = self.monotonic.max(deadline.0);
            self.feed(Input::Tick);
        }
        self.monotonic = until;
    }

    /// Half a minute of a busy site that is being attacked.
    fn half_minute(&mut self, number: u64) {
        for unit in 0..20 {
            // Each is silent for a quarter of an hour now and then.
            if (number / 30 + unit).is_multiple_of(7) {
                continue;
            }
            let value = 10.0 + (number % 50) as f64 / 10.0;
            self.message(
                &format!("hvac/c{unit}/sensors"),
                &format!("{{\"R\":{value},\"H\":1,\"N\":100,\"D\":2}}"),
                false,
            );
            self.message(&format!("hvac/c{unit}/sensors/R"), "11", false);
        }
        for turn in 0..10 {
            let odd = number * 10 + turn;
            // Units without end, most of them refused, some taken up when others are forgotten.
            self.message(&format!("hvac/flood-{odd}/sensors"), "{\"R\":1}", false);
            self.message(&format!("hvac/flood-{odd}/sensors/{odd}"), "1", false);
            self.message(&format!("elsewhere/{odd}"), "{", false);
            self.message("hvac/c1/sensors", &"[".repeat(odd as usize % 100), odd.is_multiple_of(3));
            self.message("hvac/c1/sensors/R", "1e999", odd.is_multiple_of(2));
        }
        match number % 120 {
            40 => self.feed(Input::Closed),
            60 => self.feed(Input::Opened),
            100 => self.feed(Input::Flush),
            _ => {}
        }
        self.tick_until((number + 1) * MINUTE / 2);
    }

    fn check(&self) -> Sizes {
        let sizes = self.engine.sizes();
        assert!(sizes.units <= MAX_UNITS);
        assert!(sizes.waiting <= self.engine.settings().max_waiting + 1);
        assert!(sizes.alarms <= MAX_UNIT_ALARMS + 7);
        assert!(sizes.unit_bytes <= sizes.units * self.engine.bytes_per_unit(), "{sizes:?}");
        sizes
    }
}

#[test]
fn a_day_leaves_memory_flat() {
    let settings = EngineSettings {
        max_units: MAX_UNITS,
        unit_ttl: Duration::from_mins(45),
        target_topics: false,
        ..EngineSettings::default()
    };
    let engine = Engine::new(bundles::tiny(), settings, || 0);
    let mut day = Day { engine, monotonic: 0, tokens: 0, acknowledged: 0, predictions: 0, largest: 0 };
    day.feed(Input::Opened);
    let mut most_of_first = None;
    for hour in 0..24 {
        let mut most = (0, 0, 0);
        for number in hour * 120..(hour + 1) * 120 {
            day.half_minute(number);
            let sizes = day.check();
            most = (most.0.max(sizes.units), most.1.max(sizes.unit_bytes), most.2.max(sizes.working_bytes));
        }
        assert_eq!(day.monotonic, (hour + 1) * HOUR);
        let first = *most_of_first.get_or_insert(most);
        assert_eq!((most.0, most.2), (first.0, first.2), "hour {hour}");
        // Names of units grow by a digit now and then; a unit that was not predicted yet holds no prediction.
        assert!(most.1.abs_diff(first.1) < first.1 / 20, "hour {hour}: {most:?}, not {first:?}");
    }
    day.feed(Input::Flush);
    assert_eq!(day.acknowledged, day.tokens, "every message is acknowledged");
    let counters = day.engine.counters();
    assert!(day.predictions > 50_000 && counters.rejects.total() > 100_000 && counters.evicted > 100);
    assert!(counters.alarms.raised > 100 && counters.alarms.cleared > 100);
    assert!(day.largest < 10 * MAX_UNITS, "{} effects of one input", day.largest);
}

#[test]
fn the_reference_bundle_takes_what_is_said() {
    let bundle = Bundle::load(&bundles::files("models/unit-cooler")).unwrap();
    let engine = Engine::new(bundle, EngineSettings::default(), || 0);
    let bytes = engine.bytes_per_unit();
    assert!((8_000..12_000).contains(&bytes), "{bytes} bytes a unit");
}
