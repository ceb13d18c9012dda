//! Everything that touches the world: settings, broker, clock, systemd, log.
//!
//! Two tasks make up the running daemon. The *link* talks MQTT and nothing else. The *worker* owns the
//! engine and the outbox and never waits for the link. What they hand each other lies in bounded queues.
//!
//! ```text
//!            messages, confirmations, events
//!   broker <-> link ------------------------> worker: engine -> outbox
//!                   <------------------------
//!            publishes, acknowledgements
//! ```

pub mod clock;
mod command;
pub mod desk;
mod health;
mod keeper;
pub mod logging;
#[cfg(not(fuzzing))]
mod mqtt;
#[cfg(fuzzing)]
pub mod mqtt;
mod outbox;
pub mod reload;
pub mod settings;
mod systemd;
mod worker;

use desk::Desk;
pub use health::{BrokerFigures, Figures, LatencyFigures};
use logging::{Event, LogVolume};
pub use mqtt::{Answer, Reply, Sight, ask, observe};
use reload::Refusal;
use settings::{LogSettings, Settings, Source};
use tokio::sync::watch;
use tracing::error;

use crate::bundle::Bundle;
use systemd::Notifier;
use worker::Worker;

/// What the daemon is started with.
#[derive(Debug)]
pub struct DaemonConfig {
    /// The settings, which [`Settings::check`] has accepted.
    pub settings: Settings,
    /// The loaded bundle.
    pub bundle: Bundle,
    /// Where settings and bundle are read again at a reload; `None` refuses reloads.
    pub source: Option<Source>,
    /// The wall clock to go by; the system's unless the time is simulated.
    pub clock: clock::WallClock,
    /// The count of what the log leaves out, to be told.
    pub log_volume: LogVolume,
    /// Where others may ask about this daemon; `None` where nobody does.
    pub desk: Option<Desk>,
    /// Whether to tell systemd about readiness, status and the watchdog.
    pub notify_systemd: bool,
}

/// The far ends of [`Controls`]: how to stop and reload a running daemon.
#[derive(Debug)]
pub struct ControlHandle {
    stop: watch::Sender<bool>,
    reload: watch::Sender<u64>,
}

impl ControlHandle {
    /// Asks for a clean stop. Dropping the handle does the same.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Asks for a reload of configuration and bundle.
    pub fn reload(&self) {
        self.reload.send_modify(|count| *count += 1);
    }
}

/// What a running daemon listens to besides the broker.
#[derive(Debug, Clone)]
pub struct Controls {
    stop: watch::Receiver<bool>,
    reload: watch::Receiver<u64>,
}

impl Controls {
    /// A connected pair.
    #[must_use]
    pub fn new() -> (ControlHandle, Self) {
        let (stop, stop_receiver) = watch::channel(false);
        let (reload, reload_receiver) = watch::channel(0);
        (ControlHandle { stop, reload }, Self { stop: stop_receiver, reload: reload_receiver })
    }
}

/// Tells systemd and the journal why the daemon does not start; whether there is a journal to tell. The settings of
/// the log may be among what is wrong, so they do not count.
#[must_use]
pub fn start_refused(refusals: &[Refusal]) -> bool {
    let rest = refusals.len().saturating_sub(1);
    let more = if rest > 0 { format!(" (and {rest} more)") } else { String::new() };
    let first = refusals.first().map(ToString::to_string).unwrap_or_default();
    Notifier::new(true).status(&format!("start refused: {first}{more}"));
    if !logging::is_journal() || logging::init(&LogSettings::default(), "").is_err() {
        return false;
    }
    for refusal in refusals {
        let (event, reason) = (refusal.event(Event::StartRefused), refusal.part.name());
        error!(event = %event, reason, "start refused: {refusal}");
    }
    true
}

/// Runs the daemon until it is told to stop. A broker that is away fails neither the start nor the run.
///
/// # Errors
/// Settings that do not pass their check, or a link that has died, which no broker can cause.
pub async fn run(config: DaemonConfig, controls: Controls) -> anyhow::Result<()> {
    let notifier = Notifier::new(config.notify_systemd);
    // On the heap: the worker holds engine and bundle, too much to move about on the stack.
    Box::pin(Worker::start(config, notifier)?.run(controls)).await
}
