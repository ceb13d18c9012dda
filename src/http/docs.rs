//! The documentation page: what `/openapi.json` says, to be read and tried, without anything from elsewhere.

use axum::response::Response;

use super::routes::page as page_of;

const HTML: &str = include_str!("docs.html");

/// `GET /docs`.
pub(super) async fn page() -> Response {
    page_of(HTML)
}
