//! Any text as a manifest.
#![no_main]

use cooltwin::bundle::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = Manifest::parse(text) {
        assert!(!problems.is_empty());
    }
});
