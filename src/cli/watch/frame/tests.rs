//! The board as it is shown, and that nothing shown is obeyed.

use serde_json::json;

use super::super::board::tests::{alarm, at, declared, health, prediction, state};
use super::super::lines::{json_line, json_snapshot, line};
use super::super::news::News;
use super::*;

const TIME: &str = "2026-03-01T12:00:01Z";
const CONNECTED: News = News::Connected { refused: Vec::new() };

fn frame(columns: usize, lines: Option<usize>) -> Frame {
    let old = Duration::from_mins(5);
    let footer = "q ends".to_owned();
    Frame { columns, lines, with_colour: false, pattern: Pattern::default(), old, footer }
}

/// A daemon with as many units, the third of which is withheld and alarmed.
fn board(units: usize) -> Board {
    let mut board = Board::new("main", "mqtt://gateway:1883", at(0));
    for news in [CONNECTED, News::Status { is_online: true }, declared(), health([units as u64 - 1, 0, 1])] {
        board.hear(&news, at(1));
    }
    for number in 1..=units {
        board.hear(&prediction(&format!("cooler-{number:02}"), TIME, "good", &[]), at(2));
    }
    board.hear(&state("cooler-03", TIME, "withheld", "bad", &["required_stale:UCWIT"]), at(3));
    board.hear(&alarm(Some("cooler-03"), "unit_silent", "critical"), at(3));
    board
}

#[test]
fn the_screen_says_everything_without_colour() {
    let screen = frame(100, Some(24)).screen(&board(4), at(5));
    let expected = "\
cooltwin watch  main at mqtt://gateway:1883
link      connected for 4s
daemon    online, up 1h 2m 5s, version 0.1.0, model unit-cooler 1.0.0
broker    mqtt://gateway:1883, connected
rates     2.0 messages/s, 1.0 predictions/s; latency p50 0.3 ms, p99 2.5 ms; 15.5 MB
units     3 good, 0 uncertain, 1 withheld; not used: late_reading 4

unit      quality       age    UCAOT residual    UCWOT residual     UCAF residual  reasons
                                degC              degC              m3/h
cooler-01 good          3s     14.62    -0.11    17.08        -   868.10    +3.00
cooler-02 good          3s     14.62    -0.11    17.08        -   868.10    +3.00
cooler-03 withheld      3s     14.62    -0.11    17.08        -   868.10    +3.00  required_stale:U…
cooler-04 good          3s     14.62    -0.11    17.08        -   868.10    +3.00

alarms: 1
critical unit_silent  cooler-03 for 4m05s: nothing comes. Look at its gateway
q ends
";
    assert_eq!(screen, expected, "is now\n{screen}");
    let mut coloured = frame(100, Some(24));
    coloured.with_colour = true;
    let coloured = coloured.screen(&board(4), at(5));
    assert!(coloured.contains("\x1b[31mwithheld\x1b[0m") && coloured.contains("\x1b[32mgood\x1b[0m"));
}

#[test]
fn it_fits_whatever_the_terminal() {
    for units in [1 + 3, 40, 400] {
        let board = board(units);
        for columns in [1, 7, 20, 40, 80, 200] {
            for lines in [1, 2, 5, 10, 24, 60] {
                let screen = frame(columns, Some(lines)).screen(&board, at(5));
                assert!(screen.lines().count() <= lines, "{units} {columns}x{lines}\n{screen}");
                assert!(
                    screen.lines().all(|line| width(line) <= columns),
                    "{units} {columns}x{lines}\n{screen}"
                );
            }
        }
    }
}

#[test]
fn where_not_all_units_fit_those_that_call_for_a_look_stay() {
    let screen = frame(80, Some(20)).screen(&board(40), at(5));
    assert!(screen.contains("cooler-03 withheld") && screen.contains("cooler-01"), "{screen}");
    let shown = screen.lines().filter(|line| line.starts_with("cooler-")).count();
    assert!(screen.contains(&format!("and {} more, all good", 40 - shown)), "{screen}");
    assert!(!screen.contains("residual"), "numbers before residuals:\n{screen}");
    let mut some = frame(80, None);
    some.pattern = "*-0?".parse().unwrap();
    let screen = some.screen(&board(40), at(5));
    assert_eq!(screen.lines().filter(|line| line.starts_with("cooler-0")).count(), 9, "{screen}");
    assert!(!screen.contains("cooler-10") && !screen.contains("more"));
}

#[test]
fn what_is_old_or_lost_is_visibly_so() {
    let mut board = board(3);
    let screen = frame(80, None).screen(&board, at(302));
    assert!(screen.contains("cooler-01 good       5m00s ") && !screen.contains('!'), "{screen}");
    let screen = frame(80, None).screen(&board, at(303));
    assert!(screen.contains("cooler-01 good       5m01s!"), "{screen}");
    assert!(screen.contains("does not answer for 5m02s"), "{screen}");
    board.hear(&News::Status { is_online: false }, at(310));
    let screen = frame(80, None).screen(&board, at(312));
    assert!(screen.contains("daemon    OFFLINE for 2s"), "{screen}");
    board.hear(&News::Lost { problem: "not_listening", reason: "nothing listens there".to_owned() }, at(320));
    // Another reason does not start the time anew.
    board.hear(&News::Lost { problem: "no_answer", reason: "no answer".to_owned() }, at(325));
    let screen = frame(80, None).screen(&board, at(330));
    assert!(screen.contains("link      NO CONNECTION for 10s, trying again: no answer"), "{screen}");
    assert!(screen.contains("cooler-01"), "the last that is known stays");
}

#[test]
fn troubles_of_the_daemon_are_told() {
    let mut board = board(3);
    let document = json!({"broker": {"state": "connected", "problem": "not_delivering"}, "reload_failure": "a typo", "warnings": ["plain"]});
    board.hear(&News::Health(document), at(2));
    board.hear(&News::Connected { refused: vec!["hvac/+/state".to_owned()] }, at(2));
    let screen = frame(80, None).screen(&board, at(3));
    for part in [
        "broker    unknown, connected, not_delivering",
        "reload    refused: a typo",
        "warning   plain",
        "refused   subscription to hvac/+/state, by the broker's access list",
    ] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
    let mut hidden = Board::new("main", "mqtt://gateway:1883", at(0));
    hidden.hear(&CONNECTED, at(1));
    hidden.hear(&health([3, 0, 1]), at(1));
    assert_eq!((hidden.hidden(at(2)), hidden.is_complete()), (None, false));
    let screen = frame(80, None).screen(&hidden, at(3));
    assert!(
        screen.contains("hidden    the daemon tells of 4 units and nothing of them comes: the"),
        "{screen}"
    );
    let mut hanging = Board::new("main", "mqtt://gateway:1883", at(0));
    hanging.hear(&CONNECTED, at(1));
    hanging.hear(&News::Status { is_online: true }, at(1));
    assert!(frame(80, None).screen(&hanging, at(9)).contains("daemon    online; no answer yet"));
    assert!(frame(80, None).screen(&hanging, at(99)).contains("said to be online and does not answer"));
    let empty = Board::new("main", "mqtt://gateway:1883", at(0));
    let screen = frame(80, None).screen(&empty, at(1));
    assert!(screen.contains("link      connecting") && screen.contains("no units yet"), "{screen}");
}

#[test]
fn lines_stand_alone() {
    let mut board = board(4);
    let mut told = |news: News| {
        let change = board.hear(&news, at(5));
        line(&board, &change, &Pattern::default(), false, at(5)).unwrap_or_default()
    };
    for (news, expected) in [
        (
            prediction("cooler-01", TIME, "uncertain", &["held:UCTSP", "stale:UCWDP"]),
            "cooler-01 uncertain  UCAOT 14.62 degC (residual -0.11)  UCWOT 17.08 degC  UCAF 868.10 m3/h (residual +3.00)  \
             held:UCTSP, stale:UCWDP",
        ),
        (
            health([3, 1, 0]),
            "main up 1h 2m 5s, broker connected; units: 3 good, 1 uncertain, 0 withheld; 1.0 predictions/s; alarms: none; \
             not used: late_reading 4",
        ),
        (state("cooler-01", TIME, "withheld", "bad", &["silent"]), "cooler-01 is withheld: silent"),
        (
            alarm(None, "source_silent", "critical"),
            "main critical alarm source_silent: nothing comes. Look at its gateway",
        ),
        (
            News::Alarm { unit: Some("cooler-03".to_owned()), id: "unit_silent".to_owned(), document: None },
            "cooler-03 alarm unit_silent is over",
        ),
        (News::State { unit: "cooler-03".to_owned(), document: None }, "cooler-03 forgotten"),
        (News::Missed(3), "main 3 events were missed, as they came too fast"),
        (
            News::Status { is_online: false },
            "main OFFLINE: it was stopped, has died, or has lost its connection",
        ),
        (
            News::Lost { problem: "closed", reason: "it closed".to_owned() },
            "main NO CONNECTION to mqtt://gateway:1883, trying again: it closed",
        ),
        (
            News::Connected { refused: vec!["a".to_owned()] },
            "main watched at mqtt://gateway:1883; subscription to a is refused by the broker's access list",
        ),
    ] {
        assert_eq!(told(news), format!("2026-03-01T12:00:05Z {expected}\n"));
    }
    assert_eq!(told(News::Lost { problem: "closed", reason: "it closed".to_owned() }).lines().count(), 1);
    assert_eq!(told(News::Lost { problem: "closed", reason: "it closed".to_owned() }), "", "nothing new");
}

#[test]
fn only_units_that_are_meant_are_told() {
    let mut board = board(4);
    let pattern = "cooler-02".parse().unwrap();
    for (unit, is_told) in [("cooler-01", false), ("cooler-02", true)] {
        let news = prediction(unit, TIME, "good", &[]);
        let change = board.hear(&news, at(5));
        assert_eq!(line(&board, &change, &pattern, false, at(5)).is_some(), is_told);
        assert_eq!(json_line(&news, &pattern, at(5)).is_some(), is_told);
    }
    let snapshot: Value = serde_json::from_str(&json_snapshot(&board, None, &pattern, at(5))).unwrap();
    assert_eq!(snapshot["units"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&snapshot["units"][0]["unit"], &snapshot["units"][0]["age_s"]),
        (&json!("cooler-02"), &json!(0.0))
    );
    assert_eq!(
        snapshot["units"][0]["targets"][0],
        json!({"name": "UCAF", "unit": "m3/h", "predicted": 868.1, "residual": 3.0})
    );
    assert_eq!((&snapshot["alarms"], &snapshot["problem"]), (&json!([]), &Value::Null));
}

/// What a terminal would obey in a text of ours without colours.
fn obeyed(text: &str) -> Option<char> {
    let is_harmful =
        |c: &char| c.is_control() && *c != '\n' || matches!(c, '\u{202E}' | '\u{2028}' | '\u{200B}');
    text.chars().find(is_harmful)
}

#[test]
fn nothing_that_is_published_reaches_the_terminal_as_a_command() {
    const HOSTILE: &str = "\x1b]0;pwned\x07\x1b[2J\u{9b}31m\r\nforged\u{202E}\u{2028}\u{200B}\x08";
    // Names of units cannot have control characters in them, but others.
    const UNIT: &str = "c1\u{202E}\u{2028}\u{200B}";
    let document = json!({
        "schema": 1, "time": HOSTILE, "unit": HOSTILE, HOSTILE: 1.5, "UCAOT": 2.5, "quality": HOSTILE, "state": HOSTILE,
        "reasons": [HOSTILE, HOSTILE], "residuals": {HOSTILE: 1.0}, "severity": HOSTILE, "since": HOSTILE, "text": HOSTILE,
        "remedy": HOSTILE, "instance": HOSTILE, "version": HOSTILE, "bundle": {"id": HOSTILE, "version": HOSTILE},
        "broker": {"url": HOSTILE, "state": HOSTILE, "problem": HOSTILE}, "drops": {HOSTILE: 3}, "warnings": [HOSTILE],
        "reload_failure": HOSTILE, "alarms": {"standing": [HOSTILE]},
    });
    let brief = json!({
        "unit": UNIT, "state": HOSTILE, "quality": HOSTILE, "reasons": [HOSTILE], "alarms": [document.clone()],
        "targets": [{"name": HOSTILE, "unit": HOSTILE, "predicted": 1.0}],
    });
    let target = Target { name: HOSTILE.to_owned(), unit: HOSTILE.to_owned() };
    let unit = || UNIT.to_owned();
    let all = [
        News::Connected { refused: vec![HOSTILE.to_owned()] },
        News::Declared(super::super::news::Declared { bundle: HOSTILE.to_owned(), targets: vec![target] }),
        News::Health(document.clone()),
        News::Prediction { unit: unit(), document: document.clone(), is_kept: false },
        News::State { unit: unit(), document: Some(document.clone()) },
        News::Alarm { unit: Some(unit()), id: HOSTILE.to_owned(), document: Some(document.clone()) },
        News::Alarm { unit: Some(unit()), id: UNIT.to_owned(), document: Some(document.clone()) },
        News::Alarm { unit: None, id: HOSTILE.to_owned(), document: Some(document.clone()) },
        News::Snapshot(json!({"units": {"units": [brief]}, "health": document, "alarms": [document]})),
        News::Prediction { unit: unit(), document: document.clone(), is_kept: false },
        News::Alarm { unit: None, id: HOSTILE.to_owned(), document: None },
        News::Lost { problem: "network", reason: HOSTILE.to_owned() },
    ];
    let mut board = Board::new(HOSTILE, HOSTILE, at(0));
    let everybody = Pattern::default();
    let mut shown = 0;
    for news in &all {
        let change = board.hear(news, at(1));
        let screen = frame(300, None).screen(&board, at(1));
        let line = line(&board, &change, &everybody, false, at(1)).unwrap_or_default();
        let json = json_line(news, &everybody, at(1)).unwrap_or_default();
        let snapshot = json_snapshot(&board, Some(("a", HOSTILE)), &everybody, at(1));
        for text in [&screen, &line, &json, &snapshot] {
            assert_eq!(obeyed(text), None, "{news:?}\n{text:?}");
        }
        assert!(line.lines().count() <= 1 && json.lines().count() <= 1 && snapshot.lines().count() == 1);
        shown += usize::from(!line.is_empty());
    }
    assert!(shown >= 8, "{shown} lines");
    assert_eq!(board.units.len(), 1);
}
