//! Rows as text: CSV, JSON lines, MQTT payloads.
//!
//! Numbers are written in their shortest form that reads back to the same double; times are RFC 3339
//! in UTC.

use std::fmt::Write as _;

use super::{CHANNELS, UnitRow};

/// The CSV header, newline included: `time,unit,AMBT,...,UCAF`.
#[must_use]
pub fn csv_header() -> String {
    format!("time,unit,{}\n", CHANNELS.join(","))
}

/// Appends one CSV line; a value that was not reported is an empty cell.
pub fn csv_row(row: &UnitRow, out: &mut String) {
    out.push_str(&rfc3339(row.time_us));
    out.push(',');
    out.push_str(&row.unit);
    for value in row.values {
        out.push(',');
        if let Some(value) = value {
            push_number(value, out);
        }
    }
    out.push('\n');
}

/// Appends one JSON line `{"time":"...","unit":"...","data":{"AMBT":25.1,...}}`; a value that was
/// not reported is left out.
pub fn jsonl_row(row: &UnitRow, out: &mut String) {
    let _ = write!(out, "{{\"time\":\"{}\",\"unit\":\"{}\",\"data\":", rfc3339(row.time_us), row.unit);
    push_data(row, out);
    out.push_str("}\n");
}

/// Appends the MQTT frame of one unit: `{"timestamp":"...","data":{"AMBT":25.1,...}}`. The unit is in
/// the topic.
pub fn frame(row: &UnitRow, out: &mut String) {
    let _ = write!(out, "{{\"timestamp\":\"{}\",\"data\":", rfc3339(row.time_us));
    push_data(row, out);
    out.push('}');
}

/// Appends the MQTT payload of a single reading: `{"value":25.1,"time":"..."}`. Unit and sensor
/// are in the topic.
pub fn reading(value: f64, time_us: i64, out: &mut String) {
    out.push_str("{\"value\":");
    push_number(value, out);
    let _ = write!(out, ",\"time\":\"{}\"}}", rfc3339(time_us));
}

/// The reported readings of a row as (sensor id, value), for publishing them one by one.
pub fn readings(row: &UnitRow) -> impl Iterator<Item = (&'static str, f64)> + '_ {
    CHANNELS.iter().zip(row.values).filter_map(|(id, value)| value.map(|value| (*id, value)))
}

/// Microseconds since 1970 as RFC 3339 in UTC; fractions of a second only where there are some.
#[must_use]
pub fn rfc3339(time_us: i64) -> String {
    // The calendar ends thousands of years after any configured start.
    jiff::Timestamp::from_microsecond(time_us).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// The bare number, for example `25.13`.
pub fn push_number(value: f64, out: &mut String) {
    let _ = write!(out, "{value}");
}

fn push_data(row: &UnitRow, out: &mut String) {
    out.push('{');
    for (place, (id, value)) in readings(row).enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(out, "{comma}\"{id}\":{value}");
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> UnitRow {
        let mut values = [None; CHANNELS.len()];
        values[0] = Some(25.13);
        values[22] = Some(65535.0);
        UnitRow { unit: "cooler-01".to_owned(), time_us: 1_767_571_230_000_000, values, truth: [0.0; 3] }
    }

    #[test]
    fn csv_leaves_unreported_cells_empty() {
        let mut text = csv_header();
        csv_row(&row(), &mut text);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("time,unit,AMBT,UCTSP,") && lines[0].ends_with(",UCOM,UCAOT,UCWOT,UCAF")
        );
        assert_eq!(lines[1], format!("2026-01-05T00:00:30Z,cooler-01,25.13{}65535", ",".repeat(22)));
    }

    #[test]
    fn json_leaves_unreported_values_out() {
        let mut text = String::new();
        jsonl_row(&row(), &mut text);
        assert_eq!(
            text,
            "{\"time\":\"2026-01-05T00:00:30Z\",\"unit\":\"cooler-01\",\"data\":{\"AMBT\":25.13,\"UCAF\":65535}}\n"
        );
        text.clear();
        frame(&row(), &mut text);
        assert_eq!(text, "{\"timestamp\":\"2026-01-05T00:00:30Z\",\"data\":{\"AMBT\":25.13,\"UCAF\":65535}}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        text.clear();
        reading(25.13, 1_767_571_230_500_000, &mut text);
        assert_eq!(text, "{\"value\":25.13,\"time\":\"2026-01-05T00:00:30.5Z\"}");
    }
}
