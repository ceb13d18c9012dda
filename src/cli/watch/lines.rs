//! What happens as lines that can stand in a log, and everything as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::board::{Alarm, Board, Change, Unit, Way};
use super::news::{News, Target};
use super::pattern::Pattern;
use crate::cli::health::Document;
use crate::cli::terminal::{Line, Paint, escape, number, paint_of, signed};
use crate::domain::Now;

/// A line of news for people; nothing where it is none for them.
pub(super) fn line(
    board: &Board,
    change: &Change,
    pattern: &Pattern,
    with_colour: bool,
    now: Now,
) -> Option<String> {
    let whose = match change {
        Change::Predicted(key) | Change::Judged(key) => board.units.get(key).map(|unit| unit.name.as_str()),
        Change::Forgotten(unit) => Some(unit.name.as_str()),
        Change::Raised(alarm) | Change::Cleared(alarm) => alarm.unit.as_deref(),
        _ => None,
    };
    if whose.is_some_and(|unit| !pattern.matches(unit)) {
        return None;
    }
    let mut line = Line::new(usize::MAX, with_colour);
    line.push(Paint::Dim, &time(now)).push(Paint::Plain, " ");
    line.push(Paint::Bold, whose.unwrap_or(&board.instance)).push(Paint::Plain, " ");
    match change {
        Change::Nothing => return None,
        Change::Way => way(&mut line, board),
        Change::Status if board.is_offline() => {
            line.push(Paint::Alarm, "OFFLINE: it was stopped, has died, or has lost its connection")
        }
        Change::Status => line.push(Paint::Green, "online"),
        Change::Health => {
            let hidden = board.hidden(now).map_or_else(String::new, |why| format!("; {why}"));
            line.push(Paint::Plain, &health(board)).push(Paint::Alarm, &hidden)
        }
        Change::Predicted(key) => predicted(&mut line, board.units.get(key)?, board),
        Change::Judged(key) => judged(&mut line, board.units.get(key)?),
        Change::Forgotten(_) => line.push(Paint::Plain, "forgotten"),
        Change::Raised(alarm) => raised(&mut line, alarm),
        Change::Cleared(alarm) => line.push(Paint::Green, &format!("alarm {} is over", alarm.id)),
        Change::Missed(count) => {
            line.push(Paint::Yellow, &format!("{count} events were missed, as they came too fast"))
        }
    };
    Some(line.end() + "\n")
}

/// To the second.
fn time(now: Now) -> String {
    let text = now.wall.to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

fn way<'l>(line: &'l mut Line, board: &Board) -> &'l mut Line {
    match &board.way {
        Way::Opening => line.push(Paint::Plain, "connecting"),
        Way::Open if board.refused.is_empty() => {
            line.push(Paint::Plain, &format!("watched at {}", board.place))
        }
        Way::Open => {
            let refused = board.refused.join(", ");
            let text = format!(
                "watched at {}; subscription to {refused} is refused by the broker's access list",
                board.place
            );
            line.push(Paint::Yellow, &text)
        }
        Way::Lost { reason, .. } => {
            line.push(Paint::Alarm, &format!("NO CONNECTION to {}, trying again: {reason}", board.place))
        }
    }
}

fn health(board: &Board) -> String {
    let Some((health, _)) = &board.health else { return String::new() };
    let health = Document(health);
    let [good, uncertain, bad] = ["good", "uncertain", "bad"].map(|q| health.count(&format!("/units/{q}")));
    format!(
        "up {}, broker {}; units: {good} good, {uncertain} uncertain, {bad} withheld; {:.1} predictions/s; alarms: {}; not used: {}",
        humantime::format_duration(std::time::Duration::from_secs(health.count("/uptime_s"))),
        health.text("/broker/state"),
        health.number("/rates/predictions_per_s"),
        health.alarms(),
        health.drops(),
    )
}

fn predicted<'l>(line: &'l mut Line, unit: &Unit, board: &Board) -> &'l mut Line {
    line.push(paint_of(unit.word), unit.word);
    for Target { name, unit: measure } in &board.targets {
        let Some(numbers) = unit.numbers.get(name) else { continue };
        let blank = if measure.is_empty() { "" } else { " " };
        let mut text = format!("  {name} {}{blank}{measure}", number(numbers.predicted));
        if numbers.residual.is_some() {
            // Writing to a String cannot fail.
            let _ = write!(text, " (residual {})", signed(numbers.residual));
        }
        line.push(Paint::Plain, &text);
    }
    if !unit.reasons.is_empty() {
        line.push(Paint::Plain, &format!("  {}", unit.reasons.join(", ")));
    }
    line
}

fn judged<'l>(line: &'l mut Line, unit: &Unit) -> &'l mut Line {
    let reasons =
        if unit.reasons.is_empty() { String::new() } else { format!(": {}", unit.reasons.join(", ")) };
    line.push(paint_of(unit.word), &format!("is {}{reasons}", unit.word))
}

fn raised<'l>(line: &'l mut Line, alarm: &Alarm) -> &'l mut Line {
    let text = alarm.text.trim_end_matches('.');
    line.push(Paint::Alarm, &format!("{} alarm {}", alarm.severity, alarm.id))
        .push(Paint::Plain, &format!(": {text}. {}", alarm.remedy))
}

/// A piece of news as a line of JSON; nothing where its unit is not meant.
pub(super) fn json_line(news: &News, pattern: &Pattern, now: Now) -> Option<String> {
    if news.unit().is_some_and(|unit| !pattern.matches(unit)) {
        return None;
    }
    let mut line = json!({ "schema": 1, "time": now.wall.to_string(), "kind": news.kind() });
    let mut set = |field: &str, value: Value| {
        if let Some(fields) = line.as_object_mut() {
            fields.insert(field.to_owned(), value);
        }
    };
    match news {
        News::Declared(_) => return None,
        News::Connected { refused } => set("refused", json!(refused)),
        News::Lost { problem, reason } => {
            set("problem", json!(problem));
            set("reason", json!(reason));
        }
        News::Status { is_online } => set("online", json!(is_online)),
        News::Health(document) | News::Snapshot(document) => set("document", document.clone()),
        News::Prediction { unit, document, .. } => {
            set("unit", json!(unit));
            set("document", document.clone());
        }
        News::State { unit, document } => {
            set("unit", json!(unit));
            set("document", json!(document));
        }
        News::Alarm { unit, id, document } => {
            set("unit", json!(unit));
            set("alarm", json!(id));
            set("document", json!(document));
        }
        News::Missed(count) => set("count", json!(count)),
    }
    Some(escape(&line.to_string()) + "\n")
}

/// All that is known as one JSON document.
pub(super) fn json_snapshot(
    board: &Board,
    problem: Option<(&str, &str)>,
    pattern: &Pattern,
    now: Now,
) -> String {
    let unit = |unit: &Unit| {
        let targets = unit.numbers.iter().map(|(name, numbers)| {
            let declared = board.targets.iter().find(|target| target.name == *name);
            let unit = declared.map(|target| &target.unit).filter(|unit| !unit.is_empty());
            json!({ "name": name, "unit": unit, "predicted": numbers.predicted, "residual": numbers.residual })
        });
        json!({
            "unit": unit.name,
            "quality": unit.word,
            "reasons": unit.reasons,
            "age_s": unit.predicted.map(|since| since.age(now).as_secs_f64()),
            "targets": targets.collect::<Vec<_>>(),
        })
    };
    let alarm = |alarm: &Alarm| {
        json!({
            "unit": alarm.unit,
            "id": alarm.id,
            "severity": alarm.severity,
            "age_s": alarm.since.map(|since| since.age(now).as_secs_f64()),
            "text": alarm.text,
            "remedy": alarm.remedy,
        })
    };
    let units = board.units.values().filter(|unit| pattern.matches(&unit.name));
    let is_meant = |alarm: &&Alarm| alarm.unit.as_deref().is_none_or(|unit| pattern.matches(unit));
    let snapshot = json!({
        "schema": 1,
        "time": now.wall.to_string(),
        "instance": board.instance,
        "problem": problem.map(|(word, _)| word),
        "reason": problem.map(|(_, reason)| reason),
        "online": board.online.map(|(is_online, _)| is_online),
        "refused": board.refused,
        "health": board.health.as_ref().map(|(health, _)| health),
        "units": units.map(unit).collect::<Vec<_>>(),
        "alarms": board.alarms.values().filter(is_meant).map(alarm).collect::<Vec<_>>(),
    });
    escape(&snapshot.to_string()) + "\n"
}
