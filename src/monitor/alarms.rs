//! The alarms that stand, of one unit or of the daemon: raised and cleared by conditions, each published once.

use crate::domain::{Alarm, AlarmId, Now, Timestamp};

/// One alarm that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The alarm.
    pub alarm: Alarm,
    /// Since when, by the wall clock of the moment it was raised.
    pub since: Timestamp,
}

/// What became of raising an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It is new, and is to be published.
    New,
    /// It stood already, with another text: to be published again, with the time it was first raised.
    Changed,
    /// It stands already, word for word.
    Standing,
}

/// Alarms that stand, in the order of their names. At most one a name, so their number is bounded by the
/// names there are.
#[derive(Debug, Clone, Default)]
pub struct Alarms {
    standing: Vec<Standing>,
}

impl Alarms {
    /// Raises an alarm, or renews the words of one that stands.
    pub fn raise(&mut self, now: Now, alarm: Alarm) -> Raised {
        match self.standing.iter_mut().find(|standing| standing.alarm.id == alarm.id) {
            Some(standing) if standing.alarm == alarm => Raised::Standing,
            Some(standing) => {
                standing.alarm = alarm;
                Raised::Changed
            }
            None => {
                let place = self.standing.partition_point(|standing| standing.alarm.id < alarm.id);
                self.standing.insert(place, Standing { alarm, since: now.wall });
                Raised::New
            }
        }
    }

    /// Takes an alarm back; gives it if it stood.
    pub fn clear(&mut self, id: AlarmId) -> Option<Standing> {
        let place = self.standing.iter().position(|standing| standing.alarm.id == id)?;
        Some(self.standing.remove(place))
    }

    /// The alarm of this name, if it stands.
    #[must_use]
    pub fn get(&self, id: AlarmId) -> Option<&Standing> {
        self.standing.iter().find(|standing| standing.alarm.id == id)
    }

    /// All that stand.
    pub fn iter(&self) -> impl Iterator<Item = &Standing> {
        self.standing.iter()
    }

    /// Bytes beyond the struct itself.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let texts = self.standing.iter().map(|one| one.alarm.text.capacity() + one.alarm.remedy.capacity());
        self.standing.capacity() * size_of::<Standing>() + texts.sum::<usize>()
    }

    /// How many stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.standing.len()
    }

    /// Whether none stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Severity;

    fn alarm(id: AlarmId, text: &str) -> Alarm {
        Alarm::new(id, Severity::Warning, text, "")
    }

    fn now(second: i64) -> Now {
        Now::replay(Timestamp::from_micros(second * 1_000_000))
    }

    #[test]
    fn an_alarm_is_new_once_and_keeps_its_time() {
        let mut alarms = Alarms::default();
        assert_eq!(alarms.raise(now(1), alarm(AlarmId::ReloadFailed, "a")), Raised::New);
        assert_eq!(alarms.raise(now(2), alarm(AlarmId::ReloadFailed, "a")), Raised::Standing);
        assert_eq!(alarms.raise(now(3), alarm(AlarmId::ReloadFailed, "b")), Raised::Changed);
        assert_eq!(alarms.get(AlarmId::ReloadFailed).unwrap().since, now(1).wall);
        assert_eq!(alarms.clear(AlarmId::ReloadFailed).unwrap().alarm.text, "b");
        assert_eq!(alarms.clear(AlarmId::ReloadFailed), None);
        assert!(alarms.is_empty());
    }

    #[test]
    fn they_are_bounded_by_their_names_and_come_in_order() {
        let mut alarms = Alarms::default();
        for turn in 0..1_000 {
            for id in AlarmId::OF_DAEMON.into_iter().rev() {
                alarms.raise(now(turn), alarm(id, &turn.to_string()));
            }
        }
        let ids: Vec<_> = alarms.iter().map(|standing| standing.alarm.id).collect();
        assert_eq!(ids, AlarmId::OF_DAEMON);
        assert_eq!(alarms.len(), AlarmId::OF_DAEMON.len());
    }
}
