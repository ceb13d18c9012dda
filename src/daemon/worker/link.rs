//! What the worker makes of changes of the connection: outbox, log, alarm, status line.

use tracing::{debug, error, info, warn};

use super::Worker;
use crate::daemon::logging::Event;
use crate::daemon::mqtt::{LinkEvent, ProbeRefusal, TAKEN_OVER};
use crate::domain::{Alarm, AlarmId, Severity};
use crate::engine::Input;

fn not_delivering(topic: &str) -> Alarm {
    let text =
        format!("the broker accepts messages but does not deliver them: nothing comes back on {topic}");
    let remedy = format!(
        "look into the broker's log, at its disk and its cluster; its access list must let this client write \
         and read {topic}"
    );
    Alarm::new(AlarmId::BrokerNotDelivering, Severity::Critical, &text, &remedy)
}

fn probe_refused(topic: &str, how: ProbeRefusal) -> String {
    let what = match how {
        ProbeRefusal::Closes => "closes the connection when it is probed",
        ProbeRefusal::Denied => "refuses the subscription to what it is probed",
    };
    format!(
        "the broker {what} on {topic}, so it is probed no more; let its access list allow writing and reading {topic} \
         and reload, or set mqtt.probe_interval = \"0s\""
    )
}

impl Worker {
    pub(super) fn event(&mut self, event: &LinkEvent) {
        let was_probe_refused = self.statistics.broker.is_probe_refused();
        let was_confirmed = self.statistics.broker.warning().is_none();
        self.statistics.broker.event(event);
        match event {
            LinkEvent::Connected { epoch, session_present } => self.connected(*epoch, *session_present),
            LinkEvent::Subscribed { .. } => {
                // Once, and not at every connection.
                if was_confirmed && let Some(warning) = self.statistics.broker.warning() {
                    warn!(event = %Event::SettingUnwise, "{warning}");
                }
                self.update_status();
                if self.ready_by.is_some() {
                    self.reloaded();
                }
            }
            LinkEvent::Settled => {
                info!("the connection lasts again: nobody else takes over the client id any more");
                self.logged_cause = None;
                self.update_status();
            }
            LinkEvent::ProbeReturned { .. } => {
                self.clear(AlarmId::BrokerNotDelivering);
                self.update_status();
            }
            LinkEvent::ProbeMissed { .. } => {
                if self.statistics.broker.delivering() == Some(false) {
                    let alarm = not_delivering(&self.topics.probe);
                    self.statistics.error(self.wall.both(), "not_delivering", &alarm.text);
                    self.raise(&alarm);
                }
                self.update_status();
            }
            LinkEvent::ProbeRefused { how } => {
                self.clear(AlarmId::BrokerNotDelivering);
                let text = probe_refused(&self.topics.probe, *how);
                if !was_probe_refused {
                    warn!(event = %Event::ProbeRefused, topic = self.topics.probe, "{text}");
                }
                self.statistics.error(self.wall.both(), "probe_refused", &text);
            }
            LinkEvent::SubscriptionRefused { filter } => {
                let text = format!("the broker refuses the subscription to {filter}; check its access list");
                if self.limit.allows("subscription_refused", self.wall.both().monotonic) {
                    error!(event = %Event::SubscriptionRefused, topic = filter, "{text}");
                }
                self.statistics.error(self.wall.both(), "subscription_refused", &text);
                self.update_status();
            }
            LinkEvent::Disconnected { error, cause, retry_in } => self.disconnected(error, cause, *retry_in),
        }
    }

    fn connected(&mut self, epoch: u64, session_present: bool) {
        self.outbox.connected(epoch);
        self.handle(self.wall.both(), Input::Opened);
        let url = self.statistics.broker.url();
        let session = if session_present { "session kept" } else { "new session" };
        if self.statistics.broker.contested().is_some() {
            // Taken over again and again: said once, and once when it is over.
            debug!("connected to {url}, {session}");
        } else {
            self.logged_cause = None;
            let known = if session_present { "kept" } else { "new" };
            info!(event = %Event::BrokerConnected, session = known, "connected to {url}, {session}");
        }
        self.heartbeat();
    }

    fn disconnected(&mut self, error: &str, cause: &'static str, retry_in: std::time::Duration) {
        self.outbox.disconnected();
        self.handle(self.wall.both(), Input::Closed);
        let now = self.wall.both();
        self.statistics.error(now, cause, error);
        let url = self.statistics.broker.url();
        // Once for each change, not for each attempt; and a link that comes and goes once a minute.
        if self.logged_cause != Some(cause) && self.limit.allows(cause, now.monotonic) {
            self.logged_cause = Some(cause);
            if cause == TAKEN_OVER {
                let event = Event::TakenOver;
                error!(event = %event, reason = cause, "no connection to {url}: {error}; trying again in {retry_in:.1?}");
            } else {
                let event = Event::BrokerLost;
                warn!(event = %event, reason = cause, "no connection to {url}: {error}; trying again in {retry_in:.1?}");
            }
        } else {
            debug!(reason = cause, "no connection to {url}: {error}; trying again in {retry_in:.1?}");
        }
        self.update_status();
    }

    /// The one line for `systemctl status`.
    pub(super) fn update_status(&mut self) {
        let broker = &self.statistics.broker;
        let mut text = if broker.is_connected() {
            let units = self.engine.units();
            format!(
                "connected to {}; units: {} good, {} uncertain, {} withheld; {:.1} predictions/s",
                broker.url(),
                units.good,
                units.uncertain,
                units.bad,
                self.statistics.rates().predictions_per_s,
            )
        } else {
            match broker.down_because() {
                Some(reason) => format!("no connection to {}: {reason}", broker.url()),
                None => format!("connecting to {}", broker.url()),
            }
        };
        if let Some(reason) = broker.contested().filter(|_| broker.is_connected()) {
            text.push_str("; this may not last: ");
            text.push_str(reason);
        }
        if broker.delivering() == Some(false) {
            text.push_str("; the broker accepts messages but does not deliver them");
        }
        if broker.is_probe_refused() {
            text.push_str("; probing refused: ");
            text.push_str(&self.topics.probe);
        }
        if let Some(filter) = broker.refused_subscriptions().first() {
            text.push_str("; subscription refused: ");
            text.push_str(filter);
        }
        if let Some(failure) = self.statistics.reload_failure() {
            text.push_str("; last reload refused: ");
            text.push_str(failure);
        }
        for warning in self.statistics.all_warnings() {
            text.push_str("; warning: ");
            text.push_str(warning);
        }
        self.notifier.status(&text);
    }
}
