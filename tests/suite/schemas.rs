//! The published schemas: sound in themselves, saying what the program says, refusing what is broken.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cooltwin::domain::quality::ReasonSubject;
use cooltwin::domain::{AlarmId, Decoder, PayloadKeys, Quality, Reason, RejectReason, ZoneSpec};
use serde_json::{Value, json};

use super::documents::{IN, OUT, RETAINED, TEXTS, broken, check, check_input, file, fits, kind_of};

fn schema(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap()
}

#[test]
fn there_is_one_for_each_document_and_no_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().to_str()?.strip_suffix(".schema.json").map(str::to_owned)
        })
        .collect();
    found.sort_unstable();
    let mut all: Vec<&str> = OUT.into_iter().chain(IN).collect();
    all.sort_unstable();
    assert_eq!(found, all);
}

/// Each file stands by itself, so that it can be taken away alone; what they share must not drift apart.
#[test]
fn parts_of_the_same_name_are_the_same_everywhere() {
    let mut parts: Vec<(String, Value)> = Vec::new();
    for name in OUT.into_iter().chain(IN) {
        let schema = schema(name);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("{name}.schema.json"));
        for (part, body) in schema.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            assert!(
                schema.to_string().contains(&format!("\"#/$defs/{part}\"")),
                "{name} has no use for {part}"
            );
            match parts.iter().find(|(known, _)| known == part) {
                Some((_, same)) => assert_eq!(body, same, "{part} of {name}"),
                None => parts.push((part.clone(), body.clone())),
            }
        }
    }
    assert!(parts.len() >= 5, "{parts:?}");
}

fn words(schema: &Value, path: &str) -> BTreeSet<String> {
    let listed = schema.pointer(path).and_then(Value::as_array).unwrap_or_else(|| panic!("no {path}"));
    listed.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn names(alarms: &[AlarmId]) -> BTreeSet<String> {
    alarms.iter().map(|alarm| alarm.name().to_owned()).collect()
}

#[test]
fn alarms_are_those_that_there_are() {
    let (unit, daemon) = (names(&AlarmId::OF_UNIT), names(&AlarmId::OF_DAEMON));
    let all: BTreeSet<String> = unit.union(&daemon).cloned().collect();
    let alarm = schema("alarm");
    assert_eq!(words(&alarm, "/properties/id/enum"), all);
    assert_eq!(words(&alarm, "/then/properties/id/enum"), unit);
    assert_eq!(words(&alarm, "/else/properties/id/enum"), daemon);
    assert_eq!(words(&schema("state"), "/properties/alarms/items/enum"), unit);
    assert_eq!(words(&schema("health"), "/properties/alarms/properties/standing/items/enum"), daemon);
    let mut alerts = words(&schema("seed-alert"), "/properties/id/enum");
    assert!(alerts.remove("withheld"));
    assert_eq!(alerts, all);
}

#[test]
fn what_is_dropped_is_counted_under_the_reasons_that_there_are() {
    let told = words(&schema("health"), "/properties/drops/propertyNames/enum");
    let rejects: BTreeSet<_> = RejectReason::ALL.iter().map(|reason| reason.name().to_owned()).collect();
    assert!(rejects.is_subset(&told), "{:?}", rejects.difference(&told));
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/daemon/health.rs")).unwrap();
    let lost = between(&source, "fn lost_messages", "\n}\n");
    let own = between(&source, "let own = [", "];");
    let others: BTreeSet<_> = tuples(lost).chain(tuples(own)).collect();
    assert_eq!(others.len(), 9, "{others:?}");
    assert_eq!(told.difference(&rejects).cloned().collect::<BTreeSet<_>>(), others);
}

#[test]
fn causes_are_those_that_there_are() {
    let health = schema("health");
    let source = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let error = source("src/daemon/mqtt/error.rs");
    let mut causes: BTreeSet<String> = between(&error, "fn kind(", "fn from_io(")
        .split("=> \"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    causes.extend(["taken_over".to_owned(), "redeliver".to_owned()]);
    assert!(causes.len() > 15, "{causes:?}");
    assert_eq!(words(&health, "/properties/broker/properties/failures/propertyNames/enum"), causes);
    let known = source("src/daemon/health.rs");
    let connected: BTreeSet<String> = between(&known, "fn problem_while_connected", "\n    }\n")
        .split("Some(\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    assert_eq!(connected.len(), 3, "{connected:?}");
    let problems: BTreeSet<String> = causes.union(&connected).cloned().collect();
    assert_eq!(words(&health, "/properties/broker/properties/problem/enum"), problems);
    let mut errors = words(&health, "/properties/last_error/oneOf/1/properties/kind/enum");
    assert!(errors.remove("reload_refused"));
    assert_eq!(errors, problems);
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let rest = text.split_once(begin).unwrap_or_else(|| panic!("no {begin}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("no {end} after {begin}")).0
}

/// The texts that begin a tuple.
fn tuples(source: &str) -> impl Iterator<Item = String> {
    source.split("(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
}

/// Every reason there is; the index is of no matter.
const REASONS: [Reason; 14] = [
    Reason::RequiredMissing(0),
    Reason::RequiredStale(0),
    Reason::TooManyMissing,
    Reason::Silent,
    Reason::ClockNotSet,
    Reason::NotComputable(0),
    Reason::Missing(0),
    Reason::Stale(0),
    Reason::Held(0),
    Reason::Defaulted(0),
    Reason::OutsideTrainedRange(0),
    Reason::Undefined(0),
    Reason::IncompleteHistory(0),
    Reason::Implausible(0),
];

/// A prediction, as it may be.
fn prediction() -> Value {
    json!({
        "schema": 1, "time": "2026-03-01T12:00:00Z", "unit": "c1", "seq": 1, "T": 20.5, "quality": "uncertain",
        "reasons": ["held:H"], "inputs": { "oldest_s": 0.0, "fresh": 3, "sensors": 4 }, "residuals": {},
        "model": { "id": "m", "version": "1", "sha256": "0123456789abcdef" },
        "latency_us": { "wait": 1.0, "features": 1.0, "inference": 1.0, "total": 3.0 },
    })
}

#[test]
fn reasons_are_those_that_there_are() {
    let codes: BTreeSet<_> = REASONS.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), REASONS.len());
    let state = json!({
        "schema": 1, "unit": "c1", "state": "withheld", "reasons": [], "quality": "bad", "time": "2026-03-01T12:00:00Z",
        "model": prediction()["model"],
    });
    for reason in REASONS {
        let is_alone = reason.subject() == ReasonSubject::Unit;
        let (right, wrong) = (reason.code().to_owned(), format!("{}:S_1", reason.code()));
        let (right, wrong) = if is_alone { (right, wrong) } else { (wrong, right) };
        let state = |text: &str| {
            let mut state = state.clone();
            state["reasons"] = json!([text]);
            fits("state", &state)
        };
        assert_eq!(state(&right), Ok(()), "{right}");
        state(&wrong).expect_err(&wrong);
        // What makes a quality bad is in no prediction.
        let mut prediction = prediction();
        prediction["reasons"] = json!([right]);
        assert_eq!(
            fits("prediction", &prediction).is_ok(),
            reason.quality() == Quality::Uncertain,
            "{right}"
        );
    }
    // None that the program has and this list has not.
    let source =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain/quality.rs")).unwrap();
    assert_eq!(between(&source, "fn code(", "fn subject(").matches("=> \"").count(), REASONS.len());
}

#[test]
fn targets_have_any_name_and_are_numbers() {
    let good = prediction();
    assert_eq!(fits("prediction", &good), Ok(()));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut document = prediction();
        change(&mut document);
        fits("prediction", &document)
    };
    assert_eq!(changed(&|document| document["UCAOT"] = json!(14.25)), Ok(()));
    changed(&|document| document["UCAOT"] = json!("14.25")).expect_err("a text");
    changed(&|document| document["UCAOT"] = json!(null)).expect_err("nothing");
    changed(&|document| document["a/b"] = json!(1)).expect_err("no name");
    changed(&|document| drop(document.as_object_mut().unwrap().remove("T"))).expect_err("no target");
    changed(&|document| document["quality"] = json!("good")).expect_err("good for a reason");
    changed(&|document| document["quality"] = json!("bad")).expect_err("bad, and published");
    changed(&|document| document["reasons"] = json!([])).expect_err("uncertain for no reason");
    changed(&|document| document["residuals_usable"] = json!(true)).expect_err("only false is written");
    for (what, document) in broken("prediction", &good) {
        fits("prediction", &document).expect_err(&what);
    }
}

#[test]
fn topic_and_payload_are_looked_at_together() {
    let prediction = prediction().to_string();
    let state = json!({
        "schema": 1, "unit": "c1", "state": "predicting", "reasons": [], "quality": "good", "time": "2026-03-01T12:00:00Z",
        "model": { "id": "m", "version": "1", "sha256": "0123456789abcdef" },
    })
    .to_string();
    let alarm = |id: &str, unit: &str| {
        format!(
            r#"{{"schema":1,"id":"{id}","severity":"warning",{unit}"since":"2026-03-01T12:00:00Z","text":"a","remedy":"b"}}"#
        )
    };
    let of_unit = alarm("unit_silent", r#""unit":"c1","#);
    let of_daemon = alarm("reload_failed", "");
    let right = [
        ("hvac/c1/predictions", prediction.as_str(), Some("prediction")),
        ("site/any/thing", &prediction, Some("prediction")),
        ("hvac/c1/state", &state, Some("state")),
        ("hvac/c1/state", "", Some("state")),
        ("hvac/c1/alarms/unit_silent", &of_unit, Some("alarm")),
        ("cooltwin/main/alarms/reload_failed", &of_daemon, Some("alarm")),
        ("hvac/c1/predictions/T", "-20.5", Some("number")),
        ("hvac/c1/predictions/T/flags", "0100", Some("flags")),
        ("cooltwin/main/status", "offline", Some("status")),
        ("cooltwin/main/probe", "93c6fb3610d7de91-12", Some("probe")),
        ("hvac/c1/sensors", "{}", None),
        ("homeassistant/status", "online", None),
        ("of/others", r#"{"schema":1}"#, None),
    ];
    for (topic, payload, kind) in right {
        assert_eq!(check(topic, payload.as_bytes()), Ok(kind), "{topic}");
    }
    let wrong = [
        ("hvac/c2/predictions", prediction.as_str()),
        ("hvac/c1/predictions", &state),
        ("hvac/c1/predictions", ""),
        ("hvac/c2/state", &state),
        ("hvac/c2/alarms/unit_silent", &of_unit),
        ("hvac/c1/alarms/other", &of_unit),
        ("hvac/c1/alarms/reload_failed", &of_daemon),
        ("cooltwin/main/alarms/unit_silent", &of_unit),
        ("hvac/c1/predictions/T", "NaN"),
        ("hvac/c1/predictions/T", "1,5"),
        ("hvac/c1/predictions/T/flags", "0200"),
        ("hvac/c1/predictions/T/flags", "010"),
        ("cooltwin/main/status", "Online"),
        ("cooltwin/main/status", ""),
        ("cooltwin/main/probe", "1-1"),
    ];
    for (topic, payload) in wrong {
        let error = check(topic, payload.as_bytes()).expect_err(topic);
        assert!(error.starts_with(&format!("{topic}: {payload}\nis no ")), "{error}");
    }
    check("cooltwin/main/news", b"{}").expect_err("nothing is published that no schema describes");
    assert_eq!(check("cooltwin/main/cmd/health", b"{}"), Ok(None));
}

/// What fits is read without a complaint of its form; the other way round the reader takes more than it promises.
#[test]
fn what_comes_in_is_read_as_the_schemas_say() {
    let zone = ZoneSpec::utc();
    let mut decoder = Decoder::new(["R", "H"], PayloadKeys::default(), zone);
    let frames = [
        r#"{"R": 21.4, "H": -7, "other": 1e3}"#,
        r#"{"timestamp": "2026-03-01T12:00:00Z", "data": {"R": 21.4}, "source": {"any": ["thing"]}}"#,
        r#"{"timestamp": "2026-03-01T12:00:00.123456789+01:00", "data": {"R": 21.4}}"#,
        r#"{"time": "2026-03-01 12:00:00", "unit": "c1", "R": 21.4}"#,
        r#"{"time": 1772366400, "R": 21.4}"#,
        r#"{"timestamp": null, "R": 1772366400000}"#,
    ];
    for frame in frames {
        assert_eq!(check_input("frame", frame), Ok(()), "{frame}");
        let decoded = decoder.frame(frame.as_bytes()).unwrap_or_else(|reason| panic!("{frame}: {reason}"));
        assert!(decoded.readings.iter().all(|reading| reading.value.is_ok()), "{frame}");
        assert!(!decoded.readings.is_empty(), "{frame}");
    }
    let readings =
        ["21.4", "-3", "1e-3", r#"{"value": 21.4}"#, r#"{"value": 2, "time": 1772366400, "unit": "degC"}"#];
    for reading in readings {
        assert_eq!(check_input("reading", reading), Ok(()), "{reading}");
        let decoded =
            decoder.reading(0, reading.as_bytes()).unwrap_or_else(|reason| panic!("{reading}: {reason}"));
        assert!(decoded.readings[0].value.is_ok(), "{reading}");
    }
    // What is refused here is refused there, each bad value by itself.
    for frame in [
        r#"{"R": "21.4"}"#,
        r#"{"R": null}"#,
        r#"{"R": true}"#,
        r#"{"R": [1]}"#,
        r#"{"timestamp": "noon", "R": 1}"#,
        r#"{"data": {"R": {"value": 1}}}"#,
        r#"{"timestamp": false, "data": {"R": 1}}"#,
        "[1]",
        "21.4",
    ] {
        check_input("frame", frame).expect_err(frame);
        let is_taken = decoder
            .frame(frame.as_bytes())
            .is_ok_and(|decoded| decoded.readings.iter().all(|reading| reading.value.is_ok()));
        assert!(!is_taken, "{frame}");
    }
    for reading in
        ["\"21.4\"", "null", "{}", r#"{"value": "1"}"#, r#"{"value": 1, "time": "noon"}"#, "[1]", "NaN"]
    {
        check_input("reading", reading).expect_err(reading);
        let is_taken =
            decoder.reading(0, reading.as_bytes()).is_ok_and(|decoded| decoded.readings[0].value.is_ok());
        assert!(!is_taken, "{reading}");
    }
}

/// The JSON blocks of a guide, each with the schema that is named last before it.
fn examples(guide: &str) -> Vec<(String, Value)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(guide)).unwrap();
    let mut schema = None;
    let mut found = Vec::new();
    let mut parts = text.split("```");
    while let (Some(prose), block) = (parts.next(), parts.next()) {
        let named = prose.rsplit_once(".schema.json)").and_then(|(before, _)| before.rsplit_once('/'));
        schema = named.map(|(_, name)| name.to_owned()).or(schema);
        let Some(json) = block.and_then(|block| block.strip_prefix("json\n")) else { continue };
        let document = serde_json::from_str(json).unwrap_or_else(|error| panic!("{guide}: {error}: {json}"));
        found
            .push((schema.clone().unwrap_or_else(|| panic!("{guide}: of which schema is {json}")), document));
    }
    found
}

#[test]
fn examples_are_what_their_schemas_say_and_nothing_broken_is() {
    let examples = examples("docs/mqtt.md");
    for (name, document) in &examples {
        assert_eq!(fits(name, document), Ok(()), "{document}");
        if name == "frame" || name == "reading" {
            // Read more widely: see above.
            continue;
        }
        for (what, document) in broken(name, document) {
            assert!(fits(name, &document).is_err(), "{name}{what} is let through: {document}");
        }
    }
    let shown: BTreeSet<&str> = examples.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(shown, OUT.into_iter().chain(IN).collect(), "every document has an example");
}

#[test]
fn the_guide_tells_what_is_retained() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mqtt.md")).unwrap();
    let own = between(&text, "| topic | QoS | retained | what | payload |\n|---|---|---|---|---|\n", "\n\n");
    let mut told = BTreeSet::new();
    for row in own.lines() {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let topic = cells[0].trim_matches('`').replace("{command}", "health");
        let kind = kind_of(&topic).unwrap_or_else(|| panic!("{topic} is of no kind"));
        assert_eq!(cells[2], if RETAINED.contains(&kind) { "yes" } else { "no" }, "{topic}");
        told.insert(kind);
    }
    let own = OUT.into_iter().filter(|kind| !kind.starts_with("seed-") && *kind != "reload-answer");
    assert_eq!(told, own.chain(TEXTS).collect());
}

#[test]
fn the_first_example_that_anybody_sees_is_one() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let prediction: Value = serde_json::from_str(between(&readme, "```json\n", "```")).unwrap();
    assert_eq!(fits("prediction", &prediction), Ok(()));
}
