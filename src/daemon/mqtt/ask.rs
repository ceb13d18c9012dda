//! Asks a running daemon how it is, over the broker as anybody else would: what `cooltwin health` does.
//!
//! It connects as the daemon does, with the same login and TLS, but under a client id of its own, so that the
//! daemon's session is left alone.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{Packet, Publish, QoS, Subscribe, SubscribeFilter, SubscribeReasonCode};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::connect::{self, MAX_OUTGOING_BYTES, OFFLINE};
use super::error::LinkError;
use super::frames::Frame;
use super::wire::{Traffic, Wire};
use super::{LinkSettings, SUBSCRIBE_ID};
use crate::daemon::clock;
use crate::daemon::settings::{Checked, DaemonTopics, Settings};

/// Pause before the question is asked again: a daemon under load may drop it, as it goes with QoS 0.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a daemon that is said to be offline is waited for: it may have been started this moment, and connects when it
/// has told systemd that it is ready.
const OFFLINE_GRACE: Duration = Duration::from_secs(2);
/// Longest wait for the broker to take leave; what was asked is known by then.
pub(super) const LEAVE_TIMEOUT: Duration = Duration::from_millis(200);

/// What came of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The daemon answers with its health document, JSON.
    Health {
        /// The document.
        document: Bytes,
        /// From the question to the answer.
        after: Duration,
    },
    /// The broker holds `offline` for it: it was stopped, or it died, or it lost its connection.
    Offline,
    /// The broker was reached, and nothing came of the daemon in time.
    Nothing {
        /// Whether the broker holds `online` for it; without that no daemon of this name has been there. `None` where
        /// the broker does not let the status be read.
        is_online: Option<bool>,
    },
    /// The broker cannot be asked.
    NoBroker {
        /// The cause in a word that stays the same over versions: those of `broker.problem` in the health document.
        problem: &'static str,
        /// The cause in words.
        error: String,
    },
}

impl From<LinkError> for Reply {
    fn from(error: LinkError) -> Self {
        Self::NoBroker { problem: error.kind(), error: error.to_string() }
    }
}

/// The reply, and what the broker would not let be read on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What came of the question.
    pub reply: Reply,
    /// Topics whose subscription the broker refused.
    pub refused: Vec<String>,
}

impl From<LinkError> for Answer {
    fn from(error: LinkError) -> Self {
        Self { reply: error.into(), refused: Vec::new() }
    }
}

/// Connects, asks, and waits for the answer, all within `limit`.
pub async fn ask(settings: &Settings, checked: &Checked, limit: Duration) -> Answer {
    let mut link = LinkSettings::new(settings, checked);
    link.client_id = own_id(&link.client_id, "health");
    let deadline = Instant::now() + limit;
    let opened = match timeout(limit, greet(&link)).await {
        Ok(opened) => opened,
        Err(_) => Err(LinkError::Unreachable(format!("no answer within {limit:?}"))),
    };
    let mut wire = match opened {
        Ok(wire) => wire,
        Err(error) => return error.into(),
    };
    let mut seen = Seen::default();
    let left = deadline.saturating_duration_since(Instant::now());
    let reply = match timeout(left, exchange(&mut wire, &checked.topics, &mut seen)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => error.into(),
        Err(_) if seen.status == Some(Status::Offline) => Reply::Offline,
        Err(_) => {
            let is_hidden = seen.refused.contains(&checked.topics.status);
            Reply::Nothing { is_online: (!is_hidden).then_some(seen.status.is_some()) }
        }
    };
    // A broker that does not take leave changes nothing about the answer.
    if wire.write(&Packet::Disconnect).is_ok() {
        let _ = wire.leave(LEAVE_TIMEOUT).await;
    }
    Answer { reply, refused: seen.refused }
}

/// What came to light on the way.
#[derive(Debug, Default)]
struct Seen {
    /// What the broker holds of the daemon.
    status: Option<Status>,
    /// Topics whose subscription the broker refused.
    refused: Vec<String>,
}

/// What the broker holds of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Online,
    Offline,
}

/// A client id of nobody else's. The daemon's own comes first, where brokers admit clients by how their ids begin.
pub(super) fn own_id(daemon: &str, purpose: &str) -> String {
    let unique = clock::monotonic_nanos();
    format!("{daemon}-{purpose}-{}-{unique:x}", std::process::id())
}

/// Connects with the daemon's login, and without its will and session.
pub(super) async fn greet(link: &LinkSettings) -> Result<Wire, LinkError> {
    let mut credentials =
        connect::credentials(link).map_err(|error| LinkError::Setup(format!("{error:#}")))?;
    // The will would say that the daemon is offline; a session would be kept for nobody.
    credentials.greeting.last_will = None;
    credentials.greeting.clean_session = true;
    let limit = link.mqtt.connect_timeout;
    let (wire, _) = Wire::open(&link.broker, credentials, MAX_OUTGOING_BYTES, limit).await?;
    Ok(wire)
}

/// Subscribes, asks when that is confirmed, and reads until there is something to tell.
async fn exchange(wire: &mut Wire, topics: &DaemonTopics, seen: &mut Seen) -> Result<Reply, LinkError> {
    let answers = topics.response("health");
    // A heartbeat that happens to come answers as well, where access lists keep the question away.
    let filters = [&topics.status, &answers, &topics.health];
    wire.write(&Packet::Subscribe(Subscribe {
        pkid: SUBSCRIBE_ID,
        filters: filters.map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtMostOnce)).into(),
    }))?;
    let mut asking = interval(ASK_AGAIN);
    asking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = None;
    let mut is_subscribed = false;
    let mut give_up_at = Instant::now() + OFFLINE_GRACE;
    loop {
        let traffic = tokio::select! {
            traffic = wire.next() => traffic?,
            () = sleep_until(give_up_at), if seen.status == Some(Status::Offline) => return Ok(Reply::Offline),
            _ = asking.tick(), if is_subscribed => {
                // QoS 0: brokers keep what has QoS 1 for a daemon that is away.
                let question = Publish::new(format!("{}/health", topics.commands), QoS::AtMostOnce, "");
                wire.write(&Packet::Publish(question))?;
                asked.get_or_insert_with(Instant::now);
                continue;
            }
        };
        match traffic {
            Traffic::Frame(Frame::Packet(Packet::SubAck(answer))) => {
                let codes = filters.iter().zip(&answer.return_codes);
                let refused = codes.filter(|(_, code)| **code == SubscribeReasonCode::Failure);
                seen.refused = refused.map(|(filter, _)| (*filter).clone()).collect();
                // One of the two is enough for the answer to come by.
                if seen.refused.contains(&answers) && seen.refused.contains(&topics.health) {
                    let error = "the daemon's answers must not be read".to_owned();
                    return Ok(Reply::NoBroker { problem: "subscription_refused", error });
                }
                is_subscribed = true;
            }
            Traffic::Frame(Frame::Packet(Packet::Publish(publish))) => {
                if publish.topic == topics.status {
                    let is_offline = publish.payload == OFFLINE;
                    seen.status = Some(if is_offline { Status::Offline } else { Status::Online });
                    give_up_at = Instant::now() + OFFLINE_GRACE;
                } else if !publish.retain {
                    let after = asked.map_or(Duration::ZERO, |asked| asked.elapsed());
                    return Ok(Reply::Health { document: publish.payload, after });
                }
            }
            Traffic::Frame(_) | Traffic::Flushed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const REFUSED: u8 = 0x80;
    const LIMIT: Duration = Duration::from_secs(10);

    /// Asks a broker that answers the three subscriptions (status, answers, heartbeats) with these codes and, when
    /// it lets one of the topics be read that are named, publishes a document there.
    async fn ask_broker(codes: [u8; 3], publishes_on: Option<&str>) -> Answer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Settings::default();
        settings.mqtt.url = format!("mqtt://{}", listener.local_addr().unwrap());
        settings.bundle.path = Some("/".into());
        let checked = settings.check().unwrap();
        let publish = publishes_on.map(|topic| {
            let length = 2 + topic.len() + 2;
            [&[0x30, length as u8, 0, topic.len() as u8][..], topic.as_bytes(), b"{}"].concat()
        });
        let broker = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4096];
            assert!(stream.read(&mut bytes).await.unwrap() > 0);
            stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
            assert!(stream.read(&mut bytes).await.unwrap() > 0);
            let [high, low] = SUBSCRIBE_ID.to_be_bytes();
            stream.write_all(&[&[0x90, 5, high, low][..], &codes].concat()).await.unwrap();
            if let Some(publish) = publish {
                stream.write_all(&publish).await.unwrap();
            }
            // Whatever else comes, until the client leaves.
            while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        });
        let answer = ask(&settings, &checked, if publishes_on.is_some() { LIMIT } else { LIMIT / 100 }).await;
        broker.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn one_refused_topic_is_no_refusal_while_the_answer_can_come() {
        for (codes, topic, refused) in [
            ([REFUSED, 0, 0], "cooltwin/main/cmd/health/response", "cooltwin/main/status"),
            ([0, REFUSED, 0], "cooltwin/main/health", "cooltwin/main/cmd/health/response"),
            ([0, 0, REFUSED], "cooltwin/main/cmd/health/response", "cooltwin/main/health"),
        ] {
            let answer = ask_broker(codes, Some(topic)).await;
            assert!(matches!(answer.reply, Reply::Health { .. }), "{answer:?}");
            assert_eq!(answer.refused, [refused]);
        }
    }

    #[tokio::test]
    async fn without_any_way_for_the_answer_it_is_one() {
        let answer = ask_broker([0, REFUSED, REFUSED], Some("cooltwin/main/status")).await;
        assert!(
            matches!(answer.reply, Reply::NoBroker { problem: "subscription_refused", .. }),
            "{answer:?}"
        );
        assert_eq!(answer.refused, ["cooltwin/main/cmd/health/response", "cooltwin/main/health"]);
    }

    #[tokio::test]
    async fn a_status_that_cannot_be_read_says_nothing_about_the_daemon() {
        let answer = ask_broker([REFUSED, 0, 0], None).await;
        assert_eq!(answer.reply, Reply::Nothing { is_online: None });
        assert_eq!(ask_broker([0, 0, 0], None).await.reply, Reply::Nothing { is_online: Some(false) });
    }
}
