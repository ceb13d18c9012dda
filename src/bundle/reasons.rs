//! Reasons of a quality as documents list them: in words, with the names that the bundle gives.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Manifest;
use crate::domain::Reason;
use crate::domain::quality::ReasonSubject;

/// Most reasons listed in one document; the rest is counted.
const MAX_LISTED_REASONS: usize = 16;

/// One entry of the list: `code:subject`, the code alone where the reason is about the whole unit, or `more:N`.
#[derive(Debug, Clone, Copy)]
pub enum ListedReason<'a> {
    /// A reason.
    Of(&'a Manifest, Reason),
    /// So many more than are listed.
    More(usize),
}

impl Manifest {
    /// The reasons as they are listed: the first sixteen, then how many more there are.
    pub fn listed<'a>(&'a self, reasons: &'a [Reason]) -> impl Iterator<Item = ListedReason<'a>> {
        let more = reasons.len().saturating_sub(MAX_LISTED_REASONS);
        let listed =
            reasons.iter().take(MAX_LISTED_REASONS).map(move |reason| ListedReason::Of(self, *reason));
        listed.chain((more > 0).then_some(ListedReason::More(more)))
    }
}

impl fmt::Display for ListedReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (manifest, reason) = match self {
            Self::Of(manifest, reason) => (manifest, reason),
            Self::More(count) => return write!(f, "more:{count}"),
        };
        let name = match reason.subject() {
            ReasonSubject::Sensor(index) => manifest.sensors.get(usize::from(index)).map(|s| &s.name),
            ReasonSubject::Feature(index) => manifest.features.get(usize::from(index)).map(|f| &f.name),
            ReasonSubject::Target(index) => manifest.targets.get(usize::from(index)).map(|t| &t.name),
            ReasonSubject::Unit => None,
        };
        match name {
            Some(name) => write!(f, "{}:{name}", reason.code()),
            None => f.write_str(reason.code()),
        }
    }
}

impl Serialize for ListedReason<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
