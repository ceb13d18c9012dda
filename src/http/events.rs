//! `GET /events`: what the daemon publishes, as it does so, as server-sent events. A snapshot comes first, so that nothing
//! need be asked for beside. Who reads too slowly misses events and is told how many.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::app::App;
use super::counts::add;
use super::problem::Problem;
use super::routes::{MAX_LISTED_UNITS, fresh};
use crate::daemon::desk::{Published, Question};
use crate::domain::prediction::write_json;
use crate::engine::{AlarmView, UnitList};

/// Those who watch at once: some people at some screens. Each holds a connection.
pub(super) const MAX_WATCHERS: usize = 16;
/// Events written ahead for one who watches.
const AHEAD: usize = 16;
/// A comment goes out so often, so that both ends notice when the other one is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest wait for the snapshot.
const PATIENCE: Duration = Duration::from_secs(5);

/// The body of the answer: events as they come.
struct Events {
    events: mpsc::Receiver<Bytes>,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.events.poll_recv(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

#[derive(Serialize)]
struct Snapshot<'a> {
    units: &'a UnitList,
    health: Option<&'a RawValue>,
    /// Those of the daemon; those of units stand with their units.
    alarms: &'a [AlarmView],
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    /// `null` when what stood there was removed.
    document: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Missed {
    count: u64,
}

fn event(name: &str, document: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(1024);
    text.extend_from_slice(b"event: ");
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\ndata: ");
    // JSON has no bare line ends.
    write_json(document, &mut text);
    text.extend_from_slice(b"\n\n");
    text.into()
}

/// `GET /events`.
pub(super) async fn events(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    app.serving()?;
    let busy = |_| Problem::busy("too many watch at once");
    let place = Arc::clone(&app.watchers).try_acquire_owned().map_err(busy)?;
    // First, so that nothing falls between it and the snapshot.
    let published = app.front.watch();
    let snapshot = snapshot(&app, Instant::now()).await?;
    let (sender, events) = mpsc::channel(AHEAD);
    // The queue is new and empty.
    let _ = sender.try_send(snapshot);
    tokio::spawn(forward(Arc::clone(&app), published, sender, place));
    Ok(fresh(StatusCode::OK, "text/event-stream", Body::new(Events { events })))
}

/// The snapshot for one who watches since a moment: the one that another asked for after that, or a new one. An older one would not
/// do, as what was published between the two would be missing. So many who come at once cost two.
async fn snapshot(app: &App, since: Instant) -> Result<Bytes, Problem> {
    let late = |_| Problem::new(StatusCode::GATEWAY_TIMEOUT, "the daemon does not answer");
    let mut kept = timeout(PATIENCE, app.snapshot.lock()).await.map_err(late)?;
    if let Some((asked, snapshot)) = &*kept
        && *asked >= since
    {
        return Ok(snapshot.clone());
    }
    let asked = Instant::now();
    let units = app.ask(PATIENCE, |reply| Question::Units(MAX_LISTED_UNITS, reply)).await?;
    let health = app.ask(PATIENCE, Question::Health).await?;
    let (alarms, health) = (&health.alarms, serde_json::from_slice(&health.document).ok());
    let snapshot = event("snapshot", &Snapshot { units: &units, health, alarms });
    *kept = Some((asked, snapshot.clone()));
    Ok(snapshot)
}

/// Passes on what is published until nobody reads any more.
async fn forward(
    app: Arc<App>,
    mut published: broadcast::Receiver<Published>,
    sender: mpsc::Sender<Bytes>,
    place: OwnedSemaphorePermit,
) {
    let mut keep_alive = interval(KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Its first one comes at once.
    keep_alive.reset();
    loop {
        let next = tokio::select! {
            () = sender.closed() => break,
            _ = keep_alive.tick() => Bytes::from_static(b":\n\n"),
            next = published.recv() => match next {
                Ok(next) => {
                    let document = serde_json::from_slice(&next.payload).ok();
                    event(next.kind, &Document { topic: next.topic.as_deref(), document })
                }
                Err(RecvError::Lagged(count)) => {
                    add(&app.counts.missed_events, count);
                    event("missed", &Missed { count })
                }
                Err(RecvError::Closed) => break,
            },
        };
        if sender.send(next).await.is_err() {
            break;
        }
    }
    drop(place);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::desk::{Desk, Health};

    /// All of those who may watch come at once, then one more: each has a snapshot that is no older than its place.
    #[tokio::test]
    async fn many_who_come_at_once_cost_the_worker_two_snapshots() {
        let (mut desk, front) = Desk::open();
        let app = Arc::new(App::new(front));
        let worker = tokio::spawn(async move {
            let mut count = 0;
            loop {
                let question = desk.next().await;
                // All others come meanwhile.
                tokio::time::sleep(Duration::from_millis(20)).await;
                match question {
                    Question::Units(_, reply) => {
                        count += 1;
                        reply.send(UnitList { count, units: Vec::new() }).unwrap();
                    }
                    Question::Health(reply) => {
                        let (reasons, document, alarms) = (Vec::new(), b"{}".to_vec(), Vec::new());
                        reply.send(Health { reasons, is_connected: true, document, alarms }).unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        let watch = || {
            let app = Arc::clone(&app);
            tokio::spawn(async move { snapshot(&app, Instant::now()).await.ok() })
        };
        let expected = |count| {
            let document =
                format!("{{\"units\":{{\"count\":{count},\"units\":[]}},\"health\":{{}},\"alarms\":[]}}");
            Some(Bytes::from(format!("event: snapshot\ndata: {document}\n\n")))
        };
        // The first one's is older than the places of the others, who share one.
        let first = watch();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let others: Vec<_> = (1..MAX_WATCHERS).map(|_| watch()).collect();
        assert_eq!(first.await.unwrap(), expected(1));
        for other in others {
            assert_eq!(other.await.unwrap(), expected(2));
        }
        assert_eq!(watch().await.unwrap(), expected(3));
        worker.abort();
    }

    #[test]
    fn an_event_is_a_name_and_one_line() {
        let document = RawValue::from_string("{\"a\":\"line\\nend\"}".to_owned()).unwrap();
        let written = event("state", &Document { topic: Some("t"), document: Some(&document) });
        let text = std::str::from_utf8(&written).unwrap();
        assert_eq!(text, "event: state\ndata: {\"topic\":\"t\",\"document\":{\"a\":\"line\\nend\"}}\n\n");
        assert_eq!(&event("missed", &Missed { count: 3 })[..], b"event: missed\ndata: {\"count\":3}\n\n");
    }
}
