//! All rules in their order, tied to a bundle's sensors.

use std::collections::HashMap;

use super::batch::Batch;
use super::convert::Conversion;
use super::filter::{covers, fewest, overlap};
use super::pattern::Captured;
use super::rule::{Kind, NameFrom, Rule};
use super::sparkplug::Births;
use super::spec::{ConversionSpec, RuleProblem};
use crate::domain::decode::{Decoder, PayloadKeys};
use crate::domain::reject::RejectReason;
use crate::domain::time::ZoneSpec;
use crate::domain::topic::TopicTemplate;
use crate::domain::unit::UnitId;

/// Most rules: each costs a comparison for every message, and a site has a handful of kinds of devices.
pub const MAX_RULES: usize = 64;
/// Names are suggested only when they resemble the wrong one this much (Jaro-Winkler, 0 to 1).
const MIN_SIMILARITY: f64 = 0.75;

/// One channel of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel<'m> {
    /// Name of the sensor.
    pub name: &'m str,
    /// Unit of its values.
    pub unit: &'m str,
}

/// What a name of a payload stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Channel(usize),
    Ignored,
}

/// A rule with the channels that its names stand for.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) rule: Rule,
    pub(super) names: HashMap<String, Slot>,
    pub(super) units: HashMap<String, String>,
    /// One a channel.
    pub(super) conversions: Vec<Option<Conversion>>,
    /// The same for units that have their own.
    pub(super) overrides: HashMap<String, Vec<Option<Conversion>>>,
}

/// All rules, the built-in ones last.
#[derive(Debug)]
pub struct Rules {
    bound: Vec<Bound>,
    decoder: Decoder,
}

impl Rules {
    /// Ties rules to channels. What is wrong with a rule is given with the rule's place; such a rule takes no
    /// part in what is wrong with it, so whoever starts has to look at the problems first.
    #[must_use]
    pub fn new(
        rules: &[Rule],
        (frame, reading): (&TopicTemplate, &TopicTemplate),
        keys: PayloadKeys,
        zone: &ZoneSpec,
        channels: &[Channel<'_>],
    ) -> (Self, Vec<(usize, RuleProblem)>) {
        let mut problems = Vec::new();
        let mut bound = Vec::new();
        for (index, rule) in with_built_in(rules, frame, reading, zone).into_iter().enumerate() {
            let mut found = Vec::new();
            bound.push(Bound::new(rule, channels, &mut found));
            problems.extend(found.into_iter().map(|problem| (index, problem)));
        }
        let names = channels.iter().map(|channel| channel.name);
        (Self { bound, decoder: Decoder::new(names, keys, zone.clone()) }, problems)
    }

    /// The rules in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.bound.iter().map(|bound| &bound.rule)
    }

    pub(super) fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Index of the channel called `name`.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<usize> {
        self.decoder.channel(name)
    }

    /// The filters that cover the rules of frames or of single readings, or all.
    #[must_use]
    pub fn filters(&self, is_frame: Option<bool>) -> Vec<String> {
        let wanted = self.iter().filter(|rule| is_frame.is_none_or(|wanted| rule.is_frame() == wanted));
        fewest(&wanted.map(Rule::subscription).collect::<Vec<_>>())
    }

    /// Whether a message on this topic is taken for readings.
    #[must_use]
    pub fn has_topic(&self, topic: &str) -> bool {
        self.matching(topic).is_some() || self.listening(topic).is_some()
    }

    /// The first rule that has such topics, and what stands in its placeholders.
    fn matching<'t>(&self, topic: &'t str) -> Option<(usize, Captured<'t>)> {
        let captured = |(index, bound): (usize, &Bound)| Some((index, bound.rule.pattern.capture(topic)?));
        self.bound.iter().enumerate().find_map(captured)
    }

    /// The first rule that subscribes to a topic which none reads.
    fn listening(&self, topic: &str) -> Option<usize> {
        let listens =
            |bound: &Bound| bound.rule.kind == Kind::Sparkplug && covers(&bound.rule.subscription(), topic);
        self.bound.iter().position(listens)
    }

    /// Reads one message, by what `births` knows and with what it tells of itself added to that.
    ///
    /// # Errors
    /// Why it cannot be used as a whole. What could not be used of it otherwise is in the batch.
    pub fn read(
        &mut self,
        topic: &str,
        payload: &[u8],
        births: &mut Births,
        batch: &mut Batch,
    ) -> Result<(), RejectReason> {
        batch.clear();
        batch.rule = None;
        births.is_wanted = false;
        let Some((index, captured)) = self.matching(topic) else {
            let listening = self.listening(topic).and_then(|index| self.bound.get(index));
            let bound = listening.ok_or(RejectReason::UnknownTopic)?;
            return bound.sparkplug(None, (topic, payload), births, batch);
        };
        let Some(bound) = self.bound.get(index) else { return Err(RejectReason::UnknownTopic) };
        batch.rule = Some(index);
        batch.is_frame = bound.rule.is_frame;
        if !matches!(bound.rule.kind, Kind::Frame | Kind::Reading) {
            match bound.rule.kind {
                Kind::Sparkplug => bound.sparkplug(Some(captured), (topic, payload), births, batch)?,
                _ => bound.read(captured, payload, batch)?,
            }
            batch.finish();
            let is_said = !batch.is_empty() || batch.has_ignored || batch.rejects.total() > 0;
            return match batch.has_unknown {
                _ if is_said => Ok(()),
                true => Err(RejectReason::UnknownSensor),
                false => Err(RejectReason::UnexpectedShape),
            };
        }
        let unit = captured.unit.unwrap_or_default();
        UnitId::check(unit).map_err(|_| RejectReason::InvalidUnit)?;
        let decoded = match captured.sensor.filter(|_| bound.rule.kind == Kind::Reading) {
            None => self.decoder.frame(payload)?,
            Some(sensor) => {
                let channel = self.decoder.channel(sensor).ok_or(RejectReason::UnknownSensor)?;
                self.decoder.reading(channel, payload)?
            }
        };
        batch.open(unit, decoded.time)?;
        for reading in decoded.readings {
            batch.push(reading.channel, reading.value);
        }
        for _ in 0..decoded.unknown {
            batch.rejects.add(RejectReason::UnknownSensor);
        }
        Ok(())
    }
}

/// The rules with the two that are always there.
fn with_built_in(
    rules: &[Rule],
    frame: &TopicTemplate,
    reading: &TopicTemplate,
    zone: &ZoneSpec,
) -> Vec<Rule> {
    let built_in = [("topics.frame", Kind::Frame, frame), ("topics.reading", Kind::Reading, reading)];
    let built_in =
        built_in.into_iter().filter_map(|(name, kind, topic)| Rule::built_in(name, kind, topic, zone));
    rules.iter().cloned().chain(built_in).collect()
}

/// What two rules have to do with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Place of the rule that comes first.
    pub first: usize,
    /// Place of the other.
    pub second: usize,
    /// What is wrong with it, if anything is.
    pub problem: Option<RuleProblem>,
}

/// Every two rules that can match the same topic, the built-in ones among them. Right is only a later rule that is
/// wholly wider and says that it takes what is left.
#[must_use]
pub fn overlaps(
    rules: &[Rule],
    frame: &TopicTemplate,
    reading: &TopicTemplate,
    zone: &ZoneSpec,
) -> Vec<Overlap> {
    let rules = with_built_in(rules, frame, reading, zone);
    let mut found = Vec::new();
    for (second, later) in rules.iter().enumerate() {
        for (first, earlier) in rules.iter().enumerate().take(second) {
            let (one, other) = (earlier.filter(), later.filter());
            if overlap(&one, &other) {
                found.push(Overlap { first, second, problem: overlap_problem(earlier, later, &one, &other) });
            } else if let Some(problem) = subscription_problem(earlier, later) {
                found.push(Overlap { first, second, problem: Some(problem) });
            }
        }
    }
    found
}

/// Rules that share no topics may have to subscribe to some of the same: that must be to all that one of them does, or
/// messages come twice.
fn subscription_problem(earlier: &Rule, later: &Rule) -> Option<RuleProblem> {
    let (one, other) = (earlier.subscription(), later.subscription());
    if !overlap(&one, &other) || covers(&one, &other) || covers(&other, &one) {
        return None;
    }
    let reason = format!("needs {other}, of which \"{}\" needs a part ({one})", earlier.name());
    let remedy = "write group and node of both rules alike, or as names where they differ".to_owned();
    Some(RuleProblem::new("topic", Some(later.pattern().as_str()), reason, remedy))
}

fn overlap_problem(earlier: &Rule, later: &Rule, one: &str, other: &str) -> Option<RuleProblem> {
    let (earlier, is_wider) = (earlier.name(), covers(other, one));
    if is_wider && later.is_fallback() {
        return None;
    }
    let (reason, remedy) = if is_wider {
        let remedy = "if it is to take what that one leaves, say so: fallback = true".to_owned();
        (format!("matches the topics of \"{earlier}\" as well ({one})"), remedy)
    } else if covers(one, other) {
        let remedy = format!("put it before \"{earlier}\" and give that one fallback = true, or remove it");
        (format!("never comes to its turn: all its topics belong to \"{earlier}\" ({one})"), remedy)
    } else {
        let remedy = "make the topic of one of them narrower, so that no topic matches both".to_owned();
        (format!("and \"{earlier}\" ({one}) have topics in common"), remedy)
    };
    Some(RuleProblem::new("topic", Some(later.pattern().as_str()), reason, remedy))
}

impl Bound {
    fn new(rule: Rule, channels: &[Channel<'_>], problems: &mut Vec<RuleProblem>) -> Self {
        let position = |name: &str| channels.iter().position(|channel| channel.name == name);
        let mut names: HashMap<String, Slot> = channels
            .iter()
            .enumerate()
            .map(|(index, channel)| (channel.name.to_owned(), Slot::Channel(index)))
            .collect();
        let spec = &rule.spec;
        names.extend(spec.ignore.iter().map(|name| (name.clone(), Slot::Ignored)));
        for (theirs, ours) in &spec.rename {
            match position(ours) {
                Some(index) => {
                    names.insert(theirs.clone(), Slot::Channel(index));
                }
                None => problems.push(unknown_sensor(format!("rename.{theirs}"), ours, channels)),
            }
        }
        if let NameFrom::Fixed(sensor) = &rule.sensor
            && !names.contains_key(sensor)
        {
            problems.push(unknown_sensor("sensor".to_owned(), sensor, channels));
        }
        let tables = std::iter::once(("sensors".to_owned(), &spec.sensors));
        let own = spec.overrides.iter().map(|(unit, table)| (format!("overrides.{unit}"), table));
        for (key, table) in tables.chain(own) {
            for sensor in table.keys().filter(|sensor| position(sensor).is_none()) {
                problems.push(unknown_sensor(format!("{key}.{sensor}"), sensor, channels));
            }
        }
        let conversions = channels.iter().map(|channel| {
            let spec = spec.sensors.get(channel.name)?;
            Some(Conversion::new(spec, channel.unit, &format!("sensors.{}", channel.name), problems))
        });
        let conversions: Vec<_> = conversions.collect();
        let mut overrides = HashMap::new();
        for (unit, table) in &spec.overrides {
            let mut own = conversions.clone();
            for (slot, channel) in own.iter_mut().zip(channels) {
                let Some(written) = table.get(channel.name) else { continue };
                let base = spec.sensors.get(channel.name);
                let merged = base.map_or_else(|| written.clone(), |base: &ConversionSpec| written.over(base));
                let key = format!("overrides.{unit}.{}", channel.name);
                // What is wrong with the base is said there.
                let mut found = Vec::new();
                *slot = Some(Conversion::new(&merged, channel.unit, &key, &mut found));
                let is_own = |problem: &RuleProblem| base.is_none() || !says_same(problem, problems, &key);
                let found: Vec<_> = found.into_iter().filter(is_own).collect();
                problems.extend(found);
            }
            overrides.insert(unit.clone(), own);
        }
        let units = spec.units.iter().map(|(theirs, ours)| (theirs.clone(), ours.clone())).collect();
        Self { rule, names, units, conversions, overrides }
    }
}

/// Is a problem of an override there already for all units?
fn says_same(problem: &RuleProblem, known: &[RuleProblem], key: &str) -> bool {
    let part = problem.key.strip_prefix(key).unwrap_or_default();
    known.iter().any(|other| {
        other.key.ends_with(part) && other.value == problem.value && other.reason == problem.reason
    })
}

fn unknown_sensor(key: String, name: &str, channels: &[Channel<'_>]) -> RuleProblem {
    let near = channels
        .iter()
        .map(|channel| (strsim::jaro_winkler(name, channel.name), channel.name))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let remedy = if let Some((_, near)) = near {
        format!("did you mean {near}?")
    } else {
        let names: Vec<_> = channels.iter().map(|channel| channel.name).collect();
        format!("the bundle's sensors are {}", names.join(", "))
    };
    RuleProblem::new(key, Some(name), "the bundle has no such sensor", remedy)
}
