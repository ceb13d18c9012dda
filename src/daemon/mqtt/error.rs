//! Why a connection ended, in words a gateway owner can act on.

use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

/// Why a connection ended or could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("{0}")]
    Setup(String),
    #[error("no answer within mqtt.connect_timeout")]
    ConnectTimeout,
    #[error("{0}")]
    Refused(&'static str),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("{0}")]
    Network(String),
    #[error("the broker closed the connection: it stopped, or another client uses the same client id")]
    Closed,
    #[error("the broker does not answer")]
    Unresponsive,
    #[error("the broker confirms nothing that is published")]
    Unconfirmed,
    #[error("a message of {0} bytes is too large to be read; the session is given up to get past it")]
    Oversize(usize),
    #[error("a message cannot be decoded ({0}); the session is given up to get past it")]
    Malformed(String),
    #[error("the broker broke the protocol: {0}")]
    Protocol(String),
}

impl LinkError {
    /// The cause in a word, for statistics and filters.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Setup(_) => "setup",
            Self::ConnectTimeout => "connect_timeout",
            Self::Refused(_) => "refused",
            Self::Tls(_) => "tls",
            Self::Network(_) => "network",
            Self::Closed => "closed",
            Self::Unresponsive => "unresponsive",
            Self::Unconfirmed => "unconfirmed",
            Self::Oversize(_) => "oversize",
            Self::Malformed(_) => "malformed",
            Self::Protocol(_) => "protocol",
        }
    }

    /// Whether the broker would deliver the cause again and again as long as it keeps the session.
    pub(super) fn is_poison(&self) -> bool {
        matches!(self, Self::Oversize(_) | Self::Malformed(_))
    }
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::MqttState(error) => error.into(),
            ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => Self::ConnectTimeout,
            ConnectionError::Tls(error) => Self::Tls(error.to_string()),
            ConnectionError::Io(error) => Self::Network(error.to_string()),
            ConnectionError::ConnectionRefused(code) => Self::Refused(match code {
                ConnectReturnCode::BadUserNamePassword => {
                    "the broker refuses user name or password; check mqtt.username and the password"
                }
                ConnectReturnCode::NotAuthorized => {
                    "the broker does not admit this client; check mqtt.username, the password and its access list"
                }
                ConnectReturnCode::BadClientId => "the broker refuses the client id; check mqtt.client_id",
                ConnectReturnCode::ServiceUnavailable => "the broker says it is unavailable",
                _ => "the broker does not speak MQTT 3.1.1",
            }),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<StateError> for LinkError {
    fn from(error: StateError) -> Self {
        use rumqttc::mqttbytes::Error;
        match error {
            StateError::ConnectionAborted => Self::Closed,
            StateError::Deserialization(Error::PayloadSizeLimitExceeded(size)) => Self::Oversize(size),
            StateError::Io(error) | StateError::Deserialization(Error::Io(error)) => {
                Self::Network(error.to_string())
            }
            StateError::Deserialization(error) => Self::Malformed(error.to_string()),
            other => Self::Protocol(other.to_string()),
        }
    }
}
