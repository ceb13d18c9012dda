//! What can be wrong with a model, said so that its owner can repair it.

use std::fmt;

use super::limits::MAX_PROBLEMS;

/// Why a model was not loaded, or a call to it not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The file was refused at load; every problem found in it.
    #[error("model `{model}` is refused:{problems}")]
    Refused {
        /// Name the caller gave the model, usually its file name.
        model: String,
        /// At least one problem.
        problems: Problems,
    },
    /// A slice handed to `predict` has the wrong length.
    #[error("model `{model}`: {what} holds {found} values where {expected} are expected")]
    Length {
        /// Name of the model.
        model: String,
        /// Which argument.
        what: &'static str,
        /// Length it must have.
        expected: usize,
        /// Length it has.
        found: usize,
    },
    /// The operator plan of a network failed while running.
    #[error("model `{model}` failed while running: {reason}")]
    Run {
        /// Name of the model.
        model: String,
        /// What the runtime said.
        reason: String,
    },
}

impl ModelError {
    /// A refusal for one reason.
    pub(crate) fn refused(model: &str, place: impl Into<String>, reason: impl Into<String>) -> ModelError {
        let mut problems = Problems::default();
        problems.push(place, reason);
        ModelError::Refused { model: model.to_owned(), problems }
    }
}

/// One thing wrong: where, and why (with the remedy where there is one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place, e.g. ``node `trees` (TreeEnsembleRegressor): nodes_truenodeids[4]``.
    pub place: String,
    /// The reason and, where there is one, the remedy.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.place, self.reason)
        }
    }
}

/// Problems found, at most [`MAX_PROBLEMS`] of them in full, the rest counted: a file with a
/// million broken nodes must not become a million lines of log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    listed: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// The problems that are described in full.
    #[must_use]
    pub fn listed(&self) -> &[Problem] {
        &self.listed
    }

    /// How many further problems were only counted.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(crate) fn push(&mut self, place: impl Into<String>, reason: impl Into<String>) {
        if self.listed.len() < MAX_PROBLEMS {
            self.listed.push(Problem { place: place.into(), reason: reason.into() });
        } else {
            self.more += 1;
        }
    }

    /// The same problems, each placed inside `context`.
    pub(crate) fn within(mut self, context: &str) -> Problems {
        for problem in &mut self.listed {
            problem.place = if problem.place.is_empty() {
                context.to_owned()
            } else {
                format!("{context}: {}", problem.place)
            };
        }
        self
    }
}

impl fmt::Display for Problems {
    /// One problem on the same line; several on a line of their own each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.listed.as_slice() {
            write!(f, " {only}")?;
        } else {
            for problem in &self.listed {
                write!(f, "\n  - {problem}")?;
            }
        }
        if self.more > 0 {
            write!(f, "\n  - and {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Several models refused at once: a bundle loads as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelErrors(pub Vec<ModelError>);

impl fmt::Display for ModelErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ModelErrors {}
