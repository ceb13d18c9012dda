//! Silence is an alarm: of a source from which nothing usable comes, and of a unit that gives nothing fresh.
//!
//! Silence counts only while messages can come ([`Input::Opened`](super::Input::Opened)): a broker that is away
//! says nothing about the devices. Pauses of seconds do not count, or a link that comes and goes would hide a source
//! that never says anything. It is looked for when it is due, so it is found within the expected interval
//! and one tick.

use std::time::Duration;

use super::Engine;
use super::outlet::publish_state;
use super::unit::Unit;
use crate::bundle::Assembler;
use crate::domain::{Alarm, AlarmId, Effect, Monotonic, Now, Quality, Reason, Severity, UnitId};

/// A look at silence that is late by this much was slept through, by the machine or the process: nothing could be
/// heard meanwhile. Ticks of a daemon that is awake are late by milliseconds.
const SLEPT: Duration = Duration::from_secs(10);
/// When an alarm that was not raised because too many stood is tried again.
const RETRY: Duration = Duration::from_mins(1);

/// How long silence may last before it is an alarm; zero for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SilenceLimits {
    /// Of all sources together.
    pub sources: Duration,
    /// Of frames.
    pub frames: Duration,
    /// Of single readings.
    pub readings: Duration,
    /// Of one unit. It is silent too when every sensor is older than its `max_age`.
    pub units: Duration,
}

impl Default for SilenceLimits {
    fn default() -> Self {
        let five = Duration::from_mins(5);
        Self { sources: five, frames: Duration::ZERO, readings: Duration::ZERO, units: five }
    }
}

/// When something usable came last, by source. What the broker had kept does not count: it may be old.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastHeard {
    frame: Option<Monotonic>,
    reading: Option<Monotonic>,
}

impl Engine {
    /// Something usable came: what was silent no longer is.
    pub(super) fn heard(&mut self, now: Now, is_frame: bool, effects: &mut Vec<Effect>) {
        let (slot, id) = if is_frame {
            (&mut self.last_heard.frame, AlarmId::FramesSilent)
        } else {
            (&mut self.last_heard.reading, AlarmId::ReadingsSilent)
        };
        *slot = Some(now.monotonic);
        if !self.alarms.is_empty() {
            self.clear(now, id, effects);
            self.clear(now, AlarmId::SourceSilent, effects);
        }
    }

    /// Messages can come from now on.
    pub(super) fn open(&mut self, now: Now) {
        let was_short = self.closed_at.is_some_and(|at| now.monotonic.since(at) <= SLEPT);
        if !was_short {
            self.listening_since = Some(now.monotonic);
        }
        self.open_since = Some(now.monotonic);
        self.watch_all(now);
    }

    /// Messages cannot come any more.
    pub(super) fn close(&mut self, now: Now) {
        if self.open_since.take().is_some() {
            self.closed_at = Some(now.monotonic);
        }
    }

    /// The sources that can be silent: alarm, longest silence, when it will have lasted too long.
    fn sources(&self) -> [(AlarmId, Duration, Option<Monotonic>); 3] {
        let (limits, heard) = (&self.settings.silence, self.last_heard);
        let due = |heard: Option<Monotonic>, limit: Duration| {
            let open = self.open_since.filter(|_| !limit.is_zero())?;
            let listening = self.listening_since.unwrap_or(open);
            let silent = heard.map_or(listening, |at| at.max(listening)).plus(limit);
            // What the broker has kept during a short pause comes first.
            Some(silent.max(open.plus(limit.min(SLEPT))))
        };
        [
            (AlarmId::SourceSilent, limits.sources, due(heard.frame.max(heard.reading), limits.sources)),
            (AlarmId::FramesSilent, limits.frames, due(heard.frame, limits.frames)),
            (AlarmId::ReadingsSilent, limits.readings, due(heard.reading, limits.readings)),
        ]
    }

    /// When the next source would have been silent for too long.
    pub(super) fn source_deadline(&self) -> Option<Monotonic> {
        let sources = self.sources().into_iter().filter(|(id, ..)| self.alarms.get(*id).is_none());
        sources.filter_map(|(.., due)| due).min()
    }

    /// Has silence count from now where looking at it was slept through: waking up is no alarm.
    pub(super) fn mind_sleep(&mut self, now: Now) {
        if self.open_since.is_none() {
            return;
        }
        let units = self.units.values().filter_map(|unit| unit.silent_at);
        let due = units.chain(self.source_deadline()).min();
        if due.is_some_and(|due| now.monotonic.since(due) > SLEPT) {
            self.open_since = Some(now.monotonic);
            self.listening_since = Some(now.monotonic);
            self.watch_all(now);
        }
    }

    /// Raises the alarms of the sources that have been silent for too long, and clears those that nobody wants any more.
    pub(super) fn check_sources(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for (id, limit, due) in self.sources() {
            if limit.is_zero() {
                self.clear(now, id, effects);
            } else if due.is_some_and(|due| due <= now.monotonic) && self.alarms.get(id).is_none() {
                let alarm = self.source_alarm(id, limit);
                self.raise(now, &alarm, effects);
            }
        }
    }

    fn source_alarm(&self, id: AlarmId, limit: Duration) -> Alarm {
        let (what, filters) = match id {
            AlarmId::FramesSilent => ("frame", self.rules.filters(Some(true))),
            AlarmId::ReadingsSilent => ("single reading", self.rules.filters(Some(false))),
            _ => ("frame or reading", self.rules.filters(None)),
        };
        let filters = filters.join(" or ");
        let text = format!(
            "no usable {what} has come on {filters} for {}; the broker may be denying this client to read, which \
             many brokers do without saying so",
            span(limit)
        );
        let remedy = "look whether the devices and their gateway publish there, at the broker's access list for this \
                      client, and at `drops` in the health document for what came and was refused";
        let severity = if id == AlarmId::SourceSilent { Severity::Critical } else { Severity::Warning };
        Alarm::new(id, severity, &text, remedy)
    }

    /// Something came of a unit: clears its alarm if it is silent no more, and says when to look again.
    pub(super) fn watch(&mut self, now: Now, id: &UnitId, effects: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(id) else { return };
        let assembler = &self.bundle.evaluator.assembler;
        unit.silent_at = silent_at(assembler, unit, now, self.settings.silence.units, self.open_since);
        if !unit.alarms.is_empty() && unit.silent_at.is_none_or(|at| at > now.monotonic) {
            self.clear_of(now, id, AlarmId::UnitSilent, effects);
        }
    }

    /// Messages can come again: silence of all units counts from here.
    pub(super) fn watch_all(&mut self, now: Now) {
        for unit in self.units.values_mut().filter(|unit| unit.alarms.is_empty()) {
            unit.silent_at = Some(now.monotonic);
        }
    }

    /// Looks whether a unit that went quiet can still be predicted, and says so when it cannot.
    pub(super) fn check_quiet(&mut self, now: Now, id: &UnitId, effects: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(id) else { return };
        let assembler = &mut self.bundle.evaluator.assembler;
        unit.stale_at = assembler.next_stale(&unit.state, now).map(|after| now.monotonic.plus(after));
        unit.silent_at = silent_at(assembler, unit, now, self.settings.silence.units, self.open_since);
        let is_silent = unit.silent_at.is_some_and(|at| at <= now.monotonic);
        // Without any reading, as when their times turned out to be wrong, silence is all there is to say.
        let (mut reasons, mut quality, time) = match assembler.assemble(&unit.state, now) {
            Some(assembly) => (assembly.reasons.to_vec(), assembly.quality, assembly.time),
            None => (Vec::new(), Quality::Good, now.wall),
        };
        if is_silent {
            quality = Quality::Bad;
            if !reasons.contains(&Reason::Silent) {
                reasons.push(Reason::Silent);
            }
        }
        // Alarms first: the state says which of them stand.
        if is_silent {
            let stands = self.raise_of(now, id, &unit_alarm(id, self.settings.silence.units), effects);
            if let Some(unit) = self.units.get_mut(id) {
                unit.silent_at = if stands { None } else { Some(now.monotonic.plus(RETRY)) };
            }
        } else if self.settings.silence.units.is_zero() {
            // Switched off by a reload.
            self.clear_of(now, id, AlarmId::UnitSilent, effects);
        }
        match self.units.get_mut(id) {
            Some(unit) if quality == Quality::Bad => {
                publish_state(&self.bundle, id, unit, quality, &reasons, time, effects);
                self.alert_withheld(now, id, quality, effects);
            }
            _ => self.tell_alarms(id, effects),
        }
    }
}

/// When a unit is to be looked at for silence: when its last sensor turns stale or nothing has come for `limit`,
/// but not before that time has passed since messages can come.
pub(super) fn silent_at(
    assembler: &Assembler,
    unit: &Unit,
    now: Now,
    limit: Duration,
    open_since: Option<Monotonic>,
) -> Option<Monotonic> {
    let open = open_since.filter(|_| !limit.is_zero())?;
    let (left, longest) = assembler.all_stale(&unit.state, now);
    let silent = now.monotonic.plus(left).min(unit.last_live.plus(limit));
    Some(silent.max(open.plus(longest.min(limit))))
}

fn unit_alarm(id: &UnitId, limit: Duration) -> Alarm {
    let text = format!(
        "unit {id} gives nothing fresh: nothing has come for {}, or every sensor is older than its max_age",
        span(limit)
    );
    let remedy = "look at the unit's controller and gateway, and at the times in its payloads";
    Alarm::new(AlarmId::UnitSilent, Severity::Critical, &text, remedy)
}

/// A time span in words, as settings are written.
fn span(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
