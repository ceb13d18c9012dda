//! The daemon by way of HTTP: `GET /model` for the units of the targets, then `GET /events` for as long as it lasts.

mod events;

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::news::{Declared, News, Target};
use crate::cli::Failure;
use events::Events;

/// Longest wait for a connection and the head of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A daemon says something every 15 seconds, if only that it is there; after three times that it is gone.
const SILENCE: Duration = Duration::from_secs(45);
/// Longest answer that is read at once: the model of the largest bundle.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// First and longest pause before it is tried again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// An address as it was asked for. Judged after the arguments are read: their parser would repeat a wrong one, password
/// and all.
#[derive(Debug, Clone)]
pub(super) struct Asked(Result<Url, String>);

impl Asked {
    /// The address, or why it is none (exit code 64).
    pub(super) fn url(&self) -> Result<Url, Failure> {
        self.0.clone().map_err(|reason| Failure::usage(format!("--url: {reason}")))
    }
}

impl FromStr for Asked {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse()))
    }
}

/// Where the daemon answers: `http://HOST[:PORT][/PATH]`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Url {
    host: String,
    port: u16,
    /// With the port where it is not the usual one, as it stands in the head of requests.
    authority: String,
    /// What a proxy has before the routes; without a slash at its end.
    path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected http://HOST[:PORT]";
        let url = url::Url::parse(text).map_err(|error| format!("{error}; {expected}"))?;
        if url.scheme() == "https" {
            return Err(
                "TLS is not spoken here: watch over MQTT, or on the machine itself by `ssh`".to_owned()
            );
        }
        if url.scheme() != "http" {
            return Err(format!("`{}://` is not supported; {expected}", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("there are no user names; a token is read from a file: --token-file".to_owned());
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(expected)?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        // An IPv6 address stands in brackets in a URL, and without them in a socket address.
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { host: bare, port: url.port_or_known_default().unwrap_or(80), authority, path })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Tells what happens until nobody listens any more.
pub(super) async fn tell(url: Url, token: Option<HeaderValue>, news: mpsc::Sender<News>) {
    let [first, longest] = PAUSES;
    let mut pause = first;
    loop {
        let begin = Instant::now();
        let ended = tokio::select! {
            ended = follow(&url, token.as_ref(), &news) => ended,
            () = news.closed() => return,
        };
        let Err(error) = ended else { return };
        let lost = News::Lost { problem: "no_answer", reason: format!("{error:#}") };
        if news.send(lost).await.is_err() {
            return;
        }
        // One that lasted was good: what ended it may be over at once.
        pause = if begin.elapsed() > longest { first } else { pause };
        tokio::select! {
            () = sleep(pause) => {}
            () = news.closed() => return,
        }
        pause = (pause * 2).min(longest);
    }
}

/// One connection from its beginning to its end; `Ok` when nobody listens any more.
async fn follow(url: &Url, token: Option<&HeaderValue>, news: &mpsc::Sender<News>) -> anyhow::Result<()> {
    let connect = async {
        let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
        stream.set_nodelay(true)?;
        anyhow::Ok(handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?)
    };
    let (mut requests, connection) = timeout(PATIENCE, connect)
        .await
        .map_err(|_| anyhow!("no answer within {PATIENCE:?}"))?
        .context("nothing answers there; see whether the daemon runs, and serves HTTP at this address (http.listen)")?;
    let talk = async {
        let model = get(&mut requests, url, "/model", token).await?;
        let body = timeout(PATIENCE, Limited::new(model.into_body(), MAX_ANSWER_BYTES).collect()).await;
        let body = body.map_err(|_| anyhow!("no whole answer within {PATIENCE:?}"))?;
        let body = body.map_err(|error| anyhow!("/model: {error}"))?.to_bytes();
        let declared = serde_json::from_slice(&body).ok().and_then(|model| declared(&model));
        let events = get(&mut requests, url, "/events", token).await?;
        if events.headers().get(hyper::header::CONTENT_TYPE).is_none_or(|kind| kind != "text/event-stream") {
            bail!("/events is no stream of events: is this address that of cooltwin?");
        }
        for piece in [Some(News::Connected { refused: Vec::new() }), declared.map(News::Declared)]
            .into_iter()
            .flatten()
        {
            if news.send(piece).await.is_err() {
                return Ok(());
            }
        }
        listen(events.into_body(), news).await
    };
    tokio::select! {
        talked = talk => talked,
        // Driven here; its end without an error is seen by whoever reads.
        Err(error) = connection => Err(anyhow!("the connection broke: {error}")),
    }
}

async fn get(
    requests: &mut SendRequest<Empty<Bytes>>,
    url: &Url,
    route: &str,
    token: Option<&HeaderValue>,
) -> anyhow::Result<Response<Incoming>> {
    let mut request = Request::get(format!("{}{route}", url.path))
        .header(HOST, &url.authority)
        .header(ACCEPT, "application/json, text/event-stream");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, token);
    }
    let request = request.body(Empty::new()).context("the request cannot be made")?;
    let asked = async {
        requests.ready().await?;
        requests.send_request(request).await
    };
    let answer = timeout(PATIENCE, asked).await.map_err(|_| anyhow!("no answer within {PATIENCE:?}"))??;
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::UNAUTHORIZED => {
            bail!("a token is needed, or it is wrong: name its file with --token-file")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            bail!("{route}: the daemon is starting or stopping, or too many watch")
        }
        status => bail!("{route} answers {status}: is this address that of cooltwin?"),
    }
}

fn declared(model: &Value) -> Option<Declared> {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let targets = model.get("targets")?.as_array()?.iter();
    let targets = targets
        .filter_map(|target| Some(Target { name: text(target, "name")?, unit: text(target, "unit")? }));
    Some(Declared { bundle: text(model, "id")?, targets: targets.collect() })
}

/// Reads events until the stream ends, which it only does when something is wrong.
async fn listen(mut body: Incoming, news: &mpsc::Sender<News>) -> anyhow::Result<()> {
    let mut events = Events::default();
    loop {
        let frame = timeout(SILENCE, body.frame()).await;
        let frame = frame.map_err(|_| anyhow!("nothing has come for {SILENCE:?}"))?;
        let frame =
            frame.ok_or_else(|| anyhow!("the daemon has ended the stream: it is stopping, or loads anew"))?;
        let Ok(bytes) = frame.context("the connection broke")?.into_data() else { continue };
        events.push(&bytes)?;
        while let Some((name, data)) = events.next() {
            if let Some(piece) = news_of(&name, &data)
                && news.send(piece).await.is_err()
            {
                return Ok(());
            }
        }
    }
}

/// What an event says; nothing if it is not known.
fn news_of(name: &str, data: &str) -> Option<News> {
    let event: Value = serde_json::from_str(data).ok()?;
    let document = || event.get("document").cloned();
    let text = |document: &Value, field: &str| document.get(field).and_then(Value::as_str).map(str::to_owned);
    Some(match name {
        "snapshot" => News::Snapshot(event),
        "health" => News::Health(document()?),
        "prediction" => {
            let document = document()?;
            News::Prediction { unit: text(&document, "unit")?, document, is_kept: false }
        }
        "state" => {
            let document = document()?;
            News::State { unit: text(&document, "unit")?, document: Some(document) }
        }
        "alarm" => {
            let document = document()?;
            News::Alarm {
                unit: text(&document, "unit"),
                id: text(&document, "id")?,
                document: Some(document),
            }
        }
        "alarm_cleared" => {
            let document = document()?;
            News::Alarm { unit: text(&document, "unit"), id: text(&document, "alarm")?, document: None }
        }
        "unit_evicted" => News::State { unit: text(&document()?, "unit")?, document: None },
        "missed" => News::Missed(event.get("count").and_then(Value::as_u64)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses() {
        let url: Url = "http://127.0.0.1:8000".parse().unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.authority.as_str(), url.path.as_str()),
            ("127.0.0.1", 8000, "127.0.0.1:8000", "")
        );
        let url: Url = "http://[::1]/twin/".parse().unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.authority.as_str(), url.path.as_str()),
            ("::1", 80, "[::1]", "/twin")
        );
        assert_eq!(url.to_string(), "http://[::1]/twin");
        for bad in ["box:8000", "https://box", "mqtt://box", "http://", "http://me:hush@box", ""] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }

    #[test]
    fn events_say_what_happens() {
        let document = json!({"unit": "c1", "id": "unit_silent"});
        let event = |name| news_of(name, &json!({"topic": "t", "document": document}).to_string());
        let unit = "c1".to_owned();
        assert_eq!(
            event("prediction"),
            Some(News::Prediction { unit: unit.clone(), document: document.clone(), is_kept: false })
        );
        assert_eq!(
            event("state"),
            Some(News::State { unit: unit.clone(), document: Some(document.clone()) })
        );
        assert_eq!(event("unit_evicted"), Some(News::State { unit: unit.clone(), document: None }));
        let id = "unit_silent".to_owned();
        assert_eq!(
            event("alarm"),
            Some(News::Alarm { unit: Some(unit.clone()), id: id.clone(), document: Some(document.clone()) })
        );
        let cleared = news_of("alarm_cleared", r#"{"document":{"unit":null,"alarm":"unit_silent"}}"#);
        assert_eq!(cleared, Some(News::Alarm { unit: None, id, document: None }));
        assert_eq!(news_of("missed", r#"{"count":3}"#), Some(News::Missed(3)));
        // What was removed, and what nobody knows.
        assert_eq!(news_of("state", r#"{"topic":"t","document":null}"#), None);
        assert_eq!(news_of("strange", "{}"), None);
        assert_eq!(news_of("health", "no JSON"), None);
    }
}
