//! Names of metrics with a unit in them: `Coolers/{unit}/{sensor}`.

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Text(String),
    AnyOne,
    Unit,
}

/// What names of metrics look like. Names are paths; `{sensor}`, at the end, is all that is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct MetricName(Vec<Level>);

impl MetricName {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it and what would be right, as the end of a sentence that begins with the template.
    pub(in super::super) fn parse(source: &str) -> Result<Self, (&'static str, &'static str)> {
        let remedy = "write the part before the sensors' names, with {unit} where the unit's name stands, and \
                      {sensor} at the end for what is left: \"Coolers/{unit}/{sensor}\"";
        let Some(stem) = source.strip_suffix("{sensor}") else {
            return Err(("does not end in {sensor}", remedy));
        };
        let stem = match stem.strip_suffix('/') {
            Some(stem) => stem,
            None if stem.is_empty() => return Ok(Self(Vec::new())),
            None => return Err(("does not have {sensor} for a level of its own", remedy)),
        };
        let mut levels = Vec::new();
        for level in stem.split('/') {
            levels.push(match level {
                "{unit}" if levels.contains(&Level::Unit) => return Err(("has {unit} twice", remedy)),
                "{unit}" => Level::Unit,
                "+" => Level::AnyOne,
                text if text.contains(['{', '}']) => {
                    return Err(("has braces that are no {unit} for a level of its own", remedy));
                }
                text => Level::Text(text.to_owned()),
            });
        }
        Ok(Self(levels))
    }

    /// Whether a unit's name stands in it.
    pub(in super::super) fn has_unit(&self) -> bool {
        self.0.contains(&Level::Unit)
    }

    /// What stands for unit and sensor in a name that looks so.
    pub(super) fn capture<'n>(&self, name: &'n str) -> Option<(Option<&'n str>, &'n str)> {
        let (mut unit, mut rest) = (None, name);
        for expected in &self.0 {
            let (level, after) = rest.split_once('/')?;
            match expected {
                Level::Text(text) if text == level => {}
                Level::Text(_) => return None,
                Level::AnyOne => {}
                Level::Unit => unit = Some(level),
            }
            rest = after;
        }
        Some((unit, rest))
    }
}
