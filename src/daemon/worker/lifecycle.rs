//! Reloads and the stop.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use super::{Worker, clock, every};
use crate::daemon::keeper::Keeper;
use crate::daemon::logging::Event;
use crate::daemon::mqtt::{LinkSettings, OFFLINE};
use crate::daemon::outbox::Sort;
use crate::daemon::reload::{self, Loaded, Refusal};
use crate::domain::{Alarm, AlarmId, Severity};
use crate::engine::{Engine, Input};

/// Longest leave-taking when the connection is replaced at a reload; after it the will speaks for us.
const RESTART_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait of a reload for its new subscriptions.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most commands over MQTT that wait for one reload to end.
const MAX_REPLIES: usize = 16;
/// Most reasons of a refused reload that are told: more than anybody mends at once. All of them have to fit into one
/// document, which brokers take up to some size only.
const MAX_REASONS: usize = 20;
/// Longest reason told, in characters.
const MAX_REASON_CHARS: usize = 300;

/// The result of loading.
pub(super) type Loading = JoinHandle<Result<Box<Loaded>, Vec<Refusal>>>;

/// The reload that runs and the one to follow, with the topics on which their results are answered.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    pub(super) running: Option<Loading>,
    replies: Vec<String>,
    /// Asked for while one was loading, which may have read the files before they were changed.
    next: Option<Vec<String>>,
}

/// The first reasons, and how many more there are.
fn told(mut reasons: Vec<String>) -> Vec<String> {
    let more = reasons.len().saturating_sub(MAX_REASONS);
    reasons.truncate(MAX_REASONS);
    for reason in &mut reasons {
        if let Some((end, _)) = reason.char_indices().nth(MAX_REASON_CHARS) {
            reason.truncate(end);
            reason.push_str("...");
        }
    }
    if more > 0 {
        reasons.push(format!("and {more} more: `cooltwin check` names all"));
    }
    reasons
}

fn reload_failed(reasons: &str) -> Alarm {
    let text = format!("the reload was refused, what ran before runs on: {reasons}");
    let remedy = "correct what is named, run `cooltwin check`, and reload again";
    Alarm::new(AlarmId::ReloadFailed, Severity::Warning, &text, remedy)
}

impl Worker {
    /// Starts loading beside the running worker, or has it follow the loading that is under way.
    pub(super) fn begin_reload(&mut self, reply_to: Option<String>) {
        if self.reloads.running.is_some() {
            let replies = self.reloads.next.get_or_insert_default();
            if replies.len() < MAX_REPLIES {
                replies.extend(reply_to);
            }
            return;
        }
        self.reloads.replies.extend(reply_to);
        self.notifier.reloading();
        let source = self.source.clone();
        self.reloads.running = Some(tokio::task::spawn_blocking(move || match source {
            Some(source) => reload::load(&source).map(Box::new),
            None => Err(vec![Refusal::configuration("this daemon was started without a configuration file")]),
        }));
    }

    /// Swaps in what was loaded, or keeps everything as it is.
    pub(super) async fn end_reload(&mut self, result: Result<Box<Loaded>, Vec<Refusal>>) {
        let result = result.and_then(|loaded| {
            let reasons = reload::restart_needed(&self.settings, &loaded.settings);
            if reasons.is_empty() { Ok(loaded) } else { Err(reasons) }
        });
        let mut is_reconnecting = false;
        let answer = match result {
            Ok(loaded) => {
                is_reconnecting = self.adopt(*loaded).await;
                self.statistics.reloaded(None);
                self.clear(AlarmId::ReloadFailed);
                let identity = &self.engine.bundle().identity;
                info!(
                    event = %Event::Reloaded,
                    bundle = %identity.id,
                    bundle_version = %identity.version,
                    "reloaded configuration and bundle"
                );
                serde_json::json!({ "ok": true, "bundle": identity })
            }
            Err(refusals) => {
                for refusal in refusals.iter().take(MAX_REASONS) {
                    let (event, reason) = (refusal.event(Event::ReloadRefused), refusal.part.name());
                    error!(event = %event, reason, "reload refused: {refusal}");
                }
                let reasons = told(reload::sentences(&refusals));
                let text = reasons.join("; ");
                self.statistics.error(self.wall.both(), "reload_refused", &format!("reload refused: {text}"));
                self.raise(&reload_failed(&text));
                self.statistics.reloaded(Some(text));
                serde_json::json!({ "ok": false, "errors": reasons })
            }
        };
        let answer = Bytes::from(answer.to_string());
        for topic in std::mem::take(&mut self.reloads.replies) {
            self.outbox.publish(topic, answer.clone(), Sort::Answer, false);
        }
        self.heartbeat();
        if is_reconnecting {
            // Who waits for the reload may publish at once; what is not subscribed yet would be lost. A
            // broker that is away must not hold up the reload.
            self.ready_by = Some(Instant::now() + SUBSCRIBE_TIMEOUT);
        } else if self.ready_by.is_none() {
            self.reloaded();
        }
        if let Some(replies) = self.reloads.next.take() {
            self.reloads.replies = replies;
            self.begin_reload(None);
        }
    }

    /// The reload is over, whether it was taken or refused.
    pub(super) fn reloaded(&mut self) {
        self.ready_by = None;
        if self.reloads.running.is_none() {
            self.notifier.ready();
        }
    }

    /// Swaps in settings and bundle; whether that needs a new connection.
    async fn adopt(&mut self, loaded: Loaded) -> bool {
        self.handle(self.wall.both(), Input::Flush);
        let link_settings = LinkSettings::new(&loaded.settings, &loaded.checked);
        if loaded.settings.health != self.settings.health {
            self.health = every(loaded.settings.health.interval);
        }
        self.warn(loaded.checked.warnings);
        let is_kept_anew = loaded.settings.state != self.settings.state;
        if is_kept_anew {
            let keeper = Keeper::new(&loaded.settings.state, &loaded.settings.instance.name);
            self.keeper.replace(keeper);
        }
        self.settings = loaded.settings;
        let engine = Engine::new(loaded.bundle, loaded.checked.engine, clock::monotonic_nanos);
        let old = std::mem::replace(&mut self.engine, engine);
        if old.bundle().identity != self.engine.bundle().identity {
            self.log_bundle();
        }
        self.engine.adopt(old);
        self.serve(loaded.checked.http);
        if is_kept_anew {
            // Raised again if the new place is no better.
            self.clear(AlarmId::StateNotSaved);
        }
        // Not compared: what one restart had to unsubscribe.
        let unsubscribe = self.link.settings().unsubscribe.clone();
        if *self.link.settings() == (LinkSettings { unsubscribe, ..link_settings.clone() }) {
            self.link.try_again();
            self.statistics.broker.tried_again();
            return false;
        }
        if self.settings.mqtt.probe_interval.is_zero() {
            self.clear(AlarmId::BrokerNotDelivering);
        }
        self.statistics.broker.replaced(loaded.checked.broker.to_string());
        // The leave-taking discards the will, and the next login may be refused, or go to another broker: nobody would
        // take back "online" later.
        self.publish_status(OFFLINE);
        self.drain(Instant::now() + RESTART_TIMEOUT).await;
        self.replace_link(link_settings).await;
        self.publish_status("online");
        true
    }

    /// Says which models are in use from now on.
    pub(super) fn log_bundle(&self) {
        let bundle = self.engine.bundle();
        let identity = &bundle.identity;
        info!(
            event = %Event::BundleLoaded,
            bundle = %identity.id,
            bundle_version = %identity.version,
            bundle_sha256 = %identity.sha256,
            "bundle {} {} is in use; golden frames reproduced: {}",
            identity.id,
            identity.version,
            bundle.golden_frames,
        );
    }

    async fn replace_link(&mut self, settings: LinkSettings) {
        self.pump();
        self.outbox.disconnected();
        self.link.restart(settings, RESTART_TIMEOUT).await;
    }

    /// Stops intake, publishes what is due, says goodbye; all within the stop timeout.
    pub(super) async fn stop(mut self) {
        self.notifier.stopping();
        self.notifier.status("stopping");
        let deadline = Instant::now() + self.settings.instance.stop_timeout;
        self.handle(self.wall.both(), Input::Flush);
        self.drain(deadline).await;
        self.save_at_stop(deadline).await;
        let unconfirmed = self.outbox.unconfirmed();
        if self.settings.seed.enabled {
            self.publish_seed_status(OFFLINE, Sort::Answer);
        }
        self.publish_status(OFFLINE);
        self.drain(deadline).await;
        if timeout_at(deadline, self.link.stop()).await.is_err() {
            warn!("the broker did not take leave in time");
        }
        if unconfirmed > 0 {
            warn!(event = %Event::Stopped, count = unconfirmed, "stopped; the broker has not confirmed {unconfirmed} messages");
        } else {
            info!(event = %Event::Stopped, "stopped");
        }
    }

    /// Waits until the broker has everything, or cannot have it in time.
    async fn drain(&mut self, deadline: Instant) {
        let inbox = self.link.inbox().clone();
        let mut batch = super::Batch::default();
        loop {
            self.pump();
            if self.outbox.is_empty() {
                return;
            }
            if !self.statistics.broker.is_connected() || timeout_at(deadline, inbox.ready()).await.is_err() {
                return;
            }
            // No messages: what is not acknowledged stays with the broker.
            inbox.take(0, &mut batch);
            for id in batch.confirmed.drain(..) {
                self.outbox.confirm(id);
            }
            for event in batch.events.drain(..) {
                self.event(&event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_reasons_are_told_in_a_document_that_a_broker_takes() {
        let all = told((0..1_000).map(|number| format!("{number} {}", "ü".repeat(10_000))).collect());
        assert_eq!(all.len(), MAX_REASONS + 1);
        assert!(all[0].starts_with("0 ü") && all[0].ends_with("..."));
        assert_eq!(all[MAX_REASONS], "and 980 more: `cooltwin check` names all");
        assert!(all.join("; ").len() < 16 * 1024);
        assert_eq!(told(vec!["one".to_owned()]), ["one"]);
    }
}
