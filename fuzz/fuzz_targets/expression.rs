//! Any text as an expression: refused with a column inside the text, or compiled.
#![no_main]

use std::time::Duration;

use cooltwin::bundle::compile::{FeatureSource, compile};
use cooltwin::domain::ZoneSpec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let features = [
        FeatureSource { name: "first", expr: Some("mean(A, 1m) + B"), missing: None },
        FeatureSource { name: "second", expr: Some(text), missing: None },
    ];
    if let Err(errors) = compile(&["A", "B"], &features, Duration::from_secs(30), ZoneSpec::utc()) {
        for error in errors {
            assert!(error.column.is_some_and(|column| column >= 1 && column <= text.chars().count() + 1));
        }
    }
});
