//! One JSON object a line.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::{Map, Value};

use super::{DEFAULT_UNIT, MAX_LINE_BYTES, MAX_SENSORS, Row, bad_time, parse_time, set_unit};
use crate::domain::{Timestamp, ZoneSpec};

pub(super) struct JsonLines {
    input: Box<dyn BufRead>,
    line: u64,
    buffer: Vec<u8>,
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl JsonLines {
    pub(super) fn new(input: Box<dyn BufRead>) -> Self {
        Self { input, line: 0, buffer: Vec::new(), names: Vec::new(), places: HashMap::new() }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn read(&mut self, row: &mut Row, zone: &ZoneSpec) -> anyhow::Result<bool> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let line = self.line;
            let limit = MAX_LINE_BYTES as u64 + 1;
            let count = self
                .input
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut self.buffer)
                .with_context(|| format!("reading line {line}"))?;
            if count == 0 {
                return Ok(false);
            }
            ensure!(count <= MAX_LINE_BYTES, "line {line} is longer than {MAX_LINE_BYTES} bytes");
            if self.buffer.trim_ascii().is_empty() {
                continue;
            }
            row.line = line;
            self.object(row, zone).with_context(|| format!("line {line}"))?;
            return Ok(true);
        }
    }

    fn object(&mut self, row: &mut Row, zone: &ZoneSpec) -> anyhow::Result<()> {
        let object: Map<String, Value> = serde_json::from_slice(&self.buffer)
            .map_err(|error| anyhow!("column {}: {}", error.column(), reason(&error)))?;
        row.values.clear();
        let time = object.get("time").or_else(|| object.get("timestamp"));
        let time = time.context("`time` is missing: expected {\"time\":...,\"unit\":...,\"data\":{...}}")?;
        row.time = json_time(time, zone).ok_or_else(|| anyhow!("time: {}", bad_time(&plain(time))))?;
        match object.get("unit") {
            Some(Value::String(name)) => set_unit(row, name).map_err(|what| anyhow!("unit: {what}"))?,
            Some(other) => bail!("unit: {other} is no text"),
            None => set_unit(row, DEFAULT_UNIT).map_err(anyhow::Error::msg)?,
        }
        match object.get("data") {
            Some(Value::Object(data)) => self.values(row, data),
            Some(other) => bail!("data: {other} is no object of sensors and numbers"),
            None => self.values(row, &object),
        }
    }

    fn values(&mut self, row: &mut Row, data: &Map<String, Value>) -> anyhow::Result<()> {
        for (name, value) in data {
            let value = match value {
                _ if matches!(name.as_str(), "time" | "timestamp" | "unit") => continue,
                Value::Null => continue,
                Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
                other => bail!("{name}: {other} is no number; leave it out or write null if there was none"),
            };
            let place = self.place(name)?;
            row.values.push((place, value));
        }
        Ok(())
    }

    fn place(&mut self, name: &str) -> anyhow::Result<usize> {
        if let Some(place) = self.places.get(name) {
            return Ok(*place);
        }
        ensure!(self.names.len() < MAX_SENSORS, "more than {MAX_SENSORS} different sensors");
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), self.names.len() - 1);
        Ok(self.names.len() - 1)
    }
}

fn json_time(value: &Value, zone: &ZoneSpec) -> Option<Timestamp> {
    match value {
        Value::String(text) => parse_time(text, zone),
        Value::Number(number) => number.as_f64().and_then(Timestamp::from_epoch_number),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The message without serde's own "at line 1", which counts from the wrong start.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}
