//! Protobuf on the wire, as far as ONNX files have it: all fields of a message, and messages written.

pub(super) use crate::domain::wire::{Value, field, varint};

/// All fields of a message; ends early where the bytes are none.
#[inline]
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let (tag, value, next) = field(rest)?;
        rest = next;
        Some((tag, value))
    })
}

/// Writes messages into one buffer.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Vec<u8>);

/// Bytes of a message's length, which is known only after the message: a number may be written longer than it need be.
const LENGTH_BYTES: usize = 5;

impl Writer {
    /// A field of bytes.
    pub(super) fn bytes(&mut self, tag: u64, body: &[u8]) {
        self.message(tag, |writer| writer.0.extend_from_slice(body));
    }

    /// A field of a small number.
    pub(super) fn number(&mut self, tag: u64, value: u64) {
        self.varint(tag << 3);
        self.varint(value);
    }

    /// A field of a message, which `write` writes.
    pub(super) fn message(&mut self, tag: u64, write: impl FnOnce(&mut Writer)) {
        self.varint(tag << 3 | 2);
        let at = self.0.len();
        self.0.extend([0; LENGTH_BYTES]);
        write(self);
        let len = self.0.len() - at - LENGTH_BYTES;
        for (i, byte) in self.0.iter_mut().skip(at).take(LENGTH_BYTES).enumerate() {
            let more = if i + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            *byte = (len >> (7 * i) & 0x7f) as u8 | more;
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let mut writer = Writer(Vec::new());
        writer.number(20, 7);
        writer.number(3, 300);
        writer.message(7, |writer| writer.bytes(1, b"name"));
        writer.bytes(200, &[5; 1000]);
        let found: Vec<_> = fields(&writer.0).collect();
        let [number, large, (7, Value::Bytes(inner)), long] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((*number, *large), ((20, Value::Varint(7)), (3, Value::Varint(300))));
        assert_eq!(fields(inner).collect::<Vec<_>>(), [(1, Value::Bytes(&b"name"[..]))]);
        assert_eq!(*long, (200, Value::Bytes(&[5; 1000][..])));
    }
}
