//! The second pass: what the settings mean, and whether they fit together.

mod broker;
mod feedback;
mod home_assistant;
mod http;
mod login;
mod overlaps;
mod traffic;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{self, Content};
use super::problem::{Problem, SettingsErrors};
use super::{BundleSettings, Settings, sources};
use crate::bundle::PublicKey;
use crate::domain::{CLOCK_FLOOR, PayloadKeys, Rule, TopicTemplate, UnitId, UnitIdError, ZoneSpec};
use crate::engine::{EngineSettings, Seed, SilenceLimits, TopicTexts, Topics};
use crate::folder::BUNDLE_PLACES;

pub use broker::Broker;
pub use http::HttpTerms;
pub use traffic::Output;

/// Longest instance name: it stands in topics and in the client id, which old brokers limit.
const MAX_INSTANCE_BYTES: usize = 64;
/// Longest file with a public key: a comment and a line.
const MAX_KEY_FILE_BYTES: u64 = 4 * 1024;

/// Shortest interval of the loopback probe: above what a slow link needs for one to go round.
const SHORTEST_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// What the settings mean once they are known to fit together.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The engine's part.
    pub engine: EngineSettings,
    /// The daemon's own topics.
    pub topics: DaemonTopics,
    /// Where the broker is.
    pub broker: Broker,
    /// The bundle's folder.
    pub bundle_path: PathBuf,
    /// Who must have signed the bundle, if anybody.
    pub bundle_key: Option<PublicKey>,
    /// How to listen for HTTP, if at all.
    pub http: Option<HttpTerms>,
    /// What is allowed but unwise, one sentence each.
    pub warnings: Vec<String>,
}

/// The topics that speak about the daemon itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonTopics {
    /// `online` or `offline`, retained.
    pub status: String,
    /// The heartbeat.
    pub health: String,
    /// The daemon's alarms stand below this topic.
    pub alarms: String,
    /// The loopback probe goes round on it.
    pub probe: String,
    /// Commands come in below this topic.
    pub commands: String,
}

impl DaemonTopics {
    fn below(base: &str) -> Self {
        Self {
            status: format!("{base}/status"),
            health: format!("{base}/health"),
            alarms: format!("{base}/alarms"),
            probe: format!("{base}/probe"),
            commands: format!("{base}/cmd"),
        }
    }

    /// The filter for commands. One level: responses stand one level below and do not come back.
    #[must_use]
    pub fn command_filter(&self) -> String {
        format!("{}/+", self.commands)
    }

    /// The command a topic names.
    #[must_use]
    pub fn command<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(&self.commands)?.strip_prefix('/')
    }

    /// Where a command is answered unless it says otherwise.
    #[must_use]
    pub fn response(&self, command: &str) -> String {
        format!("{}/{command}/response", self.commands)
    }
}

impl Settings {
    /// Checks what the values mean together, and that the files they name are there.
    ///
    /// # Errors
    /// All problems found.
    pub fn check(&self) -> Result<Checked, SettingsErrors> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        check_instance(&self.instance.name, &mut problems);
        let broker = broker::check(&self.mqtt, &mut problems, &mut warnings);
        login::check(&self.mqtt, broker.as_ref(), &mut problems, &mut warnings);
        let topics = self.daemon_topics(&mut problems);
        let mut engine = self.engine_settings(&mut problems);
        if let (Some(engine), Some(topics)) = (&mut engine, &topics) {
            engine.daemon_alarms.clone_from(&topics.alarms);
            engine.home_assistant = home_assistant::check(self, topics, &mut problems);
        }
        if let (Some(engine), Some(topics)) = (&engine, &topics) {
            feedback::check(engine, topics, &mut problems);
        }
        if let Some(engine) = &engine {
            overlaps::check(engine, &mut problems);
        }
        check_probe(self.mqtt.probe_interval, &mut problems);
        check_log(&self.log, &mut problems);
        let http = http::check(&self.http, &mut problems, &mut warnings);
        let bundle_path = self.bundle_path(&mut problems);
        let bundle_key = bundle_key(&self.bundle, &mut problems);
        match (engine, topics, broker) {
            (Some(engine), Some(topics), Some(broker)) if problems.is_empty() => {
                Ok(Checked { engine, topics, broker, bundle_path, bundle_key, http, warnings })
            }
            _ => Err(SettingsErrors(problems)),
        }
    }

    /// The client id: as set, or made from the instance's name.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.mqtt.client_id.clone().unwrap_or_else(|| format!("cooltwin-{}", self.instance.name))
    }

    fn daemon_topics(&self, problems: &mut Vec<Problem>) -> Option<DaemonTopics> {
        match TopicTemplate::parse(&self.topics.daemon, &["instance"], false) {
            Ok(base) => Some(DaemonTopics::below(&base.render(&[("instance", &self.instance.name)]))),
            Err(error) => {
                problems.push(topic_problem("daemon", &self.topics.daemon, &error.to_string()));
                None
            }
        }
    }

    fn engine_settings(&self, problems: &mut Vec<Problem>) -> Option<EngineSettings> {
        let written = &self.topics;
        let topics = Topics::parse(&TopicTexts {
            reading: &written.reading,
            frame: &written.frame,
            prediction: &written.prediction,
            target: &written.target,
            state: &written.state,
            flags: &written.flags,
            alarm: &written.alarm,
        })
        .map_err(|errors| {
            for (field, error) in errors {
                let value = match field {
                    "reading" => &written.reading,
                    "frame" => &written.frame,
                    "prediction" => &written.prediction,
                    "target" => &written.target,
                    "state" => &written.state,
                    "flags" => &written.flags,
                    _ => &written.alarm,
                };
                problems.push(topic_problem(field, value, &error.to_string()));
            }
        });
        let zone = ZoneSpec::parse(&self.payload.time_zone).map_err(|reason| {
            let value = format!("\"{}\"", self.payload.time_zone);
            problems.push(Problem::new("payload.time_zone", value, reason, ""));
        });
        for (key, pointer) in [("value", &self.payload.value), ("time", &self.payload.time)] {
            if !pointer.starts_with('/') {
                problems.push(Problem::new(
                    format!("payload.{key}"),
                    format!("\"{pointer}\""),
                    "is no JSON pointer",
                    format!("begin it with a slash: \"/{pointer}\""),
                ));
            }
        }
        let (Ok(topics), Ok(zone)) = (topics, zone) else { return None };
        let mut sources = sources::check(&self.source, &zone, problems);
        let seed = self.seed(problems);
        // Last, so that the others keep their places.
        sources.extend(seed.as_ref().and_then(|seed| Rule::new(seed.rule(), &zone).ok()));
        Some(EngineSettings {
            topics,
            sources,
            keys: PayloadKeys {
                value: self.payload.value.clone(),
                time: self.payload.time.clone(),
                frame_time: self.payload.frame_time.clone(),
                frame_data: self.payload.frame_data.clone(),
            },
            zone,
            settle: self.engine.settle,
            min_interval: self.engine.min_interval,
            max_units: self.engine.max_units,
            unit_ttl: self.engine.unit_ttl,
            max_clock_skew: self.engine.max_clock_skew,
            max_payload_bytes: self.engine.max_payload_bytes,
            max_waiting: self.engine.max_waiting,
            target_topics: self.engine.target_topics,
            target_flags: self.engine.target_flags,
            clock_floor: CLOCK_FLOOR,
            silence: SilenceLimits {
                sources: self.alarms.silence,
                frames: self.alarms.frame_silence,
                readings: self.alarms.reading_silence,
                units: self.alarms.unit_silence,
            },
            // Below the daemon's own topic, which is found out beside.
            daemon_alarms: String::new(),
            home_assistant: None,
            seed,
        })
    }

    /// The unit of the seed's topics, if they are used.
    fn seed(&self, problems: &mut Vec<Problem>) -> Option<Seed> {
        let name = &self.seed.unit;
        let refuse = |error: UnitIdError| {
            let remedy = "give it a name as the units of other topics have, such as \"cooler-1\"";
            problems.push(Problem::new("seed.unit", format!("\"{name}\""), error.to_string(), remedy));
        };
        UnitId::new(name).map_err(refuse).ok().filter(|_| self.seed.enabled).map(|unit| Seed { unit })
    }

    fn bundle_path(&self, problems: &mut Vec<Problem>) -> PathBuf {
        let default = || {
            let found = BUNDLE_PLACES.iter().find(|place| Path::new(place).is_dir());
            PathBuf::from(found.or(BUNDLE_PLACES.last()).copied().unwrap_or_default())
        };
        let path = self.bundle.path.clone().unwrap_or_else(default);
        if !path.is_dir() {
            problems.push(Problem::new(
                "bundle.path",
                quoted(&path),
                "is not a folder",
                "name the folder that holds bundle.toml and the ONNX files",
            ));
        }
        path
    }
}

/// The key that signs bundles: as it is written, or from the file that is named.
fn bundle_key(bundle: &BundleSettings, problems: &mut Vec<Problem>) -> Option<PublicKey> {
    let written = bundle.public_key.as_deref()?;
    let text = if PublicKey::parse(written).is_ok() {
        Ok(written.to_owned())
    } else {
        let path = Path::new(written);
        files::inspect(path, Content::Public).and_then(|_| files::read_text(path, MAX_KEY_FILE_BYTES))
    };
    let refuse = |reason: String| {
        let remedy =
            "name the key (RW and 54 further characters) or the file minisign.pub that `minisign -G` made";
        problems.push(Problem::new("bundle.public_key", format!("\"{written}\""), reason, remedy));
    };
    text.and_then(|text| PublicKey::parse(&text)).map_err(refuse).ok()
}

fn topic_problem(field: &str, value: &str, reason: &str) -> Problem {
    let remedy = "`cooltwin config` shows a working example";
    Problem::new(format!("topics.{field}"), format!("\"{value}\""), reason, remedy)
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

fn check_instance(name: &str, problems: &mut Vec<Problem>) {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MAX_INSTANCE_BYTES || !name.chars().all(is_plain) {
        problems.push(Problem::new(
            "instance.name",
            format!("\"{name}\""),
            "stands in topics and must be plain",
            format!("use 1 to {MAX_INSTANCE_BYTES} letters, digits, `-`, `_` or `.`"),
        ));
    }
}

fn check_probe(interval: Duration, problems: &mut Vec<Problem>) {
    if !interval.is_zero() && interval < SHORTEST_PROBE_INTERVAL {
        let value = format!("\"{}\"", humantime::format_duration(interval));
        let reason = "would ask too much of broker and network";
        let remedy = "use at least \"1s\", or \"0s\" to have no probe";
        problems.push(Problem::new("mqtt.probe_interval", value, reason, remedy));
    }
}

/// Stricter than the filter itself, which takes a lone unknown word for the name of a module and an
/// unknown level for everything, and so would silence or flood the log.
fn is_log_directive(directive: &str) -> bool {
    let level = match directive.split_once('=') {
        Some((target, level)) if !target.is_empty() => level,
        Some(_) => return false,
        None => directive,
    };
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    levels.iter().any(|known| level.eq_ignore_ascii_case(known))
}

fn check_log(log: &super::LogSettings, problems: &mut Vec<Problem>) {
    let is_filter = tracing_subscriber::EnvFilter::try_new(&log.level).is_ok();
    if !is_filter || !log.level.split(',').all(is_log_directive) {
        problems.push(Problem::new(
            "log.level",
            format!("\"{}\"", log.level),
            "is no filter",
            "use off, error, warn, info, debug or trace, or a list such as \"info,cooltwin::daemon=debug\"",
        ));
    }
    if !["auto", "journal", "text"].contains(&log.format.as_str()) {
        let value = format!("\"{}\"", log.format);
        problems.push(Problem::new("log.format", value, "is not known", "use auto, journal or text"));
    }
}
