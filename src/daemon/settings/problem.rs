//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// One thing that is wrong: which key, which value, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, or the file where the problem is not about a key.
    pub key: String,
    /// The value at fault as written; never a secret.
    pub value: Option<String>,
    /// Why it cannot be used.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
    /// Where the value came from, when it was not the default.
    pub origin: Option<String>,
}

impl Problem {
    /// A problem with a key of which the value may be shown.
    #[must_use]
    pub fn new(
        key: impl Into<String>,
        value: impl Into<Option<String>>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            reason: reason.into(),
            remedy: remedy.into(),
            origin: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(origin) = &self.origin {
            write!(f, " (from {origin})")?;
        }
        write!(f, ": {}", self.reason)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsErrors(pub Vec<Problem>);

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
