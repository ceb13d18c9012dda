use std::io::Cursor;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::bundle::Bundle;
use crate::folder::read_bundle;

fn tiny() -> Bundle {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bundles/tiny");
    Bundle::load(&read_bundle(&path).unwrap()).unwrap()
}

fn replayed(text: &str) -> (Vec<Value>, Engine) {
    let input = Box::new(Cursor::new(text.as_bytes().to_vec()));
    let mut readings = Readings::new("test", input, ZoneSpec::utc()).unwrap();
    let mut engine = Engine::new(tiny(), replay_settings(), || 0);
    let mut out = Vec::new();
    replay(&mut engine, &mut readings, &mut out).unwrap();
    let lines = String::from_utf8(out).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), engine)
}

fn from_matrix(text: &str) -> anyhow::Result<Vec<Value>> {
    let mut out = Vec::new();
    matrix::convert(tiny(), Box::new(Cursor::new(text.as_bytes().to_vec())), &mut out)?;
    Ok(String::from_utf8(out)?.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn readings_give_the_documents_the_daemon_publishes() {
    let (documents, engine) = replayed(
        "time,unit,R,H,N,D,T\n2026-01-01T00:00:00Z,u,10,1,100,2,10\n2026-01-01T00:00:30Z,u,25,3,100,2,\n",
    );
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0]["T"], 10.25);
    assert_eq!(documents[0]["residuals"]["T"], -0.25);
    assert_eq!(documents[1]["T"], 20.5);
    assert_eq!(documents[1]["quality"], "good");
    assert_eq!(documents[1]["latency_us"]["total"], 0.0);
    assert_eq!(summary(&engine), ["2 lines, 2 predictions, 0 withheld"]);
}

#[test]
fn a_line_without_a_required_sensor_gives_no_document_but_a_reason() {
    let (documents, engine) = replayed("time,unit,H,X\n2026-01-01T00:00:00Z,u,1,5\n");
    assert!(documents.is_empty());
    let lines = summary(&engine);
    assert_eq!(lines, ["1 lines, 0 predictions, 1 withheld", "1 readings not used: unknown_sensor"]);
    let state = br#"{"unit":"u","state":"withheld","reasons":["required_missing:R"],"time":"t"}"#;
    assert_eq!(withheld(state).unwrap(), "u is not predicted from t on: required_missing:R");
    assert_eq!(withheld(br#"{"state":"predicting"}"#), None);
}

#[test]
fn units_in_turn_or_one_after_the_other_give_the_same() {
    let line =
        |unit: &str, second: u32, r: u32| format!("2026-01-01T00:{second:02}:00Z,{unit},{r},1,100,2\n");
    let header = "time,unit,R,H,N,D\n";
    let turns = [line("a", 0, 10), line("b", 0, 25), line("a", 1, 30), line("b", 1, 45)];
    let blocks = [&turns[0], &turns[2], &turns[1], &turns[3]].map(String::as_str);
    let (mut in_turn, _) = replayed(&(header.to_owned() + &turns.concat()));
    let (in_blocks, _) = replayed(&(header.to_owned() + &blocks.concat()));
    in_turn.swap(1, 2);
    assert_eq!(in_turn, in_blocks);
}

#[test]
fn a_matrix_with_names_or_without() {
    let named = "quality,unit,N,D,ratio,R_mean_1m,R,H\ngood,u,100,2,5,10,10,1\ngood,u,100,2,12.5,17.5,25,3\n";
    let documents = from_matrix(named).unwrap();
    assert_eq!(documents[0], serde_json::json!({"schema": 1, "unit": "u", "T": 10.25}));
    assert_eq!(documents[1]["T"], 20.5);
    let raw = from_matrix("10,1,100,2,5,10\n45,3,100,0,,35\n").unwrap();
    assert_eq!((&raw[0]["T"], &raw[1]["T"]), (&serde_json::json!(10.25), &serde_json::json!(30.5)));
}

#[test]
fn a_matrix_that_does_not_fit_is_explained() {
    let message = |text: &str| format!("{:#}", from_matrix(text).unwrap_err());
    assert_eq!(message("1,2,3\n"), "line 1 has 3 numbers and no names; the bundle has 6 features");
    assert!(
        message("R,H,N\n1,2,3\n").contains("no column for 3 of the bundle's features: D, ratio, R_mean_1m")
    );
    let header = "R,H,N,D,ratio,R_mean_1m\n";
    let cell = message(&format!("{header}10,1,100,2,5,10\n10,1,x,2,5,10\n"));
    assert_eq!(cell, "line 3: column 3 (N): `x` is no number");
    assert!(message(&format!("{header}10,1\n")).contains("line 2: ends after 2 cells, before N"));
    assert_eq!(message(""), "the matrix is empty");
}
