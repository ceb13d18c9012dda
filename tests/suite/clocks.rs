//! Wall clocks that are not set, run ahead, fall back and jump, while the monotonic one goes on.

use std::collections::BTreeMap;

use cooltwin::domain::{CLOCK_FLOOR, Effect, Monotonic, Now, Timestamp};
use cooltwin::engine::{Engine, EngineSettings, Input};
use proptest::prelude::*;

use super::bundles;

/// `max_age` of every sensor of the small bundle, in microseconds.
const MAX_AGE: u64 = 60_000_000;
/// 2026-03-01T12:00:00Z.
const REAL: i64 = 1_772_366_400_000_000;
const YEAR: i64 = 365 * 86_400_000_000;
const SENSORS: [&str; 4] = ["R", "H", "N", "D"];

/// What a payload says of its time.
#[derive(Debug, Clone, Copy)]
enum Said {
    Nothing,
    /// Real time plus so many microseconds.
    Real(i64),
    /// The daemon's own clock plus so many microseconds.
    OwnClock(i64),
}

#[derive(Debug, Clone)]
enum Step {
    /// The monotonic clock goes on, and the wall clock with it.
    Pass(u64),
    /// The wall clock is set to real time plus so many microseconds.
    Set(i64),
    /// The wall clock tells so many microseconds since 1970.
    Unset(i64),
    /// A message with the sensors of this mask.
    Message { unit: u8, mask: u8, said: Said, retained: bool },
    /// The connection is lost, or there again.
    Open(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let jump = prop_oneof![-10 * YEAR..10 * YEAR, -120_000_000..120_000_000_i64, Just(0)];
    let said = prop_oneof![
        Just(Said::Nothing),
        (-200_000_000..100_000_000_i64).prop_map(Said::Real),
        (-200_000_000..100_000_000_i64).prop_map(Said::OwnClock),
        any::<i64>().prop_map(Said::OwnClock),
    ];
    prop_oneof![
        4 => (0..90_000_000_u64).prop_map(Step::Pass),
        // A suspended machine: both clocks go on by days.
        1 => (0..1_000_000_000_000_u64).prop_map(Step::Pass),
        1 => jump.prop_map(Step::Set),
        1 => (0..1_000_000_000_i64).prop_map(Step::Unset),
        10 => (0..3_u8, 1..16_u8, said, prop::bool::weighted(0.1))
            .prop_map(|(unit, mask, said, retained)| Step::Message { unit, mask, said, retained }),
        1 => any::<bool>().prop_map(Step::Open),
    ]
}

struct Run {
    engine: Engine,
    monotonic: u64,
    /// Wall clock minus monotonic clock, and real time minus monotonic clock.
    wall: i64,
    real: i64,
    tokens: u64,
    acknowledged: u64,
    /// When a value came last for each unit and sensor, whatever its time.
    arrived: BTreeMap<(u8, usize), u64>,
}

impl Run {
    fn new() -> Self {
        let settings =
            EngineSettings { target_topics: false, clock_floor: CLOCK_FLOOR, ..EngineSettings::default() };
        Self {
            engine: Engine::new(bundles::tiny(), settings, || 0),
            monotonic: 1,
            wall: REAL,
            real: REAL,
            tokens: 0,
            acknowledged: 0,
            arrived: BTreeMap::new(),
        }
    }

    fn now(&self) -> Now {
        let wall = Timestamp::from_micros(self.wall.saturating_add(self.monotonic as i64));
        Now { wall, monotonic: Monotonic(self.monotonic) }
    }

    /// Hands one input over, checks every prediction for false freshness, and gives their number.
    fn feed(&mut self, input: Input<'_>) -> usize {
        let (now, mut effects) = (self.now(), Vec::new());
        self.engine.handle(now, input, &mut effects);
        let mut predictions = 0;
        for effect in effects {
            match effect {
                Effect::Acknowledge(_) => self.acknowledged += 1,
                Effect::Publish(publish) if publish.topic.ends_with("/predictions") => {
                    predictions += 1;
                    let document: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
                    let unit = document["unit"].as_str().unwrap()[1..].parse::<u8>().unwrap();
                    let fresh = (0..SENSORS.len())
                        .filter_map(|sensor| self.arrived.get(&(unit, sensor)))
                        .filter(|arrived| self.monotonic - **arrived <= MAX_AGE)
                        .count();
                    assert!(document["inputs"]["fresh"].as_u64().unwrap() <= fresh as u64, "{document}");
                    if now.wall < CLOCK_FLOOR {
                        assert_eq!(document["quality"], "uncertain", "{document}");
                    }
                }
                _ => {}
            }
        }
        predictions
    }

    fn tick_until(&mut self, until: u64) {
        for _ in 0..1_000 {
            match self.engine.next_deadline() {
                Some(deadline) if deadline.0 <= until => {
                    self.monotonic = self.monotonic.max(deadline.0);
                    self.feed(Input::Tick);
                }
                _ => {
                    self.monotonic = until;
                    return;
                }
            }
        }
        panic!("the engine asks for ticks without end");
    }

    fn message(&mut self, unit: u8, mask: u8, time: Option<i64>, retained: bool) -> usize {
        let mut payload = serde_json::Map::new();
        for (index, sensor) in SENSORS.iter().enumerate().filter(|(index, _)| mask & (1 << index) != 0) {
            payload.insert((*sensor).to_owned(), 5.into());
            self.arrived.insert((unit, index), self.monotonic);
        }
        if let Some(time) = time {
            let time = Timestamp::from_micros(time).to_string();
            payload.insert("timestamp".to_owned(), time.into());
        }
        let (topic, payload) = (format!("hvac/c{unit}/sensors"), serde_json::to_vec(&payload).unwrap());
        self.tokens += 1;
        let (token, arrived) = (Some(self.tokens), Monotonic(self.monotonic));
        self.feed(Input::Message { topic: &topic, payload: &payload, retained, token, arrived })
    }

    fn step(&mut self, step: &Step) {
        let at = self.monotonic as i64;
        match *step {
            Step::Pass(micros) => self.tick_until(self.monotonic + micros),
            Step::Set(offset) => self.wall = self.real.saturating_add(offset),
            Step::Unset(micros) => self.wall = micros - at,
            Step::Open(open) => {
                self.feed(if open { Input::Opened } else { Input::Closed });
            }
            Step::Message { unit, mask, said, retained } => {
                let time = match said {
                    Said::Nothing => None,
                    Said::Real(offset) => Some(self.real + at + offset),
                    Said::OwnClock(offset) => Some((self.wall + at).saturating_add(offset)),
                };
                self.message(unit, mask, time, retained);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Nothing panics, nothing looks fresher than it is, every message is acknowledged, and as soon as the clock
    /// is right, or `max_clock_skew` after it was set back by less than that, frames are predicted, with and without times.
    #[test]
    fn clocks_may_jump(steps in prop::collection::vec(step(), 1..60)) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
        run.wall = run.real;
        // What a clock that ran ahead a little has stamped stands for `max_clock_skew` at most.
        run.message(0, 15, None, false);
        run.tick_until(run.monotonic + 61_000_000);
        let time = run.real + run.monotonic as i64;
        prop_assert_eq!(run.message(0, 15, Some(time), false), 1, "a frame with its time");
        run.monotonic += 30_000_000;
        prop_assert_eq!(run.message(0, 15, None, false), 1, "a frame without a time");
        run.feed(Input::Flush);
        prop_assert_eq!(run.acknowledged, run.tokens);
    }
}
