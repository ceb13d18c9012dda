//! `cooltwin features`: readings to the feature matrix, by the very code that predicts.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use super::exit::complain;
use super::input::{Readings, Row};
use super::{Outcome, model, output};
use crate::bundle::{Assembler, BundleErrors, BundleFiles, Manifest, compile_features};
use crate::domain::{Now, RejectCounts, UnitState, ZoneSpec};

const EXAMPLES: &str = "\
The matrix has one line for each line with a usable reading: time, unit,
quality, the features in the models' order, and the targets that were measured
at that very time. A missing value is an empty cell. The models need not be
there yet.

Examples:
  cooltwin features readings.csv > matrix.csv
  cooltwin simulate --rows 2880 | cooltwin features --bundle my-models -

Readings are CSV with a header `time,unit,SENSOR,...` or JSON lines
{\"time\":...,\"unit\":...,\"data\":{...}}; each unit's lines in the order of time.";

/// What `cooltwin features` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder of the model bundle [default: models/unit-cooler, or the installed one]
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Readings, as CSV or JSON lines; `-` for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub readings: PathBuf,
    /// Zone of times without an offset: UTC, a name such as Europe/Vienna, or +02:00
    #[arg(long, default_value = "UTC", value_parser = ZoneSpec::parse)]
    pub zone: ZoneSpec,
}

/// Does it.
///
/// # Errors
/// A bundle that cannot be compiled (78), readings that make no sense, output that cannot be written.
pub fn features(args: &Args) -> Outcome {
    let path = model::locate(args.bundle.as_deref())?;
    let mut matrix =
        Matrix::compile(&model::files(&path)?).map_err(|errors| model::wrong(&path, &errors.0))?;
    let mut readings = Readings::open(&args.readings, args.zone.clone())?;
    let mut out = output::bulk();
    matrix.write(&mut readings, &mut out)?;
    for line in matrix.summary() {
        complain(&line);
    }
    Ok(())
}

/// Readings to lines of the matrix.
struct Matrix {
    manifest: Manifest,
    assembler: Assembler,
    channels: BTreeMap<String, usize>,
    states: BTreeMap<String, UnitState>,
    rows: u64,
    useless: u64,
    rejects: RejectCounts,
    unknown: Vec<String>,
}

impl Matrix {
    /// Compiles the features of a bundle; models and golden vectors need not be there yet.
    fn compile(files: &BundleFiles) -> Result<Self, BundleErrors> {
        let (manifest, assembler) = compile_features(files)?;
        let channels = manifest.channels().iter().map(|name| (*name).to_owned()).zip(0..).collect();
        Ok(Self {
            manifest,
            assembler,
            channels,
            states: BTreeMap::new(),
            rows: 0,
            useless: 0,
            rejects: RejectCounts::default(),
            unknown: Vec::new(),
        })
    }

    fn write(&mut self, readings: &mut Readings, out: &mut impl Write) -> anyhow::Result<()> {
        let mut line = self.header();
        let mut row = Row::default();
        // Places in the file's names to channels; grows with the names of a JSON file.
        let mut places: Vec<Option<usize>> = Vec::new();
        loop {
            out.write_all(line.as_bytes()).context("writing the matrix")?;
            line.clear();
            if !readings.read(&mut row)? {
                return out.flush().context("writing the matrix");
            }
            for name in readings.names().iter().skip(places.len()) {
                let channel = self.channels.get(name).copied();
                if channel.is_none() {
                    self.unknown.push(name.clone());
                }
                places.push(channel);
            }
            self.row(&row, &places, &mut line);
        }
    }

    fn header(&self) -> String {
        let features = self.manifest.features.iter().map(|feature| feature.name.as_str());
        let channels = self.manifest.channels();
        let measured = channels.iter().skip(self.manifest.sensors.len()).copied();
        let names: Vec<&str> =
            ["time", "unit", "quality"].into_iter().chain(features).chain(measured).collect();
        names.join(",") + "\n"
    }

    fn row(&mut self, row: &Row, places: &[Option<usize>], line: &mut String) {
        use std::fmt::Write as _;
        if !self.states.contains_key(&row.unit) {
            self.states.insert(row.unit.clone(), self.assembler.new_state());
        }
        let Some(state) = self.states.get_mut(&row.unit) else { return };
        let now = Now::replay(row.time);
        let mut applied = 0;
        for (place, value) in &row.values {
            let Some(channel) = places.get(*place).copied().flatten() else { continue };
            match self.assembler.apply(state, channel, *value, row.time, now) {
                Ok(()) => applied += 1,
                Err(reason) => self.rejects.add(reason),
            }
        }
        if applied == 0 {
            self.useless += 1;
            return;
        }
        let Some(assembly) = self.assembler.assemble(state, now) else { return };
        self.rows += 1;
        let unit = if row.unit.contains(',') { format!("\"{}\"", row.unit) } else { row.unit.clone() };
        let _ = write!(line, "{},{unit},{}", assembly.time, assembly.quality);
        for value in assembly.row {
            line.push(',');
            if !value.is_nan() {
                let _ = write!(line, "{value}");
            }
        }
        for channel in self.manifest.sensors.len()..self.channels.len() {
            line.push(',');
            // A measurement belongs to this line only if it was made at this time.
            if let Some(held) = state.get(channel).filter(|held| held.event == row.time) {
                let _ = write!(line, "{}", held.value);
            }
        }
        line.push('\n');
    }

    fn summary(&self) -> Vec<String> {
        let mut lines = vec![format!("{} rows of {} units", self.rows, self.states.len())];
        if !self.unknown.is_empty() {
            lines.push(format!("not in the bundle, ignored: {}", self.unknown.join(", ")));
        }
        if self.useless > 0 {
            lines.push(format!("{} lines left out: they hold no usable reading", self.useless));
        }
        lines.extend(
            self.rejects.iter().map(|(reason, count)| format!("{count} readings not used: {reason}")),
        );
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::manifest::MANIFEST_FILE;

    const MANIFEST: &str = r#"
schema = 1
id = "test"
version = "1.0.0"
description = "two sensors"
step = "30s"
[[sensors]]
name = "A"
unit = "degC"
accept = [-50, 100]
max_age = "2m"
missing = "nan"
[[sensors]]
name = "B"
unit = "degC"
accept = [-50, 100]
max_age = "2m"
missing = "nan"
[[features]]
name = "A"
[[features]]
name = "difference"
expr = "A - B"
[[features]]
name = "before"
expr = "lag(A, 30s)"
[[targets]]
name = "T"
unit = "degC"
model = "t.onnx"
plausible = [0, 50]
measured_by = "T"
accept = [-50, 100]
max_age = "2m"
"#;

    fn matrix(readings: &str) -> (String, Vec<String>) {
        let mut files = BundleFiles::default();
        files.0.insert(MANIFEST_FILE.to_owned(), MANIFEST.as_bytes().to_vec());
        let mut matrix = Matrix::compile(&files).unwrap();
        let input = Box::new(std::io::Cursor::new(readings.as_bytes().to_vec()));
        let mut out = Vec::new();
        matrix.write(&mut Readings::new("test", input, ZoneSpec::utc()).unwrap(), &mut out).unwrap();
        (String::from_utf8(out).unwrap(), matrix.summary())
    }

    #[test]
    fn features_targets_and_gaps() {
        let (text, summary) = matrix(
            "time,unit,A,B,T,X\n2026-01-05T00:00:00Z,c,20.1,20,15.5,1\n2026-01-05T00:00:30Z,c,21,900,,1\n",
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "time,unit,quality,A,difference,before,T");
        assert!(lines[1].starts_with("2026-01-05T00:00:00Z,c,uncertain,20.1,0.1"), "{}", lines[1]);
        assert!(lines[1].ends_with(",15.5"), "{}", lines[1]);
        assert!(lines[2].ends_with(",1,20.1,"), "B is held, T was not measured now: {}", lines[2]);
        assert!(summary.contains(&"not in the bundle, ignored: X".to_owned()), "{summary:?}");
        assert!(summary.contains(&"1 readings not used: out_of_range".to_owned()), "{summary:?}");
    }

    #[test]
    fn one_line_at_a_time_or_all_at_once_gives_the_same_bits() {
        let all = "time,A,B\n0,20.123456,1\n17,21.9,\n30,22.4,3\n61,23.7,4\n";
        let json = all.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let b = if cells[2].is_empty() { "null" } else { cells[2] };
            format!("{{\"time\":{},\"data\":{{\"B\":{b},\"A\":{}}}}}\n", cells[0], cells[1])
        });
        assert_eq!(matrix(all).0, matrix(&json.collect::<String>()).0);
    }

    #[test]
    fn lines_that_tell_nothing_new_are_left_out_and_counted() {
        let (text, summary) = matrix("time,unit,A\n60,c,1\n30,c,2\n30,d,3\n90,c,\n");
        assert_eq!(text.lines().count(), 3);
        assert!(summary.contains(&"1 readings not used: late_reading".to_owned()), "{summary:?}");
        assert!(summary.iter().any(|line| line.starts_with("2 lines left out")), "{summary:?}");
    }
}
