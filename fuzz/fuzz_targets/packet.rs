//! Any bytes as what a broker sends: decoded packet by packet, as the link does it, without a panic and without taking
//! more than there is.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::Packet;

/// Below the fuzzer's longest input, so that the limit is met too.
const MAX_BYTES: usize = 1_024;

fuzz_target!(|bytes: &[u8]| {
    let mut stream = BytesMut::from(bytes);
    loop {
        let before = stream.len();
        match Packet::read(&mut stream, MAX_BYTES) {
            Ok(packet) => {
                assert!(stream.len() < before);
                drop(format!("{packet:?}"));
            }
            Err(Error::InsufficientBytes(_)) => return,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        }
    }
});
