//! Looks on over the broker: what `cooltwin watch` does.
//!
//! As with [`super::ask`], it logs in as the daemon does under a client id of its own and with a session that nobody keeps,
//! so that the daemon's own is left alone. All it publishes is the question that `cooltwin health` asks.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{Packet, Publish, QoS, Subscribe, SubscribeFilter, SubscribeReasonCode};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

use super::ask::{ASK_AGAIN, LEAVE_TIMEOUT, greet, own_id};
use super::backoff::{Backoff, End, dice};
use super::error::LinkError;
use super::frames::Frame;
use super::wire::{Traffic, Wire};
use super::{LinkSettings, SUBSCRIBE_ID};
use crate::daemon::settings::{Checked, Settings};
use crate::domain::TopicTemplate;

/// Longest pause between two attempts: somebody sits there and waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Connections in a row that the broker may close on an unanswered question. Some close on whatever is not allowed; after
/// that nothing is asked any more, and heartbeats tell.
const MOST_IN_VAIN: u32 = 2;
/// Questions asked in a row without an answer. A daemon that is there answers the first.
const MOST_QUESTIONS: u32 = 5;

/// What came to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Connected and subscribed.
    Connected {
        /// Topics whose subscription the broker refused.
        refused: Vec<String>,
    },
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload; the topics of a daemon have JSON or a word.
        payload: Bytes,
        /// Whether the broker had kept it, so that its age is not known.
        is_retained: bool,
    },
    /// Not connected; it is tried again.
    Lost {
        /// The cause in a word: those of `broker.problem` in the health document.
        problem: &'static str,
        /// The cause in words.
        error: String,
    },
}

/// Looks on until nobody takes what is seen any more: everything that the daemon of these settings publishes but the bare
/// numbers, which its documents have too. Asks for its health every so often, and when connected.
pub async fn observe(settings: &Settings, checked: &Checked, every: Duration, sights: mpsc::Sender<Sight>) {
    let mut link = LinkSettings::new(settings, checked);
    link.client_id = own_id(&link.client_id, "watch");
    link.mqtt.reconnect_max = link.mqtt.reconnect_max.min(LONGEST_PAUSE);
    link.subscribe = filters(checked).into_iter().map(|filter| (filter, false)).collect();
    let question = format!("{}/health", checked.topics.commands);
    let mut asker = Asker { question, answers: answers(checked), every, waits: 0, in_vain: 0 };
    let mut backoff = Backoff::new(link.mqtt.reconnect_max);
    loop {
        backoff.attempt(Instant::now());
        let Err((error, life)) = serve(&link, &mut asker, &sights).await else { return };
        asker.lost(matches!(error, LinkError::Closed));
        backoff.ended(life.map_or(End::NotAccepted, End::Broken));
        let lost = Sight::Lost { problem: error.kind(), error: error.to_string() };
        if sights.send(lost).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(backoff.next(Instant::now(), dice())) => {}
            () = sights.closed() => return,
        }
    }
}

/// Where documents come by that answer the question.
fn answers(checked: &Checked) -> [String; 2] {
    [checked.topics.response("health"), checked.topics.health.clone()]
}

fn filters(checked: &Checked) -> Vec<String> {
    let [answer, heartbeat] = answers(checked);
    let topics = &checked.engine.topics;
    let units = [&topics.state, &topics.alarm, &topics.prediction].map(TopicTemplate::filter);
    let daemon = [checked.topics.status.clone(), answer, heartbeat, format!("{}/+", checked.topics.alarms)];
    daemon.into_iter().chain(units).collect()
}

/// When to ask how the daemon is, and whether that may be asked at all.
struct Asker {
    question: String,
    answers: [String; 2],
    every: Duration,
    /// Questions without an answer yet.
    waits: u32,
    /// Connections in a row that the broker closed while a question waited.
    in_vain: u32,
}

impl Asker {
    fn connected(&mut self) {
        self.waits = 0;
    }

    fn lost(&mut self, is_closed: bool) {
        if is_closed && self.waits > 0 {
            self.in_vain += 1;
        }
    }

    fn came(&mut self, topic: &str, clock: &mut Interval) {
        if self.answers.iter().any(|answer| answer == topic) {
            (self.waits, self.in_vain) = (0, 0);
            clock.reset_after(self.every);
        }
    }

    /// The question, if it is to be asked now.
    fn ask(&mut self, clock: &mut Interval) -> Option<Packet> {
        if self.in_vain >= MOST_IN_VAIN {
            return None;
        }
        self.waits += 1;
        if self.waits >= MOST_QUESTIONS {
            clock.reset_after(self.every);
        }
        // QoS 0: brokers keep what has QoS 1 for a daemon that is away.
        Some(Packet::Publish(Publish::new(&self.question, QoS::AtMostOnce, "")))
    }
}

/// One connection, from the attempt to its end; for how long it lasted, when it was accepted. `Ok` when nobody looks any
/// more.
async fn serve(
    link: &LinkSettings,
    asker: &mut Asker,
    sights: &mpsc::Sender<Sight>,
) -> Result<(), (LinkError, Option<Duration>)> {
    let mut wire = tokio::select! {
        greeted = greet(link) => greeted.map_err(|error| (error, None))?,
        () = sights.closed() => return Ok(()),
    };
    let since = Instant::now();
    asker.connected();
    let looked = tokio::select! {
        looked = look(link, &mut wire, asker, sights) => looked,
        () = sights.closed() => Ok(()),
    };
    looked.map_err(|error| (error, Some(since.elapsed())))?;
    // A broker that does not take leave changes nothing.
    if wire.write(&Packet::Disconnect).is_ok() {
        let _ = wire.leave(LEAVE_TIMEOUT).await;
    }
    Ok(())
}

async fn look(
    link: &LinkSettings,
    wire: &mut Wire,
    asker: &mut Asker,
    sights: &mpsc::Sender<Sight>,
) -> Result<(), LinkError> {
    let wanted =
        link.subscribe.iter().map(|(filter, _)| SubscribeFilter::new(filter.clone(), QoS::AtMostOnce));
    wire.write(&Packet::Subscribe(Subscribe { pkid: SUBSCRIBE_ID, filters: wanted.collect() }))?;
    // A dead link shows at the second ping.
    let mut ping = interval(link.mqtt.keep_alive.mul_f64(0.75));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut asking = interval(ASK_AGAIN);
    asking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pinged: Option<Instant> = None;
    let mut is_subscribed = false;
    loop {
        let traffic = tokio::select! {
            traffic = wire.next() => traffic?,
            _ = asking.tick(), if is_subscribed => {
                if let Some(question) = asker.ask(&mut asking) {
                    wire.write(&question)?;
                }
                continue;
            }
            _ = ping.tick() => {
                if pinged.is_some_and(|pinged| pinged > wire.last_read()) {
                    return Err(LinkError::Unresponsive);
                }
                pinged = Some(Instant::now());
                wire.write(&Packet::PingReq)?;
                continue;
            }
        };
        let sight = match traffic {
            Traffic::Frame(Frame::Packet(Packet::SubAck(answer))) => {
                is_subscribed = true;
                let codes = link.subscribe.iter().zip(&answer.return_codes);
                let refused = codes.filter(|(_, code)| **code == SubscribeReasonCode::Failure);
                Sight::Connected { refused: refused.map(|((filter, _), _)| filter.clone()).collect() }
            }
            Traffic::Frame(Frame::Packet(Packet::Publish(publish))) => {
                asker.came(&publish.topic, &mut asking);
                Sight::Message { topic: publish.topic, payload: publish.payload, is_retained: publish.retain }
            }
            Traffic::Frame(_) | Traffic::Flushed => continue,
        };
        // While nobody takes it, nothing is read, and the broker drops what has QoS 0.
        if sights.send(sight).await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const REFUSED: u8 = 0x80;
    const PUBLISH: u8 = 0x30;

    /// The packets up to the one that begins with `last`, headers and all.
    async fn packets_until(stream: &mut TcpStream, last: u8) -> Vec<Vec<u8>> {
        let mut packets: Vec<Vec<u8>> = Vec::new();
        while packets.last().is_none_or(|packet| packet[0] != last) {
            let (kind, mut length, mut shift) = (stream.read_u8().await.unwrap(), 0, 0);
            loop {
                let byte = stream.read_u8().await.unwrap();
                length |= usize::from(byte & 0x7F) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let mut packet = vec![0; length];
            stream.read_exact(&mut packet).await.unwrap();
            packets.push([&[kind][..], &packet].concat());
        }
        packets
    }

    /// Accepts a connection with its subscriptions, of which the first is refused.
    async fn accept(listener: &TcpListener) -> (TcpStream, Vec<Vec<u8>>) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut packets = packets_until(&mut stream, 0x10).await;
        stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        packets.extend(packets_until(&mut stream, 0x82).await);
        let [high, low] = SUBSCRIBE_ID.to_be_bytes();
        stream.write_all(&[0x90, 9, high, low, REFUSED, 0, 0, 0, 0, 0, 0]).await.unwrap();
        (stream, packets)
    }

    async fn listening() -> (TcpListener, mpsc::Receiver<Sight>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Settings::default();
        settings.mqtt.url = format!("mqtt://{}", listener.local_addr().unwrap());
        settings.mqtt.reconnect_max = Duration::from_secs(1);
        settings.bundle.path = Some("/".into());
        let checked = settings.check().unwrap();
        let (sender, sights) = mpsc::channel(16);
        let observer = tokio::spawn(async move {
            observe(&settings, &checked, Duration::from_hours(1), sender).await;
        });
        (listener, sights, observer)
    }

    #[tokio::test]
    async fn it_looks_on_without_will_or_session_and_takes_leave() {
        let (listener, mut sights, observer) = listening().await;
        let (mut stream, packets) = accept(&listener).await;
        // Protocol name and level stand before the flags: clean session, no will, no login.
        let connect = &packets[0];
        assert_eq!((&connect[3..7], connect[7], connect[8]), (&b"MQTT"[..], 4, 0b10));
        let text = String::from_utf8_lossy(&connect[13..]).into_owned();
        assert!(text.starts_with("cooltwin-main-watch-"), "{text}");
        let wanted = String::from_utf8_lossy(&packets[1]).into_owned();
        for filter in
            ["cooltwin/main/status", "hvac/+/predictions", "hvac/+/alarms/+", "cooltwin/main/alarms/+"]
        {
            assert!(wanted.contains(filter), "{wanted}");
        }
        let refused = vec!["cooltwin/main/status".to_owned()];
        assert_eq!(sights.recv().await, Some(Sight::Connected { refused }));
        // The one thing that is published.
        let asked = packets_until(&mut stream, PUBLISH).await;
        assert_eq!(&asked[0][3..], b"cooltwin/main/cmd/health");
        stream.write_all(&[&[PUBLISH | 1, 5, 0, 1][..], b"thi"].concat()).await.unwrap();
        let (topic, payload) = ("t".to_owned(), Bytes::from_static(b"hi"));
        assert_eq!(sights.recv().await, Some(Sight::Message { topic, payload, is_retained: true }));
        drop(sights);
        packets_until(&mut stream, 0xE0).await;
        drop(stream);
        observer.await.unwrap();
    }

    #[tokio::test]
    async fn a_broker_that_closes_on_questions_is_asked_no_more() {
        let (listener, mut sights, observer) = listening().await;
        for _ in 0..MOST_IN_VAIN {
            let (mut stream, _) = accept(&listener).await;
            packets_until(&mut stream, PUBLISH).await;
            drop(stream);
            assert!(matches!(sights.recv().await, Some(Sight::Connected { .. })));
            let lost = sights.recv().await;
            assert!(matches!(lost, Some(Sight::Lost { problem: "closed", .. })), "{lost:?}");
        }
        let (mut stream, _) = accept(&listener).await;
        assert!(matches!(sights.recv().await, Some(Sight::Connected { .. })));
        drop(sights);
        let packets = packets_until(&mut stream, 0xE0).await;
        assert_eq!(packets.len(), 1, "nothing but its leave");
        drop(stream);
        observer.await.unwrap();
    }

    #[test]
    fn a_question_is_repeated_a_few_times_and_then_now_and_then() {
        let answers = ["answer".to_owned(), "heartbeat".to_owned()];
        let every = Duration::from_secs(10);
        let mut asker = Asker { question: "q".to_owned(), answers, every, waits: 0, in_vain: 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut clock = interval(ASK_AGAIN);
            for _ in 0..2 * MOST_QUESTIONS {
                assert!(asker.ask(&mut clock).is_some());
                asker.lost(false);
            }
            assert_eq!((asker.waits, asker.in_vain), (2 * MOST_QUESTIONS, 0));
            asker.lost(true);
            asker.lost(true);
            assert!(asker.ask(&mut clock).is_none());
            // Whoever answers may be asked.
            asker.came("elsewhere", &mut clock);
            assert!(asker.ask(&mut clock).is_none());
            asker.came("heartbeat", &mut clock);
            assert!(asker.ask(&mut clock).is_some());
        });
    }
}
