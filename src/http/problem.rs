//! What is answered instead of what was asked for: RFC 9457, the same shape for every error.

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Media type of errors.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// When to try again after too much was asked at once, in seconds.
const RETRY_SECONDS: &str = "1";

/// Why a request is not answered as asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    detail: String,
    violations: Vec<Violation>,
    /// Violations beyond those listed.
    more: usize,
    /// Methods that the route has.
    allow: Option<&'static str>,
}

/// One value of a request that cannot be used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Violation {
    /// Its place in a batch, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sample: Option<usize>,
    /// The name it came under.
    pub(super) field: String,
    /// The value as it came, shortened; `null` when it is missing.
    pub(super) value: serde_json::Value,
    /// Why, in a word that stays the same over versions.
    pub(super) reason: &'static str,
    /// Why, in a sentence with the remedy.
    pub(super) message: String,
    /// What would be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allowed: Option<Allowed>,
}

/// A range with its unit of measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Allowed {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) unit: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), violations: Vec::new(), more: 0, allow: None }
    }

    /// Values that cannot be used, `more` beyond those listed.
    pub(super) fn violations(violations: Vec<Violation>, more: usize) -> Self {
        let count = violations.len() + more;
        let plural = if count == 1 { "value" } else { "values" };
        let detail = format!("{count} {plural} cannot be used; nothing was predicted");
        Self { violations, more, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    pub(super) fn method(allow: &'static str) -> Self {
        let detail = format!("this address answers to {allow}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// Too much is asked at once.
    pub(super) fn busy(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    violations: &'a [Violation],
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
}

// As serde wants it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            violations: &self.violations,
            more: self.more,
        };
        let mut body = Vec::with_capacity(256);
        crate::domain::prediction::write_json(&document, &mut body);
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}
