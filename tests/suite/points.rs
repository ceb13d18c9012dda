//! Lists of points as `cooltwin points` writes them; that others read them, `tests/python/points.py` shows.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::bundles;
use super::command_line::{fails, run, stdout};

fn listed(format: &str, arguments: &[&str]) -> String {
    stdout(&run(&[&["points", "--format", format][..], arguments].concat(), ""))
}

/// The inputs of a unit in a list as JSON, by sensor.
fn input<'l>(list: &'l Value, unit: &str, sensor: &str) -> &'l Value {
    let points = list["points"].as_array().unwrap();
    let found = points
        .iter()
        .find(|point| point["unit"] == unit && point["point"] == sensor && point["kind"] == "input");
    found.unwrap_or_else(|| panic!("{unit} has no input {sensor}"))
}

fn inputs(arguments: &[&str]) -> Value {
    serde_json::from_str(&listed("json", &[&["--inputs"][..], arguments].concat())).unwrap()
}

/// The small bundle in a folder, with some of its manifest written otherwise.
fn bundle_with(from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in bundles::files("tests/bundles/tiny").0 {
        let bytes = match name.as_str() {
            "bundle.toml" => String::from_utf8(bytes).unwrap().replace(from, to).into_bytes(),
            _ => bytes,
        };
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn point_lists_are_those_recorded() {
    let flags = ["--set", "engine.target_flags=true", "--unit", "cooler-01"];
    for (format, file) in [
        ("csv", "points.csv"),
        ("json", "points.json"),
        ("haystack", "points.hayson"),
        ("brick", "points.ttl"),
    ] {
        let text = listed(format, &flags).replace("\r\n", "\n");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(file);
        if std::env::var_os("COOLTWIN_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(text == before, "{file}: read the difference, then COOLTWIN_BLESS=1\n{text}");
    }
    fails(&["points"], "", 64, "--units");
    fails(&["points", "--unit", "a/b"], "", 64, "--unit a/b: a unit name must not contain");
    fails(&["points", "--unit", "a", "--first", "4194300"], "", 64, "above 4194302");
}

#[test]
fn inputs_are_the_sensors_and_what_measures_targets() {
    let list = inputs(&["--unit", "c1"]);
    let of = |name: &str| {
        let point = input(&list, "c1", name);
        (point["topic"].clone(), point["measured_in"].clone())
    };
    assert_eq!(of("UCAIT"), (json!("hvac/c1/sensors/UCAIT"), json!("degC")));
    // No sensor of the bundle, but read: residuals come of it.
    assert_eq!(of("UCAF"), (json!("hvac/c1/sensors/UCAF"), json!("m3/h")));
    assert_eq!(input(&list, "c1", "UCAF")["description"], "air flow, measured");
    let sources = json!([
        { "rule": "topics.frame", "topic": "hvac/c1/sensors" },
        { "rule": "topics.reading", "topic": "hvac/c1/sensors/UCAIT" },
    ]);
    assert_eq!(input(&list, "c1", "UCAIT")["sources"], sources);
    // A topic is one that exists: where a part of it is anybody's, there is none to name.
    let open = inputs(&["--unit", "c1", "--set", "topics.reading=site/{unit}/+/{sensor}"]);
    let point = input(&open, "c1", "UCAIT");
    assert_eq!((point.get("topic"), &point["sources"][1]["topic"]), (None, &json!("site/c1/+/UCAIT")));
}

#[test]
fn inputs_are_listed_where_source_rules_read_them() {
    let example = |file: &str, unit: &str| {
        inputs(&["--config", &format!("config/examples/{file}.toml"), "--unit", unit])
    };
    // One level is anybody's; the names are the site's, and so is the unit of measurement.
    let number = example("number", "cooler-7");
    let point = input(&number, "cooler-7", "UCAIT");
    let first = json!({ "rule": "ahu", "topic": "site/+/ahu/AHU 07/rm_temp/state" });
    assert_eq!((point.get("topic"), &point["sources"][0]), (None, &first));
    let zigbee = example("zigbee2mqtt", "cooler-1");
    let plug = input(&zigbee, "cooler-1", "UCOM");
    assert_eq!(
        (&plug["topic"], &plug["pointer"]),
        (&json!("zigbee2mqtt/0x00158d0001a2b3c4"), &json!("/state"))
    );
    let inlet = input(&zigbee, "cooler-1", "UCAIT");
    assert_eq!(
        (&inlet["topic"], &inlet["pointer"]),
        (&json!("zigbee2mqtt/cooler-1/inlet"), &json!("/temperature"))
    );
    // The plug might tell it by our own name, or it comes in by the topics of the settings: nobody knows.
    let unsaid = input(&zigbee, "cooler-1", "UCWDP");
    assert_eq!(unsaid.get("topic"), None);
    assert_eq!(unsaid["sources"].as_array().unwrap().len(), 3);
    let seed = example("seed", "cooler-1");
    let point = input(&seed, "cooler-1", "UCAIT");
    assert_eq!((&point["topic"], &point["pointer"]), (&json!("hvac/sensors/data"), &json!("/data/UCAIT")));
    assert_eq!(input(&example("seed", "c2"), "c2", "UCAIT")["topic"], "hvac/c2/sensors/UCAIT");
    let csv = listed("csv", &["--inputs", "--config", "config/examples/seed.toml", "--unit", "c2"]);
    assert!(csv.contains("topics.frame: hvac/c2/sensors; topics.reading: hvac/c2/sensors/UCAIT"), "{csv}");
}

#[test]
fn tags_of_a_bundle_are_markers_and_never_stand_in_the_place_of_a_value() {
    let path = "bundle.path=tests/bundles/tiny";
    let grid =
        listed("haystack", &["--inputs", "--unit", "c1", "--set", path, "--set", "engine.target_flags=true"]);
    let grid: Value = serde_json::from_str(&grid).unwrap();
    let rows = grid["rows"].as_array().unwrap();
    let marker = json!({ "_kind": "marker" });
    for (name, tags) in
        [("c1 R", ["inlet", "air", "temp"]), ("c1 prediction_T", ["discharge", "water", "temp"])]
    {
        let row = rows.iter().find(|row| row["dis"] == name).unwrap();
        assert!(tags.iter().all(|tag| row[tag] == marker), "{row}");
        assert_eq!((&row["kind"], &row["unit"]), (&json!("Number"), &json!("°C")));
    }
    // Whatever has a value in any row is no marker of a bundle's.
    let is_value = |(key, value): (&String, &Value)| (*value != marker).then(|| key.clone());
    let values: BTreeSet<String> =
        rows.iter().flat_map(|row| row.as_object().unwrap().iter().filter_map(is_value)).collect();
    assert!(values.len() > 10, "{values:?}");
    for key in values.iter().map(String::as_str).chain(["equip", "siteRef", "Temp", "mqttPassword"]) {
        let written = bundle_with("haystack = \"inlet air temp\"", &format!("haystack = \"air {key}\""));
        let path = format!("bundle.path={}", written.path().display());
        fails(&["check", "--set", &path], "", 78, "sensors[0] `R`: haystack");
    }
}

#[test]
fn no_text_of_a_bundle_is_a_formula_in_a_spreadsheet() {
    for text in ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)"] {
        let written = bundle_with("description = \"required\"", &format!("description = \"{text}\""));
        let path = format!("bundle.path={}", written.path().display());
        let csv = listed("csv", &["--inputs", "--unit", "c1", "--set", &path]);
        assert!(csv.contains(&format!("c1,R,input,'{text},hvac/")), "{csv}");
        let json: Value =
            serde_json::from_str(&listed("json", &["--inputs", "--unit", "c1", "--set", &path])).unwrap();
        assert_eq!(input(&json, "c1", "R")["description"], text);
    }
}
