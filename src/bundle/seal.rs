//! Sealing: record golden vectors, then write the hash of every file into the manifest.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::golden::{GOLDEN_FILE, record};
use super::load::{Parts, file_names, file_text};
use super::manifest::{MANIFEST_FILE, Manifest};
use super::{BundleErrors, BundleFiles, LoadOptions};

/// SHA-256 in hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Seals a bundle: compiles it, runs `readings` (or the readings of its present golden file) through it, and
/// gives the two files that change: the golden file and the manifest with all hashes. The bundle is not sealed
/// when anything is wrong with it.
///
/// # Errors
/// Everything that is wrong.
pub fn seal(files: &BundleFiles, readings: Option<&str>) -> Result<BundleFiles, BundleErrors> {
    let manifest_text = file_text(files, MANIFEST_FILE)?.to_owned();
    let manifest = Manifest::parse(&manifest_text).map_err(BundleErrors)?;
    let (mut parts, _) = Parts::compile(files, manifest, Vec::new(), LoadOptions::default())?;
    let readings = match readings {
        Some(readings) => readings,
        None => file_text(files, GOLDEN_FILE)?,
    };
    let golden = record(&mut parts.evaluator, &parts.manifest, readings).map_err(BundleErrors)?;
    if golden.is_empty() {
        return Err(BundleErrors(vec![
            "the readings hold no frame: nothing to prove the bundle with".to_owned(),
        ]));
    }
    let mut sealed = BundleFiles::default();
    sealed.0.insert(GOLDEN_FILE.to_owned(), golden.into_bytes());
    let mut hashes = String::from("[hashes]\n");
    for name in file_names(files, &parts.manifest) {
        let bytes = sealed.0.get(&name).or_else(|| files.0.get(&name));
        if let Some(bytes) = bytes {
            let _ = writeln!(hashes, "\"{name}\" = \"{}\"", sha256_hex(bytes));
        }
    }
    let manifest = format!("{}\n\n{hashes}", without_hashes(&manifest_text).trim_end());
    sealed.0.insert(MANIFEST_FILE.to_owned(), manifest.into_bytes());
    Ok(sealed)
}

/// The manifest's text without its `[hashes]` section.
fn without_hashes(text: &str) -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_start().starts_with('[') {
            inside = line.trim() == "[hashes]";
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_section_is_replaced_and_nothing_else() {
        let text = "a = 1\n[hashes]\nx = \"1\"\n[limits]\nb = 2\n";
        assert_eq!(without_hashes(text), "a = 1\n[limits]\nb = 2\n");
    }

    #[test]
    fn hashes_are_sha256() {
        assert!(sha256_hex(b"abc").starts_with("ba7816bf8f01cfea"));
    }
}
