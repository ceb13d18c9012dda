//! Payload bytes to readings: a bare number, a JSON reading with value and time, or a JSON frame.
//!
//! Every number is kept as text until it is judged by itself, so that one bad value (`1e999`, a string,
//! NaN as some writers put it) costs its own sensor and not the frame. Nothing is allocated for a
//! well-formed payload.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::reject::RejectReason;
use super::time::{Timestamp, ZoneSpec};

/// Most keys read of one frame: several times any unit's sensors, and a bound on the work for one message.
pub const MAX_FRAME_KEYS: usize = 1024;
/// Deepest nesting accepted; a reading needs three levels.
pub const MAX_JSON_DEPTH: usize = 16;

/// Stands for a bare NaN or infinity while a frame is read again; JSON text, so that it parses.
const NOT_FINITE_MARK: &str = "\"\\u0000not finite\"";

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
        Self { channels, keys, zone, readings: Vec::with_capacity(count), seen: vec![0; count], unknown: 0 }
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
            time = match pointer(document.get(), &self.keys.time) {
                Some(raw) => parse_time(raw, &self.zone)?,
                None => None,
            };
            let raw = pointer(document.get(), &self.keys.value).ok_or(RejectReason::UnexpectedShape)?;
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
            let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
            return Err(if is_json { RejectReason::UnexpectedShape } else { RejectReason::MalformedPayload });
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

fn text_of(payload: &[u8]) -> Result<&str, RejectReason> {
    std::str::from_utf8(payload).map_err(|_| RejectReason::MalformedPayload)
}

/// Refuses nesting beyond [`MAX_JSON_DEPTH`] before any parser sees it.
fn check_depth(text: &str) -> Result<(), RejectReason> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return Err(RejectReason::MalformedPayload);
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Judges one value's text as a number.
fn number(raw: &str) -> Result<f64, RejectReason> {
    if raw == NOT_FINITE_MARK {
        return Err(RejectReason::NotFinite);
    }
    let first = raw.bytes().next().unwrap_or(b' ');
    if !(first.is_ascii_digit() || first == b'-' || first == b'+' || first == b'.') {
        let word = raw.trim_start_matches(['+', '-']);
        let is_not_finite = ["nan", "inf", "infinity"].iter().any(|known| word.eq_ignore_ascii_case(known));
        return Err(if is_not_finite { RejectReason::NotFinite } else { RejectReason::NotANumber });
    }
    match raw.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(RejectReason::NotFinite),
        Err(_) => Err(RejectReason::NotANumber),
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

/// Raw text that a JSON pointer (`/a/b`) leads to. Array steps are not supported: no reading needs them.
fn pointer<'t>(text: &'t str, path: &str) -> Option<&'t str> {
    let mut current = text;
    for step in path.strip_prefix('/')?.split('/') {
        let mut found = None;
        read_object(current, |key, raw| {
            if key == step {
                found = Some(raw);
            }
        })
        .ok()?;
        current = found?;
    }
    Some(current)
}

/// Calls `visit` with each key and the raw text of its value.
fn read_object<'t>(text: &'t str, visit: impl FnMut(&str, &'t str)) -> Result<(), RejectReason> {
    struct Entries<F>(F);
    impl<'t, F: FnMut(&str, &'t str)> Visitor<'t> for Entries<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<Key<'t>>()? {
                let raw: &'t RawValue = map.next_value()?;
                (self.0)(key.0.as_ref(), raw.get());
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Entries(visit)).map_err(|_| RejectReason::MalformedPayload)?;
    deserializer.end().map_err(|_| RejectReason::MalformedPayload)
}

/// An object's key, borrowed from the payload unless it has escapes.
struct Key<'t>(std::borrow::Cow<'t, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The text with bare `NaN`, `Infinity` and `-Infinity` outside strings put in quotes, so that JSON can
/// read the rest; `None` when there is none of them.
fn without_bare_words(text: &str) -> Option<String> {
    let mut repaired = String::with_capacity(text.len() + 16);
    let (mut in_string, mut escaped, mut changed) = (false, false, false);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if !in_string {
            let words = ["NaN", "-Infinity", "Infinity", "nan", "-inf", "inf"];
            if let Some(after) = words.iter().find_map(|word| rest.strip_prefix(word)) {
                repaired.push_str(NOT_FINITE_MARK);
                changed = true;
                rest = after;
                continue;
            }
        }
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        repaired.push(character);
        rest = rest.get(character.len_utf8()..).unwrap_or("");
    }
    changed.then_some(repaired)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
