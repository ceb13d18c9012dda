//! Why a connection ended, in words a gateway owner can act on.

use std::io;

use rumqttc::ConnectReturnCode;
use rumqttc::mqttbytes::Error as CodecError;

/// The cause by which a fight for the client id is known.
pub(in crate::daemon) const TAKEN_OVER: &str = "taken_over";

/// Why a connection ended or could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("{0}")]
    Setup(String),
    #[error("the broker's name cannot be resolved ({0}); check mqtt.url and the name server")]
    Unresolved(String),
    #[error("the broker's host cannot be reached ({0}); check the network and mqtt.url")]
    Unreachable(String),
    #[error(
        "the connection is refused: nothing listens there; start the broker, or check the port in mqtt.url"
    )]
    NotListening,
    #[error("the broker's host accepts the connection, but does not answer within mqtt.connect_timeout")]
    NoAnswer,
    #[error(
        "the broker closes the connection instead of answering; check mqtt.url: it may expect TLS \
         (mqtts://), or take no more clients"
    )]
    NoGreeting,
    #[error("{0}")]
    Authentication(&'static str),
    #[error("{0}")]
    Rejected(&'static str),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("the connection broke: {0}")]
    Network(String),
    #[error("the broker closed the connection: it stopped, or its access list does not allow what is sent")]
    Closed,
    #[error(
        "the broker has closed {times} connections in a row soon after accepting them: most likely another \
         client uses the client id `{client_id}` too, and each takes over the other's session; give one of them \
         another instance.name or mqtt.client_id. If there is none, the broker may refuse what is published: see its log and its access list"
    )]
    TakenOver { times: u32, client_id: String },
    #[error("the broker does not answer any more")]
    Unresponsive,
    #[error("the broker does not take what is sent")]
    WriteStalled,
    #[error("the broker confirms nothing that is published")]
    Unconfirmed,
    #[error("the broker broke the protocol: {0}")]
    Protocol(String),
}

impl LinkError {
    /// The cause in a word that stays the same over versions, for statistics and filters.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Setup(_) => "setup",
            Self::Unresolved(_) => "unresolved",
            Self::Unreachable(_) => "unreachable",
            Self::NotListening => "not_listening",
            Self::NoAnswer => "no_answer",
            Self::NoGreeting => "no_greeting",
            Self::Authentication(_) => "authentication",
            Self::Rejected(_) => "rejected",
            Self::Tls(_) => "tls",
            Self::Network(_) => "network",
            Self::Closed => "closed",
            Self::TakenOver { .. } => TAKEN_OVER,
            Self::Unresponsive => "unresponsive",
            Self::WriteStalled => "write_stalled",
            Self::Unconfirmed => "unconfirmed",
            Self::Protocol(_) => "protocol",
        }
    }

    /// What a failed read or write on an open connection means.
    pub(super) fn from_io(error: &io::Error) -> Self {
        if let Some(tls) = tls_error(error) {
            return Self::Tls(tls.to_string());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Network(error.to_string()),
        }
    }

    /// What a failed attempt to reach the host means.
    pub(super) fn from_dial(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::NotListening,
            _ => Self::Unreachable(error.to_string()),
        }
    }

    /// What a failed TLS handshake means.
    pub(super) fn from_handshake(error: &io::Error) -> Self {
        match (tls_error(error), error.kind()) {
            (Some(tls), _) => Self::Tls(tls.to_string()),
            (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Self::Tls(
                "the broker closes the connection during the handshake; does it speak TLS at this port?"
                    .into(),
            ),
            (None, _) => Self::Tls(error.to_string()),
        }
    }

    /// What a refusing CONNACK means; `None` when it accepts.
    pub(super) fn from_answer(code: ConnectReturnCode) -> Option<Self> {
        Some(match code {
            ConnectReturnCode::Success => return None,
            ConnectReturnCode::BadUserNamePassword => Self::Authentication(
                "the broker refuses user name or password; check mqtt.username and the password",
            ),
            ConnectReturnCode::NotAuthorized => Self::Authentication(
                "the broker does not admit this client; check mqtt.username, the password and the broker's access list",
            ),
            ConnectReturnCode::BadClientId => {
                Self::Rejected("the broker refuses the client id; check mqtt.client_id")
            }
            ConnectReturnCode::ServiceUnavailable => Self::Rejected("the broker says it is unavailable"),
            ConnectReturnCode::RefusedProtocolVersion => {
                Self::Rejected("the broker does not speak MQTT 3.1.1")
            }
        })
    }
}

/// The TLS error inside an I/O error: since TLS 1.3 a refused client certificate shows at the first read.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

impl From<CodecError> for LinkError {
    fn from(error: CodecError) -> Self {
        Self::Protocol(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_that_need_different_remedies_are_told_apart() {
        let io = |kind: io::ErrorKind| io::Error::from(kind);
        let kind = |error: LinkError| error.kind();
        assert_eq!(kind(LinkError::from_io(&io(io::ErrorKind::ConnectionReset))), "closed");
        assert_eq!(kind(LinkError::from_io(&io(io::ErrorKind::HostUnreachable))), "network");
        assert_eq!(kind(LinkError::from_dial(&io(io::ErrorKind::ConnectionRefused))), "not_listening");
        assert_eq!(kind(LinkError::from_dial(&io(io::ErrorKind::HostUnreachable))), "unreachable");
        assert_eq!(kind(LinkError::from_handshake(&io(io::ErrorKind::UnexpectedEof))), "tls");
        let answers = [
            (ConnectReturnCode::BadUserNamePassword, "authentication"),
            (ConnectReturnCode::NotAuthorized, "authentication"),
            (ConnectReturnCode::BadClientId, "rejected"),
            (ConnectReturnCode::RefusedProtocolVersion, "rejected"),
        ];
        for (code, expected) in answers {
            assert_eq!(LinkError::from_answer(code).map(kind), Some(expected));
        }
        assert!(LinkError::from_answer(ConnectReturnCode::Success).is_none());
    }

    #[test]
    fn a_certificate_refused_after_the_handshake_is_a_tls_failure() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        let error = io::Error::new(io::ErrorKind::InvalidData, alert);
        assert_eq!(LinkError::from_io(&error).kind(), "tls");
    }
}
