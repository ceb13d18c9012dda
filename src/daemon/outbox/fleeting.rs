//! Messages of value only now, sent without confirmation: per-target numbers and the health document.
//!
//! While the link keeps up they pass in order. While it is slow or down, a newer one takes the place of the one
//! that still waits on the same topic.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

/// Most that wait: all targets of a few hundred units, or one turn of the worker at full rate.
pub(super) const MAX_WAITING: usize = 2_048;
/// Most bytes that wait; a number has a few dozen with its topic, a health document a few thousand.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// What became of a message that was to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits.
    Waits,
    /// It waits in the place of an older one of its topic.
    Replaced,
    /// It waits; so many of the oldest were dropped to make room.
    Displaced(u64),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Fleeting {
    waiting: VecDeque<(String, Bytes)>,
    /// Number of the first that waits; the others count on.
    first: u64,
    bytes: usize,
    /// Numbers of those that came while the link was behind, by topic.
    newest: BTreeMap<String, u64>,
}

impl Fleeting {
    /// Takes a message; `is_behind` says that the link is slow or down.
    pub(super) fn push(&mut self, topic: String, payload: Bytes, is_behind: bool) -> Fate {
        if is_behind {
            let place = self.newest.get(&topic).and_then(|number| number.checked_sub(self.first));
            if let Some((_, older)) = place.and_then(|place| self.waiting.get_mut(place as usize)) {
                self.bytes = self.bytes + payload.len() - older.len();
                *older = payload;
                return Fate::Replaced;
            }
            self.newest.insert(topic.clone(), self.first + self.waiting.len() as u64);
        }
        self.bytes += topic.len() + payload.len();
        self.waiting.push_back((topic, payload));
        let mut displaced = 0;
        while self.waiting.len() > MAX_WAITING || (self.bytes > MAX_WAITING_BYTES && self.waiting.len() > 1) {
            self.pop();
            displaced += 1;
        }
        if displaced > 0 { Fate::Displaced(displaced) } else { Fate::Waits }
    }

    /// The oldest one.
    pub(super) fn pop(&mut self) -> Option<(String, Bytes)> {
        let (topic, payload) = self.waiting.pop_front()?;
        self.bytes -= topic.len() + payload.len();
        if self.newest.get(&topic) == Some(&self.first) {
            self.newest.remove(&topic);
        }
        self.first += 1;
        Some((topic, payload))
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(queue: &mut Fleeting) -> Vec<String> {
        std::iter::from_fn(|| queue.pop())
            .map(|(topic, payload)| format!("{topic}={}", String::from_utf8_lossy(&payload)))
            .collect()
    }

    #[test]
    fn all_pass_in_order_while_the_link_keeps_up() {
        let mut queue = Fleeting::default();
        for payload in ["1", "2", "3"] {
            assert_eq!(queue.push("t".into(), payload.into(), false), Fate::Waits);
        }
        assert_eq!(all(&mut queue), ["t=1", "t=2", "t=3"]);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn the_newer_takes_the_place_of_the_older_while_the_link_is_behind() {
        let mut queue = Fleeting::default();
        queue.push("t".into(), "1".into(), false);
        let fates = [("t", "2"), ("u", "5"), ("t", "33"), ("u", "6"), ("t", "4")]
            .map(|(topic, payload)| queue.push(topic.into(), payload.into(), true));
        assert_eq!(fates, [Fate::Waits, Fate::Waits, Fate::Replaced, Fate::Replaced, Fate::Replaced]);
        assert_eq!(all(&mut queue), ["t=1", "t=4", "u=6"]);
        assert_eq!(queue.push("t".into(), "7".into(), true), Fate::Waits, "what has left cannot be replaced");
        assert_eq!(all(&mut queue), ["t=7"]);
        assert!(queue.bytes == 0 && queue.newest.is_empty());
    }

    #[test]
    fn the_oldest_make_room() {
        let mut queue = Fleeting::default();
        for number in 0..MAX_WAITING + 5 {
            queue.push(format!("t{number}"), "1".into(), true);
        }
        assert_eq!((queue.len(), queue.newest.len()), (MAX_WAITING, MAX_WAITING));
        assert_eq!(queue.pop().unwrap().0, "t5");
        let large = Bytes::from(vec![0; MAX_WAITING_BYTES]);
        assert_eq!(queue.push("x".into(), large, true), Fate::Displaced(MAX_WAITING as u64 - 1));
        assert_eq!(queue.len(), 1);
    }
}
