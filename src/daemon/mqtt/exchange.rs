//! What link and worker hand each other: two queues under short locks, so that neither waits for the other
//! and a whole batch costs one lock.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::probe::Outcome;
use crate::domain::{Monotonic, Token};

/// Most received QoS 0 messages that wait for the worker: half a second at full rate. What is older is worth
/// less than what is new, so the oldest go first.
pub(in crate::daemon) const MAX_WAITING_MESSAGES: usize = 8_192;
/// Most bytes that wait for the worker: all of [`MAX_WAITING_MESSAGES`] at the length of typical frames. Brokers
/// keep 20 to 65,535 messages in flight to one client; this bounds what the largest of those could make us hold.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Where payloads may be so long that these would not fit, as many of the longest: what common brokers have in
/// flight (20 to 32), which must not be asked for again and again.
const LONGEST_WAITING: usize = 32;

/// Topics are hardly longer.
const LONG_TOPIC_BYTES: usize = 256;
/// What a message costs beside topic and payload: its place in the queue and two allocations.
const MESSAGE_OVERHEAD_BYTES: usize = 160;

/// Names one publish from the outbox until it is confirmed.
pub(in crate::daemon) type PublishId = u64;
/// Counts connections; what belongs to an older one is void.
pub(in crate::daemon) type Epoch = u64;

/// A message as it came from the broker.
#[derive(Debug, Clone)]
pub(in crate::daemon) struct Received {
    /// Its topic.
    pub(in crate::daemon) topic: String,
    /// Its payload; of one longer than allowed only as much as shows that it is too long.
    pub(in crate::daemon) payload: Bytes,
    /// Whether the broker had kept it.
    pub(in crate::daemon) retained: bool,
    /// How to acknowledge it, for QoS 1.
    pub(in crate::daemon) token: Option<Token>,
    /// When it was read from the socket.
    pub(in crate::daemon) arrived: Monotonic,
}

impl Received {
    /// Memory it takes, in bytes.
    fn weight(&self) -> usize {
        self.topic.len() + self.payload.len() + MESSAGE_OVERHEAD_BYTES
    }
}

/// A change of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) enum LinkEvent {
    /// The broker has accepted the connection and was asked for the subscriptions.
    Connected {
        /// Number of this connection.
        epoch: Epoch,
        /// Whether the broker still knew the session.
        session_present: bool,
    },
    /// The broker has answered the subscriptions; refusals stand before it.
    Subscribed {
        /// A filter to which it delivers with QoS 0 only, where QoS 1 was asked for.
        unconfirmed: Option<String>,
    },
    /// The connection has lasted: nobody fights for the client id any more.
    Settled,
    /// The loopback probe came back.
    ProbeReturned {
        /// How long it was under way.
        after: std::time::Duration,
    },
    /// The loopback probe did not come back.
    ProbeMissed {
        /// How many in a row.
        in_a_row: u32,
    },
    /// The broker does not want to be probed, and is probed no more.
    ProbeRefused {
        /// How it shows.
        how: ProbeRefusal,
    },
    /// The broker refused a subscription.
    SubscriptionRefused {
        /// The filter.
        filter: String,
    },
    /// The connection ended, or an attempt failed.
    Disconnected {
        /// Why, in a sentence.
        error: String,
        /// Why, in a word, for statistics.
        cause: &'static str,
        /// Pause before the next attempt.
        retry_in: std::time::Duration,
    },
}

/// How a broker shows that it does not want to be probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) enum ProbeRefusal {
    /// It closes the connection for a probe.
    Closes,
    /// It refuses the subscription by which a probe would come back.
    Denied,
}

#[derive(Debug, Default)]
struct InboxState {
    messages: VecDeque<Received>,
    bytes: usize,
    /// Most of `bytes`.
    room: usize,
    confirmed: Vec<PublishId>,
    events: VecDeque<LinkEvent>,
    dropped: u64,
    unreadable: u64,
}

/// From the link to the worker.
#[derive(Debug)]
pub(in crate::daemon) struct Inbox {
    state: Mutex<InboxState>,
    ready: Notify,
}

/// What the worker takes at one go.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Batch {
    /// Messages in the order of their arrival.
    pub(in crate::daemon) messages: Vec<Received>,
    /// Publishes that the broker has, to be handled first: none was sent on a connection that is yet to be told of.
    pub(in crate::daemon) confirmed: Vec<PublishId>,
    /// Changes of the connection, to be handled before the messages.
    pub(in crate::daemon) events: Vec<LinkEvent>,
    /// Whether more messages wait.
    pub(in crate::daemon) more: bool,
}

/// QoS 1 messages had no room. They stay unacknowledged, and the broker has to deliver them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overrun {
    /// How many.
    pub(super) refused: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The state is consistent after every statement, so a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    /// An empty one for payloads up to a length.
    pub(super) fn new(max_payload_bytes: usize) -> Self {
        let inbox = Self { state: Mutex::default(), ready: Notify::default() };
        inbox.make_fit(max_payload_bytes);
        inbox
    }

    /// Sets the room to what payloads up to a length need.
    pub(super) fn make_fit(&self, max_payload_bytes: usize) {
        let longest = max_payload_bytes + 1 + LONG_TOPIC_BYTES + MESSAGE_OVERHEAD_BYTES;
        lock(&self.state).room = MAX_WAITING_BYTES.max(LONGEST_WAITING * longest);
    }

    /// Appends messages and confirmations; both vectors come back empty.
    pub(super) fn push(
        &self,
        messages: &mut Vec<Received>,
        confirmed: &mut Vec<PublishId>,
    ) -> Result<(), Overrun> {
        if messages.is_empty() && confirmed.is_empty() {
            return Ok(());
        }
        let mut refused = 0;
        {
            let mut state = lock(&self.state);
            state.confirmed.append(confirmed);
            for message in messages.drain(..) {
                if message.token.is_some() {
                    if refused > 0 || state.bytes + message.weight() > state.room {
                        refused += 1;
                        continue;
                    }
                } else if !state.make_room(message.weight()) {
                    state.dropped += 1;
                    continue;
                }
                state.bytes += message.weight();
                state.messages.push_back(message);
            }
        }
        self.ready.notify_one();
        if refused == 0 { Ok(()) } else { Err(Overrun { refused }) }
    }

    pub(super) fn event(&self, event: LinkEvent) {
        lock(&self.state).events.push_back(event);
        self.ready.notify_one();
    }

    /// What became of a loopback probe.
    pub(super) fn probed(&self, outcome: Option<Outcome>) {
        match outcome {
            Some(Outcome::Returned(after)) => self.event(LinkEvent::ProbeReturned { after }),
            Some(Outcome::Missed(in_a_row)) => self.event(LinkEvent::ProbeMissed { in_a_row }),
            None => {}
        }
    }

    /// Counts a publish that could not be decoded.
    pub(super) fn unreadable(&self) {
        lock(&self.state).unreadable += 1;
    }

    /// Takes everything but at most `most` messages into `batch`, of which the vectors must be empty.
    pub(in crate::daemon) fn take(&self, most: usize, batch: &mut Batch) {
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.confirmed, &mut batch.confirmed);
        batch.events.extend(state.events.drain(..));
        let count = most.min(state.messages.len());
        batch.messages.extend(state.messages.drain(..count));
        let bytes: usize = batch.messages.iter().map(Received::weight).sum();
        state.bytes = state.bytes.saturating_sub(bytes);
        batch.more = !state.messages.is_empty();
    }

    /// Waits until something is there that was not there at the last [`Inbox::take`].
    pub(in crate::daemon) async fn ready(&self) {
        self.ready.notified().await;
    }

    /// Messages that wait for the worker.
    #[must_use]
    pub(in crate::daemon) fn waiting(&self) -> usize {
        lock(&self.state).messages.len()
    }

    /// QoS 0 messages dropped because the worker was busy.
    #[must_use]
    pub(in crate::daemon) fn dropped(&self) -> u64 {
        lock(&self.state).dropped
    }

    /// Publishes that could not be decoded.
    #[must_use]
    pub(in crate::daemon) fn undecoded(&self) -> u64 {
        lock(&self.state).unreadable
    }
}

impl InboxState {
    /// Drops the oldest QoS 0 messages until another of `bytes` fits; `false` when there is no room.
    fn make_room(&mut self, bytes: usize) -> bool {
        while self.messages.len() >= MAX_WAITING_MESSAGES || self.bytes + bytes > self.room {
            let Some(oldest) = self.messages.front().filter(|oldest| oldest.token.is_none()) else {
                return false;
            };
            self.bytes = self.bytes.saturating_sub(oldest.weight());
            self.messages.pop_front();
            self.dropped += 1;
        }
        true
    }
}

/// One thing for the link to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) enum Command {
    /// Publish; the id comes back when the broker has it (QoS 1) or it is on its way (QoS 0).
    Publish(Outgoing),
    /// Acknowledge a received message.
    Acknowledge(Token),
}

/// A message to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::daemon) struct Outgoing {
    /// Comes back with the confirmation.
    pub(in crate::daemon) id: PublishId,
    /// Connection it is meant for; void on any other.
    pub(in crate::daemon) epoch: Epoch,
    /// Its topic.
    pub(in crate::daemon) topic: String,
    /// Its payload.
    pub(in crate::daemon) payload: Bytes,
    /// QoS 1 rather than QoS 0.
    pub(in crate::daemon) is_confirmed: bool,
    /// Whether the broker is to keep it.
    pub(in crate::daemon) retain: bool,
    /// Whether the broker may have it already.
    pub(in crate::daemon) is_repeated: bool,
}

/// From the worker to the link. Bounded by the worker, which hands over a window at a time.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Orders {
    commands: Mutex<VecDeque<Command>>,
    ready: Notify,
}

impl Orders {
    /// Appends commands; the vector comes back empty.
    pub(in crate::daemon) fn push(&self, commands: &mut Vec<Command>) {
        if !commands.is_empty() {
            lock(&self.commands).extend(commands.drain(..));
            self.ready.notify_one();
        }
    }

    /// Takes at most `most` commands; says whether more wait.
    pub(super) fn take(&self, most: usize, into: &mut Vec<Command>) -> bool {
        let mut commands = lock(&self.commands);
        let count = most.min(commands.len());
        into.extend(commands.drain(..count));
        !commands.is_empty()
    }

    pub(super) fn clear(&self) {
        lock(&self.commands).clear();
    }

    pub(super) async fn ready(&self) {
        self.ready.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(token: Option<Token>, bytes: usize) -> Received {
        Received {
            topic: "t".into(),
            payload: Bytes::from(vec![0; bytes]),
            retained: false,
            token,
            arrived: Monotonic(0),
        }
    }

    #[test]
    fn the_oldest_unconfirmed_messages_give_way() {
        let inbox = Inbox::new(0);
        let mut messages: Vec<_> = (0..MAX_WAITING_MESSAGES + 10).map(|n| message(None, n % 7)).collect();
        inbox.push(&mut messages, &mut Vec::new()).unwrap();
        assert_eq!((inbox.waiting(), inbox.dropped()), (MAX_WAITING_MESSAGES, 10));
        let mut batch = Batch::default();
        inbox.take(1, &mut batch);
        assert_eq!((batch.messages[0].payload.len(), batch.more), (10 % 7, true));
    }

    #[test]
    fn what_brokers_have_in_flight_fits_however_long_it_may_be() {
        const LONG: usize = 1024 * 1024;
        let inbox = Inbox::new(LONG);
        let mut messages: Vec<_> = (0..LONGEST_WAITING as u64).map(|n| message(Some(n), LONG)).collect();
        assert_eq!(inbox.push(&mut messages, &mut Vec::new()), Ok(()));
        inbox.make_fit(100);
        assert_eq!(inbox.push(&mut vec![message(Some(1), 1)], &mut Vec::new()), Err(Overrun { refused: 1 }));
    }

    #[test]
    fn acknowledged_messages_are_never_dropped_but_left_to_redelivery() {
        let inbox = Inbox::new(0);
        let mut messages: Vec<_> = (0..20_000).map(|n| message(Some(n), 0)).collect();
        inbox.push(&mut messages, &mut Vec::new()).unwrap();
        assert_eq!((inbox.waiting(), inbox.dropped()), (20_000, 0));
        let mut large = vec![message(Some(1), MAX_WAITING_BYTES + 1), message(Some(2), 1)];
        assert_eq!(
            inbox.push(&mut large, &mut Vec::new()),
            Err(Overrun { refused: 2 }),
            "and none behind it, for the order"
        );
        assert_eq!(inbox.waiting(), 20_000);
        assert_eq!(inbox.push(&mut vec![message(None, 1)], &mut Vec::new()), Ok(()));
        assert_eq!(inbox.dropped(), 1, "a QoS 0 message does not push out a QoS 1 message");
    }
}
