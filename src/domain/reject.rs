//! Why something that came in was not used, and how often.

use std::fmt;

/// Why a message or one reading of it was not used. Every rejection is counted under exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RejectReason {
    /// The topic matches no input template.
    UnknownTopic,
    /// The payload is longer than the configured limit.
    PayloadTooLarge,
    /// The payload is not UTF-8 text, not JSON or nested too deeply.
    MalformedPayload,
    /// JSON, but of another shape than a reading or a frame.
    UnexpectedShape,
    /// A frame with more keys than the limit; the keys beyond it are not read.
    TooManyKeys,
    /// The unit's name cannot be used.
    InvalidUnit,
    /// A new unit beyond `max_units`.
    TooManyUnits,
    /// A sensor the bundle does not know. Counted, otherwise harmless.
    UnknownSensor,
    /// The same sensor twice in one frame: no telling which value holds.
    DuplicateKey,
    /// A string, boolean, null, array or object where a number was expected.
    NotANumber,
    /// NaN, an infinity or a number beyond what a double holds.
    NotFinite,
    /// A number outside the sensor's accepted range, sentinel values such as 65535 among them.
    OutOfRange,
    /// A time that cannot be read.
    InvalidTime,
    /// A time further ahead of the clock than `max_clock_skew`. It alone is not used: the time of arrival
    /// counts instead. A retained message has no such time and is refused.
    FutureTime,
    /// Older than the reading held for the sensor.
    LateReading,
    /// A retained message without a time of its own: its age is unknown.
    RetainedWithoutTime,
    /// A number that means: no value, by the rule that reads it.
    SentinelValue,
    /// A value whose source says that it is not good.
    BadQuality,
    /// What a value stands for was said in a BIRTH message that has not been heard, or not since others were missed.
    MissingBirth,
}

/// Number of reasons, the length of the counter table.
const REASONS: usize = RejectReason::ALL.len();

impl RejectReason {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 19] = [
        Self::UnknownTopic,
        Self::PayloadTooLarge,
        Self::MalformedPayload,
        Self::UnexpectedShape,
        Self::TooManyKeys,
        Self::InvalidUnit,
        Self::TooManyUnits,
        Self::UnknownSensor,
        Self::DuplicateKey,
        Self::NotANumber,
        Self::NotFinite,
        Self::OutOfRange,
        Self::InvalidTime,
        Self::FutureTime,
        Self::LateReading,
        Self::RetainedWithoutTime,
        Self::SentinelValue,
        Self::BadQuality,
        Self::MissingBirth,
    ];

    /// The name it has in the health document and in log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownTopic => "unknown_topic",
            Self::PayloadTooLarge => "payload_too_large",
            Self::MalformedPayload => "malformed_payload",
            Self::UnexpectedShape => "unexpected_shape",
            Self::TooManyKeys => "too_many_keys",
            Self::InvalidUnit => "invalid_unit",
            Self::TooManyUnits => "too_many_units",
            Self::UnknownSensor => "unknown_sensor",
            Self::DuplicateKey => "duplicate_key",
            Self::NotANumber => "not_a_number",
            Self::NotFinite => "not_finite",
            Self::OutOfRange => "out_of_range",
            Self::InvalidTime => "invalid_time",
            Self::FutureTime => "future_time",
            Self::LateReading => "late_reading",
            Self::RetainedWithoutTime => "retained_without_time",
            Self::SentinelValue => "sentinel_value",
            Self::BadQuality => "bad_quality",
            Self::MissingBirth => "missing_birth",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One counter a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RejectCounts {
    counts: [u64; REASONS],
}

impl RejectCounts {
    /// Counts one more of `reason`.
    pub fn add(&mut self, reason: RejectReason) {
        self.add_many(reason, 1);
    }

    /// Counts `more` of `reason`.
    pub fn add_many(&mut self, reason: RejectReason, more: u64) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count = count.saturating_add(more);
        }
    }

    /// How many of `reason` were counted.
    #[must_use]
    pub fn get(&self, reason: RejectReason) -> u64 {
        self.counts.get(reason as usize).copied().unwrap_or(0)
    }

    /// The reasons that occurred, with their counts, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (RejectReason, u64)> + '_ {
        RejectReason::ALL.into_iter().map(|reason| (reason, self.get(reason))).filter(|(_, count)| *count > 0)
    }

    /// Sum over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter_and_name() {
        let mut counts = RejectCounts::default();
        for (index, reason) in RejectReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            counts.add(reason);
        }
        assert_eq!(counts.total(), REASONS as u64);
        let mut names: Vec<_> = RejectReason::ALL.iter().map(|reason| reason.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), REASONS);
    }
}
