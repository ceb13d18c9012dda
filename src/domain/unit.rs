//! The name of one unit cooler.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::topic::is_unfit;

/// Longest unit name in bytes: it is part of topics, file names and log fields, and is held per unit.
pub const MAX_UNIT_NAME_BYTES: usize = 64;

/// The name of one unit, fit to stand as one level of an MQTT topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(Arc<str>);

/// Why a text is no unit name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UnitIdError {
    /// Nothing stood there.
    #[error("a unit name must not be empty")]
    Empty,
    /// Longer than [`MAX_UNIT_NAME_BYTES`].
    #[error("a unit name has at most {MAX_UNIT_NAME_BYTES} bytes")]
    TooLong,
    /// A character that would change the meaning of a topic or garble a log line.
    #[error(
        "a unit name must not contain `/`, `+`, `#`, quotes, backslashes, spaces at its ends or control characters"
    )]
    Forbidden,
}

impl UnitId {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`UnitIdError`] says what is wrong with it.
    pub fn new(name: &str) -> Result<Self, UnitIdError> {
        Self::check(name).map(|()| Self(name.into()))
    }

    /// Checks a name without taking it.
    ///
    /// # Errors
    /// [`UnitIdError`] says what is wrong with it.
    pub fn check(name: &str) -> Result<(), UnitIdError> {
        if name.is_empty() {
            return Err(UnitIdError::Empty);
        }
        if name.len() > MAX_UNIT_NAME_BYTES {
            return Err(UnitIdError::TooLong);
        }
        let forbidden = |c: char| matches!(c, '/' | '+' | '#' | '"' | '\\') || is_unfit(c);
        if name.contains(forbidden) || name.trim() != name {
            return Err(UnitIdError::Forbidden);
        }
        Ok(())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for UnitId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_break_topics_are_refused() {
        assert!(UnitId::new("cooler-01").is_ok());
        assert!(UnitId::new("Kühlraum 3").is_ok());
        assert_eq!(UnitId::new(""), Err(UnitIdError::Empty));
        assert_eq!(UnitId::new(&"x".repeat(65)), Err(UnitIdError::TooLong));
        for bad in ["a/b", "a+", "#", "a\"b", "a\\b", "a\n", " a"] {
            assert_eq!(UnitId::new(bad), Err(UnitIdError::Forbidden), "{bad:?}");
        }
    }
}
