//! The body of a request: of the right kind, not too long, in time.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use super::super::app::App;
use super::super::problem::Problem;
use super::in_time;
use crate::daemon::settings::HttpTerms;

/// Longer bodies are in hand only a few at a time, as are those that do not say how long they are.
const LARGE: usize = 64 * 1024;

/// A body in hand.
pub(super) struct Received {
    bytes: Bytes,
    /// Held until it is answered.
    permit: Option<OwnedSemaphorePermit>,
}

impl Received {
    /// The place among the long ones, to be held until the answer has gone out.
    pub(super) fn take_permit(&mut self) -> Option<OwnedSemaphorePermit> {
        self.permit.take()
    }

    pub(super) fn text(&self) -> Result<&str, Problem> {
        std::str::from_utf8(&self.bytes)
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))
    }
}

/// Takes in the body of a request.
pub(super) async fn read(app: &App, terms: &HttpTerms, request: Request<Body>) -> Result<Received, Problem> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        let detail = "send JSON, with Content-Type: application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let most = terms.max_body;
    if length.is_some_and(|length: usize| length > most) {
        return Err(too_long(most));
    }
    let permit = if length.is_none_or(|length| length > LARGE) { Some(app.large()?) } else { None };
    let bytes = in_time(terms.timeout, collect(body, most)).await?;
    Ok(Received { bytes, permit })
}

/// All frames; of the usual one nothing is copied.
async fn collect(mut body: Body, most: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| Problem::new(StatusCode::BAD_REQUEST, "the body ended before its end");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if first.len() + all.len() + data.len() > most {
            return Err(too_long(most));
        }
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn too_long(most: usize) -> Problem {
    let detail = format!("the body has more than the {most} bytes that http.max_body allows");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return false };
    let kind = kind.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_json_is_read() {
        let judged = |kind: &'static str| {
            is_json(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x"] {
            assert!(judged(kind), "{kind}");
        }
        for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert!(!judged(kind), "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
