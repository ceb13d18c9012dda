//! How much the engine holds. Everything that could grow is here, and has a bound.

use super::Engine;
use super::flags::StatusFlags;
use super::unit::{Unit, UnitTopics};
use crate::domain::unit::MAX_UNIT_NAME_BYTES;
use crate::domain::{Alarm, AlarmId, Reason, Token, UnitId};
use crate::monitor::Standing;

/// What is held at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Units; at most `max_units`.
    pub units: usize,
    /// Messages that wait unacknowledged for their unit to settle; at most one more than `max_waiting`.
    pub waiting: usize,
    /// Alarms that stand: one a name for the daemon, [`super::MAX_UNIT_ALARMS`] for units.
    pub alarms: usize,
    /// Bytes held for units; at most [`Engine::bytes_per_unit`] each.
    pub unit_bytes: usize,
    /// Bytes of what sources said of themselves; at most [`crate::domain::source::MAX_BIRTH_BYTES`], and a name for each of
    /// [`crate::domain::source::MAX_NODES`].
    pub birth_bytes: usize,
    /// Bytes of working memory, whatever the number of units.
    pub working_bytes: usize,
}

impl Engine {
    /// What is held now.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            units: self.units.len(),
            waiting: self.units.values().map(|unit| unit.waiting.len()).sum(),
            alarms: self.alarms.len() + self.unit_alarms,
            unit_bytes: self.units.values().map(Unit::memory_bytes).sum(),
            birth_bytes: self.births.memory_bytes(),
            working_bytes: self.readings.capacity() * size_of::<crate::domain::DecodedReading>()
                + self.reasons.capacity() * size_of::<Reason>()
                + self.values.capacity() * size_of::<f64>(),
        }
    }

    /// Most bytes that one unit can take, known when the bundle is loaded: its readings and samples, which are
    /// laid out when it appears, its topics, and what it can have to say and to wait for. About 10 KB with the
    /// reference bundle.
    #[must_use]
    pub fn bytes_per_unit(&self) -> usize {
        let manifest = &self.bundle.manifest;
        // Each sensor, feature and target can give two reasons at most, as can the unit; one more for the clock.
        let reasons = 2 * (manifest.sensors.len() + manifest.features.len() + manifest.targets.len() + 1) + 1;
        let topics = UnitId::new(&"x".repeat(MAX_UNIT_NAME_BYTES))
            .map_or(0, |id| UnitTopics::new(&self.settings, &id, self.bundle.targets()).memory_bytes());
        self.bundle.evaluator.assembler.new_state().memory_bytes()
            + size_of::<Unit>()
            + topics
            + reasons * size_of::<Reason>()
            + manifest.targets.len() * (size_of::<f64>() + size_of::<Option<f64>>() + size_of::<StatusFlags>())
            // Vectors grow by doubling.
            + 2 * (self.settings.max_waiting + 1) * size_of::<Token>()
            + AlarmId::OF_UNIT.len() * (4 * size_of::<Standing>() + Alarm::MAX_BYTES)
    }
}

impl Unit {
    /// Bytes this unit occupies.
    pub(super) fn memory_bytes(&self) -> usize {
        self.state.memory_bytes()
            + size_of::<Self>()
            + self.topics.memory_bytes()
            + self.waiting.capacity() * size_of::<Token>()
            + self.latest.values.capacity() * size_of::<f64>()
            + self.latest.measured.capacity() * size_of::<Option<f64>>()
            + self.published.as_ref().map_or(0, |state| {
                state.reasons.capacity() * size_of::<Reason>()
                    + state.flags.capacity() * size_of::<StatusFlags>()
            })
            + self.alarms.memory_bytes()
    }
}

impl UnitTopics {
    fn memory_bytes(&self) -> usize {
        self.prediction.capacity()
            + self.state.capacity()
            + [&self.targets, &self.flags].into_iter().map(texts).sum::<usize>()
    }
}

fn texts(texts: &Vec<String>) -> usize {
    texts.iter().map(String::capacity).sum::<usize>() + texts.capacity() * size_of::<String>()
}
