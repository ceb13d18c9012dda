use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::exchange::{Batch, Inbox, Orders, Outgoing};
use super::super::frames::Frames;
use super::super::{LinkSettings, MAX_OUTGOING_BYTES};
use super::*;
use crate::daemon::settings::{Broker as Address, MqttSettings};

/// More than any test takes; a connection that should have ended and has not would hold up all tests.
const GUARD: Duration = Duration::from_secs(60);
const EPOCH: Epoch = 3;
/// So long that 33 of them do not fit into the inbox.
const LONG_BYTES: usize = 130_000;

/// A test that plays broker and worker of one connection.
struct Broker {
    socket: DuplexStream,
    frames: Frames,
    inbox: Arc<Inbox>,
    orders: Arc<Orders>,
    ended: JoinHandle<Result<Ended, LinkError>>,
    _stop: watch::Sender<bool>,
}

impl Broker {
    /// With a connection that has asked for its subscriptions.
    async fn start(change: impl FnOnce(&mut LinkSettings)) -> Self {
        let (ours, socket) = duplex(1024 * 1024);
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
        let inbox = Arc::new(Inbox::new(LONG_BYTES));
        let orders = Arc::<Orders>::default();
        let shared = Shared {
            settings: Arc::new(settings),
            inbox: inbox.clone(),
            orders: orders.clone(),
            stop: stopped,
        };
        let ended = tokio::spawn(async move {
            serve(&shared, Wire::over(ours, LONG_BYTES), EPOCH, &mut Tolerance::default()).await
        });
        let mut broker = Self { socket, frames: Frames::new(LONG_BYTES), inbox, orders, ended, _stop: stop };
        assert!(matches!(broker.next().await, Some(Packet::Subscribe(_))));
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
