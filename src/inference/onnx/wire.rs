//! Protobuf on the wire: fields of a message, as far as ONNX files have them.

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    /// A string, bytes, a message or a packed list.
    Bytes(&'a [u8]),
    /// Four bytes: a float.
    Four([u8; 4]),
    /// Eight bytes: a double.
    Eight,
}

/// A field: its tag, what it holds, and what follows.
pub(super) type Field<'a> = (u64, Value<'a>, &'a [u8]);

/// The next field; `None` if the bytes do not begin with one.
// Inlined, so that the parts of a field stay in registers: lists have a field for every entry, and files some
// hundred thousand of them.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(super) fn field(bytes: &[u8]) -> Option<Field<'_>> {
    match bytes {
        // What nearly all fields of a model are: numbers below 128, floats, short texts; all with small tags.
        [key, value, rest @ ..] if key & 0x87 == 0 && *value < 0x80 => {
            Some((u64::from(key >> 3), Value::Varint(u64::from(*value)), rest))
        }
        [key, a, b, c, d, rest @ ..] if key & 0x87 == 5 => {
            Some((u64::from(key >> 3), Value::Four([*a, *b, *c, *d]), rest))
        }
        [key, len, rest @ ..] if key & 0x87 == 2 && *len < 0x80 => {
            let (body, rest) = rest.split_at_checked(usize::from(*len))?;
            Some((u64::from(key >> 3), Value::Bytes(body), rest))
        }
        _ => any_field(bytes),
    }
}

#[inline(never)]
fn any_field(bytes: &[u8]) -> Option<Field<'_>> {
    let (key, rest) = varint(bytes)?;
    let tag = key >> 3;
    match key & 7 {
        0 => varint(rest).map(|(value, rest)| (tag, Value::Varint(value), rest)),
        1 => rest.get(8..).map(|rest| (tag, Value::Eight, rest)),
        2 => {
            let (len, rest) = varint(rest)?;
            let (body, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            Some((tag, Value::Bytes(body), rest))
        }
        5 => rest.split_first_chunk().map(|(four, rest)| (tag, Value::Four(*four), rest)),
        // Groups were removed from protobuf before ONNX began.
        _ => None,
    }
}

/// All fields of a message; ends early where the bytes are none.
#[inline]
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let (tag, value, next) = field(rest)?;
        rest = next;
        Some((tag, value))
    })
}

/// A variable-length integer of at most ten bytes.
#[inline]
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    // Nearly all of them have one byte.
    if let [byte, rest @ ..] = bytes
        && *byte < 0x80
    {
        return Some((u64::from(*byte), rest));
    }
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i).min(63);
        if byte & 0x80 == 0 {
            return bytes.get(i + 1..).map(|rest| (value, rest));
        }
    }
    None
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
    use proptest::prelude::*;

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

    #[test]
    fn what_is_no_field_is_none() {
        // Cut off, a group, a length beyond the end, a number of eleven bytes.
        let cut =
            [&[8][..], &[0x80], &[13, 1, 2, 3], &[9, 1, 2, 3, 4, 5, 6, 7], &[11], &[10, 1], &[10, 0x80]];
        for bytes in cut.into_iter().chain([&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1][..]]) {
            assert_eq!(field(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_reads_what_the_long_one_does(bytes in prop::collection::vec(prop_oneof![0..32_u8, any::<u8>()], 0..24)) {
            prop_assert_eq!(field(&bytes), any_field(&bytes));
        }
    }
}
