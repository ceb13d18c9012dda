//! What the engine is told once: topics, timing, bounds.

use std::time::Duration;

use crate::domain::{PayloadKeys, TopicError, TopicTemplate, ZoneSpec};

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
}

impl Topics {
    /// Checks five templates.
    ///
    /// # Errors
    /// One entry for each template that is wrong, with the name of its field.
    pub fn parse(
        reading: &str,
        frame: &str,
        prediction: &str,
        target: &str,
        state: &str,
    ) -> Result<Self, Vec<(&'static str, TopicError)>> {
        let mut errors = Vec::new();
        let mut parse = |field, source: &str, placeholders: &[&'static str], is_filter| {
            TopicTemplate::parse(source, placeholders, is_filter)
                .map_err(|error| errors.push((field, error)))
                .ok()
        };
        let parsed = (
            parse("reading", reading, &["unit", "sensor"], true),
            parse("frame", frame, &["unit"], true),
            parse("prediction", prediction, &["unit"], false),
            parse("target", target, &["unit", "target"], false),
            parse("state", state, &["unit"], false),
        );
        match parsed {
            (Some(reading), Some(frame), Some(prediction), Some(target), Some(state)) => {
                Ok(Self { reading, frame, prediction, target, state })
            }
            _ => Err(errors),
        }
    }

    /// The filters to subscribe to.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        vec![self.frame.filter(), self.reading.filter()]
    }

    /// Names of an input and an output template of which the first would read what the second writes.
    #[must_use]
    pub fn feedback(&self) -> Vec<(&'static str, &'static str)> {
        let inputs = [("reading", &self.reading), ("frame", &self.frame)];
        let outputs = [("prediction", &self.prediction), ("target", &self.target), ("state", &self.state)];
        let mut pairs = Vec::new();
        for (input_name, input) in inputs {
            for (output_name, output) in outputs {
                if input.overlaps(output) {
                    pairs.push((input_name, output_name));
                }
            }
        }
        pairs
    }
}

impl Default for Topics {
    fn default() -> Self {
        // The literals are templates by construction; the test beside proves it.
        #[allow(clippy::expect_used)]
        Self::parse(
            "hvac/{unit}/sensors/{sensor}",
            "hvac/{unit}/sensors",
            "hvac/{unit}/predictions",
            "hvac/{unit}/predictions/{target}",
            "hvac/{unit}/state",
        )
        .expect("the default topics are templates")
    }
}

/// Everything the engine is told once.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Topics in and out.
    pub topics: Topics,
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
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            topics: Topics::default(),
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_topics_do_not_feed_back() {
        assert_eq!(Topics::default().feedback(), []);
        assert_eq!(Topics::default().filters(), ["hvac/+/sensors", "hvac/+/sensors/+"]);
    }

    #[test]
    fn every_bad_template_is_reported() {
        let errors = Topics::parse("a", "b", "{unit}", "{unit}/{target}", "#").unwrap_err();
        assert_eq!(errors.iter().map(|(field, _)| *field).collect::<Vec<_>>(), ["reading", "frame", "state"]);
    }

    #[test]
    fn feedback_is_found() {
        let topics =
            Topics::parse("h/{unit}/{sensor}", "h/{unit}", "h/{unit}/p", "t/{unit}/{target}", "s/{unit}")
                .unwrap();
        assert_eq!(topics.feedback(), [("reading", "prediction")]);
    }
}
