//! The one task that owns engine and outbox and brings them together with broker, clock and systemd.

mod alarms;
mod desk;
mod lifecycle;
mod link;
mod losses;
mod warm;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tracing::{info, warn};

use super::clock::{self, WallClock};
use super::command::{self, CommandKind, Refused};
use super::desk::{Desk, Published, Question};
use super::health::{BrokerHealth, Statistics};
use super::keeper::{Keeper, Kept};
use super::logging::{Event, LogLimit, LogVolume};
use super::mqtt::{self, Batch, Link, LinkSettings, Received};
use super::outbox::{Outbox, Sort};
use super::reload::{Loaded, Refusal};
use super::settings::{DaemonTopics, Settings, Source};
use super::systemd::Notifier;
use super::{Controls, DaemonConfig};
use crate::domain::{Effect, Now};
use crate::engine::{Engine, Input, seed};
use lifecycle::{Loading, Reloads};

/// Most messages handled before what they caused is handed to the link: enough to share the cost of the
/// hand-over, few enough that the first does not wait for the last.
const TURN: usize = 64;
/// Shortest sleep until a deadline of the engine: the resolution of the timer, and a guard against spinning.
const MIN_SLEEP: Duration = Duration::from_millis(1);
/// Sleep when the engine has nothing due.
const LONG_SLEEP: Duration = Duration::from_hours(1);

/// The worker.
pub(super) struct Worker {
    engine: Engine,
    outbox: Outbox,
    link: Link,
    settings: Settings,
    topics: DaemonTopics,
    source: Option<Source>,
    wall: WallClock,
    notifier: Notifier,
    statistics: Statistics,
    limit: LogLimit,
    told: losses::Told,
    log_volume: LogVolume,
    reloads: Reloads,
    /// A reload waits until then for its subscriptions before it is said to be over.
    ready_by: Option<Instant>,
    /// Why there is no connection, as it was logged last.
    logged_cause: Option<&'static str>,
    health: Interval,
    keeper: Keeper,
    desk: Desk,
    // Reused from turn to turn.
    batch: Batch,
    effects: Vec<Effect>,
    commands: Vec<mqtt::Command>,
}

/// What woke the worker.
enum Wake {
    Stop,
    LinkBroken,
    Reload,
    Loaded(Result<Box<Loaded>, Vec<Refusal>>),
    Health,
    Kept(Kept),
    Asked(Question),
    Turn,
}

impl Worker {
    /// Sets everything up and starts connecting.
    pub(super) fn start(config: DaemonConfig, notifier: Notifier) -> anyhow::Result<Self> {
        let checked = config.settings.check()?;
        let broker = BrokerHealth::new(checked.broker.to_string());
        let link = Link::start(LinkSettings::new(&config.settings, &checked));
        let engine = Engine::new(config.bundle, checked.engine, clock::monotonic_nanos);
        let mut worker = Self {
            engine,
            outbox: Outbox::default(),
            link,
            health: every(config.settings.health.interval),
            keeper: Keeper::new(&config.settings.state, &config.settings.instance.name),
            desk: config.desk.unwrap_or_default(),
            settings: config.settings,
            topics: checked.topics,
            source: config.source,
            wall: config.clock,
            notifier,
            statistics: Statistics::new(clock::monotonic(), broker),
            limit: LogLimit::default(),
            told: losses::Told::default(),
            log_volume: config.log_volume,
            reloads: Reloads::default(),
            ready_by: None,
            logged_cause: None,
            batch: Batch::default(),
            effects: Vec::new(),
            commands: Vec::new(),
        };
        worker.warn(checked.warnings);
        // Kept as a retained state: every connection publishes it.
        worker.publish_status("online");
        worker.warm_start();
        worker.serve(checked.http);
        Ok(worker)
    }

    /// Serves until told to stop.
    pub(super) async fn run(mut self, mut controls: Controls) -> anyhow::Result<()> {
        self.announce();
        loop {
            let wake = self.wake(&mut controls).await;
            self.desk.begin_turn(clock::monotonic());
            match wake {
                Wake::Stop => break,
                Wake::LinkBroken => anyhow::bail!("the link to the broker has died; this is a defect"),
                Wake::Reload => self.begin_reload(None),
                Wake::Loaded(result) => self.end_reload(result).await,
                Wake::Health => {
                    self.statistics.roll(clock::monotonic(), &self.engine);
                    self.heartbeat();
                }
                Wake::Kept(kept) => self.keep(kept),
                Wake::Asked(question) => self.answer(question),
                Wake::Turn => {}
            }
            self.turn();
            if self.ready_by.is_some_and(|by| by <= Instant::now()) {
                self.reloaded();
            }
            self.save_when_due();
            // Only here, after a completed turn: the watchdog of a worker that hangs is not fed.
            self.notifier.feed(clock::monotonic());
            self.desk.end_turn();
        }
        // A stop has a bound of its own.
        self.desk.end_turn();
        self.stop().await;
        Ok(())
    }

    fn announce(&mut self) {
        self.log_bundle();
        let identity = &self.engine.bundle().identity;
        info!(
            event = %Event::Ready,
            bundle = %identity.id,
            bundle_version = %identity.version,
            bundle_sha256 = %identity.sha256,
            "cooltwin {} is ready as `{}` with bundle {} {}",
            env!("CARGO_PKG_VERSION"),
            self.settings.instance.name,
            identity.id,
            identity.version,
        );
        self.update_status();
        self.notifier.ready();
    }

    async fn wake(&mut self, controls: &mut Controls) -> Wake {
        let engine_due = self.engine.next_deadline().map_or(LONG_SLEEP, clock::until);
        let ready_in = self.ready_by.map_or(LONG_SLEEP, |by| by.saturating_duration_since(Instant::now()));
        let sleep = engine_due.min(self.notifier.hungry_in(clock::monotonic())).min(ready_in).max(MIN_SLEEP);
        let has_more = self.batch.more && !self.outbox.is_full();
        let inbox = self.link.inbox().clone();
        tokio::select! {
            biased;
            _ = controls.stop.wait_for(|stop| *stop) => Wake::Stop,
            Ok(()) = controls.reload.changed() => Wake::Reload,
            loaded = finished(&mut self.reloads.running) => Wake::Loaded(loaded),
            () = self.link.broken() => Wake::LinkBroken,
            _ = self.health.tick() => Wake::Health,
            kept = self.keeper.wait() => Wake::Kept(kept),
            // One a turn: however many ask, messages are not held up for longer than one answer takes.
            question = self.desk.next() => Wake::Asked(question),
            () = inbox.ready(), if !has_more => Wake::Turn,
            () = tokio::task::yield_now(), if has_more => Wake::Turn,
            () = tokio::time::sleep(sleep) => Wake::Turn,
        }
    }

    /// Takes what came, handles it, hands on what it caused.
    fn turn(&mut self) {
        let most = if self.outbox.is_full() { 0 } else { TURN };
        let mut batch = std::mem::take(&mut self.batch);
        self.link.inbox().take(most, &mut batch);
        // First, as they are of the connection that the worker knows: what an end finds unconfirmed is sent again.
        for id in batch.confirmed.drain(..) {
            self.outbox.confirm(id);
        }
        for event in batch.events.drain(..) {
            self.event(&event);
        }
        for message in &batch.messages {
            self.message(message);
        }
        let now = self.wall.both();
        // A confirmation wakes the worker, so nothing is held longer than it must be.
        self.engine.hold_discovery(self.outbox.is_announcing());
        if self.engine.next_deadline().is_some_and(|due| due <= now.monotonic) {
            self.handle(now, Input::Tick);
        }
        self.pump();
        if !batch.messages.is_empty() {
            let handed_over = clock::monotonic();
            for message in batch.messages.drain(..) {
                let took = handed_over.since(message.arrived);
                self.statistics.latencies.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            }
        }
        self.batch = batch;
    }

    fn pump(&mut self) {
        self.outbox.pump(&mut self.commands);
        self.link.orders().push(&mut self.commands);
    }

    fn message(&mut self, message: &Received) {
        if let Some(name) = self.topics.command(&message.topic) {
            let name = name.to_owned();
            // First: a command is obeyed once at most. One whose answer costs the connection must not come again.
            if let Some(token) = message.token {
                self.outbox.acknowledge(token);
            }
            self.command(&name, message);
            return;
        }
        let input = Input::Message {
            topic: &message.topic,
            payload: &message.payload,
            retained: message.retained,
            token: message.token,
            arrived: message.arrived,
        };
        let now = self.wall.both();
        self.handle(now, input);
        self.log_rejects(&message.topic, now.monotonic);
    }

    fn handle(&mut self, now: Now, input: Input<'_>) {
        self.engine.handle(now, input, &mut self.effects);
        self.show(&self.effects);
        self.outbox.accept(&mut self.effects);
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                unit @ (Effect::UnitAppeared(_) | Effect::UnitEvicted(_)) => {
                    self.log_unit(&unit, now.monotonic);
                }
                alarm @ (Effect::AlarmRaised(..) | Effect::AlarmCleared(..)) => {
                    self.log_alarm(&alarm, now.monotonic);
                }
                // The outbox has taken the others.
                Effect::Publish(_) | Effect::Acknowledge(_) => {}
            }
        }
        self.effects = effects;
    }

    fn command(&mut self, name: &str, message: &Received) {
        if message.retained {
            // Would be obeyed again at every connect.
            self.statistics.refused_commands += 1;
            return;
        }
        match command::parse(name, &message.payload, &self.topics, self.engine.rules()) {
            Ok(command) => match command.kind {
                CommandKind::Health => {
                    let document = self.health_document();
                    self.outbox.publish(command.reply_to, document, Sort::Answer, false);
                }
                CommandKind::Reload => self.begin_reload(Some(command.reply_to)),
            },
            Err(Refused { reason, text }) => {
                self.statistics.refused_commands += 1;
                if self.limit.allows("command_refused", self.wall.both().monotonic) {
                    let topic = &message.topic;
                    warn!(event = %Event::CommandRefused, reason, topic, "a command on {topic} was refused: {text}");
                }
            }
        }
    }

    /// Publishes the health document and renews the status line.
    fn heartbeat(&mut self) {
        self.log_suppressed();
        self.log_drops(self.wall.both().monotonic);
        let is_connected = self.statistics.broker.is_connected();
        if is_connected || self.desk.is_watched() {
            let document = self.health_document();
            self.desk.show(Published::health(&self.topics.health, &document));
            if is_connected {
                self.outbox.publish(self.topics.health.clone(), document, Sort::Fleeting, false);
            }
            if is_connected && self.settings.seed.enabled {
                self.publish_seed_status("online", Sort::Fleeting);
            }
        }
        self.update_status();
    }

    fn health_document(&self) -> Bytes {
        let now = self.wall.both();
        let instance = &self.settings.instance.name;
        self.statistics.document(now, instance, &self.engine, &self.outbox, self.link.inbox()).into()
    }

    /// Says what is allowed but unwise in the settings: now in the log, and from now on in status and health.
    fn warn(&mut self, warnings: Vec<String>) {
        for warning in &warnings {
            warn!(event = %Event::SettingUnwise, "{warning}");
        }
        self.statistics.warnings = warnings;
    }

    /// The heartbeat on the seed's topic. Not retained: our one will belongs to our own status, so nobody would take back
    /// an "online" that outlives us.
    fn publish_seed_status(&mut self, status: &'static str, sort: Sort) {
        let units = self.engine.units();
        let document = serde_json::json!({
            "timestamp": self.wall.both().wall.to_string(),
            "status": status,
            "version": env!("CARGO_PKG_VERSION"),
            "model_version": self.engine.bundle().identity.version,
            "predictions": self.engine.counters().predictions,
            "units": { "good": units.good, "uncertain": units.uncertain, "bad": units.bad },
        });
        self.outbox.publish(seed::STATUS.to_owned(), document.to_string().into(), sort, false);
    }

    fn publish_status(&mut self, status: &'static str) {
        let payload = Bytes::from_static(status.as_bytes());
        self.outbox.publish(self.topics.status.clone(), payload, Sort::Urgent, true);
    }
}

/// Ticks at once and then regularly; ticks that were missed are not made up for.
fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// The result of a running reload; never, when there is none.
async fn finished(reload: &mut Option<Loading>) -> Result<Box<Loaded>, Vec<Refusal>> {
    let Some(task) = reload else { return std::future::pending().await };
    let result = task
        .await
        .unwrap_or_else(|error| Err(vec![Refusal::configuration(format!("loading failed: {error}"))]));
    *reload = None;
    result
}
