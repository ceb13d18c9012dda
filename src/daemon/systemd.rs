//! What systemd is told: readiness, status, reloads, the watchdog.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use crate::domain::Monotonic;

/// Longest status line, in characters: a few lines on a screen, and one datagram takes it.
const MAX_STATUS_CHARS: usize = 1_000;

/// Speaks to systemd, or to nobody when not run by it.
#[derive(Debug)]
pub(super) struct Notifier {
    is_enabled: bool,
    status: String,
    /// How often the watchdog is fed, half of what systemd allows, and when it was last.
    watchdog: Option<(Duration, Monotonic)>,
}

impl Notifier {
    pub(super) fn new(is_enabled: bool) -> Self {
        let limit = if is_enabled { sd_notify::watchdog_enabled() } else { None };
        Self { is_enabled, status: String::new(), watchdog: limit.map(|limit| (limit / 2, Monotonic(0))) }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        if self.is_enabled
            && let Err(error) = sd_notify::notify(states)
        {
            // Without systemd there is no socket and that is no error; with it, it cannot be told there.
            debug!(%error, "systemd cannot be notified");
        }
    }

    /// How long until the watchdog wants to be fed.
    pub(super) fn hungry_in(&self, now: Monotonic) -> Duration {
        self.watchdog.map_or(Duration::MAX, |(period, fed)| fed.plus(period).since(now))
    }

    /// Feeds the watchdog if it is due.
    pub(super) fn feed(&mut self, now: Monotonic) {
        let Some((period, fed)) = self.watchdog else { return };
        if now.since(fed) >= period {
            self.send(&[NotifyState::Watchdog]);
            self.watchdog = Some((period, now));
        }
    }

    pub(super) fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(_) => self.send(&[NotifyState::Reloading]),
        }
    }

    pub(super) fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// The one line `systemctl status` shows; sent when it changes.
    pub(super) fn status(&mut self, text: &str) {
        // A line break would end the assignment, and what follows would be taken for another.
        let mut text = text.split(['\n', '\r']).map(str::trim).collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = text.char_indices().nth(MAX_STATUS_CHARS) {
            text.truncate(end);
        }
        if self.status != text {
            self.send(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }
}
