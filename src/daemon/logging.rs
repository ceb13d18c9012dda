//! The log: structured fields in the journal under systemd, readable text on a terminal.

mod events;
mod plain;
mod volume;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, anyhow};
use systemd_journal_logger::{JournalLog, connected_to_journal};
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt as text};

pub use events::{Event, FIELDS};
pub use volume::{LogVolume, Suppressed};

use super::settings::LogSettings;
use crate::domain::Monotonic;
use plain::Plain;

/// Whether what is written to standard error ends up in the journal.
#[must_use]
pub fn is_journal() -> bool {
    connected_to_journal()
}

/// Starts logging for the whole process, and gives the count of what is left out of it. The lines of instances that
/// share a machine are told apart by `instance`; it may be empty while that is not known.
///
/// # Errors
/// When the level is no filter, the journal cannot be reached, or logging was started before.
pub fn init(settings: &LogSettings, instance: &str) -> anyhow::Result<LogVolume> {
    let filter = EnvFilter::try_new(&settings.level).context("log.level")?;
    let is_journal = match settings.format.as_str() {
        "journal" => true,
        "text" => false,
        _ => is_journal(),
    };
    let volume = LogVolume::default();
    let registry = tracing_subscriber::registry().with(filter).with(volume.clone());
    let already = |error| anyhow!("logging cannot be started: {error}");
    if is_journal {
        let journal =
            JournalLog::empty().context("the journal cannot be reached; set log.format = \"text\"")?;
        let mut journal = journal.with_syslog_identifier("cooltwin".to_owned());
        if !instance.is_empty() {
            journal = journal.add_extra_field("INSTANCE", instance);
        }
        let layer = JournalLayer { journal };
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
    fn on_event(&self, event: &tracing::Event<'_>, _context: LayerContext<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let is_ours = metadata.target().starts_with(env!("CARGO_CRATE_NAME"));
        let pairs: Vec<(&str, &str)> = fields
            .others
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .chain(fields.message_id())
            .collect();
        // Only what is documented: names, once used in a filter, cannot be changed.
        debug_assert!(!is_ours || pairs.iter().all(|(key, _)| is_documented(key)), "{pairs:?}");
        // Not infallible only because the journal may be away; there is no better place to say so.
        let _ = self.journal.journal_send(
            &log::Record::builder()
                .level(journal_level(*metadata.level(), fields.event.is_some()))
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

/// The journal backend maps `Info` to priority 5 (notice), `Debug` to 6 (info) and `Trace` to 7 (debug). One step
/// aside, so that an info is an info; and a notice, if it is an event that somebody may look for.
fn journal_level(level: Level, is_event: bool) -> log::Level {
    match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO if is_event => log::Level::Info,
        Level::INFO => log::Level::Debug,
        Level::DEBUG | Level::TRACE => log::Level::Trace,
    }
}

fn is_documented(key: &str) -> bool {
    FIELDS.iter().any(|(name, _)| name.eq_ignore_ascii_case(key))
}

#[derive(Default)]
struct Fields {
    message: String,
    /// The message id, where the line is an event of the catalogue.
    event: Option<&'static str>,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn message_id(&self) -> Option<(&'static str, &'static str)> {
        self.event.map(|id| ("message_id", id))
    }

    fn take(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == "message" {
            // Writing to a String cannot fail.
            let _ = Plain::new(&mut self.message).write_fmt(value);
        } else {
            let mut text = String::new();
            let _ = Plain::new(&mut text).write_fmt(value);
            if field.name() == "event" {
                self.event = events::message_id_of(&text);
            }
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
        assert_eq!(journal_level(Level::ERROR, true), log::Level::Error);
        assert_eq!(journal_level(Level::WARN, true), log::Level::Warn);
        assert_eq!(journal_level(Level::INFO, true), log::Level::Info);
        assert_eq!(journal_level(Level::INFO, false), log::Level::Debug);
        assert_eq!(journal_level(Level::DEBUG, true), log::Level::Trace);
    }
}
