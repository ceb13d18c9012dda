//! What the street carries: times, units, readings, a unit's state, quality, predictions, effects,
//! and the payloads at both ends of it. Knows no model and no broker.

pub mod alarm;
pub mod decode;
pub mod effect;
pub mod history;
pub(crate) mod json;
pub mod prediction;
pub mod quality;
pub mod reject;
pub mod source;
pub mod spelling;
pub mod state;
pub mod time;
pub mod topic;
pub mod unit;
pub(crate) mod wire;

pub use alarm::{Alarm, AlarmId, Severity};
pub use decode::{DecodedReading, Decoder, PayloadKeys};
pub use effect::{Effect, Publish, PublishKind, Token};
pub use history::{History, HistoryParts};
pub use prediction::{LatencyMicros, ModelIdentity, PredictionDocument, StateDocument};
pub use quality::{Quality, Reason};
pub use reject::{RejectCounts, RejectReason};
pub use source::{Batch, Births, Rule, RuleProblem, RuleSpec, Rules};
pub use spelling::{Spelling, spelling, unit_of_difference};
pub use state::{Held, UnitState};
pub use time::{CLOCK_FLOOR, Monotonic, Now, Timestamp, ZoneSpec};
pub use topic::{TopicError, TopicTemplate};
pub use unit::{UnitId, UnitIdError};
