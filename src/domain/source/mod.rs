//! Source rules: how the topics and payloads of a site become readings.
//!
//! A rule is written as a [`RuleSpec`], checked by itself as a [`Rule`], and tied to a bundle's sensors in
//! [`Rules`], which read messages into a [`Batch`]. The first rule whose topics match reads a message; overlaps are
//! refused beforehand ([`overlaps`]), so the order matters only where a rule says that it takes what is left.

mod batch;
mod clock;
mod convert;
pub mod filter;
mod influx;
mod pattern;
mod places;
mod pointer;
mod read;
mod rule;
mod rules;
mod sparkplug;
mod spec;
#[cfg(test)]
mod tests;
mod units;
mod vendor;

pub use batch::{Batch, Group, MAX_GROUPS, Note};
pub use clock::TimeFormat;
pub use pattern::{Captured, Pattern};
pub use places::Place;
pub use pointer::Pointer;
pub use rule::{Kind, MAX_NAMES, Rule};
pub use rules::{Channel, MAX_RULES, Overlap, Rules, overlaps};
pub use sparkplug::{Births, MAX_BIRTH_BYTES, MAX_NODES};
pub use spec::{ConversionSpec, RuleProblem, RuleSpec};
#[cfg(test)]
pub use units::canonical_units;
pub use units::{Change, canonical_unit};
