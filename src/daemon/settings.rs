//! The configuration: a TOML file, overridden by the environment, checked as a whole.

mod check;
pub(in crate::daemon) mod files;
mod problem;
mod reference;
mod secret;
mod sections;
mod sources;
mod table;
mod template;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, Value, ValueKind};

pub use check::{Broker, Checked, DaemonTopics, HttpTerms, Output};
pub use problem::{Problem, SettingsErrors};
pub use reference::reference;
pub use secret::Secret;
pub use sections::{
    AlarmSettings, BundleSettings, EngineSection, HealthSettings, HomeAssistantSettings, HttpSettings,
    InstanceSettings, LogSettings, MqttSettings, PayloadSettings, SeedSettings, Settings, StateSettings,
    TopicSettings,
};
pub use sources::SourceSettings;
pub use table::{Applies, KeySpec, SectionSpec};
pub use template::template;
pub use value::SettingValue;

use table::Reader;

/// Largest configuration file read: a hundred times the documented template.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Most similar names are suggested only when they resemble this much (Jaro-Winkler, 0 to 1).
const MIN_SIMILARITY: f64 = 0.75;

/// Where a configuration comes from; kept so that a reload reads the same again.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The TOML file, if any.
    pub file: Option<PathBuf>,
    /// `COOLTWIN__SECTION__KEY` variables with their values.
    pub environment: BTreeMap<String, String>,
    /// `section.key` with values from the command line; they win.
    pub overrides: Vec<(String, String)>,
}

impl Source {
    /// A file, this process's environment, and overrides.
    #[must_use]
    pub fn of_process(file: Option<&Path>, overrides: &[(String, String)]) -> Self {
        // `vars` would panic on a variable that is not Unicode.
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(key, _)| key.to_ascii_uppercase().starts_with("COOLTWIN__"))
            .collect();
        Self { file: file.map(Path::to_path_buf), environment, overrides: overrides.to_vec() }
    }

    /// Reads everything and reports every wrong or unknown key at once. What the values mean together is
    /// checked by [`Settings::check`].
    ///
    /// # Errors
    /// All problems found.
    pub fn load(&self) -> Result<Settings, SettingsErrors> {
        let text = self.file.as_deref().map(read_file).transpose();
        self.load_text(text.map_err(|problem| SettingsErrors(vec![problem]))?.as_deref())
    }

    /// The same with the text of the file as it was read.
    ///
    /// # Errors
    /// All problems found.
    pub fn load_text(&self, text: Option<&str>) -> Result<Settings, SettingsErrors> {
        let values = self.values(text).map_err(|problem| SettingsErrors(vec![problem]))?;
        let specs = Settings::specs();
        let mut problems = Vec::new();
        let mut flat = BTreeMap::new();
        let file = self.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
        let sources = sources::read(text.unwrap_or_default(), &file, &mut problems);
        for (section, value) in values {
            if section == sources::SECTION {
                let is_written = matches!(value.kind, ValueKind::Array(_));
                if !is_written && problems.iter().all(|problem| problem.key != section) {
                    problems.push(Problem::new(
                        section,
                        None,
                        "is a list of rules",
                        "write them in the file",
                    ));
                }
                continue;
            }
            let origin = value.origin().map(str::to_owned);
            match value.kind {
                ValueKind::Table(keys) if specs.iter().any(|spec| spec.name == section) => {
                    flat.extend(keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)));
                }
                ValueKind::Table(keys) => {
                    let origin =
                        origin.or_else(|| keys.values().find_map(|value| value.origin().map(str::to_owned)));
                    problems.push(Problem { origin, ..unknown_section(&section) });
                }
                _ => problems.push(Problem { origin, ..stray_value(&section) }),
            }
        }
        let mut reader = Reader::new(flat);
        let settings = Settings { source: sources, ..Settings::read(&mut reader) };
        problems.append(&mut reader.problems);
        problems.extend(
            reader.leftover().map(|(name, value)| Problem {
                origin: value.origin().map(str::to_owned),
                ..unknown_key(name)
            }),
        );
        for problem in &mut problems {
            if problem.origin.is_none() {
                problem.origin = self.origin_of(&problem.key);
            }
        }
        if problems.is_empty() {
            return Ok(settings);
        }
        // With defaults in place of what could not be read, the rest can be judged in the same go.
        if let Err(further) = settings.check() {
            problems.extend(further.0);
        }
        Err(SettingsErrors(problems))
    }

    /// What is unwise about the places that settings come from: who else can read a secret there.
    #[must_use]
    pub fn warnings(&self, settings: &Settings) -> Vec<String> {
        let secrets = [
            ("mqtt.password", settings.mqtt.password.is_some()),
            ("http.token", settings.http.token.is_some()),
        ];
        secrets.iter().filter(|(_, is_set)| *is_set).filter_map(|(key, _)| self.exposed(key)).collect()
    }

    /// Why a secret that stands in the settings can be read by others, if it can.
    fn exposed(&self, key: &str) -> Option<String> {
        if self.overrides.iter().any(|(name, _)| name == key) {
            return Some(format!(
                "{key} can be read on the command line by every user of this machine; use {key}_file"
            ));
        }
        let variable = format!("COOLTWIN__{}", key.replace('.', "__"));
        let is_elsewhere = self.environment.keys().any(|name| name.eq_ignore_ascii_case(&variable));
        let file = self.file.as_deref().filter(|_| !is_elsewhere)?;
        let warning = files::inspect(file, files::Content::Secret).ok().flatten()?;
        Some(format!("{key} stands in a file: {warning}"))
    }

    /// Where a value without a note of its own came from.
    fn origin_of(&self, key: &str) -> Option<String> {
        if self.overrides.iter().any(|(name, _)| name == key) {
            return Some("the command line".to_owned());
        }
        self.file.as_ref().map(|file| file.display().to_string())
    }

    fn values(&self, text: Option<&str>) -> Result<BTreeMap<String, Value>, Problem> {
        let mut builder = Config::builder();
        let named = match &self.file {
            Some(path) => path.display().to_string(),
            None => "the environment".to_owned(),
        };
        if let Some(text) = text {
            builder = builder.add_source(File::from_str(text, FileFormat::Toml));
        }
        let environment = Environment::with_prefix("COOLTWIN")
            .prefix_separator("__")
            .separator("__")
            .source(Some(self.environment.clone().into_iter().collect()));
        builder = builder.add_source(environment);
        for (key, value) in &self.overrides {
            builder = builder.set_override(key, value.as_str()).map_err(|_| {
                Problem::new(key, None, "is not the name of a setting", "write it as section.key")
            })?;
        }
        let config = builder.build().map_err(|error| {
            Problem::new(&named, None, one_line(&error.to_string()), "correct the file; it must be TOML")
        })?;
        match config.cache.kind {
            ValueKind::Table(table) => Ok(table.into_iter().collect()),
            _ => Ok(BTreeMap::new()),
        }
    }
}

/// The parser's message without its picture of the line, which names line and column anyway: problems also
/// go to the journal and to MQTT, one line each.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|'));
    lines.collect::<Vec<_>>().join(": ")
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let problem = |reason: String| {
        let remedy = "name a readable TOML file; `cooltwin config` prints a complete one";
        Problem::new(path.display().to_string(), None, reason, remedy)
    };
    let text = files::inspect(path, files::Content::Public)
        .and_then(|_| files::read_text(path, MAX_CONFIG_BYTES))
        .map_err(problem)?;
    // By TOML it would mean all defaults; it is what an editor leaves on a full disk.
    if text.trim().is_empty() { Err(problem("is empty".to_owned())) } else { Ok(text) }
}

fn stray_value(name: &str) -> Problem {
    let specs = Settings::specs();
    if specs.iter().any(|spec| spec.name == name) {
        let remedy = format!("write [{name}] and its keys below");
        return Problem::new(name, None, "is a section, not a value", remedy);
    }
    let remedy = match specs.iter().find(|spec| spec.keys.iter().any(|known| known.key == name)) {
        Some(spec) => format!("did you mean {}.{name}?", spec.name),
        None => format!("put it below one of {}", bracketed(&specs)),
    };
    Problem::new(name, None, "stands outside every section", remedy)
}

fn unknown_section(name: &str) -> Problem {
    let specs = Settings::specs();
    let remedy = match nearest(name, specs.iter().map(|spec| spec.name)) {
        Some(near) => format!("did you mean [{near}]?"),
        None => format!("the sections are {}", bracketed(&specs)),
    };
    Problem::new(name, None, format!("there is no section [{name}]"), remedy)
}

fn unknown_key(name: &str) -> Problem {
    let specs = Settings::specs();
    let (section, key) = name.split_once('.').unwrap_or((name, ""));
    let keys: Vec<&str> = specs
        .iter()
        .filter(|spec| spec.name == section)
        .flat_map(|spec| spec.keys.iter().map(|known| known.key))
        .collect();
    let elsewhere = specs.iter().find(|spec| spec.keys.iter().any(|known| known.key == key));
    let remedy = match (elsewhere, nearest(key, keys.iter().copied())) {
        (Some(other), _) => format!("did you mean {}.{key}?", other.name),
        (None, Some(near)) => format!("did you mean {section}.{near}?"),
        (None, None) => format!("the keys of [{section}] are {}", keys.join(", ")),
    };
    Problem::new(name, None, "there is no such setting", remedy)
}

fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Jaro-Winkler sees nothing alike in short words with two letters swapped; one slip is always near.
    let similarity = |candidate: &str| {
        if strsim::damerau_levenshtein(name, candidate) == 1 {
            1.0
        } else {
            strsim::jaro_winkler(name, candidate)
        }
    };
    known
        .filter(|candidate| similarity(candidate) >= MIN_SIMILARITY)
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
}

fn bracketed(specs: &[SectionSpec]) -> String {
    specs.iter().map(|spec| format!("[{}]", spec.name)).collect::<Vec<_>>().join(", ")
}
