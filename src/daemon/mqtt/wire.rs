//! The way to the broker: TCP, TLS where wanted, the greeting; then packets in and out, both at once.
//!
//! Reading goes on while a write waits: a broker that first wants its own messages read would otherwise
//! block us, and we it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rumqttc::{Connect, Packet};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::connect::{Credentials, MAX_OUTGOING_BYTES};
use super::error::LinkError;
use super::frames::{Frame, Frames};
use crate::daemon::settings::Broker;

/// Room for one read: a batch of typical messages, and no more than a full TCP segment train.
const READ_BYTES: usize = 16 * 1024;
/// Bytes encoded ahead of the socket. Above it nothing more is encoded until the broker has taken some.
const WRITE_AHEAD_BYTES: usize = 16 * 1024;

/// Longest wait for the broker to close the connection we have left.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// What has happened on the wire.
#[derive(Debug, PartialEq)]
pub(super) enum Traffic {
    /// The broker sent something.
    Frame(Frame),
    /// All that was written is on its way.
    Flushed,
}

/// An open connection.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    frames: Frames,
    out: BytesMut,
    needs_flush: bool,
    /// When bytes last came in.
    last_read: Instant,
    /// Since when the socket has been taking nothing, while there was something to take.
    stalled_since: Option<Instant>,
}

impl Wire {
    fn new(socket: Box<dyn Socket>, max_payload_bytes: usize) -> Self {
        Self {
            socket,
            frames: Frames::new(max_payload_bytes),
            out: BytesMut::new(),
            needs_flush: false,
            last_read: Instant::now(),
            stalled_since: None,
        }
    }

    /// A wire to a test that plays the broker.
    #[cfg(test)]
    pub(super) fn over(socket: tokio::io::DuplexStream, max_payload_bytes: usize) -> Self {
        Self::new(Box::new(socket), max_payload_bytes)
    }

    /// When bytes last came in, be it a part of a message only.
    pub(super) fn last_read(&self) -> Instant {
        self.last_read
    }

    /// How long the broker has been taking nothing of what is written.
    pub(super) fn stalled(&self) -> Duration {
        self.stalled_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether another packet may be written now.
    pub(super) fn has_room(&self) -> bool {
        self.out.len() < WRITE_AHEAD_BYTES
    }

    /// Whether everything written has left for the broker.
    pub(super) fn is_flushed(&self) -> bool {
        self.out.is_empty() && !self.needs_flush
    }

    /// Encodes a packet; [`Wire::next`] sends it.
    pub(super) fn write(&mut self, packet: &Packet) -> Result<(), LinkError> {
        packet.write(&mut self.out, MAX_OUTGOING_BYTES)?;
        Ok(())
    }

    /// Sends what was written and waits for what comes. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Traffic, LinkError> {
        poll_fn(|context| self.poll(context)).await
    }

    /// What is there without waiting.
    pub(super) async fn ready(&mut self) -> Option<Result<Traffic, LinkError>> {
        poll_fn(|context| match self.poll(context) {
            Poll::Ready(traffic) => Poll::Ready(Some(traffic)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Traffic, LinkError>> {
        if let Poll::Ready(flushed) = self.poll_send(context)
            && let Some(flushed) = flushed.transpose()
        {
            return Poll::Ready(flushed);
        }
        loop {
            if let Some(frame) = self.frames.next()? {
                return Poll::Ready(Ok(Traffic::Frame(frame)));
            }
            self.frames.buffer.reserve(READ_BYTES);
            let read = pin!(self.socket.read_buf(&mut self.frames.buffer)).poll(context);
            match ready!(read) {
                Ok(0) => return Poll::Ready(Err(LinkError::Closed)),
                Ok(_) => self.last_read = Instant::now(),
                Err(error) => return Poll::Ready(Err(LinkError::from_io(&error))),
            }
        }
    }

    /// Sends as much as the socket takes; `Flushed` once, when nothing is left.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Traffic>, LinkError>> {
        let failed = |error: std::io::Error| LinkError::from_io(&error);
        while !self.out.is_empty() {
            match Pin::new(&mut self.socket).poll_write(context, &self.out) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(LinkError::Closed)),
                Poll::Ready(Ok(taken)) => {
                    self.out.advance(taken);
                    self.needs_flush = true;
                    self.stalled_since = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(failed(error))),
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
        if !self.needs_flush {
            return Poll::Ready(Ok(None));
        }
        if Pin::new(&mut self.socket).poll_flush(context).map_err(failed)?.is_pending() {
            self.stalled_since.get_or_insert_with(Instant::now);
            return Poll::Pending;
        }
        self.needs_flush = false;
        self.stalled_since = None;
        Poll::Ready(Ok(Some(Traffic::Flushed)))
    }

    /// Sends all that was written, closes our half, and waits a moment for the broker to close its own: a
    /// connection that is dropped with messages unread is reset, and takes with it what was just sent.
    pub(super) async fn leave(&mut self, limit: Duration) -> Result<(), LinkError> {
        let sent = async {
            while !self.is_flushed() {
                self.next().await?;
            }
            let failed = |error: std::io::Error| LinkError::from_io(&error);
            self.socket.shutdown().await.map_err(failed)
        };
        timeout(limit, sent).await.map_err(|_| LinkError::WriteStalled)??;
        let closed = async { while self.next().await.is_ok() {} };
        // What was sent is on its way; the rest is courtesy.
        let _ = timeout(LEAVE_TIMEOUT.min(limit), closed).await;
        Ok(())
    }

    /// Opens a connection and greets; says whether the broker still knew the session.
    pub(super) async fn open(
        broker: &Broker,
        credentials: Credentials,
        max_payload_bytes: usize,
        limit: Duration,
    ) -> Result<(Self, bool), LinkError> {
        let deadline = Instant::now() + limit;
        let tcp = dial(broker, deadline).await?;
        let greeted = async {
            let socket: Box<dyn Socket> = match credentials.tls {
                None => Box::new(tcp),
                Some(config) => {
                    let name = ServerName::try_from(broker.host.clone())
                        .map_err(|error| LinkError::Tls(format!("{}: {error}", broker.host)))?;
                    let handshake = TlsConnector::from(config).connect(name, tcp).await;
                    Box::new(handshake.map_err(|error| LinkError::from_handshake(&error))?)
                }
            };
            let mut wire = Self::new(socket, max_payload_bytes);
            let session_present = wire.greet(credentials.greeting).await?;
            Ok((wire, session_present))
        };
        timeout_at(deadline, greeted).await.map_err(|_| LinkError::NoAnswer)?
    }

    async fn greet(&mut self, greeting: Connect) -> Result<bool, LinkError> {
        self.write(&Packet::Connect(greeting))?;
        loop {
            match self.next().await {
                Ok(Traffic::Flushed) => {}
                Ok(Traffic::Frame(Frame::Packet(Packet::ConnAck(answer)))) => {
                    return match LinkError::from_answer(answer.code) {
                        None => Ok(answer.session_present),
                        Some(refused) => Err(refused),
                    };
                }
                Ok(Traffic::Frame(_)) => {
                    return Err(LinkError::Protocol("it does not answer CONNECT with CONNACK".to_owned()));
                }
                Err(LinkError::Closed) => return Err(LinkError::NoGreeting),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Tries the host's addresses in turn; each may take its share of the time.
async fn dial(broker: &Broker, deadline: Instant) -> Result<TcpStream, LinkError> {
    let address = format!("{}:{}", broker.host, broker.port);
    let found = timeout_at(deadline, lookup_host(address)).await;
    let found = found.map_err(|_| LinkError::Unresolved("the name server does not answer".to_owned()))?;
    let addresses: Vec<_> = found.map_err(|error| LinkError::Unresolved(error.to_string()))?.collect();
    let mut last = LinkError::Unresolved("it has no address".to_owned());
    for (position, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - position).unwrap_or(1);
        last = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // Without it small packets wait for the confirmation of earlier ones: 20 ms instead of one.
                tcp.set_nodelay(true).map_err(|error| LinkError::from_io(&error))?;
                return Ok(tcp);
            }
            Ok(Err(error)) => LinkError::from_dial(&error),
            Err(_) => LinkError::Unreachable("no answer within mqtt.connect_timeout".to_owned()),
        };
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use rumqttc::{Publish, QoS};
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// A wire and the broker's end of it, between which little fits.
    fn pair() -> (Wire, DuplexStream) {
        let (ours, theirs) = duplex(64);
        (Wire::over(ours, 1000), theirs)
    }

    fn large() -> Packet {
        Packet::Publish(Publish::new("t", QoS::AtMostOnce, vec![b'x'; 2 * WRITE_AHEAD_BYTES]))
    }

    #[tokio::test]
    async fn reading_goes_on_while_the_broker_takes_nothing() {
        let (mut wire, mut broker) = pair();
        wire.write(&large()).unwrap();
        assert!(!wire.has_room());
        assert!(wire.ready().await.is_none());
        broker.write_all(&[0xD0, 0]).await.unwrap();
        assert_eq!(wire.next().await.unwrap(), Traffic::Frame(Frame::Packet(Packet::PingResp)));
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(wire.stalled() > Duration::ZERO && !wire.is_flushed());
        // As soon as the broker takes it, all of it goes.
        let mut taken = vec![0; 2 * WRITE_AHEAD_BYTES];
        let (traffic, read) = tokio::join!(wire.next(), broker.read_exact(&mut taken));
        read.unwrap();
        assert_eq!(traffic.unwrap(), Traffic::Flushed);
        assert!(wire.stalled().is_zero() && wire.is_flushed() && wire.has_room());
    }

    #[tokio::test]
    async fn a_broker_that_hangs_up_before_its_answer_is_told_from_one_that_refuses() {
        let (mut wire, broker) = pair();
        drop(broker);
        assert_eq!(wire.greet(Connect::new("id")).await.unwrap_err().kind(), "no_greeting");
        for (answer, kind) in [([0x20, 2, 0, 5], "authentication"), ([0x20, 2, 0, 2], "rejected")] {
            let (mut wire, mut broker) = pair();
            broker.write_all(&answer).await.unwrap();
            assert_eq!(wire.greet(Connect::new("id")).await.unwrap_err().kind(), kind);
        }
        let (mut wire, mut broker) = pair();
        broker.write_all(&[0x20, 2, 1, 0]).await.unwrap();
        assert!(wire.greet(Connect::new("id")).await.unwrap(), "session present");
    }

    #[tokio::test]
    async fn parts_of_a_message_are_signs_of_life() {
        let (mut wire, mut broker) = pair();
        let before = wire.last_read();
        tokio::time::sleep(Duration::from_millis(2)).await;
        broker.write_all(&[0x30, 100, 0]).await.unwrap();
        assert!(wire.ready().await.is_none(), "the message is not whole");
        assert!(wire.last_read() > before);
    }

    #[tokio::test]
    async fn leaving_waits_until_all_is_sent_and_the_broker_has_closed() {
        let (mut wire, mut broker) = pair();
        wire.write(&large()).unwrap();
        wire.write(&Packet::Disconnect).unwrap();
        let taking = async {
            let mut taken = Vec::new();
            broker.read_to_end(&mut taken).await.unwrap();
            drop(broker);
            taken
        };
        let (left, taken) = tokio::join!(wire.leave(Duration::from_secs(30)), taking);
        left.unwrap();
        assert_eq!(taken[taken.len() - 2..], [0xE0, 0]);
        assert!(taken.len() > 2 * WRITE_AHEAD_BYTES);
    }
}
