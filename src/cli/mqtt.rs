//! What the command line needs of MQTT: addresses and a plain client. The daemon has its own.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rumqttc::{AsyncClient, EventLoop, MqttOptions, NetworkOptions};

use super::Failure;

/// Port of MQTT without TLS.
const DEFAULT_PORT: u16 = 1883;
/// Largest packet either way: well above any frame of readings or prediction document.
const MAX_PACKET_BYTES: usize = 256 * 1024;
/// Requests that wait in the client; beyond it publishing waits for the broker.
const REQUESTS: usize = 64;
/// Longest wait for a connection, s.
const CONNECT_TIMEOUT_S: u64 = 5;

/// An address as it was asked for. Judged after the arguments are read: their parser would repeat a wrong one,
/// password and all.
#[derive(Debug, Clone)]
pub struct Asked(Result<Address, String>);

impl Asked {
    /// The address.
    ///
    /// # Errors
    /// It is none (exit code 64).
    pub fn address(&self) -> Result<&Address, Failure> {
        self.0.as_ref().map_err(|reason| Failure::usage(format!("--mqtt: {reason}")))
    }
}

impl FromStr for Asked {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.parse()))
    }
}

/// A broker: `mqtt://[USER:PASSWORD@]HOST[:PORT]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    login: Option<(String, String)>,
}

impl Address {
    /// A broker without login.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, login: None }
    }

    /// A client and its event loop; nothing is connected before the loop is polled.
    #[must_use]
    pub fn client(&self, name: &str) -> (AsyncClient, EventLoop) {
        let id = format!("cooltwin-{name}-{}", std::process::id());
        let mut options = MqttOptions::new(id, &self.host, self.port);
        options.set_keep_alive(Duration::from_secs(20));
        options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        let (client, mut event_loop) = AsyncClient::new(options, REQUESTS);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_TIMEOUT_S);
        event_loop.set_network_options(network);
        (client, event_loop)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected mqtt://[USER:PASSWORD@]HOST[:PORT]";
        let url = url::Url::parse(text).map_err(|error| format!("{error}; {expected}"))?;
        if url.scheme() != "mqtt" {
            return Err(format!("`{}://` is not supported here; {expected}", url.scheme()));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(expected)?;
        // An IPv6 address stands in brackets in a URL, and without them in a socket address.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let login = (!url.username().is_empty())
            .then(|| (url.username().to_owned(), url.password().unwrap_or_default().to_owned()));
        Ok(Self { host, port: url.port().unwrap_or(DEFAULT_PORT), login })
    }
}

impl fmt::Display for Address {
    /// Without the login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!("mqtt://box".parse(), Ok(Address::new("box", 1883)));
        assert_eq!("mqtt://[::1]:1884".parse(), Ok(Address::new("::1", 1884)));
        let secret: Address = "mqtt://me:hush@box:1".parse().unwrap();
        assert_eq!(secret.login, Some(("me".to_owned(), "hush".to_owned())));
        assert!(!format!("{secret} {secret:?}").contains("hush"));
        for bad in ["box:1883", "http://box", "mqtt://", "mqtts://box", ""] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
