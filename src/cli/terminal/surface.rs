//! The screen that is drawn on, and left as it was found whatever happens.

use std::io::{self, Write};
use std::panic;

/// Hide the cursor, cut long lines instead of wrapping them, clear the screen.
const OPEN: &str = "\x1b[?25l\x1b[?7l\x1b[2J";
/// Undo the first two.
const CLOSE: &str = "\x1b[?7h\x1b[?25h";
/// To the second screen that terminals have, with nothing above it.
const TO_OTHER: &str = "\x1b[?1049h";
/// Back to the first, as it was.
const FROM_OTHER: &str = "\x1b[?1049l";

/// What is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Sheet {
    /// The terminal's own screen; what was drawn last stays there.
    #[cfg(feature = "demo")]
    Own,
    /// Its other screen; nothing stays.
    Other,
}

/// A terminal in the state for drawing. Dropped, it is as before.
#[derive(Debug)]
pub(in crate::cli) struct Surface<W: Write> {
    out: W,
    sheet: Sheet,
    is_open: bool,
}

impl<W: Write> Surface<W> {
    /// Prepares the terminal behind `out`.
    pub(in crate::cli) fn open(out: W, sheet: Sheet) -> io::Result<Self> {
        let mut surface = Self { out, sheet, is_open: false };
        surface.reopen()?;
        Ok(surface)
    }

    /// Prepares it anew, after [`Surface::close`].
    pub(in crate::cli) fn reopen(&mut self) -> io::Result<()> {
        self.is_open = true;
        if self.sheet == Sheet::Other {
            self.print(TO_OTHER)?;
        }
        self.print(OPEN)
    }

    /// Draws over what was there. Each line ends what stood there before, so nothing flickers.
    pub(in crate::cli) fn draw(&mut self, screen: &str) -> io::Result<()> {
        let screen = screen.trim_end_matches('\n').replace('\n', "\x1b[K\n");
        self.print(&format!("\x1b[H{screen}\x1b[K\x1b[J"))
    }

    /// Leaves the terminal as it was found.
    pub(in crate::cli) fn close(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        self.print(&farewell(self.sheet))
    }

    fn print(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush())
    }
}

fn farewell(sheet: Sheet) -> String {
    match sheet {
        Sheet::Other => format!("{CLOSE}{FROM_OTHER}"),
        #[cfg(feature = "demo")]
        Sheet::Own => format!("{CLOSE}\n"),
    }
}

impl<W: Write> Drop for Surface<W> {
    fn drop(&mut self) {
        // A terminal that is gone need not be left.
        let _ = self.close();
    }
}

/// Has a panic say why on the screen that stays, instead of on the one that is about to be left.
pub(in crate::cli) fn panic_visibly() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Nothing more can be done if even this cannot be printed.
        let _ = io::stdout().write_all(farewell(Sheet::Other).as_bytes()).and_then(|()| io::stdout().flush());
        tell(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_terminal_is_left_as_it_was_found_once() {
        let mut bytes = Vec::new();
        {
            let mut surface = Surface::open(&mut bytes, Sheet::Other).unwrap();
            surface.draw("one\ntwo\n").unwrap();
            surface.close().unwrap();
        }
        let begin = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
        let end = "\x1b[?7h\x1b[?25h\x1b[?1049l";
        assert_eq!(text(&bytes), format!("{begin}\x1b[Hone\x1b[K\ntwo\x1b[K\x1b[J{end}"));
    }

    #[test]
    fn also_after_a_panic() {
        let bytes = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let drawn = scope.spawn(|| {
                let mut bytes = bytes.lock().unwrap();
                let _surface = Surface::open(&mut *bytes, Sheet::Other).unwrap();
                panic!("on purpose");
            });
            assert!(drawn.join().is_err());
        });
        let bytes = bytes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        assert!(text(&bytes).ends_with(&farewell(Sheet::Other)));
    }
}
