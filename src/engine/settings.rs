//! What the engine is told once: topics, timing, bounds.

use std::time::Duration;

use super::discovery::HomeAssistant;
use super::seed::Seed;
use super::silence::SilenceLimits;
use crate::bundle::Manifest;
use crate::domain::source::{Channel, Overlap, filter, overlaps};
use crate::domain::{
    AlarmId, CLOCK_FLOOR, PayloadKeys, Rule, RuleProblem, Rules, Timestamp, TopicError, TopicTemplate,
    UnitId, ZoneSpec,
};

/// Input and output topics, already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Single readings; needs `{unit}` and `{sensor}`.
    pub reading: TopicTemplate,
    /// Frames; needs `{unit}`.
    pub frame: TopicTemplate,
    /// Prediction documents; needs `{unit}`.
    pub prediction: TopicTemplate,
    /// Bare numbers; needs `{unit}` and `{target}`.
    pub target: TopicTemplate,
    /// Unit states; needs `{unit}`.
    pub state: TopicTemplate,
    /// Status flags; needs `{unit}` and `{target}`.
    pub flags: TopicTemplate,
    /// Alarms of a unit; needs `{unit}` and `{alarm}`.
    pub alarm: TopicTemplate,
}

/// The topic templates as they are written.
#[derive(Debug, Clone, Copy)]
pub struct TopicTexts<'a> {
    /// See [`Topics::reading`]; the others likewise.
    pub reading: &'a str,
    /// Frames.
    pub frame: &'a str,
    /// Prediction documents.
    pub prediction: &'a str,
    /// Bare numbers.
    pub target: &'a str,
    /// Unit states.
    pub state: &'a str,
    /// Status flags.
    pub flags: &'a str,
    /// Alarms of a unit.
    pub alarm: &'a str,
}

impl Default for TopicTexts<'_> {
    fn default() -> Self {
        Self {
            reading: "hvac/{unit}/sensors/{sensor}",
            frame: "hvac/{unit}/sensors",
            prediction: "hvac/{unit}/predictions",
            target: "hvac/{unit}/predictions/{target}",
            state: "hvac/{unit}/state",
            flags: "hvac/{unit}/predictions/{target}/flags",
            alarm: "hvac/{unit}/alarms/{alarm}",
        }
    }
}

impl Topics {
    /// Checks all templates.
    ///
    /// # Errors
    /// One entry for each template that is wrong, with the name of its field.
    pub fn parse(texts: &TopicTexts<'_>) -> Result<Self, Vec<(&'static str, TopicError)>> {
        let mut errors = Vec::new();
        let mut parse = |field, source: &str, placeholders: &[&'static str], is_filter| {
            TopicTemplate::parse(source, placeholders, is_filter)
                .map_err(|error| errors.push((field, error)))
                .ok()
        };
        let parsed = (
            parse("reading", texts.reading, &["unit", "sensor"], true),
            parse("frame", texts.frame, &["unit"], true),
            parse("prediction", texts.prediction, &["unit"], false),
            parse("target", texts.target, &["unit", "target"], false),
            parse("state", texts.state, &["unit"], false),
            parse("flags", texts.flags, &["unit", "target"], false),
            parse("alarm", texts.alarm, &["unit", "alarm"], false),
        );
        match parsed {
            (
                Some(reading),
                Some(frame),
                Some(prediction),
                Some(target),
                Some(state),
                Some(flags),
                Some(alarm),
            ) => Ok(Self { reading, frame, prediction, target, state, flags, alarm }),
            _ => Err(errors),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        // The literals are templates by construction; the test beside proves it.
        #[allow(clippy::expect_used)]
        Self::parse(&TopicTexts::default()).expect("the default topics are templates")
    }
}

/// Everything the engine is told once.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Topics in and out.
    pub topics: Topics,
    /// What comes in by other topics, in the order in which the rules are tried; the seed's last.
    pub sources: Vec<Rule>,
    /// Where value and time stand in payloads.
    pub keys: PayloadKeys,
    /// Zone of times that come without an offset.
    pub zone: ZoneSpec,
    /// Quiet time after a single reading before the unit is predicted, so that a burst gives one prediction.
    pub settle: Duration,
    /// Shortest time between two predictions of one unit; zero predicts every frame.
    pub min_interval: Duration,
    /// Most units held at once.
    pub max_units: usize,
    /// Silence after which a unit is forgotten.
    pub unit_ttl: Duration,
    /// How far ahead of the clock a time may be and still be believed.
    pub max_clock_skew: Duration,
    /// Longest payload that is decoded, in bytes.
    pub max_payload_bytes: usize,
    /// Most messages that wait, unacknowledged, for their unit to settle; beyond it the unit that has
    /// waited longest is predicted at once. Below the in-flight limit of common brokers (20 for mosquitto), or
    /// the broker would stop delivering while the engine waits for more.
    pub max_waiting: usize,
    /// Whether each target is published as a bare number too.
    pub target_topics: bool,
    /// Whether status flags are published for each target.
    pub target_flags: bool,
    /// A clock that tells an earlier time was never set: see [`crate::domain::CLOCK_FLOOR`]. Replay, which goes
    /// by times of long ago, has none.
    pub clock_floor: Timestamp,
    /// How long silence may last before it is an alarm.
    pub silence: SilenceLimits,
    /// The daemon's own alarms stand below this topic.
    pub daemon_alarms: String,
    /// Whether Home Assistant is told of the units and of the daemon, and how.
    pub home_assistant: Option<HomeAssistant>,
    /// Whether the topics of the seed are used beside our own.
    pub seed: Option<Seed>,
}

impl EngineSettings {
    /// The rules tied to a bundle's sensors, and what is wrong with them there, by the rule's place.
    #[must_use]
    pub fn bind(&self, manifest: &Manifest) -> (Rules, Vec<(usize, RuleProblem)>) {
        let channels: Vec<Channel<'_>> = manifest
            .channels()
            .into_iter()
            .map(|name| Channel { name, unit: manifest.unit_of(name).unwrap_or_default() })
            .collect();
        let topics = (&self.topics.frame, &self.topics.reading);
        Rules::new(&self.sources, topics, self.keys.clone(), &self.zone, &channels)
    }

    /// Every two rules that can match the same topic.
    #[must_use]
    pub fn overlaps(&self) -> Vec<Overlap> {
        overlaps(&self.sources, &self.topics.frame, &self.topics.reading, &self.zone)
    }

    /// Whether the rule at this place of `sources` is the one that [`Seed`] brings, which nobody wrote.
    #[must_use]
    pub fn is_seed(&self, place: usize) -> bool {
        self.seed.is_some() && place + 1 == self.sources.len()
    }

    /// The filters to subscribe to: no two match the same topic, so that no message comes twice.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        let built_in = [self.topics.frame.filter(), self.topics.reading.filter()];
        filter::fewest(&self.sources.iter().map(Rule::subscription).chain(built_in).collect::<Vec<_>>())
    }

    /// The topics of units that are published to, by the name of their setting.
    pub fn outputs(&self) -> impl Iterator<Item = (&'static str, &TopicTemplate)> {
        let topics = &self.topics;
        let all = [
            ("prediction", &topics.prediction, true),
            ("target", &topics.target, self.target_topics),
            ("state", &topics.state, true),
            ("flags", &topics.flags, self.target_flags),
            ("alarm", &topics.alarm, true),
        ];
        all.into_iter().filter(|(.., is_on)| *is_on).map(|(name, template, _)| (name, template))
    }

    /// Where an alarm of a unit stands.
    #[must_use]
    pub fn unit_alarm_topic(&self, unit: &UnitId, alarm: AlarmId) -> String {
        self.topics.alarm.render(&[("unit", unit.as_str()), ("alarm", alarm.name())])
    }

    /// Where an alarm of the daemon stands.
    #[must_use]
    pub fn daemon_alarm_topic(&self, alarm: AlarmId) -> String {
        format!("{}/{alarm}", self.daemon_alarms)
    }
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            topics: Topics::default(),
            sources: Vec::new(),
            keys: PayloadKeys::default(),
            zone: ZoneSpec::utc(),
            settle: Duration::from_millis(100),
            min_interval: Duration::ZERO,
            max_units: 256,
            unit_ttl: Duration::from_hours(24),
            max_clock_skew: Duration::from_mins(1),
            max_payload_bytes: 64 * 1024,
            max_waiting: 16,
            target_topics: true,
            target_flags: false,
            clock_floor: CLOCK_FLOOR,
            silence: SilenceLimits::default(),
            daemon_alarms: "cooltwin/main/alarms".to_owned(),
            home_assistant: None,
            seed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_filters() {
        assert_eq!(EngineSettings::default().filters(), ["hvac/+/sensors", "hvac/+/sensors/+"]);
    }

    #[test]
    fn every_bad_template_is_reported() {
        let texts =
            TopicTexts { reading: "a", frame: "b", state: "#", alarm: "{unit}", ..TopicTexts::default() };
        let errors = Topics::parse(&texts).unwrap_err();
        let fields: Vec<_> = errors.iter().map(|(field, _)| *field).collect();
        assert_eq!(fields, ["reading", "frame", "state", "alarm"]);
    }
}
