//! MQTT 3.1.1 by hand, with rumqttc's codec: for those who must decide themselves what is acknowledged, when
//! it is read, and under which id they come.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rumqttc::QoS;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::{Connect, Packet, Publish};

use super::{LOOK_AGAIN, PATIENCE};

/// Largest packet either way.
const MAX_PACKET_BYTES: usize = 64 * 1024 * 1024;
/// Read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// One open connection to a broker.
pub(crate) struct Wire {
    stream: TcpStream,
    incoming: BytesMut,
    outgoing: BytesMut,
    buffer: Vec<u8>,
    /// Whether the broker still knew the session.
    pub(crate) session_present: bool,
}

impl Wire {
    /// Connects without keep-alive: whoever is silent here is silent on purpose.
    pub(crate) fn open(port: u16, id: &str, clean_session: bool) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (incoming, outgoing) = (BytesMut::new(), BytesMut::new());
        let buffer = vec![0; BUFFER_BYTES];
        let mut wire = Self { stream, incoming, outgoing, buffer, session_present: false };
        let mut connect = Connect::new(id);
        connect.keep_alive = 0;
        connect.clean_session = clean_session;
        wire.push(&Packet::Connect(connect));
        wire.flush()?;
        match wire.next()? {
            Some(Packet::ConnAck(greeting)) => wire.session_present = greeting.session_present,
            other => return Err(io::Error::other(format!("instead of a greeting came {other:?}"))),
        }
        wire.stream.set_read_timeout(Some(LOOK_AGAIN))?;
        Ok(wire)
    }

    /// Adds a packet to what [`Wire::flush`] writes.
    pub(crate) fn push(&mut self, packet: &Packet) {
        packet.write(&mut self.outgoing, MAX_PACKET_BYTES).unwrap();
    }

    /// Writes what was pushed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.outgoing)?;
        self.outgoing.clear();
        Ok(())
    }

    /// Makes [`Wire::next`] come back sooner, for those who have something to send.
    pub(crate) fn set_pause(&self, pause: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(pause))
    }

    /// The next packet; `None` when none comes for a moment.
    pub(crate) fn next(&mut self) -> io::Result<Option<Packet>> {
        loop {
            if self.incoming.has_remaining() {
                match Packet::read(&mut self.incoming, MAX_PACKET_BYTES) {
                    Ok(packet) => return Ok(Some(packet)),
                    Err(Error::InsufficientBytes(_)) => {}
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.incoming.extend_from_slice(&self.buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Messages on their way at once in a flood.
const FLOOD_WINDOW: u64 = 1_000;

/// Publishes so many messages with QoS 1 as fast as the broker confirms them, and waits for the last one.
pub(crate) fn flood(port: u16, count: u64, message: impl Fn(u64) -> (String, Vec<u8>)) {
    let mut wire = Wire::open(port, "flood", true).unwrap();
    let (mut sent, mut confirmed) = (0, 0);
    while confirmed < count {
        while sent < count && sent - confirmed < FLOOD_WINDOW {
            let (topic, payload) = message(sent);
            let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
            publish.pkid = (sent % 60_000) as u16 + 1;
            wire.push(&Packet::Publish(publish));
            sent += 1;
        }
        wire.flush().unwrap();
        if matches!(wire.next().unwrap(), Some(Packet::PubAck(_))) {
            confirmed += 1;
        }
    }
}
