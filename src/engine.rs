//! The whole street: bytes in, effects out. The only place that sees every stage of it.
//!
//! The engine knows no MQTT, no clock and no file. Replay, tests, benches and the daemon call the very
//! same [`Engine::handle`].

mod alarms;
mod clock;
mod discovery;
pub mod flags;
mod intake;
mod outlet;
pub mod seed;
pub mod settings;
mod silence;
mod sizes;
pub mod snapshot;
mod unit;
pub mod view;

pub use alarms::{AlarmCounters, MAX_UNIT_ALARMS};
pub use discovery::{HomeAssistant, device_of_daemon, device_of_unit};
pub use seed::Seed;
pub use settings::{EngineSettings, TopicTexts, Topics};
pub use silence::SilenceLimits;
pub use sizes::Sizes;
pub use snapshot::{Snapshot, SnapshotError, Stamp};
pub use view::{AlarmView, UnitBrief, UnitList, UnitView};

use std::collections::BTreeMap;

use crate::bundle::{Assembler, Bundle, Manifest};
use crate::domain::{
    Alarm, AlarmId, Batch, Births, DecodedReading, Effect, Monotonic, Now, Publish, PublishKind, Quality,
    Reason, RejectCounts, Rules, Timestamp, Token, UnitId, UnitState,
};
use crate::monitor::Alarms;
use discovery::Announcer;
use silence::LastHeard;
use unit::{Unit, UnitTopics};

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
    /// Messages can come from now on: silence counts from here, not from before.
    Opened,
    /// Messages cannot come: silence means nothing until the next [`Input::Opened`].
    Closed,
    /// The daemon itself found something wrong; raised anew, an alarm that stands only renews its words.
    Raise(&'a Alarm),
    /// What the daemon found wrong is over.
    Clear(AlarmId),
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
    /// Alarms raised and cleared.
    pub alarms: AlarmCounters,
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
    rules: Rules,
    /// What sources said that the rules need to know.
    births: Births,
    /// Channel that measures each target, where one does.
    target_channels: Vec<Option<usize>>,
    units: BTreeMap<UnitId, Unit>,
    /// Messages that wait, over all units.
    waiting: usize,
    /// Since when messages can come, if they can.
    open_since: Option<Monotonic>,
    /// The same, but for pauses of seconds.
    listening_since: Option<Monotonic>,
    /// When they could last not come any more.
    closed_at: Option<Monotonic>,
    last_heard: LastHeard,
    /// Whether the clock last told a time before it can have been set.
    is_clock_unset: bool,
    /// Whether alarms that an earlier life left at the broker have been removed.
    has_swept: bool,
    /// Alarms of the daemon as a whole.
    alarms: Alarms,
    /// Alarms that stand, over all units.
    unit_alarms: usize,
    /// Topics whose retained messages are to be removed with the next tick, as nothing is published there any more.
    leftover: Vec<String>,
    /// What Home Assistant is still to be told.
    discovery: Announcer,
    /// The unit of which the seed's topics say that it is not predicted.
    told_withheld: Option<UnitId>,
    counters: EngineCounters,
    // Working memory, kept so that nothing is allocated per reading.
    batch: Batch,
    readings: Vec<DecodedReading>,
    reasons: Vec<Reason>,
    values: Vec<f64>,
}

impl Engine {
    /// An engine that has heard of no unit yet.
    #[must_use]
    pub fn new(bundle: Bundle, settings: EngineSettings, stopwatch: Stopwatch) -> Self {
        let channels = bundle.manifest.channels();
        let target_channels = bundle
            .manifest
            .targets
            .iter()
            .map(|target| channels.iter().position(|name| Some(*name) == target.measured_by.as_deref()))
            .collect();
        // What is wrong with the rules is looked for before they come here; a wrong name is then only never heard.
        let (rules, _) = settings.bind(&bundle.manifest);
        Self {
            bundle,
            settings,
            stopwatch,
            rules,
            births: Births::default(),
            target_channels,
            units: BTreeMap::new(),
            waiting: 0,
            open_since: None,
            listening_since: None,
            closed_at: None,
            last_heard: LastHeard::default(),
            is_clock_unset: false,
            has_swept: false,
            alarms: Alarms::default(),
            unit_alarms: 0,
            leftover: Vec::new(),
            discovery: Announcer::default(),
            told_withheld: None,
            counters: EngineCounters::default(),
            batch: Batch::default(),
            readings: Vec::new(),
            reasons: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Handles one input at one time and appends what is to be done to `effects`.
    pub fn handle(&mut self, now: Now, input: Input<'_>, effects: &mut Vec<Effect>) {
        self.mind_clock(now, effects);
        match input {
            Input::Message { topic, payload, retained, token, .. }
                if self.is_birth(now, topic, payload, (retained, token), effects) => {}
            Input::Message { .. } | Input::Readings { .. } => self.intake(now, input, effects),
            Input::Tick => self.tick(now, effects),
            Input::Flush => {
                for id in self.ids_where(|unit| unit.due.is_some()) {
                    self.evaluate(now, &id, effects);
                }
            }
            Input::Opened => {
                self.open(now);
                self.announce_all(now.monotonic);
                if !std::mem::replace(&mut self.has_swept, true) {
                    self.sweep_daemon(effects);
                }
            }
            Input::Closed => {
                self.births.forget();
                self.close(now);
            }
            Input::Raise(alarm) => self.raise(now, alarm, effects),
            Input::Clear(id) => self.clear(now, id, effects),
        }
    }

    /// When [`Input::Tick`] is due next, if anything waits.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let ttl = self.settings.unit_ttl;
        let is_open = self.open_since.is_some();
        let units = self.units.values().flat_map(|unit| {
            let silent_at = unit.silent_at.filter(|_| is_open);
            [unit.due, unit.stale_at, silent_at, Some(unit.last_heard.plus(ttl))]
        });
        units.chain([self.source_deadline(), self.discovery_deadline()]).flatten().min()
    }

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let at = now.monotonic;
        self.mind_seed(now, effects);
        for id in self.ids_where(|unit| unit.due.is_some_and(|due| due <= at)) {
            self.evaluate(now, &id, effects);
        }
        self.mind_sleep(now);
        let is_open = self.open_since.is_some();
        let is_quiet = |unit: &Unit| {
            let silent_at = unit.silent_at.filter(|_| is_open);
            [unit.stale_at, silent_at].into_iter().flatten().any(|due| due <= at)
        };
        for id in self.ids_where(is_quiet) {
            self.check_quiet(now, &id, effects);
        }
        self.check_sources(now, effects);
        let ttl = self.settings.unit_ttl;
        for id in self.ids_where(|unit| unit.last_heard.plus(ttl) <= at) {
            self.evict(now, id, effects);
        }
        self.evict_excess(now, effects);
        effects.extend(self.leftover.drain(..).map(removal));
        self.announce(now, effects);
    }

    /// Forgets the units heard longest ago when a reload brought a smaller `max_units`.
    fn evict_excess(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let excess = self.units.len().saturating_sub(self.settings.max_units);
        if excess == 0 {
            return;
        }
        let mut ids: Vec<_> = self.units.iter().map(|(id, unit)| (unit.last_heard, id.clone())).collect();
        ids.sort_unstable();
        for (_, id) in ids.into_iter().take(excess) {
            self.evict(now, id, effects);
        }
    }

    fn ids_where(&self, wanted: impl Fn(&Unit) -> bool) -> Vec<UnitId> {
        self.units.iter().filter(|(_, unit)| wanted(unit)).map(|(id, _)| id.clone()).collect()
    }

    fn evict(&mut self, now: Now, id: UnitId, effects: &mut Vec<Effect>) {
        let Some(unit) = self.units.remove(&id) else { return };
        self.counters.evicted += 1;
        self.waiting = self.waiting.saturating_sub(unit.waiting.len());
        self.drop_alarms(now, &id, &unit, effects);
        if self.told_withheld.as_ref() == Some(&id) {
            self.end_withheld(now, effects);
        }
        // Before the state is: Home Assistant would find it empty.
        self.withdraw(&id, effects);
        // An empty retained message removes the retained state, so that nobody finds a unit that is gone.
        effects.push(removal(unit.topics.state));
        effects.extend(unit.topics.flags.into_iter().map(removal));
        effects.extend(unit.waiting.into_iter().map(Effect::Acknowledge));
        effects.push(Effect::UnitEvicted(id));
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> &EngineCounters {
        &self.counters
    }

    /// The units held, by their last quality.
    #[must_use]
    pub fn units(&self) -> UnitsByQuality {
        let mut by_quality = UnitsByQuality::default();
        for unit in self.units.values() {
            match unit.quality() {
                Quality::Good => by_quality.good += 1,
                Quality::Uncertain => by_quality.uncertain += 1,
                Quality::Bad => by_quality.bad += 1,
            }
        }
        by_quality
    }

    /// The loaded bundle.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What comes in, and how it is read.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    /// Takes over the units, sequence numbers and counters of an engine that this one replaces. Held
    /// readings and history are kept when both bundles lay them out alike; else readings are kept by name,
    /// where name and unit are the same, and history starts afresh. Call with nothing waiting, after
    /// [`Input::Flush`], and have a [`Input::Tick`] follow: it says which units can no longer be predicted.
    pub fn adopt(&mut self, mut old: Self) {
        self.adopt_discovery(&mut old);
        let (mine, theirs) = (&self.bundle.manifest, &old.bundle.manifest);
        let alike = mine.sensors == theirs.sensors
            && mine.features == theirs.features
            && mine.step == theirs.step
            && mine.channels() == theirs.channels();
        let kept = if alike { Vec::new() } else { kept_channels(theirs, mine) };
        let assembler = &self.bundle.evaluator.assembler;
        self.counters = old.counters;
        self.births = old.births;
        self.alarms = old.alarms;
        self.open_since = old.open_since;
        self.listening_since = old.listening_since;
        self.closed_at = old.closed_at;
        self.last_heard = old.last_heard;
        self.has_swept = old.has_swept;
        self.is_clock_unset = old.is_clock_unset;
        self.unit_alarms = old.unit_alarms;
        self.leftover = old.leftover;
        self.told_withheld = old.told_withheld;
        for (id, unit) in old.units {
            let topics = UnitTopics::new(&self.settings, &id, self.bundle.targets());
            self.leftover
                .extend(unit.topics.flags.iter().filter(|topic| !topics.flags.contains(topic)).cloned());
            let quality = unit.quality();
            let state = if alike { unit.state } else { carried(&unit.state, &kept, assembler) };
            let mut adopted = Unit::new(state, topics, unit.last_heard);
            adopted.seq = unit.seq;
            adopted.carried = quality;
            adopted.alarms = unit.alarms;
            adopted.last_live = unit.last_live;
            adopted.told = unit.told;
            adopted.last_evaluated = unit.last_evaluated;
            // Due at once: what is required, and for how long, may have changed.
            adopted.stale_at = Some(unit.last_heard);
            self.units.insert(id, adopted);
        }
    }
}

/// An empty retained message takes a unit's retained one away.
fn removal(topic: String) -> Effect {
    Effect::Publish(Publish::removal(topic, PublishKind::State))
}

/// Pairs of channels, old and new, that mean the same: by name and unit.
fn kept_channels(old: &Manifest, new: &Manifest) -> Vec<(usize, usize)> {
    let channels: Vec<_> = old.channels().into_iter().map(|name| (name, old.unit_of(name))).collect();
    let position = |name: &str| channels.iter().position(|known| *known == (name, new.unit_of(name)));
    let named = new.channels().into_iter().enumerate();
    named.filter_map(|(index, name)| Some((position(name)?, index))).collect()
}

/// A state for the new bundle with the readings of the old one that it would accept.
fn carried(old: &UnitState, kept: &[(usize, usize)], assembler: &Assembler) -> UnitState {
    let mut state = assembler.new_state();
    for (from, to) in kept {
        if let Some(held) = old.get(*from).filter(|held| assembler.accept(*to, held.value).is_ok()) {
            state.set(*to, *held);
        }
    }
    state
}
