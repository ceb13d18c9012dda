//! What one message held: readings in groups, each of one unit at one time.

use std::ops::Range;

use crate::domain::decode::DecodedReading;
use crate::domain::reject::{RejectCounts, RejectReason};
use crate::domain::time::Timestamp;

/// Most groups of one message: a gateway's backlog of a few hours. What lies beyond is counted and not read.
pub const MAX_GROUPS: usize = 1024;

#[derive(Debug, Clone)]
struct Span {
    unit: Range<usize>,
    time: Option<Timestamp>,
    readings: Range<usize>,
}

/// Readings of one unit at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group<'b> {
    /// The unit's name, fit for topics.
    pub unit: &'b str,
    /// Event time that the payload states.
    pub time: Option<Timestamp>,
    /// At most one a channel, not yet held against the sensor's range.
    pub readings: &'b [DecodedReading],
}

/// One name of a payload and what became of it, for whoever asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The name in the payload, or the topic.
    pub name: String,
    /// What stood there.
    pub raw: String,
    /// The channel and its value, or why there is none; nothing for a name that is to be ignored.
    pub outcome: Option<Result<(usize, f64), RejectReason>>,
}

/// What one message held. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Batch {
    names: String,
    groups: Vec<Span>,
    readings: Vec<DecodedReading>,
    /// Of each channel, the group that had it last, counted from one, and where.
    seen: Vec<(usize, usize)>,
    pub(super) rejects: RejectCounts,
    pub(super) is_frame: bool,
    /// Whether there was a name that is to be ignored.
    pub(super) has_ignored: bool,
    /// Whether there was a name that is no sensor's and is not counted by itself.
    pub(super) has_unknown: bool,
    pub(super) rule: Option<usize>,
    /// Room to put names together in.
    pub(super) path: String,
    notes: Option<Vec<Note>>,
}

impl Batch {
    /// A batch that takes notes of every name.
    #[must_use]
    pub fn with_notes() -> Self {
        Self { notes: Some(Vec::new()), ..Self::default() }
    }

    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.groups.clear();
        self.readings.clear();
        self.seen.fill((0, 0));
        self.rejects = RejectCounts::default();
        self.has_ignored = false;
        self.has_unknown = false;
        if let Some(notes) = &mut self.notes {
            notes.clear();
        }
    }

    /// From here on readings are of `unit` at `time`.
    pub(super) fn open(&mut self, unit: &str, time: Option<Timestamp>) -> Result<(), RejectReason> {
        let is_same = |group: &Span| group.time == time && self.names.get(group.unit.clone()) == Some(unit);
        if self.groups.last().is_some_and(is_same) {
            return Ok(());
        }
        if self.groups.len() >= MAX_GROUPS {
            return Err(RejectReason::TooManyKeys);
        }
        let start = self.names.len();
        self.names.push_str(unit);
        let at = self.readings.len();
        self.groups.push(Span { unit: start..self.names.len(), time, readings: at..at });
        Ok(())
    }

    /// One channel's value in the group that is open.
    pub(super) fn push(&mut self, channel: usize, value: Result<f64, RejectReason>) {
        let number = self.groups.len();
        let Some(group) = self.groups.last_mut() else { return };
        if self.seen.len() <= channel {
            self.seen.resize(channel + 1, (0, 0));
        }
        let Some(seen) = self.seen.get_mut(channel) else { return };
        if let Some(first) =
            Some(*seen).filter(|(of, _)| *of == number).and_then(|(_, at)| self.readings.get_mut(at))
        {
            // No telling which of the two holds.
            first.value = Err(RejectReason::DuplicateKey);
            return;
        }
        *seen = (number, self.readings.len());
        self.readings.push(DecodedReading { channel, value });
        group.readings.end = self.readings.len();
    }

    pub(super) fn note(
        &mut self,
        name: &str,
        raw: &str,
        outcome: Option<Result<(usize, f64), RejectReason>>,
    ) {
        if let Some(notes) = &mut self.notes {
            notes.push(Note { name: name.to_owned(), raw: raw.to_owned(), outcome });
        }
    }

    /// Drops groups without a reading and puts the others in the order of their times, so that none is late
    /// because of the order in which a payload tells them. Those without a time have that of the arrival, the latest.
    pub(super) fn finish(&mut self) {
        self.groups.retain(|group| !group.readings.is_empty());
        if self.groups.len() > 1 {
            self.groups.sort_by_key(|group| group.time.map_or(i64::MAX, Timestamp::as_micros));
        }
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The group at `index`, in the order of times.
    #[must_use]
    pub fn group(&self, index: usize) -> Option<Group<'_>> {
        let span = self.groups.get(index)?;
        Some(Group {
            unit: self.names.get(span.unit.clone())?,
            time: span.time,
            readings: self.readings.get(span.readings.clone())?,
        })
    }

    /// What was not read, by reason.
    #[must_use]
    pub fn rejects(&self) -> &RejectCounts {
        &self.rejects
    }

    /// Whether its units are predicted at once rather than when they have been quiet.
    #[must_use]
    pub fn is_frame(&self) -> bool {
        self.is_frame
    }

    /// The rule that read it, by its place among all.
    #[must_use]
    pub fn rule(&self) -> Option<usize> {
        self.rule
    }

    /// Whether notes are taken.
    pub(super) fn has_notes(&self) -> bool {
        self.notes.is_some()
    }

    /// What became of each name, if notes were asked for.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        self.notes.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_unit_and_time_in_the_order_of_times() {
        let mut batch = Batch::default();
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        batch.open("b", at(2)).unwrap();
        batch.push(0, Ok(1.0));
        batch.open("b", at(2)).unwrap();
        batch.push(1, Ok(2.0));
        batch.push(0, Ok(3.0));
        batch.open("a", None).unwrap();
        batch.push(0, Ok(4.0));
        batch.open("empty", at(0)).unwrap();
        batch.open("b", at(1)).unwrap();
        batch.push(0, Ok(5.0));
        batch.finish();
        let groups: Vec<_> = (0..batch.len()).map(|index| batch.group(index).unwrap()).collect();
        assert_eq!(
            groups.iter().map(|group| (group.unit, group.time)).collect::<Vec<_>>(),
            [("b", at(1)), ("b", at(2)), ("a", None)]
        );
        assert_eq!(groups[1].readings[0].value, Err(RejectReason::DuplicateKey));
        assert_eq!(groups[1].readings[1].value, Ok(2.0));
        batch.clear();
        assert!(batch.is_empty());
    }

    #[test]
    fn groups_are_bounded() {
        let mut batch = Batch::default();
        let outcomes =
            (0..=MAX_GROUPS).map(|index| batch.open("u", Some(Timestamp::from_micros(index as i64))));
        assert_eq!(outcomes.filter(Result::is_err).count(), 1);
    }
}
