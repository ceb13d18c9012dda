//! The link to the broker: its own task, which connects, serves, and connects again until it is told to
//! stop. It knows packets and nothing of units or predictions.

mod ask;
mod backoff;
mod connect;
mod connection;
mod error;
mod exchange;
mod frames;
mod intake;
mod observe;
mod probe;
mod wire;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub use ask::{Answer, Reply, ask};
pub(in crate::daemon) use connect::{MAX_OUTGOING_BYTES, OFFLINE, check};
pub(in crate::daemon) use connection::WINDOW;
pub(in crate::daemon) use error::TAKEN_OVER;
pub(in crate::daemon) use exchange::{
    Batch, Command, Epoch, Inbox, LinkEvent, Orders, Outgoing, ProbeRefusal, PublishId, Received,
};
pub use observe::{Sight, observe};

use super::settings::{Broker, Checked, MqttSettings, Settings};
use backoff::{Backoff, End};
use connect::Reader;
use connection::{Ended, SUBSCRIBE_ID};
use error::LinkError;
use probe::Tolerance;
use wire::Wire;

/// What the link makes of bytes that come in pieces, one text for each frame: for the fuzz target `packet`.
#[cfg(fuzzing)]
pub fn frames_of<'b>(pieces: impl Iterator<Item = &'b [u8]>, max_payload_bytes: usize) -> Vec<String> {
    let mut frames = frames::Frames::new(max_payload_bytes);
    let mut found = Vec::new();
    for piece in pieces {
        frames.buffer.extend_from_slice(piece);
        loop {
            match frames.next() {
                Ok(Some(frame)) => found.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(error) => {
                    found.push(error.to_string());
                    return found;
                }
            }
        }
    }
    found
}

/// All that a link needs to know. Two equal ones need no new connection.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::daemon) struct LinkSettings {
    pub(in crate::daemon) broker: Broker,
    pub(in crate::daemon) mqtt: MqttSettings,
    pub(in crate::daemon) client_id: String,
    /// Where the will goes.
    pub(in crate::daemon) status_topic: String,
    /// Where the loopback probe goes round.
    pub(in crate::daemon) probe_topic: String,
    /// Filters, and whether with QoS 1.
    pub(in crate::daemon) subscribe: Vec<(String, bool)>,
    /// Filters that the broker may still hold for this client.
    pub(in crate::daemon) unsubscribe: Vec<String>,
    /// Longest payload that is of use.
    pub(in crate::daemon) max_payload_bytes: usize,
}

impl LinkSettings {
    pub(in crate::daemon) fn new(settings: &Settings, checked: &Checked) -> Self {
        Self {
            broker: checked.broker.clone(),
            mqtt: settings.mqtt.clone(),
            client_id: settings.client_id(),
            status_topic: checked.topics.status.clone(),
            probe_topic: checked.topics.probe.clone(),
            subscribe: settings.subscriptions(checked),
            unsubscribe: Vec::new(),
            max_payload_bytes: checked.engine.max_payload_bytes,
        }
    }
}

/// What the link's task works with.
struct Shared {
    settings: Arc<LinkSettings>,
    inbox: Arc<Inbox>,
    orders: Arc<Orders>,
    stop: watch::Receiver<bool>,
    /// To try again what the broker has refused.
    again: Arc<Notify>,
    /// Whether the broker has confirmed `settings.unsubscribe`.
    is_unsubscribed: Arc<AtomicBool>,
}

/// A running link.
#[derive(Debug)]
pub(in crate::daemon) struct Link {
    settings: Arc<LinkSettings>,
    inbox: Arc<Inbox>,
    orders: Arc<Orders>,
    stop: watch::Sender<bool>,
    again: Arc<Notify>,
    is_unsubscribed: Arc<AtomicBool>,
    task: JoinHandle<()>,
    first_epoch: Epoch,
}

/// Numbers of connections set aside for one link: more than one can make in a hundred years, and with the
/// packet id still within a token.
const EPOCHS_PER_LINK: Epoch = 1 << 28;

impl Link {
    /// Starts connecting.
    pub(in crate::daemon) fn start(settings: LinkSettings) -> Self {
        let inbox = Arc::new(Inbox::new(settings.max_payload_bytes));
        Self::start_from(settings, inbox, 0)
    }

    fn start_from(settings: LinkSettings, inbox: Arc<Inbox>, epoch: Epoch) -> Self {
        let settings = Arc::new(settings);
        let orders = Arc::<Orders>::default();
        let (stop, stopped) = watch::channel(false);
        let (again, is_unsubscribed) = (Arc::<Notify>::default(), Arc::<AtomicBool>::default());
        let shared = Shared {
            settings: settings.clone(),
            inbox: inbox.clone(),
            orders: orders.clone(),
            stop: stopped,
            again: again.clone(),
            is_unsubscribed: is_unsubscribed.clone(),
        };
        let task = tokio::spawn(run(shared, epoch));
        Self { settings, inbox, orders, stop, again, is_unsubscribed, task, first_epoch: epoch }
    }

    pub(in crate::daemon) fn settings(&self) -> &LinkSettings {
        &self.settings
    }

    pub(in crate::daemon) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(in crate::daemon) fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Sends what was ordered, takes leave of the broker and ends. The will is not published. Dropping
    /// the future aborts the connection, and the broker publishes the will.
    pub(in crate::daemon) async fn stop(&mut self) {
        self.stop.send_replace(true);
        // A task that panicked has no connection to take leave of.
        let _ = (&mut self.task).await;
    }

    /// Tries again what the broker has refused, as somebody may have seen to it: subscriptions and the probe.
    pub(in crate::daemon) fn try_again(&self) {
        self.again.notify_one();
    }

    /// Ends, within `limit`, and starts again with other settings. What was received and is not handled
    /// yet stays.
    pub(in crate::daemon) async fn restart(&mut self, mut settings: LinkSettings, limit: Duration) {
        if timeout(limit, self.stop()).await.is_err() {
            self.task.abort();
        }
        settings.unsubscribe =
            stale(&self.settings, self.is_unsubscribed.load(Ordering::Relaxed), &settings.subscribe);
        let inbox = self.inbox.clone();
        inbox.make_fit(settings.max_payload_bytes);
        // Numbers go on where no connection of the old link can have reached.
        self.first_epoch += EPOCHS_PER_LINK;
        *self = Self::start_from(settings, inbox, self.first_epoch);
    }

    /// Ends when the task has ended, which it only does by itself when it is broken.
    pub(in crate::daemon) async fn broken(&mut self) {
        let _ = (&mut self.task).await;
    }
}

/// Most bytes of filters that are unsubscribed: far more than any configuration has, and well within a packet.
const MAX_STALE_BYTES: usize = 64 * 1024;

/// Filters that the broker may hold for this client and nobody wants any more: those of the old link, and what that one
/// had to unsubscribe, unless it was confirmed.
fn stale(old: &LinkSettings, is_unsubscribed: bool, wanted: &[(String, bool)]) -> Vec<String> {
    let carried = if is_unsubscribed { &[] } else { old.unsubscribe.as_slice() };
    let mut stale: Vec<String> = Vec::new();
    let mut bytes = 0;
    for filter in old.subscribe.iter().map(|(filter, _)| filter).chain(carried) {
        bytes += filter.len();
        if bytes <= MAX_STALE_BYTES
            && !stale.contains(filter)
            && wanted.iter().all(|(wanted, _)| wanted != filter)
        {
            stale.push(filter.clone());
        }
    }
    stale
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects and serves until stopped.
async fn run(shared: Shared, mut epoch: Epoch) {
    let mut backoff = Backoff::new(shared.settings.mqtt.reconnect_max);
    let mut tolerance = Tolerance::default();
    let mut reader = Reader::default();
    let mut stop = shared.stop.clone();
    loop {
        backoff.attempt(Instant::now());
        let opened = tokio::select! {
            // Dropping the attempt on stop is what is wanted here; nowhere else is it dropped.
            opened = connection::open(&shared, &mut reader) => opened,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (error, cause) = match opened {
            Ok((wire, session_present)) => {
                epoch += 1;
                shared.orders.clear();
                shared.inbox.event(LinkEvent::Connected { epoch, session_present });
                match served(&shared, wire, epoch, &mut backoff, &mut tolerance).await {
                    Ok(Ended::Stopped) => return,
                    Ok(Ended::Redeliver) => {
                        ("more was delivered than could be held; asking for it again".to_owned(), "redeliver")
                    }
                    Err(error) => (error.to_string(), error.kind()),
                }
            }
            Err(error) => {
                backoff.ended(End::NotAccepted);
                (error.to_string(), error.kind())
            }
        };
        let retry_in = backoff.next(Instant::now(), backoff::dice());
        shared.inbox.event(LinkEvent::Disconnected { error, cause, retry_in });
        if pause(&mut stop, retry_in).await {
            return;
        }
    }
}

/// Serves one connection and notes how it ended.
async fn served(
    shared: &Shared,
    wire: Wire,
    epoch: Epoch,
    backoff: &mut Backoff,
    tolerance: &mut Tolerance,
) -> Result<Ended, LinkError> {
    let since = Instant::now();
    let ended = {
        let mut serving = pin!(connection::serve(shared, wire, epoch, tolerance));
        let early = tokio::select! {
            ended = &mut serving => Some(ended),
            () = sleep(backoff::CONTESTED_LIFE) => None,
        };
        if let Some(ended) = early {
            ended
        } else {
            if backoff.contested().is_some() {
                shared.inbox.event(LinkEvent::Settled);
                // What looked like a refusal may have been the fight.
                shared.again.notify_one();
            }
            backoff.settled();
            serving.await
        }
    };
    if matches!(ended, Err(LinkError::Closed)) && tolerance.closed(Instant::now(), since.elapsed()) {
        shared.inbox.event(LinkEvent::ProbeRefused { how: ProbeRefusal::Closes });
    }
    let life = since.elapsed();
    backoff.ended(match &ended {
        Err(LinkError::Closed) => End::ClosedByBroker(life),
        _ => End::Broken(life),
    });
    match (ended, backoff.contested()) {
        (Err(LinkError::Closed), Some(times)) => {
            Err(LinkError::TakenOver { times, client_id: shared.settings.client_id.clone() })
        }
        (ended, _) => ended,
    }
}

/// Waits; `true` when told to stop meanwhile.
async fn pause(stop: &mut watch::Receiver<bool>, time: Duration) -> bool {
    tokio::select! {
        () = sleep(time) => false,
        _ = stop.wait_for(|stop| *stop) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_unsubscribed_yet_is_carried_over() {
        let filters = |names: &[&str]| names.iter().map(|name| (name.to_string(), true)).collect::<Vec<_>>();
        let settings = |subscribe, unsubscribe: &[&str]| LinkSettings {
            broker: Broker { host: "broker".into(), port: 1883, is_tls: false },
            mqtt: MqttSettings::default(),
            client_id: "id".into(),
            status_topic: "status".into(),
            probe_topic: "probe".into(),
            subscribe,
            unsubscribe: unsubscribe.iter().map(ToString::to_string).collect(),
            max_payload_bytes: 1,
        };
        let second = settings(filters(&["b", "kept"]), &["a"]);
        let third = filters(&["c", "kept"]);
        assert_eq!(stale(&second, false, &third), ["b", "a"]);
        assert_eq!(stale(&second, true, &third), ["b"], "the broker has confirmed the first");
        assert_eq!(stale(&second, false, &filters(&["a"])), ["b", "kept"], "one that is wanted again");
        let long = "x".repeat(MAX_STALE_BYTES);
        assert_eq!(stale(&settings(filters(&["a", &long]), &[]), false, &[]), ["a"]);
    }
}
