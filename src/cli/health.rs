//! `cooltwin health`: how the running daemon is, for people, scripts and container health checks.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::run::SourceArgs;
use super::terminal::{clean, escape};
use super::{Failure, Outcome, output};
use crate::daemon::settings::{BundleSettings, Checked, Settings};
use crate::daemon::{Answer, Reply, ask};

/// Shortest and longest time to wait, in seconds: a slow link takes its time, a health check must not hang.
const PATIENCE_S: std::ops::RangeInclusive<f64> = 0.1..=600.0;

/// Longest line that is printed, in characters: the lists of drops and alarms have their bounds, what others publish in the
/// daemon's name has none.
const MAX_LINE: usize = 4_000;

/// Arguments of `cooltwin health`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Longest wait for broker and daemon together, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = patience)]
    timeout: Duration,
    /// Print JSON: the verdict, and below `health` the document of the daemon
    #[arg(long)]
    json: bool,
}

pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
    seconds
        .filter(|seconds| PATIENCE_S.contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected a number of seconds from 0.1 to 600".to_owned())
}

/// Asks the daemon of this configuration and prints what it says.
///
/// # Errors
/// Wrong configuration (78); a daemon that is offline or does not answer, or a broker that cannot be reached (1).
pub fn health(args: &Args) -> Outcome {
    let (settings, checked) = settings(&args.source)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let answer = runtime.block_on(ask(&settings, &checked, args.timeout));
    // A name server that still thinks must not hold up the exit.
    runtime.shutdown_background();
    let verdict = Verdict::of(&answer, &settings, &checked, args.timeout);
    let text = if args.json { verdict.json(&settings) } else { verdict.summary() };
    let mut out = output::bulk();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    match verdict.problem {
        None => Ok(()),
        Some((_, reason)) => Err(anyhow!("unhealthy: {reason}").into()),
    }
}

/// The settings as the daemon reads them. The models are its own affair: whoever asks need not have them.
pub(super) fn settings(source: &SourceArgs) -> Result<(Settings, Checked), Failure> {
    let mut settings = source.source().load().map_err(Failure::configuration)?;
    let nowhere = BundleSettings { path: Some(PathBuf::from("/")), public_key: None };
    let bundle = std::mem::replace(&mut settings.bundle, nowhere);
    let checked = settings.check().map_err(Failure::configuration)?;
    settings.bundle = bundle;
    Ok((settings, checked))
}

/// Why the daemon is not well, by what came of asking: a word that stays the same over versions, and a sentence.
pub(super) fn problem(
    answer: &Answer,
    settings: &Settings,
    checked: &Checked,
    limit: Duration,
) -> Option<(&'static str, String)> {
    Verdict::of(answer, settings, checked, limit).problem
}

/// What the reply means.
struct Verdict {
    /// Why it is not well: a word that stays the same over versions, and a sentence.
    problem: Option<(&'static str, String)>,
    /// The daemon's health document, and how long it took to come.
    health: Option<(Value, Duration)>,
    /// Topics that the broker did not let us read.
    refused: Vec<String>,
}

impl Verdict {
    fn of(answer: &Answer, settings: &Settings, checked: &Checked, limit: Duration) -> Self {
        let name = &settings.instance.name;
        let broker = &checked.broker;
        let commands = &checked.topics.commands;
        let refused = answer.refused.clone();
        let ill = |word, mut reason: String| {
            // What could not be read may be why.
            if !refused.is_empty() {
                let topics = refused.join(", ");
                let _ = write!(
                    reason,
                    "; the broker refuses the subscription to {topics}: check its access list"
                );
            }
            Self { problem: Some((word, reason)), health: None, refused: refused.clone() }
        };
        match &answer.reply {
            Reply::Health { document, after } => match serde_json::from_slice::<Value>(document) {
                Ok(health) if health.is_object() => {
                    Self { problem: None, health: Some((health, *after)), refused }
                }
                _ => ill("unreadable", format!("{name} answers with something that is no health document")),
            },
            Reply::Offline => ill(
                "offline",
                format!(
                    "{name} is offline at {broker}: it was stopped, has died, or has lost its connection; see its log"
                ),
            ),
            Reply::Nothing { is_online: None } => ill(
                "no_answer",
                format!("{name} does not answer at {broker} within {limit:?}: it is down or hangs"),
            ),
            Reply::Nothing { is_online: Some(true) } => ill(
                "no_answer",
                format!(
                    "{name} is online at {broker} but does not answer within {limit:?}: it hangs, or the broker's \
                     access list does not allow {commands}/health and {commands}/health/response"
                ),
            ),
            Reply::Nothing { is_online: Some(false) } => ill(
                "unknown",
                format!(
                    "no {name} has been at {broker}: check instance.name, topics.daemon and mqtt.url, or the \
                     broker's access list does not allow reading {}",
                    checked.topics.status
                ),
            ),
            Reply::NoBroker { problem, error } => ill(problem, format!("no connection to {broker}: {error}")),
        }
    }

    fn json(&self, settings: &Settings) -> String {
        let (health, after) = match &self.health {
            Some((health, after)) => (Some(health), Some(millis(*after))),
            None => (None, None),
        };
        let verdict = json!({
            "schema": 1,
            "instance": settings.instance.name,
            "healthy": self.problem.is_none(),
            "problem": self.problem.as_ref().map(|(word, _)| word),
            "reason": self.problem.as_ref().map(|(_, reason)| reason),
            "answered_ms": after,
            "refused": self.refused,
            "health": health,
        });
        escape(&verdict.to_string()) + "\n"
    }

    /// What there is to know at a glance; nothing when nothing is known.
    fn summary(&self) -> String {
        let mut text = String::new();
        let Some((health, after)) = &self.health else { return text };
        let health = Document(health);
        let mut line = |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<12}{}", clean(&value, MAX_LINE));
        };
        let name = health.text("/instance");
        line("healthy", format!("{name} is online and answers within {} ms", millis(*after)));
        let up = Duration::from_secs(health.count("/uptime_s"));
        line("running", format!("{}, version {}", humantime::format_duration(up), health.text("/version")));
        line("broker", health.broker());
        let [good, uncertain, bad] =
            ["good", "uncertain", "bad"].map(|q| health.count(&format!("/units/{q}")));
        line("units", format!("{good} good, {uncertain} uncertain, {bad} withheld"));
        let rate = health.number("/rates/predictions_per_s");
        let total = health.count("/totals/predictions");
        line("predictions", format!("{rate:.1}/s, {total} so far"));
        line("dropped", health.drops());
        let [p50, p99] = ["p50", "p99"].map(|p| health.number(&format!("/latency_us/{p}")) / 1e3);
        line("latency", format!("p50 {p50:.1} ms, p99 {p99:.1} ms"));
        line("memory", format!("{:.1} MB", health.number("/rss_bytes") / 1e6));
        let [id, version, hash] =
            ["id", "version", "sha256"].map(|part| health.text(&format!("/bundle/{part}")));
        line("model", format!("{id} {version} ({hash})"));
        line("alarms", health.alarms());
        for warning in health.list("/warnings") {
            line("warning", warning.to_owned());
        }
        if !self.refused.is_empty() {
            line(
                "refused",
                format!("subscription to {}, by the broker's access list", self.refused.join(", ")),
            );
        }
        if health.0.pointer("/last_error/error").is_some() {
            let [time, error] = ["time", "error"].map(|part| health.text(&format!("/last_error/{part}")));
            line("last error", format!("{time} {error}"));
        }
        if health.0.pointer("/reload_failure").is_some_and(Value::is_string) {
            line("reload", format!("refused: {}", health.text("/reload_failure")));
        }
        text
    }
}

/// In milliseconds, to the microsecond.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// A health document, maybe of another version: what is missing reads as nothing.
pub(super) struct Document<'d>(pub(super) &'d Value);

impl Document<'_> {
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or("unknown")
    }

    pub(super) fn count(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    pub(super) fn number(&self, pointer: &str) -> f64 {
        self.0.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0)
    }

    pub(super) fn list(&self, pointer: &str) -> Vec<&str> {
        let list = self.0.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    pub(super) fn broker(&self) -> String {
        let mut text = format!("{}, {}", self.text("/broker/url"), self.text("/broker/state"));
        if let Some(problem) = self.0.pointer("/broker/problem").and_then(Value::as_str) {
            let _ = write!(text, ", {problem}");
        }
        let connects = self.count("/broker/connects");
        if connects > 1 {
            let _ = write!(text, "; connection {connects}");
        }
        text
    }

    pub(super) fn drops(&self) -> String {
        let drops = self.0.pointer("/drops").and_then(Value::as_object);
        let parts: Vec<_> =
            drops.into_iter().flatten().map(|(reason, count)| format!("{reason} {count}")).collect();
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }

    pub(super) fn alarms(&self) -> String {
        let mut parts: Vec<_> = self.list("/alarms/standing").into_iter().map(str::to_owned).collect();
        let of_units = self.count("/alarms/units");
        if of_units > 0 {
            parts.push(format!("{of_units} of units"));
        }
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(document: &str) -> Verdict {
        let document = document.to_owned().into();
        let reply = Reply::Health { document, after: Duration::from_micros(1_234) };
        told(reply, &[])
    }

    fn told(reply: Reply, refused: &[&str]) -> Verdict {
        let refused = refused.iter().map(|&topic| topic.to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.bundle.path = Some(folder.path().to_path_buf());
        let checked = settings.check().unwrap();
        Verdict::of(&Answer { reply, refused }, &settings, &checked, Duration::from_secs(5))
    }

    #[test]
    fn a_summary_says_what_stands_in_the_document() {
        let verdict = verdict(
            r#"{"instance": "main", "version": "0.1.0", "uptime_s": 3725, "units": {"good": 3, "uncertain": 1, "bad": 2},
            "rates": {"predictions_per_s": 1.25}, "totals": {"predictions": 77}, "drops": {"late_reading": 4},
            "latency_us": {"p50": 300, "p99": 2500}, "rss_bytes": 15500000,
            "bundle": {"id": "unit-cooler", "version": "1.0.0", "sha256": "2f1c"},
            "broker": {"url": "mqtt://b:1883", "state": "connected", "problem": "not_delivering", "connects": 3},
            "alarms": {"standing": ["source_silent"], "units": 2}, "warnings": ["plain"], "reload_failure": "a typo",
            "last_error": {"time": "2026-01-01T00:00:00Z", "kind": "closed", "error": "it hung up"}}"#,
        );
        let summary = verdict.summary();
        for part in [
            "healthy     main is online and answers within 1.234 ms",
            "running     1h 2m 5s, version 0.1.0",
            "broker      mqtt://b:1883, connected, not_delivering; connection 3",
            "units       3 good, 1 uncertain, 2 withheld",
            "predictions 1.2/s, 77 so far",
            "dropped     late_reading 4",
            "latency     p50 0.3 ms, p99 2.5 ms",
            "memory      15.5 MB",
            "model       unit-cooler 1.0.0 (2f1c)",
            "alarms      source_silent, 2 of units",
            "warning     plain",
            "last error  2026-01-01T00:00:00Z it hung up",
            "reload      refused: a typo",
        ] {
            assert!(summary.lines().any(|line| line == part), "`{part}` is missing in\n{summary}");
        }
    }

    #[test]
    fn a_document_of_another_version_is_told_as_far_as_it_goes() {
        let verdict = verdict("{}");
        assert!(verdict.problem.is_none());
        let summary = verdict.summary();
        assert!(
            summary.contains("model       unknown unknown (unknown)") && summary.contains("alarms      none")
        );
        assert!(!summary.contains("last error"), "{summary}");
    }

    #[test]
    fn nothing_in_a_document_is_a_command_for_the_terminal() {
        let verdict =
            verdict("{\"version\": \"\\u001b[2J\\u009b31m\", \"alarms\": {\"standing\": [\"a\\r\\nb\"]}}");
        let printed = verdict.summary() + &verdict.json(&Settings::default());
        assert!(!printed.contains(|c: char| c.is_control() && c != '\n'), "{printed:?}");
    }

    #[test]
    fn what_the_broker_does_not_let_be_read_is_told() {
        let after = Duration::from_millis(1);
        let well = told(Reply::Health { document: "{}".into(), after }, &["a/status"]);
        assert!(well.problem.is_none());
        assert!(well.summary().contains("refused     subscription to a/status, by the broker's"));
        // It may be at work, and nobody can tell.
        let (word, reason) = told(Reply::Nothing { is_online: None }, &["a/status", "b"]).problem.unwrap();
        assert_eq!(word, "no_answer");
        assert!(
            reason.ends_with("the broker refuses the subscription to a/status, b: check its access list")
        );
        let (_, reason) = told(Reply::Nothing { is_online: Some(true) }, &[]).problem.unwrap();
        assert!(!reason.contains("refuses"), "{reason}");
    }

    #[test]
    fn what_is_no_document_is_no_health() {
        for strange in ["", "pong", "[]", "17"] {
            assert_eq!(verdict(strange).problem.unwrap().0, "unreadable", "{strange}");
        }
    }

    #[test]
    fn patience_has_bounds() {
        assert_eq!(patience("5"), Ok(Duration::from_secs(5)));
        assert_eq!(patience("0.5s"), Ok(Duration::from_millis(500)));
        for bad in ["", "0", "-1", "NaN", "inf", "601", "soon"] {
            assert!(patience(bad).is_err(), "{bad}");
        }
    }
}
