//! `InfluxDB` line protocol: `measurement,tag=value field=value,field=value time`, one or many lines.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::batch::Batch;
use super::pattern::Captured;
use super::read::Sink;
use super::rule::NameFrom;
use super::rules::Bound;
use crate::domain::reject::RejectReason;

/// Most lines of one message, comments among them: what a collector sends at once by default.
const MAX_LINES: usize = 1024;

impl Bound {
    /// Reads lines; one that cannot be read does not harm the others.
    pub(super) fn influx(
        &self,
        captured: Captured<'_>,
        text: &str,
        batch: &mut Batch,
    ) -> Result<(), RejectReason> {
        let mut name = std::mem::take(&mut batch.path);
        let mut sink = Sink::new(self, batch);
        let mut rest = text;
        let mut lines = 0;
        let mut outcome = Ok(());
        while !rest.is_empty() {
            let (line, after) = split_line(rest);
            rest = after;
            lines += 1;
            if lines > MAX_LINES {
                outcome = Err(RejectReason::TooManyKeys);
                break;
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(reason) = self.line(captured, line, &mut name, &mut sink) {
                sink.refuse("line", line, reason);
            }
        }
        batch.path = name;
        outcome
    }

    fn line(
        &self,
        captured: Captured<'_>,
        line: &str,
        name: &mut String,
        sink: &mut Sink<'_>,
    ) -> Result<(), RejectReason> {
        let (series, rest) = split_tag(line, b' ').ok_or(RejectReason::MalformedPayload)?;
        let (fields, time) = split(rest.trim_start(), b' ').unwrap_or((rest.trim_start(), ""));
        let (measurement, tags) = split_tag(series, b',').unwrap_or((series, ""));
        if measurement.is_empty() || fields.is_empty() {
            return Err(RejectReason::MalformedPayload);
        }
        let time = match time.trim() {
            "" => None,
            text => Some(self.rule.format.read_number(text)?),
        };
        let unit = match &self.rule.unit {
            NameFrom::Topic => captured.unit.map(Cow::Borrowed),
            NameFrom::Fixed(unit) => Some(Cow::Borrowed(unit.as_str())),
            NameFrom::Tag(tag) => value_of(tags, tag),
            NameFrom::At(_) | NameFrom::Payload => None,
        };
        // The whole line is looked through first: half a line is no reading.
        let mut all = fields;
        while !all.is_empty() {
            let (field, rest) = split(all, b',').unwrap_or((all, ""));
            let (key, value) = split(field, b'=').ok_or(RejectReason::MalformedPayload)?;
            if key.is_empty() || !is_value(value) {
                return Err(RejectReason::MalformedPayload);
            }
            all = rest;
        }
        sink.open(&unit.ok_or(RejectReason::InvalidUnit)?, time)?;
        let sensor = match &self.rule.sensor {
            NameFrom::Tag(tag) => Some(value_of(tags, tag).ok_or(RejectReason::UnexpectedShape)?),
            _ => None,
        };
        let mut rest = fields;
        while !rest.is_empty() {
            let (field, after) = split(rest, b',').unwrap_or((rest, ""));
            rest = after;
            let Some((key, value)) = split(field, b'=') else { continue };
            let key = unescaped(key);
            name.clear();
            // Writing to a String cannot fail.
            let _ = match &sensor {
                Some(sensor) if key == "value" => write!(name, "{sensor}"),
                Some(sensor) => write!(name, "{sensor}.{key}"),
                None => write!(name, "{}.{key}", unescaped(measurement)),
            };
            if sensor.is_none() && !sink.knows(name) {
                name.clear();
                name.push_str(&key);
            }
            sink.take(name, number_of(value));
        }
        Ok(())
    }
}

/// The first line, which ends with a line break outside a text, and what comes after it.
fn split_line(text: &str) -> (&str, &str) {
    // Quotes mean something only in the second part, the fields.
    let (mut part, mut in_text, mut escaped) = (0, false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if part == 1 => in_text = !in_text,
            b' ' if !in_text => part += 1,
            b'\n' if !in_text => {
                return (text.get(..index).unwrap_or(""), text.get(index + 1..).unwrap_or(""));
            }
            _ => {}
        }
    }
    (text, "")
}

/// The text before the first `at` that is neither escaped nor in quotes, and that behind it.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let (mut in_text, mut escaped, mut previous) = (false, false, b'=');
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == at && !in_text => return Some((text.get(..index)?, text.get(index + 1..)?)),
            // A text begins right behind the equals sign; elsewhere quotes are letters.
            b'"' if in_text => in_text = false,
            b'"' if previous == b'=' && index > 0 => in_text = true,
            _ => {}
        }
        previous = byte;
    }
    None
}

/// Is it a number, a text, or a boolean as the protocol writes them?
fn is_value(value: &str) -> bool {
    let is_text = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
    let is_boolean = ["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"].contains(&value);
    is_text || is_boolean || number_of(value).parse::<f64>().is_ok()
}

/// A number without the letter of its type.
fn number_of(value: &str) -> &str {
    let stem = value.strip_suffix(['i', 'u']);
    stem.filter(|stem| stem.ends_with(|c: char| c.is_ascii_digit())).unwrap_or(value)
}

/// The value of a tag.
fn value_of<'t>(tags: &'t str, tag: &str) -> Option<Cow<'t, str>> {
    let mut rest = tags;
    while !rest.is_empty() {
        let (pair, after) = split_tag(rest, b',').unwrap_or((rest, ""));
        rest = after;
        let (key, value) = split_tag(pair, b'=')?;
        if unescaped(key) == tag {
            return Some(unescaped(value));
        }
    }
    None
}

/// As [`split`], where quotes are letters: among tags.
fn split_tag(text: &str, at: u8) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == at => return Some((text.get(..index)?, text.get(index + 1..)?)),
            _ => {}
        }
    }
    None
}

/// Without the backslashes before comma, equals sign and space.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_escape =
            character == '\\' && characters.peek().is_some_and(|next| matches!(next, ',' | '=' | ' '));
        if !is_escape {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}
