//! The first half of the street: a message to readings in a unit's state.

use super::unit::{Unit, UnitTopics};
use super::{Engine, Input};
use crate::domain::{Batch, DecodedReading, Effect, Monotonic, Now, RejectReason, Timestamp, Token, UnitId};

/// How many times `settle` a unit that is never quiet waits at most.
const SETTLE_LIMIT: u32 = 10;

/// What a message was about, after decoding.
struct Arrival<'a> {
    unit: &'a str,
    time: Option<Timestamp>,
    retained: bool,
    is_frame: bool,
    token: Option<Token>,
    arrived: Monotonic,
}

impl Engine {
    /// Takes one message. Whatever becomes of it, it is acknowledged exactly once: here, or with the
    /// evaluation it waits for.
    pub(super) fn intake(&mut self, now: Now, input: Input<'_>, effects: &mut Vec<Effect>) {
        let token = if let Input::Message { token, .. } = input { token } else { None };
        let outcome = match input {
            Input::Message { topic, payload, retained, token, arrived } => {
                self.counters.messages += 1;
                self.take_message(now, topic, payload, (retained, token, arrived), effects)
            }
            Input::Readings { unit, time, readings } => {
                self.counters.messages += 1;
                self.take_readings(now, unit, time, readings, effects)
            }
            _ => return,
        };
        if let Err(reason) = outcome {
            self.counters.rejects.add(reason);
            effects.extend(token.map(Effect::Acknowledge));
        }
    }

    fn take_message(
        &mut self,
        now: Now,
        topic: &str,
        payload: &[u8],
        (retained, token, arrived): (bool, Option<Token>, Monotonic),
        effects: &mut Vec<Effect>,
    ) -> Result<(), RejectReason> {
        if payload.len() > self.settings.max_payload_bytes {
            return Err(RejectReason::PayloadTooLarge);
        }
        let mut batch = std::mem::take(&mut self.batch);
        let outcome = self.rules.read(topic, payload, &mut self.births, &mut batch);
        if self.births.is_wanted() {
            effects.extend(self.births.ask(topic, now).map(Effect::Publish));
        }
        for (reason, count) in batch.rejects().iter() {
            self.counters.rejects.add_many(reason, count);
        }
        let outcome =
            outcome.and_then(|()| self.take_batch(now, &batch, (retained, token, arrived), effects));
        self.batch = batch;
        outcome
    }

    /// Takes what a message held: of one unit at one time as it always was, of several all of it before any is
    /// predicted, at once: units that waited for quiet would want the message acknowledged at different times. It is
    /// acknowledged behind everything that it caused.
    fn take_batch(
        &mut self,
        now: Now,
        batch: &Batch,
        (retained, token, arrived): (bool, Option<Token>, Monotonic),
        effects: &mut Vec<Effect>,
    ) -> Result<(), RejectReason> {
        if batch.len() == 1
            && let Some(group) = batch.group(0)
        {
            let (unit, time, is_frame) = (group.unit, group.time, batch.is_frame());
            self.readings.clear();
            self.readings.extend_from_slice(group.readings);
            let arrival = Arrival { unit, time, retained, is_frame, token, arrived };
            return self.take_group(now, &arrival, effects);
        }
        let mut due: Vec<UnitId> = Vec::new();
        for group in (0..batch.len()).filter_map(|index| batch.group(index)) {
            self.readings.clear();
            self.readings.extend_from_slice(group.readings);
            let (unit, time) = (group.unit, group.time);
            let arrival = Arrival { unit, time, retained, is_frame: true, token: None, arrived };
            match self.apply(now, &arrival, effects) {
                Ok(Some(id)) => due.push(id),
                Ok(None) => {}
                Err(reason) => self.counters.rejects.add(reason),
            }
        }
        due.sort_unstable();
        due.dedup();
        for id in due {
            let arrival =
                Arrival { unit: id.as_str(), time: None, retained, is_frame: true, token: None, arrived };
            self.schedule(now, &id, &arrival, effects);
        }
        effects.extend(token.map(Effect::Acknowledge));
        Ok(())
    }

    /// Takes the readings of one unit at one time, for which the message waits.
    fn take_group(
        &mut self,
        now: Now,
        arrival: &Arrival<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), RejectReason> {
        match self.apply(now, arrival, effects)? {
            Some(id) => self.schedule(now, &id, arrival, effects),
            None => effects.extend(arrival.token.map(Effect::Acknowledge)),
        }
        Ok(())
    }

    fn take_readings(
        &mut self,
        now: Now,
        unit: &str,
        time: Option<Timestamp>,
        readings: &[(&str, f64)],
        effects: &mut Vec<Effect>,
    ) -> Result<(), RejectReason> {
        UnitId::check(unit).map_err(|_| RejectReason::InvalidUnit)?;
        self.readings.clear();
        for (name, value) in readings {
            match self.rules.channel(name) {
                Some(channel) => self.readings.push(DecodedReading { channel, value: Ok(*value) }),
                None => self.counters.rejects.add(RejectReason::UnknownSensor),
            }
        }
        let arrived = now.monotonic;
        let arrival = Arrival { unit, time, retained: false, is_frame: true, token: None, arrived };
        self.take_group(now, &arrival, effects)
    }

    /// Puts readings into the unit's state. Gives the unit if any of them was of use.
    fn apply(
        &mut self,
        now: Now,
        arrival: &Arrival<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<UnitId>, RejectReason> {
        let waited = now.monotonic.since(arrival.arrived);
        let live = arrival.time.filter(|_| !arrival.retained);
        let (now, told) = self.time_for(now, arrival.unit, live, waited);
        let event = self.event_time(now, arrival)?;
        let assembler = &self.bundle.evaluator.assembler;
        for reading in &mut self.readings {
            reading.value = reading.value.and_then(|value| assembler.accept(reading.channel, value));
        }
        // A message without one usable number neither makes a unit known nor keeps it alive.
        if !self.readings.iter().any(|reading| reading.value.is_ok()) {
            return Err(self.count_unusable());
        }
        if !arrival.retained {
            self.heard(now, arrival.is_frame, effects);
        }
        let id = self.known_unit(now, arrival.unit, effects)?;
        let limit = now.wall.plus(self.settings.max_clock_skew);
        let assembler = &mut self.bundle.evaluator.assembler;
        let Some(unit) = self.units.get_mut(&id) else { return Err(RejectReason::TooManyUnits) };
        if unit.state.event_time().is_some_and(|time| time > limit) {
            // The clock had run ahead and was set back: times beyond it were never true.
            unit.state.forget_times_after(limit);
        }
        unit.told = told;
        // Messages come in order: without a time of its own none is late, even when the clock went back a little.
        let newest = unit.state.event_time().filter(|_| arrival.time != Some(event));
        let event = newest.map_or(event, |newest| event.max(newest));
        unit.last_heard = now.monotonic;
        if !arrival.retained {
            unit.last_live = now.monotonic;
        }
        let mut applied = 0;
        for reading in &self.readings {
            let outcome = reading
                .value
                .and_then(|value| assembler.apply(&mut unit.state, reading.channel, value, event, now));
            match outcome {
                Ok(()) => applied += 1,
                Err(reason) => self.counters.rejects.add(reason),
            }
        }
        self.counters.readings += applied;
        Ok((applied > 0).then_some(id))
    }

    /// The time of the payload if it is there and can be believed, else that of the arrival. A retained
    /// message arrived at no known time, so it needs one of its own.
    fn event_time(&mut self, now: Now, arrival: &Arrival<'_>) -> Result<Timestamp, RejectReason> {
        let limit = now.wall.plus(self.settings.max_clock_skew);
        match arrival.time {
            Some(time) if time <= limit => return Ok(time),
            Some(_) if arrival.retained => return Err(RejectReason::FutureTime),
            None if arrival.retained => return Err(RejectReason::RetainedWithoutTime),
            Some(_) => self.counters.rejects.add(RejectReason::FutureTime),
            None => {}
        }
        // What waited in a queue before it was handled is as old as that.
        Ok(now.wall.minus(now.monotonic.since(arrival.arrived)))
    }

    /// Counts each unusable reading; the last one's reason stands for the message.
    fn count_unusable(&mut self) -> RejectReason {
        let mut reasons = self.readings.iter().filter_map(|reading| reading.value.err());
        let last = reasons.next_back();
        for reason in reasons {
            self.counters.rejects.add(reason);
        }
        last.unwrap_or(RejectReason::UnexpectedShape)
    }

    fn known_unit(
        &mut self,
        now: Now,
        name: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<UnitId, RejectReason> {
        if let Some((id, _)) = self.units.get_key_value(name) {
            return Ok(id.clone());
        }
        if self.units.len() >= self.settings.max_units {
            return Err(RejectReason::TooManyUnits);
        }
        let id = UnitId::new(name).map_err(|_| RejectReason::InvalidUnit)?;
        let topics = UnitTopics::new(&self.settings, &id, self.bundle.targets());
        let state = self.bundle.evaluator.assembler.new_state();
        self.units.insert(id.clone(), Unit::new(state, topics, now.monotonic));
        effects.push(Effect::UnitAppeared(id.clone()));
        self.announce_from(now.monotonic);
        self.sweep_unit(&id, effects);
        Ok(id)
    }

    /// Decides when the unit is evaluated for what has just been applied.
    fn schedule(&mut self, now: Now, id: &UnitId, arrival: &Arrival<'_>, effects: &mut Vec<Effect>) {
        let (settle, min_interval) = (self.settings.settle, self.settings.min_interval);
        let Some(unit) = self.units.get_mut(id) else { return };
        let since = *unit.waiting_since.get_or_insert(arrival.arrived);
        let earliest =
            unit.last_evaluated.filter(|_| !min_interval.is_zero()).map(|last| last.plus(min_interval));
        if let Some(earliest) = earliest.filter(|earliest| *earliest > now.monotonic) {
            // Policy says no prediction is due: the reading is safe in the state, the evaluation follows.
            unit.due = Some(earliest);
            effects.extend(arrival.token.map(Effect::Acknowledge));
            self.watch(now, id, effects);
            self.tell_alarms(id, effects);
            return;
        }
        unit.waiting.extend(arrival.token);
        self.waiting += usize::from(arrival.token.is_some());
        if arrival.is_frame || settle.is_zero() {
            self.evaluate(now, id, effects);
            return;
        }
        unit.due = Some(now.monotonic.plus(settle).min(since.plus(settle.saturating_mul(SETTLE_LIMIT))));
        if self.waiting > self.settings.max_waiting {
            self.settle_oldest(now, effects);
        }
    }

    /// Evaluates the unit that has waited longest, so that its messages can be acknowledged.
    fn settle_oldest(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let waiting = self.units.iter().filter(|(_, unit)| !unit.waiting.is_empty());
        let oldest =
            waiting.min_by_key(|(id, unit)| (unit.waiting_since, (*id).clone())).map(|(id, _)| id.clone());
        if let Some(id) = oldest {
            self.counters.settled_early += 1;
            self.evaluate(now, &id, effects);
        }
    }
}
