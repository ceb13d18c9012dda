//! Lines as they should be: one line each, of bounded length. Topics and error texts come from outside; with a line
//! break or an escape sequence in them they could forge lines of the log or command the terminal that shows it.

use std::fmt::{self, Write};

/// Longest message, in characters: longer than any sentence of ours, shorter than a topic of 64 KiB.
const MAX_CHARS: usize = 4_096;

/// Passes text on with control characters escaped, up to [`MAX_CHARS`].
pub(super) struct Plain<'w, W: ?Sized> {
    out: &'w mut W,
    room: usize,
}

impl<'w, W: Write + ?Sized> Plain<'w, W> {
    pub(super) fn new(out: &'w mut W) -> Self {
        Self { out, room: MAX_CHARS }
    }
}

impl<W: Write + ?Sized> Write for Plain<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.room == 0 {
                break;
            }
            self.room -= 1;
            if character.is_control() {
                write!(self.out, "{}", character.escape_default())?;
            } else {
                self.out.write_char(character)?;
            }
            if self.room == 0 {
                self.out.write_str("...")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let mut written = String::new();
        write!(Plain::new(&mut written), "{text}").unwrap();
        written
    }

    #[test]
    fn a_message_stays_one_line_and_commands_no_terminal() {
        assert_eq!(plain("Lüfter läuft"), "Lüfter läuft");
        assert_eq!(plain("a\n2026-01-01 ERROR forged"), "a\\n2026-01-01 ERROR forged");
        assert_eq!(plain("\u{1b}[2J\u{9b}2J\r\0"), "\\u{1b}[2J\\u{9b}2J\\r\\u{0}");
    }

    #[test]
    fn a_message_has_an_end() {
        let long = plain(&"x".repeat(1_000_000));
        assert_eq!(long.len(), MAX_CHARS + 3);
        assert!(long.ends_with("x..."));
    }
}
