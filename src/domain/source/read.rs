//! A message by its rule: bytes to readings.

use std::fmt::Write as _;

use super::batch::Batch;
use super::convert::{Conversion, plain};
use super::pattern::Captured;
use super::pointer::Pointer;
use super::rule::{Kind, NameFrom};
use super::rules::{Bound, Slot};
use crate::domain::decode::MAX_FRAME_KEYS;
use crate::domain::json::{
    check_depth, is_json, plain_text, read_list, read_object, text_of, without_bare_words,
};
use crate::domain::reject::RejectReason;
use crate::domain::time::Timestamp;
use crate::domain::unit::UnitId;

/// Takes what a payload tells, one name after the other.
pub(super) struct Sink<'b> {
    bound: &'b Bound,
    batch: &'b mut Batch,
    conversions: &'b [Option<Conversion>],
}

impl<'b> Sink<'b> {
    pub(super) fn new(bound: &'b Bound, batch: &'b mut Batch) -> Self {
        Self { bound, batch, conversions: &bound.conversions }
    }

    /// From here on readings are of this unit, by the source's name of it, at this time.
    pub(super) fn open(&mut self, theirs: &str, time: Option<Timestamp>) -> Result<(), RejectReason> {
        let unit = self.bound.units.get(theirs).map_or(theirs, String::as_str);
        UnitId::check(unit).map_err(|_| RejectReason::InvalidUnit)?;
        self.conversions = self.bound.overrides.get(unit).unwrap_or(&self.bound.conversions);
        self.batch.open(unit, time)
    }

    /// Does the name mean anything here?
    pub(super) fn knows(&self, name: &str) -> bool {
        self.bound.names.contains_key(name)
    }

    /// One name with the raw text of its value.
    pub(super) fn take(&mut self, name: &str, raw: &str) {
        self.take_by(name, raw, |conversion| {
            conversion.map_or_else(|| plain(raw), |conversion| conversion.read(raw))
        });
    }

    /// One name whose value is read in a way of its own; `raw` tells it to people.
    pub(super) fn take_by(
        &mut self,
        name: &str,
        raw: &str,
        read: impl FnOnce(Option<&Conversion>) -> Result<f64, RejectReason>,
    ) {
        let channel = match self.bound.names.get(name) {
            Some(Slot::Channel(channel)) => *channel,
            Some(Slot::Ignored) => {
                self.batch.has_ignored = true;
                return self.batch.note(name, raw, None);
            }
            None => return self.unknown(name, raw),
        };
        let value = read(self.conversions.get(channel).and_then(Option::as_ref));
        self.batch.push(channel, value);
        self.batch.note(name, raw, Some(value.map(|value| (channel, value))));
    }

    /// A name that is no sensor's.
    pub(super) fn unknown(&mut self, name: &str, raw: &str) {
        if self.bound.rule.kind.traits().is_talkative {
            self.batch.has_unknown = true;
        } else {
            self.batch.rejects.add(RejectReason::UnknownSensor);
        }
        self.batch.note(name, raw, Some(Err(RejectReason::UnknownSensor)));
    }

    /// Whether somebody reads what is noted of each name.
    pub(super) fn has_notes(&self) -> bool {
        self.batch.has_notes()
    }

    /// A part of a payload that cannot be used.
    pub(super) fn refuse(&mut self, name: &str, raw: &str, reason: RejectReason) {
        self.batch.rejects.add(reason);
        self.batch.note(name, raw, Some(Err(reason)));
    }
}

impl Bound {
    /// Reads a payload.
    ///
    /// # Errors
    /// Why nothing of it can be used.
    pub(super) fn read(
        &self,
        captured: Captured<'_>,
        payload: &[u8],
        batch: &mut Batch,
    ) -> Result<(), RejectReason> {
        let text = text_of(payload)?.trim();
        if self.rule.kind == Kind::Number {
            return self.number(captured, text, batch);
        }
        if self.rule.kind == Kind::Influx {
            return self.influx(captured, text, batch);
        }
        check_depth(text)?;
        if is_json(text) {
            return self.document(captured, text, batch);
        }
        // Some writers put NaN and Infinity where JSON knows only null. Slow path, taken by them alone.
        let repaired = without_bare_words(text).filter(|text| is_json(text));
        self.document(captured, &repaired.ok_or(RejectReason::MalformedPayload)?, batch)
    }

    fn number(&self, captured: Captured<'_>, text: &str, batch: &mut Batch) -> Result<(), RejectReason> {
        let mut sink = Sink::new(self, batch);
        sink.open(self.unit(captured, "", "")?, None)?;
        sink.take(self.sensor(captured, "")?, text);
        Ok(())
    }

    fn document(&self, captured: Captured<'_>, text: &str, batch: &mut Batch) -> Result<(), RejectReason> {
        match self.rule.kind {
            Kind::Json => self.json(captured, text, batch),
            Kind::List => self.list(captured, text, batch),
            Kind::Shelly => self.shelly(captured, text, batch),
            Kind::Thingsboard => self.thingsboard(text, batch),
            _ => self.object(captured, text, self.rule.at.find(text), batch),
        }
    }

    fn json(&self, captured: Captured<'_>, text: &str, batch: &mut Batch) -> Result<(), RejectReason> {
        let raw = self.rule.value.find(text).ok_or(RejectReason::UnexpectedShape)?;
        let time = self.time(text, "")?;
        let mut sink = Sink::new(self, batch);
        sink.open(self.unit(captured, text, "")?, time)?;
        sink.take(self.sensor(captured, text)?, raw);
        Ok(())
    }

    /// The object `readings` within the document.
    pub(super) fn object(
        &self,
        captured: Captured<'_>,
        text: &str,
        readings: Option<&str>,
        batch: &mut Batch,
    ) -> Result<(), RejectReason> {
        let rule = &self.rule;
        let readings = readings.filter(|raw| raw.starts_with('{')).ok_or(RejectReason::UnexpectedShape)?;
        let time = self.time(text, "")?;
        let unit = self.unit(captured, text, "")?;
        let unit_at = if let NameFrom::At(pointer) = &rule.unit { pointer.find(text) } else { None };
        // What the payload says about all readings may stand among them and is none itself.
        let about = [rule.time.find(text), unit_at];
        let mut name = std::mem::take(&mut batch.path);
        name.clear();
        name.push_str(captured.sensor.unwrap_or_default());
        let mut sink = Sink::new(self, batch);
        let outcome =
            sink.open(unit, time).and_then(|()| walk(readings, &mut name, &mut 0, about, &mut sink));
        batch.path = name;
        outcome
    }

    fn list(&self, captured: Captured<'_>, text: &str, batch: &mut Batch) -> Result<(), RejectReason> {
        let list = self
            .rule
            .at
            .find(text)
            .filter(|raw| raw.starts_with('['))
            .ok_or(RejectReason::UnexpectedShape)?;
        let mut sink = Sink::new(self, batch);
        let mut entries = 0;
        let mut outcome = Ok(());
        read_list(list, |entry| {
            entries += 1;
            if entries > MAX_FRAME_KEYS {
                outcome = Err(RejectReason::TooManyKeys);
            } else if let Err(reason) = self.entry(captured, text, entry, &mut sink) {
                sink.refuse("", entry, reason);
            }
        })?;
        outcome
    }

    fn entry(
        &self,
        captured: Captured<'_>,
        text: &str,
        entry: &str,
        sink: &mut Sink<'_>,
    ) -> Result<(), RejectReason> {
        let NameFrom::At(sensor_at) = &self.rule.sensor else { return Err(RejectReason::UnexpectedShape) };
        let name = sensor_at.find(entry).and_then(plain_text).ok_or(RejectReason::UnexpectedShape)?;
        let raw = self.rule.value.find(entry).ok_or(RejectReason::UnexpectedShape)?;
        let time = self.time(text, entry)?;
        sink.open(self.unit(captured, text, entry)?, time)?;
        sink.take(name, raw);
        Ok(())
    }

    /// The time: of the entry if it has one, else of the document.
    fn time(&self, document: &str, entry: &str) -> Result<Option<Timestamp>, RejectReason> {
        let rule = &self.rule;
        match found(&rule.time, entry, document) {
            // An empty pointer leads to the whole payload: there is no time in it.
            Some(raw) if !raw.starts_with(['{', '[']) => rule.format.read_json(raw, &rule.zone),
            _ => Ok(None),
        }
    }

    /// The source's name of the unit; of the entry if that tells it, else of the document.
    fn unit<'t>(
        &'t self,
        captured: Captured<'t>,
        document: &'t str,
        entry: &'t str,
    ) -> Result<&'t str, RejectReason> {
        let name = match &self.rule.unit {
            NameFrom::Topic => captured.unit,
            NameFrom::Fixed(unit) => Some(unit.as_str()),
            NameFrom::At(at) => found(at, entry, document).and_then(plain_text),
            NameFrom::Tag(_) | NameFrom::Payload => None,
        };
        name.ok_or(RejectReason::InvalidUnit)
    }

    /// The source's name of the sensor, for payloads with one value.
    fn sensor<'t>(&'t self, captured: Captured<'t>, document: &'t str) -> Result<&'t str, RejectReason> {
        let found = match &self.rule.sensor {
            NameFrom::Topic => captured.sensor,
            NameFrom::Fixed(sensor) => Some(sensor.as_str()),
            NameFrom::At(at) => at.find(document).and_then(plain_text),
            NameFrom::Tag(_) | NameFrom::Payload => None,
        };
        found.ok_or(RejectReason::UnexpectedShape)
    }
}

/// What stands in the entry, if there is one and it has it, else in the document.
fn found<'t>(at: &Pointer, entry: &'t str, document: &'t str) -> Option<&'t str> {
    let own = if entry.is_empty() { None } else { at.find(entry) };
    own.or_else(|| at.find(document))
}

/// Takes every value of an object, those of objects and lists within it by names joined with dots: `ENERGY.Power`,
/// `Power.0`. Texts at the places `about` are left out.
pub(super) fn walk(
    text: &str,
    name: &mut String,
    keys: &mut usize,
    about: [Option<&str>; 2],
    sink: &mut Sink<'_>,
) -> Result<(), RejectReason> {
    let length = name.len();
    let mut outcome = Ok(());
    let mut each = |key: &dyn std::fmt::Display, raw: &str| {
        *keys += 1;
        if outcome.is_err() || about.into_iter().flatten().any(|other| std::ptr::eq(other, raw)) {
            return;
        }
        if *keys > MAX_FRAME_KEYS {
            outcome = Err(RejectReason::TooManyKeys);
            return;
        }
        name.truncate(length);
        let dot = if length > 0 { "." } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(name, "{dot}{key}");
        if raw.starts_with(['{', '[']) {
            outcome = walk(raw, name, keys, about, sink);
        } else {
            sink.take(name, raw);
        }
    };
    if text.starts_with('[') {
        let mut index = 0;
        read_list(text, |raw| {
            each(&index, raw);
            index += 1;
        })?;
    } else {
        read_object(text, |key, raw| each(&key, raw))?;
    }
    name.truncate(length);
    outcome
}
