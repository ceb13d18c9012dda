//! Alarms on their way out: what stands is published retained, what is over is removed.

use super::Engine;
use super::seed::Alert;
use super::unit::Unit;
use crate::domain::{Alarm, AlarmId, Effect, Now, Publish, PublishKind, UnitId};
use crate::monitor::{Alarms, Raised};

/// Most alarms of units that stand at once; further ones are counted and tried again later. More than anybody
/// reads, and at most about a megabyte of retained messages; the units' states say the same one by one.
pub const MAX_UNIT_ALARMS: usize = 1_000;

/// Alarms as the health document counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlarmCounters {
    /// Alarms raised so far.
    pub raised: u64,
    /// Alarms cleared so far, those of units that were forgotten included.
    pub cleared: u64,
    /// Times an alarm of a unit was not raised because [`MAX_UNIT_ALARMS`] stood.
    pub suppressed: u64,
}

impl Engine {
    /// Raises an alarm of the daemon as a whole, or renews its words.
    pub(super) fn raise(&mut self, now: Now, alarm: &Alarm, effects: &mut Vec<Effect>) {
        let raised = self.alarms.raise(now, alarm.clone());
        let topic = self.settings.daemon_alarm_topic(alarm.id);
        self.counters.alarms.raised += u64::from(raised == Raised::New);
        announce(&self.alarms, raised, topic, None, alarm.id, effects);
        if raised != Raised::Standing {
            self.alert(now, None, &alert_of(alarm), effects);
        }
    }

    /// Clears an alarm of the daemon as a whole, if it stands.
    pub(super) fn clear(&mut self, now: Now, id: AlarmId, effects: &mut Vec<Effect>) {
        if self.alarms.clear(id).is_none() {
            return;
        }
        self.counters.alarms.cleared += 1;
        effects.push(remove(self.settings.daemon_alarm_topic(id)));
        effects.push(Effect::AlarmCleared(None, id));
        self.alert(now, None, &Alert::over(id.name()), effects);
    }

    /// Raises an alarm of a unit, unless too many stand; whether it stands now.
    pub(super) fn raise_of(
        &mut self,
        now: Now,
        id: &UnitId,
        alarm: &Alarm,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(unit) = self.units.get_mut(id) else { return false };
        let is_new = unit.alarms.get(alarm.id).is_none();
        if is_new && self.unit_alarms >= MAX_UNIT_ALARMS {
            self.counters.alarms.suppressed += 1;
            return false;
        }
        let (alarm_id, topic) = (alarm.id, self.settings.unit_alarm_topic(id, alarm.id));
        let raised = unit.alarms.raise(now, alarm.clone());
        announce(&unit.alarms, raised, topic, Some(id), alarm_id, effects);
        if raised != Raised::Standing {
            self.alert(now, Some(id), &alert_of(alarm), effects);
        }
        self.unit_alarms += usize::from(is_new);
        self.counters.alarms.raised += u64::from(is_new);
        true
    }

    /// Clears an alarm of a unit, if it stands.
    pub(super) fn clear_of(&mut self, now: Now, id: &UnitId, alarm: AlarmId, effects: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(id) else { return };
        if unit.alarms.clear(alarm).is_none() {
            return;
        }
        self.cleared_of(now, id, alarm, effects);
    }

    fn cleared_of(&mut self, now: Now, id: &UnitId, alarm: AlarmId, effects: &mut Vec<Effect>) {
        self.unit_alarms = self.unit_alarms.saturating_sub(1);
        self.counters.alarms.cleared += 1;
        effects.push(remove(self.settings.unit_alarm_topic(id, alarm)));
        effects.push(Effect::AlarmCleared(Some(id.clone()), alarm));
        self.alert(now, Some(id), &Alert::over(alarm.name()), effects);
    }

    /// Removes the alarms of a unit that is forgotten.
    pub(super) fn drop_alarms(&mut self, now: Now, id: &UnitId, unit: &Unit, effects: &mut Vec<Effect>) {
        for standing in unit.alarms.iter() {
            self.cleared_of(now, id, standing.alarm.id, effects);
        }
    }

    /// Removes what an earlier life of this daemon may have left standing at the broker for a unit.
    pub(super) fn sweep_unit(&self, id: &UnitId, effects: &mut Vec<Effect>) {
        effects.extend(AlarmId::OF_UNIT.map(|alarm| remove(self.settings.unit_alarm_topic(id, alarm))));
    }

    /// Removes what an earlier life of this daemon may have left standing for the daemon itself.
    pub(super) fn sweep_daemon(&self, effects: &mut Vec<Effect>) {
        let gone = AlarmId::OF_DAEMON.into_iter().filter(|id| self.alarms.get(*id).is_none());
        effects.extend(gone.map(|id| remove(self.settings.daemon_alarm_topic(id))));
    }

    /// The alarms of the daemon as a whole that stand.
    #[must_use]
    pub fn daemon_alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// How many alarms of units stand.
    #[must_use]
    pub fn unit_alarms(&self) -> usize {
        self.unit_alarms
    }
}

/// Publishes an alarm that is new or has other words than before.
fn announce(
    alarms: &Alarms,
    raised: Raised,
    topic: String,
    unit: Option<&UnitId>,
    id: AlarmId,
    effects: &mut Vec<Effect>,
) {
    let Some(standing) = alarms.get(id).filter(|_| raised != Raised::Standing) else { return };
    let payload = standing.alarm.document(unit.map(UnitId::as_str), standing.since);
    effects.push(Effect::Publish(Publish { topic, payload, retain: true, kind: PublishKind::Alarm }));
    effects.push(Effect::AlarmRaised(unit.cloned(), standing.alarm.clone()));
}

fn alert_of(alarm: &Alarm) -> Alert<'_> {
    Alert::raised(alarm.id.name(), alarm.severity, &alarm.text, &alarm.remedy)
}

/// An empty retained message takes the retained one away.
fn remove(topic: String) -> Effect {
    Effect::Publish(Publish::removal(topic, PublishKind::Alarm))
}
