//! A wall clock that was never set, as on a machine without a battery until the network tells it the time.
//!
//! Ages and deadlines do not mind: they are measured on the monotonic clock. But a real time in a payload looks
//! like one from a far future, and an hour of the day computed from 1970 is wrong. So while the clock tells a
//! time before [`EngineSettings::clock_floor`](super::EngineSettings::clock_floor), each unit goes by the first
//! time its own payloads tell, and its predictions say that the clock is not set. When it is set, held
//! readings move to where they belong and what turns out to be old is old.

use super::Engine;
use super::unit::Unit;
use crate::domain::{Alarm, AlarmId, Effect, Monotonic, Now, Severity, Timestamp};

impl Engine {
    /// Notes whether the clock is set; to be called with each time that is told.
    pub(super) fn mind_clock(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let is_unset = now.wall < self.settings.clock_floor;
        if is_unset == self.is_clock_unset {
            return;
        }
        self.is_clock_unset = is_unset;
        if is_unset {
            let text = format!(
                "the clock tells {}, it is not set: predictions are uncertain and retained readings are not used",
                now.wall
            );
            let remedy = "let the machine get its time from the network (systemd-timesyncd, chrony) or a clock with a battery";
            self.raise(now, &Alarm::new(AlarmId::ClockNotSet, Severity::Warning, &text, remedy), effects);
            return;
        }
        self.clear(now, AlarmId::ClockNotSet, effects);
        let (floor, limit) = (self.settings.clock_floor, now.wall.plus(self.settings.max_clock_skew));
        for unit in self.units.values_mut() {
            unit.told = None;
            unit.state.clock_was_set(now, floor, limit);
            // What turned out to be old is reported with the next tick.
            unit.stale_at = Some(now.monotonic);
        }
    }

    /// The time as far as a unit can know it, and what its payloads told first: that of the clock once it is set.
    /// `time` is what a payload tells that has just been sent.
    pub(super) fn time_for(
        &self,
        now: Now,
        unit: &str,
        time: Option<Timestamp>,
        waited: std::time::Duration,
    ) -> (Now, Option<(Timestamp, Monotonic)>) {
        if !self.is_clock_unset {
            return (now, None);
        }
        let floor = self.settings.clock_floor;
        let told = self.units.get(unit).and_then(|unit| unit.told.or_else(|| last_known(unit, floor)));
        let first = || time.filter(|time| *time >= floor).map(|time| (time.plus(waited), now.monotonic));
        let told = told.or_else(first);
        let wall = told.map_or(now.wall, |(at, then)| at.plus(now.monotonic.since(then)));
        (Now { wall, ..now }, told)
    }
}

/// Where the clock stood for a unit before it was lost, as far as the readings show.
fn last_known(unit: &Unit, floor: Timestamp) -> Option<(Timestamp, Monotonic)> {
    unit.state.event_time().filter(|time| *time >= floor).map(|time| (time, unit.last_heard))
}
