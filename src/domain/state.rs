//! What is known of one unit: the held reading of every channel and the sampled history.
//!
//! Data only. How values become samples and features is the bundle's business.

use std::time::Duration;

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

/// Samples of each signal at the instants of a fixed grid, newest last, oldest overwritten.
#[derive(Debug, Clone)]
pub struct History {
    capacity: usize,
    /// One ring of `capacity` samples a signal, so that a window is at most two slices.
    samples: Vec<f64>,
    /// Position of the newest sample in each ring.
    head: usize,
    /// Grid number (instant divided by step) of the newest sample, and how many are held.
    newest: i64,
    len: usize,
    /// Per signal: the newest value and the instant since which it has been held.
    changed: Vec<(f64, Timestamp)>,
    /// Per signal: how many of the newest samples in a row have a value.
    unbroken: Vec<usize>,
}

impl History {
    /// Room for `capacity` samples of `signals` signals each.
    #[must_use]
    pub fn new(signals: usize, capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            capacity,
            samples: vec![f64::NAN; signals * capacity],
            head: 0,
            newest: 0,
            len: 0,
            changed: vec![(f64::NAN, Timestamp::default()); signals],
            unbroken: vec![0; signals],
        }
    }

    /// Grid number of the newest sample, if there is one.
    #[must_use]
    pub fn newest(&self) -> Option<i64> {
        (self.len > 0).then_some(self.newest)
    }

    /// Samples that can be held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Samples held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been sampled yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.len = 0;
        self.changed.fill((f64::NAN, Timestamp::default()));
        self.unbroken.fill(0);
    }

    /// Adds the samples of grid instant `number`, which is at time `at` and should follow the newest.
    /// When instants were skipped, what was held before them is dropped.
    pub fn push(&mut self, number: i64, at: Timestamp, values: &[f64]) {
        let is_first = self.len == 0;
        let follows = !is_first && number == self.newest.saturating_add(1);
        self.len = if follows { (self.len + 1).min(self.capacity) } else { 1 };
        self.newest = number;
        self.head = if self.head + 1 < self.capacity { self.head + 1 } else { 0 };
        for (ring, value) in self.samples.chunks_exact_mut(self.capacity).zip(values) {
            if let Some(slot) = ring.get_mut(self.head) {
                *slot = *value;
            }
        }
        for (value, unbroken) in values.iter().zip(&mut self.unbroken) {
            let before = if follows { *unbroken } else { 0 };
            *unbroken = if value.is_nan() { 0 } else { (before + 1).min(self.capacity) };
        }
        for (value, change) in values.iter().zip(&mut self.changed) {
            if is_first || value.to_bits() != change.0.to_bits() {
                *change = (*value, at);
            }
        }
    }

    /// The newest `count` samples of `signal`, oldest first, in two slices; fewer when fewer are held.
    #[must_use]
    pub fn tail(&self, signal: usize, count: usize) -> (&[f64], &[f64]) {
        let count = count.min(self.len);
        let start = signal * self.capacity;
        let ring = self.samples.get(start..start + self.capacity).unwrap_or_default();
        let end = self.head + 1;
        if count <= end {
            (ring.get(end - count..end).unwrap_or_default(), &[])
        } else {
            let older = count - end;
            (ring.get(self.capacity - older..).unwrap_or_default(), ring.get(..end).unwrap_or_default())
        }
    }

    /// Sample of `signal` taken `back` instants before the newest; `None` when it is not held.
    #[must_use]
    pub fn back(&self, signal: usize, back: usize) -> Option<f64> {
        if back >= self.len {
            return None;
        }
        let position = if back <= self.head { self.head - back } else { self.head + self.capacity - back };
        self.samples.get(signal * self.capacity + position).copied()
    }

    /// How many of the newest samples of `signal` in a row have a value.
    #[must_use]
    pub fn unbroken(&self, signal: usize) -> usize {
        if self.len == 0 { 0 } else { self.unbroken.get(signal).copied().unwrap_or(0) }
    }

    /// The value `signal` had at the newest sample and since when it has had it.
    #[must_use]
    pub fn last_change(&self, signal: usize) -> Option<(f64, Timestamp)> {
        if self.len == 0 { None } else { self.changed.get(signal).copied() }
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
        size_of::<Self>()
            + self.held.capacity() * size_of::<Option<Held>>()
            + self.history.samples.capacity() * size_of::<f64>()
            + self.history.changed.capacity() * size_of::<(f64, Timestamp)>()
            + self.history.unbroken.capacity() * size_of::<usize>()
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
    fn history_keeps_the_newest_and_knows_changes() {
        let mut history = History::new(1, 3);
        for (number, value) in [(10, 1.0), (11, 1.0), (12, 2.0), (13, 2.0)] {
            history.push(number, grid_time(number, Duration::from_secs(30)), &[value]);
        }
        assert_eq!(history.newest(), Some(13));
        assert_eq!(
            (history.back(0, 0), history.back(0, 2), history.back(0, 3)),
            (Some(2.0), Some(1.0), None)
        );
        for count in 0..5 {
            let (older, newer) = history.tail(0, count);
            let joined = [older, newer].concat();
            assert_eq!(joined, [1.0, 2.0, 2.0][3 - count.min(3)..], "{count}");
        }
        assert_eq!(history.last_change(0), Some((2.0, Timestamp::from_micros(360_000_000))));
        history.push(99, grid_time(99, Duration::from_secs(30)), &[2.0]);
        assert_eq!((history.len(), history.back(0, 1)), (1, None));
    }

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
