//! Any text as a key and as a signature: nothing but the one signature that was made proves anything.
#![no_main]

use cooltwin::bundle::PublicKey;
use libfuzzer_sys::fuzz_target;

const MESSAGE: &[u8] = include_bytes!("../../tests/signatures/message");
const KEY: &str = include_str!("../../tests/signatures/key.pub");
const SIGNATURE: &str = include_str!("../../tests/signatures/message.minisig");

fuzz_target!(|text: &str| {
    if let Ok(other) = PublicKey::parse(text) {
        assert!(other.verify(b"never signed", SIGNATURE).is_err());
    }
    let Ok(key) = PublicKey::parse(KEY) else { panic!("the key is one") };
    if key.verify(MESSAGE, text).is_ok() {
        // All but the first line, which is not trusted.
        let trusted = |text: &str| text.lines().skip(1).take(3).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(trusted(text), trusted(SIGNATURE));
    }
    assert!(key.verify(b"never signed", text).is_err());
});
