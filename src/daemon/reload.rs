//! Loading configuration and bundle, at the start and at a reload: everything, or nothing.

use std::path::Path;

use tracing::warn;

use super::mqtt::{self, LinkSettings};
use super::settings::{Checked, Settings, Source};
use crate::bundle::{Bundle, BundleErrors, LoadOptions, PublicKey, SignedBy, signature};
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
    /// Who signed it, where the settings ask for a signature.
    pub signed_by: Option<SignedBy>,
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
    let bundle = match load_bundle(&checked.bundle_path, checked.bundle_key.as_ref()) {
        Ok(bundle) => Some(bundle),
        Err(reasons) => {
            errors.extend(reasons);
            None
        }
    };
    match bundle {
        Some((bundle, signed_by)) if errors.is_empty() => Ok(Loaded { settings, checked, bundle, signed_by }),
        _ => Err(errors),
    }
}

/// Reads and loads a bundle folder. With a key, nothing of a bundle it did not sign is looked at.
///
/// # Errors
/// Every reason at once, one sentence each.
fn load_bundle(path: &Path, key: Option<&PublicKey>) -> Result<(Bundle, Option<SignedBy>), Vec<String>> {
    let named = |errors: BundleErrors| -> Vec<String> {
        errors.0.into_iter().map(|error| format!("bundle {}: {error}", path.display())).collect()
    };
    let files = folder::read_bundle(path).map_err(|error| vec![format!("{error:#}")])?;
    let kernel = folder::forced_kernel().map_err(|error| vec![format!("{error:#}")])?;
    let signed_by = key.map(|key| signature::verify(&files, key)).transpose().map_err(named)?;
    let bundle =
        Bundle::load_with(&files, LoadOptions { kernel, ..LoadOptions::default() }).map_err(named)?;
    Ok((bundle, signed_by))
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
