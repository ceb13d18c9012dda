//! From bytes to packets. Knows no socket.
//!
//! MQTT knows no way to refuse a message: what the broker has begun to send must be read, and what stays
//! unacknowledged is sent again for ever. So a publish too long to be held is skipped while it comes in, and
//! one that cannot be decoded is told apart from a stream that makes no sense: both can be acknowledged.

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::mqttbytes::{Error, qos};
use rumqttc::{Packet, Publish, QoS};

/// Longest fixed header: one byte of type and flags, four of length.
const MAX_FIXED_HEADER_BYTES: usize = 5;
/// Longest topic with its length, and the packet id.
const MAX_VARIABLE_HEADER_BYTES: usize = 2 + 65_535 + 2;
/// Packet type PUBLISH, in the upper half of the first byte.
const PUBLISH: u8 = 3;

/// One thing the broker sent.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// A packet; the payload of a publish longer than allowed is cut one byte beyond that.
    Packet(Packet),
    /// A publish that cannot be decoded, with its packet id if it wants to be acknowledged.
    Unreadable(Option<u16>),
}

/// A publish of which the rest is skipped.
#[derive(Debug)]
struct Skip {
    publish: Publish,
    left: usize,
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub(super) struct Frames {
    /// What was received and is not taken yet; the transport reads into it.
    pub(super) buffer: BytesMut,
    /// Longest payload kept whole.
    max_payload_bytes: usize,
    skip: Option<Skip>,
}

impl Frames {
    pub(super) fn new(max_payload_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), max_payload_bytes, skip: None }
    }

    /// Longest packet held whole: any topic with the longest payload that is of use.
    fn max_held_bytes(&self) -> usize {
        MAX_VARIABLE_HEADER_BYTES + self.max_payload_bytes + 1
    }

    /// The next frame; `None` until more has come.
    ///
    /// # Errors
    /// When the stream makes no sense from here on.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Error> {
        if self.skip.is_some() {
            return Ok(self.skipped());
        }
        let Some((kind, header, length)) = fixed_header(&self.buffer)? else { return Ok(None) };
        if length > self.max_held_bytes() {
            if kind >> 4 != PUBLISH {
                return Err(Error::PayloadSizeLimitExceeded(length));
            }
            return self.begin_skip(kind, header, length);
        }
        let whole = header + length;
        if self.buffer.len() < whole {
            self.buffer.reserve(whole - self.buffer.len());
            return Ok(None);
        }
        let mut bytes = self.buffer.split_to(whole);
        let id = publish_id(kind, bytes.get(header..).unwrap_or_default());
        match Packet::read(&mut bytes, length) {
            Ok(packet) => Ok(Some(Frame::Packet(self.shortened(packet)))),
            Err(_) if kind >> 4 == PUBLISH => Ok(Some(Frame::Unreadable(id))),
            Err(error) => Err(error),
        }
    }

    /// Of a payload that will be refused for its length only as much is held as shows it.
    fn shortened(&self, packet: Packet) -> Packet {
        let enough = self.max_payload_bytes + 1;
        match packet {
            Packet::Publish(publish) if publish.payload.len() > enough => {
                let kept = publish.payload.get(..enough).unwrap_or_default();
                Packet::Publish(Publish { payload: Bytes::copy_from_slice(kept), ..publish })
            }
            other => other,
        }
    }

    /// Holds the beginning of a publish that is too long, once it is there.
    fn begin_skip(&mut self, kind: u8, header: usize, length: usize) -> Result<Option<Frame>, Error> {
        // The length is above this, so it will come.
        let held = self.max_held_bytes();
        let Some(mut head) = self.buffer.get(header..header + held) else {
            self.buffer.reserve(header + held - self.buffer.len());
            return Ok(None);
        };
        let topic_bytes = usize::from(head.get_u16());
        let topic = head.get(..topic_bytes).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        head.advance(topic_bytes);
        let qos = qos((kind >> 1) & 0b11)?;
        let pkid = if qos == QoS::AtMostOnce { 0 } else { head.get_u16() };
        let payload = Bytes::copy_from_slice(head.get(..=self.max_payload_bytes).unwrap_or_default());
        let publish = Publish {
            dup: kind & 0b1000 != 0,
            qos,
            retain: kind & 1 != 0,
            topic: topic.unwrap_or_default(),
            pkid,
            payload,
        };
        self.buffer.advance(header);
        self.skip = Some(Skip { publish, left: length });
        Ok(self.skipped())
    }

    /// Throws away what has come; the cut publish when all of it has.
    fn skipped(&mut self) -> Option<Frame> {
        let skip = self.skip.as_mut()?;
        let now = skip.left.min(self.buffer.len());
        self.buffer.advance(now);
        skip.left -= now;
        if skip.left > 0 {
            return None;
        }
        self.skip.take().map(|skip| Frame::Packet(Packet::Publish(skip.publish)))
    }
}

/// First byte, length of the fixed header, and how many bytes follow it; `None` until it is complete.
fn fixed_header(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, Error> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    let mut length = 0;
    for (position, byte) in rest.iter().take(MAX_FIXED_HEADER_BYTES - 1).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * position);
        if byte & 0x80 == 0 {
            return Ok(Some((*kind, position + 2, length)));
        }
    }
    if rest.len() >= MAX_FIXED_HEADER_BYTES - 1 { Err(Error::MalformedRemainingLength) } else { Ok(None) }
}

/// The packet id of a publish with acknowledgement, as far as it can be found.
fn publish_id(kind: u8, mut body: &[u8]) -> Option<u16> {
    let is_confirmed = kind & 0b0110 != 0;
    if kind >> 4 != PUBLISH || !is_confirmed {
        return None;
    }
    let topic_bytes = usize::from(body.try_get_u16().ok()?);
    body.get(topic_bytes..)?.try_get_u16().ok().filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::PubAck;

    use super::*;

    fn publish(topic: &str, pkid: u16, bytes: usize) -> Packet {
        let qos = if pkid == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
        let mut publish = Publish::new(topic, qos, vec![b'x'; bytes]);
        publish.pkid = pkid;
        Packet::Publish(publish)
    }

    fn written(packets: &[Packet]) -> BytesMut {
        let mut bytes = BytesMut::new();
        for packet in packets {
            packet.write(&mut bytes, usize::MAX).unwrap();
        }
        bytes
    }

    /// Feeds `bytes` in pieces and returns all frames with the most memory that was held.
    fn fed(bytes: &[u8], piece: usize) -> (Vec<Frame>, usize) {
        let mut frames = Frames::new(100);
        let (mut out, mut most) = (Vec::new(), 0);
        for piece in bytes.chunks(piece) {
            frames.buffer.extend_from_slice(piece);
            while let Some(frame) = frames.next().unwrap() {
                out.push(frame);
            }
            most = most.max(frames.buffer.len());
        }
        (out, most)
    }

    #[test]
    fn packets_come_out_however_they_are_cut() {
        let packets = [publish("a/b", 7, 100), Packet::PubAck(PubAck::new(3)), Packet::PingResp];
        for piece in [1, 2, 3, 50, 1000] {
            let (frames, _) = fed(&written(&packets), piece);
            assert_eq!(frames, packets.clone().map(Frame::Packet), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_publish_of_any_length_is_cut_and_what_follows_is_not_lost() {
        let packets = [publish("a/b", 9, 5_000_000), publish("c", 0, 70_000), Packet::PingResp];
        let (frames, most) = fed(&written(&packets), 4096);
        // One byte more than allowed shows the engine that it is too long.
        let expected = [publish("a/b", 9, 101), publish("c", 0, 101), Packet::PingResp].map(Frame::Packet);
        assert_eq!(frames, expected);
        assert!(most < 80_000, "{most} bytes were held");
    }

    #[test]
    fn a_publish_that_cannot_be_decoded_can_be_acknowledged() {
        let mut bytes = written(&[publish("ab", 5, 3)]);
        bytes[4] = 0xFF; // no UTF-8
        bytes.extend_from_slice(&written(&[Packet::PingResp]));
        let (frames, _) = fed(&bytes, 1000);
        assert_eq!(frames, [Frame::Unreadable(Some(5)), Frame::Packet(Packet::PingResp)]);
        // A topic that would end outside the packet: nobody knows its id.
        let (frames, _) = fed(&[0x32, 4, 0xFF, 0xFF, 0, 1], 1000);
        assert_eq!(frames, [Frame::Unreadable(None)]);
    }

    #[test]
    fn nonsense_ends_the_stream() {
        let mut frames = Frames::new(100);
        frames.buffer.extend_from_slice(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert!(matches!(frames.next(), Err(Error::MalformedRemainingLength)));
        let mut frames = Frames::new(100);
        frames.buffer.extend_from_slice(&[0x90, 0xFF, 0xFF, 0xFF, 0x7F]);
        assert!(matches!(frames.next(), Err(Error::PayloadSizeLimitExceeded(_))), "no SUBACK is that long");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
            let mut frames = Frames::new(10);
            'all: for piece in bytes.chunks(piece) {
                frames.buffer.extend_from_slice(piece);
                loop {
                    match frames.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'all,
                    }
                }
            }
        }
    }
}
