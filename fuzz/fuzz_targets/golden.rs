//! Any text as the golden lines of a bundle: replayed, or recorded and then found to hold.
#![no_main]

use std::cell::RefCell;

use cooltwin::bundle::{Bundle, BundleFiles, golden};
use libfuzzer_sys::fuzz_target;

fn tiny() -> Bundle {
    let mut files = BundleFiles::default();
    let of: [(&str, &[u8]); 4] = [
        ("bundle.toml", include_bytes!("../../tests/bundles/tiny/bundle.toml")),
        ("golden.jsonl", include_bytes!("../../tests/bundles/tiny/golden.jsonl")),
        ("reference.json", include_bytes!("../../tests/bundles/tiny/reference.json")),
        ("t.onnx", include_bytes!("../../tests/bundles/tiny/t.onnx")),
    ];
    files.0.extend(of.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
    match Bundle::load(&files) {
        Ok(bundle) => bundle,
        Err(errors) => panic!("the tiny bundle is sound: {errors}"),
    }
}

thread_local! {
    static BUNDLE: RefCell<Bundle> = RefCell::new(tiny());
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
