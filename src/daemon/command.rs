//! Commands that come over MQTT: which, and where the answer goes.

use crate::daemon::settings::DaemonTopics;
use crate::domain::Rules;
use crate::domain::topic::{MAX_TOPIC_BYTES, is_unfit};

/// Longest command payload read; it holds one topic.
const MAX_COMMAND_BYTES: usize = 4 * 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandKind {
    /// Publish the health document.
    Health,
    /// Load configuration and bundle anew.
    Reload,
}

/// A command with the topic its answer goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) kind: CommandKind,
    pub(super) reply_to: String,
}

/// With any other key it is refused: a document that strayed onto a command topic is no command.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    reply_to: Option<String>,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// In a word that stays the same over versions.
    pub(super) reason: &'static str,
    /// In a sentence.
    pub(super) text: String,
}

/// Reads a command. An empty payload is answered on the default topic, `{"reply_to": "topic"}` there.
///
/// # Errors
/// Why it is refused.
pub(super) fn parse(
    name: &str,
    payload: &[u8],
    own: &DaemonTopics,
    inputs: &Rules,
) -> Result<Command, Refused> {
    let refused = |reason, text| Refused { reason, text };
    let kind = match name {
        "health" => CommandKind::Health,
        "reload" => CommandKind::Reload,
        _ => return Err(refused("unknown_command", "unknown command: use health or reload".to_owned())),
    };
    if payload.len() > MAX_COMMAND_BYTES {
        let text = format!("command payload larger than {MAX_COMMAND_BYTES} bytes");
        return Err(refused("payload_too_large", text));
    }
    let asked = if payload.iter().all(u8::is_ascii_whitespace) {
        None
    } else {
        let parsed: Payload = serde_json::from_slice(payload).map_err(|error| {
            let text = format!("command payload is neither empty nor {{\"reply_to\": ...}}: {error}");
            refused("malformed_payload", text)
        })?;
        parsed.reply_to
    };
    let reply_to = match asked {
        Some(topic) => {
            checked_reply_topic(topic, own, inputs).map_err(|text| refused("invalid_reply_topic", text))?
        }
        None => own.response(name),
    };
    Ok(Command { kind, reply_to })
}

/// A reply must be publishable and must not come back to us as a reading or a command.
fn checked_reply_topic(topic: String, own: &DaemonTopics, inputs: &Rules) -> Result<String, String> {
    let is_plain = !topic.is_empty()
        && topic.len() <= MAX_TOPIC_BYTES
        && !topic.starts_with('$')
        && !topic.contains(|c| matches!(c, '+' | '#') || is_unfit(c));
    if !is_plain {
        return Err("reply_to is no topic to publish on".to_owned());
    }
    let is_response = topic.ends_with("/response");
    if inputs.has_topic(&topic)
        || (own.command(&topic).is_some() && !is_response)
        || topic == own.status
        || topic == own.probe
        || topic.starts_with(&format!("{}/", own.alarms))
    {
        return Err("reply_to is a topic this daemon reads or keeps its status on".to_owned());
    }
    Ok(topic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PayloadKeys, Rule, RuleSpec, ZoneSpec};
    use crate::engine::Topics;

    fn own() -> DaemonTopics {
        DaemonTopics {
            status: "cooltwin/main/status".into(),
            health: "cooltwin/main/health".into(),
            alarms: "cooltwin/main/alarms".into(),
            probe: "cooltwin/main/probe".into(),
            commands: "cooltwin/main/cmd".into(),
        }
    }

    /// Reads the default topics, and what a rule has for devices of another kind.
    fn inputs() -> Rules {
        let spec = RuleSpec {
            name: "meters".into(),
            topic: "zigbee2mqtt/{unit}".into(),
            kind: "object".into(),
            ..RuleSpec::default()
        };
        let (zone, topics) = (ZoneSpec::utc(), Topics::default());
        let rule = Rule::new(spec, &zone).unwrap();
        Rules::new(&[rule], (&topics.frame, &topics.reading), PayloadKeys::default(), &zone, &[]).0
    }

    fn read(name: &str, payload: &str) -> Result<Command, Refused> {
        parse(name, payload.as_bytes(), &own(), &inputs())
    }

    #[test]
    fn an_empty_payload_is_answered_on_the_response_topic() {
        let command = read("health", " ").unwrap();
        assert_eq!(command.kind, CommandKind::Health);
        assert_eq!(command.reply_to, "cooltwin/main/cmd/health/response");
    }

    #[test]
    fn a_reply_topic_can_be_asked_for() {
        let command = read("reload", r#"{"reply_to": "desk/7"}"#).unwrap();
        assert_eq!(command, Command { kind: CommandKind::Reload, reply_to: "desk/7".into() });
    }

    #[test]
    fn replies_that_would_come_back_are_refused() {
        for topic in [
            "a/+",
            "",
            "$SYS/x",
            "hvac/c1/sensors",
            "cooltwin/main/cmd/health",
            "cooltwin/main/status",
            "zigbee2mqtt/c1",
        ] {
            let payload = format!(r#"{{"reply_to": "{topic}"}}"#);
            assert_eq!(read("health", &payload).unwrap_err().reason, "invalid_reply_topic", "{topic}");
        }
        // Brokers close the connection for them.
        for character in ["\\u0001", "\\n", "\\u0000", "\\ufdd0", "\\uffff", "\\u0085"] {
            let payload = format!(r#"{{"reply_to": "desk/{character}"}}"#);
            assert_eq!(read("health", &payload).unwrap_err().reason, "invalid_reply_topic", "{character}");
        }
        let unknown = read("explode", "").unwrap_err();
        assert!(unknown.reason == "unknown_command" && unknown.text.contains("health"), "{unknown:?}");
        assert_eq!(read("health", "now!").unwrap_err().reason, "malformed_payload");
        assert!(read("health", r#"{"schema": 1, "instance": "other"}"#).is_err());
    }
}
