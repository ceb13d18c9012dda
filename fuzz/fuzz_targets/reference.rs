//! Any bytes as the histograms of a bundle.
#![no_main]

use cooltwin::bundle::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Reference::parse(bytes, &["R", "H", "N", "D", "ratio", "R_mean_1m"], &["T"]) {
        Err(problems) => assert!(!problems.is_empty()),
        Ok(reference) => drop(format!("{reference:?}")),
    }
});
