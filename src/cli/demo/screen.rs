//! The board as text: a screen that is redrawn, or plain lines.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use super::board::{Board, SMOOTHED, TargetBoard, UnitBoard};
use crate::cli::terminal::{Paint, number, paint_of, signed};
use crate::simulator::format::rfc3339;

/// Up to this many units get a block with all numbers; more get one line each. With the lines around them
/// the blocks fit 24 lines.
const FULL_UNITS: usize = 3;
/// Most units on the screen, for the same reason.
const MOST_UNITS: usize = 14;
/// Columns that every terminal has.
const WIDTH: usize = 80;

/// What the screen says besides the board.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) port: u16,
    /// Where the live page is served, if it is.
    pub(super) page: Option<SocketAddr>,
    pub(super) speed: f64,
    pub(super) bundle: String,
    pub(super) with_colour: bool,
}

impl Frame {
    fn paint(&self, paint: Paint, text: &str) -> String {
        if self.with_colour { paint.on(text) } else { text.to_owned() }
    }

    /// How to look in from outside.
    fn invitation(&self) -> String {
        format!("mosquitto_sub -h 127.0.0.1 -p {} -v -t 'hvac/+/predictions'", self.port)
    }

    /// Ways to look in, with the page of the live view first.
    pub(super) fn invitations(&self) -> String {
        let page = self.page.map_or_else(String::new, |page| format!("live page: http://{page}\n"));
        format!("{page}look in: {}", self.invitation())
    }

    /// The whole screen, `at` since the start.
    pub(super) fn screen(&self, board: &Board, at: Duration) -> String {
        let mut text = String::new();
        let title = self.paint(Paint::Bold, "cooltwin demo");
        let _ = writeln!(text, "{title}   {}, model {}", rate(board, at), self.bundle);
        let time = rfc3339(board.time_us);
        let _ = writeln!(text, "time:     {time}, simulated, {} times real time", self.speed);
        let _ = writeln!(text, "latency:  {}", latency(board));
        if let Some(page) = self.page {
            let _ = writeln!(text, "page:     {}", self.paint(Paint::Bold, &format!("http://{page}")));
        }
        let _ = writeln!(text, "look in:  {}", self.invitation());
        let _ = writeln!(text, "{}\n", self.fault_line(board));
        if board.units.len() <= FULL_UNITS {
            self.blocks(board, &mut text);
        } else {
            self.table(board, &mut text);
        }
        text.push_str("residual: measured - predicted   !: far beyond the healthy unit   Ctrl-C ends");
        text
    }

    fn fault_line(&self, board: &Board) -> String {
        let Some(fault) = &board.fault else { return String::new() };
        if board.is_faulty(&fault.unit) {
            let text = format!("fault:    {} at {}: watch its residuals", fault.name, fault.unit);
            self.paint(Paint::Alarm, &text)
        } else {
            let rows = fault.from_row.saturating_sub(board.rows_sent);
            format!("fault:    none yet; {} sets in at {} in {rows} rows", fault.name, fault.unit)
        }
    }

    /// Quality and the first reason, in at most `room` characters.
    fn quality(&self, unit: &UnitBoard, room: usize) -> String {
        let mut text = unit.quality.clone();
        if let Some(first) = unit.reasons.first() {
            let _ = write!(text, ", {first}");
        }
        self.paint(paint_of(&unit.quality), &text.chars().take(room).collect::<String>())
    }

    /// A few lines for each unit.
    fn blocks(&self, board: &Board, text: &mut String) {
        let _ = writeln!(
            text,
            "{:<20}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "",
            "predicted",
            "measured",
            "truth",
            "residual",
            format!("mean {SMOOTHED}")
        );
        for unit in &board.units {
            let inputs = inputs(unit);
            let room = WIDTH.saturating_sub(unit.name.chars().count() + inputs.chars().count() + 4);
            let (name, quality) = (self.paint(Paint::Bold, &unit.name), self.quality(unit, room));
            let _ = writeln!(text, "{name}  {inputs}  {quality}");
            for (target, numbers) in board.targets.iter().zip(&unit.targets) {
                let line = format!(
                    "{:<20}{:>10}{:>10}{:>10}{:>10}{:>10}",
                    format!("  {} {}", target.name, target.unit),
                    number(numbers.predicted),
                    number(numbers.measured),
                    number(numbers.truth),
                    signed(numbers.residual()),
                    signed(numbers.smoothed()),
                );
                let _ = writeln!(text, "{}", self.marked(&line, numbers));
            }
        }
    }

    /// One line for each unit.
    fn table(&self, board: &Board, text: &mut String) {
        let _ = write!(text, "{:<23}", "");
        for target in &board.targets {
            let _ = write!(text, "{:>9}{:>10}", target.name, "residual");
        }
        text.push('\n');
        for unit in board.units.iter().take(MOST_UNITS) {
            let quality = self.paint(paint_of(&unit.quality), &format!("{:<11}", unit.quality));
            let _ = write!(text, "{:<12}{quality}", unit.name);
            for numbers in &unit.targets {
                let part = format!("{:>9}{:>9}", number(numbers.predicted), signed(numbers.residual()));
                let mark =
                    if numbers.is_marked() { self.paint(Paint::Alarm, &(part + "!")) } else { part + " " };
                text.push_str(&mark);
            }
            text.push('\n');
        }
        if board.units.len() > MOST_UNITS {
            let _ = writeln!(text, "and {} more", board.units.len() - MOST_UNITS);
        }
    }

    fn marked(&self, line: &str, numbers: &TargetBoard) -> String {
        if numbers.is_marked() { self.paint(Paint::Alarm, &format!("{line} !")) } else { line.to_owned() }
    }

    /// All units as lines that can stand in a log, each with the simulated time.
    pub(super) fn lines(&self, board: &Board, at: Duration) -> String {
        let time = rfc3339(board.time_us);
        let mut text = String::new();
        for unit in &board.units {
            let _ = write!(text, "{time} {} {}", unit.name, self.quality(unit, WIDTH));
            for (target, numbers) in board.targets.iter().zip(&unit.targets) {
                let (predicted, residual) = (number(numbers.predicted), signed(numbers.residual()));
                let part = format!("  {} {predicted} {} (residual {residual})", target.name, target.unit);
                text.push_str(&self.marked(&part, numbers));
            }
            text.push_str(if board.is_faulty(&unit.name) { "  [faulty]\n" } else { "\n" });
        }
        let _ = writeln!(text, "{time} {}; {}", rate(board, at), latency(board));
        text
    }
}

fn rate(board: &Board, at: Duration) -> String {
    format!("{} predictions, {:.0}/s", board.predictions, board.rate(at))
}

fn latency(board: &Board) -> String {
    let (Some(daemon), Some(trip)) = board.latencies() else { return "not known yet".to_owned() };
    format!(
        "p50 {:.0} us, p95 {:.0} us in the daemon; {:.1} ms, {:.1} ms over MQTT",
        daemon.p50,
        daemon.p95,
        trip.p50 / 1e3,
        trip.p95 / 1e3
    )
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

#[cfg(test)]
mod tests {
    use super::super::board::tests::{played, played_with};
    use super::*;

    fn frame(with_colour: bool) -> Frame {
        Frame {
            port: 1884,
            page: Some(([127, 0, 0, 1], 8000).into()),
            speed: 120.0,
            bundle: "unit-cooler 1.0.0".to_owned(),
            with_colour,
        }
    }

    #[test]
    fn the_screen_says_everything_without_colour() {
        let screen = frame(false).screen(&played(70), Duration::from_secs(17));
        assert!(!screen.contains('\x1b'));
        for part in [
            "model unit-cooler 1.0.0",
            "page:     http://127.0.0.1:8000",
            "mosquitto_sub -h 127.0.0.1 -p 1884",
            "fault:    clogged-filter:0.3 at cooler-02",
            "p50 20 us, p95 20 us in the daemon; 1.0 ms, 1.0 ms over MQTT",
            "cooler-01  room ",
            "UCAF m3/h",
        ] {
            assert!(screen.contains(part), "{part} in\n{screen}");
        }
        assert_eq!(screen.lines().filter(|line| line.ends_with('!')).count(), 1);
        assert!(screen.lines().count() <= 24);
        assert!(screen.lines().all(|line| line.chars().count() <= WIDTH), "{screen}");
        assert!(frame(true).screen(&played(70), Duration::from_secs(17)).contains("\x1b[1;31m"));
    }

    #[test]
    fn before_the_fault_the_screen_says_that_it_will_come() {
        let screen = frame(false).screen(&played(30), Duration::from_secs(7));
        assert!(screen.contains("none yet; clogged-filter:0.3 sets in at cooler-02 in 10 rows"), "{screen}");
    }

    #[test]
    fn many_units_get_a_line_each_and_fit() {
        let board = played_with(50, 20);
        let screen = frame(false).screen(&board, Duration::from_secs(17));
        assert!(screen.contains("and 6 more"), "{screen}");
        assert!(screen.lines().count() <= 24, "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= WIDTH), "{screen}");
        assert_eq!(screen.lines().filter(|line| line.contains('!')).count(), 2, "{screen}");
    }

    #[test]
    fn plain_lines_stand_alone() {
        let lines = frame(false).lines(&played(70), Duration::from_secs(17));
        assert_eq!(lines.lines().count(), 3);
        assert!(lines.lines().all(|line| line.starts_with("2026-01-05T00:34:30Z ")));
        assert!(lines.contains("cooler-02 good") && lines.contains("[faulty]"));
    }
}
