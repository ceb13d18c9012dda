//! Times as values: wall-clock instants, monotonic instants and the pair handed to the engine.

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;
/// Latest instant the calendar code handles, about the year 9999; later numbers are not times.
const MAX_MICROS: i64 = 253_402_200_000 * MICROS;
/// 0000-01-01T00:00:00Z: RFC 3339, in which documents tell times, has no earlier years.
const MIN_MICROS: i64 = -62_167_219_200 * MICROS;

/// 2026-01-01T00:00:00Z: there was no cooltwin before, so a clock that tells an earlier time was never set, as on
/// a machine without a battery before the network tells it the time. A fixed date, not that of the build, so
/// that builds can be reproduced and replays do not depend on them.
pub const CLOCK_FLOOR: Timestamp = Timestamp(1_767_225_600 * MICROS);

/// A wall-clock instant: microseconds since 1970-01-01T00:00:00Z. May be wrong or jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch, clamped to the years 0 to 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(MIN_MICROS, MAX_MICROS))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant plus a duration, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros_of(by)))
    }

    /// This instant less a duration, saturating.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros_of(by)))
    }

    /// How long after `earlier` this instant is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses RFC 3339 (`2026-01-31T12:00:00.5Z`, any offset) or the same without an offset, which is
    /// then read in `zone`. Returns `None` for anything else.
    #[must_use]
    pub fn parse(text: &str, zone: &ZoneSpec) -> Option<Self> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Some(Self::from_micros(instant.as_microsecond()));
        }
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        let instant = zone.zone.to_ambiguous_timestamp(civil).compatible().ok()?;
        Some(Self::from_micros(instant.as_microsecond()))
    }

    /// Reads a number as seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart
    /// by magnitude (the ranges do not overlap for years 1973 to 5138). `None` when not finite.
    #[must_use]
    pub fn from_epoch_number(number: f64) -> Option<Self> {
        let micros = match number.abs() {
            magnitude if magnitude < 1e11 => number * 1e6,
            magnitude if magnitude < 1e14 => number * 1e3,
            magnitude if magnitude < 1e17 => number,
            magnitude if magnitude.is_finite() => number / 1e3,
            _ => return None,
        };
        let micros = micros.round() as i64;
        // Large negative numbers come out of the cast as the smallest integer, which has no positive twin.
        (MIN_MICROS..=MAX_MICROS).contains(&micros).then_some(Self(micros))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with as many decimals as needed: `2026-01-31T12:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// A time zone by name: `UTC`, an IANA name such as `Europe/Vienna`, or a fixed offset `+02:00`.
#[derive(Debug, Clone)]
pub struct ZoneSpec {
    name: String,
    zone: TimeZone,
}

impl ZoneSpec {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    /// Looks the name up in the zone database built into the program.
    ///
    /// # Errors
    /// A sentence that names the zone and what would be accepted.
    pub fn parse(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("utc") || name == "Z" {
            return Ok(Self::utc());
        }
        let zone = parse_fixed_offset(name).or_else(|| TimeZone::get(name).ok()).ok_or_else(|| {
            format!("unknown time zone `{name}`: use `UTC`, an IANA name such as `Europe/Vienna` or an offset such as `+02:00`")
        })?;
        Ok(Self { name: name.to_owned(), zone })
    }

    /// The name it was made from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hour of the local day at `at`, 0 <= h < 24, with minutes and seconds as its fraction.
    #[must_use]
    pub fn hour_of_day(&self, at: Timestamp) -> f64 {
        let offset_s = jiff::Timestamp::from_microsecond(at.as_micros())
            .map_or(0, |instant| i64::from(self.zone.to_offset(instant).seconds()));
        let day_micros = (at.as_micros() + offset_s * MICROS).rem_euclid(86_400 * MICROS);
        day_micros as f64 / (3_600.0 * MICROS as f64)
    }
}

fn parse_fixed_offset(name: &str) -> Option<TimeZone> {
    let (sign, rest) = match name.as_bytes().first()? {
        b'+' => (1, name.get(1..)?),
        b'-' => (-1, name.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    // As narrow numbers, so that nothing overflows; jiff refuses what is more than a day or so.
    let seconds = i32::from(hours.parse::<u8>().ok()?) * 3600 + i32::from(minutes.parse::<u8>().ok()?) * 60;
    Some(TimeZone::fixed(jiff::tz::Offset::from_seconds(sign * seconds).ok()?))
}

/// An instant of a clock that never jumps, microseconds from an arbitrary start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Time passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This instant plus a duration, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// The time as the engine is told it: what the wall clock says and what the monotonic clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall clock; used for event times only.
    pub wall: Timestamp,
    /// Monotonic clock; used for every age and deadline.
    pub monotonic: Monotonic,
}

impl Now {
    /// A time in which both clocks agree, as in replay: the monotonic one counts from the epoch.
    #[must_use]
    pub fn replay(at: Timestamp) -> Self {
        Self { wall: at, monotonic: Monotonic(u64::try_from(at.as_micros()).unwrap_or(0)) }
    }
}

/// A duration in whole microseconds, saturating.
pub(crate) fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_rfc3339() {
        let utc = ZoneSpec::utc();
        let t = Timestamp::parse("2026-01-31T12:00:00.25+01:00", &utc).unwrap();
        assert_eq!(t.to_string(), "2026-01-31T11:00:00.25Z");
        assert_eq!(Timestamp::parse("yesterday", &utc), None);
    }

    #[test]
    fn a_time_without_offset_is_read_in_the_zone() {
        let vienna = ZoneSpec::parse("Europe/Vienna").unwrap();
        let t = Timestamp::parse("2026-07-01T12:00:00", &vienna).unwrap();
        assert_eq!(t.to_string(), "2026-07-01T10:00:00Z");
        assert!((vienna.hour_of_day(t) - 12.0).abs() < 1e-12);
    }

    #[test]
    fn epoch_numbers_are_told_apart_by_magnitude() {
        let want = Timestamp::from_micros(1_700_000_000_000_000);
        for number in [1.7e9, 1.7e12, 1.7e15, 1.7e18] {
            assert_eq!(Timestamp::from_epoch_number(number), Some(want));
        }
        assert_eq!(Timestamp::from_epoch_number(f64::INFINITY), None);
        assert_eq!(Timestamp::from_epoch_number(1e300), None);
        assert_eq!(Timestamp::from_epoch_number(-1e300), None);
        assert_eq!(Timestamp::from_epoch_number(-1.9e22), None);
    }

    #[test]
    fn no_time_is_printed_that_rfc3339_has_not() {
        let utc = ZoneSpec::utc();
        let first = Timestamp::from_micros(i64::MIN);
        assert_eq!(first.to_string(), "0000-01-01T00:00:00Z");
        assert_eq!(Timestamp::parse("-000300-01-01T00:00:00Z", &utc), Some(first));
        assert_eq!(Timestamp::from_epoch_number(-7e10), None);
        assert!(Timestamp::from_micros(i64::MAX).to_string().starts_with("9999-12-"));
    }

    #[test]
    fn zones_by_offset_and_unknown_zones() {
        let zone = ZoneSpec::parse("-03:30").unwrap();
        assert!((zone.hour_of_day(Timestamp::from_micros(0)) - 20.5).abs() < 1e-12);
        assert!(ZoneSpec::parse("Mars/Olympus").unwrap_err().contains("Mars/Olympus"));
        assert!(ZoneSpec::parse("+99:00").is_err());
        assert!(ZoneSpec::parse("+9999999:00").is_err());
        assert!(ZoneSpec::parse("+-1:30").is_err());
    }
}
