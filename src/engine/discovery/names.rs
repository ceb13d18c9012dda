//! Names of devices as Home Assistant takes them in topics, and others in ids: letters, digits, `-` and `_`.
//!
//! Two units never share one, whatever their names are: letters, digits and `-` stand for themselves, `_` is doubled and
//! every other byte is `_` and two hex digits. `_u`, which none of these gives, begins the unit's part.

use std::fmt::Write as _;

use crate::domain::UnitId;

/// The daemon's own device.
#[must_use]
pub fn daemon(instance: &str) -> String {
    format!("cooltwin-{}", escaped(instance))
}

/// A unit's device.
#[must_use]
pub fn unit(instance: &str, unit: &UnitId) -> String {
    format!("cooltwin-{}_unit-{}", escaped(instance), escaped(unit.as_str()))
}

fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => text.push(char::from(byte)),
            b'_' => text.push_str("__"),
            // Writing to a String cannot fail.
            _ => drop(write!(text, "_{byte:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_never_shared() {
        let units =
            ["a", "A", "a_", "a__", "a_5f", "a b", "a.b", "a_20b", "ä", "_u", "unit", "Kühlraum 3", "a-b"];
        let instances = ["main", "main_", "main_unit-a", "m"];
        let mut seen = std::collections::BTreeSet::new();
        for instance in instances {
            assert!(seen.insert(daemon(instance)), "{instance}");
            for name in units {
                let id = unit(instance, &UnitId::new(name).unwrap());
                assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'), "{id}");
                assert!(seen.insert(id), "{instance} {name}");
            }
        }
        assert_eq!(unit("main", &UnitId::new("cooler-01").unwrap()), "cooltwin-main_unit-cooler-01");
    }
}
