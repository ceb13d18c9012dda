//! How much is logged: whatever arrives from outside, a cause gets so many lines a minute, and what was left out
//! is counted and said. An SD card wears out by writing, and a flood drowns what matters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::daemon::clock;
use crate::domain::Monotonic;

/// Time over which lines are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// Most lines of one cause in a [`WINDOW`]: a refused reload may have some dozen reasons, each a line.
const MOST_LINES: u32 = 60;
/// The same for debug and trace, which somebody turns on to see more: ten a second.
const MOST_DETAILS: u32 = 600;

/// Lines of one cause in the present window.
#[derive(Debug)]
struct Count {
    since: Monotonic,
    lines: u32,
    /// Left out since it was last said.
    suppressed: u64,
    place: String,
}

/// Counts lines by cause. A cause is a place in the code that logs, so their number is bounded by the code.
#[derive(Debug, Default)]
struct Counts(HashMap<Identifier, Count>);

impl Counts {
    fn admits(&mut self, metadata: &'static Metadata<'static>, now: Monotonic) -> bool {
        let count = self.0.entry(metadata.callsite()).or_insert_with(|| Count {
            since: now,
            lines: 0,
            suppressed: 0,
            place: format!("{}:{}", metadata.file().unwrap_or("?"), metadata.line().unwrap_or(0)),
        });
        if now.since(count.since) >= WINDOW {
            (count.since, count.lines) = (now, 0);
        }
        let most = if *metadata.level() <= Level::INFO { MOST_LINES } else { MOST_DETAILS };
        if count.lines < most {
            count.lines += 1;
            return true;
        }
        count.suppressed += 1;
        false
    }

    fn take(&mut self) -> Option<Suppressed> {
        let mut lines = 0;
        let mut worst: Option<(u64, &str)> = None;
        for count in self.0.values_mut() {
            let suppressed = std::mem::take(&mut count.suppressed);
            lines += suppressed;
            // The place breaks ties, so that the order of the map does not show.
            let candidate = (suppressed, count.place.as_str());
            worst = if worst.is_none_or(|worst| worst < candidate) { Some(candidate) } else { worst };
        }
        let place = worst.map_or("", |(_, place)| place).to_owned();
        (lines > 0).then_some(Suppressed { lines, place })
    }
}

/// What was not logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppressed {
    /// How many lines.
    pub lines: u64,
    /// The place in the code that most of them came from.
    pub place: String,
}

/// The count, shared between the log and whoever reports what was left out.
#[derive(Debug, Clone, Default)]
pub struct LogVolume(Arc<Mutex<Counts>>);

impl LogVolume {
    /// What was left out since the last call.
    #[must_use]
    pub fn take_suppressed(&self) -> Option<Suppressed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<S: Subscriber> Layer<S> for LogVolume {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).admits(event.metadata(), clock::monotonic())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Written {
        fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_flood_is_cut_and_counted_and_others_are_heard() {
        let (written, volume) = (Written::default(), LogVolume::default());
        let subscriber = tracing_subscriber::registry().with(volume.clone()).with(written.clone());
        let lines = || written.0.load(Ordering::Relaxed);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..10_000 {
                tracing::warn!("bad message {number}");
            }
            assert_eq!(lines(), u64::from(MOST_LINES));
            tracing::warn!("something else");
            assert_eq!(lines(), u64::from(MOST_LINES) + 1, "another cause");
            for number in 0..10_000 {
                tracing::trace!("detail {number}");
            }
            assert_eq!(lines(), u64::from(MOST_LINES + MOST_DETAILS) + 1);
        });
        let suppressed = volume.take_suppressed().unwrap();
        assert_eq!(suppressed.lines, 20_000 - u64::from(MOST_LINES + MOST_DETAILS));
        assert!(suppressed.place.contains("volume.rs:"), "{suppressed:?}");
        assert_eq!(volume.take_suppressed(), None, "said once");
    }

    #[test]
    fn after_a_minute_a_cause_is_heard_again() {
        static SEEN: Mutex<Option<&'static Metadata<'static>>> = Mutex::new(None);
        struct Keep;
        impl<S: Subscriber> Layer<S> for Keep {
            fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
                *SEEN.lock().unwrap() = Some(event.metadata());
            }
        }
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Keep), || tracing::info!("x"));
        let metadata = SEEN.lock().unwrap().unwrap();
        let mut counts = Counts::default();
        let at = |seconds: u64| Monotonic(seconds * 1_000_000);
        let admitted = |counts: &mut Counts, now| (0..1_000).filter(|_| counts.admits(metadata, now)).count();
        assert_eq!(admitted(&mut counts, at(5)), MOST_LINES as usize);
        assert_eq!(admitted(&mut counts, at(64)), 0);
        assert_eq!(admitted(&mut counts, at(65)), MOST_LINES as usize);
        assert_eq!(counts.take().unwrap().lines, 3_000 - 2 * u64::from(MOST_LINES));
    }
}
