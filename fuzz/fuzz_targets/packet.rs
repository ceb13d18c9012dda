//! Any bytes as what a broker sends: cut into the same packets whether they come at once or in pieces, and without a
//! panic.
#![no_main]

use cooltwin::daemon::mqtt::frames_of;
use libfuzzer_sys::fuzz_target;

/// Longest payload that is of use; longer ones are cut.
const MAX_PAYLOAD_BYTES: usize = 64;
/// Stands in the input for a run of bytes longer than inputs are, so that what is too long to be held is met too.
const FILLER: &[u8] = b"~~~";
/// Longer than what is held: any topic and the longest payload.
const FILLER_BYTES: usize = 70_000;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let mut stream = bytes.to_vec();
    if let Some(place) = bytes.windows(FILLER.len()).position(|part| part == FILLER) {
        stream.splice(place..place + FILLER.len(), std::iter::repeat_n(b'x', FILLER_BYTES));
    }
    let whole = frames_of(std::iter::once(stream.as_slice()), MAX_PAYLOAD_BYTES);
    // Few pieces for the many bytes of the filler.
    let piece = usize::from(piece).max(1) * stream.len().div_ceil(4_096).max(1);
    assert_eq!(frames_of(stream.chunks(piece), MAX_PAYLOAD_BYTES), whole);
});
