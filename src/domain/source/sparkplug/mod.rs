//! Sparkplug B v3.0: metrics in protobuf, named once in a BIRTH and by number from then on.

mod births;
mod name;
mod payload;
#[cfg(test)]
mod tests;
mod topic;

pub use births::{Births, MAX_BIRTH_BYTES, MAX_NODES};
pub(super) use name::MetricName;
pub(super) use topic::{commands, subscription};

use std::fmt::Write as _;

use super::batch::Batch;
use super::pattern::Captured;
use super::read::Sink;
use super::rule::NameFrom;
use super::rules::Bound;
use super::spec::{RuleProblem, RuleSpec};
use crate::domain::reject::RejectReason;
use crate::domain::time::Timestamp;
use births::Table;
use payload::{Given, Metric, Payload};
use topic::{Sender, Verb};

/// Qualities that are good: 192 by the specification, and OPC's codes for ways of being good.
const GOOD: std::ops::RangeInclusive<u64> = 192..=255;
/// Metrics that every node has and that are no readings.
const HOUSEKEEPING: [&str; 3] = ["bdSeq", "Node Control/", "Device Control/"];

/// Checks what is particular to a rule of this kind: its topics, and the template for names of metrics, if it has one.
pub(super) fn check(spec: &RuleSpec, problems: &mut Vec<RuleProblem>) -> Option<MetricName> {
    if let Some((reason, remedy)) = topic::problem(&spec.topic) {
        problems.push(RuleProblem::new("topic", Some(&spec.topic), reason, remedy));
    }
    let written = spec.metric.as_deref()?;
    let refuse = |(reason, remedy)| problems.push(RuleProblem::new("metric", Some(written), reason, remedy));
    MetricName::parse(written).map_err(refuse).ok()
}

/// What stands in the topic of a message that the rule reads.
struct Source<'t> {
    captured: Captured<'t>,
    /// Time of the message, for metrics without one.
    time: Option<u64>,
    table: Option<&'t Table>,
}

impl Bound {
    /// Takes a message of a node or device. With nothing captured its readings are none of this rule's, but what it
    /// tells of its node is.
    pub(super) fn sparkplug(
        &self,
        captured: Option<Captured<'_>>,
        (topic, payload): (&str, &[u8]),
        births: &mut Births,
        batch: &mut Batch,
    ) -> Result<(), RejectReason> {
        let Some(sender) = Sender::of(topic) else {
            // Commands, and types of messages that tell no values.
            batch.has_ignored = true;
            return Ok(());
        };
        let payload = Payload::read(payload)?;
        let name = sender.node();
        let is_missed = births.follow(&name, &sender, &payload);
        births.is_wanted = is_missed && self.rule.rebirth;
        let Some(captured) = captured.filter(|_| sender.verb != Verb::Death) else {
            match sender.verb {
                Verb::Death => births.died(&name, &sender, &payload),
                // For the number that its DEATH will have.
                Verb::Birth if sender.device.is_none() => births.born(&name, &sender, &payload, false)?,
                Verb::Birth | Verb::Data => {}
            }
            batch.has_ignored = true;
            return Ok(());
        };
        let mut path = std::mem::take(&mut batch.path);
        let mut sink = Sink::new(self, batch);
        if sender.verb == Verb::Birth
            && let Err(reason) = births.born(&name, &sender, &payload, true)
        {
            sink.refuse("BIRTH", "", reason);
        }
        let source = Source { captured, time: payload.time, table: births.table(&name, &sender) };
        let mut is_understood = true;
        for metric in payload.metrics() {
            if let Err((name, reason)) = self.metric(&source, &metric, &mut path, &mut sink) {
                is_understood &= reason != RejectReason::MissingBirth;
                sink.refuse(&name, "", reason);
            }
        }
        batch.path = path;
        if !is_understood {
            births.is_wanted = self.rule.rebirth;
        } else if sender.verb == Verb::Data && !is_missed {
            births.understood(&name);
        }
        // A message tells what has changed, which may be none of ours; a BIRTH tells all that there is.
        batch.has_ignored |= sender.verb == Verb::Data || !batch.has_unknown;
        Ok(())
    }

    /// Takes one metric; what cannot be used is given with its name.
    fn metric(
        &self,
        source: &Source<'_>,
        metric: &Metric<'_>,
        path: &mut String,
        sink: &mut Sink<'_>,
    ) -> Result<(), (String, RejectReason)> {
        let (theirs, datatype) = match (metric.name, metric.alias, source.table) {
            (Some(name), _, table) => (name, table.and_then(|table| table.datatype(name))),
            (None, Some(alias), table) => table
                .and_then(|table| table.by_alias(alias))
                .ok_or_else(|| (format!("alias {alias}"), RejectReason::MissingBirth))?,
            (None, None, _) => return Err((String::new(), RejectReason::UnexpectedShape)),
        };
        if HOUSEKEEPING.iter().any(|known| theirs.strip_prefix(known).is_some()) {
            return Ok(());
        }
        let (unit, sensor) = match &self.rule.metric {
            None => (None, theirs),
            Some(template) => {
                let Some(captured) = template.capture(theirs) else {
                    sink.unknown(theirs, "");
                    return Ok(());
                };
                captured
            }
        };
        path.clear();
        // Writing to a String cannot fail.
        let _ = match source.captured.sensor {
            Some(device) => write!(path, "{device}/{sensor}"),
            None => write!(path, "{sensor}"),
        };
        let fail = |reason| (theirs.to_owned(), reason);
        if !sink.knows(path) {
            sink.unknown(path, "");
            return Ok(());
        }
        let time = time(metric, source.time).map_err(fail)?;
        let unit = match &self.rule.unit {
            NameFrom::Topic => source.captured.unit,
            NameFrom::Fixed(unit) => Some(unit.as_str()),
            _ => unit,
        };
        if metric.quality.is_some_and(|quality| !GOOD.contains(&quality)) {
            return Err(fail(RejectReason::BadQuality));
        }
        sink.open(unit.ok_or_else(|| fail(RejectReason::InvalidUnit))?, time).map_err(fail)?;
        match metric.given(datatype) {
            Err(RejectReason::MissingBirth) => Err(fail(RejectReason::MissingBirth)),
            given => {
                take_given(path, given, sink);
                Ok(())
            }
        }
    }
}

/// Takes a value that is a number already, or a truth that counts as one, or a text as in other kinds.
fn take_given(name: &str, given: Result<Given<'_>, RejectReason>, sink: &mut Sink<'_>) {
    let raw = match given {
        Ok(Given::Text(text)) => return sink.take(name, text),
        Ok(given) if sink.has_notes() => given.to_string(),
        Err(_) if sink.has_notes() => "null".to_owned(),
        _ => String::new(),
    };
    sink.take_by(name, &raw, |conversion| {
        let (number, word) = match given? {
            Given::Number(number) => (number, None),
            Given::Truth(truth) => (f64::from(truth), Some(if truth { "true" } else { "false" })),
            Given::Text(_) => return Err(RejectReason::NotANumber),
        };
        match conversion {
            Some(conversion) => {
                let word = word.and_then(|word| conversion.word(word));
                word.map_or_else(|| conversion.apply(number), Ok)
            }
            None if number.is_finite() => Ok(number),
            None => Err(RejectReason::NotFinite),
        }
    });
}

/// When a metric's value was taken. What was recorded earlier and comes late must say so itself: the message's time is
/// only that of its sending.
fn time(metric: &Metric<'_>, of_message: Option<u64>) -> Result<Option<Timestamp>, RejectReason> {
    let millis = match metric.time {
        None if metric.is_historical => return Err(RejectReason::InvalidTime),
        own => own.or(of_message),
    };
    let Some(millis) = millis else { return Ok(None) };
    let micros = i64::try_from(millis).ok().and_then(|millis| millis.checked_mul(1000));
    let time = micros.map(Timestamp::from_micros).filter(|time| Some(time.as_micros()) == micros);
    time.map(Some).ok_or(RejectReason::InvalidTime)
}

/// A command to a node to send its BIRTH and those of its devices again.
fn rebirth_request(millis: u64) -> Vec<u8> {
    const NAME: &[u8] = b"Node Control/Rebirth";
    const BOOLEAN: u8 = 11;
    let mut time = Vec::new();
    let mut rest = millis;
    while rest >= 0x80 {
        time.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    time.push(rest as u8);
    // Name, timestamp, datatype, boolean_value; all lengths are below 128.
    let metric = [&[0x0a, NAME.len() as u8], NAME, &[0x18], &time, &[0x20, BOOLEAN, 0x70, 1]].concat();
    [&[0x08], time.as_slice(), &[0x12, metric.len() as u8], &metric].concat()
}
