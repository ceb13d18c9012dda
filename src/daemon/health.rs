//! The health document: everything that is counted, in one place.

mod figures;

use std::collections::BTreeMap;

use serde::Serialize;

use super::clock;
use super::mqtt::{Inbox, LinkEvent, TAKEN_OVER};
use super::outbox::Outbox;
use crate::domain::prediction::SCHEMA_VERSION;
use crate::domain::{CLOCK_FLOOR, ModelIdentity, Monotonic, Now};
use crate::engine::Engine;
pub use figures::{BrokerFigures, Figures, LatencyFigures};

/// Latencies kept for the percentiles: the last few seconds of a busy site, the last hours of a calm one.
const LATENCIES: usize = 4_096;
/// Longest error text kept.
const MAX_ERROR_CHARS: usize = 1_000;

/// The latest latencies, in microseconds.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    recent: Vec<u32>,
    next: usize,
    /// All there ever were, and their sum in microseconds.
    count: u64,
    sum: u64,
}

/// Percentiles of the latest latencies from arrival to hand-over, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Percentiles {
    count: usize,
    p50: u32,
    p95: u32,
    p99: u32,
}

impl Latencies {
    pub(super) fn record(&mut self, micros: u64) {
        self.count += 1;
        self.sum = self.sum.saturating_add(micros);
        let micros = u32::try_from(micros).unwrap_or(u32::MAX);
        if self.recent.len() < LATENCIES {
            self.recent.push(micros);
        } else if let Some(slot) = self.recent.get_mut(self.next) {
            *slot = micros;
            self.next = (self.next + 1) % LATENCIES;
        }
    }

    fn percentiles(&self) -> Percentiles {
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            // The smallest value that at least so many percent do not exceed.
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Percentiles { count: sorted.len(), p50: at(50), p95: at(95), p99: at(99) }
    }
}

/// Loopback probes in a row that did not come back, from which on the broker is said not to deliver.
const MISSED_PROBES: u32 = 2;

/// What is known of the connection.
#[derive(Debug, Default, Serialize)]
pub(super) struct BrokerHealth {
    url: String,
    /// `connecting`, `connected` or `down`.
    state: ConnectionState,
    /// What is wrong with the connection, in a word that stays the same over versions.
    problem: Option<&'static str>,
    connected: bool,
    session_present: bool,
    connects: u64,
    failures: BTreeMap<&'static str, u64>,
    refused_subscriptions: Vec<String>,
    down_because: Option<String>,
    /// Whether what is published comes out again, once that is known.
    delivering: Option<bool>,
    /// How long the latest loopback probe was under way, in milliseconds.
    probe_ms: Option<f64>,
    #[serde(skip)]
    contested: Option<String>,
    #[serde(skip)]
    is_probe_refused: bool,
    /// What the broker gives less of than was asked for.
    #[serde(skip)]
    warning: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ConnectionState {
    #[default]
    Connecting,
    Connected,
    Down,
}

impl BrokerHealth {
    pub(super) fn new(url: String) -> Self {
        Self { url, ..Self::default() }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    /// The connection was given up on purpose, for one to another address or with other settings.
    pub(super) fn replaced(&mut self, url: String) {
        let Self { connects, .. } = *self;
        let failures = std::mem::take(&mut self.failures);
        *self = Self { url, connects, failures, ..Self::default() };
    }

    /// Why there is no connection, once an attempt has failed.
    pub(super) fn down_because(&self) -> Option<&str> {
        self.down_because.as_deref()
    }

    /// Why the connection may not last: somebody fights for the client id.
    pub(super) fn contested(&self) -> Option<&str> {
        self.contested.as_deref()
    }

    /// Whether what is published comes out again; `None` while nobody knows.
    pub(super) fn delivering(&self) -> Option<bool> {
        self.delivering
    }

    /// Whether the broker closes the connection when it is probed.
    pub(super) fn is_probe_refused(&self) -> bool {
        self.is_probe_refused
    }

    /// What is allowed but unwise about the connection, in a sentence with the remedy.
    pub(super) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// What was refused is tried again.
    pub(super) fn tried_again(&mut self) {
        self.is_probe_refused = false;
        self.refused_subscriptions.clear();
        if self.connected {
            self.problem = self.problem_while_connected();
        }
    }

    pub(super) fn refused_subscriptions(&self) -> &[String] {
        &self.refused_subscriptions
    }

    pub(super) fn event(&mut self, event: &LinkEvent) {
        match event {
            LinkEvent::Connected { session_present, .. } => {
                self.state = ConnectionState::Connected;
                self.connected = true;
                self.session_present = *session_present;
                self.connects += 1;
                self.refused_subscriptions.clear();
                self.down_because = None;
            }
            LinkEvent::Subscribed { unconfirmed } => {
                self.warning = unconfirmed.as_deref().map(unconfirmed_warning);
            }
            LinkEvent::ProbeRefused { .. } => {
                self.is_probe_refused = true;
                (self.delivering, self.probe_ms) = (None, None);
            }
            LinkEvent::Settled => self.contested = None,
            LinkEvent::ProbeReturned { after } => {
                self.delivering = Some(true);
                self.is_probe_refused = false;
                self.probe_ms = Some((after.as_secs_f64() * 1e6).round() / 1e3);
            }
            LinkEvent::ProbeMissed { in_a_row } => {
                if *in_a_row >= MISSED_PROBES {
                    self.delivering = Some(false);
                    self.probe_ms = None;
                }
            }
            LinkEvent::SubscriptionRefused { filter } => {
                if !self.refused_subscriptions.contains(filter) {
                    self.refused_subscriptions.push(filter.clone());
                }
            }
            LinkEvent::Disconnected { cause, error, .. } => {
                self.state = ConnectionState::Down;
                self.connected = false;
                self.contested = (*cause == TAKEN_OVER).then(|| error.clone());
                self.down_because = Some(error.clone());
                *self.failures.entry(cause).or_default() += 1;
                self.problem = Some(cause);
                return;
            }
        }
        self.problem = self.problem_while_connected();
    }

    fn problem_while_connected(&self) -> Option<&'static str> {
        if self.contested.is_some() {
            Some(TAKEN_OVER)
        } else if self.delivering == Some(false) {
            Some("not_delivering")
        } else if !self.refused_subscriptions.is_empty() {
            Some("subscription_refused")
        } else if self.is_probe_refused {
            Some("probe_refused")
        } else {
            None
        }
    }
}

fn unconfirmed_warning(filter: &str) -> String {
    format!(
        "the broker grants {filter} QoS 0 instead of 1: readings are lost when the daemon is away, slow or killed; let the \
         broker grant QoS 1 (mosquitto: max_qos 1 or 2), or set mqtt.subscribe_qos = 0 if they may be lost"
    )
}

/// When something went wrong last, and what.
#[derive(Debug, Serialize)]
pub(super) struct LastError {
    time: String,
    kind: &'static str,
    error: String,
}

/// What the worker counts beside engine and outbox.
#[derive(Debug)]
pub(super) struct Statistics {
    started: Monotonic,
    pub(super) latencies: Latencies,
    pub(super) broker: BrokerHealth,
    reloads: u64,
    failed_reloads: u64,
    reload_failure: Option<String>,
    pub(super) refused_commands: u64,
    pub(super) suppressed_log_lines: u64,
    last_error: Option<LastError>,
    /// What is allowed but unwise in the settings that run, one sentence each.
    pub(super) warnings: Vec<String>,
    /// Why nobody can ask over HTTP although the settings want it, a sentence with the remedy.
    pub(super) http_problem: Option<String>,
    since: Monotonic,
    messages: u64,
    predictions: u64,
    rates: Rates,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Rates {
    pub(super) messages_per_s: f64,
    pub(super) predictions_per_s: f64,
}

#[derive(Serialize)]
struct Queues {
    received: usize,
    publishes: usize,
    unacknowledged: usize,
}

#[derive(Serialize)]
struct Units {
    good: usize,
    uncertain: usize,
    bad: usize,
}

/// Alarms: those of the daemon that stand by name, those of units by number.
#[derive(Serialize)]
struct AlarmsHealth {
    standing: Vec<&'static str>,
    units: usize,
    raised: u64,
    cleared: u64,
    suppressed: u64,
}

impl AlarmsHealth {
    fn of(engine: &Engine) -> Self {
        let counters = engine.counters().alarms;
        Self {
            standing: engine.daemon_alarms().iter().map(|standing| standing.alarm.id.name()).collect(),
            units: engine.unit_alarms(),
            raised: counters.raised,
            cleared: counters.cleared,
            suppressed: counters.suppressed,
        }
    }
}

#[derive(Serialize)]
struct Totals {
    messages: u64,
    readings: u64,
    predictions: u64,
    withheld: u64,
    published: u64,
    evicted_units: u64,
    settled_early: u64,
    reloads: u64,
    failed_reloads: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    time: String,
    instance: &'a str,
    version: &'static str,
    uptime_s: u64,
    rates: Rates,
    totals: Totals,
    drops: BTreeMap<&'static str, u64>,
    queues: Queues,
    units: Units,
    alarms: AlarmsHealth,
    latency_us: Percentiles,
    rss_bytes: Option<u64>,
    clock_synced: Option<bool>,
    bundle: &'a ModelIdentity,
    broker: &'a BrokerHealth,
    last_error: Option<&'a LastError>,
    reload_failure: Option<&'a str>,
    warnings: Vec<&'a str>,
}

impl Statistics {
    pub(super) fn new(now: Monotonic, broker: BrokerHealth) -> Self {
        Self {
            started: now,
            latencies: Latencies::default(),
            broker,
            reloads: 0,
            failed_reloads: 0,
            reload_failure: None,
            refused_commands: 0,
            suppressed_log_lines: 0,
            last_error: None,
            warnings: Vec::new(),
            http_problem: None,
            since: now,
            messages: 0,
            predictions: 0,
            rates: Rates::default(),
        }
    }

    /// Notes what went wrong; `kind` is a word that stays the same over versions.
    pub(super) fn error(&mut self, now: Now, kind: &'static str, error: &str) {
        let error = error.chars().take(MAX_ERROR_CHARS).collect();
        self.last_error = Some(LastError { time: now.wall.to_string(), kind, error });
    }

    /// Notes how a reload ended; the failure stands until one succeeds.
    pub(super) fn reloaded(&mut self, failure: Option<String>) {
        match &failure {
            None => self.reloads += 1,
            Some(_) => self.failed_reloads += 1,
        }
        self.reload_failure = failure;
    }

    pub(super) fn reload_failure(&self) -> Option<&str> {
        self.reload_failure.as_deref()
    }

    /// What is allowed but unwise: in the settings, and in what the broker and this machine make of them.
    pub(super) fn all_warnings(&self) -> impl Iterator<Item = &str> {
        let own = self.warnings.iter().chain(&self.http_problem);
        own.map(String::as_str).chain(self.broker.warning())
    }

    pub(super) fn rates(&self) -> Rates {
        self.rates
    }

    /// Rates since the last call.
    pub(super) fn roll(&mut self, now: Monotonic, engine: &Engine) {
        let seconds = now.since(self.since).as_secs_f64();
        let counters = engine.counters();
        if seconds > 0.0 {
            self.rates = Rates {
                messages_per_s: counters.messages.saturating_sub(self.messages) as f64 / seconds,
                predictions_per_s: counters.predictions.saturating_sub(self.predictions) as f64 / seconds,
            };
        }
        (self.since, self.messages, self.predictions) = (now, counters.messages, counters.predictions);
    }

    /// The document as JSON.
    pub(super) fn document(
        &self,
        now: Now,
        instance: &str,
        engine: &Engine,
        outbox: &Outbox,
        inbox: &Inbox,
    ) -> Vec<u8> {
        let counters = engine.counters();
        let units = engine.units();
        let document = Document {
            schema: SCHEMA_VERSION,
            time: now.wall.to_string(),
            instance,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: now.monotonic.since(self.started).as_secs(),
            rates: self.rates,
            totals: Totals {
                messages: counters.messages,
                readings: counters.readings,
                predictions: counters.predictions,
                withheld: counters.withheld,
                published: outbox.confirmed(),
                evicted_units: counters.evicted,
                settled_early: counters.settled_early,
                reloads: self.reloads,
                failed_reloads: self.failed_reloads,
            },
            drops: self.drops(engine, outbox, inbox),
            queues: Queues {
                received: inbox.waiting(),
                publishes: outbox.held(),
                unacknowledged: outbox.unacknowledged(),
            },
            units: Units { good: units.good, uncertain: units.uncertain, bad: units.bad },
            alarms: AlarmsHealth::of(engine),
            latency_us: self.latencies.percentiles(),
            rss_bytes: resident_bytes(),
            // A clock before any possible time was not set, whoever says what.
            clock_synced: if now.wall < CLOCK_FLOOR { Some(false) } else { clock::is_synced() },
            bundle: &engine.bundle().identity,
            broker: &self.broker,
            last_error: self.last_error.as_ref(),
            reload_failure: self.reload_failure(),
            warnings: self.all_warnings().collect(),
        };
        let mut bytes = Vec::with_capacity(2_048);
        crate::domain::prediction::write_json(&document, &mut bytes);
        bytes
    }

    fn drops(&self, engine: &Engine, outbox: &Outbox, inbox: &Inbox) -> BTreeMap<&'static str, u64> {
        let mut drops: BTreeMap<_, _> =
            engine.counters().rejects.iter().map(|(reason, count)| (reason.name(), count)).collect();
        let own = [("command_refused", self.refused_commands), ("log_lines", self.suppressed_log_lines)];
        let lost = lost_messages(outbox, inbox);
        drops.extend(lost.into_iter().chain(own).filter(|(_, count)| *count > 0));
        drops
    }
}

/// Messages that were not handed on, with the reason.
pub(super) fn lost_messages(outbox: &Outbox, inbox: &Inbox) -> [(&'static str, u64); 7] {
    let out = outbox.drops();
    [
        ("received_while_busy", inbox.dropped()),
        ("received_unreadable", inbox.undecoded()),
        ("publish_while_offline", out.offline),
        ("publish_while_slow", out.slow),
        ("publish_while_full", out.full),
        ("publish_oversize", out.oversize),
        ("answer_unconfirmed", out.answers),
    ]
}

/// Resident memory, in bytes.
fn resident_bytes() -> Option<u64> {
    const KIB: u64 = 1024;
    // Unlike statm this needs no page size, which is 16 or 64 KiB on some ARM kernels.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * KIB)
}

#[cfg(test)]
mod tests;
