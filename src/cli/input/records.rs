//! CSV records of bounded length.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use super::MAX_LINE_BYTES;

/// Reads records one by one; none may be longer than [`MAX_LINE_BYTES`].
pub(in crate::cli) struct Records {
    reader: csv::Reader<Limited>,
    since_record: Rc<Cell<usize>>,
}

impl Records {
    pub(in crate::cli) fn new(input: Box<dyn BufRead>) -> Self {
        let since_record = Rc::new(Cell::new(0));
        let limited = Limited { input, since_record: Rc::clone(&since_record) };
        let mut builder = csv::ReaderBuilder::new();
        Self { reader: builder.has_headers(false).flexible(true).from_reader(limited), since_record }
    }

    /// Reads the next record, the header included; `false` at the end.
    pub(in crate::cli) fn read(&mut self, record: &mut csv::StringRecord) -> Result<bool, csv::Error> {
        let more = self.reader.read_record(record);
        self.since_record.set(0);
        more
    }
}

/// Stops when one record grows beyond [`MAX_LINE_BYTES`], as an unclosed quote would make it.
struct Limited {
    input: Box<dyn BufRead>,
    since_record: Rc<Cell<usize>>,
}

impl Read for Limited {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.since_record.get() > MAX_LINE_BYTES {
            return Err(io::Error::other(format!(
                "longer than {MAX_LINE_BYTES} bytes: a quote is not closed, or this is not CSV"
            )));
        }
        let count = self.input.read(out)?;
        self.since_record.set(self.since_record.get() + count);
        Ok(count)
    }
}
