//! A ready feature matrix: rows of features to predictions, nothing else.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, anyhow, bail, ensure};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::bundle::Bundle;
use crate::cli::input::records::Records;
use crate::domain::prediction::SCHEMA_VERSION;

/// Columns that are passed on when the matrix has them, so that a line can be recognised.
const PASSED_ON: [&str; 2] = ["time", "unit"];

/// Where the features stand in a line.
struct Layout {
    /// The column of each feature, in the models' order.
    columns: Vec<usize>,
    /// The columns passed on, with their names.
    passed_on: Vec<(usize, &'static str)>,
}

pub(super) fn predict(bundle: Bundle, path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let (source, input): (_, Box<dyn BufRead>) = if path.as_os_str() == "-" {
        ("standard input".to_owned(), Box::new(BufReader::new(std::io::stdin())))
    } else {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("opening {name}"))?;
        (name, Box::new(BufReader::new(file)))
    };
    convert(bundle, input, out).with_context(|| source)?;
    out.flush().context("writing predictions")
}

pub(super) fn convert(
    mut bundle: Bundle,
    input: Box<dyn BufRead>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let features: Vec<String> = bundle.manifest.features.iter().map(|feature| feature.name.clone()).collect();
    let targets: Vec<String> = bundle.targets().map(str::to_owned).collect();
    let mut records = Records::new(input);
    let mut record = csv::StringRecord::new();
    ensure!(records.read(&mut record)?, "the matrix is empty");
    let named = named_layout(&record, &features);
    let is_raw = named.is_err() && is_all_numbers(&record);
    let layout =
        if is_raw { raw_layout(&record, features.len())? } else { named.context("line 1, the header")? };
    if !is_raw {
        records.read(&mut record)?;
    }
    let mut row = Vec::with_capacity(features.len());
    while !record.is_empty() {
        let line = record.position().map_or(0, csv::Position::line);
        read_row(&record, &layout, &features, &mut row).with_context(|| format!("line {line}"))?;
        let predictions =
            bundle.evaluator.predictor.predict(&row).map_err(|error| anyhow!("line {line}: {error}"))?;
        let document = Document { record: &record, layout: &layout, targets: &targets, predictions };
        let line = serde_json::to_string(&document)?;
        writeln!(out, "{line}").context("writing predictions")?;
        if !records.read(&mut record)? {
            break;
        }
    }
    Ok(())
}

fn named_layout(header: &csv::StringRecord, features: &[String]) -> anyhow::Result<Layout> {
    let column = |name: &str| header.iter().position(|cell| cell.trim() == name);
    let missing: Vec<&str> =
        features.iter().map(String::as_str).filter(|name| column(name).is_none()).collect();
    if !missing.is_empty() {
        bail!("no column for {} of the bundle's features: {}", missing.len(), missing.join(", "));
    }
    let columns = features.iter().filter_map(|name| column(name)).collect();
    let passed_on = PASSED_ON.into_iter().filter_map(|name| Some((column(name)?, name))).collect();
    Ok(Layout { columns, passed_on })
}

fn raw_layout(first: &csv::StringRecord, features: usize) -> anyhow::Result<Layout> {
    ensure!(
        first.len() == features,
        "line 1 has {} numbers and no names; the bundle has {features} features",
        first.len()
    );
    Ok(Layout { columns: (0..features).collect(), passed_on: Vec::new() })
}

fn is_all_numbers(record: &csv::StringRecord) -> bool {
    record.iter().all(|cell| number(cell).is_some())
}

/// A cell as the models take it; empty is missing.
fn number(cell: &str) -> Option<f32> {
    match cell.trim() {
        "" => Some(f32::NAN),
        text => text.parse().ok(),
    }
}

fn read_row(
    record: &csv::StringRecord,
    layout: &Layout,
    features: &[String],
    row: &mut Vec<f32>,
) -> anyhow::Result<()> {
    row.clear();
    for (column, name) in layout.columns.iter().zip(features) {
        let cell = record
            .get(*column)
            .with_context(|| format!("ends after {} cells, before {name}", record.len()))?;
        let value =
            number(cell).with_context(|| format!("column {} ({name}): `{cell}` is no number", column + 1))?;
        row.push(value);
    }
    Ok(())
}

/// One line of the answer.
struct Document<'a> {
    record: &'a csv::StringRecord,
    layout: &'a Layout,
    targets: &'a [String],
    predictions: &'a [f64],
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &SCHEMA_VERSION)?;
        for (column, name) in &self.layout.passed_on {
            map.serialize_entry(name, &self.record.get(*column))?;
        }
        for (name, value) in self.targets.iter().zip(self.predictions) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
