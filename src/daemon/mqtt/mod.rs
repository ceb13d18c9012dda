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
mod probe;
mod wire;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub use ask::{Reply, ask};
pub(in crate::daemon) use connect::{MAX_OUTGOING_BYTES, OFFLINE, check};
pub(in crate::daemon) use connection::WINDOW;
pub(in crate::daemon) use error::TAKEN_OVER;
pub(in crate::daemon) use exchange::{
    Batch, Command, Epoch, Inbox, LinkEvent, Orders, Outgoing, PublishId, Received,
};

use super::settings::{Broker, Checked, MqttSettings, Settings};
use backoff::{Backoff, End};
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
        let readings = settings.mqtt.subscribe_qos == 1;
        let mut subscribe: Vec<_> =
            checked.engine.filters().into_iter().map(|filter| (filter, readings)).collect();
        subscribe.push((checked.topics.command_filter(), true));
        if !settings.mqtt.probe_interval.is_zero() {
            subscribe.push((checked.topics.probe.clone(), false));
        }
        Self {
            broker: checked.broker.clone(),
            mqtt: settings.mqtt.clone(),
            client_id: settings.client_id(),
            status_topic: checked.topics.status.clone(),
            probe_topic: checked.topics.probe.clone(),
            subscribe,
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
}

/// A running link.
#[derive(Debug)]
pub(in crate::daemon) struct Link {
    settings: Arc<LinkSettings>,
    inbox: Arc<Inbox>,
    orders: Arc<Orders>,
    stop: watch::Sender<bool>,
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
        let shared = Shared {
            settings: settings.clone(),
            inbox: inbox.clone(),
            orders: orders.clone(),
            stop: stopped,
        };
        let task = tokio::spawn(run(shared, epoch));
        Self { settings, inbox, orders, stop, task, first_epoch: epoch }
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

    /// Ends, within `limit`, and starts again with other settings. What was received and is not handled
    /// yet stays.
    pub(in crate::daemon) async fn restart(&mut self, mut settings: LinkSettings, limit: Duration) {
        let gone = self.settings.subscribe.iter().map(|(filter, _)| filter);
        settings.unsubscribe =
            gone.filter(|old| settings.subscribe.iter().all(|(new, _)| new != *old)).cloned().collect();
        if timeout(limit, self.stop()).await.is_err() {
            self.task.abort();
        }
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

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects and serves until stopped.
async fn run(shared: Shared, mut epoch: Epoch) {
    let mut backoff = Backoff::new(shared.settings.mqtt.reconnect_max);
    let mut tolerance = Tolerance::default();
    let mut stop = shared.stop.clone();
    loop {
        backoff.attempt(Instant::now());
        let opened = tokio::select! {
            // Dropping the attempt on stop is what is wanted here; nowhere else is it dropped.
            opened = connection::open(&shared) => opened,
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
            }
            backoff.settled();
            serving.await
        }
    };
    if matches!(ended, Err(LinkError::Closed)) && tolerance.closed(Instant::now()) {
        shared.inbox.event(LinkEvent::ProbeRefused);
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
