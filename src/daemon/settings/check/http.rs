//! Where to listen for HTTP, and who may ask there.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::daemon::settings::files::{self, Content};
use crate::daemon::settings::problem::Problem;
use crate::daemon::settings::{HttpSettings, Secret};

/// Shortest token: below it, it could be guessed.
const MIN_TOKEN_BYTES: usize = 16;
/// Longest token: it comes with every request.
const MAX_TOKEN_BYTES: usize = 256;
/// Longest file with a token: the token and the end of its line.
const MAX_TOKEN_FILE_BYTES: u64 = MAX_TOKEN_BYTES as u64 + 2;
/// Where nobody but this machine can ask.
const LISTEN_EXAMPLE: &str = "write it as \"127.0.0.1:8000\", or \"[::1]:8000\"";
const TOKEN_REMEDY: &str =
    "use 16 to 256 letters, digits and signs without blanks, as `openssl rand -hex 24` prints them";

/// How to serve HTTP, as the settings mean it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTerms {
    /// Address and port.
    pub listen: SocketAddr,
    /// What callers must know.
    pub token: Option<Secret>,
    /// Names beside `localhost` that requests may be for while only this machine can ask; in small letters.
    pub hosts: Vec<String>,
    /// Longest body, in bytes.
    pub max_body: usize,
    /// Longest time for a request to arrive or to be answered.
    pub timeout: Duration,
    /// Most connections at once.
    pub max_concurrent: usize,
}

impl HttpTerms {
    /// Whether only this machine can ask.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_loopback(self.listen.ip())
    }
}

fn is_loopback(address: IpAddr) -> bool {
    // ::ffff:127.0.0.1 is this machine too.
    address.to_canonical().is_loopback()
}

/// What the settings of `[http]` mean; `None` when there is to be no HTTP, or when something is wrong.
pub(super) fn check(
    http: &HttpSettings,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<HttpTerms> {
    let listen = http.listen.parse::<SocketAddr>().map_err(|_| {
        let value = format!("\"{}\"", http.listen);
        problems.push(Problem::new("http.listen", value, "is no address with a port", LISTEN_EXAMPLE));
    });
    let token = token(http, problems, warnings);
    let hosts: Vec<String> = http.hosts.iter().flat_map(|names| names.split(',')).map(plain_name).collect();
    if let Some(wrong) = hosts.iter().find(|name| !is_host(name)) {
        let reason = format!("names `{wrong}`, which is no host name");
        let remedy = "write names without port, with commas between: \"twin.example.org, twin\"";
        problems.push(Problem::new(
            "http.hosts",
            http.hosts.as_ref().map(|hosts| format!("\"{hosts}\"")),
            reason,
            remedy,
        ));
    }
    let (listen, token) = (listen.ok()?, token.ok()?);
    let terms = HttpTerms {
        listen,
        token,
        hosts,
        max_body: http.max_body,
        timeout: http.timeout,
        max_concurrent: http.max_concurrent,
    };
    if http.enabled && !terms.is_local() {
        if terms.token.is_none() {
            let reason = "lets everybody ask who can reach this machine";
            let remedy = "set http.token_file (or http.token), or listen on 127.0.0.1";
            problems.push(Problem::new("http.listen", format!("\"{}\"", http.listen), reason, remedy));
        }
        warnings.push(format!(
            "http.listen = \"{listen}\": the token and all answers travel in clear text beyond this machine; let a proxy with \
             TLS ask on 127.0.0.1 instead"
        ));
    }
    if http.enabled && terms.is_local() && !terms.hosts.is_empty() && terms.token.is_none() {
        warnings.push(
            "http.hosts: a proxy passes on requests of other machines; without http.token it alone decides who may ask".to_owned(),
        );
    }
    http.enabled.then_some(terms)
}

fn plain_name(written: &str) -> String {
    written.trim().to_ascii_lowercase()
}

fn is_host(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// The token, from the settings or from its file.
fn token(
    http: &HttpSettings,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Result<Option<Secret>, ()> {
    if http.token.is_some() && http.token_file.is_some() {
        problems.push(Problem::new(
            "http.token_file",
            None,
            "stands beside http.token",
            "keep one of the two",
        ));
        return Err(());
    }
    let (key, token) = match (&http.token, &http.token_file) {
        (Some(token), _) => ("http.token", token.clone()),
        (None, Some(path)) => ("http.token_file", read(path, problems, warnings)?),
        (None, None) => return Ok(None),
    };
    // Never shown, wrong or right.
    let length = token.expose().len();
    if !(MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&length) {
        problems.push(Problem::new(key, None, format!("has {length} bytes"), TOKEN_REMEDY));
        return Err(());
    }
    if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        problems.push(Problem::new(
            key,
            None,
            "has blanks or characters that no header can carry",
            TOKEN_REMEDY,
        ));
        return Err(());
    }
    Ok(Some(token))
}

fn read(path: &Path, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) -> Result<Secret, ()> {
    let found = files::inspect(path, Content::Secret)
        .and_then(|warning| Ok((warning, files::read_text(path, MAX_TOKEN_FILE_BYTES)?)));
    match found {
        Ok((warning, text)) => {
            warnings.extend(warning.map(|warning| format!("http.token_file {warning}")));
            Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
        }
        Err(reason) => {
            let remedy = "name a file that this user may read and nobody else may change";
            problems.push(Problem::new("http.token_file", super::quoted(path), reason, remedy));
            Err(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn judged(http: &HttpSettings) -> (Option<HttpTerms>, Vec<String>, Vec<String>) {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let terms = check(http, &mut problems, &mut warnings);
        (terms, problems.iter().map(ToString::to_string).collect(), warnings)
    }

    fn at(listen: &str, token: Option<&str>) -> HttpSettings {
        HttpSettings { listen: listen.to_owned(), token: token.map(Secret::new), ..HttpSettings::default() }
    }

    #[test]
    fn this_machine_needs_no_token_and_every_other_does() {
        for listen in ["127.0.0.1:8000", "127.9.9.9:0", "[::1]:8000", "[::ffff:127.0.0.1]:1"] {
            let (terms, problems, warnings) = judged(&at(listen, None));
            assert!(terms.unwrap().is_local() && problems.is_empty() && warnings.is_empty(), "{listen}");
        }
        for listen in ["0.0.0.0:8000", "[::]:8000", "10.0.0.7:80"] {
            let (_, problems, _) = judged(&at(listen, None));
            assert!(problems.len() == 1 && problems[0].contains("set http.token_file"), "{problems:?}");
            let (terms, problems, warnings) = judged(&at(listen, Some(TOKEN)));
            assert!(!terms.unwrap().is_local() && problems.is_empty(), "{listen}: {problems:?}");
            assert!(warnings[0].contains("clear text"), "{warnings:?}");
            let off = HttpSettings { enabled: false, ..at(listen, None) };
            assert_eq!(judged(&off), (None, vec![], vec![]));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for listen in ["", "8000", "localhost:8000", "127.0.0.1", "127.0.0.1:65536", "::1:8000"] {
            let (terms, problems, _) = judged(&at(listen, None));
            assert!(terms.is_none() && problems.len() == 1, "{listen}: {problems:?}");
            assert!(problems[0].contains("no address with a port") && problems[0].contains("127.0.0.1:8000"));
        }
    }

    #[test]
    fn tokens_that_can_be_guessed_or_not_sent_are_refused_without_being_told() {
        for token in ["", "short", "with blanks in between them", "with-ümlauts-in-between", &"x".repeat(257)]
        {
            let (terms, problems, _) = judged(&at("127.0.0.1:1", Some(token)));
            assert!(terms.is_none() && problems.len() == 1, "{token}");
            assert!(token.is_empty() || !problems[0].contains(token), "{}", problems[0]);
        }
    }

    #[test]
    fn a_token_comes_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let mut http = HttpSettings { token_file: Some(file.clone()), ..HttpSettings::default() };
        assert!(judged(&http).1[0].contains("cannot be read"));
        std::fs::write(&file, format!("{TOKEN}\r\n")).unwrap();
        let (terms, problems, warnings) = judged(&http);
        assert_eq!((terms.unwrap().token, problems), (Some(Secret::new(TOKEN)), vec![]));
        assert!(warnings[0].contains("chmod o-r"), "{warnings:?}");
        http.token = Some(Secret::new(TOKEN));
        assert!(judged(&http).1[0].contains("keep one of the two"));
    }

    #[test]
    fn names_of_proxies() {
        let with = |hosts: &str| HttpSettings { hosts: Some(hosts.to_owned()), ..HttpSettings::default() };
        let (terms, problems, warnings) = judged(&with("Twin.example.org, twin"));
        assert_eq!(
            (terms.unwrap().hosts, problems),
            (vec!["twin.example.org".to_owned(), "twin".to_owned()], vec![])
        );
        assert!(warnings[0].contains("without http.token"), "{warnings:?}");
        let known = HttpSettings { token: Some(Secret::new(TOKEN)), ..with("twin") };
        assert_eq!(judged(&known).2, Vec::<String>::new());
        for wrong in ["", "a,,b", "a:80", "http://a", "a/b"] {
            assert!(judged(&with(wrong)).1[0].contains("no host name"), "{wrong}");
        }
    }
}
