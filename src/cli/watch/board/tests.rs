//! What the board makes of news.

use serde_json::json;

use super::*;
use crate::domain::ZoneSpec;

/// So many seconds after the beginning.
pub(in crate::cli::watch) fn at(seconds: u64) -> Now {
    let start = Timestamp::parse("2026-03-01T12:00:00Z", &ZoneSpec::utc()).unwrap();
    let by = Duration::from_secs(seconds);
    Now { wall: start.plus(by), monotonic: Monotonic(1_000_000).plus(by) }
}

pub(in crate::cli::watch) fn health(units: [u64; 3]) -> News {
    let [good, uncertain, bad] = units;
    News::Health(json!({
        "instance": "main", "version": "0.1.0", "uptime_s": 3725, "bundle": {"id": "unit-cooler", "version": "1.0.0"},
        "broker": {"url": "mqtt://gateway:1883", "state": "connected", "problem": null, "connects": 1},
        "rates": {"messages_per_s": 2.0, "predictions_per_s": 1.0}, "latency_us": {"p50": 300, "p99": 2500},
        "rss_bytes": 15_500_000, "drops": {"late_reading": 4},
        "units": {"good": good, "uncertain": uncertain, "bad": bad},
    }))
}

pub(in crate::cli::watch) fn declared() -> News {
    let target = |name: &str, unit: &str| Target { name: name.to_owned(), unit: unit.to_owned() };
    let targets = vec![target("UCAOT", "degC"), target("UCWOT", "degC"), target("UCAF", "m3/h")];
    News::Declared(Declared { bundle: "unit-cooler".to_owned(), targets })
}

pub(in crate::cli::watch) fn prediction(unit: &str, time: &str, quality: &str, reasons: &[&str]) -> News {
    let document = json!({
        "schema": 1, "time": time, "unit": unit, "seq": 7, "UCAOT": 14.625, "UCWOT": 17.08, "UCAF": 868.1,
        "quality": quality, "reasons": reasons, "residuals": {"UCAOT": -0.11, "UCAF": 3.0},
    });
    News::Prediction { unit: unit.to_owned(), document, is_kept: false }
}

pub(in crate::cli::watch) fn state(
    unit: &str,
    time: &str,
    state: &str,
    quality: &str,
    reasons: &[&str],
) -> News {
    let document = json!({ "schema": 1, "unit": unit, "state": state, "quality": quality, "reasons": reasons, "time": time });
    News::State { unit: unit.to_owned(), document: Some(document) }
}

pub(in crate::cli::watch) fn alarm(unit: Option<&str>, id: &str, severity: &str) -> News {
    let document = json!({
        "schema": 1, "id": id, "severity": severity, "since": "2026-03-01T11:56:00Z",
        "text": "nothing comes.", "remedy": "Look at its gateway",
    });
    News::Alarm { unit: unit.map(str::to_owned), id: id.to_owned(), document: Some(document) }
}

const CONNECTED: News = News::Connected { refused: Vec::new() };
const T1: &str = "2026-03-01T12:00:01Z";
const T2: &str = "2026-03-01T12:00:02Z";

fn heard(news: &[News]) -> Board {
    let mut board = Board::new("main", "mqtt://gateway:1883", at(0));
    for piece in news {
        board.hear(piece, at(1));
    }
    board
}

fn word_of(board: &Board, unit: &str) -> &'static str {
    board.units[unit].word
}

#[test]
fn a_unit_is_what_its_latest_document_says() {
    let mut board = heard(&[CONNECTED, state("c1", T1, "predicting", "good", &[])]);
    assert!(board.units["c1"].is_unseen());
    let change = board.hear(&prediction("c1", T1, "uncertain", &["held:UCTSP"]), at(5));
    assert_eq!(change, Change::Predicted("c1".to_owned()));
    let unit = &board.units["c1"];
    assert_eq!((unit.word, unit.reasons.as_slice()), ("uncertain", &["held:UCTSP".to_owned()][..]));
    assert_eq!(unit.numbers["UCAOT"], Numbers { predicted: Some(14.625), residual: Some(-0.11) });
    assert_eq!(unit.numbers["UCWOT"].residual, None);
    assert_eq!(unit.numbers.len(), 3, "fields of the document are no targets");
    assert_eq!(unit.predicted.unwrap().age(at(65)), Duration::from_mins(1));
    let withheld = state("c1", T2, "withheld", "bad", &["required_stale:UCWIT"]);
    assert_eq!(board.hear(&withheld, at(6)), Change::Judged("c1".to_owned()));
    assert_eq!(board.hear(&withheld, at(7)), Change::Nothing, "the same once more");
    // Made before that state and sent after it.
    board.hear(&prediction("c1", T1, "good", &[]), at(8));
    assert_eq!(word_of(&board, "c1"), "withheld");
    board.hear(&state("c1", T1, "predicting", "good", &[]), at(9));
    assert_eq!(word_of(&board, "c1"), "good", "states come in their order, whatever their clock says");
    let forgotten = board.hear(&News::State { unit: "c1".to_owned(), document: None }, at(9));
    assert!(matches!(forgotten, Change::Forgotten(unit) if unit.name == "c1"));
    assert!(board.units.is_empty());
}

#[test]
fn what_was_kept_somewhere_shows_its_age() {
    let News::Prediction { unit, document, .. } = prediction("c1", "2026-03-01T11:00:00Z", "good", &[])
    else {
        panic!("a prediction")
    };
    let mut board = heard(&[]);
    board.hear(&News::Prediction { unit, document, is_kept: true }, at(0));
    assert_eq!(board.units["c1"].predicted.unwrap().age(at(1)), Duration::from_secs(3_601));
}

#[test]
fn targets_are_those_of_the_bundle_that_runs() {
    let names = |board: &Board| board.targets.iter().map(|target| target.name.clone()).collect::<Vec<_>>();
    // Nothing is known of units of measurement.
    let mut board = heard(&[CONNECTED, prediction("c1", T1, "good", &[])]);
    assert_eq!(names(&board), ["UCAF", "UCAOT", "UCWOT"]);
    assert!(board.targets.iter().all(|target| target.unit.is_empty()));
    board.hear(&declared(), at(2));
    board.hear(&health([1, 0, 0]), at(2));
    assert_eq!(names(&board), ["UCAOT", "UCWOT", "UCAF"], "in the bundle's order");
    assert_eq!(board.targets[2].unit, "m3/h");
    let other = News::Health(json!({"bundle": {"id": "another"}}));
    board.hear(&other, at(3));
    assert!(board.targets.is_empty(), "what another bundle's numbers are measured in is not known");
}

#[test]
fn what_nobody_repeats_after_a_connection_is_over() {
    let mut board = heard(&[
        CONNECTED,
        prediction("gone", T1, "good", &[]),
        prediction("stays", T1, "good", &[]),
        alarm(Some("gone"), "unit_silent", "critical"),
    ]);
    board.hear(&News::Lost { problem: "closed", reason: "it closed".to_owned() }, at(10));
    assert_eq!((board.units.len(), board.alarms.len()), (2, 1), "the last that is known");
    board.hear(&CONNECTED, at(20));
    board.hear(&state("stays", T1, "predicting", "good", &[]), at(20));
    assert!(board.alarms.is_empty());
    board.hear(&health([1, 0, 0]), at(20));
    assert_eq!(board.units.len(), 2, "it may be about to come");
    board.hear(&health([1, 0, 0]), at(30));
    assert_eq!(board.units.keys().collect::<Vec<_>>(), ["stays"]);
}

#[test]
fn alarms_stand_until_they_are_taken_back() {
    let mut board = heard(&[CONNECTED]);
    let raised = board.hear(&alarm(None, "source_silent", "critical"), at(0));
    let Change::Raised(raised) = raised else { panic!("{raised:?}") };
    assert_eq!((raised.unit.as_deref(), raised.since.unwrap().age(at(60))), (None, Duration::from_mins(5)));
    assert_eq!(board.hear(&alarm(None, "source_silent", "critical"), at(1)), Change::Nothing, "repeated");
    let over = News::Alarm { unit: None, id: "source_silent".to_owned(), document: None };
    assert!(matches!(board.hear(&over, at(2)), Change::Cleared(_)));
    assert_eq!(board.hear(&over, at(2)), Change::Nothing);
}

#[test]
fn an_offline_left_behind_is_not_believed_when_the_daemon_answers() {
    let mut board = heard(&[CONNECTED, News::Status { is_online: false }]);
    assert!(board.is_offline());
    board.hear(&health([1, 0, 0]), at(2));
    assert!(!board.is_offline());
    assert_eq!(board.hear(&News::Status { is_online: false }, at(3)), Change::Status);
    assert!(board.is_offline());
}

#[test]
fn a_snapshot_replaces_what_was_known() {
    let snapshot = json!({
        "units": {"count": 1, "units": [{
            "unit": "c1", "state": "predicting", "quality": "uncertain", "reasons": ["held:UCTSP"], "seq": 4,
            "heard_s": 1.0, "predicted_s": 12.5, "time": T1, "alarms": [{"id": "unit_silent", "severity": "critical"}],
            "targets": [{"name": "UCAF", "unit": "m3/h", "predicted": 868.0, "measured": 871.0, "residual": 3.0}],
        }]},
        "health": {"instance": "roof", "bundle": {"id": "unit-cooler"}, "units": {"good": 0, "uncertain": 1, "bad": 0}},
        "alarms": [{"id": "reload_failed", "severity": "warning"}],
    });
    let mut board = heard(&[CONNECTED, declared(), prediction("old", T1, "good", &[])]);
    assert_eq!(board.hear(&News::Snapshot(snapshot), at(1)), Change::Health);
    assert_eq!((board.instance.as_str(), board.units.len(), board.alarms.len()), ("roof", 1, 2));
    let unit = &board.units["c1"];
    assert_eq!((unit.word, unit.predicted.unwrap().age(at(2)).as_millis()), ("uncertain", 13_500));
    assert_eq!(unit.numbers["UCAF"], Numbers { predicted: Some(868.0), residual: Some(3.0) });
    assert_eq!(board.targets.len(), 3);
    assert!(board.is_complete());
}

#[test]
fn all_is_known_when_as_many_units_as_the_daemon_has_were_predicted() {
    let mut board = heard(&[CONNECTED, health([1, 0, 1])]);
    assert!(!board.is_complete());
    board.hear(&state("c2", T1, "withheld", "bad", &["silent"]), at(2));
    board.hear(&state("c1", T1, "predicting", "good", &[]), at(2));
    assert!(!board.is_complete());
    board.hear(&prediction("c1", T1, "good", &[]), at(2));
    assert!(board.is_complete());
    board.hear(&News::Lost { problem: "closed", reason: String::new() }, at(3));
    assert!(!board.is_complete());
}

#[test]
fn whatever_is_published_memory_has_bounds() {
    let mut board = heard(&[CONNECTED]);
    for number in 0..MAX_UNITS + 10 {
        let unit = format!("unit-{number}");
        board.hear(&state(&unit, T1, "predicting", "good", &[]), at(1));
        board.hear(&alarm(Some(&unit), "unit_silent", "critical"), at(1));
    }
    assert_eq!((board.units.len(), board.alarms.len()), (MAX_UNITS, MAX_ALARMS));
    assert_eq!(board.crowded_out as usize, 10 + MAX_UNITS + 10 - MAX_ALARMS);
    let long = "x".repeat(100_000);
    let fields: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("{n}{long}"), json!(1.0))).collect();
    let mut document = Value::Object(fields);
    document["reasons"] = json!(vec![long.as_str(); 1_000]);
    board.hear(&News::Prediction { unit: "unit-0".to_owned(), document, is_kept: false }, at(1));
    let unit = &board.units["unit-0"];
    assert!(unit.numbers.len() <= MAX_TARGETS && board.targets.len() <= MAX_TARGETS);
    assert_eq!((unit.reasons.len(), unit.reasons[0].chars().count()), (MAX_REASONS, 2 * MAX_NAME));
    for name in ["", "a/b", &long, "a\nb"] {
        assert_eq!(board.hear(&prediction(name, T1, "good", &[]), at(1)), Change::Nothing, "no unit's name");
    }
}

#[test]
fn documents_of_any_shape_do_no_harm() {
    let mut board = heard(&[CONNECTED]);
    for document in [
        json!(null),
        json!([]),
        json!("x"),
        json!(17),
        json!({}),
        json!({"units": 3, "reasons": 7, "time": []}),
    ] {
        let unit = "c1".to_owned();
        board.hear(&News::Health(document.clone()), at(1));
        board.hear(&News::Snapshot(document.clone()), at(1));
        board
            .hear(&News::Prediction { unit: unit.clone(), document: document.clone(), is_kept: true }, at(1));
        board.hear(&News::State { unit: unit.clone(), document: Some(document.clone()) }, at(1));
        board.hear(&News::Alarm { unit: Some(unit), id: "a".to_owned(), document: Some(document) }, at(1));
    }
    assert_eq!(word_of(&board, "c1"), "unknown");
}
