//! A client that subscribes, publishes, and remembers all it got. Whatever it gets on a topic of the daemon must be what the
//! published schemas say, or the test fails.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rumqttc::{Event, MqttOptions, Outgoing, Packet, QoS};

use super::{Broker, eventually};
use crate::documents;

/// Largest packet either way: the tests send messages that nobody should.
const MAX_PACKET_BYTES: usize = 64 * 1024 * 1024;
/// Publishes that wait while the broker is away; no test has more.
const REQUESTS: usize = 20_000;
/// Pause before connecting again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// A message received.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retained: bool,
}

impl Message {
    /// The payload as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    /// The payload as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

#[derive(Default)]
struct Seen {
    messages: Mutex<Vec<Message>>,
    /// How many documents of each kind there were among all that ever came.
    kinds: Mutex<BTreeMap<&'static str, u64>>,
    /// What came on the daemon's topics and is not what it should be.
    misshapen: Mutex<Vec<String>>,
    connects: AtomicU64,
    subscribed: AtomicU64,
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

impl Seen {
    /// Takes a message that came, once it is looked at: nobody waits for what is misshapen.
    fn take(&self, message: Message) {
        match documents::check(&message.topic, &message.payload) {
            Ok(Some(kind)) if !message.payload.is_empty() => {
                *self.kinds.lock().unwrap().entry(kind).or_default() += 1;
            }
            // What removes a document is none.
            Ok(_) => {}
            Err(error) => self.misshapen.lock().unwrap().push(error),
        }
        self.messages.lock().unwrap().push(message);
    }

    /// What came, provided that all of it has the form that is published.
    fn messages(&self) -> MutexGuard<'_, Vec<Message>> {
        self.assert_shape();
        self.messages.lock().unwrap()
    }

    fn assert_shape(&self) {
        // Not held while failing: the lock would be poisoned for whoever looks next.
        let misshapen = self.misshapen.lock().unwrap().join("\n");
        assert!(misshapen.is_empty(), "{misshapen}");
    }
}

/// A connected client; it connects and subscribes again by itself.
pub(crate) struct Client {
    handle: rumqttc::Client,
    seen: Arc<Seen>,
    published: AtomicU64,
}

impl Client {
    /// Connects and subscribes; returns when the broker has confirmed both.
    pub(crate) fn connect(broker: &Broker, filters: &[&str]) -> Self {
        Self::connect_with_login(broker, filters, None)
    }

    /// The same with user name and password.
    pub(crate) fn connect_with_login(broker: &Broker, filters: &[&str], login: Option<(&str, &str)>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let id = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut options = MqttOptions::new(id, "127.0.0.1", broker.port());
        options
            .set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES)
            .set_keep_alive(Duration::from_mins(1));
        if let Some((user, password)) = login {
            options.set_credentials(user, password);
        }
        let (handle, mut connection) = rumqttc::Client::new(options, REQUESTS);
        connection.eventloop.network_options.set_tcp_nodelay(true);
        let seen = Arc::new(Seen::default());
        let (state, to_subscribe) = (seen.clone(), handle.clone());
        let wanted: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        std::thread::spawn(move || serve(connection, &state, &to_subscribe, &wanted));
        let client = Self { handle, seen, published: AtomicU64::new(0) };
        client.wait_connects(1, filters.len());
        client
    }

    /// Waits until it has connected for the `count`-th time and everything is subscribed again.
    pub(crate) fn wait_connects(&self, count: u64, filters: usize) {
        eventually("the test client to connect and subscribe", || {
            let connects = self.seen.connects.load(Ordering::Acquire);
            let subscribed = self.seen.subscribed.load(Ordering::Acquire);
            (connects >= count && subscribed >= connects * filters as u64).then_some(())
        });
    }

    /// Publishes with QoS 1.
    pub(crate) fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.published.fetch_add(1, Ordering::Relaxed);
        self.handle.publish(topic, QoS::AtLeastOnce, false, payload).unwrap();
    }

    /// Publishes with QoS 1, to be kept by the broker.
    pub(crate) fn publish_retained(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.published.fetch_add(1, Ordering::Relaxed);
        self.handle.publish(topic, QoS::AtLeastOnce, true, payload).unwrap();
    }

    /// Publishes with QoS 0.
    pub(crate) fn publish_unconfirmed(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.handle.publish(topic, QoS::AtMostOnce, false, payload).unwrap();
    }

    /// Waits until the broker has everything that was published with QoS 1.
    pub(crate) fn flush(&self) {
        let published = self.published.load(Ordering::Relaxed);
        eventually("the broker to confirm what was published", || {
            (self.seen.acknowledged.load(Ordering::Acquire) >= published).then_some(())
        });
    }

    /// All that came so far.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.seen.messages().clone()
    }

    /// What came so far on one topic.
    pub(crate) fn on(&self, topic: &str) -> Vec<Message> {
        let messages = self.seen.messages();
        messages.iter().filter(|message| message.topic == topic).cloned().collect()
    }

    /// How many documents of each kind have come since it connected, whether forgotten since or not.
    pub(crate) fn kinds(&self) -> BTreeMap<&'static str, u64> {
        self.seen.assert_shape();
        self.seen.kinds.lock().unwrap().clone()
    }

    /// Forgets what came so far.
    pub(crate) fn clear(&self) {
        self.seen.messages().clear();
    }

    /// Waits for a message that has come already or will.
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        eventually(what, || {
            let messages = self.seen.messages();
            messages.iter().find(|message| wanted(message)).cloned()
        })
    }

    /// Waits for any message on a topic.
    pub(crate) fn wait_on(&self, topic: &str) -> Message {
        self.wait(topic, |message| message.topic == topic)
    }

    /// Waits for a certain text on a topic.
    pub(crate) fn wait_text(&self, topic: &str, text: &str) {
        let what = format!("`{text}` on {topic}");
        self.wait(&what, |message| message.topic == topic && message.payload == text.as_bytes());
    }

    /// Publishes frames for a unit of the tiny bundle until one is answered by a prediction.
    pub(crate) fn predict_until_answered(&self, unit: &str) -> Message {
        self.answered(&format!("hvac/{unit}/sensors"), &format!("hvac/{unit}/predictions"))
    }

    /// The same with topics of one's own.
    pub(crate) fn answered(&self, sensors: &str, predictions: &str) -> Message {
        let before = self.on(predictions).len();
        let mut asked = 0_u32;
        eventually(predictions, || {
            // Frames published while the daemon has no subscription go nowhere.
            if asked.is_multiple_of(50) {
                self.publish(sensors, super::frame(20.0));
            }
            asked += 1;
            self.on(predictions).get(before).cloned()
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        let _ = self.handle.try_disconnect();
        // Also what no test asked for.
        if !std::thread::panicking() {
            self.seen.assert_shape();
        }
    }
}

fn serve(mut connection: rumqttc::Connection, seen: &Seen, client: &rumqttc::Client, filters: &[String]) {
    while let Ok(event) = connection.recv() {
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                seen.connects.fetch_add(1, Ordering::Release);
                for filter in filters {
                    client.try_subscribe(filter, QoS::AtLeastOnce).unwrap();
                }
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                seen.subscribed.fetch_add(1, Ordering::Release);
            }
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                seen.acknowledged.fetch_add(1, Ordering::Release);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let (topic, payload, retained) = (publish.topic, publish.payload.to_vec(), publish.retain);
                seen.take(Message { topic, payload, retained });
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(_) => {}
            Err(_) => {
                if seen.stop.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(RECONNECT_PAUSE);
            }
        }
    }
}
