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
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a daemon that is said to be offline is waited for: it may have been started this moment, and connects when it
/// has told systemd that it is ready.
const OFFLINE_GRACE: Duration = Duration::from_secs(2);
/// Longest wait for the broker to take leave; what was asked is known by then.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(200);

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
        /// Whether the broker holds `online` for it; without that no daemon of this name has been there.
        is_online: bool,
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

/// Connects, asks, and waits for the answer, all within `limit`.
pub async fn ask(settings: &Settings, checked: &Checked, limit: Duration) -> Reply {
    let mut link = LinkSettings::new(settings, checked);
    // The daemon's own id before it, where brokers admit clients by how their ids begin.
    let unique = clock::monotonic_nanos();
    link.client_id = format!("{}-health-{}-{unique:x}", link.client_id, std::process::id());
    let deadline = Instant::now() + limit;
    let opened = match timeout(limit, open(&link)).await {
        Ok(opened) => opened,
        Err(_) => Err(LinkError::Unreachable(format!("no answer within {limit:?}"))),
    };
    let mut wire = match opened {
        Ok(wire) => wire,
        Err(error) => return error.into(),
    };
    let mut status = None;
    let left = deadline.saturating_duration_since(Instant::now());
    let reply = match timeout(left, exchange(&mut wire, &checked.topics, &mut status)).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => error.into(),
        Err(_) if status == Some(Status::Offline) => Reply::Offline,
        Err(_) => Reply::Nothing { is_online: status.is_some() },
    };
    // A broker that does not take leave changes nothing about the answer.
    if wire.write(&Packet::Disconnect).is_ok() {
        let _ = wire.leave(LEAVE_TIMEOUT).await;
    }
    reply
}

/// What the broker holds of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Online,
    Offline,
}

async fn open(link: &LinkSettings) -> Result<Wire, LinkError> {
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
async fn exchange(
    wire: &mut Wire,
    topics: &DaemonTopics,
    status: &mut Option<Status>,
) -> Result<Reply, LinkError> {
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
            () = sleep_until(give_up_at), if *status == Some(Status::Offline) => return Ok(Reply::Offline),
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
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    let text =
                        "the broker refuses the subscription to the daemon's topics; check its access list";
                    return Ok(Reply::NoBroker { problem: "subscription_refused", error: text.to_owned() });
                }
                is_subscribed = true;
            }
            Traffic::Frame(Frame::Packet(Packet::Publish(publish))) => {
                if publish.topic == topics.status {
                    let is_offline = publish.payload == OFFLINE;
                    *status = Some(if is_offline { Status::Offline } else { Status::Online });
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
