//! Bundle folders on disk: reading their files, and writing back what sealing changes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::bundle::BundleFiles;
use crate::bundle::manifest::MANIFEST_FILE;
use crate::inference::KernelKind;

/// Where the reference bundle is looked for when none is named: a source checkout first, then what a
/// package installs. The daemon and the commands look in the same order.
pub const BUNDLE_PLACES: [&str; 2] = ["models/unit-cooler", "/usr/share/cooltwin/models/unit-cooler"];
/// Largest file of a bundle, in bytes. The reference models have 0.4 MB each; the limit leaves room for
/// large ensembles and keeps a wrong path (a disk image, a log) from filling the memory of a small computer.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Most files of a bundle: a manifest, golden vectors, a reference and one model a target.
pub const MAX_FILES: usize = 128;
/// Most bytes of a bundle in all; they are held in memory while it loads, on machines with 512 MiB.
pub const MAX_BUNDLE_BYTES: u64 = 128 * 1024 * 1024;
/// What the files of a bundle end in; others, such as a README or plots, are left alone.
const EXTENSIONS: [&str; 5] = ["toml", "onnx", "json", "jsonl", "minisig"];

/// Environment variable that names the kernel to evaluate tree ensembles with.
pub const KERNEL_VARIABLE: &str = "COOLTWIN_KERNEL";

/// The kernel that the environment asks for; `None` is the fastest one for each model.
///
/// # Errors
/// [`KERNEL_VARIABLE`] names no kernel.
pub fn forced_kernel() -> anyhow::Result<Option<KernelKind>> {
    match std::env::var(KERNEL_VARIABLE) {
        Ok(name) if !matches!(name.as_str(), "" | "auto") => {
            let kind = name.parse().map_err(anyhow::Error::msg);
            kind.map(Some).context(format!("{KERNEL_VARIABLE} is to name a kernel, or auto for the fastest"))
        }
        _ => Ok(None),
    }
}

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
    let root = fs::canonicalize(folder).with_context(|| format!("finding {}", folder.display()))?;
    let mut files = BundleFiles::default();
    let mut total = 0;
    for entry in entries {
        let path = entry.with_context(|| format!("listing {}", folder.display()))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_ours = path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known));
        if is_ours && path.is_file() {
            ensure!(files.0.len() < MAX_FILES, "{} has more than {MAX_FILES} files", folder.display());
            let bytes = read_file(&within(&root, &path)?)?;
            total += bytes.len() as u64;
            ensure!(
                total <= MAX_BUNDLE_BYTES,
                "{} has more than {MAX_BUNDLE_BYTES} bytes in all",
                folder.display()
            );
            files.0.insert(name.to_owned(), bytes);
        }
    }
    if !files.0.contains_key(MANIFEST_FILE) {
        bail!("{} is no model bundle: it has no {MANIFEST_FILE}", folder.display());
    }
    Ok(files)
}

/// The real path of a file, which must lie in the folder: a link that leads out of it would make the bundle
/// read what its owner may not.
fn within(root: &Path, path: &Path) -> anyhow::Result<PathBuf> {
    let real = fs::canonicalize(path).with_context(|| format!("finding {}", path.display()))?;
    ensure!(
        real.starts_with(root),
        "{} leads outside the bundle folder; copy the file into the folder instead",
        path.display()
    );
    Ok(real)
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
        write_file_atomically(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Writes a file beside its final place, flushes it to the disk and moves it there, so that a reader or a
/// power cut finds the old file or the new one, never half of it.
///
/// # Errors
/// What the system says; the old file is then untouched.
pub fn write_file_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    let written = write_and_sync(draft, bytes).and_then(|()| fs::rename(draft, path));
    if written.is_err() {
        // The error of the write is the one that matters.
        let _ = fs::remove_file(draft);
        return written;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Makes the move itself last; not every file system can, and the content is safe either way.
    let _ = File::open(parent).and_then(|folder| folder.sync_all());
    Ok(())
}

fn write_and_sync(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
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

    #[test]
    fn links_out_of_the_folder_are_refused_and_links_within_are_not() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join(MANIFEST_FILE), "schema = 1").unwrap();
        fs::write(dir.path().join("a.onnx"), "a").unwrap();
        std::os::unix::fs::symlink("a.onnx", dir.path().join("b.onnx")).unwrap();
        assert_eq!(read_bundle(dir.path()).unwrap().0.len(), 3);
        fs::write(outside.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), dir.path().join("c.onnx")).unwrap();
        let error = read_bundle(dir.path()).unwrap_err().to_string();
        assert!(error.contains("c.onnx leads outside"), "{error}");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write_file_atomically(&dir.path().join("no/file"), b"x").is_err());
        fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(write_file_atomically(&dir.path().join("folder"), b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
