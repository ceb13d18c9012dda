//! The examples of `config/examples`: every configuration is sound, and every message beside it (`TOPIC PAYLOAD`, as
//! `mosquitto_sub -v` prints them) is read as the `.expected` file says and acknowledged once.
//!
//! `COOLTWIN_BLESS=1 cargo test --test suite sources` writes the expected files anew; read the difference.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cooltwin::daemon::settings::{Settings, Source};
use cooltwin::domain::source::Kind;
use cooltwin::domain::{
    Batch, Births, Effect, Monotonic, Now, PublishKind, RejectReason, Rule, RuleSpec, Timestamp, ZoneSpec,
};
use cooltwin::engine::{Engine, EngineSettings, Input};

use super::bundles::reference;

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    found.sort();
    found
}

fn settings(example: &Path) -> (Settings, EngineSettings) {
    let source = Source { file: Some(example.to_owned()), ..Source::default() };
    let mut settings = source.load().unwrap_or_else(|error| panic!("{error}"));
    settings.bundle.path = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/unit-cooler"));
    let engine = settings.check().unwrap_or_else(|error| panic!("{error}")).engine;
    (settings, engine)
}

fn messages(example: &Path) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(example.with_extension("messages")).unwrap();
    if text.starts_with('#') {
        return in_hexadecimal(&text);
    }
    // A topic's last level has no space here; the levels before it may.
    let split = |line: &str| {
        let end = line.find(['{', '[', '=']).unwrap_or(line.len());
        let level = line[..end].rfind('/').unwrap();
        let space = level + line[level..].find(' ').unwrap();
        (line[..space].to_owned(), line[space + 1..].into())
    };
    text.lines().map(split).collect()
}

/// Messages that are no text, as `mosquitto_sub -F '%t %x'` prints them; lines that begin with `#` are none.
fn in_hexadecimal(text: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = |hex: &str| {
        let pairs = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        pairs.collect()
    };
    let messages = text.lines().filter(|line| !line.starts_with('#'));
    let split = messages.map(|line| line.split_once(' ').unwrap());
    split.map(|(topic, hex)| (topic.to_owned(), bytes(hex))).collect()
}

/// One minute after the examples' times.
fn now(after: u64) -> Now {
    let wall = Timestamp::parse("2026-03-01T12:01:30Z", &ZoneSpec::utc()).unwrap();
    let micros = after * 1_000_000;
    Now { wall: Timestamp::from_micros(wall.as_micros() + micros as i64), monotonic: Monotonic(micros) }
}

/// What becomes of the messages of an example.
fn play(example: &Path) -> String {
    let (_, settings) = settings(example);
    let bundle = reference();
    let channels: Vec<String> = bundle.manifest.channels().into_iter().map(str::to_owned).collect();
    let (mut rules, problems) = settings.bind(&bundle.manifest);
    assert_eq!(problems, [], "{}", example.display());
    let mut engine = Engine::new(bundle, settings, || 0);
    let (mut text, mut batch, mut births) = (String::new(), Batch::default(), Births::default());
    let mut acknowledged = Vec::new();
    let messages = messages(example);
    for (token, (topic, payload)) in messages.iter().enumerate() {
        let outcome = rules.read(topic, payload, &mut births, &mut batch);
        let rule = batch.rule().and_then(|index| rules.iter().nth(index)).map_or("none", |rule| rule.name());
        let _ = writeln!(text, "{topic}\n  rule: {rule}");
        if let Err(reason) = outcome {
            let _ = writeln!(text, "  refused: {reason}");
        }
        for group in (0..batch.len()).filter_map(|index| batch.group(index)) {
            let time = group.time.map_or_else(|| "arrival".to_owned(), |time| time.to_string());
            let _ = writeln!(text, "  {} at {time}", group.unit);
            for reading in group.readings {
                let name = &channels[reading.channel];
                let _ = match reading.value {
                    Ok(value) => writeln!(text, "    {name} = {value}"),
                    Err(reason) => writeln!(text, "    {name}: {reason}"),
                };
            }
        }
        for (reason, count) in batch.rejects().iter() {
            let _ = writeln!(text, "  not used: {count} x {reason}");
        }
        let mut effects = Vec::new();
        let now = now(token as u64);
        let token = Some(token as u64);
        let input = Input::Message { topic, payload, retained: false, token, arrived: now.monotonic };
        engine.handle(now, input, &mut effects);
        collect(&effects, &mut text, &mut acknowledged);
    }
    let mut effects = Vec::new();
    engine.handle(now(100), Input::Flush, &mut effects);
    collect(&effects, &mut text, &mut acknowledged);
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, (0..messages.len() as u64).collect::<Vec<_>>(), "{}", example.display());
    let counters = engine.counters();
    let drops: Vec<_> = counters.rejects.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let _ = writeln!(
        text,
        "readings {}, predictions {}, withheld {}, drops: {}",
        counters.readings,
        counters.predictions,
        counters.withheld,
        drops.join(", ")
    );
    text
}

fn collect(effects: &[Effect], text: &mut String, acknowledged: &mut Vec<u64>) {
    for effect in effects {
        match effect {
            Effect::Publish(publish) if publish.kind == PublishKind::Prediction => {
                let _ = writeln!(text, "  -> {}", publish.topic);
            }
            Effect::Publish(publish) if publish.kind == PublishKind::Request => {
                let _ = writeln!(text, "  asks {}", publish.topic);
            }
            Effect::Acknowledge(token) => acknowledged.push(*token),
            _ => {}
        }
    }
}

#[test]
fn every_example_is_read_as_expected() {
    let bless = std::env::var_os("COOLTWIN_BLESS").is_some();
    let mut wrong = String::new();
    for example in examples() {
        let got = play(&example);
        let file = example.with_extension("expected");
        if bless {
            std::fs::write(&file, &got).unwrap();
        } else if std::fs::read_to_string(&file).unwrap_or_default() != got {
            let _ = writeln!(wrong, "{}:\n{got}", file.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// No kind without an example of its own.
#[test]
fn every_kind_has_an_example() {
    let shown: BTreeSet<String> = examples()
        .iter()
        .flat_map(|example| {
            settings(example).1.sources.iter().map(|rule| rule.kind().name().to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let all: BTreeSet<String> = Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    assert_eq!(shown, all);
}

/// What an example says of itself at its beginning is true: the command it proposes finds something.
#[test]
fn every_example_can_be_tried_as_it_says() {
    for example in examples() {
        let text = std::fs::read_to_string(&example).unwrap();
        let command = text.lines().find_map(|line| line.strip_prefix("# Try it: cooltwin ")).unwrap();
        let script = format!("\"$0\" {command}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_cooltwin")]).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("rule:  ") && said.contains("predicts: "), "{command}: {said}");
    }
}

fn engine_with(specs: Vec<RuleSpec>) -> Engine {
    let sources = specs.into_iter().map(|spec| Rule::new(spec, &ZoneSpec::utc()).unwrap()).collect();
    let settings = EngineSettings { sources, target_topics: false, ..EngineSettings::default() };
    Engine::new(super::bundles::tiny(), settings, || 0)
}

fn list(settle: Option<bool>) -> RuleSpec {
    RuleSpec {
        name: "list".into(),
        topic: "in".into(),
        kind: "list".into(),
        unit_at: Some("/unit".into()),
        settle,
        ..RuleSpec::default()
    }
}

fn entry(unit: &str, name: &str, second: u64) -> String {
    format!("{{\"unit\":\"{unit}\",\"name\":\"{name}\",\"value\":10,\"time\":{}}}", 1_772_366_400 + second)
}

fn whole_unit(unit: &str, second: u64) -> String {
    ["R", "H", "N", "D"].map(|name| entry(unit, name, second)).join(",")
}

fn feed(engine: &mut Engine, second: u64, token: u64, payload: &str) -> Vec<String> {
    let mut effects = Vec::new();
    let now = now(second);
    let input = Input::Message {
        topic: "in",
        payload: payload.as_bytes(),
        retained: false,
        token: Some(token),
        arrived: now.monotonic,
    };
    engine.handle(now, input, &mut effects);
    told(&effects)
}

/// Predictions and acknowledgements in their order.
fn told(effects: &[Effect]) -> Vec<String> {
    let of = |effect: &Effect| match effect {
        Effect::Publish(publish) if publish.kind == PublishKind::Prediction => Some(publish.topic.clone()),
        Effect::Acknowledge(token) => Some(format!("ack {token}")),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

/// Several units and times in one message: each unit is predicted once, when all is taken in, and the message
/// is acknowledged behind all of it, also by a rule whose units would wait for quiet.
#[test]
fn a_message_of_several_units_is_acknowledged_once_behind_all_of_them() {
    for settle in [None, Some(true)] {
        let mut engine = engine_with(vec![list(settle)]);
        let message = format!("[{},{},{}]", whole_unit("b", 30), whole_unit("a", 30), whole_unit("b", 0));
        let expected = ["hvac/a/predictions", "hvac/b/predictions", "ack 7"];
        assert_eq!(feed(&mut engine, 0, 7, &message), expected);
        assert_eq!(engine.counters().readings, 12, "none was late");
        assert_eq!(engine.counters().rejects.total(), 0);
    }
}

#[test]
fn units_that_wait_for_quiet_keep_their_messages_until_then() {
    let mut engine = engine_with(vec![list(Some(true))]);
    assert_eq!(feed(&mut engine, 0, 1, &format!("[{}]", whole_unit("a", 30))), Vec::<String>::new());
    // One of several units comes meanwhile: what waited goes with it, both acknowledged behind the prediction.
    let both = format!("[{},{}]", whole_unit("a", 31), whole_unit("b", 31));
    assert_eq!(
        feed(&mut engine, 0, 2, &both),
        ["hvac/a/predictions", "ack 1", "hvac/b/predictions", "ack 2"]
    );
    let mut effects = Vec::new();
    engine.handle(now(100), Input::Flush, &mut effects);
    assert_eq!(told(&effects), Vec::<String>::new());
}

#[test]
fn a_message_of_which_nothing_is_used_is_acknowledged_at_once() {
    let mut engine = engine_with(vec![list(None)]);
    let late = format!("[{},{}]", whole_unit("a", 30), whole_unit("b", 30));
    assert_eq!(feed(&mut engine, 0, 1, &late).len(), 3);
    let older = format!("[{},{}]", whole_unit("a", 0), whole_unit("b", 0));
    for (token, payload) in
        [(2, older.as_str()), (3, "[{}]"), (4, "[]"), (5, "[{\"unit\":\"a\"},{\"unit\":\"/\"}]")]
    {
        assert_eq!(feed(&mut engine, 1, token, payload), [format!("ack {token}")], "{payload}");
    }
}

#[test]
fn units_beyond_the_limit_do_not_harm_the_others_of_a_message() {
    let sources = vec![Rule::new(list(None), &ZoneSpec::utc()).unwrap()];
    let settings =
        EngineSettings { sources, target_topics: false, max_units: 1, ..EngineSettings::default() };
    let mut engine = Engine::new(super::bundles::tiny(), settings, || 0);
    let message = format!("[{},{}]", whole_unit("a", 30), whole_unit("b", 30));
    assert_eq!(feed(&mut engine, 0, 1, &message), ["hvac/a/predictions", "ack 1"]);
    assert_eq!(engine.counters().rejects.get(RejectReason::TooManyUnits), 1);
}

/// A bundle's sensors and units are part of what is checked, before anything is started.
#[test]
fn what_the_bundle_cannot_take_is_refused_at_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cooltwin.toml");
    let text = "[[source]]\nname = \"a\"\ntopic = \"a/{unit}/{sensor}\"\nkind = \"number\"\n[source.rename]\nx = \"UCAITT\"\n\
                [source.sensors]\nUCWF = { from = \"degF\" }\nUCAIT = { from = \"furlong\" }\n";
    std::fs::write(&file, text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_cooltwin"))
        .args(["check", "--config", file.to_str().unwrap()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for part in [
        "source \"a\" rename.x = \"UCAITT\"",
        "did you mean UCAIT?",
        "source \"a\" sensors.UCWF.from = \"degF\"",
        "is a temperature, but the bundle gives this sensor in m3/h, which is a flow",
        "use one of m3/h, m3/min",
        "source \"a\" sensors.UCAIT.from = \"furlong\"",
        "use one of degC, degF, K",
        "line 1",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// Aliases mean nothing without the BIRTH that came before them, which `explain` takes as messages that came before.
#[test]
fn explain_takes_what_came_before() {
    let example = examples().into_iter().find(|path| path.ends_with("sparkplug.toml")).unwrap();
    let lines = std::fs::read_to_string(example.with_extension("messages")).unwrap();
    let births: Vec<&str> = lines.lines().filter(|line| line.contains("BIRTH/")).take(3).collect();
    let data = lines.lines().filter(|line| line.contains("DDATA/")).nth(1).unwrap();
    let (topic, payload) = data.split_once(' ').unwrap();
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before");
    let explain = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cooltwin"));
        command.args(["explain", "--config", example.to_str().unwrap(), "--topic", topic]);
        let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = explain(&["--payload-hex", payload]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("missing_birth: ") && said.contains("asks:     the node"), "{said}");
    std::fs::write(&before, births.join("\n")).unwrap();
    let (code, said) = explain(&["--payload-hex", payload, "--before", before.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("found:    Cooler/Air In = 70.5 -> UCAIT = 21.3") && !said.contains("asks:"),
        "{said}"
    );
    std::fs::write(&before, "spBv1.0/x/NBIRTH/y 0g\n").unwrap();
    let (code, said) = explain(&["--payload-hex", payload, "--before", before.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("before line 1: no topic with a payload in hexadecimal behind it"), "{said}");
    let (code, said) = explain(&["--payload-hex", "123"]);
    assert_eq!(code, Some(64), "{said}");
}
