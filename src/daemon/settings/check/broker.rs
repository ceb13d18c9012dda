//! Where the broker is, and whether what travels there can be read on the way.

use std::net::IpAddr;

use url::{Host, Url};

use crate::daemon::settings::MqttSettings;
use crate::daemon::settings::problem::Problem;

/// Port of MQTT without TLS.
const PLAIN_PORT: u16 = 1883;
/// Port of MQTT with TLS.
const TLS_PORT: u16 = 8883;
const EXAMPLE: &str = "write it as mqtt://host:1883, or mqtts://host:8883 for TLS";

/// The broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether to speak TLS.
    pub is_tls: bool,
}

impl std::fmt::Display for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", if self.is_tls { "mqtts" } else { "mqtt" }, self.host, self.port)
    }
}

/// Reads `mqtt.url` and judges what it means for who can listen.
pub(super) fn check(
    mqtt: &MqttSettings,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<Broker> {
    let broker = address(&mqtt.url).map_err(|problem| problems.push(problem)).ok()?;
    if broker.is_tls || is_loopback(&broker.host) {
        return Some(broker);
    }
    let what = if mqtt.password.is_some() || mqtt.password_file.is_some() {
        "the password and all readings travel in clear text"
    } else {
        "all readings travel in clear text"
    };
    if mqtt.allow_plain {
        warnings.push(format!("plain MQTT to {broker}: {what}, as mqtt.allow_plain allows"));
    } else {
        problems.push(Problem::new(
            "mqtt.url",
            format!("\"{}\"", mqtt.url),
            format!("{what} beyond this machine"),
            "use mqtts://, or set mqtt.allow_plain = true if nobody else is on that network",
        ));
    }
    Some(broker)
}

fn address(written: &str) -> Result<Broker, Problem> {
    // Not shown: what is no plain address may hold a password anywhere.
    let problem = |reason: String, remedy: &str| Problem::new("mqtt.url", None, reason, remedy);
    let url = Url::parse(written).map_err(|error| problem(format!("is no URL: {error}"), EXAMPLE))?;
    if written.contains('@') {
        let remedy = "put them into mqtt.username and mqtt.password_file";
        return Err(problem("must not hold user name or password".to_owned(), remedy));
    }
    let is_tls = match url.scheme() {
        "mqtt" => false,
        "mqtts" => true,
        other => return Err(problem(format!("the scheme `{other}` is not spoken here"), EXAMPLE)),
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(problem("has more than host and port".to_owned(), EXAMPLE));
    }
    let host = match url.host() {
        // Addresses in URLs of unknown schemes come out as domains; they are read again where it matters.
        Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(_)) if is_tls => {
            let reason = "an IPv6 address cannot be checked against a certificate here";
            return Err(problem(reason.to_owned(), "use the broker's host name"));
        }
        Some(Host::Ipv6(address)) => format!("[{address}]"),
        _ => return Err(problem("names no host".to_owned(), EXAMPLE)),
    };
    let port = url.port().unwrap_or(if is_tls { TLS_PORT } else { PLAIN_PORT });
    Ok(Broker { host, port, is_tls })
}

/// Whether the host is this machine whatever a name server says: `localhost` itself, which the machine's own
/// hosts file answers, and loopback addresses. A name that merely resolves to one today is somebody else's
/// to change: whoever answers the DNS query could have the password sent to himself.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(url: &str, allow_plain: bool) -> (Vec<String>, Vec<String>) {
        let mqtt = MqttSettings { url: url.to_owned(), allow_plain, ..MqttSettings::default() };
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        check(&mqtt, &mut problems, &mut warnings);
        (problems.iter().map(ToString::to_string).collect(), warnings)
    }

    #[test]
    fn plain_mqtt_beyond_this_machine_is_asked_for_or_refused() {
        for url in
            ["mqtt://broker.lan", "mqtt://10.0.0.7:1884", "mqtt://[fd00::1]", "mqtt://localhost.evil.example"]
        {
            let (problems, warnings) = judged(url, false);
            assert!(problems.len() == 1 && warnings.is_empty(), "{url}: {problems:?} {warnings:?}");
            assert!(problems[0].contains("clear text") && problems[0].contains("mqtt.allow_plain = true"));
            let (problems, warnings) = judged(url, true);
            assert!(problems.is_empty() && warnings.len() == 1, "{url}: {problems:?} {warnings:?}");
            assert!(warnings[0].contains("clear text") && warnings[0].contains("mqtt.allow_plain"));
        }
    }

    #[test]
    fn this_machine_and_tls_need_no_permission() {
        let urls = [
            "mqtt://localhost",
            "mqtt://LocalHost:1883",
            "mqtt://127.0.0.1",
            "mqtt://127.8.9.10:1",
            "mqtt://[::1]",
            "mqtts://broker.lan",
            "mqtts://10.0.0.7",
        ];
        for url in urls {
            assert_eq!(judged(url, false), (vec![], vec![]), "{url}");
        }
    }

    #[test]
    fn what_only_looks_like_this_machine_is_not_taken_for_it() {
        let urls = [
            "mqtt://0.0.0.0",
            "mqtt://[::]",
            "mqtt://[::ffff:127.0.0.1]",
            "mqtt://127.0.0.1.nip.io",
            "mqtt://localhost.localdomain",
            "mqtt://127.1",
            "mqtt://localhost%2eexample",
        ];
        for url in urls {
            assert_eq!(judged(url, false).0.len(), 1, "{url}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let urls = [
            "mqtt://u:hunter2@host",
            "mqtts://u:hunter2@host:8883",
            "mqtt://hunter2@host",
            "mqtt://:hunter2@host",
            "mqtt:u:hunter2@host",
            "mqtt://u:hunter2",
            "mqtt://host/hunter2",
            "u:hunter2@host",
            "://u:hunter2@",
            "ftp://u:hunter2@host",
            "mqtt://host/?password=hunter2",
            "mqtt://host/#hunter2",
            "mqtt://u:hunter2@[::1",
            "mqtt://u:hunter2@host:99999",
        ];
        for url in urls {
            let (problems, warnings) = judged(url, true);
            assert!(problems.len() == 1 && warnings.is_empty(), "{url}: {problems:?}");
            assert!(!problems[0].contains("hunter2"), "{url}: {problems:?}");
        }
    }
}
