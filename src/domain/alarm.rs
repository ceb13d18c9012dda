//! Alarms: what calls for somebody to act, as a value and as the document that is published.

use std::fmt;

use serde::Serialize;

use super::prediction::{SCHEMA_VERSION, write_json};
use super::time::Timestamp;

/// Longest text or remedy in characters: an alarm is a sentence on a screen, and every one is held.
pub const MAX_ALARM_CHARS: usize = 600;

/// How urgent an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Predictions go on; somebody should look.
    Warning,
    /// Predictions do not come, or cannot be trusted to arrive.
    Critical,
}

impl Severity {
    /// The name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which alarm. The name is the last level of the alarm's topic, so a fixed set of names bounds topics and
/// memory alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmId {
    /// Nothing usable comes from any source.
    SourceSilent,
    /// No usable frame comes.
    FramesSilent,
    /// No usable single reading comes.
    ReadingsSilent,
    /// Nothing usable comes from one unit.
    UnitSilent,
    /// The broker takes messages but does not deliver them.
    BrokerNotDelivering,
    /// The clock tells a time before this program was written.
    ClockNotSet,
    /// A reload was refused; what ran before runs on.
    ReloadFailed,
    /// The state for a warm start cannot be saved.
    StateNotSaved,
}

impl AlarmId {
    /// The alarms of one unit.
    pub const OF_UNIT: [Self; 1] = [Self::UnitSilent];
    /// The alarms of the daemon as a whole.
    pub const OF_DAEMON: [Self; 7] = [
        Self::SourceSilent,
        Self::FramesSilent,
        Self::ReadingsSilent,
        Self::BrokerNotDelivering,
        Self::ClockNotSet,
        Self::ReloadFailed,
        Self::StateNotSaved,
    ];

    /// The name in topics and documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SourceSilent => "source_silent",
            Self::FramesSilent => "frames_silent",
            Self::ReadingsSilent => "readings_silent",
            Self::UnitSilent => "unit_silent",
            Self::BrokerNotDelivering => "broker_not_delivering",
            Self::ClockNotSet => "clock_not_set",
            Self::ReloadFailed => "reload_failed",
            Self::StateNotSaved => "state_not_saved",
        }
    }
}

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One alarm: what is wrong and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Which.
    pub id: AlarmId,
    /// How urgent.
    pub severity: Severity,
    /// What is wrong, one sentence.
    pub text: String,
    /// What to do, one sentence.
    pub remedy: String,
}

impl Alarm {
    /// Most bytes of text and remedy together: no character has more than four.
    pub const MAX_BYTES: usize = 2 * 4 * MAX_ALARM_CHARS;

    /// An alarm; texts beyond [`MAX_ALARM_CHARS`] are cut.
    #[must_use]
    pub fn new(id: AlarmId, severity: Severity, text: &str, remedy: &str) -> Self {
        let cut = |text: &str| text.chars().take(MAX_ALARM_CHARS).collect();
        Self { id, severity, text: cut(text), remedy: cut(remedy) }
    }

    /// The document that stands, retained, at the alarm's topic while it is active.
    #[must_use]
    pub fn document(&self, unit: Option<&str>, since: Timestamp) -> Vec<u8> {
        let document = AlarmDocument {
            schema: SCHEMA_VERSION,
            id: self.id.name(),
            severity: self.severity.name(),
            unit,
            since: since.to_string(),
            text: &self.text,
            remedy: &self.remedy,
        };
        let mut payload = Vec::with_capacity(256 + self.text.len() + self.remedy.len());
        write_json(&document, &mut payload);
        payload
    }
}

#[derive(Serialize)]
struct AlarmDocument<'a> {
    schema: u32,
    id: &'static str,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    since: String,
    text: &'a str,
    remedy: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_documented_fields() {
        let alarm = Alarm::new(AlarmId::UnitSilent, Severity::Critical, "c1 is \"silent\"", "look");
        let document = alarm.document(Some("c1"), Timestamp::from_micros(1_000_000));
        assert_eq!(
            String::from_utf8(document).unwrap(),
            concat!(
                r#"{"schema":1,"id":"unit_silent","severity":"critical","unit":"c1","#,
                r#""since":"1970-01-01T00:00:01Z","text":"c1 is \"silent\"","remedy":"look"}"#
            )
        );
        let daemon = alarm.document(None, Timestamp::default());
        assert!(!String::from_utf8(daemon).unwrap().contains("\"unit\""));
    }

    #[test]
    fn names_are_levels_of_a_topic_and_differ() {
        let mut names: Vec<_> =
            AlarmId::OF_DAEMON.iter().chain(&AlarmId::OF_UNIT).map(|id| id.name()).collect();
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), AlarmId::OF_DAEMON.len() + AlarmId::OF_UNIT.len());
    }

    #[test]
    fn long_texts_are_cut() {
        let alarm = Alarm::new(AlarmId::ReloadFailed, Severity::Warning, &"ü".repeat(10_000), "");
        assert_eq!(alarm.text.chars().count(), MAX_ALARM_CHARS);
    }
}
