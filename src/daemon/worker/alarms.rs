//! The worker's own alarms, and what the log says of all of them.

use tracing::{debug, error, info, warn};

use super::Worker;
use crate::daemon::logging::Event;
use crate::domain::{Alarm, AlarmId, Effect, Monotonic, Severity, UnitId};
use crate::engine::Input;

impl Worker {
    /// Raises an alarm of the daemon as a whole; one that stands only renews its words.
    pub(super) fn raise(&mut self, alarm: &Alarm) {
        self.handle(self.wall.both(), Input::Raise(alarm));
    }

    /// Clears an alarm of the daemon as a whole, if it stands.
    pub(super) fn clear(&mut self, id: AlarmId) {
        self.handle(self.wall.both(), Input::Clear(id));
    }
}

impl Worker {
    /// Writes a raised or cleared alarm to the log: one line a minute for each alarm, the rest at debug level.
    pub(super) fn log_alarm(&mut self, effect: &Effect, now: Monotonic) {
        match effect {
            Effect::AlarmRaised(unit, alarm) => self.log_raised(unit.as_ref(), alarm, now),
            Effect::AlarmCleared(unit, id) => self.log_cleared(unit.as_ref(), *id, now),
            _ => {}
        }
    }

    fn log_raised(&mut self, unit: Option<&UnitId>, alarm: &Alarm, now: Monotonic) {
        let Alarm { id, severity, text, remedy } = alarm;
        let (event, unit_id) = (event(*id), unit.map(UnitId::as_str));
        let topic = self.alarm_topic(unit, *id);
        if !self.limit.allows(id.name(), now) {
            debug!(event = %event, alarm = %id, severity = %severity, unit_id, topic, "alarm {id}: {text}");
            return;
        }
        // The level must stand in the code.
        match severity {
            Severity::Warning => {
                warn!(event = %event, alarm = %id, severity = %severity, unit_id, topic, "alarm {id}: {text}; {remedy}");
            }
            Severity::Critical => {
                error!(event = %event, alarm = %id, severity = %severity, unit_id, topic, "alarm {id}: {text}; {remedy}");
            }
        }
    }

    fn log_cleared(&mut self, unit: Option<&UnitId>, id: AlarmId, now: Monotonic) {
        let (event, unit_id) = (Event::AlarmCleared, unit.map(UnitId::as_str));
        let topic = self.alarm_topic(unit, id);
        let whose = unit_id.unwrap_or("the daemon");
        if self.limit.allows("alarm_cleared", now) {
            info!(event = %event, alarm = %id, unit_id, topic, "alarm {id} of {whose} is over");
        } else {
            debug!(event = %event, alarm = %id, unit_id, topic, "alarm {id} of {whose} is over");
        }
    }

    fn alarm_topic(&self, unit: Option<&UnitId>, id: AlarmId) -> String {
        let settings = self.engine.settings();
        unit.map_or_else(|| settings.daemon_alarm_topic(id), |unit| settings.unit_alarm_topic(unit, id))
    }
}

/// By what a raised alarm is explained.
fn event(id: AlarmId) -> Event {
    match id {
        AlarmId::SourceSilent | AlarmId::FramesSilent | AlarmId::ReadingsSilent | AlarmId::UnitSilent => {
            Event::Silence
        }
        AlarmId::BrokerNotDelivering => Event::BrokerNotDelivering,
        AlarmId::ClockNotSet => Event::ClockNotSet,
        AlarmId::ReloadFailed => Event::ReloadRefused,
        AlarmId::StateNotSaved => Event::StateNotSaved,
    }
}
