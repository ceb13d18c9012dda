//! Scenarios: a folder each with `config.toml`, `input.jsonl` (time, topic, payload) and
//! `expected.jsonl` (every effect with its time, then the counters). They go through `Engine::handle`
//! alone, with time as it is written in the input.
//!
//! `COOLTWIN_BLESS=1 cargo test --test suite scenarios` writes the expected files anew; read the
//! difference before committing it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cooltwin::domain::{Effect, Monotonic, Now, Rule, Timestamp, UnitId, ZoneSpec};
use cooltwin::engine::{Engine, EngineSettings, Input, Seed};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::documents;

/// Wall clock at monotonic zero unless an input line says otherwise.
const START: &str = "2026-03-01T12:00:00Z";
/// Fewer would mean that the folder was not found.
const AT_LEAST: usize = 25;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    about: String,
    settle_ms: Option<u64>,
    min_interval_ms: Option<u64>,
    max_units: Option<usize>,
    unit_ttl_ms: Option<u64>,
    max_clock_skew_ms: Option<u64>,
    max_payload_bytes: Option<usize>,
    max_waiting: Option<usize>,
    target_topics: Option<bool>,
    target_flags: Option<bool>,
    /// The unit of the seed's topics.
    seed: Option<String>,
    zone: Option<String>,
    silence_ms: Option<u64>,
    frame_silence_ms: Option<u64>,
    reading_silence_ms: Option<u64>,
    unit_silence_ms: Option<u64>,
    /// The clock counts as not set before this time.
    clock_floor: Option<String>,
    /// Ticks are run until this time.
    end_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    at: u64,
    /// Sets the wall clock at this moment.
    wall: Option<String>,
    topic: Option<String>,
    /// A JSON string is taken as the payload's text, anything else as it stands.
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    /// The payload's text is repeated so many times.
    repeat: Option<usize>,
    /// The payload as hex digits.
    hex: Option<String>,
    #[serde(default)]
    retained: bool,
    #[serde(default = "one")]
    qos: u8,
    /// How long the message waited in a queue before it was handled, in milliseconds.
    #[serde(default)]
    waited: u64,
    #[serde(default)]
    flush: bool,
    /// The machine slept until now: no ticks before this line.
    #[serde(default)]
    asleep: bool,
    /// From here on messages can come, or cannot.
    open: Option<bool>,
}

fn one() -> u8 {
    1
}

impl Line<'_> {
    fn payload(&self) -> Vec<u8> {
        if let Some(hex) = &self.hex {
            let digits: Vec<char> = hex.chars().collect();
            return digits
                .chunks(2)
                .map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap())
                .collect();
        }
        let raw = self.payload.expect("a message has a payload").get();
        let text =
            if raw.starts_with('"') { serde_json::from_str::<String>(raw).unwrap() } else { raw.to_owned() };
        text.repeat(self.repeat.unwrap_or(1)).into_bytes()
    }
}

fn settings(config: &Config) -> EngineSettings {
    let mut settings = EngineSettings { target_topics: false, ..EngineSettings::default() };
    let millis = Duration::from_millis;
    if let Some(value) = config.settle_ms {
        settings.settle = millis(value);
    }
    if let Some(value) = config.min_interval_ms {
        settings.min_interval = millis(value);
    }
    if let Some(value) = config.unit_ttl_ms {
        settings.unit_ttl = millis(value);
    }
    if let Some(value) = config.max_clock_skew_ms {
        settings.max_clock_skew = millis(value);
    }
    let silence = [
        (config.silence_ms, &mut settings.silence.sources),
        (config.frame_silence_ms, &mut settings.silence.frames),
        (config.reading_silence_ms, &mut settings.silence.readings),
        (config.unit_silence_ms, &mut settings.silence.units),
    ];
    for (value, limit) in silence {
        *limit = value.map_or(*limit, millis);
    }
    settings.max_units = config.max_units.unwrap_or(settings.max_units);
    settings.max_payload_bytes = config.max_payload_bytes.unwrap_or(settings.max_payload_bytes);
    settings.max_waiting = config.max_waiting.unwrap_or(settings.max_waiting);
    settings.target_topics = config.target_topics.unwrap_or(false);
    settings.target_flags = config.target_flags.unwrap_or(false);
    if let Some(unit) = &config.seed {
        let seed = Seed { unit: UnitId::new(unit).unwrap() };
        settings.sources.push(Rule::new(seed.rule(), &ZoneSpec::utc()).unwrap());
        settings.seed = Some(seed);
    }
    if let Some(floor) = &config.clock_floor {
        settings.clock_floor = Timestamp::parse(floor, &ZoneSpec::utc()).unwrap();
    }
    if let Some(zone) = &config.zone {
        settings.zone = ZoneSpec::parse(zone).unwrap();
    }
    settings
}

struct Run {
    engine: Engine,
    /// Wall clock minus monotonic clock.
    wall_at_zero: i64,
    /// When something was handled last.
    last: Monotonic,
    output: String,
    /// What was published, by its kind, and what of it was no such thing.
    kinds: BTreeSet<&'static str>,
    misshapen: Vec<String>,
}

impl Run {
    fn now(&self, at_ms: u64) -> Now {
        let micros = at_ms * 1000;
        Now { wall: Timestamp::from_micros(self.wall_at_zero + micros as i64), monotonic: Monotonic(micros) }
    }

    fn feed(&mut self, now: Now, input: Input<'_>) {
        let mut effects = Vec::new();
        self.last = now.monotonic;
        self.engine.handle(now, input, &mut effects);
        let at = now.monotonic.0 as f64 / 1000.0;
        for effect in effects {
            let _ = match effect {
                Effect::Publish(publish) => {
                    match documents::check(&publish.topic, &publish.payload) {
                        Ok(Some(kind)) if publish.retain != documents::RETAINED.contains(&kind) => {
                            self.misshapen.push(format!("{}: retained is {}", publish.topic, publish.retain));
                        }
                        Ok(Some(kind)) => drop(self.kinds.insert(kind)),
                        Ok(None) => {
                            self.misshapen.push(format!("{}: no schema is of this topic", publish.topic));
                        }
                        Err(error) => self.misshapen.push(error),
                    }
                    let text = String::from_utf8(publish.payload).unwrap();
                    let payload = if serde_json::from_str::<&RawValue>(&text).is_ok() {
                        text
                    } else {
                        serde_json::Value::from(text).to_string()
                    };
                    let retain = if publish.retain { ",\"retain\":true" } else { "" };
                    writeln!(
                        self.output,
                        "{{\"at\":{at},\"publish\":\"{}\"{retain},\"payload\":{payload}}}",
                        publish.topic
                    )
                }
                Effect::Acknowledge(token) => writeln!(self.output, "{{\"at\":{at},\"ack\":{token}}}"),
                Effect::UnitAppeared(id) => writeln!(self.output, "{{\"at\":{at},\"appeared\":\"{id}\"}}"),
                Effect::AlarmRaised(unit, alarm) => {
                    writeln!(self.output, "{{\"at\":{at},\"raised\":\"{}\"{}}}", alarm.id, of(unit.as_ref()))
                }
                Effect::AlarmCleared(unit, id) => {
                    writeln!(self.output, "{{\"at\":{at},\"cleared\":\"{id}\"{}}}", of(unit.as_ref()))
                }
                Effect::UnitEvicted(id) => writeln!(self.output, "{{\"at\":{at},\"evicted\":\"{id}\"}}"),
            };
        }
    }

    /// Runs the ticks that are due before `at_ms`, as the daemon would.
    fn tick_until(&mut self, at_ms: u64) {
        for _ in 0..10_000 {
            match self.engine.next_deadline() {
                Some(deadline) if deadline.0 <= at_ms * 1000 => {
                    let deadline = deadline.max(self.last);
                    let wall = Timestamp::from_micros(self.wall_at_zero + deadline.0 as i64);
                    self.feed(Now { wall, monotonic: deadline }, Input::Tick);
                }
                _ => return,
            }
        }
        panic!("the engine asks for ticks without end");
    }

    fn line(&mut self, number: u64, line: &Line<'_>) {
        if !line.asleep {
            self.tick_until(line.at);
        }
        if let Some(wall) = &line.wall {
            let wall = Timestamp::parse(wall, &ZoneSpec::utc()).unwrap();
            self.wall_at_zero = wall.as_micros() - (line.at * 1000) as i64;
        }
        let now = self.now(line.at);
        if let Some(open) = line.open {
            self.feed(now, if open { Input::Opened } else { Input::Closed });
        }
        if line.flush {
            self.feed(now, Input::Flush);
        }
        if let Some(topic) = &line.topic {
            let token = (line.qos > 0).then_some(number);
            let payload = line.payload();
            let (retained, arrived) = (line.retained, Monotonic(now.monotonic.0 - line.waited * 1000));
            self.feed(now, Input::Message { topic, payload: &payload, retained, token, arrived });
        }
    }

    fn counters(&self) -> String {
        let counters = self.engine.counters();
        let rejects: Vec<String> =
            counters.rejects.iter().map(|(reason, count)| format!("\"{reason}\":{count}")).collect();
        let units = self.engine.units();
        format!(
            "{{\"counters\":{{\"messages\":{},\"readings\":{},\"predictions\":{},\"withheld\":{},\"evicted\":{},\"settled_early\":{},\"alarms\":[{},{},{}],\"rejects\":{{{}}},\"units\":{{\"good\":{},\"uncertain\":{},\"bad\":{}}}}}}}\n",
            counters.messages,
            counters.readings,
            counters.predictions,
            counters.withheld,
            counters.evicted,
            counters.settled_early,
            counters.alarms.raised,
            counters.alarms.cleared,
            counters.alarms.suppressed,
            rejects.join(","),
            units.good,
            units.uncertain,
            units.bad
        )
    }
}

fn of(unit: Option<&UnitId>) -> String {
    unit.map_or_else(String::new, |unit| format!(",\"unit\":\"{unit}\""))
}

/// Runs a scenario; what it did, and the kinds of documents that it published, all of them as their schemas say.
fn play(folder: &Path) -> (String, BTreeSet<&'static str>) {
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name))
            .unwrap_or_else(|error| panic!("{}/{name}: {error}", folder.display()))
    };
    let config: Config =
        toml::from_str(&read("config.toml")).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    assert!(!config.about.is_empty());
    let start = Timestamp::parse(START, &ZoneSpec::utc()).unwrap().as_micros();
    let engine = Engine::new(super::bundles::tiny(), settings(&config), || 0);
    let mut run = Run {
        engine,
        wall_at_zero: start,
        last: Monotonic(0),
        output: String::new(),
        kinds: BTreeSet::new(),
        misshapen: Vec::new(),
    };
    let input = read("input.jsonl");
    for (index, text) in input.lines().enumerate() {
        let line: Line = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("{} line {}: {error}", folder.display(), index + 1));
        run.line(index as u64 + 1, &line);
    }
    if let Some(end) = config.end_ms {
        run.tick_until(end);
    }
    assert!(run.misshapen.is_empty(), "{}:\n{}", folder.display(), run.misshapen.join("\n"));
    run.output.push_str(&run.counters());
    let model = serde_json::to_string(&run.engine.bundle().identity).unwrap();
    let output = run
        .output
        .replace(&format!(",\"model\":{model}"), "")
        .replace(",\"latency_us\":{\"wait\":0.0,\"features\":0.0,\"inference\":0.0,\"total\":0.0}", "");
    (output, run.kinds)
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

#[test]
fn every_scenario_gives_its_expected_effects() {
    let bless = std::env::var_os("COOLTWIN_BLESS").is_some();
    let folders = folders();
    assert!(folders.len() >= AT_LEAST, "only {} scenarios found", folders.len());
    let mut wrong = String::new();
    let mut kinds = BTreeSet::new();
    for folder in &folders {
        let (got, published) = play(folder);
        kinds.extend(published);
        let expected_file = folder.join("expected.jsonl");
        if bless {
            std::fs::write(&expected_file, &got).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&expected_file).unwrap_or_default();
        if got != expected {
            let difference =
                got.lines().zip(expected.lines().chain(std::iter::repeat("(nothing)"))).find(|(a, b)| a != b);
            let _ = writeln!(wrong, "{}:\n   got {:?}\n", folder.file_name().unwrap().display(), difference);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // All that the engine publishes was among it: the rest is the daemon's.
    let all = ["alarm", "flags", "number", "prediction", "seed-alert", "seed-result", "state"];
    assert_eq!(kinds, BTreeSet::from(all));
}

/// A message is acknowledged exactly once, whatever it holds.
#[test]
fn every_message_is_acknowledged_exactly_once() {
    for folder in folders() {
        let input = std::fs::read_to_string(folder.join("input.jsonl")).unwrap();
        let mut expected: Vec<u64> = Vec::new();
        for (index, text) in input.lines().enumerate() {
            let line: Line = serde_json::from_str(text).unwrap();
            if line.topic.is_some() && line.qos > 0 {
                expected.push(index as u64 + 1);
            }
        }
        let (output, _) = play(&folder);
        let mut got: Vec<u64> = output
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["ack"].as_u64())
            .collect();
        got.sort_unstable();
        assert_eq!(got, expected, "{}", folder.display());
    }
}
