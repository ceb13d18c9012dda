//! One connection, from its acceptance to its end.
//!
//! Of rumqttc it uses the connecting (TCP, TLS, greeting) and the codec, and drives the packets itself. The
//! outbox knows what is unconfirmed and the broker knows what is unacknowledged, so nothing is kept here
//! that would have to be rescued when the connection dies, packet ids cannot collide, and a whole
//! batch leaves in one write.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rumqttc::{
    Event, EventLoop, Packet, PubAck, Publish, QoS, StateError, Subscribe, SubscribeFilter,
    SubscribeReasonCode, Unsubscribe,
};
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::error::LinkError;
use super::exchange::{Command, Epoch, LinkEvent, PublishId, Received};
use super::{Shared, connect};
use crate::daemon::clock;
use crate::domain::Token;

/// Most publishes on their way at once: enough to carry 10,000 a second over a round trip of 50 ms.
pub(in crate::daemon) const WINDOW: usize = 512;
/// Packet ids of (un)subscriptions lie above those of publishes.
const SUBSCRIBE_ID: u16 = u16::MAX - 1;
const UNSUBSCRIBE_ID: u16 = u16::MAX;
/// Most packets read before what came is handed on and answers are written.
const READ_BATCH: usize = 128;
/// Most commands written between two looks at what came in: below the size of common socket buffers, so
/// that a broker that does not read while it writes cannot block us for long.
const WRITE_BATCH: usize = 256;
/// A broker that is alive but confirms nothing for this long has forgotten us.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// How a connection ended without an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As ordered, with DISCONNECT.
    Stopped,
    /// To have unacknowledged messages delivered again.
    Redeliver,
}

/// Packet ids by slot, and which are free.
#[derive(Debug)]
struct InFlight {
    slots: Vec<Option<PublishId>>,
    free: VecDeque<u16>,
    last_progress: Instant,
}

impl InFlight {
    fn new() -> Self {
        Self {
            slots: vec![None; WINDOW + 1],
            free: (1..=WINDOW as u16).collect(),
            last_progress: Instant::now(),
        }
    }

    fn is_empty(&self) -> bool {
        self.free.len() == WINDOW
    }

    fn enter(&mut self, id: PublishId) -> Option<u16> {
        if self.is_empty() {
            self.last_progress = Instant::now();
        }
        let packet_id = self.free.pop_front()?;
        *self.slots.get_mut(usize::from(packet_id))? = Some(id);
        Some(packet_id)
    }

    /// `None` for an id that is not on its way: a broker's mistake that harms nobody.
    fn leave(&mut self, packet_id: u16) -> Option<PublishId> {
        let id = self.slots.get_mut(usize::from(packet_id))?.take()?;
        self.free.push_back(packet_id);
        self.last_progress = Instant::now();
        Some(id)
    }

    fn is_stuck(&self) -> bool {
        !self.is_empty() && self.last_progress.elapsed() > CONFIRM_TIMEOUT
    }
}

/// Makes the token of a packet id on one connection: the epoch above, the id in the low 16 bits.
fn token(epoch: Epoch, packet_id: u16) -> Token {
    (epoch << 16) | u64::from(packet_id)
}

fn packet_id_of(token: Token, epoch: Epoch) -> Option<u16> {
    (token >> 16 == epoch).then_some((token & 0xFFFF) as u16)
}

/// One attempt to connect; says whether the broker still knew the session.
pub(super) async fn open(shared: &Shared, clean_session: bool) -> Result<(EventLoop, bool), LinkError> {
    let settings = shared.settings.clone();
    // Certificates are read from disk, possibly hundreds of them.
    let options = tokio::task::spawn_blocking(move || connect::options(&settings, clean_session))
        .await
        .map_err(|error| LinkError::Setup(error.to_string()))?
        .map_err(|error| LinkError::Setup(format!("{error:#}")))?;
    let limit = shared.settings.mqtt.connect_timeout;
    let mut event_loop = EventLoop::new(options, 1);
    event_loop.network_options.set_tcp_nodelay(true);
    event_loop.network_options.set_connection_timeout(limit.as_secs().max(1));
    match timeout(limit, event_loop.poll()).await {
        Ok(Ok(Event::Incoming(Packet::ConnAck(greeting)))) => Ok((event_loop, greeting.session_present)),
        Ok(Ok(other)) => Err(LinkError::Protocol(format!("unexpected answer to CONNECT: {other:?}"))),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(LinkError::ConnectTimeout),
    }
}

/// One connection's state beside the socket.
struct Connection<'s> {
    shared: &'s Shared,
    epoch: Epoch,
    in_flight: InFlight,
    received: Vec<Received>,
    confirmed: Vec<PublishId>,
    commands: Vec<Command>,
    packets: Vec<Packet>,
    /// A message had no room: take no QoS 1 message any more, so that the order holds when they come again.
    is_discarding: bool,
    last_incoming: Instant,
    pinged: Option<Instant>,
}

enum Step {
    Packet(Result<Packet, StateError>),
    Commands,
    Probe,
    Stop,
}

/// Serves an open connection until it ends.
pub(super) async fn serve(
    shared: &Shared,
    mut event_loop: EventLoop,
    epoch: Epoch,
) -> Result<Ended, LinkError> {
    let Some(network) = event_loop.network.as_mut() else {
        return Err(LinkError::Protocol("the connection vanished".to_owned()));
    };
    let mut connection = Connection::new(shared, epoch);
    let keep_alive = shared.settings.mqtt.keep_alive;
    // A little ahead of the broker's patience; a dead link shows at the second probe.
    let mut probe = tokio::time::interval(keep_alive.mul_f64(0.75));
    probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
    probe.reset();
    let mut stop = shared.stop.clone();
    connection.packets = subscriptions(shared);
    let mut more = false;
    loop {
        if !connection.packets.is_empty() {
            let packets = &mut connection.packets;
            let write = async {
                for packet in packets.drain(..) {
                    network.write(packet).await?;
                }
                network.flush().await
            };
            timeout(keep_alive, write).await.map_err(|_| LinkError::Unresponsive)??;
            // QoS 0 is confirmed once it is on its way.
            connection.hand_over();
        }
        let step = tokio::select! {
            packet = network.read() => Step::Packet(packet),
            () = shared.orders.ready() => Step::Commands,
            () = tokio::task::yield_now(), if more => Step::Commands,
            _ = probe.tick() => Step::Probe,
            () = shared.inbox.drained(), if connection.is_discarding && connection.in_flight.is_empty() => {
                return Ok(Ended::Redeliver);
            }
            _ = stop.wait_for(|stop| *stop) => Step::Stop,
        };
        match step {
            Step::Packet(packet) => {
                connection.incoming(packet?);
                for _ in 1..READ_BATCH {
                    let Some(packet) = ready(network.read()).await else { break };
                    connection.incoming(packet?);
                }
                connection.hand_over();
                more = connection.orders()?;
            }
            Step::Commands => more = connection.orders()?,
            Step::Probe => connection.probe()?,
            Step::Stop => {
                while connection.orders()? {}
                connection.packets.push(Packet::Disconnect);
                let write = async {
                    for packet in connection.packets.drain(..) {
                        network.write(packet).await?;
                    }
                    network.flush().await
                };
                timeout(keep_alive, write).await.map_err(|_| LinkError::Unresponsive)??;
                return Ok(Ended::Stopped);
            }
        }
    }
}

/// The result of a future that is ready now, without waiting for it. Reading is cancel safe.
async fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

fn subscriptions(shared: &Shared) -> Vec<Packet> {
    let mut packets = Vec::new();
    if !shared.settings.unsubscribe.is_empty() {
        let topics = shared.settings.unsubscribe.clone();
        packets.push(Packet::Unsubscribe(Unsubscribe { pkid: UNSUBSCRIBE_ID, topics }));
    }
    let filters = shared.settings.subscribe.iter().map(|(filter, is_confirmed)| {
        SubscribeFilter::new(filter.clone(), quality_of_service(*is_confirmed))
    });
    packets.push(Packet::Subscribe(Subscribe { pkid: SUBSCRIBE_ID, filters: filters.collect() }));
    packets
}

fn quality_of_service(is_confirmed: bool) -> QoS {
    if is_confirmed { QoS::AtLeastOnce } else { QoS::AtMostOnce }
}

impl<'s> Connection<'s> {
    fn new(shared: &'s Shared, epoch: Epoch) -> Self {
        Self {
            shared,
            epoch,
            in_flight: InFlight::new(),
            received: Vec::with_capacity(READ_BATCH),
            confirmed: Vec::with_capacity(WRITE_BATCH),
            commands: Vec::with_capacity(WRITE_BATCH),
            packets: Vec::with_capacity(WRITE_BATCH),
            is_discarding: false,
            last_incoming: Instant::now(),
            pinged: None,
        }
    }

    fn incoming(&mut self, packet: Packet) {
        self.last_incoming = Instant::now();
        match packet {
            Packet::Publish(publish) => self.publish(publish),
            Packet::PubAck(ack) => self.confirmed.extend(self.in_flight.leave(ack.pkid)),
            Packet::SubAck(ack) => {
                let filters = self.shared.settings.subscribe.iter();
                for ((filter, _), code) in filters.zip(ack.return_codes) {
                    if code == SubscribeReasonCode::Failure {
                        let filter = filter.clone();
                        self.shared.inbox.event(LinkEvent::SubscriptionRefused { filter });
                    }
                }
            }
            // Answers to our probes, and packets that only a broker with strange ideas sends.
            _ => {}
        }
    }

    fn publish(&mut self, publish: Publish) {
        let token = match publish.qos {
            QoS::AtMostOnce => None,
            _ if self.is_discarding => return,
            _ => Some(token(self.epoch, publish.pkid)),
        };
        let enough = self.shared.settings.max_payload_bytes.saturating_add(1);
        let payload = if publish.payload.len() > enough {
            // The engine refuses it by its length; the rest need not be held.
            bytes::Bytes::copy_from_slice(publish.payload.get(..enough).unwrap_or_default())
        } else {
            publish.payload
        };
        self.received.push(Received {
            topic: publish.topic,
            payload,
            retained: publish.retain,
            token,
            arrived: clock::monotonic(),
        });
    }

    fn hand_over(&mut self) {
        if self.shared.inbox.push(&mut self.received, &mut self.confirmed).is_err() {
            self.is_discarding = true;
        }
    }

    /// Turns waiting orders into packets; says whether more wait.
    fn orders(&mut self) -> Result<bool, LinkError> {
        let more = self.shared.orders.take(WRITE_BATCH, &mut self.commands);
        for command in self.commands.drain(..) {
            match command {
                Command::Acknowledge(token) => {
                    if let Some(packet_id) = packet_id_of(token, self.epoch) {
                        self.packets.push(Packet::PubAck(PubAck::new(packet_id)));
                    }
                }
                Command::Publish(outgoing) if outgoing.epoch == self.epoch => {
                    let packet_id = if outgoing.is_confirmed {
                        let full = || LinkError::Protocol("more publishes on their way than allowed".into());
                        self.in_flight.enter(outgoing.id).ok_or_else(full)?
                    } else {
                        self.confirmed.push(outgoing.id);
                        0
                    };
                    self.packets.push(Packet::Publish(Publish {
                        dup: outgoing.is_repeated && outgoing.is_confirmed,
                        qos: quality_of_service(outgoing.is_confirmed),
                        retain: outgoing.retain,
                        topic: outgoing.topic,
                        pkid: packet_id,
                        payload: outgoing.payload,
                    }));
                }
                Command::Publish(_) => {}
            }
        }
        Ok(more)
    }

    fn probe(&mut self) -> Result<(), LinkError> {
        if self.pinged.is_some_and(|pinged| pinged > self.last_incoming) {
            return Err(LinkError::Unresponsive);
        }
        if self.in_flight.is_stuck() {
            return Err(LinkError::Unconfirmed);
        }
        self.pinged = Some(Instant::now());
        self.packets.push(Packet::PingReq);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_void_on_another_connection() {
        let given = token(7, 65_535);
        assert_eq!(packet_id_of(given, 7), Some(65_535));
        assert_eq!(packet_id_of(given, 8), None);
    }

    #[test]
    fn packet_ids_never_collide() {
        let mut in_flight = InFlight::new();
        let ids: Vec<_> = (0..WINDOW as u64).map(|id| in_flight.enter(id).unwrap()).collect();
        assert_eq!(in_flight.enter(999), None, "the window is the bound");
        // Confirmed out of order, as some brokers do.
        assert_eq!(in_flight.leave(ids[3]), Some(3));
        assert_eq!(in_flight.leave(ids[3]), None, "a second confirmation is ignored");
        assert_eq!(in_flight.enter(1000), Some(ids[3]), "only a free id is given again");
        assert_eq!(in_flight.leave(0), None);
        assert_eq!(in_flight.leave(u16::MAX), None);
    }
}
