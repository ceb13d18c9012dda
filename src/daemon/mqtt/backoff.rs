//! When to connect again: exponential pauses with full jitter, so that a thousand daemons do not return to a
//! restarted broker in step, and bounds on how often whatever the dice say.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// Bound of the first pause: a broker that restarts is back within a second or two.
const FIRST: Duration = Duration::from_millis(500);
/// No pause is shorter, whatever the dice say: a refusing broker must not be hammered.
const SHORTEST: Duration = Duration::from_millis(100);
/// A connection that lasted this long has proven itself; the next failure starts again with short pauses.
/// One that ends sooner, as when two clients fight for one id, does not.
const PROVEN: Duration = Duration::from_secs(10);
/// Span over which attempts are counted.
const SPAN: Duration = Duration::from_mins(1);
/// Most attempts in a [`SPAN`]. A `mqtt.reconnect_max` that asks for more gets it.
const MOST_ATTEMPTS: usize = 12;
/// A connection that the broker closes sooner than this after accepting it may have been taken over by another
/// client with our id: such clients mostly return within a few seconds.
pub(super) const CONTESTED_LIFE: Duration = Duration::from_secs(30);
/// So many such ends in a row, with no attempt failing otherwise between them, are a fight for the client id
/// and no restart: a broker that restarts refuses connections for a moment.
const CONTESTED_ENDS: u32 = 4;
/// Shortest pause in a fight, and how much the dice may add: the other client gets its turn, we get ours.
const CONTESTED_PAUSE: Duration = Duration::from_secs(10);
/// Most attempts in a [`SPAN`] of a fight.
const MOST_CONTESTED_ATTEMPTS: usize = 6;

/// How an attempt or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The broker did not accept the connection.
    NotAccepted,
    /// The broker closed an accepted connection after this time.
    ClosedByBroker(Duration),
    /// An accepted connection ended otherwise after this time.
    Broken(Duration),
}

/// Counts attempts and failures and says how long to wait.
#[derive(Debug)]
pub(super) struct Backoff {
    longest: Duration,
    failures: u32,
    /// The latest attempts, oldest first.
    attempts: VecDeque<Instant>,
    /// Accepted connections that the broker closed shortly after, in a row.
    short_lives: u32,
}

impl Backoff {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, failures: 0, attempts: VecDeque::with_capacity(MOST_ATTEMPTS), short_lives: 0 }
    }

    /// An attempt begins.
    pub(super) fn attempt(&mut self, now: Instant) {
        if self.attempts.len() == MOST_ATTEMPTS {
            self.attempts.pop_front();
        }
        self.attempts.push_back(now);
    }

    /// An attempt or a connection has ended.
    pub(super) fn ended(&mut self, end: End) {
        self.short_lives = match end {
            End::ClosedByBroker(life) if life < CONTESTED_LIFE => self.short_lives.saturating_add(1),
            // A network that breaks says nothing of the other client.
            End::Broken(life) if life < CONTESTED_LIFE => self.short_lives,
            _ => 0,
        };
        if let End::ClosedByBroker(life) | End::Broken(life) = end
            && life >= PROVEN
        {
            self.failures = 0;
        }
    }

    /// The connection has lasted too long for a fight.
    pub(super) fn settled(&mut self) {
        self.short_lives = 0;
    }

    /// How often in a row the broker has closed what it had accepted, once that looks like a fight.
    pub(super) fn contested(&self) -> Option<u32> {
        (self.short_lives >= CONTESTED_ENDS).then_some(self.short_lives)
    }

    /// The pause after [`Backoff::ended`]; `dice` is any random number.
    pub(super) fn next(&mut self, now: Instant, dice: u64) -> Duration {
        let fraction = dice as f64 / u64::MAX as f64;
        if self.contested().is_some() {
            let pause = CONTESTED_PAUSE + CONTESTED_PAUSE.mul_f64(fraction);
            return pause.max(self.spared(now, MOST_CONTESTED_ATTEMPTS));
        }
        let bound = FIRST.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let pause = bound.mul_f64(fraction).max(SHORTEST);
        let asks_for_more = self.longest.saturating_mul(MOST_ATTEMPTS as u32) < SPAN;
        if asks_for_more { pause } else { pause.max(self.spared(now, MOST_ATTEMPTS)) }
    }

    /// How long until another attempt keeps a span to `most`.
    fn spared(&self, now: Instant, most: usize) -> Duration {
        let Some(earlier) = self.attempts.len().checked_sub(most) else { return Duration::ZERO };
        self.attempts.get(earlier).map_or(Duration::ZERO, |at| (*at + SPAN).saturating_duration_since(now))
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

    const MINUTE: Duration = Duration::from_mins(1);

    /// Times of the attempts in the first two minutes when each ends as `end` says.
    fn attempts(longest: Duration, end: End, life: Duration, dice: impl Fn(u64) -> u64) -> Vec<Duration> {
        let start = Instant::now();
        let mut backoff = Backoff::new(longest);
        let mut now = start;
        let mut times = Vec::new();
        while now - start < 2 * MINUTE {
            times.push(now - start);
            backoff.attempt(now);
            now += life;
            backoff.ended(end);
            now += backoff.next(now, dice(times.len() as u64));
        }
        times
    }

    /// Most attempts in any minute.
    fn densest(times: &[Duration]) -> usize {
        let within = |from: Duration| times.iter().filter(|at| (from..from + MINUTE).contains(at)).count();
        times.iter().map(|from| within(*from)).max().unwrap()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(MINUTE);
        let now = Instant::now();
        let pauses: Vec<_> = (0..10).map(|_| backoff.next(now, u64::MAX).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
        backoff.ended(End::Broken(PROVEN));
        assert_eq!(backoff.next(now, u64::MAX).as_millis(), 500);
    }

    #[test]
    fn the_dice_may_fall_anywhere_but_on_nothing() {
        let mut backoff = Backoff::new(MINUTE);
        let now = Instant::now();
        assert_eq!(backoff.next(now, 0), SHORTEST);
        assert_eq!(backoff.next(now, u64::MAX / 2).as_millis(), 500);
        assert_ne!(dice(), dice());
    }

    #[test]
    fn a_dead_broker_sees_twelve_attempts_a_minute_whatever_the_dice_say() {
        let luck: [fn(u64) -> u64; 3] = [|_| 0, |_| u64::MAX / 2, |n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)];
        for dice in luck {
            let times = attempts(MINUTE, End::NotAccepted, Duration::ZERO, dice);
            assert!(densest(&times) <= 12, "{times:?}");
            assert!(times.len() >= 4, "{times:?}");
        }
        let often = attempts(Duration::from_secs(1), End::NotAccepted, Duration::ZERO, |_| 0);
        assert!(densest(&often) > 12, "who asks for more gets it");
    }

    #[test]
    fn a_fight_for_the_client_id_sees_six_attempts_a_minute() {
        for life in [0, 1, 5].map(Duration::from_secs) {
            for longest in [Duration::from_secs(1), MINUTE] {
                let times = attempts(longest, End::ClosedByBroker(life), life, |_| 0);
                assert!(densest(&times) <= 6, "{times:?}");
            }
        }
    }

    #[test]
    fn what_is_a_fight_and_what_is_not() {
        let short = End::ClosedByBroker(Duration::from_secs(1));
        let mut backoff = Backoff::new(MINUTE);
        (0..4).for_each(|_| backoff.ended(short));
        assert_eq!(backoff.contested(), Some(4));
        backoff.ended(End::Broken(Duration::from_secs(1)));
        assert_eq!(backoff.contested(), Some(4), "a broken link says nothing");
        backoff.settled();
        assert_eq!(backoff.contested(), None);
        // A broker that crashes again and again refuses between.
        for _ in 0..10 {
            backoff.ended(short);
            backoff.ended(End::NotAccepted);
        }
        assert_eq!(backoff.contested(), None);
        for _ in 0..10 {
            backoff.ended(End::ClosedByBroker(CONTESTED_LIFE));
        }
        assert_eq!(backoff.contested(), None, "connections that last are nobody's spoils");
    }
}
