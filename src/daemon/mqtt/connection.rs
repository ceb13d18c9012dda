//! One connection, from its acceptance to its end.
//!
//! Of rumqttc it uses the codec, and drives the packets itself. The outbox knows what is unconfirmed and the
//! broker knows what is unacknowledged, so nothing is kept here that would have to be rescued when the
//! connection dies, packet ids cannot collide, and a whole batch leaves in one write.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rumqttc::{
    Packet, PubAck, Publish, QoS, SubAck, Subscribe, SubscribeFilter, SubscribeReasonCode, Unsubscribe,
};
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use super::connect::Reader;
use super::error::LinkError;
use super::exchange::{Command, Epoch, LinkEvent, Overrun, ProbeRefusal, PublishId, Received};
use super::frames::Frame;
use super::intake::Intake;
use super::probe::{Outcome, Probe, Tolerance};
use super::wire::{Traffic, Wire};
use super::{Shared, backoff, connect};
use crate::daemon::clock;
use crate::domain::Token;

/// Most publishes on their way at once: enough to carry 10,000 a second over a round trip of 50 ms.
pub(in crate::daemon) const WINDOW: usize = 512;
/// Packet ids of (un)subscriptions lie above those of publishes.
pub(super) const SUBSCRIBE_ID: u16 = u16::MAX - 1;
const UNSUBSCRIBE_ID: u16 = u16::MAX;
/// Most packets read before what came is handed on and answers are written.
const READ_BATCH: usize = 128;
/// Most commands turned into packets at one go.
const WRITE_BATCH: usize = 256;
/// Most packets that wait to be written: an answer to each message that may be unacknowledged, by their ids.
const MAX_PACKETS: usize = u16::MAX as usize;
/// A broker that is alive but confirms nothing, or takes nothing, for this long has forgotten us.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a single publish while others are confirmed: a slow link that works brings a whole window in that time.
const ONE_CONFIRM_TIMEOUT: Duration = Duration::from_mins(2);

/// How a connection ended without an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As ordered, with DISCONNECT.
    Stopped,
    /// With DISCONNECT, to have unacknowledged messages delivered again.
    Redeliver,
}

/// Packet ids by slot, since when, and which are free.
#[derive(Debug)]
struct InFlight {
    slots: Vec<Option<(PublishId, Instant)>>,
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

    fn len(&self) -> usize {
        WINDOW - self.free.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn enter(&mut self, id: PublishId) -> Option<u16> {
        if self.is_empty() {
            self.last_progress = Instant::now();
        }
        let packet_id = self.free.pop_front()?;
        *self.slots.get_mut(usize::from(packet_id))? = Some((id, Instant::now()));
        Some(packet_id)
    }

    /// `None` for an id that is not on its way: a broker's mistake that harms nobody.
    fn leave(&mut self, packet_id: u16) -> Option<PublishId> {
        let (id, _) = self.slots.get_mut(usize::from(packet_id))?.take()?;
        self.free.push_back(packet_id);
        self.last_progress = Instant::now();
        Some(id)
    }

    /// Nothing is confirmed, or others are and one never is: all acknowledgements would wait for it.
    fn is_stuck(&self, now: Instant) -> bool {
        let is_overdue = |(_, since): &(PublishId, Instant)| now.duration_since(*since) > ONE_CONFIRM_TIMEOUT;
        (!self.is_empty() && now.duration_since(self.last_progress) > CONFIRM_TIMEOUT)
            || self.slots.iter().flatten().any(is_overdue)
    }
}

/// Makes the token of a packet id on one connection: the epoch above, the id in the low 16 bits.
fn token(epoch: Epoch, packet_id: u16) -> Token {
    (epoch << 16) | u64::from(packet_id)
}

fn packet_id_of(token: Token, epoch: Epoch) -> Option<u16> {
    (token >> 16 == epoch).then_some((token & 0xFFFF) as u16)
}

/// One attempt to connect, within `mqtt.connect_timeout`; says whether the broker still knew the session.
pub(super) async fn open(shared: &Shared, reader: &mut Reader) -> Result<(Wire, bool), LinkError> {
    let settings = &shared.settings;
    let deadline = Instant::now() + settings.mqtt.connect_timeout;
    let credentials = reader.read(settings, deadline, connect::credentials).await?;
    let left = deadline.saturating_duration_since(Instant::now());
    Wire::open(&settings.broker, credentials, settings.max_payload_bytes, left).await
}

/// One connection's state beside the socket.
struct Connection<'s> {
    shared: &'s Shared,
    epoch: Epoch,
    in_flight: InFlight,
    received: Vec<Received>,
    confirmed: Vec<PublishId>,
    /// QoS 0 publishes, which count as confirmed once everything written has left.
    leaving: Vec<PublishId>,
    commands: Vec<Command>,
    packets: VecDeque<Packet>,
    /// Begun when the subscriptions are confirmed.
    probe: Option<Probe>,
    tolerance: &'s mut Tolerance,
    intake: Intake,
    pinged: Option<Instant>,
    /// Whether a SUBSCRIBE is not answered yet.
    awaits_answer: bool,
    /// Whether the broker has refused a subscription.
    is_refused: bool,
    /// Whether it was that of the probe.
    is_probe_refused: bool,
}

enum Step {
    Traffic(Result<Traffic, LinkError>),
    Commands,
    Ping,
    Probe,
    Again,
    Redeliver,
    Stop,
}

/// Serves an open connection until it ends.
pub(super) async fn serve(
    shared: &Shared,
    mut wire: Wire,
    epoch: Epoch,
    tolerance: &mut Tolerance,
) -> Result<Ended, LinkError> {
    let mut connection = Connection::new(shared, epoch, tolerance);
    let keep_alive = shared.settings.mqtt.keep_alive;
    // A little ahead of the broker's patience; a dead link shows at the second ping.
    let mut ping = tokio::time::interval(keep_alive.mul_f64(0.75));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut stop = shared.stop.clone();
    connection.packets = subscriptions(shared);
    let mut more = false;
    loop {
        while wire.has_room()
            && let Some(packet) = connection.packets.pop_front()
        {
            wire.write(&packet)?;
        }
        // While the broker takes no more, orders wait where they are.
        let is_idle = connection.packets.is_empty();
        let probe_due = connection.probe.as_ref().map(Probe::due);
        if connection.is_busy() {
            connection.intake.held_up(Instant::now());
        }
        let redeliver_at = connection.intake.redeliver_at();
        let step = tokio::select! {
            traffic = wire.next() => Step::Traffic(traffic),
            () = shared.orders.ready(), if is_idle && !more => Step::Commands,
            () = tokio::task::yield_now(), if is_idle && more => Step::Commands,
            _ = ping.tick() => Step::Ping,
            () = sleep_until(probe_due.unwrap_or_else(Instant::now)), if probe_due.is_some() => Step::Probe,
            () = sleep_until(redeliver_at.unwrap_or_else(Instant::now)), if redeliver_at.is_some() => Step::Redeliver,
            () = shared.again.notified() => Step::Again,
            _ = stop.wait_for(|stop| *stop) => Step::Stop,
        };
        match step {
            Step::Traffic(traffic) => {
                let ended = connection.batch(&mut wire, traffic).await;
                // Also what came before the end: confirmations spare duplicates, and QoS 0 comes once only.
                connection.hand_over();
                ended?;
                if connection.packets.is_empty() {
                    more = connection.orders()?;
                }
            }
            Step::Commands => more = connection.orders()?,
            Step::Ping => connection.ping(&wire)?,
            Step::Probe => connection.probe(!wire.is_flushed()),
            Step::Again => connection.again(),
            Step::Redeliver => {
                connection.leave(wire).await?;
                return Ok(Ended::Redeliver);
            }
            Step::Stop => {
                connection.leave(wire).await?;
                return Ok(Ended::Stopped);
            }
        }
    }
}

fn subscriptions(shared: &Shared) -> VecDeque<Packet> {
    let mut packets = VecDeque::new();
    if !shared.settings.unsubscribe.is_empty() {
        let topics = shared.settings.unsubscribe.clone();
        packets.push_back(Packet::Unsubscribe(Unsubscribe { pkid: UNSUBSCRIBE_ID, topics }));
    }
    packets.push_back(subscription(shared));
    packets
}

fn subscription(shared: &Shared) -> Packet {
    let filters = shared.settings.subscribe.iter().map(|(filter, is_confirmed)| {
        SubscribeFilter::new(filter.clone(), quality_of_service(*is_confirmed))
    });
    Packet::Subscribe(Subscribe { pkid: SUBSCRIBE_ID, filters: filters.collect() })
}

fn quality_of_service(is_confirmed: bool) -> QoS {
    if is_confirmed { QoS::AtLeastOnce } else { QoS::AtMostOnce }
}

impl<'s> Connection<'s> {
    fn new(shared: &'s Shared, epoch: Epoch, tolerance: &'s mut Tolerance) -> Self {
        tolerance.connected();
        Self {
            shared,
            epoch,
            in_flight: InFlight::new(),
            received: Vec::with_capacity(READ_BATCH),
            confirmed: Vec::with_capacity(WRITE_BATCH),
            leaving: Vec::with_capacity(WRITE_BATCH),
            commands: Vec::with_capacity(WRITE_BATCH),
            packets: VecDeque::with_capacity(WRITE_BATCH),
            probe: None,
            tolerance,
            intake: Intake::default(),
            pinged: None,
            awaits_answer: true,
            is_refused: false,
            is_probe_refused: false,
        }
    }

    /// Takes what came and what else is there, up to a bound or the end of the connection.
    async fn batch(&mut self, wire: &mut Wire, first: Result<Traffic, LinkError>) -> Result<(), LinkError> {
        self.traffic(first?)?;
        for _ in 1..READ_BATCH {
            let Some(traffic) = wire.ready().await else { break };
            self.traffic(traffic?)?;
        }
        Ok(())
    }

    /// Sends what was ordered and takes leave of the broker.
    async fn leave(&mut self, mut wire: Wire) -> Result<(), LinkError> {
        while self.orders()? {}
        for packet in self.packets.drain(..) {
            wire.write(&packet)?;
        }
        wire.write(&Packet::Disconnect)?;
        wire.leave(self.shared.settings.mqtt.keep_alive).await
    }

    /// Whether publishes may wait in the outbox, and acknowledgements with them.
    fn is_busy(&self) -> bool {
        self.in_flight.len() + self.leaving.len() >= WINDOW / 2
    }

    fn traffic(&mut self, traffic: Traffic) -> Result<(), LinkError> {
        match traffic {
            // What waits in `packets` may hold some of those that leave.
            Traffic::Flushed if self.packets.is_empty() => self.confirmed.append(&mut self.leaving),
            Traffic::Flushed => {}
            Traffic::Frame(Frame::Packet(packet)) => self.incoming(packet)?,
            Traffic::Frame(Frame::Unreadable(packet_id)) => {
                // It would come again and again; nobody can make more of it.
                self.packets.extend(packet_id.map(|id| Packet::PubAck(PubAck::new(id))));
                self.shared.inbox.unreadable();
            }
        }
        // A broker that reads none of our answers must not make them grow.
        if self.packets.len() > MAX_PACKETS {
            return Err(LinkError::Protocol("it sends on and on and reads no answer".to_owned()));
        }
        Ok(())
    }

    fn incoming(&mut self, packet: Packet) -> Result<(), LinkError> {
        match packet {
            Packet::Publish(publish) => self.publish(publish),
            Packet::PubAck(ack) => self.confirmed.extend(self.in_flight.leave(ack.pkid)),
            Packet::SubAck(ack) => self.subscribed(&ack)?,
            Packet::UnsubAck(ack) if ack.pkid == UNSUBSCRIBE_ID => {
                self.shared.is_unsubscribed.store(true, Ordering::Relaxed);
            }
            // Answers to our pings, and packets that only a broker with strange ideas sends.
            _ => {}
        }
        Ok(())
    }

    fn subscribed(&mut self, ack: &SubAck) -> Result<(), LinkError> {
        if ack.pkid != SUBSCRIBE_ID || !std::mem::take(&mut self.awaits_answer) {
            // Each one costs memory and work.
            return Err(LinkError::Protocol("it answers a SUBSCRIBE that was not sent".to_owned()));
        }
        let Shared { settings, inbox, .. } = self.shared;
        // Where QoS 0 is asked for readings, commands come as well as they can.
        let is_confirmation_wanted = settings.mqtt.subscribe_qos > 0;
        let mut unconfirmed = None;
        (self.is_refused, self.is_probe_refused) = (false, false);
        for ((filter, is_confirmed), code) in settings.subscribe.iter().zip(&ack.return_codes) {
            match code {
                SubscribeReasonCode::Failure => {
                    self.is_refused = true;
                    self.is_probe_refused |= *filter == settings.probe_topic;
                    inbox.event(LinkEvent::SubscriptionRefused { filter: filter.clone() });
                }
                SubscribeReasonCode::Success(QoS::AtMostOnce) if *is_confirmed && is_confirmation_wanted => {
                    unconfirmed = unconfirmed.or_else(|| Some(filter.clone()));
                }
                SubscribeReasonCode::Success(_) => {}
            }
        }
        if self.is_probe_refused {
            inbox.event(LinkEvent::ProbeRefused { how: ProbeRefusal::Denied });
        }
        inbox.event(LinkEvent::Subscribed { unconfirmed });
        self.begin_probing();
        Ok(())
    }

    fn begin_probing(&mut self) {
        let interval = self.shared.settings.mqtt.probe_interval;
        let is_possible = !interval.is_zero() && !self.is_probe_refused && !self.awaits_answer;
        if is_possible && self.probe.is_none() && self.tolerance.is_given() {
            let begin = Instant::now() + self.tolerance.delay(backoff::dice());
            self.probe = Some(Probe::new(interval, backoff::dice(), begin));
        }
    }

    /// Tries again what the broker has refused.
    fn again(&mut self) {
        *self.tolerance = Tolerance::default();
        if self.is_refused && !self.awaits_answer {
            self.awaits_answer = true;
            self.packets.push_back(subscription(self.shared));
        }
        self.begin_probing();
    }

    fn publish(&mut self, publish: Publish) {
        if publish.topic == self.shared.settings.probe_topic {
            let outcome = match &mut self.probe {
                Some(probe) if !publish.retain => probe.came(&publish.payload, Instant::now()),
                _ => None,
            };
            if outcome.is_some() {
                self.tolerance.returned();
            }
            self.probed(outcome);
            if publish.pkid != 0 {
                self.packets.push_back(Packet::PubAck(PubAck::new(publish.pkid)));
            }
            return;
        }
        let token = match publish.qos {
            QoS::AtMostOnce => None,
            _ if self.intake.is_discarding() => return,
            _ => Some(token(self.epoch, publish.pkid)),
        };
        self.received.push(Received {
            topic: publish.topic,
            payload: publish.payload,
            retained: publish.retain,
            token,
            arrived: clock::monotonic(),
        });
    }

    fn hand_over(&mut self) {
        let confirmable = self.received.iter().filter(|message| message.token.is_some()).count();
        let refused = match self.shared.inbox.push(&mut self.received, &mut self.confirmed) {
            Ok(()) => 0,
            Err(Overrun { refused }) => {
                self.intake.overrun(Instant::now());
                refused
            }
        };
        self.intake.taken(confirmable.saturating_sub(refused));
    }

    /// Turns waiting orders into packets; says whether more wait.
    fn orders(&mut self) -> Result<bool, LinkError> {
        let more = self.shared.orders.take(WRITE_BATCH, &mut self.commands);
        for command in self.commands.drain(..) {
            match command {
                Command::Acknowledge(token) => {
                    if let Some(packet_id) = packet_id_of(token, self.epoch) {
                        self.intake.acknowledged(Instant::now());
                        self.packets.push_back(Packet::PubAck(PubAck::new(packet_id)));
                    }
                }
                Command::Publish(outgoing) if outgoing.epoch == self.epoch => {
                    let packet_id = if outgoing.is_confirmed {
                        let full = || LinkError::Protocol("more publishes on their way than allowed".into());
                        self.in_flight.enter(outgoing.id).ok_or_else(full)?
                    } else {
                        self.leaving.push(outgoing.id);
                        0
                    };
                    self.packets.push_back(Packet::Publish(Publish {
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

    fn ping(&mut self, wire: &Wire) -> Result<(), LinkError> {
        if self.pinged.is_some_and(|pinged| pinged > wire.last_read()) {
            return Err(LinkError::Unresponsive);
        }
        if wire.stalled() > CONFIRM_TIMEOUT {
            return Err(LinkError::WriteStalled);
        }
        if self.in_flight.is_stuck(Instant::now()) {
            return Err(LinkError::Unconfirmed);
        }
        self.pinged = Some(Instant::now());
        self.packets.push_back(Packet::PingReq);
        Ok(())
    }

    fn probe(&mut self, is_stuck: bool) {
        let Some(probe) = &mut self.probe else { return };
        let (payload, outcome) = probe.tick(Instant::now(), is_stuck);
        if let Some(payload) = payload {
            self.tolerance.sent(Instant::now());
            let topic = self.shared.settings.probe_topic.as_str();
            self.packets.push_back(Packet::Publish(Publish::new(topic, QoS::AtMostOnce, payload)));
        }
        self.probed(outcome);
    }

    fn probed(&self, outcome: Option<Outcome>) {
        self.shared.inbox.probed(outcome);
    }
}

#[cfg(test)]
mod tests;
