//! What is counted, as plain numbers: for those who measure, not read.

use std::collections::BTreeMap;

use super::{Statistics, lost_messages, resident_bytes};
use crate::daemon::mqtt::Inbox;
use crate::daemon::outbox::Outbox;
use crate::domain::{ModelIdentity, Now};
use crate::engine::{Engine, EngineCounters, UnitList, UnitsByQuality};

/// All numbers of a running daemon at one moment.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Name of the daemon.
    pub instance: String,
    /// Which models are in use.
    pub bundle: ModelIdentity,
    /// Seconds since the start.
    pub uptime_s: f64,
    /// What the engine counts.
    pub engine: EngineCounters,
    /// Messages that the broker has confirmed.
    pub published: u64,
    /// Messages dropped and log lines left out, by reason.
    pub drops: Vec<(&'static str, u64)>,
    /// Reloads that were taken over and that were refused.
    pub reloads: (u64, u64),
    /// Messages received that wait, publishes that wait, messages unacknowledged.
    pub queues: (usize, usize, usize),
    /// Units by quality.
    pub quality: UnitsByQuality,
    /// Alarms of the daemon that stand: name and severity.
    pub alarms: Vec<(&'static str, &'static str)>,
    /// Alarms of units that stand.
    pub unit_alarms: usize,
    /// From arrival to hand-over.
    pub latency: LatencyFigures,
    /// Resident memory in bytes, where the system tells it.
    pub rss_bytes: Option<u64>,
    /// The connection.
    pub broker: BrokerFigures,
    /// The units, as many as were asked for.
    pub units: UnitList,
}

/// Latencies in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LatencyFigures {
    /// How many were ever measured.
    pub count: u64,
    /// Their sum.
    pub sum_s: f64,
    /// Median, 95th and 99th percentile of the latest.
    pub quantiles_s: [f64; 3],
}

/// The connection to the broker.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BrokerFigures {
    /// Whether it stands.
    pub is_connected: bool,
    /// Connections so far.
    pub connects: u64,
    /// Failures so far, by cause.
    pub failures: BTreeMap<&'static str, u64>,
    /// Whether what is published comes out again, once that is known.
    pub is_delivering: Option<bool>,
    /// How long the latest loopback probe was under way, in seconds.
    pub probe_s: Option<f64>,
}

impl Statistics {
    /// Why the daemon does not do its work, in words that stay the same over versions; none when it does.
    pub(in crate::daemon) fn reasons(&self) -> Vec<&'static str> {
        let broker = &self.broker;
        match broker.problem {
            Some(problem) => vec![problem],
            None if broker.connected => Vec::new(),
            None => vec!["connecting"],
        }
    }

    /// All numbers, with at most `most_units` units.
    pub(in crate::daemon) fn figures(
        &self,
        now: Now,
        instance: &str,
        engine: &Engine,
        outbox: &Outbox,
        inbox: &Inbox,
        most_units: usize,
    ) -> Figures {
        let own = [("command_refused", self.refused_commands), ("log_lines", self.suppressed_log_lines)];
        let recent = self.latencies.percentiles();
        let seconds = |micros: u32| f64::from(micros) / 1e6;
        Figures {
            instance: instance.to_owned(),
            bundle: engine.bundle().identity.clone(),
            uptime_s: now.monotonic.since(self.started).as_secs_f64(),
            engine: engine.counters().clone(),
            published: outbox.confirmed(),
            drops: lost_messages(outbox, inbox).into_iter().chain(own).collect(),
            reloads: (self.reloads, self.failed_reloads),
            queues: (inbox.waiting(), outbox.held(), outbox.unacknowledged()),
            quality: engine.units(),
            alarms: engine
                .daemon_alarms()
                .iter()
                .map(|standing| (standing.alarm.id.name(), standing.alarm.severity.name()))
                .collect(),
            unit_alarms: engine.unit_alarms(),
            latency: LatencyFigures {
                count: self.latencies.count,
                sum_s: self.latencies.sum as f64 / 1e6,
                quantiles_s: [recent.p50, recent.p95, recent.p99].map(seconds),
            },
            rss_bytes: resident_bytes(),
            broker: BrokerFigures {
                is_connected: self.broker.connected,
                connects: self.broker.connects,
                failures: self.broker.failures.clone(),
                is_delivering: self.broker.delivering,
                probe_s: self.broker.probe_ms.map(|ms| ms / 1e3),
            },
            units: engine.view_units(now, most_units),
        }
    }
}
