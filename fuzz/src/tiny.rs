//! The small bundle of the tests.

use cooltwin::bundle::{Bundle, BundleFiles};

/// Loads it.
pub fn bundle() -> Bundle {
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
