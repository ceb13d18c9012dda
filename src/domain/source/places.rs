//! Where a unit's sensor is read, as far as the rules tell it without a message.

use super::filter::covers;
use super::rule::{Kind, NameFrom};
use super::rules::{Bound, Rules, Slot};
use super::units::canonical_unit;
use crate::domain::unit::UnitId;

/// A place where the values of a unit's sensor come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the rule that reads them.
    pub rule: String,
    /// Whether that is one of the two rules that are there without being written.
    pub is_built_in: bool,
    /// The topic; `+` and `#` stand for what only the messages tell.
    pub topic: String,
    /// JSON pointer of the value, empty where the payload is the value; none where only the messages tell it.
    pub pointer: Option<String>,
    /// Whether the rule speaks of this sensor, or of none: one that names others may not be meant for this.
    pub is_meant: bool,
    /// Unit of the values there, if it is not the bundle's; empty where they are scaled numbers without one.
    pub unit: Option<String>,
}

impl Place {
    /// Whether topic and pointer say all: there is the value of this sensor and of no other.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.pointer.is_some() && !is_filter(&self.topic)
    }
}

fn is_filter(topic: &str) -> bool {
    topic.split('/').any(|level| matches!(level, "+" | "#"))
}

/// What can stand in one level of a topic.
fn is_level(name: &str) -> bool {
    !name.contains(['/', '+', '#'])
}

/// Whether the readings are the members of one object, those of objects within it by names with dots.
fn has_object(kind: Kind) -> bool {
    matches!(kind, Kind::Object | Kind::Zigbee2mqtt | Kind::Tasmota | Kind::Shelly | Kind::Chirpstack)
}

impl Rules {
    /// Every place where a sensor of a unit comes in, in the order of the rules.
    #[must_use]
    pub fn places(&self, unit: &UnitId, sensor: &str) -> Vec<Place> {
        let Some(channel) = self.channel(sensor) else { return Vec::new() };
        let mut places = Vec::new();
        for (index, bound) in self.bound().iter().enumerate() {
            let filters: Vec<String> =
                self.bound().iter().take(index).map(|earlier| earlier.rule.filter()).collect();
            let mut found = bound.places(unit, sensor, channel);
            // What an earlier rule reads as a whole does not come to this one.
            found.retain(|place| !filters.iter().any(|earlier| covers(earlier, &place.topic)));
            places.append(&mut found);
        }
        places
    }
}

impl Bound {
    fn places(&self, unit: &UnitId, sensor: &str, channel: usize) -> Vec<Place> {
        let names = self.names_of(sensor, channel);
        let units = self.units_of(unit.as_str());
        let mut topics = Vec::new();
        for theirs in &units {
            for name in &names {
                topics.extend(self.place(*theirs, name));
            }
        }
        topics.dedup();
        let spec = &self.rule.spec;
        let own = spec.overrides.get(unit.as_str()).and_then(|table| table.get(sensor));
        let base = spec.sensors.get(sensor);
        let conversion = match (own, base) {
            (Some(own), Some(base)) => Some(own.over(base)),
            (one, other) => one.or(other).cloned(),
        };
        let is_fixed = matches!(self.rule.sensor, NameFrom::Fixed(_));
        let is_meant = spec.rename.is_empty()
            || is_fixed
            || conversion.is_some()
            || spec.rename.values().any(|ours| ours == sensor);
        let measured_in = conversion.and_then(|given| {
            let from = given.from.map(|from| canonical_unit(&from).map_or(from, str::to_owned));
            if given.scale.is_some() { Some(String::new()) } else { from }
        });
        let place = |(topic, pointer)| Place {
            rule: self.rule.name().to_owned(),
            is_built_in: matches!(self.rule.kind, Kind::Frame | Kind::Reading),
            topic,
            pointer,
            is_meant,
            unit: measured_in.clone(),
        };
        topics.into_iter().map(place).collect()
    }

    /// The source's names of a sensor; ours only where it has no others.
    fn names_of(&self, ours: &str, channel: usize) -> Vec<&str> {
        let is_it = |slot: &Slot| matches!(slot, Slot::Channel(known) if *known == channel);
        let mut names: Vec<&str> =
            self.names.iter().filter(|(_, slot)| is_it(slot)).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.len() > 1 {
            names.retain(|name| *name != ours);
        }
        names
    }

    /// The source's names of a unit, likewise; `None` where only messages tell whose readings they are.
    fn units_of<'n>(&'n self, ours: &'n str) -> Vec<Option<&'n str>> {
        let renamed = |theirs: &str| self.units.get(theirs).is_none_or(|unit| unit == ours);
        match &self.rule.unit {
            NameFrom::Topic => {
                let mut names: Vec<&str> = self
                    .units
                    .iter()
                    .filter(|(_, unit)| *unit == ours)
                    .map(|(theirs, _)| theirs.as_str())
                    .collect();
                names.sort_unstable();
                if names.is_empty() && renamed(ours) {
                    names.push(ours);
                }
                names.into_iter().filter(|name| is_level(name)).map(Some).collect()
            }
            NameFrom::Fixed(theirs) => {
                let unit = self.units.get(theirs).unwrap_or(theirs);
                if unit == ours { vec![Some(theirs)] } else { Vec::new() }
            }
            NameFrom::At(_) | NameFrom::Tag(_) | NameFrom::Payload => vec![None],
        }
    }

    /// Topic and pointer of a sensor by the source's names, if the rule reads it at all.
    fn place(&self, unit: Option<&str>, name: &str) -> Option<(String, Option<String>)> {
        let rule = &self.rule;
        let (level, rest) = match (&rule.sensor, rule.kind) {
            (NameFrom::Fixed(sensor), _) if sensor != name => return None,
            (NameFrom::Fixed(_), _) => (None, name),
            (NameFrom::Topic, _) if !is_level(name) => return None,
            (NameFrom::Topic, _) => (Some(name), name),
            (_, Kind::Sparkplug) if rule.pattern.has_sensor() => {
                let (device, metric) = name.split_once('/')?;
                (Some(device), metric)
            }
            (_, kind) if rule.pattern.has_sensor() && has_object(kind) => {
                let (level, rest) = name.split_once('.')?;
                // With more dots nobody knows which of them ends the level.
                if rest.contains('.') { (None, "") } else { (Some(level), rest) }
            }
            _ => (None, name),
        };
        let pointer = match rule.kind {
            Kind::Number | Kind::Reading => Some(String::new()),
            Kind::Json if matches!(rule.sensor, NameFrom::At(_)) => None,
            Kind::Json => Some(rule.spec.value.as_deref().unwrap_or(rule.kind.traits().value).to_owned()),
            // Shelly's components stand in notifications and in messages of their own.
            kind if has_object(kind) && kind != Kind::Shelly && !rest.is_empty() => {
                let at = rule.spec.at.as_deref().unwrap_or(kind.traits().at);
                Some(rest.split('.').fold(at.to_owned(), |at, step| {
                    format!("{at}/{}", step.replace('~', "~0").replace('/', "~1"))
                }))
            }
            _ => None,
        };
        Some((rule.pattern.filter_of(unit, level), pointer.filter(|_| unit.is_some())))
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
