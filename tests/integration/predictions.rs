//! What comes out is what the models say: the same as without broker and daemon, bit for bit.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{
    Broker, Client, Config, Message, cooltwin, eventually, frame, reference_bundle, stderr, stdout,
    tiny_bundle,
};

/// Rows of the long run: 25 minutes, so that the windows of 15 minutes are full at its end.
const ROWS: u64 = 300;
/// Simulated seconds from row to row.
const STEP_S: u64 = 5;
/// Age below which a frame is certainly fresh for every sensor, in seconds.
const FRESH_S: u64 = 30;

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Predictions by unit and time.
fn by_frame(documents: impl Iterator<Item = Value>) -> BTreeMap<(String, String), Value> {
    documents
        .map(|document| {
            let text = |key: &str| document[key].as_str().unwrap().to_owned();
            ((text("unit"), text("time")), document)
        })
        .collect()
}

fn bits(document: &Value, target: &str) -> u64 {
    document[target].as_f64().unwrap_or_else(|| panic!("no number for {target} in {document}")).to_bits()
}

/// Publishes simulated frames and compares what comes back with `cooltwin predict` on the same file.
#[test]
fn the_daemon_says_what_cooltwin_predict_says() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("readings.jsonl");
    let start = format!(
        "{}",
        humantime::format_rfc3339_seconds(
            UNIX_EPOCH + std::time::Duration::from_secs(now_s() - (ROWS - 1) * STEP_S)
        )
    );
    let simulated = cooltwin(&[
        "simulate",
        "--seed",
        "7",
        "--units",
        "2",
        "--rows",
        &ROWS.to_string(),
        "--step",
        &format!("{STEP_S}s"),
        "--start",
        &start,
        "--format",
        "jsonl",
    ]);
    assert!(simulated.status.success(), "{}", stderr(&simulated));
    fs::write(&input, &simulated.stdout).unwrap();
    let expected = offline(&reference_bundle(), &input);

    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", "hvac/+/predictions/+"]);
    let _daemon = Config::new(&broker.url()).path("bundle.path", &reference_bundle()).start();
    wait_online(&broker);
    let mut newest = BTreeMap::new();
    for line in stdout(&simulated).lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let unit = row["unit"].as_str().unwrap().to_owned();
        client.publish(&format!("hvac/{unit}/sensors"), frame_of(&row));
        newest.insert(unit, row["time"].as_str().unwrap().to_owned());
    }
    let documents =
        || client.messages().into_iter().filter(|message| message.topic.ends_with("/predictions"));
    eventually("the last prediction of each unit", || {
        let received = by_frame(documents().map(|message| message.json()));
        newest.iter().all(|(unit, time)| received.contains_key(&(unit.clone(), time.clone()))).then_some(())
    });

    let received = by_frame(documents().map(|message| message.json()));
    let targets = ["UCAOT", "UCWOT", "UCAF"];
    let mut compared = 0;
    for (frame, document) in &received {
        // An old frame may find some of its sensors stale by now, which the file knows nothing of.
        if document["quality"] != "good" && document["inputs"]["oldest_s"].as_f64().unwrap() > FRESH_S as f64
        {
            continue;
        }
        let offline = &expected[frame];
        for target in targets {
            assert_eq!(bits(document, target), bits(offline, target), "{target} of {frame:?}");
        }
        assert_eq!(document["model"], offline["model"]);
        assert_eq!(document["reasons"], offline["reasons"], "{frame:?}");
        compared += 1;
    }
    assert!(compared >= 2 * (FRESH_S / STEP_S), "only {compared} predictions could be compared");
}

/// `cooltwin predict` on a file.
fn offline(bundle: &Path, input: &Path) -> BTreeMap<(String, String), Value> {
    let output = cooltwin(&["predict", "--bundle", bundle.to_str().unwrap(), input.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    by_frame(stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()))
}

/// The payload of a frame from a line of a file.
fn frame_of(row: &Value) -> String {
    serde_json::json!({ "timestamp": row["time"], "data": row["data"] }).to_string()
}

/// Waits until the daemon is there for the broker's clients.
fn wait_online(broker: &Broker) {
    Client::connect(broker, &["cooltwin/test/status"]).wait_text("cooltwin/test/status", "online");
}

#[test]
fn a_frame_gives_a_document_bare_numbers_and_a_retained_state() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/#"]);
    let _daemon = Config::new(&broker.url()).start();
    wait_online(&broker);
    client.publish("hvac/attic/sensors", frame(20.0));

    let document = client.wait_on("hvac/attic/predictions");
    assert!(!document.retained);
    let json = document.json();
    assert_eq!((&json["unit"], &json["schema"]), (&"attic".into(), &1.into()));
    assert_eq!(json["model"]["id"], "tiny");
    let number = client.wait_on("hvac/attic/predictions/T");
    assert_eq!(number.text().parse::<f64>().unwrap().to_bits(), bits(&json, "T"));

    client.wait_on("hvac/attic/state");
    let late = Client::connect(&broker, &["hvac/#"]);
    let state = late.wait_on("hvac/attic/state");
    assert!(state.retained);
    assert_eq!(state.json()["state"], "predicting");
    assert!(late.on("hvac/attic/predictions").is_empty(), "only states are kept by the broker");
}

#[test]
fn single_readings_settle_into_one_prediction() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions"]);
    let _daemon = Config::new(&broker.url()).text("engine.settle", "2s").start();
    wait_online(&broker);
    for (sensor, value) in [("H", "10"), ("N", "1000"), ("D", "2"), ("R", r#"{"value":20}"#)] {
        client.publish(&format!("hvac/attic/sensors/{sensor}"), value);
    }
    let burst = client.wait_on("hvac/attic/predictions").json();
    assert_eq!(burst["inputs"]["fresh"], 4);
    // A frame that follows is predicted at once: had the burst given more than one, they would stand before it.
    client.publish("hvac/attic/sensors", frame(20.0));
    let all = eventually("the second prediction", || {
        Some(client.on("hvac/attic/predictions")).filter(|all| all.len() >= 2)
    });
    assert_eq!(all.iter().map(|message| message.json()["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(bits(&all[1].json(), "T"), bits(&burst, "T"));
}

#[test]
fn without_confirmation_the_predictions_are_the_same() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", "hvac/+/predictions/+"]);
    let config =
        Config::new(&broker.url()).set("mqtt.subscribe_qos", "0").set("engine.target_topics", "false");
    let _daemon = config.start();
    wait_online(&broker);
    client.publish_unconfirmed("hvac/attic/sensors", frame(20.0));
    let online = client.wait_on("hvac/attic/predictions").json();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("one.jsonl");
    fs::write(&file, format!("{{\"time\":0,\"unit\":\"attic\",\"data\":{}}}\n", frame(20.0))).unwrap();
    let expected = offline(&tiny_bundle(), &file);
    let expected = expected.values().next().unwrap();
    assert_eq!(bits(&online, "T"), bits(expected, "T"));
    client.publish_unconfirmed("hvac/attic/sensors", frame(21.0));
    eventually("the second prediction", || (client.on("hvac/attic/predictions").len() == 2).then_some(()));
    let numbers = client.messages().iter().filter(|message: &&Message| message.topic.ends_with("/T")).count();
    assert_eq!(numbers, 0, "bare numbers are switched off");
}
