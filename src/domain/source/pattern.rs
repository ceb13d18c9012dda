//! Topics of a rule: text, `{unit}`, `{sensor}`, `+`, and `#` at the end.

use crate::domain::topic::MAX_TOPIC_BYTES;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Text(String),
    AnyOne,
    Unit,
    Sensor,
}

/// What a topic tells by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Captured<'t> {
    /// What stands for `{unit}`.
    pub unit: Option<&'t str>,
    /// What stands for `{sensor}`.
    pub sensor: Option<&'t str>,
}

/// The topics of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    source: String,
    levels: Vec<Level>,
    /// Whether anything may follow: `#` at the end.
    is_open: bool,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, as the end of a sentence that begins with the pattern.
    pub fn parse(source: &str) -> Result<Self, (String, String)> {
        let fail = |reason: String, remedy: &str| Err((reason, remedy.to_owned()));
        if source.is_empty() || source.len() > MAX_TOPIC_BYTES {
            let remedy =
                "write the topics as their devices publish them, with {unit} where the unit's name stands";
            return fail(format!("must have 1 to {MAX_TOPIC_BYTES} bytes"), remedy);
        }
        if source.starts_with('$') {
            let remedy = "name the topics behind it; subscriptions are shared by nobody here";
            return fail("begins with `$`, which is the broker's own".to_owned(), remedy);
        }
        let (stem, is_open) = match source.strip_suffix('#') {
            Some("") => ("", true),
            Some(stem) if stem.ends_with('/') => (&stem[..stem.len() - 1], true),
            _ => (source, false),
        };
        let mut levels = Vec::new();
        for level in stem.split('/').filter(|_| !(is_open && stem.is_empty())) {
            levels.push(match level {
                "+" => Level::AnyOne,
                "{unit}" => Level::Unit,
                "{sensor}" => Level::Sensor,
                text if text.contains(['{', '}']) => {
                    let remedy = "a level is plain text, or as a whole `{unit}`, `{sensor}` or `+`";
                    return fail(format!("has the level `{text}`"), remedy);
                }
                text if text.contains(['+', '#']) || text.chars().any(char::is_control) => {
                    let remedy = "`+` stands for a whole level, `#` for the end of the topic; control characters for nothing";
                    return fail(format!("has the level {text:?}"), remedy);
                }
                text => Level::Text(text.to_owned()),
            });
        }
        for (level, name) in [(Level::Unit, "{unit}"), (Level::Sensor, "{sensor}")] {
            if levels.iter().filter(|known| **known == level).count() > 1 {
                return fail(format!("has {name} twice"), "write `+` for the one that does not count");
            }
        }
        Ok(Self { source: source.to_owned(), levels, is_open })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether a unit's name stands in the topic.
    #[must_use]
    pub fn has_unit(&self) -> bool {
        self.levels.contains(&Level::Unit)
    }

    /// Whether a sensor's name stands in the topic.
    #[must_use]
    pub fn has_sensor(&self) -> bool {
        self.levels.contains(&Level::Sensor)
    }

    /// The subscription filter.
    #[must_use]
    pub fn filter(&self) -> String {
        self.filter_of(None, None)
    }

    /// The filter of the topics that tell this unit and this sensor; of any, where none is given.
    #[must_use]
    pub(super) fn filter_of(&self, unit: Option<&str>, sensor: Option<&str>) -> String {
        let levels = self.levels.iter().map(|level| match level {
            Level::Text(text) => text.as_str(),
            Level::Unit => unit.unwrap_or("+"),
            Level::Sensor => sensor.unwrap_or("+"),
            Level::AnyOne => "+",
        });
        levels.chain(self.is_open.then_some("#")).collect::<Vec<_>>().join("/")
    }

    /// Does the topic match, and what does it tell?
    #[must_use]
    pub fn capture<'t>(&self, topic: &'t str) -> Option<Captured<'t>> {
        let mut captured = Captured::default();
        let mut levels = topic.split('/');
        for expected in &self.levels {
            let level = levels.next()?;
            match expected {
                Level::Text(text) if text == level => {}
                Level::Text(_) => return None,
                Level::AnyOne => {}
                Level::Unit => captured.unit = Some(level),
                Level::Sensor => captured.sensor = Some(level),
            }
        }
        (self.is_open || levels.next().is_none()).then_some(captured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_captures() {
        let pattern = Pattern::parse("site/+/ahu/{unit}/{sensor}/state").unwrap();
        assert_eq!(pattern.filter(), "site/+/ahu/+/+/state");
        let captured = pattern.capture("site/5/ahu/c1/temp/state").unwrap();
        assert_eq!((captured.unit, captured.sensor), (Some("c1"), Some("temp")));
        for other in ["site/5/ahu/c1/temp", "site/5/ahu/c1/temp/state/x", "a", "site/5/fan/c1/temp/state"] {
            assert_eq!(pattern.capture(other), None, "{other}");
        }
        let open = Pattern::parse("up/{unit}/#").unwrap();
        assert_eq!(open.filter(), "up/+/#");
        for topic in ["up/c1", "up/c1/a", "up/c1/a/b"] {
            assert_eq!(open.capture(topic).unwrap().unit, Some("c1"), "{topic}");
        }
        assert_eq!(open.capture("up"), None);
        assert_eq!(Pattern::parse("#").unwrap().filter(), "#");
        assert!(Pattern::parse("#").unwrap().capture("a/b").is_some());
    }

    #[test]
    fn what_is_no_pattern() {
        for bad in ["", "a/#/b", "a#", "a/b+", "{unit}x", "{room}", "{unit}/{unit}", "a\u{0}", "$share/g/a"] {
            assert!(Pattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        /// A pattern captures exactly the topics that its filter matches.
        #[test]
        fn captures_what_its_filter_matches(
            pattern in "(a|b|\\+|\\{unit\\})(/(a|b|\\+|\\{sensor\\})){0,2}(/#)?",
            topic in "[ab](/[ab]){0,3}",
        ) {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let is_covered = super::super::filter::covers(&pattern.filter(), &topic);
                proptest::prop_assert_eq!(pattern.capture(&topic).is_some(), is_covered);
            }
        }
    }
}
