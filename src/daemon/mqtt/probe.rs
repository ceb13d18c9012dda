//! The loopback probe: does what the broker accepts come out again? Knows no socket; time comes in.
//!
//! A broker can answer pings and confirm publishes and still deliver nothing: a full disk, a cluster that
//! fell apart, an access list that silently denies reading. So a small message goes round on a topic of our
//! own, without acknowledgement, lest it queue behind readings that wait for their predictions.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::CONTESTED_LIFE;

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It came back after this time.
    Returned(Duration),
    /// So many in a row did not come back.
    Missed(u32),
}

/// A connection that the broker closes this soon after a probe may have been closed for it.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);
/// So many such ends in a row are no accident.
const REFUSALS: u32 = 2;
/// Shortest wait of a connection for its first probe after such an end, and how much the dice may add. Another client
/// with our id closes connections too, as soon as it has returned: most likely before, and hardly just after.
const DOUBT: Duration = Duration::from_secs(5);
const MORE_DOUBT: Duration = Duration::from_secs(10);

/// Whether the broker puts up with probes. Some close the connection of a client that publishes where their
/// access list does not let it; what is to watch the service must not end it.
#[derive(Debug, Default)]
pub(super) struct Tolerance {
    sent: Option<Instant>,
    refusals: u32,
}

impl Tolerance {
    /// A connection begins. What the last one sent is no reason for its end.
    pub(super) fn connected(&mut self) {
        self.sent = None;
    }

    /// How long to wait for the first probe of a connection; `dice` is any random number.
    pub(super) fn delay(&self, dice: u64) -> Duration {
        if self.refusals == 0 {
            return Duration::ZERO;
        }
        DOUBT + MORE_DOUBT.mul_f64(dice as f64 / u64::MAX as f64)
    }

    /// Whether to probe.
    pub(super) fn is_given(&self) -> bool {
        self.refusals < REFUSALS
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
    }

    pub(super) fn returned(&mut self) {
        *self = Self::default();
    }

    /// The broker has closed the connection after it had lived so long; whether that was the last probe.
    pub(super) fn closed(&mut self, now: Instant, life: Duration) -> bool {
        let Some(sent) = self.sent.take() else {
            if life < CONTESTED_LIFE {
                // Not for a probe, then, and so perhaps the ends before were not either.
                self.refusals = 0;
            }
            return false;
        };
        if !self.is_given() || now.saturating_duration_since(sent) > REFUSED_WITHIN {
            return false;
        }
        self.refusals += 1;
        !self.is_given()
    }
}

/// Sends a probe every interval. One that is not back after half of it is missed and followed at once by
/// the next, so that two in a row are missed within twice the interval from the failure.
#[derive(Debug)]
pub(super) struct Probe {
    interval: Duration,
    /// Tells ours from those of another daemon that uses our topic, or of our own past.
    nonce: u64,
    number: u64,
    sent: Option<Instant>,
    is_out: bool,
    missed: u32,
    due: Instant,
}

impl Probe {
    /// One that begins now. `nonce` is any random number.
    pub(super) fn new(interval: Duration, nonce: u64, now: Instant) -> Self {
        Self { interval, nonce, number: 0, sent: None, is_out: false, missed: 0, due: now }
    }

    /// When [`Probe::tick`] is to be called.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// What to send now, and what became of the one before. With `is_stuck` what was sent before has not
    /// even left, which says nothing of the broker.
    pub(super) fn tick(&mut self, now: Instant, is_stuck: bool) -> (Option<String>, Option<Outcome>) {
        self.due = now + self.interval / 2;
        if self.is_out && is_stuck {
            return (None, None);
        }
        let outcome = self.is_out.then(|| {
            self.missed = self.missed.saturating_add(1);
            Outcome::Missed(self.missed)
        });
        self.number += 1;
        self.sent = Some(now);
        self.is_out = true;
        (Some(self.payload()), outcome)
    }

    fn payload(&self) -> String {
        format!("{:016x}-{}", self.nonce, self.number)
    }

    /// Something came on our topic. A late one counts as well: what is slow still delivers.
    pub(super) fn came(&mut self, payload: &[u8], now: Instant) -> Option<Outcome> {
        let (nonce, number) = std::str::from_utf8(payload).ok()?.split_once('-')?;
        let is_ours = nonce == format!("{:016x}", self.nonce)
            && number.parse::<u64>().is_ok_and(|number| number <= self.number);
        let sent = self.sent?;
        if !is_ours || !self.is_out {
            return None;
        }
        (self.is_out, self.missed) = (false, 0);
        self.due = sent + self.interval;
        Some(Outcome::Returned(now.saturating_duration_since(sent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_probe_goes_round_once_an_interval() {
        let start = Instant::now();
        let mut probe = Probe::new(INTERVAL, 7, start);
        let (payload, outcome) = probe.tick(probe.due(), false);
        assert_eq!((payload.as_deref(), outcome), (Some("0000000000000007-1"), None));
        let back = probe.came(payload.unwrap().as_bytes(), start + s(1));
        assert_eq!(back, Some(Outcome::Returned(s(1))));
        assert_eq!(probe.due(), start + s(30));
    }

    #[test]
    fn two_are_missed_within_twice_the_interval_and_a_late_one_ends_it() {
        let start = Instant::now();
        let mut probe = Probe::new(INTERVAL, 7, start);
        let (first, _) = probe.tick(start, false);
        let first = first.unwrap();
        probe.came(first.as_bytes(), start);
        // The broker fails right now; the next probe is due an interval later.
        let lost = probe.due();
        assert!(probe.tick(lost, false).0.is_some());
        assert_eq!(probe.tick(probe.due(), false).1, Some(Outcome::Missed(1)));
        let third = probe.due();
        assert_eq!(third - start, s(60), "twice the interval");
        let (payload, outcome) = probe.tick(third, false);
        assert_eq!(outcome, Some(Outcome::Missed(2)));
        assert!(matches!(probe.came(payload.unwrap().as_bytes(), third), Some(Outcome::Returned(_))));
        probe.tick(probe.due(), false);
        assert_eq!(probe.tick(probe.due(), false).1, Some(Outcome::Missed(1)), "counted from the start");
        assert!(probe.came(b"0000000000000007-4", probe.due()).is_some(), "an earlier one is as good");
    }

    #[test]
    fn a_broker_that_closes_for_a_probe_is_probed_no_more() {
        let start = Instant::now();
        let mut tolerance = Tolerance::default();
        let mut close_after = |seconds, is_back| {
            tolerance.sent(start);
            if is_back {
                tolerance.returned();
            }
            tolerance.closed(start + s(seconds), s(seconds))
        };
        assert!(!close_after(1, false));
        assert!(!close_after(1, true), "it came back: the broker had another reason");
        assert!(!close_after(1, false));
        assert!(!close_after(5, false), "too late to be for the probe");
        assert!(close_after(1, false));
        assert!(!tolerance.is_given());
    }

    #[test]
    fn a_fight_for_the_client_id_is_not_taken_for_a_refusal() {
        let start = Instant::now();
        let mut tolerance = Tolerance::default();
        assert_eq!(tolerance.delay(u64::MAX), s(0));
        for _ in 0..10 {
            // The other client returns at once, and again before the second probe is due.
            tolerance.connected();
            tolerance.sent(start);
            assert!(!tolerance.closed(start + s(1), s(1)));
            assert_eq!((tolerance.delay(0), tolerance.delay(u64::MAX)), (s(5), s(15)));
            tolerance.connected();
            assert!(!tolerance.closed(start + s(1), s(1)));
            assert!(tolerance.is_given());
        }
        // A refusal in earnest is not given up for a connection that ends after long service.
        tolerance.refusals = REFUSALS;
        assert!(!tolerance.closed(start, CONTESTED_LIFE));
        assert!(!tolerance.is_given());
        // What broke off without being closed is nobody's fault later on.
        let mut tolerance = Tolerance { sent: Some(start), refusals: 1 };
        tolerance.connected();
        assert!(!tolerance.closed(start + s(1), s(1)));
        assert!(tolerance.is_given());
    }

    #[test]
    fn probes_of_others_and_what_never_left_say_nothing() {
        let start = Instant::now();
        let mut probe = Probe::new(INTERVAL, 7, start);
        probe.tick(start, false);
        for payload in ["0000000000000008-1", "0000000000000007-2", "7-1", "", "\u{e9}-1", "-"] {
            assert_eq!(probe.came(payload.as_bytes(), start), None, "{payload}");
        }
        assert_eq!(probe.tick(probe.due(), true), (None, None), "it still waits to be sent");
        assert!(probe.came(b"0000000000000007-1", probe.due()).is_some());
    }
}
