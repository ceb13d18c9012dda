//! Sparkplug B payloads: the fields that readings need, without copying any of them.
//!
//! The numbers of fields and data types are those of `sparkplug_b.proto` as the specification prints it.

use crate::domain::reject::RejectReason;
use crate::domain::wire::{Value, field};

/// Most metrics of one message: a large controller has some thousand, all of which stand in its BIRTH.
const MAX_METRICS: usize = 8192;

/// Fields of the messages of a payload.
mod tag {
    pub(super) const TIMESTAMP: u64 = 1;
    pub(super) const METRIC: u64 = 2;
    pub(super) const SEQ: u64 = 3;

    pub(super) const NAME: u64 = 1;
    pub(super) const ALIAS: u64 = 2;
    pub(super) const METRIC_TIMESTAMP: u64 = 3;
    pub(super) const DATATYPE: u64 = 4;
    pub(super) const IS_HISTORICAL: u64 = 5;
    pub(super) const IS_NULL: u64 = 7;
    pub(super) const PROPERTIES: u64 = 9;
    pub(super) const INT_VALUE: u64 = 10;
    pub(super) const LONG_VALUE: u64 = 11;
    pub(super) const FLOAT_VALUE: u64 = 12;
    pub(super) const DOUBLE_VALUE: u64 = 13;
    pub(super) const BOOLEAN_VALUE: u64 = 14;
    pub(super) const STRING_VALUE: u64 = 15;
    /// The last of those that hold a value; those from bytes on are no numbers.
    pub(super) const EXTENSION_VALUE: u64 = 19;

    pub(super) const PROPERTY_KEY: u64 = 1;
    pub(super) const PROPERTY_VALUE: u64 = 2;
    pub(super) const PROPERTY_INT: u64 = 3;
    pub(super) const PROPERTY_LONG: u64 = 4;
}

/// A payload that is sound as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payload<'p> {
    bytes: &'p [u8],
    /// When it was sent, in milliseconds since 1970.
    pub(super) time: Option<u64>,
    /// Its number among the messages of its node.
    pub(super) seq: Option<u64>,
}

/// One metric of a payload.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Metric<'p> {
    pub(super) name: Option<&'p str>,
    pub(super) alias: Option<u64>,
    /// When the value was taken, in milliseconds since 1970.
    pub(super) time: Option<u64>,
    pub(super) datatype: Option<u64>,
    pub(super) is_historical: bool,
    is_null: bool,
    /// The property `Quality`, where it is there.
    pub(super) quality: Option<u64>,
    raw: Raw<'p>,
}

/// A value as it stands on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Raw<'p> {
    /// None, or one that is no number: bytes, a table, a template.
    #[default]
    Other,
    Int(u64),
    Long(u64),
    Float(f32),
    Double(f64),
    Truth(bool),
    Text(&'p str),
}

/// A value by its data type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Given<'p> {
    Number(f64),
    Truth(bool),
    Text(&'p str),
}

impl<'p> Payload<'p> {
    /// Looks through all of a payload.
    ///
    /// # Errors
    /// [`RejectReason::MalformedPayload`], [`RejectReason::TooManyKeys`].
    pub(super) fn read(bytes: &'p [u8]) -> Result<Self, RejectReason> {
        let mut payload = Self { bytes, time: None, seq: None };
        let mut metrics = 0;
        each_field(bytes, |tag, value| {
            match (tag, value) {
                (tag::TIMESTAMP, Value::Varint(time)) => payload.time = Some(time),
                (tag::SEQ, Value::Varint(seq)) => payload.seq = Some(seq),
                (tag::METRIC, Value::Bytes(metric)) => {
                    metrics += 1;
                    Metric::read(metric)?;
                }
                _ => {}
            }
            Some(())
        })
        .ok_or(RejectReason::MalformedPayload)?;
        if metrics > MAX_METRICS { Err(RejectReason::TooManyKeys) } else { Ok(payload) }
    }

    /// Its metrics in their order.
    pub(super) fn metrics(&self) -> impl Iterator<Item = Metric<'p>> + use<'p> {
        let mut rest = self.bytes;
        let fields = std::iter::from_fn(move || {
            let (tag, value, next) = field(rest)?;
            rest = next;
            Some((tag, value))
        });
        fields.filter_map(|(tag, value)| match value {
            Value::Bytes(metric) if tag == tag::METRIC => Metric::read(metric),
            _ => None,
        })
    }

    /// The whole number that the metric of this name holds.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        let metric = self.metrics().find(|metric| metric.name == Some(name))?;
        if let Raw::Int(count) | Raw::Long(count) = metric.raw { Some(count) } else { None }
    }
}

impl<'p> Metric<'p> {
    fn read(bytes: &'p [u8]) -> Option<Self> {
        let mut metric = Self::default();
        each_field(bytes, |tag, value| {
            match (tag, value) {
                (tag::NAME, Value::Bytes(name)) => metric.name = Some(text(name)?).filter(|n| !n.is_empty()),
                (tag::ALIAS, Value::Varint(alias)) => metric.alias = Some(alias),
                (tag::METRIC_TIMESTAMP, Value::Varint(time)) => metric.time = Some(time),
                (tag::DATATYPE, Value::Varint(datatype)) => metric.datatype = Some(datatype),
                (tag::IS_HISTORICAL, Value::Varint(flag)) => metric.is_historical = flag != 0,
                (tag::IS_NULL, Value::Varint(flag)) => metric.is_null = flag != 0,
                (tag::PROPERTIES, Value::Bytes(properties)) => metric.read_quality(properties)?,
                (tag::INT_VALUE..=tag::EXTENSION_VALUE, value) => metric.raw = Raw::read(tag, value)?,
                _ => {}
            }
            Some(())
        })?;
        Some(metric)
    }

    /// Reads the property `Quality`, if it is among the properties: keys and values stand in two lists.
    fn read_quality(&mut self, properties: &[u8]) -> Option<()> {
        let (mut keys, mut at) = (0, None);
        each_field(properties, |tag, value| {
            if let (tag::PROPERTY_KEY, Value::Bytes(key)) = (tag, value) {
                at = at.or_else(|| (key == b"Quality").then_some(keys));
                keys += 1;
            }
            Some(())
        })?;
        let mut values = 0;
        each_field(properties, |tag, value| {
            let (tag::PROPERTY_VALUE, Value::Bytes(value)) = (tag, value) else { return Some(()) };
            values += 1;
            if at != Some(values - 1) {
                return Some(());
            }
            each_field(value, |tag, value| {
                if let (tag::PROPERTY_INT | tag::PROPERTY_LONG, Value::Varint(code)) = (tag, value) {
                    self.quality = Some(code);
                }
                Some(())
            })
        })
    }

    /// The value by its data type: that of the metric, else the one that the BIRTH gave.
    ///
    /// # Errors
    /// [`RejectReason::NotANumber`], [`RejectReason::OutOfRange`] where a value does not fit its data type, and
    /// [`RejectReason::MissingBirth`] where nothing tells whether a whole number has a sign.
    pub(super) fn given(&self, at_birth: Option<u64>) -> Result<Given<'p>, RejectReason> {
        if self.is_null {
            return Err(RejectReason::NotANumber);
        }
        let datatype = self.datatype.filter(|datatype| *datatype != 0).or(at_birth);
        match (self.raw, datatype) {
            (Raw::Int(_) | Raw::Long(_), None | Some(0)) => Err(RejectReason::MissingBirth),
            (Raw::Int(raw) | Raw::Long(raw), Some(datatype)) => whole(raw, datatype).map(Given::Number),
            (Raw::Float(value), _) => Ok(Given::Number(f64::from(value))),
            (Raw::Double(value), _) => Ok(Given::Number(value)),
            (Raw::Truth(value), _) => Ok(Given::Truth(value)),
            (Raw::Text(text), _) => Ok(Given::Text(text)),
            (Raw::Other, _) => Err(RejectReason::NotANumber),
        }
    }
}

impl<'p> Raw<'p> {
    fn read(tag: u64, value: Value<'p>) -> Option<Self> {
        Some(match (tag, value) {
            (tag::INT_VALUE, Value::Varint(raw)) => Self::Int(raw),
            (tag::LONG_VALUE, Value::Varint(raw)) => Self::Long(raw),
            (tag::FLOAT_VALUE, Value::Four(raw)) => Self::Float(f32::from_le_bytes(raw)),
            (tag::DOUBLE_VALUE, Value::Eight(raw)) => Self::Double(f64::from_le_bytes(raw)),
            (tag::BOOLEAN_VALUE, Value::Varint(raw)) => Self::Truth(raw != 0),
            (tag::STRING_VALUE, Value::Bytes(raw)) => Self::Text(text(raw)?),
            _ => Self::Other,
        })
    }
}

impl std::fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

/// A whole number by its data type. Negative ones come as two's complement, of the type's own width or, from some
/// libraries, of 32 or 64 bits.
fn whole(raw: u64, datatype: u64) -> Result<f64, RejectReason> {
    let signed = |bits: u32| {
        let extended = |bits: u32| (raw << (64 - bits)).cast_signed() >> (64 - bits);
        let width = [bits, 32, 64].into_iter().find(|width| *width == 64 || raw >> width == 0)?;
        let (value, limit) = (extended(width), 1_i64 << (bits - 1));
        (-limit..limit).contains(&value).then_some(value as f64)
    };
    let unsigned = |bits: u32| (raw >> bits == 0).then_some(raw as f64);
    let value = match datatype {
        1 => signed(8),
        2 => signed(16),
        3 => signed(32),
        4 => Some(raw.cast_signed() as f64),
        5 => unsigned(8),
        6 => unsigned(16),
        7 => unsigned(32),
        8 => Some(raw as f64),
        // A float or a boolean in a field of whole numbers, a date: nobody knows what is meant.
        _ => return Err(RejectReason::NotANumber),
    };
    value.ok_or(RejectReason::OutOfRange)
}

/// Gives each field of a message to `take`; `None` where the bytes are no message, or `take` says so.
fn each_field<'p>(mut rest: &'p [u8], mut take: impl FnMut(u64, Value<'p>) -> Option<()>) -> Option<()> {
    while !rest.is_empty() {
        let (tag, value, next) = field(rest).filter(|(tag, ..)| *tag != 0)?;
        take(tag, value)?;
        rest = next;
    }
    Some(())
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
