//! Finding and loading the model bundle a command is about.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Failure;
use crate::bundle::{Bundle, BundleFiles, LoadOptions};
use crate::folder;

/// The folder named, or the reference bundle's.
///
/// # Errors
/// None is named and none is found; says what to do about it.
pub fn locate(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    match asked {
        Some(path) => Ok(path.to_path_buf()),
        None => first_of(&folder::BUNDLE_PLACES),
    }
}

fn first_of(places: &[&str]) -> Result<PathBuf, Failure> {
    places.iter().map(PathBuf::from).find(|path| path.is_dir()).ok_or_else(|| {
        let places = places.join(" nor ");
        Failure::configuration(anyhow::anyhow!(
            "no model bundle is found, neither {places}: start in a checkout of cooltwin, install the \
             package, or name one with --bundle DIR"
        ))
    })
}

/// The files of a bundle, unread.
///
/// # Errors
/// The folder cannot be read (exit code 78).
pub fn files(path: &Path) -> Result<BundleFiles, Failure> {
    folder::read_bundle(path).map_err(Failure::configuration)
}

/// A bundle, loaded and proven.
///
/// # Errors
/// Everything that is wrong with it (exit code 78).
pub fn load(path: &Path) -> Result<Bundle, Failure> {
    load_files(path, &files(path)?)
}

/// A bundle loaded from files that were read from `path`.
///
/// # Errors
/// Everything that is wrong with it (exit code 78).
pub fn load_files(path: &Path, files: &BundleFiles) -> Result<Bundle, Failure> {
    let kernel = folder::forced_kernel().map_err(Failure::configuration)?;
    Bundle::load_with(files, LoadOptions { kernel, stopwatch }).map_err(|errors| wrong(path, &errors.0))
}

/// What stages are timed with; its reading costs as much as the one the daemon uses.
#[must_use]
pub fn stopwatch() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

/// What is wrong with a bundle, one line each.
#[must_use]
pub fn wrong(path: &Path, problems: &[String]) -> Failure {
    let list = problems.join("\n  ");
    Failure::configuration(anyhow::anyhow!("the bundle {} is not usable:\n  {list}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::CONFIGURATION;

    #[test]
    fn a_named_folder_is_taken_as_it_is_and_a_missing_one_is_a_configuration_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nothing");
        assert_eq!(locate(Some(&path)).unwrap(), path);
        assert_eq!(load(&path).unwrap_err().code(), CONFIGURATION);
    }

    #[test]
    fn without_any_folder_the_message_says_what_to_do() {
        let failure = first_of(&["not/here", "nor/there"]).unwrap_err();
        assert_eq!(failure.code(), CONFIGURATION);
        let message = failure.error().to_string();
        assert!(message.contains("neither not/here nor nor/there") && message.contains("--bundle DIR"));
        assert_eq!(first_of(&["not/here", "src"]).unwrap(), Path::new("src"));
    }

    #[test]
    fn problems_stand_one_on_a_line() {
        let failure = wrong(Path::new("x"), &["a".to_owned(), "b".to_owned()]);
        assert_eq!(failure.error().to_string(), "the bundle x is not usable:\n  a\n  b");
    }
}
