//! Faults: what can go wrong with a unit or its sensors, how strongly, from which row on, and where.
//!
//! Physical faults bend the plant ([`Wear`]); sensor faults bend the finished row. Both leave every
//! random stream of the healthy unit alone, so rows before the onset are identical to a healthy run.

use std::fmt;
use std::str::FromStr;

use super::plant::Wear;
use super::random::Stream;
use super::{CHANNELS, UnitValues};

/// What a logger writes when it has no value: all ones in an unsigned 16-bit register.
pub const SENTINEL: f64 = 65535.0;
/// A drift reaches its full size after this time, s: an hour shows the onset in a day's plot.
const DRIFT_RAMP_S: f64 = 3600.0;
/// A drift of severity 1 as a share of the channel's normal span; temperatures use kelvins instead.
const DRIFT_SHARE: f64 = 0.2;
/// A drift of severity 1 on a temperature, K.
const DRIFT_KELVIN: f64 = 5.0;

/// One of the channels of a row, by its place in [`CHANNELS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel(usize);

impl Channel {
    /// The channel named `id` (letter case does not matter).
    #[must_use]
    pub fn named(id: &str) -> Option<Self> {
        CHANNELS.iter().position(|channel| channel.eq_ignore_ascii_case(id)).map(Self)
    }

    /// Its id, as in [`CHANNELS`].
    #[must_use]
    pub fn id(self) -> &'static str {
        CHANNELS.get(self.0).copied().unwrap_or_default()
    }

    /// Replaces a reported value; a missing one stays missing.
    fn change(self, values: &mut UnitValues, with: impl FnOnce(f64) -> Option<f64>) {
        if let Some(slot) = values.get_mut(self.0) {
            *slot = slot.and_then(with);
        }
    }

    /// The offset of a fully developed drift of severity 1, in the channel's unit.
    fn drift_span(self) -> f64 {
        match self.id() {
            "AMBT" | "UCTSP" | "UCAIT" | "UCWIT" | "UCAOT" | "UCWOT" => DRIFT_KELVIN,
            "UCWF" | "CPCF" | "MVWF" => DRIFT_SHARE * 0.82,
            "UCAF" => DRIFT_SHARE * 1148.0,
            "UCFS" => DRIFT_SHARE * 983.0,
            "UCFMS" => DRIFT_SHARE * 1395.0,
            "CPMC" => DRIFT_SHARE * 0.96,
            "UCHC" | "MVCV" => DRIFT_SHARE * 3.05,
            "UCHV" | "CPMV" => DRIFT_SHARE * 417.0,
            "UCWDP" => DRIFT_SHARE * 25.0,
            "UCOM" => DRIFT_SHARE,
            _ => DRIFT_SHARE * 1000.0,
        }
    }
}

/// What goes wrong. Severity is 0 (healthy) to 1; its meaning is given with each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `fouled-coil`: the coil's conductance UA falls by this share.
    FouledCoil,
    /// `clogged-filter`: the air flow falls by this share.
    CloggedFilter,
    /// `belt-slip`: the fan turns slower than the belt would have it by this share.
    BeltSlip,
    /// `stuck-valve`: the mixing valve no longer closes below this position, and half that share of
    /// return water leaks into the coil inlet behind the UCWIT sensor (seen by MVWF).
    StuckValve,
    /// `drift-SENSOR`: an offset that grows over an hour to severity x 5 K for temperatures,
    /// severity x 20 percent of the normal span for others.
    Drift(Channel),
    /// `flatline-SENSOR`: the value freezes; below 1 the rest of its movement still shows.
    Flatline(Channel),
    /// `dropped-SENSOR`: this share of its readings is missing.
    Dropped(Channel),
    /// `swapped-SENSOR-SENSOR`: this share of rows has the two columns exchanged.
    Swapped(Channel, Channel),
    /// `sentinel-SENSOR`: this share of its readings is 65535, a logger's "no value".
    Sentinel(Channel),
}

/// Where faults that need a sensor strike when none is named: supply water, the most telling input.
const DEFAULT_SENSOR: &str = "UCWIT";
/// What changes places when `swapped-columns` names nothing: two columns that look alike.
const DEFAULT_SWAP: (&str, &str) = ("UCAIT", "UCWIT");

impl FaultKind {
    /// What the command line accepts, for help texts and messages.
    pub const NAMES: &str = "fouled-coil, clogged-filter, belt-slip, stuck-valve, drift-SENSOR, \
        flatline[-SENSOR], dropped-sensor or dropped-SENSOR, swapped-columns or swapped-SENSOR-SENSOR, \
        sentinel[-SENSOR]";
}

impl fmt::Display for FaultKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FouledCoil => out.write_str("fouled-coil"),
            Self::CloggedFilter => out.write_str("clogged-filter"),
            Self::BeltSlip => out.write_str("belt-slip"),
            Self::StuckValve => out.write_str("stuck-valve"),
            Self::Drift(channel) => write!(out, "drift-{}", channel.id()),
            Self::Flatline(channel) => write!(out, "flatline-{}", channel.id()),
            Self::Dropped(channel) => write!(out, "dropped-{}", channel.id()),
            Self::Swapped(one, other) => write!(out, "swapped-{}-{}", one.id(), other.id()),
            Self::Sentinel(channel) => write!(out, "sentinel-{}", channel.id()),
        }
    }
}

impl FromStr for FaultKind {
    type Err = FaultParseError;

    fn from_str(text: &str) -> Result<Self, FaultParseError> {
        // Underscores are accepted too: both spellings are in use.
        let name = text.replace('_', "-").to_ascii_lowercase();
        let sensor = |id: &str| {
            Channel::named(id).ok_or_else(|| FaultParseError::UnknownSensor(id.to_ascii_uppercase()))
        };
        let mut parts = name.split('-');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("fouled"), Some("coil"), None, None) => Ok(Self::FouledCoil),
            (Some("clogged"), Some("filter"), None, None) => Ok(Self::CloggedFilter),
            (Some("belt"), Some("slip"), None, None) => Ok(Self::BeltSlip),
            (Some("stuck"), Some("valve"), None, None) => Ok(Self::StuckValve),
            (Some("drift"), Some(id), None, None) => Ok(Self::Drift(sensor(id)?)),
            (Some("flatline"), id, None, None) => Ok(Self::Flatline(sensor(id.unwrap_or(DEFAULT_SENSOR))?)),
            (Some("dropped"), Some("sensor"), None, None) => Ok(Self::Dropped(sensor(DEFAULT_SENSOR)?)),
            (Some("dropped"), Some(id), None, None) => Ok(Self::Dropped(sensor(id)?)),
            (Some("sentinel"), id, None, None) => Ok(Self::Sentinel(sensor(id.unwrap_or(DEFAULT_SENSOR))?)),
            (Some("swapped"), Some("columns"), None, None) => {
                Ok(Self::Swapped(sensor(DEFAULT_SWAP.0)?, sensor(DEFAULT_SWAP.1)?))
            }
            (Some("swapped"), Some(one), Some(other), None) => {
                Ok(Self::Swapped(sensor(one)?, sensor(other)?))
            }
            _ => Err(FaultParseError::UnknownKind(text.to_owned())),
        }
    }
}

/// One fault: `KIND:SEVERITY:FROM_ROW[:UNIT]` on the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultSpec {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How strongly, 0 (healthy) to 1; see [`FaultKind`].
    pub severity: f64,
    /// The first row (counted from 0) that shows it.
    pub from_row: u64,
    /// The unit it strikes, for example `cooler-02`; `None`: all units.
    pub unit: Option<String>,
}

/// Why a fault could not be understood.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultParseError {
    /// Not three or four parts.
    #[error(
        "fault `{0}`: expected KIND:SEVERITY:FROM_ROW or KIND:SEVERITY:FROM_ROW:UNIT, for example fouled-coil:0.3:240"
    )]
    Shape(String),
    /// No such kind.
    #[error("unknown fault kind `{0}`; the kinds are {names}", names = FaultKind::NAMES)]
    UnknownKind(String),
    /// No such sensor.
    #[error("unknown sensor `{0}` in a fault kind; the sensors are {list}", list = CHANNELS.join(", "))]
    UnknownSensor(String),
    /// Severity is not a number from 0 to 1.
    #[error("fault severity `{0}`: expected a number from 0 (healthy) to 1")]
    Severity(String),
    /// The onset is not a row number.
    #[error("fault onset `{0}`: expected the number of the first affected row, counted from 0")]
    FromRow(String),
}

impl FromStr for FaultSpec {
    type Err = FaultParseError;

    fn from_str(text: &str) -> Result<Self, FaultParseError> {
        let parts: Vec<&str> = text.split(':').collect();
        let (kind, severity, from_row, unit) = match parts.as_slice() {
            [kind, severity, from_row] => (kind, severity, from_row, None),
            [kind, severity, from_row, unit] if !unit.is_empty() => (kind, severity, from_row, Some(*unit)),
            _ => return Err(FaultParseError::Shape(text.to_owned())),
        };
        Ok(Self {
            kind: kind.parse()?,
            severity: severity
                .parse()
                .ok()
                .filter(|number| (0.0..=1.0).contains(number))
                .ok_or_else(|| FaultParseError::Severity((*severity).to_owned()))?,
            from_row: from_row.parse().map_err(|_| FaultParseError::FromRow((*from_row).to_owned()))?,
            unit: unit.map(str::to_owned),
        })
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.kind, self.severity, self.from_row)?;
        self.unit.as_ref().map_or(Ok(()), |unit| write!(out, ":{unit}"))
    }
}

/// A fault at work in one unit.
#[derive(Debug)]
pub(super) struct Fault {
    kind: FaultKind,
    severity: f64,
    from_row: u64,
    chance: Stream,
    /// The value a flatline froze at.
    held: Option<f64>,
}

impl Fault {
    /// `spec` in unit number `unit`; `place` tells two faults of one run apart.
    pub(super) fn new(spec: &FaultSpec, seed: u64, unit: u32, place: usize) -> Self {
        Self {
            kind: spec.kind,
            severity: spec.severity,
            from_row: spec.from_row,
            chance: Stream::new(seed, unit, &format!("fault-{place}")),
            held: None,
        }
    }

    /// Adds what this fault does to the plant on the way to row `row`.
    pub(super) fn wear(&self, row: u64, wear: &mut Wear) {
        if row < self.from_row {
            return;
        }
        let left = 1.0 - self.severity;
        match self.kind {
            FaultKind::FouledCoil => wear.coil *= left,
            FaultKind::CloggedFilter => wear.air *= left,
            FaultKind::BeltSlip => wear.belt *= left,
            FaultKind::StuckValve => wear.valve_jam = wear.valve_jam.max(self.severity),
            _ => {}
        }
    }

    /// Bends the finished row number `row` of a run that reports every `step_s` seconds.
    pub(super) fn distort(&mut self, row: u64, step_s: f64, values: &mut UnitValues) {
        let Some(rows) = row.checked_sub(self.from_row).filter(|_| self.severity > 0.0) else { return };
        match self.kind {
            FaultKind::Drift(channel) => {
                let grown = ((rows as f64 + 1.0) * step_s / DRIFT_RAMP_S).min(1.0);
                let offset = grown * self.severity * channel.drift_span();
                channel.change(values, |value| Some(fine(value + offset)));
            }
            FaultKind::Flatline(channel) => {
                let keep = 1.0 - self.severity;
                let held = &mut self.held;
                channel.change(values, |value| {
                    let held = *held.get_or_insert(value);
                    Some(fine(held + keep * (value - held)))
                });
            }
            FaultKind::Dropped(channel) => {
                let lost = self.chance.uniform() < self.severity;
                channel.change(values, |value| (!lost).then_some(value));
            }
            FaultKind::Sentinel(channel) => {
                let lost = self.chance.uniform() < self.severity;
                channel.change(values, |value| Some(if lost { SENTINEL } else { value }));
            }
            FaultKind::Swapped(one, other) => {
                if self.chance.uniform() < self.severity {
                    values.swap(one.0, other.0);
                }
            }
            FaultKind::FouledCoil
            | FaultKind::CloggedFilter
            | FaultKind::BeltSlip
            | FaultKind::StuckValve => {}
        }
    }
}

/// Rounded to the finest step any channel reports, so that distorted values print short too.
fn fine(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0 + 0.0
}
