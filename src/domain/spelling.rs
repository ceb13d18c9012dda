//! Units of measurement as other systems spell them: Home Assistant, BACnet, Project Haystack, QUDT (for Brick).
//!
//! A unit that is not here goes out as the bundle writes it: no system takes a spelling that it does not know for
//! another one.

use super::source::canonical_unit;

/// One unit in the spelling of each system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelling {
    /// As it is called here; see [`canonical_unit`].
    pub name: &'static str,
    /// Home Assistant's `unit_of_measurement`.
    pub home_assistant: &'static str,
    /// Home Assistant's device class, where one takes the unit since device discovery came (2024.12).
    pub device_class: Option<&'static str>,
    /// Digits behind the point that mean something to a reader.
    pub digits: u8,
    /// BACnet's engineering units (ASHRAE 135, `BACnetEngineeringUnits`).
    pub bacnet: &'static str,
    /// Project Haystack's unit symbol.
    pub haystack: &'static str,
    /// Name in QUDT's vocabulary of units.
    pub qudt: &'static str,
}

type Row = (&'static str, &'static str, Option<&'static str>, u8, &'static str, &'static str, &'static str);

/// name, Home Assistant, its device class, digits, BACnet, Haystack, QUDT.
#[rustfmt::skip]
const TABLE: [Row; 40] = [
    ("degC", "°C", Some("temperature"), 1, "degrees-celsius", "°C", "DEG_C"),
    ("degF", "°F", Some("temperature"), 1, "degrees-fahrenheit", "°F", "DEG_F"),
    ("K", "K", Some("temperature"), 1, "degrees-kelvin", "K", "K"),
    ("delta_K", "K", None, 1, "delta-degrees-kelvin", "ΔK", "K"),
    ("delta_degF", "°F", None, 1, "delta-degrees-fahrenheit", "Δ°F", "DEG_F"),
    ("m3/h", "m³/h", Some("volume_flow_rate"), 1, "cubic-meters-per-hour", "m³/h", "M3-PER-HR"),
    ("m3/min", "m³/min", None, 2, "cubic-meters-per-minute", "m³/min", "M3-PER-MIN"),
    ("m3/s", "m³/s", None, 4, "cubic-meters-per-second", "m³/s", "M3-PER-SEC"),
    ("L/s", "L/s", None, 2, "liters-per-second", "L/s", "L-PER-SEC"),
    ("L/min", "L/min", Some("volume_flow_rate"), 1, "liters-per-minute", "L/min", "L-PER-MIN"),
    ("L/h", "L/h", None, 0, "liters-per-hour", "L/h", "L-PER-HR"),
    ("gpm", "gal/min", Some("volume_flow_rate"), 2, "us-gallons-per-minute", "gal/min", "GAL_US-PER-MIN"),
    ("cfm", "ft³/min", Some("volume_flow_rate"), 1, "cubic-feet-per-minute", "cfm", "FT3-PER-MIN"),
    ("Pa", "Pa", Some("pressure"), 0, "pascals", "Pa", "PA"),
    ("hPa", "hPa", Some("pressure"), 1, "hectopascals", "hPa", "HectoPA"),
    ("kPa", "kPa", Some("pressure"), 2, "kilopascals", "kPa", "KiloPA"),
    ("bar", "bar", Some("pressure"), 3, "bars", "bar", "BAR"),
    ("mbar", "mbar", Some("pressure"), 1, "millibars", "mbar", "MilliBAR"),
    ("psi", "psi", Some("pressure"), 2, "pounds-force-per-square-inch", "psi", "PSI"),
    ("inH2O", "inH₂O", None, 2, "inches-of-water", "inH₂O", "IN_H2O"),
    ("mmH2O", "mmH₂O", None, 1, "millimeters-of-water", "mmH₂O", "MilliM_H2O"),
    ("mmHg", "mmHg", Some("pressure"), 1, "millimeters-of-mercury", "mmHg", "MilliM_HG"),
    ("W", "W", Some("power"), 0, "watts", "W", "W"),
    ("kW", "kW", Some("power"), 2, "kilowatts", "kW", "KiloW"),
    ("MW", "MW", Some("power"), 3, "megawatts", "MW", "MegaW"),
    ("BTU/h", "BTU/h", None, 0, "btus-per-hour", "BTU/h", "BTU_IT-PER-HR"),
    ("%", "%", None, 1, "percent", "%", "PERCENT"),
    ("permille", "‰", None, 1, "per-mille", "‰", "PERMILLE"),
    ("Hz", "Hz", Some("frequency"), 1, "hertz", "Hz", "HZ"),
    ("kHz", "kHz", Some("frequency"), 3, "kilohertz", "kHz", "KiloHZ"),
    ("rpm", "rpm", None, 0, "revolutions-per-minute", "rpm", "REV-PER-MIN"),
    ("V", "V", Some("voltage"), 1, "volts", "V", "V"),
    ("mV", "mV", Some("voltage"), 0, "millivolts", "mV", "MilliV"),
    ("kV", "kV", None, 3, "kilovolts", "kV", "KiloV"),
    ("A", "A", Some("current"), 2, "amperes", "A", "A"),
    ("mA", "mA", Some("current"), 0, "milliamperes", "mA", "MilliA"),
    ("m/s", "m/s", Some("speed"), 2, "meters-per-second", "m/s", "M-PER-SEC"),
    ("km/h", "km/h", Some("speed"), 1, "kilometers-per-hour", "km/h", "KiloM-PER-HR"),
    ("mph", "mph", Some("speed"), 1, "miles-per-hour", "mph", "MI-PER-HR"),
    ("fpm", "ft/min", None, 0, "feet-per-minute", "ft/min", "FT-PER-MIN"),
];

/// How other systems spell a unit, by any of its names; `None` for one that is not known here.
#[must_use]
pub fn spelling(unit: &str) -> Option<Spelling> {
    let canonical = canonical_unit(unit)?;
    let row = TABLE.iter().find(|row| row.0 == canonical)?;
    let (name, home_assistant, device_class, digits, bacnet, haystack, qudt) = *row;
    Some(Spelling { name, home_assistant, device_class, digits, bacnet, haystack, qudt })
}

/// The unit of a difference of two values: a residual of 1 degC is 1 K, and not 274 K.
#[must_use]
pub fn unit_of_difference(unit: &str) -> &str {
    match canonical_unit(unit) {
        Some("degC" | "K") => "delta_K",
        Some("degF") => "delta_degF",
        _ => unit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::source::canonical_units;

    #[test]
    fn every_row_is_found_by_its_own_name() {
        for row in &TABLE {
            assert_eq!(spelling(row.0).map(|found| found.name), Some(row.0));
        }
        assert_eq!(spelling("°C").unwrap().home_assistant, "°C");
        assert_eq!(spelling("m³/h").unwrap().bacnet, "cubic-meters-per-hour");
        assert_eq!(spelling("furlong"), None);
    }

    #[test]
    fn every_unit_has_a_row() {
        // BACnet and Home Assistant have no megapascal or kiloampere; a bare number has no unit.
        let without = ["MPa", "1", "kA"];
        for name in canonical_units() {
            assert_eq!(spelling(name).is_none(), without.contains(&name), "{name}");
        }
    }

    /// Symbols of Haystack's database of units. There K and °F are absolute temperatures, which convert with an offset.
    #[test]
    fn haystack_has_its_own_symbols() {
        let symbols = [
            ("delta_K", "ΔK"),
            ("delta_degF", "Δ°F"),
            ("K", "K"),
            ("degC", "°C"),
            ("gpm", "gal/min"),
            ("mmH2O", "mmH₂O"),
            ("permille", "‰"),
            ("mph", "mph"),
        ];
        for (unit, symbol) in symbols {
            assert_eq!(spelling(unit).unwrap().haystack, symbol, "{unit}");
        }
    }

    #[test]
    fn a_difference_of_temperatures_is_no_temperature() {
        for unit in ["degC", "°C", "degF", "K"] {
            assert_eq!(spelling(unit_of_difference(unit)).unwrap().device_class, None, "{unit}");
        }
        assert_eq!(unit_of_difference("m3/h"), "m3/h");
    }
}
