//! Any text as the golden lines of a bundle: replayed, or recorded and then found to hold.
#![no_main]

use std::cell::RefCell;

use cooltwin::bundle::{Bundle, golden};
use cooltwin_fuzz::tiny;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static BUNDLE: RefCell<Bundle> = RefCell::new(tiny::bundle());
}

fuzz_target!(|text: &str| {
    BUNDLE.with_borrow_mut(|bundle| {
        if let Err(problems) = golden::verify(&mut bundle.evaluator, &bundle.manifest, text) {
            assert!(!problems.is_empty());
        }
        if let Ok(recorded) = golden::record(&mut bundle.evaluator, &bundle.manifest, text)
            && let Err(problems) = golden::verify(&mut bundle.evaluator, &bundle.manifest, &recorded)
            && !recorded.is_empty()
        {
            panic!("what was recorded does not hold: {problems:?}\n{recorded}");
        }
    });
});
