//! The bundles that tests use, and what a broken one says.

use std::collections::BTreeMap;
use std::path::Path;

use cooltwin::bundle::seal::sha256_hex;
use cooltwin::bundle::{Bundle, BundleFiles, seal};

/// Reads a folder of the project.
pub(crate) fn files(folder: &str) -> BundleFiles {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            files.insert(entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
        }
    }
    BundleFiles(files)
}

/// The small bundle, loaded.
pub(crate) fn tiny() -> Bundle {
    Bundle::load(&files("tests/bundles/tiny")).unwrap_or_else(|error| panic!("tiny bundle: {error}"))
}

/// The reference bundle, loaded.
pub(crate) fn reference() -> Bundle {
    Bundle::load(&files("models/unit-cooler")).unwrap_or_else(|error| panic!("reference bundle: {error}"))
}

fn problems(change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Vec<String> {
    let mut files = files("tests/bundles/tiny");
    change(&mut files.0);
    Bundle::load(&files).unwrap_err().0
}

fn replace(files: &mut BTreeMap<String, Vec<u8>>, from: &str, to: &str) {
    let text = String::from_utf8(files["bundle.toml"].clone()).unwrap();
    assert!(text.contains(from), "{from}");
    files.insert("bundle.toml".into(), text.replace(from, to).into_bytes());
}

#[test]
fn the_tiny_bundle_is_sealed_and_proven() {
    let bundle = tiny();
    assert_eq!(bundle.golden_frames, 6);
    assert_eq!(bundle.identity.id, "tiny");
    assert!(bundle.leaking_features.is_empty());
}

#[test]
fn sealing_again_changes_nothing() {
    let before = files("tests/bundles/tiny");
    let sealed = seal(&before, None).unwrap();
    for (name, bytes) in sealed.0 {
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            String::from_utf8(before.0[&name].clone()).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn a_changed_file_is_named() {
    let found = problems(|files| files.get_mut("reference.json").unwrap().push(b'\n'));
    assert!(found[0].starts_with("reference.json: its SHA-256 is"), "{found:?}");
}

#[test]
fn missing_files_are_named() {
    assert!(problems(|files| drop(files.remove("t.onnx")))[0].contains("t.onnx: the file is missing"));
    assert!(
        problems(|files| drop(files.remove("golden.jsonl")))[0].contains("golden.jsonl: the file is missing")
    );
    assert!(
        problems(|files| drop(files.remove("bundle.toml")))[0].contains("bundle.toml: the file is missing")
    );
}

#[test]
fn errors_of_features_and_models_come_together() {
    let found = problems(|files| {
        replace(files, "mean(R, 1m)", "mean(R, 45s)");
        replace(files, "R / D", "R / Q");
        files.insert("t.onnx".into(), b"not a model".to_vec());
    });
    assert!(found.iter().any(|problem| problem.contains("feature `R_mean_1m`, expr column 9")), "{found:#?}");
    assert!(
        found.iter().any(|problem| problem.contains("feature `ratio`, expr column 5: unknown name `Q`")),
        "{found:#?}"
    );
    assert!(found.iter().any(|problem| problem.contains("t.onnx")), "{found:#?}");
}

#[test]
fn a_golden_difference_is_named() {
    let found = problems(|files| {
        let text = String::from_utf8(files["golden.jsonl"].clone()).unwrap().replacen(
            "\"outputs\":[10.25]",
            "\"outputs\":[10.5]",
            1,
        );
        let hash = sha256_hex(text.as_bytes());
        let old = sha256_hex(&files["golden.jsonl"]);
        replace(files, &old, &hash);
        files.insert("golden.jsonl".into(), text.into_bytes());
    });
    assert_eq!(found, ["golden.jsonl:1: target `T` is 10.25, golden is 10.5"]);
}

#[test]
fn features_made_of_a_measured_target_are_named() {
    let mut files = files("tests/bundles/tiny");
    replace(&mut files.0, "measured_by = \"T\"", "measured_by = \"N\"");
    let sealed = seal(&files, None).unwrap();
    files.0.extend(sealed.0);
    assert_eq!(Bundle::load(&files).unwrap().leaking_features, ["N"]);
}

#[test]
fn a_damaged_model_is_named_by_its_hash_too() {
    let problems = problems(|files| {
        files.get_mut("t.onnx").unwrap().truncate(40);
        replace(files, "expr = \"R / D\"", "expr = \"R / E\"");
    });
    for part in ["t.onnx: its SHA-256 is", "feature `ratio`, expr column 5: unknown name `E`", "t.onnx: "] {
        assert!(
            problems.iter().any(|problem| problem.starts_with(part) || problem.contains(part)),
            "{problems:#?}"
        );
    }
    assert_eq!(problems.len(), 3, "{problems:#?}");
}
