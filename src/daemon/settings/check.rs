//! The second pass: what the settings mean, and whether they fit together.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use url::{Host, Url};

use super::problem::{Problem, SettingsErrors};
use super::{MqttSettings, Settings};
use crate::domain::{AlarmId, PayloadKeys, TopicTemplate, ZoneSpec};
use crate::engine::{EngineSettings, TopicTexts, Topics};
use crate::folder::BUNDLE_PLACES;

/// Longest instance name: it stands in topics and in the client id, which old brokers limit.
const MAX_INSTANCE_BYTES: usize = 64;

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
    /// What is allowed but unwise, one sentence each.
    pub warnings: Vec<String>,
}

/// The broker's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether to speak TLS.
    pub is_tls: bool,
}

impl std::fmt::Display for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", if self.is_tls { "mqtts" } else { "mqtt" }, self.host, self.port)
    }
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
    /// Commands come in below this topic.
    pub commands: String,
}

impl DaemonTopics {
    fn below(base: &str) -> Self {
        Self {
            status: format!("{base}/status"),
            health: format!("{base}/health"),
            alarms: format!("{base}/alarms"),
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
        let broker = check_broker(&self.mqtt, &mut problems, &mut warnings);
        check_login(&self.mqtt, broker.as_ref(), &mut problems, &mut warnings);
        let topics = self.daemon_topics(&mut problems);
        let mut engine = self.engine_settings(&mut problems);
        if let (Some(engine), Some(topics)) = (&mut engine, &topics) {
            engine.daemon_alarms.clone_from(&topics.alarms);
        }
        if let (Some(engine), Some(topics)) = (&engine, &topics) {
            check_feedback(&engine.topics, topics, &mut problems);
        }
        check_log(&self.log, &mut problems);
        let bundle_path = self.bundle_path(&mut problems);
        match (engine, topics, broker) {
            (Some(engine), Some(topics), Some(broker)) if problems.is_empty() => {
                Ok(Checked { engine, topics, broker, bundle_path, warnings })
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
        Some(EngineSettings {
            topics,
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
            // Below the daemon's own topic, which is found out beside.
            daemon_alarms: String::new(),
        })
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

fn check_broker(
    mqtt: &MqttSettings,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Option<Broker> {
    let example = "write it as mqtt://host:1883, or mqtts://host:8883 for TLS";
    let url = match Url::parse(&mqtt.url) {
        Ok(url) => url,
        Err(error) => {
            // Not shown: what cannot be parsed may still hold a password.
            problems.push(Problem::new("mqtt.url", None, format!("is no URL: {error}"), example));
            return None;
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        let remedy = "put them into mqtt.username and mqtt.password_file";
        problems.push(Problem::new("mqtt.url", None, "must not hold user name or password", remedy));
        return None;
    }
    let shown = format!("\"{}\"", mqtt.url);
    let is_tls = match url.scheme() {
        "mqtt" => false,
        "mqtts" => true,
        other => {
            let reason = format!("the scheme `{other}` is not spoken here");
            problems.push(Problem::new("mqtt.url", shown, reason, example));
            return None;
        }
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        problems.push(Problem::new("mqtt.url", shown, "has more than host and port", example));
        return None;
    }
    let host = match url.host() {
        // Addresses in URLs of unknown schemes come out as domains; read them again.
        Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(_)) if is_tls => {
            let reason = "an IPv6 address cannot be checked against a certificate here";
            problems.push(Problem::new("mqtt.url", shown, reason, "use the broker's host name"));
            return None;
        }
        Some(Host::Ipv6(address)) => format!("[{address}]"),
        _ => {
            problems.push(Problem::new("mqtt.url", shown, "names no host", example));
            return None;
        }
    };
    let port = url.port().unwrap_or(if is_tls { 8883 } else { 1883 });
    if !is_tls && !is_loopback(&host) {
        let what = if mqtt.password.is_some() || mqtt.password_file.is_some() {
            "the password and all readings travel in clear text"
        } else {
            "all readings travel in clear text"
        };
        warnings.push(format!("mqtt.url = {shown}: {what}; use mqtts:// beyond this machine"));
    }
    Some(Broker { host, port, is_tls })
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check_login(
    mqtt: &MqttSettings,
    broker: Option<&Broker>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) {
    if mqtt.password.is_some() && mqtt.password_file.is_some() {
        let reason = "stands beside mqtt.password";
        problems.push(Problem::new("mqtt.password_file", None, reason, "keep one of the two"));
    }
    if mqtt.username.is_none() && (mqtt.password.is_some() || mqtt.password_file.is_some()) {
        let reason = "is missing, but a password is set";
        problems.push(Problem::new("mqtt.username", None, reason, "set the user the password belongs to"));
    }
    if mqtt.client_cert_file.is_some() != mqtt.client_key_file.is_some() {
        let (key, other) = if mqtt.client_cert_file.is_some() {
            ("mqtt.client_key_file", "mqtt.client_cert_file")
        } else {
            ("mqtt.client_cert_file", "mqtt.client_key_file")
        };
        problems.push(Problem::new(key, None, format!("is missing beside {other}"), "set both or neither"));
    }
    if mqtt.client_id.as_deref() == Some("") {
        let reason = "would give the broker nothing to keep messages under";
        problems.push(Problem::new(
            "mqtt.client_id",
            "\"\"".to_owned(),
            reason,
            "name it or remove the line",
        ));
    }
    let files = [
        ("mqtt.password_file", &mqtt.password_file),
        ("mqtt.ca_file", &mqtt.ca_file),
        ("mqtt.client_cert_file", &mqtt.client_cert_file),
        ("mqtt.client_key_file", &mqtt.client_key_file),
    ];
    for (key, path) in files {
        let Some(path) = path else { continue };
        if let Err(error) = std::fs::File::open(path) {
            let reason = format!("cannot be read: {error}");
            let remedy = "name a file that this user may read";
            problems.push(Problem::new(key, quoted(path), reason, remedy));
        }
        if key != "mqtt.password_file" && broker.is_some_and(|broker| !broker.is_tls) {
            warnings.push(format!("{key} has no effect with mqtt://; use mqtts:// for TLS"));
        }
    }
}

fn check_feedback(inputs: &Topics, own: &DaemonTopics, problems: &mut Vec<Problem>) {
    let remedy = "change one of the two; the daemon would read its own output";
    for (input, output) in inputs.feedback() {
        let reason = format!("matches what topics.{output} publishes");
        problems.push(Problem::new(format!("topics.{input}"), None, reason, remedy));
    }
    let own_topics = [
        own.status.clone(),
        own.health.clone(),
        format!("{}/{}", own.alarms, AlarmId::ReloadFailed),
        own.response("health"),
        own.response("reload"),
        format!("{}/health", own.commands),
    ];
    for (name, template) in [("reading", &inputs.reading), ("frame", &inputs.frame)] {
        if let Some(topic) =
            own_topics.iter().find(|topic| template.capture(topic, "unit", "sensor").is_some())
        {
            let value = format!("\"{}\"", template.as_str());
            let reason = format!("matches the daemon's own topic {topic}");
            problems.push(Problem::new(format!("topics.{name}"), value, reason, remedy));
        }
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
