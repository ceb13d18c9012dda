//! What the engine wants done. Effects are values: the daemon carries them out, tests compare them.

use super::alarm::{Alarm, AlarmId};
use super::unit::UnitId;

/// Names one received message that the broker waits to have acknowledged.
pub type Token = u64;

/// What a publish is for; the daemon derives quality of service, retention and queueing from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublishKind {
    /// The prediction document.
    Prediction,
    /// One target's bare number, for devices that cannot read JSON. Repeats what the document says.
    Target,
    /// A unit's state; retained, the latest one counts.
    State,
    /// An alarm while it stands, or nothing once it is cleared; retained, the latest one counts.
    Alarm,
    /// Something that happened, for those who listen now and later; each counts.
    Event,
    /// What Home Assistant is told of a device, or nothing once it is gone; retained. Made again for every connection.
    Discovery,
    /// A request to a source of readings, to be sent once: it is made again as long as it is needed.
    Request,
}

/// One message for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Topic, complete.
    pub topic: String,
    /// Payload bytes. An empty retained payload removes the retained message.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// What it is for.
    pub kind: PublishKind,
}

impl Publish {
    /// Takes the retained message of a topic away: an empty one in its place.
    #[must_use]
    pub fn removal(topic: String, kind: PublishKind) -> Self {
        Self { topic, payload: Vec::new(), retain: true, kind }
    }
}

/// One thing to do. The order matters: [`Effect::Acknowledge`] speaks of all that stood before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this to the broker.
    Publish(Publish),
    /// Acknowledge the message once every publish that stands before this effect in the same call is
    /// confirmed by the broker.
    Acknowledge(Token),
    /// A unit was heard of for the first time.
    UnitAppeared(UnitId),
    /// A unit was silent for `unit_ttl` and is forgotten; its retained state is cleared.
    UnitEvicted(UnitId),
    /// An alarm was raised, of a unit or of the daemon as a whole; what is to be published stands before it.
    AlarmRaised(Option<UnitId>, Alarm),
    /// An alarm was cleared.
    AlarmCleared(Option<UnitId>, AlarmId),
}
