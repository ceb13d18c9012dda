//! What waits in the outbox, and what becomes of it when it cannot be sent.

use bytes::Bytes;

use crate::daemon::mqtt::PublishId;
use crate::domain::PublishKind;

/// How a publish is sent and what becomes of it when it cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) enum Sort {
    /// As [`Sort::Retained`], and before everything else.
    Urgent,
    /// QoS 1, retained; only the latest per topic counts, and every new connection gets it again.
    Retained,
    /// As [`Sort::Retained`], but made again for every connection and so not held beyond one; only removals are.
    Announced,
    /// QoS 1; held until confirmed.
    Kept,
    /// QoS 1, to a topic that somebody else chose. Sent once: a broker that closes the connection for that topic would
    /// never take anything again.
    Answer,
    /// QoS 0; of value only now, so a newer one replaces it rather than wait behind it.
    Fleeting,
}

impl Sort {
    pub(super) fn is_retained(self) -> bool {
        matches!(self, Self::Urgent | Self::Retained | Self::Announced)
    }
}

impl From<PublishKind> for Sort {
    fn from(kind: PublishKind) -> Self {
        match kind {
            PublishKind::Alarm => Self::Urgent,
            PublishKind::State => Self::Retained,
            PublishKind::Discovery => Self::Announced,
            PublishKind::Prediction | PublishKind::Event => Self::Kept,
            PublishKind::Target | PublishKind::Request => Self::Fleeting,
        }
    }
}

/// Why outgoing messages were dropped, and how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Drops {
    /// Fleeting ones replaced by newer ones while there was no connection.
    pub(in crate::daemon) offline: u64,
    /// The same while the link was slow.
    pub(in crate::daemon) slow: u64,
    /// Fleeting ones while too many waited.
    pub(in crate::daemon) full: u64,
    /// Larger than a packet may be.
    pub(in crate::daemon) oversize: u64,
    /// Answers to commands that were not confirmed when the connection ended.
    pub(in crate::daemon) answers: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Waiting,
    Sent,
    Confirmed,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) sort: Sort,
    pub(super) retain: bool,
    pub(super) progress: Progress,
    pub(super) is_repeated: bool,
    /// A later entry of this retained topic is confirmed: this one must not follow it.
    pub(super) is_superseded: bool,
}

impl Entry {
    /// Nothing is to be done for it any more; gives the bytes that it held.
    pub(super) fn forget(&mut self) -> usize {
        self.progress = Progress::Confirmed;
        std::mem::take(&mut self.topic).len() + std::mem::take(&mut self.payload).len()
    }
}

/// The latest payload of a retained topic.
#[derive(Debug)]
pub(super) struct Latest {
    pub(super) payload: Bytes,
    pub(super) sort: Sort,
    /// The entry that waits to bring it to the broker.
    pub(super) waiting: Option<PublishId>,
}
