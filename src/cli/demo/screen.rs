//! The board as text: a screen that is redrawn, or plain lines.

use std::fmt::Write as _;
use std::time::Duration;

use super::board::{Board, SMOOTHED, TargetBoard, UnitBoard};
use crate::simulator::format::rfc3339;

/// Up to this many units get a block with all numbers; more get one line each.
const FULL_UNITS: usize = 4;
/// Most units on the screen: with the header they fill 24 lines.
const MOST_UNITS: usize = 14;

/// What the screen says besides the board.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) port: u16,
    pub(super) speed: f64,
    pub(super) bundle: String,
    pub(super) with_colour: bool,
}

impl Frame {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.with_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// How to look in from outside.
    pub(super) fn invitation(&self) -> String {
        format!("mosquitto_sub -h 127.0.0.1 -p {} -v -t 'hvac/+/predictions'", self.port)
    }

    /// The whole screen, `at` since the start.
    pub(super) fn screen(&self, board: &Board, at: Duration) -> String {
        let mut text = String::new();
        let title = self.paint("1", "cooltwin demo");
        let _ = writeln!(
            text,
            "{title}   model {}   simulated time {}, {} times real time",
            self.bundle,
            rfc3339(board.time_us),
            self.speed
        );
        let _ = writeln!(text, "{}", rates(board, at));
        let _ = writeln!(text, "look in:  {}", self.invitation());
        let _ = writeln!(text, "{}\n", self.fault_line(board));
        if board.units.len() <= FULL_UNITS {
            for unit in &board.units {
                self.block(board, unit, &mut text);
            }
        } else {
            for unit in board.units.iter().take(MOST_UNITS) {
                let _ = writeln!(text, "{}", self.line(board, unit));
            }
            if let Some(more) = board.units.len().checked_sub(MOST_UNITS + 1) {
                let _ = writeln!(text, "... and {} more", more + 1);
            }
        }
        let _ = write!(
            text,
            "residual = measured - predicted; mean over the last {SMOOTHED}; `!` = far beyond the healthy unit. \
             Ctrl-C ends."
        );
        text
    }

    fn fault_line(&self, board: &Board) -> String {
        let Some(fault) = &board.fault else { return String::new() };
        if board.is_faulty(&fault.unit) {
            let text = format!("fault:    {} at {} - watch its residuals move away", fault.name, fault.unit);
            self.paint("1;31", &text)
        } else {
            let rows = fault.from_row.saturating_sub(board.rows_sent);
            format!(
                "fault:    {} will set in at {} in {rows} rows; all is healthy now",
                fault.name, fault.unit
            )
        }
    }

    fn quality(&self, unit: &UnitBoard) -> String {
        let code = match unit.quality.as_str() {
            "good" => "32",
            "uncertain" => "33",
            _ => "31",
        };
        let mut text = self.paint(code, &unit.quality);
        if let Some(first) = unit.reasons.first() {
            let _ = write!(text, " ({first}{})", if unit.reasons.len() > 1 { ", ..." } else { "" });
        }
        text
    }

    fn block(&self, board: &Board, unit: &UnitBoard, text: &mut String) {
        let name = self.paint("1", &unit.name);
        let _ = writeln!(text, "{name}  {}  {}", inputs(unit), self.quality(unit));
        for (target, numbers) in board.targets.iter().zip(&unit.targets) {
            let label = format!("{} {}", target.name, target.unit);
            let line = format!(
                "  {label:<12} predicted {:>8}  measured {:>8}  truth {:>8}  residual {:>8}  mean {:>8}",
                number(numbers.predicted),
                number(numbers.measured),
                number(numbers.truth),
                signed(numbers.residual()),
                signed(numbers.smoothed()),
            );
            let _ = writeln!(text, "{}", self.marked(&line, numbers));
        }
    }

    fn marked(&self, line: &str, numbers: &TargetBoard) -> String {
        if numbers.is_marked() { self.paint("1;31", &format!("{line} !")) } else { line.to_owned() }
    }

    /// One unit on one line.
    pub(super) fn line(&self, board: &Board, unit: &UnitBoard) -> String {
        let mut text = format!("{} {}", unit.name, self.quality(unit));
        for (target, numbers) in board.targets.iter().zip(&unit.targets) {
            let part = format!(
                "  {} {} {} (residual {})",
                target.name,
                number(numbers.predicted),
                target.unit,
                signed(numbers.residual())
            );
            text.push_str(&self.marked(&part, numbers));
        }
        text
    }

    /// All units as lines that can stand in a log, each with the simulated time.
    pub(super) fn lines(&self, board: &Board, at: Duration) -> String {
        let time = rfc3339(board.time_us);
        let mut text = String::new();
        for unit in &board.units {
            let note = if board.is_faulty(&unit.name) { "  [faulty]" } else { "" };
            let _ = writeln!(text, "{time} {}{note}", self.line(board, unit));
        }
        let _ = writeln!(text, "{time} {}", rates(board, at));
        text
    }
}

fn rates(board: &Board, at: Duration) -> String {
    let mut text = format!("{} predictions, {:.0}/s", board.predictions, board.rate(at));
    let (daemon, round_trip) = board.latencies();
    if let Some(daemon) = daemon {
        let _ = write!(text, "; in the daemon p50 {:.0} us, p95 {:.0} us", daemon.p50, daemon.p95);
    }
    if let Some(trip) = round_trip {
        let _ = write!(
            text,
            "; frame to prediction over MQTT p50 {:.1} ms, p95 {:.1} ms",
            trip.p50 / 1e3,
            trip.p95 / 1e3
        );
    }
    text
}

fn inputs(unit: &UnitBoard) -> String {
    let latest = |channel, digits: usize| {
        unit.latest(channel).map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    format!(
        "room {} C, water {} C, {} m3/h, fan {} rpm",
        latest("UCAIT", 1),
        latest("UCWIT", 1),
        latest("UCWF", 2),
        latest("UCFMS", 0)
    )
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn signed(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.2}"))
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::played;
    use super::*;

    fn frame(with_colour: bool) -> Frame {
        Frame { port: 1884, speed: 120.0, bundle: "unit-cooler 1.0.0".to_owned(), with_colour }
    }

    #[test]
    fn the_screen_says_everything_without_colour() {
        let screen = frame(false).screen(&played(70), Duration::from_secs(17));
        assert!(!screen.contains('\x1b'));
        for part in [
            "model unit-cooler 1.0.0",
            "mosquitto_sub -h 127.0.0.1 -p 1884",
            "fault:    clogged-filter:0.3 at cooler-02",
            "in the daemon p50 20 us",
            "cooler-01  room ",
            "UCAF m3/h",
        ] {
            assert!(screen.contains(part), "{part} in\n{screen}");
        }
        assert_eq!(screen.lines().filter(|line| line.ends_with('!')).count(), 1);
        assert!(screen.lines().count() < 24);
        assert!(frame(true).screen(&played(70), Duration::from_secs(17)).contains("\x1b[1;31m"));
    }

    #[test]
    fn before_the_fault_the_screen_says_that_it_will_come() {
        let screen = frame(false).screen(&played(30), Duration::from_secs(7));
        assert!(screen.contains("clogged-filter:0.3 will set in at cooler-02 in 10 rows"), "{screen}");
    }

    #[test]
    fn plain_lines_stand_alone() {
        let lines = frame(false).lines(&played(70), Duration::from_secs(17));
        assert_eq!(lines.lines().count(), 3);
        assert!(lines.lines().all(|line| line.starts_with("2026-01-05T00:34:30Z ")));
        assert!(lines.contains("cooler-02 good") && lines.contains("[faulty]"));
    }
}
