//! The link to the broker: its own task, which connects, serves, and connects again until it is told to
//! stop. It knows packets and nothing of units or predictions.

mod backoff;
mod connect;
mod connection;
mod error;
mod exchange;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

pub(in crate::daemon) use connect::{MAX_OUTGOING_BYTES, OFFLINE, check};
pub(in crate::daemon) use connection::WINDOW;
pub(in crate::daemon) use exchange::{
    Batch, Command, Epoch, Inbox, LinkEvent, Orders, Outgoing, PublishId, Received,
};

use super::settings::{Broker, Checked, MqttSettings, Settings};
use backoff::Backoff;
use connection::Ended;

/// All that a link needs to know. Two equal ones need no new connection.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::daemon) struct LinkSettings {
    pub(in crate::daemon) broker: Broker,
    pub(in crate::daemon) mqtt: MqttSettings,
    pub(in crate::daemon) client_id: String,
    /// Where the will goes.
    pub(in crate::daemon) status_topic: String,
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
            checked.engine.topics.filters().into_iter().map(|filter| (filter, readings)).collect();
        subscribe.push((checked.topics.command_filter(), true));
        Self {
            broker: checked.broker.clone(),
            mqtt: settings.mqtt.clone(),
            client_id: settings.client_id(),
            status_topic: checked.topics.status.clone(),
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
        Self::start_from(settings, Arc::default(), 0)
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
    let mut stop = shared.stop.clone();
    let mut purge = false;
    loop {
        let opened = tokio::select! {
            // Dropping the attempt on stop is what is wanted here; nowhere else is it dropped.
            opened = connection::open(&shared, purge || shared.settings.mqtt.clean_session) => opened,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (error, cause) = match opened {
            Ok(_) if purge => {
                // The session with the message that cannot be read is gone; now for one that lasts.
                purge = false;
                continue;
            }
            Ok((event_loop, session_present)) => {
                epoch += 1;
                shared.orders.clear();
                shared.inbox.event(LinkEvent::Connected { epoch, session_present });
                let since = Instant::now();
                let ended = connection::serve(&shared, event_loop, epoch).await;
                if since.elapsed() >= backoff::PROVEN {
                    backoff.reset();
                }
                match ended {
                    Ok(Ended::Stopped) => return,
                    Ok(Ended::Redeliver) => {
                        backoff.reset();
                        ("more was delivered than could be held; asking for it again".to_owned(), "redeliver")
                    }
                    Err(error) => {
                        purge = error.is_poison();
                        (error.to_string(), error.cause())
                    }
                }
            }
            Err(error) => (error.to_string(), error.cause()),
        };
        let retry_in = backoff.next(backoff::dice());
        shared.inbox.event(LinkEvent::Disconnected { error, cause, retry_in });
        if pause(&mut stop, retry_in).await {
            return;
        }
    }
}

/// Waits; `true` when told to stop meanwhile.
async fn pause(stop: &mut watch::Receiver<bool>, time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => false,
        _ = stop.wait_for(|stop| *stop) => true,
    }
}
