//! The worker's own alarms, and what the log says of all of them.

use tracing::{debug, info, warn};

use super::Worker;
use crate::daemon::logging::{LogLimit, message_id};
use crate::domain::{Alarm, AlarmId, Effect, Monotonic, UnitId};
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

/// Writes a raised or cleared alarm to the log: one line a minute for each alarm, the rest at debug level.
pub(super) fn log(limit: &mut LogLimit, now: Monotonic, effect: &Effect) {
    match effect {
        Effect::AlarmRaised(unit, alarm) => {
            let (id, unit) = (alarm.id.name(), name(unit.as_ref()));
            if limit.allows(id, now) {
                let (text, remedy) = (&alarm.text, &alarm.remedy);
                warn!(
                    message_id = message_id::ALARM_RAISED,
                    alarm = id,
                    unit,
                    "alarm {id}: {text}; {remedy}"
                );
            } else {
                debug!(alarm = id, unit, "alarm {id}: {}", alarm.text);
            }
        }
        Effect::AlarmCleared(unit, id) => {
            let (id, unit) = (id.name(), name(unit.as_ref()));
            if limit.allows("alarm_cleared", now) {
                info!(
                    message_id = message_id::ALARM_CLEARED,
                    alarm = id,
                    unit,
                    "alarm {id} of {unit} is over"
                );
            } else {
                debug!(alarm = id, unit, "alarm {id} of {unit} is over");
            }
        }
        _ => {}
    }
}

fn name(unit: Option<&UnitId>) -> &str {
    unit.map_or("the daemon", UnitId::as_str)
}
