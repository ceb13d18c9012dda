//! Units of measurement by name, and what a number in one of them is in another.

use std::fmt::Write as _;

/// What a unit measures. Units convert within one of these only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Temperature,
    TemperatureDifference,
    Flow,
    Pressure,
    Power,
    Ratio,
    Frequency,
    Voltage,
    Current,
    Speed,
}

impl Dimension {
    fn name(self) -> &'static str {
        match self {
            Self::Temperature => "a temperature",
            Self::TemperatureDifference => "a difference of temperatures",
            Self::Flow => "a flow",
            Self::Pressure => "a pressure",
            Self::Power => "a power",
            Self::Ratio => "a ratio",
            Self::Frequency => "a frequency",
            Self::Voltage => "a voltage",
            Self::Current => "a current",
            Self::Speed => "a speed",
        }
    }
}

/// One unit: `(x + shift) * numerator / denominator` is `x` in the dimension's base unit. A fraction rather than a
/// factor, so that round numbers stay round: 212 degF are 100 degC and not a hair more.
#[derive(Debug, PartialEq)]
struct Unit {
    /// The name in messages first, then what else it is called.
    names: &'static [&'static str],
    dimension: Dimension,
    shift: f64,
    numerator: f64,
    denominator: f64,
}

const fn unit(
    names: &'static [&'static str],
    dimension: Dimension,
    numerator: f64,
    denominator: f64,
) -> Unit {
    Unit { names, dimension, shift: 0.0, numerator, denominator }
}

/// Cubic metres in an hour of one US gallon a minute, times 10^9: the gallon is 231 cubic inches of 25.4 mm.
const GPM: f64 = 227_124_707.04;
/// The same of one cubic foot a minute, times 10^9: the foot is 304.8 mm.
const CFM: f64 = 1_699_010_795.52;
/// Pascal in one pound-force a square inch.
const PSI: f64 = 6_894.757_293_168_361;
/// Pascal in one inch of water at 4 degC, by convention.
const IN_H2O: f64 = 249.088_91;

static UNITS: [Unit; 43] = {
    use Dimension::{
        Current, Flow, Frequency, Power, Pressure, Ratio, Speed, Temperature, TemperatureDifference, Voltage,
    };
    [
        unit(&["degC", "°C", "C", "celsius"], Temperature, 1.0, 1.0),
        Unit {
            names: &["degF", "°F", "F", "fahrenheit"],
            dimension: Temperature,
            shift: -32.0,
            numerator: 5.0,
            denominator: 9.0,
        },
        Unit {
            names: &["K", "kelvin"],
            dimension: Temperature,
            shift: -273.15,
            numerator: 1.0,
            denominator: 1.0,
        },
        unit(&["delta_K", "delta_degC"], TemperatureDifference, 1.0, 1.0),
        unit(&["delta_degF"], TemperatureDifference, 5.0, 9.0),
        unit(&["m3/h", "m³/h", "cmh"], Flow, 1.0, 1.0),
        unit(&["m3/min", "m³/min"], Flow, 60.0, 1.0),
        unit(&["m3/s", "m³/s"], Flow, 3600.0, 1.0),
        unit(&["L/s", "l/s"], Flow, 18.0, 5.0),
        unit(&["L/min", "l/min", "lpm"], Flow, 3.0, 50.0),
        unit(&["L/h", "l/h"], Flow, 1.0, 1000.0),
        unit(&["gpm", "gal/min"], Flow, GPM, 1e9),
        unit(&["cfm", "ft3/min"], Flow, CFM, 1e9),
        unit(&["Pa"], Pressure, 1.0, 1.0),
        unit(&["hPa"], Pressure, 100.0, 1.0),
        unit(&["kPa"], Pressure, 1e3, 1.0),
        unit(&["MPa"], Pressure, 1e6, 1.0),
        unit(&["bar"], Pressure, 1e5, 1.0),
        unit(&["mbar"], Pressure, 100.0, 1.0),
        unit(&["psi"], Pressure, PSI, 1.0),
        unit(&["inH2O", "inWC", "in.w.c."], Pressure, IN_H2O, 1.0),
        unit(&["mmH2O"], Pressure, 9.806_65, 1.0),
        unit(&["mmHg"], Pressure, 133.322_387_415, 1.0),
        unit(&["W"], Power, 1.0, 1.0),
        unit(&["kW"], Power, 1e3, 1.0),
        unit(&["MW"], Power, 1e6, 1.0),
        unit(&["BTU/h", "btu/h"], Power, 0.293_071_070_172_222, 1.0),
        unit(&["1", "fraction"], Ratio, 1.0, 1.0),
        unit(&["%", "percent"], Ratio, 1.0, 100.0),
        unit(&["permille", "‰"], Ratio, 1.0, 1000.0),
        unit(&["Hz", "1/s", "rps"], Frequency, 1.0, 1.0),
        unit(&["kHz"], Frequency, 1000.0, 1.0),
        unit(&["rpm", "1/min"], Frequency, 1.0, 60.0),
        unit(&["V"], Voltage, 1.0, 1.0),
        unit(&["mV"], Voltage, 1.0, 1000.0),
        unit(&["kV"], Voltage, 1000.0, 1.0),
        unit(&["A"], Current, 1.0, 1.0),
        unit(&["mA"], Current, 1.0, 1000.0),
        unit(&["kA"], Current, 1000.0, 1.0),
        unit(&["m/s"], Speed, 1.0, 1.0),
        unit(&["km/h"], Speed, 5.0, 18.0),
        unit(&["fpm", "ft/min"], Speed, 508.0, 1e5),
        unit(&["mph"], Speed, 0.447_04, 1.0),
    ]
};

fn find(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.names.contains(&name))
}

/// The name that messages and tables go by, of a unit by any of its names; `None` for one that is not known here.
#[must_use]
pub fn canonical_unit(name: &str) -> Option<&'static str> {
    find(name).and_then(|unit| unit.names.first().copied())
}

/// All of these names.
#[cfg(test)]
pub fn canonical_units() -> impl Iterator<Item = &'static str> {
    UNITS.iter().filter_map(|unit| unit.names.first().copied())
}

/// A change of unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    from: &'static Unit,
    to: &'static Unit,
}

impl Change {
    /// From one unit to another, by name; `None` where they are the same and nothing is to be done.
    ///
    /// # Errors
    /// Why there is no way, and what `from` could be instead.
    pub fn between(from: &str, to: &str) -> Result<Option<Self>, (String, String)> {
        if from == to {
            return Ok(None);
        }
        let known = |dimension: Dimension| {
            let mut text = String::new();
            for unit in UNITS.iter().filter(|unit| unit.dimension == dimension) {
                let comma = if text.is_empty() { "" } else { ", " };
                // Writing to a String cannot fail.
                let _ = write!(text, "{comma}{}", unit.names.first().unwrap_or(&""));
            }
            text
        };
        match (find(from), find(to)) {
            (_, None) => Err((
                format!("the bundle gives this sensor in \"{to}\", a unit that nothing is converted to"),
                "remove `from` and convert with `scale` and `offset`".to_owned(),
            )),
            (None, Some(to)) => Err((
                "is no unit that is known here".to_owned(),
                format!("use one of {}", known(to.dimension)),
            )),
            (Some(from), Some(to)) if from.dimension != to.dimension => Err((
                format!(
                    "is {}, but the bundle gives this sensor in {}, which is {}",
                    from.dimension.name(),
                    to.names.first().unwrap_or(&""),
                    to.dimension.name()
                ),
                format!("use one of {}", known(to.dimension)),
            )),
            (Some(from), Some(to)) => Ok((from != to).then_some(Self { from, to })),
        }
    }

    /// The number in the other unit.
    #[must_use]
    pub fn apply(&self, value: f64) -> f64 {
        let base = (value + self.from.shift) * self.from.numerator / self.from.denominator;
        base * self.to.denominator / self.to.numerator - self.to.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(value: f64, from: &str, to: &str) -> f64 {
        Change::between(from, to).unwrap().map_or(value, |change| change.apply(value))
    }

    #[test]
    fn round_numbers_stay_round() {
        for (value, from, to, expected) in [
            (212.0, "degF", "degC", 100.0),
            (32.0, "°F", "degC", 0.0),
            (-40.0, "degF", "degC", -40.0),
            (0.0, "degC", "degF", 32.0),
            (273.15, "K", "degC", 0.0),
            (18.0, "delta_degF", "delta_K", 10.0),
            (1.0, "L/s", "m3/h", 3.6),
            (50.0, "L/min", "m3/h", 3.0),
            (820.0, "L/h", "m3/h", 0.82),
            (1.0, "m3/s", "m3/h", 3600.0),
            (1.0, "bar", "mbar", 1000.0),
            (2.5, "kPa", "mbar", 25.0),
            (31.0, "hPa", "mbar", 31.0),
            (50.0, "%", "1", 0.5),
            (25.0, "Hz", "rpm", 1500.0),
            (350.0, "mA", "A", 0.35),
            (2.0, "kW", "W", 2000.0),
            (7.0, "°C", "degC", 7.0),
        ] {
            assert_eq!(convert(value, from, to), expected, "{value} {from} in {to}");
        }
    }

    /// Against the definitions: the gallon, foot, pound and inch in metric units.
    #[test]
    fn customary_units() {
        for (value, from, to, expected) in [
            (1.0, "gpm", "L/min", 3.785_411_784),
            (1.0, "cfm", "m3/h", 1.699_010_795_52),
            (1.0, "psi", "kPa", 6.894_757_293_168),
            (1.0, "inH2O", "Pa", 249.088_91),
            (1.0, "fpm", "m/s", 0.005_08),
            (3_412.141_633_127_9, "BTU/h", "kW", 1.0),
        ] {
            let got = convert(value, from, to);
            assert!((got - expected).abs() <= 1e-9 * expected, "{value} {from} in {to}: {got}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let (reason, remedy) = Change::between("gpm", "degC").unwrap_err();
        assert!(reason.contains("is a flow") && reason.contains("is a temperature"), "{reason}");
        assert_eq!(remedy, "use one of degC, degF, K");
        assert!(Change::between("delta_K", "degC").is_err(), "a difference is no temperature");
        assert!(Change::between("furlong", "degC").unwrap_err().1.contains("degF"));
        assert!(Change::between("degC", "furlong").unwrap_err().1.contains("scale"));
        assert_eq!(Change::between("furlong", "furlong"), Ok(None));
        assert_eq!(Change::between("C", "degC"), Ok(None));
    }

    #[test]
    fn no_name_has_two_meanings() {
        let mut names: Vec<_> = UNITS.iter().flat_map(|unit| unit.names).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    proptest::proptest! {
        #[test]
        fn there_and_back(value in -1e6..1e6_f64, one in 0..UNITS.len(), other in 0..UNITS.len()) {
            let (one, other) = (UNITS[one].names[0], UNITS[other].names[0]);
            if let (Ok(Some(there)), Ok(Some(back))) = (Change::between(one, other), Change::between(other, one)) {
                let again = back.apply(there.apply(value));
                proptest::prop_assert!((again - value).abs() <= 1e-9 * (1.0 + value.abs()) , "{} {}: {}", one, other, again);
            }
        }
    }
}
