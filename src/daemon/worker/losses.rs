//! What the log says of what is not used, not sent and not logged.

use std::collections::BTreeMap;

use tracing::{debug, info, warn};

use super::Worker;
use crate::daemon::health;
use crate::daemon::logging::{Event, Suppressed};
use crate::domain::{Effect, Monotonic, RejectCounts, RejectReason, UnitId};

/// What was counted when the log last spoke of it.
#[derive(Debug, Default)]
pub(super) struct Told {
    rejects: RejectCounts,
    drops: BTreeMap<&'static str, u64>,
}

impl Worker {
    /// One line a minute of units that come and of those that go, the rest at debug level.
    pub(super) fn log_unit(&mut self, effect: &Effect, now: Monotonic) {
        match effect {
            Effect::UnitAppeared(unit) => self.log_appeared(unit, now),
            Effect::UnitEvicted(unit) if self.limit.allows("unit_evicted", now) => {
                info!(
                    event = %Event::UnitForgotten,
                    unit_id = %unit,
                    "unit {unit} was silent for engine.unit_ttl and is forgotten"
                );
            }
            Effect::UnitEvicted(unit) => debug!(unit_id = %unit, "unit {unit} is forgotten"),
            _ => {}
        }
    }

    fn log_appeared(&mut self, unit: &UnitId, now: Monotonic) {
        if self.limit.allows("unit_appeared", now) {
            info!(
                event = %Event::UnitAppeared,
                unit_id = %unit,
                "unit {unit} appeared; further ones this minute are logged at debug level"
            );
        } else {
            debug!(unit_id = %unit, "unit {unit} appeared");
        }
    }

    /// One line a minute for each reason why readings are not used, with the topic on which the last came in.
    pub(super) fn log_rejects(&mut self, topic: &str, now: Monotonic) {
        let rejects = &self.engine.counters().rejects;
        // For each message, so the usual case must be quick.
        if rejects.total() == self.told.rejects.total() {
            return;
        }
        for (reason, count) in rejects.iter() {
            if count == self.told.rejects.get(reason) || !self.limit.allows(reason.name(), now) {
                continue;
            }
            let event = match reason {
                RejectReason::TooManyUnits => Event::UnitsRefused,
                _ => Event::ReadingsRefused,
            };
            warn!(
                event = %event,
                reason = reason.name(),
                topic,
                count,
                "readings or their times not used because of {reason}: {count} so far"
            );
        }
        self.told.rejects.clone_from(rejects);
    }

    /// One line a minute for each reason why messages were dropped. Numbers that newer ones replaced while the
    /// broker was away are spoken of when it is back, not all night long.
    pub(super) fn log_drops(&mut self, now: Monotonic) {
        if !self.statistics.broker.is_connected() {
            return;
        }
        for (reason, count) in health::lost_messages(&self.outbox, self.link.inbox()) {
            let told = self.told.drops.entry(reason).or_default();
            if count > *told && self.limit.allows(reason, now) {
                let more = count - *told;
                *told = count;
                warn!(
                    event = %Event::MessagesDropped,
                    reason,
                    count = more,
                    "{more} messages were dropped because of {reason}"
                );
            }
        }
    }

    /// Says how many lines the log has left out since this was last said.
    pub(super) fn log_suppressed(&mut self) {
        if let Some(Suppressed { lines, place }) = self.log_volume.take_suppressed() {
            self.statistics.suppressed_log_lines += lines;
            warn!(
                event = %Event::LinesLeftOut,
                count = lines,
                "{lines} lines were left out of the log, the most of them at {place}"
            );
        }
    }
}
