//! What Home Assistant is told, when, and when it is taken back. That it understands it is shown by its own code
//! (`tests/home-assistant/run.sh`), which goes over `tests/home-assistant/discovery.jsonl`, written here.
//!
//! `COOLTWIN_BLESS=1 cargo test --test suite home_assistant` writes that file anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use cooltwin::bundle::Bundle;
use cooltwin::domain::{Effect, Monotonic, Now, PublishKind, Timestamp};
use cooltwin::engine::{Engine, EngineSettings, HomeAssistant, Input};
use serde_json::{Value, json};

use super::bundles;

/// 2026-03-01T12:00:00Z.
const START: i64 = 1_772_366_400_000_000;

fn told(prefix: &str) -> EngineSettings {
    let home_assistant = HomeAssistant {
        prefix: prefix.to_owned(),
        birth_topic: "homeassistant/status".to_owned(),
        expire_after: Duration::from_mins(15),
        instance: "main".to_owned(),
        status_topic: "cooltwin/main/status".to_owned(),
        health_topic: "cooltwin/main/health".to_owned(),
        health_interval: Duration::from_secs(30),
    };
    EngineSettings { home_assistant: Some(home_assistant), ..EngineSettings::default() }
}

/// An engine with its clock, and every document of discovery by its time.
struct Site {
    engine: Engine,
    at: u64,
    documents: Vec<(u64, String, Value)>,
    others: Vec<(String, Vec<u8>)>,
}

impl Site {
    fn new(bundle: Bundle, settings: EngineSettings) -> Self {
        let engine = Engine::new(bundle, settings, || 0);
        Self { engine, at: 0, documents: Vec::new(), others: Vec::new() }
    }

    fn feed(&mut self, input: Input<'_>) {
        let now = Now { wall: Timestamp::from_micros(START + self.at as i64), monotonic: Monotonic(self.at) };
        let mut effects = Vec::new();
        self.engine.handle(now, input, &mut effects);
        for effect in effects {
            let Effect::Publish(publish) = effect else { continue };
            if publish.kind == PublishKind::Discovery {
                assert!(publish.retain);
                let document = if publish.payload.is_empty() {
                    Value::Null
                } else {
                    serde_json::from_slice(&publish.payload).unwrap()
                };
                self.documents.push((self.at, publish.topic, document));
            } else {
                self.others.push((publish.topic, publish.payload));
            }
        }
    }

    /// Lets time pass with the ticks that are due.
    fn pass(&mut self, seconds: u64) {
        let until = self.at + seconds * 1_000_000;
        while let Some(due) = self.engine.next_deadline().filter(|due| due.0 <= until) {
            self.at = self.at.max(due.0);
            self.feed(Input::Tick);
        }
        self.at = until;
    }

    fn message(&mut self, topic: &str, payload: &str, retained: bool) {
        let arrived = Monotonic(self.at);
        self.feed(Input::Message { topic, payload: payload.as_bytes(), retained, token: None, arrived });
    }

    fn frame(&mut self, unit: &str) {
        self.message(&format!("hvac/{unit}/sensors"), r#"{"R":20,"H":10,"N":1000,"D":2}"#, false);
    }

    /// Takes the documents told so far.
    fn take(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.documents)
            .into_iter()
            .map(|(_, topic, document)| (topic, document))
            .collect()
    }

    fn reload(&mut self, bundle: Bundle, settings: EngineSettings) {
        self.feed(Input::Flush);
        let new = Engine::new(bundle, settings, || 0);
        let old = std::mem::replace(&mut self.engine, new);
        self.engine.adopt(old);
        self.pass(1);
    }

    fn state(&self, unit: &str) -> Value {
        let topic = format!("hvac/{unit}/state");
        let last = self.others.iter().rev().find(|(name, _)| *name == topic).unwrap();
        serde_json::from_slice(&last.1).unwrap()
    }
}

fn topics(documents: &[(String, Value)]) -> Vec<&str> {
    documents.iter().map(|(topic, _)| topic.as_str()).collect()
}

const DAEMON: &str = "homeassistant/device/cooltwin-main/config";
const ATTIC: &str = "homeassistant/device/cooltwin-main_unit-attic/config";

/// The tiny bundle with another target or another unit of it.
fn renamed(from: &str, to: &str) -> Bundle {
    let mut files = bundles::files("tests/bundles/tiny");
    let text = String::from_utf8(files.0["bundle.toml"].clone()).unwrap();
    assert!(text.contains(from), "{from}");
    files.0.insert("bundle.toml".into(), text.replace(from, to).into_bytes());
    if to.contains("T2") {
        let reference = String::from_utf8(files.0["reference.json"].clone()).unwrap();
        files.0.insert("reference.json".into(), reference.replace("\"T\"", "\"T2\"").into_bytes());
    }
    let sealed = cooltwin::bundle::seal(&files, None).unwrap();
    files.0.extend(sealed.0);
    Bundle::load(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn nothing_is_told_unless_asked_for() {
    let mut site = Site::new(bundles::tiny(), EngineSettings::default());
    site.feed(Input::Opened);
    site.frame("attic");
    site.message("homeassistant/status", "online", false);
    site.pass(60);
    assert!(site.documents.is_empty());
}

#[test]
fn the_daemon_and_each_unit_are_told_at_each_connection_the_daemon_first() {
    let mut site = Site::new(bundles::tiny(), told("homeassistant"));
    site.frame("attic");
    site.pass(1);
    assert!(site.documents.is_empty(), "before there is a connection");
    site.feed(Input::Opened);
    site.pass(1);
    assert_eq!(topics(&site.take()), [DAEMON, ATTIC]);
    site.pass(30);
    assert!(site.documents.is_empty(), "once");
    site.feed(Input::Closed);
    site.feed(Input::Opened);
    site.pass(1);
    assert_eq!(topics(&site.take()), [DAEMON, ATTIC]);
    site.frame("cellar");
    site.pass(1);
    assert_eq!(topics(&site.take()), ["homeassistant/device/cooltwin-main_unit-cellar/config"]);
}

#[test]
fn many_units_are_told_a_few_at_a_time() {
    let mut site = Site::new(bundles::tiny(), told("homeassistant"));
    for unit in 0..100 {
        site.frame(&format!("u{unit}"));
    }
    site.feed(Input::Opened);
    site.pass(10);
    let mut at_once: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, ..) in &site.documents {
        *at_once.entry(*at).or_default() += 1;
    }
    assert_eq!(site.documents.len(), 101);
    assert!(at_once.len() >= 6 && at_once.values().all(|count| *count <= 17), "{at_once:?}");
    let mut seen: Vec<_> = site.documents.iter().map(|(_, topic, _)| topic.clone()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 101);
}

#[test]
fn the_birth_message_has_everything_told_again_after_a_pause() {
    let mut site = Site::new(bundles::tiny(), told("homeassistant"));
    site.feed(Input::Opened);
    site.frame("attic");
    site.pass(1);
    site.take();
    for (payload, retained) in [("offline", false), ("online", true), ("onlin", false)] {
        site.message("homeassistant/status", payload, retained);
        site.pass(10);
        assert!(site.documents.is_empty(), "{payload} {retained}");
    }
    let at = site.at;
    site.message("homeassistant/status", "online", false);
    // It goes on while that waits.
    site.frame("attic");
    site.pass(10);
    let after = site.documents[0].0 - at;
    assert!((500_000..=3_500_000).contains(&after), "{after} us");
    assert_eq!(topics(&site.take()), [DAEMON, ATTIC]);
    assert_eq!(site.engine.counters().rejects.total(), 0, "a birth message is no reading");
}

#[test]
fn what_is_forgotten_is_taken_back() {
    let settings = EngineSettings { unit_ttl: Duration::from_secs(10), ..told("homeassistant") };
    let mut site = Site::new(bundles::tiny(), settings);
    site.feed(Input::Opened);
    site.frame("attic");
    site.pass(1);
    site.take();
    site.others.clear();
    site.pass(20);
    assert_eq!(site.take(), [(ATTIC.to_owned(), Value::Null)]);
    assert!(site.others.contains(&("hvac/attic/state".to_owned(), Vec::new())));
}

#[test]
fn switching_off_or_another_prefix_takes_everything_back() {
    let mut site = Site::new(bundles::tiny(), told("homeassistant"));
    site.feed(Input::Opened);
    site.frame("attic");
    site.pass(1);
    site.take();
    site.reload(bundles::tiny(), told("ha"));
    let documents = site.take();
    assert_eq!(
        topics(&documents),
        [DAEMON, ATTIC, "ha/device/cooltwin-main/config", "ha/device/cooltwin-main_unit-attic/config"]
    );
    assert!(documents[..2].iter().all(|(_, document)| document.is_null()));
    assert!(documents[2..].iter().all(|(_, document)| document.is_object()));
    // While the broker is away, too: the removals wait for it.
    site.feed(Input::Closed);
    site.reload(bundles::tiny(), EngineSettings::default());
    let documents = site.take();
    assert_eq!(
        topics(&documents),
        ["ha/device/cooltwin-main/config", "ha/device/cooltwin-main_unit-attic/config"]
    );
    assert!(documents.iter().all(|(_, document)| document.is_null()));
    site.feed(Input::Opened);
    site.pass(60);
    assert!(site.documents.is_empty());
    site.reload(bundles::tiny(), told("homeassistant"));
    assert_eq!(topics(&site.take()), [DAEMON, ATTIC], "and on again");
}

/// What was told at an earlier connection or before a birth message is taken back although it is yet to be told again.
#[test]
fn what_is_yet_to_be_told_again_is_taken_back_too() {
    let removals = [(DAEMON.to_owned(), Value::Null), (ATTIC.to_owned(), Value::Null)];
    for off in [EngineSettings::default(), told("ha")] {
        let mut site = Site::new(bundles::tiny(), told("homeassistant"));
        site.feed(Input::Opened);
        site.frame("attic");
        site.pass(1);
        assert_eq!(topics(&site.take()), [DAEMON, ATTIC]);
        site.feed(Input::Closed);
        site.reload(bundles::tiny(), told("homeassistant"));
        assert!(site.take().is_empty(), "the broker is away");
        site.reload(bundles::tiny(), off.clone());
        assert_eq!(site.take(), removals);

        let mut site = Site::new(bundles::tiny(), told("homeassistant"));
        site.feed(Input::Opened);
        site.frame("attic");
        site.pass(1);
        site.take();
        site.message("homeassistant/status", "online", false);
        site.reload(bundles::tiny(), off);
        assert_eq!(site.take()[..2], removals);
    }
}

#[test]
fn the_next_are_told_when_the_last_are_confirmed_and_removals_at_once() {
    let mut site = Site::new(bundles::tiny(), told("homeassistant"));
    for unit in 0..40 {
        site.frame(&format!("u{unit}"));
    }
    site.feed(Input::Opened);
    site.feed(Input::Tick);
    assert_eq!(site.take().len(), 17);
    site.engine.hold_discovery(true);
    site.pass(60);
    site.feed(Input::Tick);
    assert!(site.documents.is_empty(), "the last ones are on their way");
    site.engine.hold_discovery(false);
    site.feed(Input::Tick);
    assert_eq!(site.take().len(), 16);
    site.engine.hold_discovery(false);
    site.pass(1);
    assert_eq!(site.take().len(), 8);

    site.engine.hold_discovery(true);
    site.feed(Input::Flush);
    let old =
        std::mem::replace(&mut site.engine, Engine::new(bundles::tiny(), EngineSettings::default(), || 0));
    site.engine.adopt(old);
    site.engine.hold_discovery(true);
    site.pass(1);
    assert_eq!(site.take().len(), 41, "removals are small and asked for");
}

#[test]
fn targets_that_are_gone_with_a_bundle_are_removed() {
    let mut site = Site::new(bundles::tiny(), told("homeassistant"));
    site.feed(Input::Opened);
    site.frame("attic");
    site.pass(1);
    site.take();
    site.reload(renamed("[[targets]]\nname = \"T\"", "[[targets]]\nname = \"T2\""), told("homeassistant"));
    let documents = site.take();
    let components = &documents[1].1["cmps"];
    assert_eq!(components["prediction_T"], json!({ "p": "sensor" }));
    assert_eq!(components["residual_T"], json!({ "p": "sensor" }));
    assert_eq!(components["prediction_T2"]["name"], "Predicted made of two trees");
    // Coming back, it is there again, and the other is gone.
    site.reload(bundles::tiny(), told("homeassistant"));
    let documents = site.take();
    let components = &documents[1].1["cmps"];
    assert_eq!(components["prediction_T2"], json!({ "p": "sensor" }));
    assert_eq!(components["prediction_T"]["unit_of_meas"], "°C");
}

/// What the alarm's template looks at says at any moment whether the alarm stands.
#[test]
fn the_retained_state_tells_which_alarms_stand() {
    let mut site = Site::new(bundles::tiny(), told("homeassistant"));
    site.feed(Input::Opened);
    site.frame("attic");
    site.pass(1);
    assert_eq!(site.state("attic").get("alarms"), None);
    site.pass(1_000);
    assert_eq!(site.state("attic")["alarms"], json!(["unit_silent"]));
    let states = |site: &Site| site.others.iter().filter(|(topic, _)| topic == "hvac/attic/state").count();
    let before = states(&site);
    site.frame("attic");
    assert_eq!(site.state("attic").get("alarms"), None);
    assert_eq!(site.state("attic")["state"], "predicting");
    assert_eq!(states(&site), before + 1, "told once");
}

/// Every document that Home Assistant's own code goes over.
fn recorded() -> String {
    let mut text = String::new();
    let mut note = |what: &str, documents: Vec<(String, Value)>| {
        for (topic, payload) in documents {
            let line = json!({ "about": what, "topic": topic, "payload": payload });
            writeln!(text, "{line}").unwrap();
        }
    };
    let mut site = Site::new(bundles::reference(), told("homeassistant"));
    site.feed(Input::Opened);
    for unit in ["cooler-01", "Kühlraum 3 (Süd)", "a_b.c"] {
        site.message(&format!("hvac/{unit}/sensors"), r#"{"UCAIT":21,"UCWIT":7}"#, false);
    }
    site.pass(1);
    note("the reference bundle", site.take());
    site.reload(bundles::tiny(), told("homeassistant"));
    note("another bundle after it", site.take().into_iter().skip(1).take(1).collect());
    for unit in [
        "degF", "K", "L/s", "L/min", "gpm", "cfm", "Pa", "kPa", "bar", "mbar", "psi", "inH2O", "kW", "BTU/h",
        "%", "Hz", "rpm", "V", "A", "m/s", "furlong", "",
    ] {
        let from = "[[targets]]\nname = \"T\"\nunit = \"degC\"";
        let bundle = renamed(from, &format!("[[targets]]\nname = \"T\"\nunit = \"{unit}\""));
        let mut site = Site::new(bundle, told("homeassistant"));
        site.feed(Input::Opened);
        site.frame("attic");
        site.pass(1);
        note(&format!("a target in {unit}"), site.take().into_iter().skip(1).collect());
    }
    text.replace(concat!("\"", env!("CARGO_PKG_VERSION"), "\""), "\"0.0.0\"")
}

#[test]
fn the_recorded_documents_are_those_that_are_told() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/home-assistant/discovery.jsonl");
    let now = recorded();
    if std::env::var_os("COOLTWIN_BLESS").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    let differing = now.lines().zip(before.lines()).find(|(now, before)| now != before);
    assert!(now == before, "read the difference, then COOLTWIN_BLESS=1: {differing:?}");
    let longest = now.lines().map(str::len).max().unwrap();
    assert!(longest < 8 * 1024, "{longest} bytes");
}
