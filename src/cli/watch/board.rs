//! What is known of the daemon and its units, from what was heard and when. Knows no source and no terminal; all text in it
//! can be printed as it is.

mod read;
#[cfg(test)]
pub(super) mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::news::{Declared, News, Target};
use crate::cli::health::Document;
use crate::cli::terminal::clean;
use crate::domain::prediction::DOCUMENT_FIELDS;
use crate::domain::{Monotonic, Now, Timestamp, UnitId};
use read::{parse_time, reasons, text_of, tidy, tidy_value, time_of, word};

/// Units held: sixteen times what a daemon has unless told otherwise. Anybody may publish names.
const MAX_UNITS: usize = 4_096;
/// Alarms held: as many as a daemon lets stand of its units, and its own.
const MAX_ALARMS: usize = 1_100;
/// Targets held of a unit.
const MAX_TARGETS: usize = 16;
/// Reasons held of a unit: as many as a document has, with its word about the rest.
const MAX_REASONS: usize = 17;
/// Longest text held, in characters: the remedy of an alarm is the longest that is meant to be read.
const MAX_TEXT: usize = 400;
/// Longest name held, in characters.
const MAX_NAME: usize = 64;
/// How long after a connection what was known before is kept though nobody has repeated it: what is retained comes at once.
const REPEATED_WITHIN: Duration = Duration::from_secs(5);

/// What the broker has kept of units comes within this time, or not at all.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// The way to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Opening,
    Open,
    Lost { problem: &'static str, reason: String },
}

/// How long ago something was, told with its age when it was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    heard: Monotonic,
    before: Duration,
}

impl Since {
    fn now(now: Now) -> Self {
        Self { heard: now.monotonic, before: Duration::ZERO }
    }

    /// By the wall clock, which may differ from the daemon's.
    fn told(time: Timestamp, now: Now) -> Self {
        Self { heard: now.monotonic, before: now.wall.since(time) }
    }

    fn seconds_ago(seconds: f64, now: Now) -> Self {
        let before = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Self { heard: now.monotonic, before }
    }

    pub(super) fn age(self, now: Now) -> Duration {
        self.before.saturating_add(now.monotonic.since(self.heard))
    }
}

/// Newest numbers of one target of one unit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) predicted: Option<f64>,
    /// Measured minus predicted.
    pub(super) residual: Option<f64>,
}

/// One unit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unit {
    pub(super) name: String,
    /// `good`, `uncertain`, `withheld` or `waiting`; `unknown` before anybody has said so.
    pub(super) word: &'static str,
    pub(super) reasons: Vec<String>,
    pub(super) numbers: BTreeMap<String, Numbers>,
    /// When the latest prediction came.
    pub(super) predicted: Option<Since>,
    /// Event time of the state that `word` comes from.
    judged: Option<Timestamp>,
    /// Whether it was heard of since the connection was made.
    is_confirmed: bool,
}

impl Unit {
    /// Whether it is predicted and its numbers were not heard of yet.
    pub(super) fn is_unseen(&self) -> bool {
        self.predicted.is_none() && !matches!(self.word, "withheld" | "waiting")
    }
}

/// One alarm that stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alarm {
    /// Whose; the daemon's without.
    pub(super) unit: Option<String>,
    pub(super) id: String,
    pub(super) severity: String,
    pub(super) since: Option<Since>,
    pub(super) text: String,
    pub(super) remedy: String,
}

/// What has changed by a piece of news.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Nothing,
    Way,
    Status,
    Health,
    /// The unit of this key was predicted.
    Predicted(String),
    /// What this unit does, or why.
    Judged(String),
    Forgotten(Unit),
    Raised(Alarm),
    Cleared(Alarm),
    Missed(u64),
}

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Board {
    /// The daemon's name.
    pub(super) instance: String,
    /// Where it is looked for.
    pub(super) place: String,
    pub(super) way: Way,
    /// Since when.
    pub(super) way_since: Since,
    pub(super) refused: Vec<String>,
    /// What the broker holds of the daemon, and since when it is known.
    pub(super) online: Option<(bool, Since)>,
    /// The latest health document.
    pub(super) health: Option<(Value, Since)>,
    pub(super) targets: Vec<Target>,
    declared: Option<Declared>,
    /// By their names as they came.
    pub(super) units: BTreeMap<String, Unit>,
    pub(super) alarms: BTreeMap<(Option<String>, String), Alarm>,
    /// News of units or alarms that there was no room for.
    pub(super) crowded_out: u64,
    pub(super) missed: u64,
}

impl Board {
    pub(super) fn new(instance: &str, place: &str, now: Now) -> Self {
        Self {
            instance: clean(instance, MAX_NAME),
            place: clean(place, MAX_TEXT),
            way: Way::Opening,
            way_since: Since::now(now),
            refused: Vec::new(),
            online: None,
            health: None,
            targets: Vec::new(),
            declared: None,
            units: BTreeMap::new(),
            alarms: BTreeMap::new(),
            crowded_out: 0,
            missed: 0,
        }
    }

    /// Takes in what was heard just now.
    pub(super) fn hear(&mut self, news: &News, now: Now) -> Change {
        match news {
            News::Connected { refused } => {
                (self.way, self.way_since) = (Way::Open, Since::now(now));
                self.refused = refused.iter().map(|topic| clean(topic, MAX_TEXT)).collect();
                self.begin_anew();
                Change::Way
            }
            News::Lost { problem, reason } => {
                let lost = Way::Lost { problem, reason: clean(reason, MAX_TEXT) };
                if self.way == lost {
                    return Change::Nothing;
                }
                // Another reason is no other loss.
                if !matches!(self.way, Way::Lost { .. }) {
                    self.way_since = Since::now(now);
                }
                self.way = lost;
                Change::Way
            }
            News::Status { is_online } => {
                if self.online.is_some_and(|(known, _)| known == *is_online) {
                    return Change::Nothing;
                }
                self.online = Some((*is_online, Since::now(now)));
                Change::Status
            }
            News::Declared(declared) => {
                self.declared = Some(tidy(declared));
                self.declare();
                Change::Nothing
            }
            News::Health(document) => self.health(document, now),
            News::Snapshot(document) => self.snapshot(document, now),
            News::Prediction { unit, document, is_kept } => {
                let since = if *is_kept {
                    time_of(document).map(|time| Since::told(time, now))
                } else {
                    Some(Since::now(now))
                };
                self.prediction(unit, document, since)
            }
            News::State { unit, document: Some(document) } => self.state(unit, document),
            News::State { unit, document: None } => self.forget(unit),
            News::Alarm { unit, id, document } => self.alarm(unit.as_deref(), id, document.as_ref(), now),
            News::Missed(count) => {
                self.missed = self.missed.saturating_add(*count);
                Change::Missed(*count)
            }
        }
    }

    /// What stands is repeated to whoever connects; what is not is over.
    fn begin_anew(&mut self) {
        self.alarms.clear();
        self.units.values_mut().for_each(|unit| unit.is_confirmed = false);
    }

    fn health(&mut self, document: &Value, now: Now) -> Change {
        if !document.is_object() {
            return Change::Nothing;
        }
        let bundle = |health: &Value| health.pointer("/bundle").cloned();
        let document = tidy_value(document);
        let is_other = self.health.as_ref().and_then(|(known, _)| bundle(known)) != bundle(&document);
        self.health = Some((document, Since::now(now)));
        // Whoever tells how it is, is there, whatever was left behind at the broker.
        if self.is_offline() {
            self.online = Some((true, Since::now(now)));
        }
        if is_other {
            self.targets.clear();
            self.declare();
        }
        if self.way_since.age(now) > REPEATED_WITHIN {
            self.units.retain(|_, unit| unit.is_confirmed);
        }
        Change::Health
    }

    /// Names and units of the targets, when they are those of the bundle that runs.
    fn declare(&mut self) {
        let running = self.health.as_ref().and_then(|(health, _)| health.pointer("/bundle/id")?.as_str());
        if let Some(declared) =
            self.declared.as_ref().filter(|declared| running == Some(declared.bundle.as_str()))
        {
            self.targets.clone_from(&declared.targets);
        }
    }

    fn snapshot(&mut self, document: &Value, now: Now) -> Change {
        let alarms_of =
            |owner: &Value| owner.get("alarms").and_then(Value::as_array).cloned().unwrap_or_default();
        self.begin_anew();
        self.units.clear();
        for brief in document.pointer("/units/units").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = brief.get("unit").and_then(Value::as_str) else { continue };
            let Some(unit) = self.unit(name) else { continue };
            unit.word = word(text_of(brief, "state"), text_of(brief, "quality"));
            unit.reasons = reasons(brief);
            unit.judged = time_of(brief);
            let ago = brief.get("predicted_s").and_then(Value::as_f64);
            unit.predicted = ago.map(|ago| Since::seconds_ago(ago, now));
            for target in
                brief.get("targets").and_then(Value::as_array).into_iter().flatten().take(MAX_TARGETS)
            {
                let number = |field| target.get(field).and_then(Value::as_f64);
                let numbers = Numbers { predicted: number("predicted"), residual: number("residual") };
                unit.numbers.insert(clean(text_of(target, "name"), MAX_NAME), numbers);
            }
            for alarm in alarms_of(brief) {
                self.alarm(Some(name), text_of(&alarm, "id"), Some(&alarm), now);
            }
        }
        for alarm in alarms_of(document) {
            self.alarm(None, text_of(&alarm, "id"), Some(&alarm), now);
        }
        let health = document.get("health").unwrap_or(&Value::Null);
        if let Some(instance) = health.get("instance").and_then(Value::as_str) {
            self.instance = clean(instance, MAX_NAME);
        }
        self.health(health, now)
    }

    /// The unit of this name, made if there is room for it.
    fn unit(&mut self, name: &str) -> Option<&mut Unit> {
        if UnitId::check(name).is_err() {
            return None;
        }
        if self.units.len() >= MAX_UNITS && !self.units.contains_key(name) {
            self.crowded_out += 1;
            return None;
        }
        let unit = self.units.entry(name.to_owned()).or_insert_with(|| Unit {
            name: clean(name, MAX_NAME),
            word: "unknown",
            reasons: Vec::new(),
            numbers: BTreeMap::new(),
            predicted: None,
            judged: None,
            is_confirmed: true,
        });
        unit.is_confirmed = true;
        Some(unit)
    }

    fn prediction(&mut self, name: &str, document: &Value, since: Option<Since>) -> Change {
        let Some(fields) = document.as_object() else { return Change::Nothing };
        let residual = |target: &str| document.get("residuals")?.get(target)?.as_f64();
        let predicted = fields.iter().filter(|(field, _)| !DOCUMENT_FIELDS.contains(&field.as_str()));
        let numbers: BTreeMap<String, Numbers> = predicted
            .filter_map(|(target, value)| Some((target, value.as_f64()?)))
            .take(MAX_TARGETS)
            .map(|(target, value)| {
                let numbers = Numbers { predicted: Some(value), residual: residual(target) };
                (clean(target, MAX_NAME), numbers)
            })
            .collect();
        let Some(unit) = self.unit(name) else { return Change::Nothing };
        unit.predicted = since;
        unit.numbers = numbers;
        // It may have been made before the state that says so, and sent after it.
        let time = time_of(document);
        if !(unit.word == "withheld" && time < unit.judged) {
            unit.word = word("predicting", text_of(document, "quality"));
            unit.reasons = reasons(document);
            unit.judged = time;
        }
        let names: Vec<String> = unit.numbers.keys().cloned().collect();
        for name in names {
            if self.targets.len() < MAX_TARGETS && !self.targets.iter().any(|target| target.name == name) {
                self.targets.push(Target { name, unit: String::new() });
            }
        }
        Change::Predicted(name.to_owned())
    }

    fn state(&mut self, name: &str, document: &Value) -> Change {
        if !document.is_object() {
            return Change::Nothing;
        }
        let Some(unit) = self.unit(name) else { return Change::Nothing };
        let before = (unit.word, std::mem::take(&mut unit.reasons));
        unit.word = word(text_of(document, "state"), text_of(document, "quality"));
        unit.reasons = reasons(document);
        unit.judged = time_of(document);
        if before.0 == unit.word && before.1 == unit.reasons {
            Change::Nothing
        } else {
            Change::Judged(name.to_owned())
        }
    }

    fn forget(&mut self, name: &str) -> Change {
        self.alarms.retain(|(unit, _), _| unit.as_deref() != Some(name));
        self.units.remove(name).map_or(Change::Nothing, Change::Forgotten)
    }

    fn alarm(&mut self, unit: Option<&str>, id: &str, document: Option<&Value>, now: Now) -> Change {
        if id.is_empty() || id.len() > MAX_NAME || unit.is_some_and(|unit| UnitId::check(unit).is_err()) {
            return Change::Nothing;
        }
        let key = (unit.map(str::to_owned), id.to_owned());
        let Some(document) = document.filter(|document| document.is_object()) else {
            return self.alarms.remove(&key).map_or(Change::Nothing, Change::Cleared);
        };
        if self.alarms.len() >= MAX_ALARMS && !self.alarms.contains_key(&key) {
            self.crowded_out += 1;
            return Change::Nothing;
        }
        let since = document.get("since").and_then(Value::as_str).and_then(parse_time);
        let alarm = Alarm {
            unit: unit.map(|unit| clean(unit, MAX_NAME)),
            id: clean(id, MAX_NAME),
            severity: clean(text_of(document, "severity"), MAX_NAME),
            since: since.map(|since| Since::told(since, now)),
            text: clean(text_of(document, "text"), MAX_TEXT),
            remedy: clean(text_of(document, "remedy"), MAX_TEXT),
        };
        let was_known = self.alarms.insert(key, alarm.clone()).is_some();
        if was_known { Change::Nothing } else { Change::Raised(alarm) }
    }

    /// Whether the broker says that the daemon is away.
    pub(super) fn is_offline(&self) -> bool {
        self.online.is_some_and(|(is_online, _)| !is_online)
    }

    /// Why nothing of units comes though the daemon tells of some: brokers such as mosquitto confirm a subscription that their
    /// access list denies, and then deliver nothing.
    pub(super) fn hidden(&self, now: Now) -> Option<String> {
        let told = self.units_told();
        let is_strange = told > 0 && self.units.is_empty() && self.way == Way::Open;
        (is_strange && self.way_since.age(now) >= HEARD_WITHIN).then(|| {
            format!(
                "the daemon tells of {told} units and nothing of them comes: the broker's access list does not let this login \
                 read what is published of them; allow it, or watch over HTTP (--url)"
            )
        })
    }

    /// Units that the daemon has, by its health document.
    fn units_told(&self) -> u64 {
        let Some((health, _)) = &self.health else { return 0 };
        let health = Document(health);
        let told = ["good", "uncertain", "bad"].map(|quality| health.count(&format!("/units/{quality}")));
        told.into_iter().fold(0, u64::saturating_add)
    }

    /// Whether nothing more is to be waited for: the daemon has told how it is and all its units were heard of and, unless
    /// withheld, predicted.
    pub(super) fn is_complete(&self) -> bool {
        self.way == Way::Open
            && self.health.is_some()
            && self.units.len() as u64 >= self.units_told().min(MAX_UNITS as u64)
            && !self.units.values().any(Unit::is_unseen)
    }
}
