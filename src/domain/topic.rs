//! Topic templates: `hvac/{unit}/sensors/{sensor}` as subscription filter, matcher and printer.

use thiserror::Error;

/// Longest topic or template in bytes. MQTT allows 65,535; nobody names a sensor so, and every
/// topic is held in queues.
pub const MAX_TOPIC_BYTES: usize = 512;

/// Whether brokers may close the connection for this character in a topic: control characters and Unicode's
/// noncharacters (MQTT 3.1.1, section 1.5.3; mosquitto does).
#[must_use]
pub fn is_unfit(character: char) -> bool {
    let code = u32::from(character);
    character.is_control() || code & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&code)
}

/// Why a text is no topic template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopicError {
    /// Empty, or longer than [`MAX_TOPIC_BYTES`].
    #[error("topic template `{0}` must have 1 to {MAX_TOPIC_BYTES} bytes")]
    Length(String),
    /// Braces that are no placeholder of its own level.
    #[error(
        "topic template `{template}`: level `{level}` must be plain text or one whole placeholder of {allowed}"
    )]
    Placeholder {
        /// The template.
        template: String,
        /// The level at fault.
        level: String,
        /// What may stand there.
        allowed: String,
    },
    /// `#`, a NUL, or `+` where output goes.
    #[error("topic template `{template}`: `{character}` is not allowed here")]
    Wildcard {
        /// The template.
        template: String,
        /// The character at fault.
        character: char,
    },
    /// A placeholder that must be there is not.
    #[error("topic template `{template}` needs `{{{placeholder}}}` as one of its levels")]
    Missing {
        /// The template.
        template: String,
        /// The placeholder's name.
        placeholder: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Text(String),
    AnyOne,
    Placeholder(&'static str),
}

/// A topic with placeholders, checked once and used many times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    source: String,
    levels: Vec<Level>,
}

impl TopicTemplate {
    /// Parses a template in which each of `placeholders` must stand exactly as one level. With
    /// `is_filter`, a level may also be `+`.
    ///
    /// # Errors
    /// [`TopicError`] names the template and the level.
    pub fn parse(source: &str, placeholders: &[&'static str], is_filter: bool) -> Result<Self, TopicError> {
        if source.is_empty() || source.len() > MAX_TOPIC_BYTES {
            return Err(TopicError::Length(source.to_owned()));
        }
        let mut levels = Vec::new();
        for level in source.split('/') {
            levels.push(parse_level(source, level, placeholders, is_filter)?);
        }
        for placeholder in placeholders {
            let found = levels.iter().filter(|level| **level == Level::Placeholder(placeholder)).count();
            if found != 1 {
                return Err(TopicError::Missing { template: source.to_owned(), placeholder });
            }
        }
        Ok(Self { source: source.to_owned(), levels })
    }

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The subscription filter: every placeholder becomes `+`.
    #[must_use]
    pub fn filter(&self) -> String {
        let levels: Vec<&str> = self
            .levels
            .iter()
            .map(|level| match level {
                Level::Text(text) => text.as_str(),
                Level::AnyOne | Level::Placeholder(_) => "+",
            })
            .collect();
        levels.join("/")
    }

    /// Does the topic match, and what stands in place of `first` and `second`? A placeholder that the
    /// template lacks gives an empty text.
    #[must_use]
    pub fn capture<'t>(&self, topic: &'t str, first: &str, second: &str) -> Option<(&'t str, &'t str)> {
        let mut captured = ("", "");
        let mut levels = topic.split('/');
        for expected in &self.levels {
            let level = levels.next()?;
            match expected {
                Level::Text(text) if text == level => {}
                Level::Text(_) => return None,
                Level::Placeholder(name) if *name == first => captured.0 = level,
                Level::Placeholder(name) if *name == second => captured.1 = level,
                Level::AnyOne | Level::Placeholder(_) => {}
            }
        }
        levels.next().is_none().then_some(captured)
    }

    /// The topic with values put in for the placeholders; one without a value is left empty.
    #[must_use]
    pub fn render(&self, values: &[(&str, &str)]) -> String {
        let mut topic = String::with_capacity(self.source.len() + 32);
        for (index, level) in self.levels.iter().enumerate() {
            if index > 0 {
                topic.push('/');
            }
            match level {
                Level::Text(text) => topic.push_str(text),
                Level::AnyOne => topic.push('+'),
                Level::Placeholder(name) => {
                    let value = values.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
                    topic.push_str(value);
                }
            }
        }
        topic
    }
}

fn parse_level(
    source: &str,
    level: &str,
    placeholders: &[&'static str],
    is_filter: bool,
) -> Result<Level, TopicError> {
    let wildcard = |character| TopicError::Wildcard { template: source.to_owned(), character };
    if level == "+" && is_filter {
        return Ok(Level::AnyOne);
    }
    if let Some(character) = level.chars().find(|c| matches!(c, '#' | '+') || is_unfit(*c)) {
        return Err(wildcard(character));
    }
    if !level.contains(['{', '}']) {
        return Ok(Level::Text(level.to_owned()));
    }
    let name = level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match placeholders.iter().find(|known| Some(**known) == name) {
        Some(known) => Ok(Level::Placeholder(known)),
        None => Err(TopicError::Placeholder {
            template: source.to_owned(),
            level: level.to_owned(),
            allowed: placeholders.iter().map(|name| format!("`{{{name}}}`")).collect::<Vec<_>>().join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_template_filters_matches_and_prints() {
        let template =
            TopicTemplate::parse("hvac/{unit}/sensors/{sensor}", &["unit", "sensor"], true).unwrap();
        assert_eq!(template.filter(), "hvac/+/sensors/+");
        assert_eq!(template.capture("hvac/c1/sensors/UCAIT", "unit", "sensor"), Some(("c1", "UCAIT")));
        assert_eq!(template.capture("hvac/c1/sensors", "unit", "sensor"), None);
        assert_eq!(template.capture("hvac/c1/sensors/UCAIT/x", "unit", "sensor"), None);
        assert_eq!(template.capture("hvac/c1/predictions/UCAIT", "unit", "sensor"), None);
        assert_eq!(template.render(&[("unit", "a"), ("sensor", "b")]), "hvac/a/sensors/b");
    }

    #[test]
    fn bad_templates_are_named() {
        let parse = |source| TopicTemplate::parse(source, &["unit"], false).unwrap_err();
        assert!(matches!(parse(""), TopicError::Length(_)));
        assert!(matches!(parse("a/b"), TopicError::Missing { placeholder: "unit", .. }));
        assert!(matches!(parse("{unit}/{unit}"), TopicError::Missing { .. }));
        assert!(matches!(parse("x{unit}"), TopicError::Placeholder { .. }));
        assert!(matches!(parse("{unit}/+"), TopicError::Wildcard { character: '+', .. }));
        assert!(matches!(parse("{unit}/#"), TopicError::Wildcard { character: '#', .. }));
    }
}
