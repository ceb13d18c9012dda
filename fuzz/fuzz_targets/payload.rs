//! Any bytes as a frame and as a reading.
#![no_main]

use cooltwin::domain::{Decoder, PayloadKeys, ZoneSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new(["A", "B", "C"], PayloadKeys::default(), ZoneSpec::utc());
    if let Ok(decoded) = decoder.frame(bytes) {
        assert!(
            decoded
                .readings
                .iter()
                .all(|reading| reading.value.is_ok_and(f64::is_finite) || reading.value.is_err())
        );
    }
    if let Ok(decoded) = decoder.reading(1, bytes) {
        assert_eq!(decoded.readings.len(), 1);
    }
});
