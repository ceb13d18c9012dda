//! The live page: files as they are, in the program. They tell nothing, so no token is asked for them; what they show, they
//! ask for like anybody else.

use std::sync::Arc;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::app::App;
use super::routes::only;
use crate::bundle::seal::sha256_hex;

/// The page may use nothing but what comes from here. Names of units are written by whoever may publish to the broker: were
/// one ever taken for markup, it could still run nothing.
const POLICY: &str = "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// One file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// All files of the page. uPlot is the work of others: `page/uplot.LICENSE`.
static FILES: [File; 14] = [
    File { path: "/", kind: HTML, text: include_str!("page/index.html") },
    File { path: "/page.css", kind: CSS, text: include_str!("page/page.css") },
    File { path: "/uplot.css", kind: CSS, text: include_str!("page/uplot.css") },
    File { path: "/uplot.js", kind: JS, text: include_str!("page/uplot.js") },
    File { path: "/page.js", kind: JS, text: include_str!("page/page.js") },
    File { path: "/chart.js", kind: JS, text: include_str!("page/chart.js") },
    File { path: "/detail.js", kind: JS, text: include_str!("page/detail.js") },
    File { path: "/dom.js", kind: JS, text: include_str!("page/dom.js") },
    File { path: "/health.js", kind: JS, text: include_str!("page/health.js") },
    File { path: "/history.js", kind: JS, text: include_str!("page/history.js") },
    File { path: "/list.js", kind: JS, text: include_str!("page/list.js") },
    File { path: "/store.js", kind: JS, text: include_str!("page/store.js") },
    File { path: "/stream.js", kind: JS, text: include_str!("page/stream.js") },
    File { path: "/words.js", kind: JS, text: include_str!("page/words.js") },
];

/// Whether a path is one of the page's.
pub(super) fn has(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

/// The routes of all files.
pub(super) fn router() -> Router<Arc<App>> {
    FILES.iter().fold(Router::new(), |router, file| {
        let tag = tag(file.text);
        let serve = move |headers: HeaderMap| std::future::ready(answer(file, &tag, &headers));
        router.route(file.path, only("GET, HEAD", get(serve)))
    })
}

/// What changes when the file does.
fn tag(text: &str) -> HeaderValue {
    let quoted = format!("\"{}\"", sha256_hex(text.as_bytes()));
    // Digits and quotes are all that stands in it.
    HeaderValue::from_str(&quoted).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The file, or that it has not changed.
fn answer(file: &'static File, tag: &HeaderValue, headers: &HeaderMap) -> Response {
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|known| known == tag);
    let (status, text) = if known { (StatusCode::NOT_MODIFIED, "") } else { (StatusCode::OK, file.text) };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(file.kind)),
        // An upgraded daemon brings another page.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (ETAG, tag.clone()),
    ];
    (status, headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_whole_once_and_then_only_when_it_has_changed() {
        let file = &FILES[0];
        let tag = tag(file.text);
        let first = answer(file, &tag, &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[CONTENT_TYPE], HTML);
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(answer(file, &tag, &headers).status(), StatusCode::NOT_MODIFIED);
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"0123456789abcdef\""));
        assert_eq!(answer(file, &tag, &headers).status(), StatusCode::OK);
    }

    /// What a file names that is not served would be missing only in a browser.
    #[test]
    fn every_file_that_is_asked_for_is_served() {
        for file in FILES.iter().filter(|file| file.path != "/uplot.js") {
            let named = file.text.split(['"', '\'']).filter_map(|text| {
                let name = text.strip_prefix("./").unwrap_or(text);
                let kind = name.rsplit_once('.').map(|(_, kind)| kind);
                (matches!(kind, Some("js" | "css")) && !name.contains(char::is_whitespace)).then_some(name)
            });
            for name in named {
                assert!(has(&format!("/{name}")), "{} asks for {name}", file.path);
            }
        }
        assert!(has("/") && !has("/uplot.LICENSE"));
    }

    /// The promise is 150 KB with all headers, uncompressed.
    #[test]
    fn the_page_is_small() {
        const PROMISED_BYTES: usize = 150_000;
        const HEADER_BYTES: usize = 700;
        let all: usize = FILES.iter().map(|file| file.text.len() + HEADER_BYTES).sum();
        assert!(all <= PROMISED_BYTES, "{all} bytes");
    }
}
