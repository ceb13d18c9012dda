//! What the engine keeps of one unit beside its readings: numbers, deadlines, waiting messages.

use crate::domain::{Monotonic, Quality, Reason, Timestamp, Token, TopicTemplate, UnitId, UnitState};

use super::flags::StatusFlags;
use super::settings::EngineSettings;
use crate::monitor::Alarms;

/// The topics of one unit, printed once.
#[derive(Debug, Clone)]
pub(super) struct UnitTopics {
    pub(super) prediction: String,
    pub(super) targets: Vec<String>,
    /// Of the status flags of each target; empty where nobody wants them.
    pub(super) flags: Vec<String>,
    pub(super) state: String,
}

impl UnitTopics {
    pub(super) fn new<'t>(
        settings: &EngineSettings,
        unit: &UnitId,
        targets: impl Iterator<Item = &'t str>,
    ) -> Self {
        let (topics, unit) = (&settings.topics, ("unit", unit.as_str()));
        let targets: Vec<&str> = targets.collect();
        let each = |template: &TopicTemplate| {
            targets.iter().map(|target| template.render(&[unit, ("target", target)])).collect()
        };
        Self {
            prediction: topics.prediction.render(&[unit]),
            targets: each(&topics.target),
            flags: if settings.target_flags { each(&topics.flags) } else { Vec::new() },
            state: topics.state.render(&[unit]),
        }
    }
}

/// One unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) state: UnitState,
    pub(super) topics: UnitTopics,
    /// Predictions published since the unit appeared.
    pub(super) seq: u64,
    pub(super) last_heard: Monotonic,
    /// When something came last that the broker had not kept, or the unit appeared.
    pub(super) last_live: Monotonic,
    pub(super) last_evaluated: Option<Monotonic>,
    /// When the unit is to be evaluated, if readings wait for that.
    pub(super) due: Option<Monotonic>,
    /// Arrival of the first reading that waits.
    pub(super) waiting_since: Option<Monotonic>,
    /// Messages that wait for the evaluation.
    pub(super) waiting: Vec<Token>,
    /// When a required sensor turns stale, if nothing arrives until then.
    pub(super) stale_at: Option<Monotonic>,
    /// When the unit is silent, if nothing arrives until then.
    pub(super) silent_at: Option<Monotonic>,
    /// The time that the unit's payloads told first, and when, while the clock is not set.
    pub(super) told: Option<(Timestamp, Monotonic)>,
    /// What the last published state said.
    pub(super) published: Option<Published>,
    /// The quality that counts until a state is published: that of before a reload.
    pub(super) carried: Quality,
    /// Alarms of this unit that stand.
    pub(super) alarms: Alarms,
    /// Whether Home Assistant has been told of it since that was asked for last.
    pub(super) is_announced: bool,
    /// The latest prediction, for whoever asks for it.
    pub(super) latest: Latest,
}

/// What was predicted last.
#[derive(Debug, Clone, Default)]
pub(super) struct Latest {
    /// By target; empty before the first prediction.
    pub(super) values: Vec<f64>,
    /// What was measured then, where it is.
    pub(super) measured: Vec<Option<f64>>,
    /// Event time of the newest reading.
    pub(super) time: Timestamp,
    /// When it was made.
    pub(super) at: Monotonic,
}

/// What a published state said.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) quality: Quality,
    pub(super) reasons: Vec<Reason>,
    /// Event time of the evaluation that led to it.
    pub(super) time: Timestamp,
    /// The status flags of each target, where they are published.
    pub(super) flags: Vec<StatusFlags>,
    /// How many alarms stood: there is one at most of each name, and they come and go one at a time.
    pub(super) alarms: usize,
}

impl Unit {
    pub(super) fn new(state: UnitState, topics: UnitTopics, heard: Monotonic) -> Self {
        Self {
            state,
            topics,
            seq: 0,
            last_heard: heard,
            last_live: heard,
            last_evaluated: None,
            due: None,
            waiting_since: None,
            waiting: Vec::new(),
            stale_at: None,
            silent_at: None,
            told: None,
            published: None,
            carried: Quality::Bad,
            alarms: Alarms::default(),
            is_announced: false,
            latest: Latest::default(),
        }
    }

    pub(super) fn quality(&self) -> Quality {
        self.published.as_ref().map_or(self.carried, |published| published.quality)
    }
}
