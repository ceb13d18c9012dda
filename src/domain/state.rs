//! What is known of one unit: the held reading of every channel and the sampled history.
//!
//! Data only. How values become samples and features is the bundle's business.

use std::time::Duration;

use super::history::History;
use super::time::{Monotonic, Now, Timestamp, micros_of};

/// The reading a channel holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held {
    /// Value in the channel's unit.
    pub value: f64,
    /// When it was measured.
    pub event: Timestamp,
    /// When it arrived, on the monotonic clock.
    pub arrived: Monotonic,
    /// How old it already was on arrival.
    pub age_at_arrival: Duration,
}

impl Held {
    /// A reading arriving `now` that was measured at `event`.
    #[must_use]
    pub fn new(value: f64, event: Timestamp, now: Now) -> Self {
        Self { value, event, arrived: now.monotonic, age_at_arrival: now.wall.since(event) }
    }

    /// Age on the monotonic clock, so that a jump of the wall clock cannot make it look fresh.
    #[must_use]
    pub fn age(&self, now: Now) -> Duration {
        now.monotonic.since(self.arrived).saturating_add(self.age_at_arrival)
    }
}

/// Everything held of one unit. Memory is fixed when it is made.
#[derive(Debug, Clone)]
pub struct UnitState {
    held: Vec<Option<Held>>,
    /// Samples on the grid.
    pub history: History,
    event_time: Option<Timestamp>,
}

impl UnitState {
    /// A unit of which nothing is known yet: `channels` held readings, `signals` sampled signals.
    #[must_use]
    pub fn new(channels: usize, signals: usize, capacity: usize) -> Self {
        Self { held: vec![None; channels], history: History::new(signals, capacity), event_time: None }
    }

    /// A unit as it was saved: held readings by channel, samples, and the latest event time.
    #[must_use]
    pub fn restored(held: Vec<Option<Held>>, history: History, event_time: Option<Timestamp>) -> Self {
        Self { held, history, event_time }
    }

    /// The latest event time among the readings applied.
    #[must_use]
    pub fn event_time(&self) -> Option<Timestamp> {
        self.event_time
    }

    /// All held readings, by channel.
    #[must_use]
    pub fn held(&self) -> &[Option<Held>] {
        &self.held
    }

    /// The reading a channel holds.
    #[must_use]
    pub fn get(&self, channel: usize) -> Option<&Held> {
        self.held.get(channel)?.as_ref()
    }

    /// Puts a reading into its channel. The caller has sampled the grid up to its time before.
    pub fn set(&mut self, channel: usize, reading: Held) {
        if let Some(slot) = self.held.get_mut(channel) {
            *slot = Some(reading);
            self.event_time = Some(self.event_time.map_or(reading.event, |time| time.max(reading.event)));
        }
    }

    /// Forgets everything, as if nothing had ever been read. Keeps its memory.
    pub fn clear(&mut self) {
        self.held.fill(None);
        self.history.clear();
        self.event_time = None;
    }

    /// Forgets readings and history whose times turned out to be wrong (the clock had run ahead).
    pub fn forget_times_after(&mut self, limit: Timestamp) {
        for slot in &mut self.held {
            if slot.is_some_and(|held| held.event > limit) {
                *slot = None;
            }
        }
        self.history.clear();
        self.event_time = self.held.iter().flatten().map(|held| held.event).max();
    }

    /// The clock was not set when these readings came, and is now. Times before `floor` are those of a clock
    /// that was not set: they are moved to where they belong. Times of payloads stay, and their ages are told
    /// anew; those beyond `limit` are forgotten. History goes with the times it was sampled at.
    pub fn clock_was_set(&mut self, now: Now, floor: Timestamp, limit: Timestamp) {
        let mut has_moved = false;
        for held in self.held.iter_mut().flatten() {
            let arrived = now.wall.minus(now.monotonic.since(held.arrived));
            if held.event < floor {
                held.event = arrived.minus(held.age_at_arrival);
                has_moved = true;
            } else {
                held.age_at_arrival = arrived.since(held.event);
            }
        }
        if has_moved {
            self.history.clear();
        }
        self.event_time = self.held.iter().flatten().map(|held| held.event).max();
        if self.event_time.is_some_and(|time| time > limit) {
            self.forget_times_after(limit);
        }
    }

    /// Bytes this unit occupies, for the health document and for checking the bound.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.held.capacity() * size_of::<Option<Held>>() + self.history.memory_bytes()
    }
}

/// The number of the last grid instant at or before `at`, and whether `at` lies on it.
#[must_use]
pub fn grid_number(at: Timestamp, step: Duration) -> (i64, bool) {
    let step = micros_of(step).max(1);
    (at.as_micros().div_euclid(step), at.as_micros().rem_euclid(step) == 0)
}

/// The time of a grid instant.
#[must_use]
pub fn grid_time(number: i64, step: Duration) -> Timestamp {
    Timestamp::from_micros(number.saturating_mul(micros_of(step).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_follows_the_monotonic_clock() {
        let at = Timestamp::from_micros(1_000_000_000);
        let now = Now { wall: at.plus(Duration::from_secs(2)), monotonic: Monotonic(0) };
        let held = Held::new(1.0, at, now);
        let jumped_back = Now { wall: Timestamp::from_micros(0), monotonic: Monotonic(5_000_000) };
        assert_eq!(held.age(jumped_back), Duration::from_secs(7));
    }

    #[test]
    fn grid_numbers_round_down_also_before_the_epoch() {
        let step = Duration::from_secs(30);
        assert_eq!(grid_number(Timestamp::from_micros(60_000_000), step), (2, true));
        assert_eq!(grid_number(Timestamp::from_micros(59_999_999), step), (1, false));
        assert_eq!(grid_number(Timestamp::from_micros(-1), step), (-1, false));
    }

    #[test]
    fn a_clock_that_is_set_moves_its_own_times_and_tells_ages_anew() {
        let floor = Timestamp::from_micros(1_000_000_000);
        let unset = Now { wall: Timestamp::from_micros(5_000_000), monotonic: Monotonic(5_000_000) };
        let mut state = UnitState::new(3, 1, 2);
        state.set(0, Held::new(1.0, Timestamp::from_micros(3_000_000), unset));
        state.set(1, Held::new(1.0, Timestamp::from_micros(2_000_000_000), unset));
        state.set(2, Held::new(1.0, Timestamp::from_micros(2_900_000_000), unset));
        state.history.push(1, Timestamp::from_micros(1), &[1.0]);
        // Set twenty seconds later: the readings arrived at 2480 s.
        let wall = Timestamp::from_micros(2_500_000_000);
        let now = Now { wall, monotonic: Monotonic(25_000_000) };
        state.clock_was_set(now, floor, wall.plus(Duration::from_mins(1)));
        assert_eq!(state.get(0).unwrap().event, Timestamp::from_micros(2_478_000_000));
        assert_eq!(state.get(0).unwrap().age(now), Duration::from_secs(22));
        assert_eq!(state.get(1).unwrap().age(now), Duration::from_secs(500));
        assert!(state.get(2).is_none() && state.history.is_empty());
        assert_eq!(state.event_time(), Some(Timestamp::from_micros(2_478_000_000)));
    }

    #[test]
    fn wrong_times_are_forgotten() {
        let mut state = UnitState::new(2, 0, 1);
        let now = Now::replay(Timestamp::from_micros(0));
        state.set(0, Held::new(1.0, Timestamp::from_micros(5), now));
        state.set(1, Held::new(1.0, Timestamp::from_micros(50), now));
        state.forget_times_after(Timestamp::from_micros(10));
        assert_eq!(state.event_time(), Some(Timestamp::from_micros(5)));
        assert!(state.get(1).is_none());
    }
}
