//! Pauses between attempts to connect: exponential, with full jitter, so that a thousand daemons do not
//! return to a restarted broker in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Bound of the first pause: a broker that restarts is back within a second or two.
const FIRST: Duration = Duration::from_millis(500);
/// No pause is shorter, whatever the dice say: a refusing broker must not be hammered.
const SHORTEST: Duration = Duration::from_millis(100);
/// A connection that lasted this long has proven itself; the next failure starts again with short pauses.
/// One that ends sooner, as when two clients fight for one id, does not.
pub(super) const PROVEN: Duration = Duration::from_secs(10);

/// Counts failures and says how long to wait.
#[derive(Debug)]
pub(super) struct Backoff {
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, failures: 0 }
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause; `dice` is any random number.
    pub(super) fn next(&mut self, dice: u64) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let fraction = dice as f64 / u64::MAX as f64;
        bound.mul_f64(fraction).max(SHORTEST)
    }
}

/// A random number. The standard library seeds its hash maps from the system's randomness; that is
/// plenty for jitter and needs no further dependency.
pub(super) fn dice() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_mins(1));
        let pauses: Vec<_> = (0..10).map(|_| backoff.next(u64::MAX).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX).as_millis(), 500);
    }

    #[test]
    fn the_dice_may_fall_anywhere_but_on_nothing() {
        let mut backoff = Backoff::new(Duration::from_mins(1));
        assert_eq!(backoff.next(0), SHORTEST);
        assert_eq!(backoff.next(u64::MAX / 2).as_millis(), 500);
        assert_ne!(dice(), dice());
    }

    #[test]
    fn a_dead_broker_sees_few_connects_in_the_first_minute() {
        // With dice in the middle, as they fall on average.
        let mut backoff = Backoff::new(Duration::from_mins(1));
        let mut at = Duration::ZERO;
        let mut connects = 1;
        while at < Duration::from_mins(1) {
            at += backoff.next(u64::MAX / 2);
            connects += 1;
        }
        assert!(connects <= 10, "{connects}");
    }
}
