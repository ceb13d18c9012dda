//! The whole street: bytes in, effects out. The only place that sees every stage of it.
//!
//! The engine knows no MQTT, no clock and no file. Replay, tests, benches and the daemon call the very
//! same [`Engine::handle`].

pub mod settings;

pub use settings::{EngineSettings, Topics};

use crate::bundle::Bundle;
use crate::domain::{Effect, Monotonic, Now, RejectCounts, Timestamp, Token};

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A message arrived.
    Message {
        /// Its topic.
        topic: &'a str,
        /// Its payload, untrusted.
        payload: &'a [u8],
        /// Whether the broker had kept it.
        retained: bool,
        /// To be acknowledged by [`Effect::Acknowledge`]; `None` for messages without acknowledgement.
        token: Option<Token>,
        /// When it arrived, for the waiting time in the prediction.
        arrived: Monotonic,
    },
    /// Readings that come without a broker, as from a file: `(channel name, value)`.
    Readings {
        /// Unit name.
        unit: &'a str,
        /// Event time.
        time: Option<Timestamp>,
        /// Channel names and values.
        readings: &'a [(&'a str, f64)],
    },
    /// Time has passed: settle what is due, evict what is silent. Due at [`Engine::next_deadline`].
    Tick,
    /// Predict every unit that waits to settle now: before a stop or a reload.
    Flush,
}

/// What the engine has done so far, for the health document.
#[derive(Debug, Clone, Default)]
pub struct EngineCounters {
    /// Messages handled.
    pub messages: u64,
    /// Readings applied.
    pub readings: u64,
    /// Predictions published.
    pub predictions: u64,
    /// Evaluations that were withheld.
    pub withheld: u64,
    /// What was not used, by reason.
    pub rejects: RejectCounts,
    /// Units evicted.
    pub evicted: u64,
    /// Times a unit was predicted before it had settled, because too many messages waited.
    pub settled_early: u64,
}

/// The units by their last quality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnitsByQuality {
    /// Last prediction good.
    pub good: usize,
    /// Last prediction uncertain.
    pub uncertain: usize,
    /// Withheld, or not evaluated yet.
    pub bad: usize,
}

/// A monotonic nanosecond counter handed in by the edge, so that the engine can say how long it took
/// without knowing a clock. Tests hand in `|| 0`.
pub type Stopwatch = fn() -> u64;

/// The street.
#[derive(Debug)]
pub struct Engine {
    bundle: Bundle,
    settings: EngineSettings,
    stopwatch: Stopwatch,
    counters: EngineCounters,
}

impl Engine {
    /// An engine that has heard of no unit yet.
    #[must_use]
    pub fn new(bundle: Bundle, settings: EngineSettings, stopwatch: Stopwatch) -> Self {
        Self { bundle, settings, stopwatch, counters: EngineCounters::default() }
    }

    /// Handles one input at one time and appends what is to be done to `effects`.
    pub fn handle(&mut self, _now: Now, _input: Input<'_>, _effects: &mut Vec<Effect>) {
        let _ = (self.stopwatch)();
        self.counters.messages += 1;
    }

    /// When [`Input::Tick`] is due next, if anything waits.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        None
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> &EngineCounters {
        &self.counters
    }

    /// The units held, by their last quality.
    #[must_use]
    pub fn units(&self) -> UnitsByQuality {
        UnitsByQuality::default()
    }

    /// The loaded bundle.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// Takes over the units, sequence numbers and counters of an engine that this one replaces. Held
    /// readings and history are kept when both bundles lay them out alike; else units start afresh.
    pub fn adopt(&mut self, _old: Self) {}
}
