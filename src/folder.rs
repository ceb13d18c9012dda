//! Bundle folders on disk: reading their files, and writing back what sealing changes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail, ensure};

use crate::bundle::BundleFiles;
use crate::bundle::manifest::MANIFEST_FILE;

/// Largest file of a bundle, in bytes. The reference models have 0.4 MB each; the limit leaves room for
/// large ensembles and keeps a wrong path (a disk image, a log) from filling the memory of a small computer.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Most files of a bundle: a manifest, golden vectors, a reference and one model a target.
pub const MAX_FILES: usize = 128;
/// What the files of a bundle end in; others, such as a README or plots, are left alone.
const EXTENSIONS: [&str; 4] = ["toml", "onnx", "json", "jsonl"];

/// Reads the files of a bundle folder. Says nothing about what is in them: `Bundle::load` does.
///
/// # Errors
/// The folder or a file cannot be read, has no manifest, or is too large; each named with its path.
pub fn read_bundle(folder: &Path) -> anyhow::Result<BundleFiles> {
    let entries = fs::read_dir(folder).with_context(|| {
        format!(
            "the bundle folder {} cannot be read: it must be a folder with a {MANIFEST_FILE}",
            folder.display()
        )
    })?;
    let mut files = BundleFiles::default();
    for entry in entries {
        let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_ours = path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known));
        if is_ours && path.is_file() {
            ensure!(files.0.len() < MAX_FILES, "{} has more than {MAX_FILES} files", folder.display());
            files.0.insert(name.to_owned(), read_file(&path)?);
        }
    }
    if !files.0.contains_key(MANIFEST_FILE) {
        bail!("{} is no model bundle: it has no {MANIFEST_FILE}", folder.display());
    }
    Ok(files)
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .with_context(|| format!("reading {}", path.display()))?;
    ensure!(
        bytes.len() as u64 <= MAX_FILE_BYTES,
        "{} is larger than the {MAX_FILE_BYTES} bytes a file of a bundle may have",
        path.display()
    );
    Ok(bytes)
}

/// Writes files into a bundle folder. Each is replaced whole or not at all; the manifest, whose hashes speak
/// of the others, comes last.
///
/// # Errors
/// A file that cannot be written, named with its path.
pub fn write_bundle(folder: &Path, files: &BundleFiles) -> anyhow::Result<()> {
    let (manifest, others): (Vec<_>, Vec<_>) = files.0.iter().partition(|(name, _)| *name == MANIFEST_FILE);
    for (name, bytes) in others.into_iter().chain(manifest) {
        let path = folder.join(name);
        replace(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    let mut file = File::create(draft)?;
    file.write_all(bytes).and_then(|()| file.sync_all())?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_strangers_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = BundleFiles::default();
        files.0.insert(MANIFEST_FILE.to_owned(), b"schema = 1".to_vec());
        files.0.insert("t.onnx".to_owned(), vec![1, 2, 3]);
        write_bundle(dir.path(), &files).unwrap();
        write_bundle(dir.path(), &files).unwrap();
        fs::write(dir.path().join("README.md"), "hello").unwrap();
        fs::create_dir(dir.path().join("old.onnx")).unwrap();
        assert_eq!(read_bundle(dir.path()).unwrap().0, files.0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_folder_that_is_no_bundle_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_bundle(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains(&dir.path().display().to_string()) && error.contains("no bundle.toml"),
            "{error}"
        );
        let missing = format!("{:#}", read_bundle(&dir.path().join("x")).unwrap_err());
        assert!(missing.contains("cannot be read"), "{missing}");
    }
}
