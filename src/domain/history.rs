//! The sampled history of a unit: what windows look at.

use super::time::Timestamp;

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

    /// Everything that is held, in the order of [`History::restored`].
    #[must_use]
    pub fn parts(&self) -> HistoryParts {
        let signals = self.changed.len();
        let mut samples = Vec::with_capacity(signals * self.len);
        for signal in 0..signals {
            let (older, newer) = self.tail(signal, self.len);
            samples.extend_from_slice(older);
            samples.extend_from_slice(newer);
        }
        let (changed, unbroken) = (self.changed.clone(), self.unbroken.clone());
        HistoryParts { newest: self.newest, len: self.len, samples, changed, unbroken }
    }

    /// History as it was saved; `None` when the parts do not fit together or into it.
    #[must_use]
    pub fn restored(signals: usize, capacity: usize, parts: &HistoryParts) -> Option<Self> {
        let mut history = Self::new(signals, capacity);
        let fits = parts.len <= history.capacity
            && parts.samples.len() == signals * parts.len
            && parts.changed.len() == signals
            && parts.unbroken.len() == signals
            && parts.unbroken.iter().all(|count| *count <= history.capacity);
        if !fits {
            return None;
        }
        let rings = history.samples.chunks_exact_mut(history.capacity);
        for (ring, saved) in rings.zip(parts.samples.chunks_exact(parts.len.max(1))) {
            for (slot, value) in ring.iter_mut().zip(saved) {
                *slot = *value;
            }
        }
        history.head = parts.len.saturating_sub(1);
        (history.newest, history.len) = (parts.newest, parts.len);
        history.changed.clone_from(&parts.changed);
        history.unbroken.clone_from(&parts.unbroken);
        Some(history)
    }

    /// Bytes beyond the struct itself.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.samples.capacity() * size_of::<f64>()
            + self.changed.capacity() * size_of::<(f64, Timestamp)>()
            + self.unbroken.capacity() * size_of::<usize>()
    }
}

/// What a history holds, laid out for saving.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HistoryParts {
    /// Grid number of the newest sample; meaningless when `len` is 0.
    pub newest: i64,
    /// Samples of each signal.
    pub len: usize,
    /// The samples, signal after signal, oldest first.
    pub samples: Vec<f64>,
    /// Per signal: the newest value and the instant since which it has been held.
    pub changed: Vec<(f64, Timestamp)>,
    /// Per signal: how many of the newest samples in a row have a value.
    pub unbroken: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::state::grid_time;

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
    fn what_is_saved_comes_back_and_goes_on_alike() {
        let at = |number| grid_time(number, Duration::from_secs(30));
        for pushes in 0..9 {
            let mut history = History::new(2, 4);
            for number in 0..pushes {
                history.push(number, at(number), &[number as f64, if number == 2 { f64::NAN } else { 1.0 }]);
            }
            let mut restored = History::restored(2, 4, &history.parts()).unwrap();
            for number in pushes..pushes + 6 {
                let (saved, now) = (format!("{:?}", history.parts()), format!("{:?}", restored.parts()));
                assert_eq!(saved, now);
                history.push(number, at(number), &[0.5, 1.0]);
                restored.push(number, at(number), &[0.5, 1.0]);
            }
        }
        let parts = HistoryParts { len: 5, ..HistoryParts::default() };
        assert!(History::restored(2, 4, &parts).is_none());
        assert!(History::restored(1, 4, &History::new(2, 4).parts()).is_none());
    }
}
