//! Loading configuration and bundle, at the start and at a reload: everything, or nothing.

use tracing::warn;

use super::mqtt::{self, LinkSettings};
use super::settings::{Checked, Settings, Source};
use crate::bundle::{Bundle, LoadOptions};
use crate::folder;

/// Settings and bundle that were found good together.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What they mean.
    pub checked: Checked,
    /// The bundle they name.
    pub bundle: Bundle,
}

/// Loads and checks everything that a start needs, without starting. Reads files and replays the bundle's
/// golden vectors, so call it off the worker.
///
/// # Errors
/// Every reason at once, one sentence each.
pub fn load(source: &Source) -> Result<Loaded, Vec<String>> {
    let settings = source.load().map_err(|errors| sentences(&errors.0))?;
    let mut checked = settings.check().map_err(|errors| sentences(&errors.0))?;
    checked.warnings.extend(source.warnings(&settings));
    let mut errors = Vec::new();
    if let Err(error) = mqtt::check(&LinkSettings::new(&settings, &checked)) {
        errors.push(format!("{error:#}"));
    }
    let bundle = match load_bundle(&checked.bundle_path) {
        Ok(bundle) => Some(bundle),
        Err(reasons) => {
            errors.extend(reasons);
            None
        }
    };
    match bundle {
        Some(bundle) if errors.is_empty() => Ok(Loaded { settings, checked, bundle }),
        _ => Err(errors),
    }
}

/// Reads and loads a bundle folder.
///
/// # Errors
/// Every reason at once, one sentence each.
pub fn load_bundle(path: &std::path::Path) -> Result<Bundle, Vec<String>> {
    let files = folder::read_bundle(path).map_err(|error| vec![format!("{error:#}")])?;
    let kernel = folder::forced_kernel().map_err(|error| vec![format!("{error:#}")])?;
    Bundle::load_with(&files, LoadOptions { kernel, ..LoadOptions::default() }).map_err(|errors| {
        errors.0.into_iter().map(|error| format!("bundle {}: {error}", path.display())).collect()
    })
}

/// Why running settings cannot be replaced by new ones without a restart.
pub(super) fn restart_needed(old: &Settings, new: &Settings) -> Vec<String> {
    let mut reasons = Vec::new();
    let fixed = [
        ("instance.name", old.instance.name == new.instance.name),
        ("topics.daemon", old.topics.daemon == new.topics.daemon),
        ("topics.state", old.topics.state == new.topics.state),
        ("topics.alarm", old.topics.alarm == new.topics.alarm),
    ];
    for (key, is_same) in fixed {
        if !is_same {
            // Retained messages stand under these names and would be left behind.
            reasons.push(format!("{key} cannot change while running; restart the service"));
        }
    }
    if old.log != new.log {
        warn!("the [log] settings take effect at the next start");
    }
    reasons
}

fn sentences<T: ToString>(problems: &[T]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
