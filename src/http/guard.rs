//! Who may ask. A web page that somebody on this machine looks at must not: its requests are known by the name they are
//! for (a name of its own that resolves to this machine) or by the page they come from.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::daemon::settings::HttpTerms;

/// What browsers say of a request: which site it comes from, what for, and what the answer becomes.
const SITE: &str = "sec-fetch-site";
const MODE: &str = "sec-fetch-mode";
const DESTINATION: &str = "sec-fetch-dest";

/// Judges requests before anything is made of them.
#[derive(Debug)]
pub(super) struct Guard {
    /// Hash of the token.
    token: Option<[u8; 32]>,
    /// Names that requests may be for; `None` when any will do, as whoever asks has to know the token.
    names: Option<Vec<String>>,
    /// Names of proxies.
    hosts: Vec<String>,
}

impl Guard {
    pub(super) fn new(terms: &HttpTerms) -> Self {
        Self {
            token: terms.token.as_ref().map(|token| hash(token.expose().as_bytes())),
            names: terms.is_local().then(|| [vec!["localhost".to_owned()], terms.hosts.clone()].concat()),
            hosts: terms.hosts.clone(),
        }
    }

    /// Lets a request pass or says why not. What is `public` tells nothing and needs no token.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap, public: bool) -> Result<(), Problem> {
        let authority = match uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => headers.get(HOST).map(text),
        };
        if let Some(names) = &self.names
            && let Some(authority) = authority
            && !is_known(name_of(authority), names)
        {
            let detail = "this address is for localhost only; a proxy's name belongs into http.hosts";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
        }
        if let Some(origin) = headers.get(ORIGIN).map(text) {
            let page = origin.split_once("://").map_or("", |(_, authority)| authority);
            let is_own = authority.is_some_and(|own| own.eq_ignore_ascii_case(page));
            if page.is_empty() || !(is_own || is_known_proxy(name_of(page), &self.hosts)) {
                return Err(Problem::new(StatusCode::FORBIDDEN, "web pages of other sites may not ask here"));
            }
        }
        // Pictures, scripts and frames of another page come without an origin, but browsers say whose they are. Who follows a
        // link to here is a person.
        let said = |name| headers.get(name).map_or("", text);
        let is_foreign = matches!(said(SITE), "cross-site" | "same-site") && headers.get(ORIGIN).is_none();
        let is_followed = said(MODE) == "navigate" && said(DESTINATION) == "document";
        if is_foreign && !is_followed {
            return Err(Problem::new(StatusCode::FORBIDDEN, "web pages of other sites may not ask here"));
        }
        match (&self.token, public) {
            (Some(token), false) => check_token(token, headers.get(AUTHORIZATION)),
            _ => Ok(()),
        }
    }
}

fn check_token(token: &[u8; 32], given: Option<&HeaderValue>) -> Result<(), Problem> {
    let refuse = |detail| Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    let Some(given) = given else {
        return refuse("a token is needed: send it as `Authorization: Bearer ...`");
    };
    let Some((scheme, rest)) = given.as_bytes().split_at_checked("bearer ".len()) else {
        return refuse("the token must be sent as `Authorization: Bearer ...`");
    };
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return refuse("the token must be sent as `Authorization: Bearer ...`");
    }
    // Hashes have one length and are compared to their ends: the time tells nothing of the token.
    let given = hash(rest.trim_ascii());
    let difference = given.iter().zip(token).fold(0, |all, (a, b)| all | (a ^ b));
    if std::hint::black_box(difference) == 0 { Ok(()) } else { refuse("the token is wrong") }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("")
}

/// The name or address without the port.
fn name_of(authority: &str) -> &str {
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority.get(..end).unwrap_or("")
}

fn is_known(name: &str, names: &[String]) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
        || is_known_proxy(name, names)
}

fn is_known_proxy(name: &str, names: &[String]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::daemon::settings::Secret;

    fn guard(listen: &str, token: Option<&str>) -> Guard {
        Guard::new(&HttpTerms {
            listen: listen.parse().unwrap(),
            token: token.map(Secret::new),
            hosts: vec!["twin.example".to_owned()],
            max_body: 1,
            timeout: Duration::ZERO,
            max_concurrent: 1,
        })
    }

    fn asked(guard: &Guard, headers: &[(&'static str, &str)]) -> u16 {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let outcome = guard.check(&Uri::from_static("/units"), &headers, false);
        outcome.map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_names_of_this_machine_are_answered_while_only_it_can_ask() {
        let local = guard("127.0.0.1:8000", None);
        for host in ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "twin.example:443"]
        {
            assert_eq!(asked(&local, &[("host", host)]), 200, "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "10.0.0.1", "", "[::2]", "[", "]:"]
        {
            assert_eq!(asked(&local, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(asked(&local, &[]), 200, "no browser leaves it out");
        let uri = Uri::from_static("http://evil.example/units");
        assert!(local.check(&uri, &HeaderMap::new(), true).is_err());
        let remote = guard("0.0.0.0:8000", Some("0123456789abcdef"));
        assert_eq!(
            asked(&remote, &[("host", "any.example"), ("authorization", "Bearer 0123456789abcdef")]),
            200
        );
    }

    #[test]
    fn pages_of_other_sites_may_not_ask() {
        let local = guard("127.0.0.1:8000", None);
        let from = |host, origin| asked(&local, &[("host", host), ("origin", origin)]);
        assert_eq!(from("localhost:8000", "http://localhost:8000"), 200);
        assert_eq!(from("127.0.0.1:8000", "https://twin.example"), 200);
        for origin in ["http://evil.example", "null", "", "http://localhost:3000", "http://", "file://"] {
            assert_eq!(from("localhost:8000", origin), 403, "{origin}");
        }
    }

    #[test]
    fn what_pages_of_other_sites_embed_is_refused_and_links_may_be_followed() {
        let local = guard("127.0.0.1:8000", None);
        let from = |site, mode, destination| {
            let said = [(SITE, site), (MODE, mode), (DESTINATION, destination), ("host", "localhost:8000")];
            asked(&local, &said)
        };
        for site in ["cross-site", "same-site"] {
            for (mode, destination) in
                [("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe"), ("", "")]
            {
                assert_eq!(from(site, mode, destination), 403, "{site} {mode} {destination}");
            }
            assert_eq!(from(site, "navigate", "document"), 200, "{site}: a link");
        }
        // Our own page, and an address that somebody typed.
        assert_eq!(from("same-origin", "cors", "empty"), 200);
        assert_eq!(from("none", "navigate", "document"), 200);
        // A page of a proxy's name, which may ask, says its origin.
        let proxied = [("host", "localhost:8000"), ("origin", "https://twin.example"), (SITE, "cross-site")];
        assert_eq!(asked(&local, &proxied), 200);
    }

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        let token = "0123456789abcdef";
        let guard = guard("127.0.0.1:8000", Some(token));
        for right in ["Bearer 0123456789abcdef", "bearer   0123456789abcdef", "BEARER 0123456789abcdef "] {
            assert_eq!(asked(&guard, &[("authorization", right)]), 200, "{right}");
        }
        let wrong = [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789ABCDEF",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ];
        for header in wrong {
            assert_eq!(asked(&guard, &[("authorization", header)]), 401, "{header}");
        }
        assert_eq!(asked(&guard, &[]), 401);
        assert!(guard.check(&Uri::from_static("/live"), &HeaderMap::new(), true).is_ok());
    }
}
