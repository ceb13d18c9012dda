//! Protobuf on the wire: the fields of a message, as they come.

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    /// A string, bytes, a message or a packed list.
    Bytes(&'a [u8]),
    /// Four bytes: a float.
    Four([u8; 4]),
    /// Eight bytes: a double.
    Eight([u8; 8]),
}

/// A field: its tag, what it holds, and what follows.
pub(crate) type Field<'a> = (u64, Value<'a>, &'a [u8]);

/// The next field; `None` if the bytes do not begin with one.
// Inlined, so that the parts of a field stay in registers: lists have a field for every entry, and files some
// hundred thousand of them.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn field(bytes: &[u8]) -> Option<Field<'_>> {
    match bytes {
        // What nearly all fields are: numbers below 128, floats, short texts; all with small tags.
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
        1 => rest.split_first_chunk().map(|(eight, rest)| (tag, Value::Eight(*eight), rest)),
        2 => {
            let (len, rest) = varint(rest)?;
            let (body, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            Some((tag, Value::Bytes(body), rest))
        }
        5 => rest.split_first_chunk().map(|(four, rest)| (tag, Value::Four(*four), rest)),
        // Groups were removed from protobuf before any of the formats that are read here began.
        _ => None,
    }
}

/// A variable-length integer of at most ten bytes.
#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
