//! Payload bytes to readings: a bare number, a JSON reading with value and time, or a JSON frame.
//!
//! Every number is kept as text until it is judged by itself, so that one bad value (`1e999`, a string,
//! NaN as some writers put it) costs its own sensor and not the frame. Nothing is allocated for a
//! well-formed payload.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::json::{check_depth, is_json, number, read_object, text_of, without_bare_words};
use super::reject::RejectReason;
use super::source::Pointer;
use super::time::{Timestamp, ZoneSpec};

/// Most keys read of one frame: several times any unit's sensors, and a bound on the work for one message.
pub const MAX_FRAME_KEYS: usize = 1024;

/// Where value and time stand in a JSON payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadKeys {
    /// JSON pointer of the value of a single reading, `/value`.
    pub value: String,
    /// JSON pointer of the time of a single reading, `/time`.
    pub time: String,
    /// Key of the time in a frame, `timestamp`; `time` is accepted as well.
    pub frame_time: String,
    /// Key of the object that holds a frame's readings, `data`; without it the frame is flat.
    pub frame_data: String,
}

impl Default for PayloadKeys {
    fn default() -> Self {
        Self {
            value: "/value".to_owned(),
            time: "/time".to_owned(),
            frame_time: "timestamp".to_owned(),
            frame_data: "data".to_owned(),
        }
    }
}

/// One channel's decoded entry: a number or why it is none. Not yet checked against the sensor's range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodedReading {
    /// Index of the channel (sensors first, then the sensors that measure targets).
    pub channel: usize,
    /// The number, or why there is none.
    pub value: Result<f64, RejectReason>,
}

/// Decodes payloads for one set of channels, reusing its memory.
#[derive(Debug)]
pub struct Decoder {
    channels: HashMap<String, usize>,
    keys: PayloadKeys,
    value: Option<Pointer>,
    time: Option<Pointer>,
    zone: ZoneSpec,
    readings: Vec<DecodedReading>,
    /// Position in `readings` of each channel in the present frame, plus one; zero when absent.
    seen: Vec<usize>,
    unknown: u64,
}

/// What a payload said.
#[derive(Debug, PartialEq)]
pub struct Decoded<'d> {
    /// Event time the payload states.
    pub time: Option<Timestamp>,
    /// One entry a known channel that occurs, in the payload's order.
    pub readings: &'d [DecodedReading],
    /// Keys that name no channel.
    pub unknown: u64,
}

impl Decoder {
    /// A decoder for the channels of the given names.
    #[must_use]
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>, keys: PayloadKeys, zone: ZoneSpec) -> Self {
        let channels: HashMap<String, usize> =
            names.into_iter().enumerate().map(|(index, name)| (name.to_owned(), index)).collect();
        let count = channels.len();
        // What is no pointer leads nowhere; settings are checked before they come here.
        let (value, time) = (Pointer::parse(&keys.value).ok(), Pointer::parse(&keys.time).ok());
        Self {
            channels,
            keys,
            value,
            time,
            zone,
            readings: Vec::with_capacity(count),
            seen: vec![0; count],
            unknown: 0,
        }
    }

    /// Index of the channel called `name`.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<usize> {
        self.channels.get(name).copied()
    }

    /// Decodes a single reading for `channel`: a bare number or JSON with value and time.
    ///
    /// # Errors
    /// Why the payload as a whole cannot be used.
    pub fn reading(&mut self, channel: usize, payload: &[u8]) -> Result<Decoded<'_>, RejectReason> {
        let text = text_of(payload)?.trim();
        self.readings.clear();
        let mut time = None;
        let value = if text.starts_with('{') {
            check_depth(text)?;
            let document: &RawValue =
                serde_json::from_str(text).map_err(|_| RejectReason::MalformedPayload)?;
            time = match self.time.as_ref().and_then(|time| time.find(document.get())) {
                Some(raw) => parse_time(raw, &self.zone)?,
                None => None,
            };
            let found = self.value.as_ref().and_then(|value| value.find(document.get()));
            let raw = found.ok_or(RejectReason::UnexpectedShape)?;
            number(raw)
        } else {
            number(text)
        };
        self.readings.push(DecodedReading { channel, value });
        Ok(Decoded { time, readings: &self.readings, unknown: 0 })
    }

    /// Decodes a frame: one JSON object with many readings, flat or under the data key.
    ///
    /// # Errors
    /// Why the payload as a whole cannot be used.
    pub fn frame(&mut self, payload: &[u8]) -> Result<Decoded<'_>, RejectReason> {
        let text = text_of(payload)?;
        check_depth(text)?;
        let time = match self.scan_frame(text) {
            // Some writers put NaN and Infinity where JSON knows only null. Slow path, taken by them alone.
            Err(RejectReason::MalformedPayload) => match without_bare_words(text) {
                Some(repaired) => self.scan_frame(&repaired)?,
                None => return Err(RejectReason::MalformedPayload),
            },
            other => other?,
        };
        Ok(Decoded { time, readings: &self.readings, unknown: self.unknown })
    }

    fn scan_frame(&mut self, text: &str) -> Result<Option<Timestamp>, RejectReason> {
        self.readings.clear();
        self.seen.fill(0);
        self.unknown = 0;
        if !text.trim_start().starts_with('{') {
            // Well-formed JSON of another kind is told apart from garbage.
            return Err(if is_json(text) {
                RejectReason::UnexpectedShape
            } else {
                RejectReason::MalformedPayload
            });
        }
        let mut scan = FrameScan { decoder: self, time: None, data: None, failure: None, keys: 0 };
        read_object(text, |key, raw| scan.entry(key, raw))?;
        let FrameScan { time, data, failure, .. } = scan;
        let mut failure = failure;
        if let Some(data) = data {
            let mut keys = 0;
            // Under a data key the readings stand there alone; what stood beside it was about the frame.
            self.readings.clear();
            self.seen.fill(0);
            self.unknown = 0;
            read_object(data, |key, raw| {
                keys += 1;
                if keys > MAX_FRAME_KEYS {
                    failure = Some(RejectReason::TooManyKeys);
                    return;
                }
                self.take(key, raw);
            })?;
        }
        if let Some(reason) = failure {
            return Err(reason);
        }
        match time {
            Some(raw) => parse_time(raw, &self.zone),
            None => Ok(None),
        }
    }

    fn take(&mut self, name: &str, raw: &str) {
        let Some(channel) = self.channel(name) else {
            self.unknown += 1;
            return;
        };
        let seen = self.seen.get(channel).copied().unwrap_or(0);
        if let Some(first) = seen.checked_sub(1).and_then(|position| self.readings.get_mut(position)) {
            first.value = Err(RejectReason::DuplicateKey);
            return;
        }
        self.readings.push(DecodedReading { channel, value: number(raw) });
        if let Some(slot) = self.seen.get_mut(channel) {
            *slot = self.readings.len();
        }
    }
}

/// One pass over a frame's outer object.
struct FrameScan<'d, 't> {
    decoder: &'d mut Decoder,
    time: Option<&'t str>,
    data: Option<&'t str>,
    failure: Option<RejectReason>,
    keys: usize,
}

impl<'t> FrameScan<'_, 't> {
    fn entry(&mut self, key: &str, raw: &'t str) {
        self.keys += 1;
        if self.keys > MAX_FRAME_KEYS {
            self.failure = Some(RejectReason::TooManyKeys);
        } else if key == self.decoder.keys.frame_time || (key == "time" && self.time.is_none()) {
            self.time = Some(raw);
        } else if key == self.decoder.keys.frame_data && raw.starts_with('{') {
            self.data = Some(raw);
        } else if key != "unit" {
            self.decoder.take(key, raw);
        }
    }
}

/// A time as JSON text: string or number; null means none.
fn parse_time(raw: &str, zone: &ZoneSpec) -> Result<Option<Timestamp>, RejectReason> {
    if raw == "null" {
        return Ok(None);
    }
    let time = if raw.starts_with('"') {
        let inner = raw.trim_matches('"');
        Timestamp::parse(inner, zone)
    } else {
        raw.parse::<f64>().ok().and_then(Timestamp::from_epoch_number)
    };
    time.map(Some).ok_or(RejectReason::InvalidTime)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
