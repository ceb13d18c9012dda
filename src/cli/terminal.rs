//! The terminal of the live views: text that is safe to print, lines that fit, a screen that is redrawn in place and left as
//! it was found, keys.

mod keys;
mod surface;
mod text;

use std::io::IsTerminal;

pub(super) use keys::Keys;
pub(super) use surface::{Sheet, Surface, panic_visibly};
pub(super) use text::{Line, Paint, clean, escape, width};

/// Columns and lines of a terminal that does not tell.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// Whether standard output is a terminal that can be drawn on.
pub(super) fn is_drawable() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// Whether to use colours there: <https://no-color.org>.
pub(super) fn is_coloured() -> bool {
    is_drawable() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns and lines of standard output as they are now.
pub(super) fn size() -> (usize, usize) {
    let told = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    told.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)))
        .filter(|(columns, lines)| *columns > 0 && *lines > 0)
        .unwrap_or(USUAL_SIZE)
}

/// What a quality is painted in.
pub(super) fn paint_of(quality: &str) -> Paint {
    match quality {
        "good" => Paint::Green,
        "uncertain" => Paint::Yellow,
        "waiting" | "unknown" => Paint::Plain,
        _ => Paint::Red,
    }
}

/// A number that may not be known.
pub(super) fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

/// The same with its sign.
pub(super) fn signed(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.2}"))
}
