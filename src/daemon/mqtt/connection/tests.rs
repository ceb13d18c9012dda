use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::{Bytes, BytesMut};
use rumqttc::UnsubAck;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::exchange::{Batch, Inbox, Orders, Outgoing};
use super::super::frames::Frames;
use super::super::{LinkSettings, MAX_OUTGOING_BYTES};
use super::*;
use crate::daemon::settings::{Broker as Address, MqttSettings};

/// More than any test takes; a connection that should have ended and has not would hold up all tests.
const GUARD: Duration = Duration::from_mins(1);
const EPOCH: Epoch = 3;
/// So long that 33 of them do not fit into the inbox.
const LONG_BYTES: usize = 130_000;

/// A test that plays broker and worker of one connection.
struct Broker {
    socket: DuplexStream,
    frames: Frames,
    inbox: Arc<Inbox>,
    orders: Arc<Orders>,
    again: Arc<Notify>,
    is_unsubscribed: Arc<AtomicBool>,
    ended: JoinHandle<Result<Ended, LinkError>>,
    _stop: watch::Sender<bool>,
}

fn shared(change: impl FnOnce(&mut LinkSettings)) -> (Shared, watch::Sender<bool>) {
    let mut settings = LinkSettings {
        broker: Address { host: "broker".into(), port: 1883, is_tls: false },
        mqtt: MqttSettings::default(),
        client_id: "id".into(),
        status_topic: "status".into(),
        probe_topic: "probe".into(),
        subscribe: vec![("in/+".into(), true), ("cmd/+".into(), true), ("probe".into(), false)],
        unsubscribe: Vec::new(),
        max_payload_bytes: LONG_BYTES,
    };
    change(&mut settings);
    let (stop, stopped) = watch::channel(false);
    let shared = Shared {
        settings: Arc::new(settings),
        inbox: Arc::new(Inbox::new(LONG_BYTES)),
        orders: Arc::default(),
        stop: stopped,
        again: Arc::default(),
        is_unsubscribed: Arc::default(),
    };
    (shared, stop)
}

impl Broker {
    /// With a connection that has asked for its subscriptions.
    async fn start(change: impl FnOnce(&mut LinkSettings)) -> Self {
        let (ours, socket) = duplex(1024 * 1024);
        let (shared, stop) = shared(change);
        let (inbox, orders) = (shared.inbox.clone(), shared.orders.clone());
        let (again, is_unsubscribed) = (shared.again.clone(), shared.is_unsubscribed.clone());
        let ended = tokio::spawn(async move {
            serve(&shared, Wire::over(ours, LONG_BYTES), EPOCH, &mut Tolerance::default()).await
        });
        let mut broker = Self {
            socket,
            frames: Frames::new(LONG_BYTES),
            inbox,
            orders,
            again,
            is_unsubscribed,
            ended,
            _stop: stop,
        };
        while !matches!(broker.next().await, Some(Packet::Subscribe(_))) {}
        broker
    }

    /// What the connection sent; `None` when it has ended.
    async fn next(&mut self) -> Option<Packet> {
        loop {
            match self.frames.next().unwrap() {
                Some(Frame::Packet(packet)) => return Some(packet),
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            let read = self.socket.read_buf(&mut self.frames.buffer);
            if timeout(GUARD, read).await.expect("the connection goes on").unwrap() == 0 {
                return None;
            }
        }
    }

    /// Sends packets in one piece.
    async fn send(&mut self, packets: &[Packet]) {
        let mut bytes = BytesMut::new();
        for packet in packets {
            packet.write(&mut bytes, MAX_OUTGOING_BYTES).unwrap();
        }
        self.socket.write_all(&bytes).await.unwrap();
    }

    async fn grant(&mut self, codes: &[SubscribeReasonCode]) {
        self.send(&[Packet::SubAck(SubAck::new(SUBSCRIBE_ID, codes.to_vec()))]).await;
    }

    /// Has a document published, which takes the first packet id.
    async fn publish(&mut self, id: PublishId) -> u16 {
        let outgoing = Outgoing {
            id,
            epoch: EPOCH,
            topic: "out".into(),
            payload: Bytes::from_static(b"x"),
            is_confirmed: true,
            retain: false,
            is_repeated: false,
        };
        self.orders.push(&mut vec![Command::Publish(outgoing)]);
        loop {
            match self.next().await {
                Some(Packet::Publish(publish)) if publish.topic == "out" => return publish.pkid,
                Some(_) => {}
                None => panic!("the connection has ended"),
            }
        }
    }

    async fn ended(self) -> Result<Ended, LinkError> {
        timeout(GUARD, self.ended).await.expect("the connection goes on").unwrap()
    }

    fn taken(&self) -> Batch {
        let mut batch = Batch::default();
        self.inbox.take(usize::MAX, &mut batch);
        batch
    }
}

fn message(qos: QoS, packet_id: u16, bytes: usize) -> Packet {
    Packet::Publish(Publish { pkid: packet_id, ..Publish::new("in/a", qos, vec![b'x'; bytes]) })
}

#[tokio::test]
async fn after_an_overrun_the_connection_ends_though_something_is_always_on_its_way() {
    let mut broker = Broker::start(|settings| settings.mqtt.probe_interval = Duration::ZERO).await;
    // Never confirmed, as if others followed all the time.
    broker.publish(1).await;
    for packet_id in 1..=40 {
        broker.send(&[message(QoS::AtLeastOnce, packet_id, LONG_BYTES)]).await;
    }
    // Those that have room, and then this one: it comes when all before it were read.
    broker.send(&[message(QoS::AtMostOnce, 0, 1)]).await;
    while broker.inbox.waiting() <= 32 {
        tokio::task::yield_now().await;
    }
    let taken = broker.taken().messages;
    assert_eq!(taken.len(), 33);
    broker
        .orders
        .push(&mut taken.iter().filter_map(|message| message.token).map(Command::Acknowledge).collect());
    let mut acknowledged = 0;
    loop {
        match broker.next().await {
            Some(Packet::PubAck(_)) => acknowledged += 1,
            Some(Packet::Disconnect) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(acknowledged, 32, "none of those taken comes again");
    assert_eq!(broker.ended().await.unwrap(), Ended::Redeliver);
}

fn unasked(ended: &Result<Ended, LinkError>) -> bool {
    matches!(ended, Err(LinkError::Protocol(text)) if text.contains("SUBSCRIBE"))
}

const GRANTED: SubscribeReasonCode = SubscribeReasonCode::Success(QoS::AtLeastOnce);
const GRANTED_0: SubscribeReasonCode = SubscribeReasonCode::Success(QoS::AtMostOnce);
const REFUSED: SubscribeReasonCode = SubscribeReasonCode::Failure;

#[tokio::test]
async fn an_answer_to_no_subscription_ends_the_connection() {
    let mut broker = Broker::start(|_| {}).await;
    broker.send(&[Packet::SubAck(SubAck::new(5, vec![GRANTED; 3]))]).await;
    assert!(unasked(&broker.ended().await));
    let mut broker = Broker::start(|_| {}).await;
    broker.grant(&[GRANTED, GRANTED, GRANTED_0]).await;
    broker.grant(&[REFUSED; 3]).await;
    let inbox = broker.inbox.clone();
    assert!(unasked(&broker.ended().await));
    let mut batch = Batch::default();
    inbox.take(0, &mut batch);
    assert_eq!(batch.events, [LinkEvent::Subscribed { unconfirmed: None }]);
}

#[test]
fn a_broker_that_reads_no_answers_makes_nothing_grow() {
    let shared = shared(|_| {}).0;
    let mut tolerance = Tolerance::default();
    let mut connection = Connection::new(&shared, EPOCH, &mut tolerance);
    let mut flood =
        (0..=MAX_PACKETS + 1).map(|_| connection.traffic(Traffic::Frame(Frame::Unreadable(Some(1)))));
    let end = flood.find_map(Result::err);
    assert_eq!(end.map(|error| error.kind()), Some("protocol"));
}

#[tokio::test]
async fn less_than_was_asked_for_is_told() {
    for (subscribe_qos, expected) in [(1, Some("in/+".to_owned())), (0, None)] {
        let mut broker = Broker::start(|settings| settings.mqtt.subscribe_qos = subscribe_qos).await;
        broker.grant(&[GRANTED_0; 3]).await;
        assert!(matches!(broker.next().await, Some(Packet::Publish(_))), "the probe");
        assert_eq!(broker.taken().events, [LinkEvent::Subscribed { unconfirmed: expected }]);
    }
}

#[tokio::test]
async fn a_refused_probe_is_told_and_asked_for_again_when_somebody_may_have_seen_to_it() {
    let mut broker = Broker::start(|settings| settings.unsubscribe = vec!["old/+".into()]).await;
    broker.send(&[Packet::UnsubAck(UnsubAck::new(UNSUBSCRIBE_ID))]).await;
    broker.grant(&[GRANTED, GRANTED, REFUSED]).await;
    let refused = [
        LinkEvent::SubscriptionRefused { filter: "probe".into() },
        LinkEvent::ProbeRefused { how: ProbeRefusal::Denied },
        LinkEvent::Subscribed { unconfirmed: None },
    ];
    let mut events = Vec::new();
    while events.len() < refused.len() {
        events.extend(broker.taken().events);
        tokio::task::yield_now().await;
    }
    assert_eq!(events, refused);
    broker.again.notify_one();
    assert!(matches!(broker.next().await, Some(Packet::Subscribe(_))), "not a probe");
    assert!(broker.is_unsubscribed.load(Ordering::Relaxed));
    broker.grant(&[GRANTED, GRANTED, GRANTED_0]).await;
    assert!(matches!(broker.next().await, Some(Packet::Publish(probe)) if probe.topic == "probe"));
}

#[tokio::test]
async fn what_came_before_the_end_of_the_connection_is_handed_on() {
    let mut broker = Broker::start(|settings| settings.mqtt.probe_interval = Duration::ZERO).await;
    let packet_id = broker.publish(7).await;
    broker.send(&[Packet::PubAck(PubAck::new(packet_id)), message(QoS::AtMostOnce, 0, 1)]).await;
    let Broker { socket, inbox, ended, .. } = broker;
    drop(socket);
    let ended = timeout(GUARD, ended).await.unwrap().unwrap();
    assert!(matches!(ended, Err(LinkError::Closed)), "{ended:?}");
    let mut batch = Batch::default();
    inbox.take(usize::MAX, &mut batch);
    assert_eq!((batch.confirmed.as_slice(), batch.messages.len()), ([7].as_slice(), 1));
}

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

#[test]
fn one_that_is_never_confirmed_is_noticed_though_others_are() {
    let begin = Instant::now();
    let second = Duration::from_secs(1);
    let mut in_flight = InFlight::new();
    in_flight.enter(1).unwrap();
    assert!(!in_flight.is_stuck(begin + CONFIRM_TIMEOUT - second));
    assert!(in_flight.is_stuck(begin + CONFIRM_TIMEOUT + second), "nothing at all is confirmed");
    let late = begin + ONE_CONFIRM_TIMEOUT;
    in_flight.last_progress = late;
    assert!(!in_flight.is_stuck(late - second), "others are, and it has not been long");
    assert!(in_flight.is_stuck(late + second));
    in_flight.leave(1).unwrap();
    assert!(!in_flight.is_stuck(late + second));
}
