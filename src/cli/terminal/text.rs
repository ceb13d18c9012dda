//! Text from elsewhere made safe, and lines cut to the columns there are.

use std::fmt::Write as _;

/// What stands for a character that is not printed.
const STRANGE: char = '\u{FFFD}';
/// What stands where text was cut.
const CUT: char = '…';

/// Whether a terminal may do something else with it than show it: control characters of both kinds, what changes the
/// direction of writing or has no width, what ends a line.
fn is_strange(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Text from the network as it may be printed: at most so many characters, and none that a terminal obeys.
pub(in crate::cli) fn clean(text: &str, most: usize) -> String {
    let mut left = text.chars();
    let mut clean: String =
        left.by_ref().take(most).map(|c| if is_strange(c) { STRANGE } else { c }).collect();
    if left.next().is_some() {
        clean.pop();
        clean.push(CUT);
    }
    clean
}

/// JSON as it may be printed: what a terminal would obey is written as its code, which reads back the same.
pub(in crate::cli) fn escape(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if is_strange(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Columns that a character takes: two where East Asian and pictures, none where it goes on top of the one before.
fn columns(character: char) -> usize {
    match character {
        '\u{300}'..='\u{36F}'
        | '\u{1AB0}'..='\u{1AFF}'
        | '\u{20D0}'..='\u{20FF}'
        | '\u{FE20}'..='\u{FE2F}' => 0,
        '\u{1100}'..='\u{115F}'
        | '\u{2E80}'..='\u{A4CF}'
        | '\u{AC00}'..='\u{D7A3}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{FE30}'..='\u{FE6F}'
        | '\u{FF00}'..='\u{FF60}'
        | '\u{FFE0}'..='\u{FFE6}'
        | '\u{1F300}'..='\u{1FAFF}'
        | '\u{20000}'..='\u{3FFFD}' => 2,
        _ => 1,
    }
}

/// Columns that a text takes.
pub(in crate::cli) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// How a text is painted, where there are colours. What it says never depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Paint {
    Plain,
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
    /// Red and bold.
    Alarm,
}

impl Paint {
    /// The text between the codes for its colour.
    pub(in crate::cli) fn on(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Alarm => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A line under construction: what no column is left for is cut.
#[derive(Debug)]
pub(in crate::cli) struct Line {
    text: String,
    used: usize,
    room: usize,
    with_colour: bool,
    is_cut: bool,
}

impl Line {
    /// A line of so many columns at most.
    pub(in crate::cli) fn new(room: usize, with_colour: bool) -> Self {
        Self { text: String::new(), used: 0, room, with_colour, is_cut: false }
    }

    /// Adds text, as far as there is room.
    pub(in crate::cli) fn push(&mut self, paint: Paint, text: &str) -> &mut Self {
        if self.is_cut {
            return self;
        }
        let left = self.room - self.used;
        let (mut fitting, mut taken) = (String::new(), width(text));
        if taken > left {
            self.is_cut = true;
            taken = 0;
            for character in text.chars() {
                // One is kept for the mark.
                if taken + columns(character) >= left {
                    break;
                }
                taken += columns(character);
                fitting.push(character);
            }
            if left > 0 {
                fitting.push(CUT);
                taken += 1;
            }
        } else {
            fitting.push_str(text);
        }
        self.used += taken;
        if self.with_colour && !fitting.is_empty() {
            self.text.push_str(&paint.on(&fitting));
        } else {
            self.text.push_str(&fitting);
        }
        self
    }

    /// Adds text at the left or, with `is_right`, the right of a column of that width.
    pub(in crate::cli) fn cell(
        &mut self,
        paint: Paint,
        text: &str,
        column: usize,
        is_right: bool,
    ) -> &mut Self {
        let blanks = " ".repeat(column.saturating_sub(width(text)));
        if is_right {
            self.push(Paint::Plain, &blanks).push(paint, text)
        } else {
            self.push(paint, text).push(Paint::Plain, &blanks)
        }
    }

    /// The line, without blanks at its end.
    pub(in crate::cli) fn end(&self) -> String {
        self.text.trim_end_matches(' ').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        for hostile in [
            "\x1b]0;title\x07",
            "\x1b[2J",
            "\u{9b}31m",
            "\r\nforged",
            "\u{202E}gpj",
            "a\u{200b}b",
            "\u{2028}",
            "\u{E0041}",
            "\x7f",
        ] {
            let clean = clean(hostile, 100);
            assert!(clean.contains(STRANGE) && !clean.chars().any(is_strange), "{clean:?}");
            assert_eq!(clean.chars().count(), hostile.chars().count());
            let json = serde_json::to_string(hostile).unwrap();
            let safe = escape(&json);
            assert!(!safe.chars().any(is_strange), "{safe:?}");
            assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), hostile);
        }
        assert_eq!(clean("Kühlraum 3, 冷蔵庫", 100), "Kühlraum 3, 冷蔵庫");
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        assert_eq!(clean("abcdef", 4), "abc…");
        assert_eq!(clean("abcd", 4), "abcd");
    }

    #[test]
    fn lines_have_the_columns_there_are_and_no_more() {
        let line = |room, colour| {
            let mut line = Line::new(room, colour);
            line.cell(Paint::Red, "ab", 4, false).cell(Paint::Plain, "7", 3, true).push(Paint::Plain, "xyz");
            line.end()
        };
        assert_eq!(line(20, false), "ab    7xyz");
        assert_eq!(line(10, false), "ab    7xyz");
        assert_eq!(line(9, false), "ab    7x…");
        assert_eq!(line(1, false), "…");
        assert_eq!(line(0, false), "");
        assert_eq!(line(8, true), "\x1b[31mab\x1b[0m    7…");
        let mut wide = Line::new(6, false);
        assert_eq!(wide.push(Paint::Plain, "冷蔵庫庫").end(), "冷蔵…");
    }
}
