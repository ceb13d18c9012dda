//! The log: structured fields in the journal under systemd, readable text on a terminal.

mod plain;
mod volume;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, anyhow};
use systemd_journal_logger::{JournalLog, connected_to_journal};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt as text};

pub use volume::{LogVolume, Suppressed};

use super::settings::LogSettings;
use crate::domain::Monotonic;
use plain::Plain;

/// Journal message ids, by which monitoring finds an event whatever its wording.
pub mod message_id {
    /// The daemon is ready.
    pub const STARTED: &str = "3b5f4ad5bb0b4f64b7a35e4f1d0a7c11";
    /// The broker accepted the connection.
    pub const CONNECTED: &str = "8f0e0e2c7be34b0f9a1ce2fb2f6c1d42";
    /// The connection to the broker failed or ended.
    pub const DISCONNECTED: &str = "c1f7c3f2c4b94d0a8c7c5b0f3a9be6d3";
    /// A reload succeeded.
    pub const RELOADED: &str = "5d4c0c2a6d3e4a2bb8a4b4f4c26c5ee4";
    /// A reload was refused.
    pub const RELOAD_FAILED: &str = "e7a9de0c0a4c4f13a7ff0b8c1d0b6f85";
    /// An alarm was raised.
    pub const ALARM_RAISED: &str = "2d9c7a5e8f3b4c61a0e4d7b9c6f1e803";
    /// An alarm is over.
    pub const ALARM_CLEARED: &str = "9b1e6f04c7d24a58b3f0a2c5d8e7419a";
}

/// Starts logging for the whole process, and gives the count of what is left out of it.
///
/// # Errors
/// When the level is no filter, the journal cannot be reached, or logging was started before.
pub fn init(settings: &LogSettings) -> anyhow::Result<LogVolume> {
    let filter = EnvFilter::try_new(&settings.level).context("log.level")?;
    let is_journal = match settings.format.as_str() {
        "journal" => true,
        "text" => false,
        _ => connected_to_journal(),
    };
    let volume = LogVolume::default();
    let registry = tracing_subscriber::registry().with(filter).with(volume.clone());
    let already = |error| anyhow!("logging cannot be started: {error}");
    if is_journal {
        let journal =
            JournalLog::empty().context("the journal cannot be reached; set log.format = \"text\"")?;
        let layer = JournalLayer { journal: journal.with_syslog_identifier("cooltwin".to_owned()) };
        registry.with(layer).try_init().map_err(already)?;
    } else {
        // The messages say in words what the fields say to machines.
        let message_only = text::format::debug_fn(|writer, field, value| {
            if field.name() == "message" { write!(Plain::new(writer), "{value:?}") } else { Ok(()) }
        });
        let layer = text::layer()
            .fmt_fields(message_only)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false);
        registry.with(layer).try_init().map_err(already)?;
    }
    Ok(volume)
}

/// Hands events to the journal with their fields kept as journal fields.
struct JournalLayer {
    journal: JournalLog,
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _context: LayerContext<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let pairs: Vec<(&str, &str)> =
            fields.others.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let metadata = event.metadata();
        // Not infallible only because the journal may be away; there is no better place to say so.
        let _ = self.journal.journal_send(
            &log::Record::builder()
                .level(journal_level(*metadata.level()))
                .target(metadata.target())
                .module_path(metadata.module_path())
                .file(metadata.file())
                .line(metadata.line())
                .args(format_args!("{}", fields.message))
                .key_values(&pairs)
                .build(),
        );
    }
}

/// The journal backend maps `Info` to priority 5 (notice), `Debug` to 6 (info) and `Trace` to 7 (debug).
/// One step aside, so that an info is an info.
fn journal_level(level: Level) -> log::Level {
    match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Debug,
        Level::DEBUG | Level::TRACE => log::Level::Trace,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn take(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == "message" {
            // Writing to a String cannot fail.
            let _ = Plain::new(&mut self.message).write_fmt(value);
        } else {
            let mut text = String::new();
            let _ = Plain::new(&mut text).write_fmt(value);
            self.others.push((field.name(), text));
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, format_args!("{value}"));
    }
}

/// Time within which a cause is logged only once: a flood of bad payloads must not become a flood of lines.
const ONCE_PER: Duration = Duration::from_mins(1);

/// Remembers when each cause was logged last. The causes are names in the code, so their number is bounded.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    last: BTreeMap<&'static str, Monotonic>,
}

impl LogLimit {
    /// Whether the cause may be logged now.
    pub(super) fn allows(&mut self, cause: &'static str, now: Monotonic) -> bool {
        match self.last.get(cause) {
            Some(last) if now.since(*last) < ONCE_PER => false,
            _ => {
                self.last.insert(cause, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_logged_once_a_minute() {
        let mut limit = LogLimit::default();
        let at = |seconds: u64| Monotonic(seconds * 1_000_000);
        assert!(limit.allows("a", at(1)));
        assert!(!limit.allows("a", at(60)));
        assert!(limit.allows("b", at(60)));
        assert!(limit.allows("a", at(61)));
    }

    #[test]
    fn journal_priorities_are_those_of_syslog() {
        // The backend: Error 3, Warn 4, Info 5, Debug 6, Trace 7.
        assert_eq!(journal_level(Level::INFO), log::Level::Debug);
        assert_eq!(journal_level(Level::DEBUG), log::Level::Trace);
    }
}
