//! As much of MQTT 3.1.1 as a load needs, in packets written and read by the hundred.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail};

use super::PATIENCE;

/// Read buffer; many packets at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// A connection to the broker, as little as it takes: MQTT 3.1.1, section 2 and 3.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    pub(crate) fn open(address: &str, name: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("no broker at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let id = format!("{name}-{}", std::process::id());
        let mut connect = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0];
        put_text(&mut connect, &id);
        let mut connection = Self { stream, buffer: vec![0; BUFFER_BYTES], filled: 0 };
        connection.write(&packet(0x10, &connect))?;
        connection.wait_for(0x20)?;
        Ok(connection)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Reads and throws away what comes, on a thread that ends with the connection: nobody needs the acknowledgements, but a
    /// full socket would stop the broker.
    pub(crate) fn drain(&self) -> Result<()> {
        let mut twin = Self { stream: self.stream.try_clone()?, buffer: vec![0; BUFFER_BYTES], filled: 0 };
        std::thread::spawn(move || while twin.read(|_, _| {}).is_ok() {});
        Ok(())
    }

    pub(crate) fn wait_for(&mut self, wanted: u8) -> Result<()> {
        let mut found = false;
        while !found {
            self.read(|kind, _| found |= kind & 0xF0 == wanted)?;
        }
        Ok(())
    }

    /// Reads what is there and hands on each whole packet: first byte and body. `false` after a long silence.
    pub(crate) fn read(&mut self, mut take: impl FnMut(u8, &[u8])) -> Result<bool> {
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        match self.stream.read(room) {
            Ok(0) => bail!("the broker closed the connection"),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let mut rest = self.buffer.get(..self.filled).unwrap_or_default();
        while let Some((kind, body, length)) = split(rest) {
            take(kind, body);
            rest = rest.get(length..).unwrap_or_default();
        }
        let used = self.filled - rest.len();
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
        Ok(true)
    }
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

pub(crate) fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    put_length(&mut packet, body.len());
    packet.extend(body);
    packet
}

pub(crate) fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let more = if length > 127 { 128 } else { 0 };
        out.push((length % 128) as u8 | more);
        length /= 128;
        if length == 0 {
            return;
        }
    }
}

/// The first whole packet: first byte, body, and bytes in all.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (mut length, mut at) = (0_usize, 1);
    loop {
        let digit = *bytes.get(at)?;
        length |= usize::from(digit & 127) << (7 * (at - 1));
        at += 1;
        if digit & 128 == 0 {
            return Some((*bytes.first()?, bytes.get(at..at + length)?, at + length));
        }
    }
}

/// A PUBLISH of the payload's parts, the `number`th of its connection.
pub(crate) fn put_publish(out: &mut Vec<u8>, qos: u8, number: u64, topic: &str, payload: &[&str]) {
    let identifier = if qos == 0 { 0 } else { 2 };
    let length = payload.iter().map(|part| part.len()).sum::<usize>();
    out.push(if qos == 0 { 0x30 } else { 0x32 });
    put_length(out, 2 + topic.len() + identifier + length);
    put_text(out, topic);
    if qos == 1 {
        out.extend(((number % 65_535) as u16 + 1).to_be_bytes());
    }
    for part in payload {
        out.extend(part.as_bytes());
    }
}
