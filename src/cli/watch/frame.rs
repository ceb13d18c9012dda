//! The board as a screen: what matters first, cut to the columns and lines there are.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::board::{Alarm, Board, Unit, Way};
use super::news::Target;
use super::pattern::Pattern;
use crate::cli::health::Document;
use crate::cli::terminal::{Line, Paint, number, paint_of, signed, width};
use crate::domain::Now;

/// Widest column of names; longer ones are cut.
const NAME_COLUMN: usize = 24;
/// Columns of the word for the quality: the longest is `uncertain`.
const WORD_COLUMN: usize = 9;
/// Columns of an age: `23h59m!`.
const AGE_COLUMN: usize = 7;
/// Narrowest column of a number: `-1234.56`.
const NUMBER_COLUMN: usize = 8;
/// Narrowest column of a residual: `+123.45`.
const RESIDUAL_COLUMN: usize = 8;
/// Fewest columns of reasons beside numbers and residuals; with less, residuals give way.
const REASONS_COLUMN: usize = 16;
/// Share of the lines that alarms may take: one in so many.
const ALARM_SHARE: usize = 3;
/// An answer of the daemon that is this old says that it does not answer any more: it is asked every ten seconds, and its
/// heart beats every thirty.
const UNANSWERED: Duration = Duration::from_secs(45);
/// Begins the lines about the daemon.
const LABEL_COLUMN: usize = 10;

/// How to show the board.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) columns: usize,
    /// `None` where all may be shown.
    pub(super) lines: Option<usize>,
    pub(super) with_colour: bool,
    /// Units shown.
    pub(super) pattern: Pattern,
    /// A prediction this old is marked.
    pub(super) old: Duration,
    /// What to say at the end.
    pub(super) footer: String,
}

/// Ages as people say them, in few columns.
pub(super) fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

impl Frame {
    /// The whole screen.
    pub(super) fn screen(&self, board: &Board, now: Now) -> String {
        let mut top = self.about(board, now);
        let alarms = self.alarms(board, now);
        let units: Vec<&Unit> =
            board.units.values().filter(|unit| self.pattern.matches(&unit.name)).collect();
        let foot = usize::from(!self.footer.is_empty());
        let mut room = self.lines.map(|lines| lines.saturating_sub(top.len() + 2 + foot));
        let alarms = self.fitting_alarms(alarms, room);
        if let Some(room) = &mut room {
            *room = room.saturating_sub(alarms.len());
        }
        top.push(String::new());
        top.extend(self.table(board, &units, room, now));
        if !alarms.is_empty() {
            top.extend(alarms);
        }
        if foot > 0 {
            top.push(self.line(Paint::Dim, &self.footer));
        }
        if let Some(lines) = self.lines {
            top.truncate(lines);
        }
        top.join("\n") + "\n"
    }

    fn line(&self, paint: Paint, text: &str) -> String {
        self.start().push(paint, text).end()
    }

    fn start(&self) -> Line {
        Line::new(self.columns, self.with_colour)
    }

    fn labelled(&self, label: &str, paint: Paint, text: &str) -> String {
        self.start().cell(Paint::Plain, label, LABEL_COLUMN, false).push(paint, text).end()
    }

    /// The lines about the daemon.
    fn about(&self, board: &Board, now: Now) -> Vec<String> {
        let mut title = self.start();
        title
            .push(Paint::Bold, "cooltwin watch")
            .push(Paint::Plain, &format!("  {} at {}", board.instance, board.place));
        let mut lines = vec![title.end(), self.way(board, now), self.daemon(board, now)];
        if let Some((health, _)) = &board.health {
            lines.extend(self.health(&Document(health)));
        }
        if !board.refused.is_empty() {
            let text = format!("subscription to {}, by the broker's access list", board.refused.join(", "));
            lines.push(self.labelled("refused", Paint::Yellow, &text));
        }
        if let Some(why) = board.hidden(now) {
            lines.push(self.labelled("hidden", Paint::Alarm, &why));
        }
        if board.crowded_out > 0 {
            let text =
                format!("{} messages of further units or alarms than are held here", board.crowded_out);
            lines.push(self.labelled("not shown", Paint::Yellow, &text));
        }
        lines
    }

    fn way(&self, board: &Board, now: Now) -> String {
        let since = ago(board.way_since.age(now));
        match &board.way {
            Way::Opening => self.labelled("link", Paint::Plain, "connecting"),
            Way::Open => self.labelled("link", Paint::Green, &format!("connected for {since}")),
            Way::Lost { reason, .. } => self.labelled(
                "link",
                Paint::Alarm,
                &format!("NO CONNECTION for {since}, trying again: {reason}"),
            ),
        }
    }

    fn daemon(&self, board: &Board, now: Now) -> String {
        let known = board.health.as_ref().map(|(health, since)| (Document(health), since.age(now)));
        let about = known.as_ref().map_or_else(String::new, |(health, _)| {
            let up = humantime::format_duration(Duration::from_secs(health.count("/uptime_s")));
            let [id, version] = ["id", "version"].map(|part| health.text(&format!("/bundle/{part}")));
            format!(", up {up}, version {}, model {id} {version}", health.text("/version"))
        });
        let answered = known.map(|(_, age)| age);
        let (paint, text) = match (board.online, answered) {
            (Some((false, since)), _) => (
                Paint::Alarm,
                format!("OFFLINE for {}: what follows is the last that is known", ago(since.age(now))),
            ),
            (_, Some(age)) if age > UNANSWERED => {
                (Paint::Alarm, format!("does not answer for {}; the last that is known{about}", ago(age)))
            }
            (_, Some(_)) => (Paint::Green, format!("online{about}")),
            (Some((true, _)), None) if board.way_since.age(now) > UNANSWERED => {
                (Paint::Alarm, "is said to be online and does not answer".to_owned())
            }
            (Some((true, _)), None) => (Paint::Plain, "online; no answer yet".to_owned()),
            (None, None) => (Paint::Plain, "nothing heard of it yet".to_owned()),
        };
        self.labelled("daemon", paint, &text)
    }

    fn health(&self, health: &Document<'_>) -> Vec<String> {
        let is_well = health.text("/broker/state") == "connected"
            && health.0.pointer("/broker/problem").is_none_or(Value::is_null);
        let broker = if is_well { Paint::Plain } else { Paint::Alarm };
        let [messages, predictions] =
            ["messages", "predictions"].map(|what| health.number(&format!("/rates/{what}_per_s")));
        let [p50, p99] = ["p50", "p99"].map(|p| health.number(&format!("/latency_us/{p}")) / 1e3);
        let memory = health.number("/rss_bytes") / 1e6;
        let [good, uncertain, bad] =
            ["good", "uncertain", "bad"].map(|q| health.count(&format!("/units/{q}")));
        let mut lines = vec![
            self.labelled("broker", broker, &health.broker()),
            self.labelled(
                "rates",
                Paint::Plain,
                &format!(
                    "{messages:.1} messages/s, {predictions:.1} predictions/s; latency p50 {p50:.1} ms, p99 {p99:.1} ms; {memory:.1} MB"
                ),
            ),
            self.labelled(
                "units",
                Paint::Plain,
                &format!("{good} good, {uncertain} uncertain, {bad} withheld; not used: {}", health.drops()),
            ),
        ];
        if health.0.pointer("/reload_failure").is_some_and(Value::is_string) {
            let text = format!("refused: {}", health.text("/reload_failure"));
            lines.push(self.labelled("reload", Paint::Red, &text));
        }
        lines.extend(
            health.list("/warnings").into_iter().map(|text| self.labelled("warning", Paint::Yellow, text)),
        );
        lines
    }

    /// Units, each on a line. Where there is no room for all, those that call for a look stay.
    fn table(&self, board: &Board, units: &[&Unit], room: Option<usize>, now: Now) -> Vec<String> {
        if units.is_empty() {
            let why = if board.units.is_empty() { "no units yet" } else { "no unit has such a name" };
            return vec![self.line(Paint::Dim, why)];
        }
        let columns = Columns::new(self, board, units);
        let mut lines = columns.head(self, board);
        let room = room.map(|room| room.saturating_sub(lines.len() - 1));
        let fitting = match room {
            // One line says how many more there are.
            Some(room) if room < units.len() => room.saturating_sub(1),
            _ => units.len(),
        };
        let alarmed: BTreeSet<&str> =
            board.alarms.values().filter_map(|alarm| alarm.unit.as_deref()).collect();
        let mut chosen: Vec<usize> = (0..units.len()).collect();
        let rank = |place: &usize| units.get(*place).map(|unit| (rank_of(unit, &alarmed), *place));
        chosen.sort_by_key(rank);
        let left_out = chosen.split_off(fitting);
        chosen.sort_unstable();
        let shown = chosen.iter().filter_map(|place| units.get(*place));
        lines.extend(shown.map(|unit| columns.row(self, unit, board, now)));
        if !left_out.is_empty() {
            let are_good = left_out
                .iter()
                .filter_map(|place| units.get(*place))
                .all(|unit| rank_of(unit, &alarmed) == CALM);
            let quality = if are_good { ", all good" } else { "" };
            lines.push(self.line(Paint::Dim, &format!("and {} more{quality}", left_out.len())));
        }
        lines
    }

    fn alarms(&self, board: &Board, now: Now) -> Vec<String> {
        let mut alarms: Vec<&Alarm> = board
            .alarms
            .values()
            .filter(|alarm| alarm.unit.as_deref().is_none_or(|unit| self.pattern.matches(unit)))
            .collect();
        alarms.sort_by_key(|alarm| alarm.severity != "critical");
        let line = |alarm: &&Alarm| {
            let paint = if alarm.severity == "critical" { Paint::Alarm } else { Paint::Yellow };
            let since = alarm.since.map_or_else(String::new, |since| format!(" for {}", ago(since.age(now))));
            let whose = alarm.unit.as_deref().unwrap_or(&board.instance);
            let mut line = self.start();
            line.push(paint, &format!("{} {}", alarm.severity, alarm.id));
            line.push(
                Paint::Plain,
                &format!("  {whose}{since}: {}. {}", alarm.text.trim_end_matches('.'), alarm.remedy),
            );
            line.end()
        };
        alarms.iter().map(line).collect()
    }

    /// As many alarms as there is room for, under a heading.
    fn fitting_alarms(&self, mut alarms: Vec<String>, room: Option<usize>) -> Vec<String> {
        if alarms.is_empty() {
            return Vec::new();
        }
        let all = alarms.len();
        let most = room.map_or(all, |room| (room / ALARM_SHARE).max(1));
        if all > most {
            alarms.truncate(most.saturating_sub(1));
            alarms.push(self.line(Paint::Alarm, &format!("and {} more", all - alarms.len())));
        }
        let mut lines = vec![String::new(), self.line(Paint::Bold, &format!("alarms: {all}"))];
        lines.append(&mut alarms);
        lines
    }
}

/// Rank of a unit that calls for no look.
const CALM: u8 = 2;

fn rank_of(unit: &Unit, alarmed: &BTreeSet<&str>) -> u8 {
    match unit.word {
        _ if alarmed.contains(unit.name.as_str()) => 0,
        "withheld" => 0,
        "good" => CALM,
        _ => 1,
    }
}

/// Widths of the columns.
struct Columns {
    name: usize,
    numbers: Vec<usize>,
    /// `None` where there is no room for residuals.
    residual: Option<usize>,
}

impl Columns {
    fn new(frame: &Frame, board: &Board, units: &[&Unit]) -> Self {
        let name = units.iter().map(|unit| width(&unit.name)).max().unwrap_or(0).clamp(4, NAME_COLUMN);
        let numbers: Vec<usize> = board.targets.iter().map(column_of).collect();
        let taken =
            name + 1 + WORD_COLUMN + 1 + AGE_COLUMN + numbers.iter().map(|column| column + 1).sum::<usize>();
        let with_residuals = taken + numbers.len() * (RESIDUAL_COLUMN + 1) + 2;
        let residual = (with_residuals + REASONS_COLUMN <= frame.columns).then_some(RESIDUAL_COLUMN);
        Self { name, numbers, residual }
    }

    /// Names, and below them what they are measured in.
    fn head(&self, frame: &Frame, board: &Board) -> Vec<String> {
        let (mut names, mut measures) = (frame.start(), frame.start());
        names.cell(Paint::Dim, "unit", self.name + 1, false).cell(
            Paint::Dim,
            "quality",
            WORD_COLUMN + 1,
            false,
        );
        names.cell(Paint::Dim, "age", AGE_COLUMN, true);
        measures.cell(Paint::Dim, "", self.name + 1 + WORD_COLUMN + 1 + AGE_COLUMN, false);
        for (target, column) in board.targets.iter().zip(&self.numbers) {
            names.cell(Paint::Dim, &target.name, column + 1, true);
            measures.cell(Paint::Dim, &target.unit, column + 1, true);
            if let Some(residual) = self.residual {
                names.cell(Paint::Dim, "residual", residual + 1, true);
                measures.cell(Paint::Dim, "", residual + 1, true);
            }
        }
        let names = names.push(Paint::Dim, "  reasons").end();
        if board.targets.iter().all(|target| target.unit.is_empty()) {
            vec![names]
        } else {
            vec![names, measures.end()]
        }
    }

    fn row(&self, frame: &Frame, unit: &Unit, board: &Board, now: Now) -> String {
        let age = unit.predicted.map(|since| since.age(now));
        let is_old = age.is_some_and(|age| age > frame.old);
        let mark = if is_old { "!" } else { " " };
        let age = age.map_or_else(|| "- ".to_owned(), |age| ago(age) + mark);
        // Numbers of another time do not look like those of now.
        let paint = if is_old || unit.word == "withheld" { Paint::Dim } else { Paint::Plain };
        let mut line = frame.start();
        let mut name = Line::new(self.name, false);
        line.cell(Paint::Bold, &name.push(Paint::Plain, &unit.name).end(), self.name + 1, false)
            .cell(paint_of(unit.word), unit.word, WORD_COLUMN + 1, false)
            .cell(if is_old { Paint::Yellow } else { Paint::Plain }, &age, AGE_COLUMN, true);
        for (target, column) in board.targets.iter().zip(&self.numbers) {
            let numbers = unit.numbers.get(&target.name).copied().unwrap_or_default();
            line.cell(paint, &number(numbers.predicted), column + 1, true);
            if let Some(residual) = self.residual {
                line.cell(paint, &signed(numbers.residual), residual + 1, true);
            }
        }
        line.push(Paint::Plain, "  ").push(paint_of(unit.word), &unit.reasons.join(", ")).end()
    }
}

/// As wide as its heading and its numbers.
fn column_of(target: &Target) -> usize {
    width(&target.name).max(width(&target.unit)).max(NUMBER_COLUMN)
}
