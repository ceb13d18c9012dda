//! CSV with a header.

use std::io::BufRead;

use anyhow::{Context, anyhow, bail, ensure};

use super::records::Records;
use super::{MAX_SENSORS, Row, bad_time, parse_time, set_unit};
use crate::domain::ZoneSpec;

/// Names the time column may have.
const TIME_NAMES: [&str; 2] = ["time", "timestamp"];

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Column {
    Time,
    Unit,
    Sensor(usize),
}

/// What the header says.
#[derive(Default)]
struct Header {
    /// Columns with their names.
    columns: Vec<(Column, String)>,
    /// The sensors among them.
    names: Vec<String>,
}

pub(super) struct CsvLines {
    records: Records,
    header: Header,
    record: csv::StringRecord,
}

impl CsvLines {
    pub(super) fn new(input: Box<dyn BufRead>) -> anyhow::Result<Self> {
        let mut records = Records::new(input);
        let mut record = csv::StringRecord::new();
        records.read(&mut record).context("line 1")?;
        let header = header(&record).context("line 1, the header")?;
        Ok(Self { records, header, record })
    }

    pub(super) fn names(&self) -> &[String] {
        &self.header.names
    }

    pub(super) fn read(&mut self, row: &mut Row, zone: &ZoneSpec) -> anyhow::Result<bool> {
        if !self.records.read(&mut self.record).context("reading the next line")? {
            return Ok(false);
        }
        row.line = self.record.position().map_or(0, csv::Position::line);
        self.cells(row, zone).with_context(|| format!("line {}", row.line))?;
        Ok(true)
    }

    fn cells(&self, row: &mut Row, zone: &ZoneSpec) -> anyhow::Result<()> {
        row.values.clear();
        ensure!(
            self.record.len() == self.header.columns.len(),
            "{} cells where the header has {}: a line was cut off, or a cell holds a comma without quotes",
            self.record.len(),
            self.header.columns.len()
        );
        for (number, ((column, name), cell)) in self.header.columns.iter().zip(&self.record).enumerate() {
            let wrong = |what: String| anyhow!("column {} ({name}): {what}", number + 1);
            match column {
                Column::Time => row.time = parse_time(cell, zone).ok_or_else(|| wrong(bad_time(cell)))?,
                Column::Unit => set_unit(row, cell).map_err(wrong)?,
                Column::Sensor(_) if cell.trim().is_empty() => {}
                Column::Sensor(place) => {
                    let value = cell.trim().parse().map_err(|_| {
                        wrong(format!("`{cell}` is no number; leave the cell empty if there was none"))
                    })?;
                    row.values.push((*place, value));
                }
            }
        }
        Ok(())
    }
}

fn header(line: &csv::StringRecord) -> anyhow::Result<Header> {
    let Header { mut columns, mut names } = Header::default();
    for (number, name) in line.iter().map(str::trim).enumerate() {
        ensure!(!name.is_empty(), "column {} has no name", number + 1);
        ensure!(!columns.iter().any(|(_, known)| known == name), "column `{name}` appears twice");
        let column = if TIME_NAMES.contains(&name) {
            Column::Time
        } else if name == "unit" {
            Column::Unit
        } else {
            names.push(name.to_owned());
            Column::Sensor(names.len() - 1)
        };
        columns.push((column, name.to_owned()));
        ensure!(names.len() <= MAX_SENSORS, "more than {MAX_SENSORS} sensors");
    }
    match columns.iter().filter(|(column, _)| matches!(column, Column::Time)).count() {
        1 => Ok(Header { columns, names }),
        0 => bail!("no column is called `time`: expected a header like `time,unit,UCAIT,UCWIT,...`"),
        _ => bail!("both `time` and `timestamp` are there: keep one"),
    }
}
