//! Files of readings: CSV or JSON lines, from a file or standard input, read as a stream.
//!
//! CSV: a header `time,unit,SENSOR,...`, one line an instant of one unit; an empty cell was not
//! reported. JSON lines: `{"time":...,"unit":...,"data":{"SENSOR":1.5,...}}`, or the sensors beside time
//! and unit. Which of the two it is shows in the first character.

mod csv_lines;
mod json_lines;
pub(super) mod records;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};

use crate::domain::{Timestamp, UnitId, ZoneSpec};

use csv_lines::CsvLines;
use json_lines::JsonLines;

/// Longest line, in bytes: a frame of a thousand sensors fits; a file that is no text at all does not
/// fill the memory.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Most sensors in one file: far above any unit cooler, low enough that made-up names cannot fill the
/// memory.
pub const MAX_SENSORS: usize = 4096;
/// The unit of a file that names none.
pub const DEFAULT_UNIT: &str = "unit";

/// What one line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The line, counted from 1.
    pub line: u64,
    /// When it was measured.
    pub time: Timestamp,
    /// Which unit it speaks of.
    pub unit: String,
    /// Places in [`Readings::names`] with their values, as they stand in the file: not yet checked
    /// against any range, possibly not finite.
    pub values: Vec<(usize, f64)>,
}

impl Default for Row {
    fn default() -> Self {
        Self { line: 0, time: Timestamp::default(), unit: DEFAULT_UNIT.to_owned(), values: Vec::new() }
    }
}

enum Format {
    Csv(CsvLines),
    Json(JsonLines),
}

/// A file of readings, read line by line.
pub struct Readings {
    source: String,
    zone: ZoneSpec,
    format: Format,
}

impl Readings {
    /// Opens a file, or standard input for `-`. Times without an offset are read in `zone`.
    ///
    /// # Errors
    /// The file cannot be read, or its header makes no sense.
    pub fn open(path: &Path, zone: ZoneSpec) -> anyhow::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::new("standard input", Box::new(BufReader::new(io::stdin())), zone);
        }
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("opening {name}"))?;
        Self::new(&name, Box::new(BufReader::new(file)), zone)
    }

    /// Reads from anywhere; `source` names it in messages.
    ///
    /// # Errors
    /// It cannot be read, or its header makes no sense.
    pub fn new(source: &str, mut input: Box<dyn BufRead>, zone: ZoneSpec) -> anyhow::Result<Self> {
        let first = first_byte(&mut input).with_context(|| format!("reading {source}"))?;
        let format = match first {
            None => bail!(
                "{source} is empty: expected a header line `time,unit,SENSOR,...` or JSON lines {{\"time\":...}}"
            ),
            Some(b'{') => Format::Json(JsonLines::new(input)),
            Some(_) => Format::Csv(CsvLines::new(input).with_context(|| source.to_owned())?),
        };
        Ok(Self { source: source.to_owned(), zone, format })
    }

    /// The sensors seen so far, in the order of their first appearance.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match &self.format {
            Format::Csv(lines) => lines.names(),
            Format::Json(lines) => lines.names(),
        }
    }

    /// Reads the next row into `row`; `false` at the end.
    ///
    /// # Errors
    /// What does not make sense, with its line and column.
    pub fn read(&mut self, row: &mut Row) -> anyhow::Result<bool> {
        match &mut self.format {
            Format::Csv(lines) => lines.read(row, &self.zone),
            Format::Json(lines) => lines.read(row, &self.zone),
        }
        .with_context(|| self.source.clone())
    }
}

/// Skips a byte order mark and blank space; peeks at what comes then.
fn first_byte(input: &mut Box<dyn BufRead>) -> io::Result<Option<u8>> {
    loop {
        let buffer = input.fill_buf()?;
        let skipped = match buffer.first() {
            None => return Ok(None),
            Some(b' ' | b'\t' | b'\r' | b'\n') => 1,
            Some(0xEF) if buffer.starts_with(b"\xEF\xBB\xBF") => 3,
            Some(byte) => return Ok(Some(*byte)),
        };
        input.consume(skipped);
    }
}

/// Reads a time: RFC 3339, the same without offset in `zone`, or a number since 1970.
fn parse_time(text: &str, zone: &ZoneSpec) -> Option<Timestamp> {
    Timestamp::parse(text, zone).or_else(|| text.trim().parse().ok().and_then(Timestamp::from_epoch_number))
}

/// What is wrong with a time, for messages.
fn bad_time(text: &str) -> String {
    format!("`{text}` is no time: expected RFC 3339, as 2026-01-31T12:00:00Z, or seconds since 1970")
}

/// Puts a unit name in place, checked.
fn set_unit(row: &mut Row, name: &str) -> Result<(), String> {
    if row.unit != name {
        UnitId::check(name).map_err(|error| format!("`{name}` is no unit name: {error}"))?;
        name.clone_into(&mut row.unit);
    }
    Ok(())
}
