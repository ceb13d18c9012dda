//! Loading configuration and bundle, at the start and at a reload: everything, or nothing.

use std::fmt;
use std::path::Path;

use tracing::warn;

use super::logging::Event;
use super::mqtt::{self, LinkSettings};
use super::settings::{Applies, Checked, Settings, Source};
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

/// What of a start or reload is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The settings, or a file they name.
    Configuration,
    /// The model bundle.
    Bundle,
}

impl Part {
    /// The name in the log, which stays the same over versions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Bundle => "bundle",
        }
    }
}

/// One reason why a start or reload is refused, a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of what.
    pub part: Part,
    /// What is wrong, where, and what to do.
    pub text: String,
}

impl Refusal {
    /// Because of the configuration.
    pub(super) fn configuration(text: impl Into<String>) -> Self {
        Self { part: Part::Configuration, text: text.into() }
    }

    fn bundle(text: impl Into<String>) -> Self {
        Self { part: Part::Bundle, text: text.into() }
    }

    /// The event it is in the log, which for the configuration depends on what was refused.
    pub(super) fn event(&self, of_configuration: Event) -> Event {
        match self.part {
            Part::Configuration => of_configuration,
            Part::Bundle => Event::BundleRefused,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Loads and checks everything that a start needs, without starting. Reads files and replays the bundle's
/// golden vectors, so call it off the worker.
///
/// # Errors
/// Every reason at once, one sentence each.
pub fn load(source: &Source) -> Result<Loaded, Vec<Refusal>> {
    let settings = source.load().map_err(|errors| refused(&errors.0))?;
    let mut checked = settings.check().map_err(|errors| refused(&errors.0))?;
    checked.warnings.extend(source.warnings(&settings));
    let mut errors = Vec::new();
    if let Err(error) = mqtt::check(&LinkSettings::new(&settings, &checked)) {
        errors.push(Refusal::configuration(format!("{error:#}")));
    }
    let bundle = match load_bundle(&checked.bundle_path, checked.bundle_key.as_ref()) {
        Ok(bundle) => Some(bundle),
        Err(reasons) => {
            errors.extend(reasons.into_iter().map(Refusal::bundle));
            None
        }
    };
    if let Some((bundle, _)) = &bundle {
        for (index, problem) in checked.engine.bind(&bundle.manifest).1 {
            let source = settings.source.get(index);
            errors.extend(source.map(|source| Refusal::configuration(source.problem(problem).to_string())));
        }
    }
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
pub(super) fn restart_needed(old: &Settings, new: &Settings) -> Vec<Refusal> {
    let mut reasons = Vec::new();
    for (key, applies) in old.changed(new) {
        match applies {
            // Retained messages stand under these names and would be left behind.
            Applies::AtRestart => {
                let text = format!("{key} cannot change while running; restart the service");
                reasons.push(Refusal::configuration(text));
            }
            Applies::AtNextStart => warn!("{key} takes effect at the next start"),
            Applies::AtReload | Applies::Reconnecting => {}
        }
    }
    reasons
}

fn refused<T: ToString>(problems: &[T]) -> Vec<Refusal> {
    problems.iter().map(|problem| Refusal::configuration(problem.to_string())).collect()
}

/// The reasons as text.
pub(super) fn sentences(refusals: &[Refusal]) -> Vec<String> {
    refusals.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another value than the default that passes the check.
    fn other(name: &str, folder: &Path, default: Option<&str>, range: Option<&(String, String)>) -> String {
        let text = match (name, default) {
            (
                "instance.name"
                | "http.hosts"
                | "seed.unit"
                | "home_assistant.prefix"
                | "home_assistant.birth_topic",
                _,
            ) => "other",
            ("mqtt.url", _) => "mqtt://127.0.0.1:1884",
            ("bundle.path", _) => return folder.display().to_string(),
            ("bundle.public_key", _) => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/signatures/key.pub"),
            ("payload.time_zone", _) => "+02:00",
            ("http.listen", _) => "127.0.0.1:8001",
            ("http.token", _) => "0123456789abcdef",
            ("log.level", _) => "debug",
            ("log.format", _) => "text",
            // Switched on below, as its topics count only then.
            ("home_assistant.enabled", _) | (_, Some("true")) => "false",
            (_, Some("false")) => "true",
            (_, Some(default)) if name.starts_with("topics.") => {
                return format!("x/{}", default.trim_matches('"'));
            }
            _ if name.ends_with("_file") => return folder.join("file").display().to_string(),
            _ => match (range, default) {
                (Some((low, high)), default) if default == Some(low) => high.trim_matches('"'),
                (Some((low, _)), _) if low != "\"0s\"" => low.trim_matches('"'),
                (Some((_, high)), _) => high.trim_matches('"'),
                (None, _) => "/other",
            },
        };
        text.to_owned()
    }

    /// Settings that pass the check alone and with any one of them changed.
    fn settings(folder: &Path, change: Option<(&str, &str)>) -> (Settings, Checked) {
        let certificate = folder.join("certificate").display().to_string();
        let bundle = folder.parent().unwrap_or(folder).display().to_string();
        let mut overrides: Vec<(String, String)> = [
            ("mqtt.username", "user"),
            ("mqtt.client_cert_file", &certificate),
            ("mqtt.client_key_file", &certificate),
            ("home_assistant.enabled", "true"),
            ("bundle.path", &bundle),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        overrides.extend(change.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let source = Source { overrides, ..Source::default() };
        let settings = source.load().unwrap_or_else(|errors| panic!("{change:?}: {errors}"));
        let checked = settings.check().unwrap_or_else(|errors| panic!("{change:?}: {errors}"));
        (settings, checked)
    }

    #[test]
    fn a_reload_makes_of_each_setting_what_the_reference_says() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["file", "certificate"] {
            std::fs::write(folder.path().join(file), "0123456789abcdef\n").unwrap();
        }
        let (old, old_checked) = settings(folder.path(), None);
        let old_link = LinkSettings::new(&old, &old_checked);
        for section in Settings::specs() {
            for key in &section.keys {
                let name = format!("{}.{}", section.name, key.key);
                let value = other(&name, folder.path(), key.default.as_deref(), key.range.as_ref());
                let (new, checked) = settings(folder.path(), Some((&name, &value)));
                assert_eq!(old.changed(&new), [(name.as_str(), key.applies)], "{value}");
                let is_refused = !restart_needed(&old, &new).is_empty();
                assert_eq!(is_refused, key.applies == Applies::AtRestart, "{name}");
                let reconnects = LinkSettings::new(&new, &checked) != old_link;
                if !is_refused {
                    assert_eq!(reconnects, key.applies == Applies::Reconnecting, "{name}");
                }
            }
        }
    }
}
