//! What goes over MQTT, held against `docs/schemas`: which form a topic has, and whether a payload has it.
//!
//! Shared by the suite, which runs scenarios, and by the integration tests, which look at what a broker delivers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

/// Documents that go out, by the name of the file that describes them.
pub(crate) const OUT: [&str; 8] =
    ["alarm", "health", "prediction", "reload-answer", "seed-alert", "seed-result", "seed-status", "state"];
/// Documents that come in.
pub(crate) const IN: [&str; 3] = ["command", "frame", "reading"];
/// What goes out as bare text.
pub(crate) const TEXTS: [&str; 4] = ["flags", "number", "probe", "status"];
/// Of what goes out, that which the broker keeps.
pub(crate) const RETAINED: [&str; 4] = ["alarm", "flags", "state", "status"];
/// Of that, what an empty retained message removes.
const REMOVABLE: [&str; 3] = ["alarm", "flags", "state"];
/// Fields that may be left out.
const OPTIONAL: [(&str, &str); 3] =
    [("prediction", "/residuals_usable"), ("state", "/alarms"), ("command", "/reply_to")];
/// Objects whose fields have the names of targets, or of what happened.
const OPEN: [&str; 4] = ["/predictions", "/residuals", "/drops", "/broker/failures"];

/// The schemas, read and checked once.
static COMPILED: LazyLock<(Schemas, BTreeMap<&'static str, SchemaIndex>)> = LazyLock::new(|| {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let mut compile = |name| {
        let file = file(name);
        let index = compiler.compile(&file, &mut schemas);
        (name, index.unwrap_or_else(|error| panic!("{file}: {error:#}")))
    };
    let all = OUT.into_iter().chain(IN).map(&mut compile).collect();
    (schemas, all)
});

/// Where a schema is.
pub(crate) fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("docs/schemas/{name}.schema.json"))
        .display()
        .to_string()
}

/// Whether a document is what its schema says.
///
/// # Errors
/// Where it is not, and why.
pub(crate) fn fits(name: &str, document: &Value) -> Result<(), String> {
    let (schemas, all) = &*COMPILED;
    schemas.validate(document, all[name]).map_err(|error| format!("{error}"))
}

/// What is published on a topic that has the name it has by default.
pub(crate) fn kind_of(topic: &str) -> Option<&'static str> {
    let levels: Vec<&str> = topic.split('/').collect();
    Some(match levels[..] {
        ["hvac", "predictions", "results"] => "seed-result",
        ["hvac", "alerts", _] => "seed-alert",
        ["hvac", "status"] => "seed-status",
        ["hvac", _, "predictions"] => "prediction",
        ["hvac", _, "predictions", _] => "number",
        ["hvac", _, "predictions", _, "flags"] => "flags",
        ["hvac", _, "state"] => "state",
        ["hvac" | "cooltwin", _, "alarms", _] => "alarm",
        ["cooltwin", _, "status"] => "status",
        ["cooltwin", _, "health"] | ["cooltwin", _, "cmd", "health", "response"] => "health",
        ["cooltwin", _, "cmd", "reload", "response"] => "reload-answer",
        ["cooltwin", _, "probe"] => "probe",
        _ => return None,
    })
}

/// What a document on any other topic is: topics are settings, and answers go where they are asked for.
fn kind_by_shape(document: &Value) -> Option<&'static str> {
    let has = |field| document.get(field).is_some();
    if has("schema") {
        let known =
            [("seq", "prediction"), ("uptime_s", "health"), ("severity", "alarm"), ("state", "state")];
        return known.into_iter().find(|(field, _)| has(field)).map(|(_, kind)| kind);
    }
    has("ok").then_some("reload-answer")
}

/// What was published, if it is something of the daemon's, once it is found to have the published form.
///
/// # Errors
/// Topic, payload, and what is wrong with it.
pub(crate) fn check(topic: &str, payload: &[u8]) -> Result<Option<&'static str>, String> {
    let document = serde_json::from_slice::<Value>(payload).ok();
    let by_topic = kind_of(topic);
    let Some(kind) = by_topic.or_else(|| kind_by_shape(document.as_ref()?)) else {
        // Below this level the daemon speaks alone, but for commands.
        let is_own = topic.starts_with("cooltwin/") && topic.split('/').nth(2) != Some("cmd");
        return if is_own { Err(format!("{topic}: no schema is of this topic")) } else { Ok(None) };
    };
    let outcome = if payload.is_empty() && REMOVABLE.contains(&kind) {
        Ok(())
    } else if TEXTS.contains(&kind) {
        is_text(kind, payload)
    } else {
        let document = document.ok_or_else(|| "it is no JSON".to_owned());
        document.and_then(|document| {
            fits(kind, &document)?;
            if by_topic.is_some() { agrees(topic, kind, &document) } else { Ok(()) }
        })
    };
    match outcome {
        Ok(()) => Ok(Some(kind)),
        Err(error) => Err(format!("{topic}: {}\nis no {kind}: {error}", String::from_utf8_lossy(payload))),
    }
}

/// What no schema can say: a document and its topic speak of the same.
fn agrees(topic: &str, kind: &str, document: &Value) -> Result<(), String> {
    let levels: Vec<&str> = topic.split('/').collect();
    let last = levels.last().copied().unwrap_or_default();
    let (field, level) = match (kind, levels[0]) {
        ("prediction" | "state", _) => ("unit", levels[1]),
        ("seed-alert", _) => ("severity", last),
        ("health", _) => ("instance", levels[1]),
        ("alarm", "hvac") if document["unit"] != levels[1] => ("unit", levels[1]),
        ("alarm", "cooltwin") if document.get("unit").is_some() => {
            return Err("its topic is the daemon's".to_owned());
        }
        ("alarm", _) => ("id", last),
        _ => return Ok(()),
    };
    if document[field] == level { Ok(()) } else { Err(format!("its topic says that {field} is {level}")) }
}

fn is_text(kind: &str, payload: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(payload).map_err(|error| error.to_string())?;
    let is_hex = |digits: &str| digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_right = match kind {
        "status" => matches!(text, "online" | "offline"),
        "flags" => text.len() == 4 && text.bytes().all(|flag| matches!(flag, b'0' | b'1')),
        "probe" => {
            text.split_once('-').is_some_and(|(nonce, number)| is_hex(nonce) && number.parse::<u64>().is_ok())
        }
        // A bare number is JSON too, which knows neither NaN nor infinity.
        _ => serde_json::from_str::<f64>(text).is_ok(),
    };
    if is_right { Ok(()) } else { Err("it has another form".to_owned()) }
}

/// Whether a payload of ours is what the schema says for a topic on which the daemon reads.
///
/// # Errors
/// Where it is not, and why.
pub(crate) fn check_input(name: &str, payload: &str) -> Result<(), String> {
    let document = serde_json::from_str(payload).map_err(|error| error.to_string())?;
    fits(name, &document)
}

/// Documents that are broken in one place each, with what was done: another type, a field gone, a field too many. What a
/// schema leaves open on purpose stays as it is.
pub(crate) fn broken(kind: &str, document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    spoil(kind, document, document, "", &mut all);
    all
}

fn spoil(kind: &str, whole: &Value, part: &Value, path: &str, all: &mut Vec<(String, Value)>) {
    let alien = match part {
        Value::Number(_) => json!("1"),
        Value::Bool(_) => json!(7),
        Value::Null => json!(["null"]),
        Value::String(_) | Value::Array(_) | Value::Object(_) => json!(false),
    };
    all.push((format!("{path}: another type"), with(whole, path, |place| *place = alien)));
    match part {
        Value::Object(fields) => {
            for (name, value) in fields {
                let below = format!("{path}/{name}");
                spoil(kind, whole, value, &below, all);
                // Only targets are written in capitals; which there are the bundle says.
                let is_target = name.starts_with(|c: char| c.is_ascii_uppercase());
                if !OPEN.contains(&path) && !is_target && !OPTIONAL.contains(&(kind, &below)) {
                    let gone = with(whole, path, |place| drop(place.as_object_mut().unwrap().remove(name)));
                    all.push((format!("{below}: gone"), gone));
                }
            }
            let more = with(whole, path, |place| place["one too many"] = json!("x"));
            all.push((format!("{path}: one field too many"), more));
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                spoil(kind, whole, item, &format!("{path}/{position}"), all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn with(whole: &Value, path: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut copy = whole.clone();
    change(copy.pointer_mut(path).unwrap());
    copy
}
