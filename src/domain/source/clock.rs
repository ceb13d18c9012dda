//! Times as sources write them.

use crate::domain::reject::RejectReason;
use crate::domain::time::{Timestamp, ZoneSpec};

/// How a source writes its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeFormat {
    /// RFC 3339 where it is a text, else a number whose magnitude tells its unit.
    #[default]
    Auto,
    /// RFC 3339 with an offset, or without one in the rule's zone.
    Rfc3339,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// Microseconds since 1970.
    Micros,
    /// Nanoseconds since 1970.
    Nanos,
}

impl TimeFormat {
    /// All of them with the names they have in settings.
    pub const ALL: [(&'static str, Self); 6] = [
        ("auto", Self::Auto),
        ("rfc3339", Self::Rfc3339),
        ("s", Self::Seconds),
        ("ms", Self::Millis),
        ("us", Self::Micros),
        ("ns", Self::Nanos),
    ];

    /// The format of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// Units in a second, for formats that are numbers.
    fn per_second(self) -> Option<i128> {
        match self {
            Self::Auto | Self::Rfc3339 => None,
            Self::Seconds => Some(1),
            Self::Millis => Some(1_000),
            Self::Micros => Some(1_000_000),
            Self::Nanos => Some(1_000_000_000),
        }
    }

    /// Reads a time from JSON text, a text in quotes or a number; null is none.
    ///
    /// # Errors
    /// [`RejectReason::InvalidTime`].
    pub fn read_json(self, raw: &str, zone: &ZoneSpec) -> Result<Option<Timestamp>, RejectReason> {
        if raw == "null" {
            return Ok(None);
        }
        match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(text) => self.read_text(text, zone),
            None if self == Self::Rfc3339 => Err(RejectReason::InvalidTime),
            None => self.read_number(raw),
        }
        .map(Some)
    }

    fn read_text(self, text: &str, zone: &ZoneSpec) -> Result<Timestamp, RejectReason> {
        match self {
            Self::Rfc3339 => Timestamp::parse(text, zone).ok_or(RejectReason::InvalidTime),
            Self::Auto => match Timestamp::parse(text, zone) {
                Some(time) => Ok(time),
                None => self.read_number(text.trim()),
            },
            _ => self.read_number(text.trim()),
        }
    }

    /// Reads a time from the text of a number.
    ///
    /// # Errors
    /// [`RejectReason::InvalidTime`].
    pub fn read_number(self, text: &str) -> Result<Timestamp, RejectReason> {
        let time = match (self.per_second(), text.parse::<i64>()) {
            // Whole numbers exactly: nanoseconds have more digits than a double.
            (Some(per_second), Ok(number)) => in_range(i128::from(number) * 1_000_000 / per_second),
            (Some(per_second), Err(_)) => {
                let micros = text.parse::<f64>().ok().filter(|number| number.is_finite());
                micros.and_then(|number| in_range((number * (1e6 / per_second as f64)).round() as i128))
            }
            (None, _) => text.parse::<f64>().ok().and_then(Timestamp::from_epoch_number),
        };
        time.ok_or(RejectReason::InvalidTime)
    }
}

fn in_range(micros: i128) -> Option<Timestamp> {
    let micros = i64::try_from(micros).ok()?;
    Some(Timestamp::from_micros(micros)).filter(|time| time.as_micros() == micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, raw: &str) -> Option<String> {
        let zone = ZoneSpec::parse("Europe/Vienna").unwrap();
        let format = TimeFormat::of_name(name).unwrap();
        format.read_json(raw, &zone).ok().flatten().map(|time| time.to_string())
    }

    #[test]
    fn every_format() {
        let noon = Some("2026-03-01T12:00:00Z".to_owned());
        for (name, raw) in [
            ("auto", "\"2026-03-01T12:00:00Z\""),
            ("auto", "\"2026-03-01T13:00:00\""),
            ("auto", "1772366400"),
            ("auto", "1772366400000"),
            ("auto", "\"1772366400\""),
            ("rfc3339", "\"2026-03-01T14:00:00+02:00\""),
            ("rfc3339", "\"2026-03-01T13:00:00\""),
            ("rfc3339", "\"2026-03-01 13:00:00\""),
            ("s", "1772366400"),
            ("s", "1772366400.0"),
            ("s", "\"1772366400\""),
            ("ms", "1772366400000"),
            ("us", "1772366400000000"),
            ("ns", "1772366400000000000"),
        ] {
            assert_eq!(read(name, raw), noon, "{name} {raw}");
        }
        assert_eq!(read("s", "1772366400.25").unwrap(), "2026-03-01T12:00:00.25Z");
        assert_eq!(read("ns", "1772366400123456789").unwrap(), "2026-03-01T12:00:00.123456Z");
    }

    #[test]
    fn what_is_no_time() {
        for (name, raw) in [
            ("rfc3339", "1772366400"),
            ("auto", "\"soon\""),
            ("s", "true"),
            ("s", "1e300"),
            ("ms", "\"\""),
            ("s", "{}"),
            ("s", "9223372036854775807"),
        ] {
            assert_eq!(read(name, raw), None, "{name} {raw}");
        }
        assert_eq!(TimeFormat::Auto.read_json("null", &ZoneSpec::utc()), Ok(None));
        assert_eq!(TimeFormat::of_name("fortnight"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_can_hurt(text in ".{0,40}") {
            for (_, format) in TimeFormat::ALL {
                let _ = format.read_json(&text, &ZoneSpec::utc());
                let _ = format.read_number(&text);
            }
        }
    }
}
