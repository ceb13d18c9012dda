//! Quality of a prediction and the reasons for it.

use std::fmt;

/// How far a prediction can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// Every input fresh and inside the range the models were trained on.
    Good,
    /// Published, but some input was defaulted, held too long, missing, or outside the trained range.
    Uncertain,
    /// Not published: the inputs do not carry a prediction.
    Bad,
}

impl Quality {
    /// The name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Uncertain => "uncertain",
            Self::Bad => "bad",
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One reason why a quality is not good. The index points into the sensors, features or targets of the
/// bundle, as the name says; copying it costs nothing, so the hot path can collect reasons freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A required sensor was never read: nothing can be predicted.
    RequiredMissing(u16),
    /// A required sensor is older than its `max_age`: nothing can be predicted.
    RequiredStale(u16),
    /// More features are missing than the bundle allows: nothing can be predicted.
    TooManyMissing,
    /// No sensor of the unit is fresh, or nothing has come of it for too long: nothing can be predicted.
    Silent,
    /// The clock was not set when this was predicted: ages of payloads' times cannot be told.
    ClockNotSet,
    /// A model gave no finite number for this target: nothing can be predicted.
    NotComputable(u16),
    /// A sensor was never read; its features are missing.
    Missing(u16),
    /// A sensor is older than its `max_age`; its features are missing.
    Stale(u16),
    /// A sensor is older than its `max_age`; the held value is used.
    Held(u16),
    /// A sensor is missing or stale; the bundle's default is used.
    Defaulted(u16),
    /// A sensor is outside the range the models were trained on.
    OutsideTrainedRange(u16),
    /// A derived feature has no value although its sensors do (division by zero, domain error).
    Undefined(u16),
    /// A feature's window has instants without a sample: the unit is new, or its sensors were silent.
    IncompleteHistory(u16),
    /// A prediction is outside the target's plausible range.
    Implausible(u16),
}

/// What a [`Reason`]'s index counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonSubject {
    /// A sensor of the bundle.
    Sensor(u16),
    /// A feature of the bundle.
    Feature(u16),
    /// A target of the bundle.
    Target(u16),
    /// The unit as a whole.
    Unit,
}

impl Reason {
    /// The quality this reason leads to.
    #[must_use]
    pub fn quality(self) -> Quality {
        match self {
            Self::RequiredMissing(_)
            | Self::RequiredStale(_)
            | Self::TooManyMissing
            | Self::Silent
            | Self::NotComputable(_) => Quality::Bad,
            _ => Quality::Uncertain,
        }
    }

    /// The code in documents, before the colon and the subject's name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::RequiredMissing(_) => "required_missing",
            Self::RequiredStale(_) => "required_stale",
            Self::TooManyMissing => "too_many_missing",
            Self::Silent => "silent",
            Self::ClockNotSet => "clock_not_set",
            Self::NotComputable(_) => "not_computable",
            Self::Missing(_) => "missing",
            Self::Stale(_) => "stale",
            Self::Held(_) => "held",
            Self::Defaulted(_) => "defaulted",
            Self::OutsideTrainedRange(_) => "outside_trained_range",
            Self::Undefined(_) => "undefined",
            Self::IncompleteHistory(_) => "incomplete_history",
            Self::Implausible(_) => "implausible",
        }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(self) -> ReasonSubject {
        match self {
            Self::RequiredMissing(i)
            | Self::RequiredStale(i)
            | Self::Missing(i)
            | Self::Stale(i)
            | Self::Held(i)
            | Self::Defaulted(i)
            | Self::OutsideTrainedRange(i) => ReasonSubject::Sensor(i),
            Self::Undefined(i) | Self::IncompleteHistory(i) => ReasonSubject::Feature(i),
            Self::NotComputable(i) | Self::Implausible(i) => ReasonSubject::Target(i),
            Self::TooManyMissing | Self::Silent | Self::ClockNotSet => ReasonSubject::Unit,
        }
    }
}

/// The worst quality among the reasons; good when there is none.
#[must_use]
pub fn quality_of(reasons: &[Reason]) -> Quality {
    reasons.iter().map(|reason| reason.quality()).max().unwrap_or(Quality::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_reason_decides() {
        assert_eq!(quality_of(&[]), Quality::Good);
        assert_eq!(quality_of(&[Reason::Held(1)]), Quality::Uncertain);
        assert_eq!(quality_of(&[Reason::Held(1), Reason::RequiredStale(0)]), Quality::Bad);
    }
}
