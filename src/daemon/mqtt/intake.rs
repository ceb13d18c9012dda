//! What was taken of the broker's QoS 1 messages on one connection, and when to have the rest delivered again.
//! Knows no socket; time comes in.

use std::time::Duration;

use tokio::time::Instant;

/// Longest wait for further acknowledgements once nothing stands in their way: several round trips of a slow link.
/// What is left then waits in the engine, which may keep it for `engine.min_interval`.
const PATIENCE: Duration = Duration::from_secs(5);

/// MQTT 3.1.1 lets nobody ask for a message again: the broker repeats on a new connection what was not acknowledged on
/// the old one. So after an overrun the connection ends, but not before what it has brought is acknowledged: on
/// the next one those tokens are void, and ending too early again and again would get nowhere.
#[derive(Debug, Default)]
pub(super) struct Intake {
    unacknowledged: usize,
    /// After an overrun: the latest moment at which an acknowledgement left or was held up.
    quiet_since: Option<Instant>,
}

impl Intake {
    /// Whether a message had no room: take no QoS 1 message any more, so that the order holds when they come again.
    pub(super) fn is_discarding(&self) -> bool {
        self.quiet_since.is_some()
    }

    /// So many messages were handed on, to be acknowledged.
    pub(super) fn taken(&mut self, count: usize) {
        self.unacknowledged += count;
    }

    /// A message had no room.
    pub(super) fn overrun(&mut self, now: Instant) {
        self.quiet_since.get_or_insert(now);
    }

    /// One of the messages that were handed on is acknowledged.
    pub(super) fn acknowledged(&mut self, now: Instant) {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
        self.held_up(now);
    }

    /// So much is to be sent and confirmed that acknowledgements may wait behind it.
    pub(super) fn held_up(&mut self, now: Instant) {
        if let Some(quiet_since) = &mut self.quiet_since {
            *quiet_since = now;
        }
    }

    /// When to end the connection for redelivery, if nothing changes until then. What else is on its way does not
    /// count: where QoS 0 messages come all the time, something always is.
    pub(super) fn redeliver_at(&self) -> Option<Instant> {
        let patience = if self.unacknowledged == 0 { Duration::ZERO } else { PATIENCE };
        self.quiet_since.map(|since| since + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_an_overrun_the_rest_is_asked_for_as_soon_as_all_is_acknowledged() {
        let start = Instant::now();
        let mut intake = Intake::default();
        intake.taken(2);
        intake.acknowledged(start);
        assert_eq!(
            (intake.is_discarding(), intake.redeliver_at()),
            (false, None),
            "there is nothing to ask for"
        );
        intake.overrun(start + s(1));
        intake.overrun(start + s(2));
        assert!(intake.is_discarding());
        assert_eq!(intake.redeliver_at(), Some(start + s(6)), "five seconds from the first");
        intake.acknowledged(start + s(3));
        assert_eq!(intake.redeliver_at(), Some(start + s(3)), "at once");
    }

    #[test]
    fn a_slow_link_is_given_time_and_a_unit_that_waits_is_not() {
        let start = Instant::now();
        let mut intake = Intake::default();
        intake.taken(3);
        intake.overrun(start);
        for second in 1..100 {
            intake.held_up(start + s(second));
            assert_eq!(intake.redeliver_at(), Some(start + s(second + 5)));
        }
        intake.acknowledged(start + s(102));
        assert_eq!(
            intake.redeliver_at(),
            Some(start + s(107)),
            "the others may be kept for their unit's settling"
        );
    }
}
