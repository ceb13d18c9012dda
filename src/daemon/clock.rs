//! The two clocks the daemon goes by, read at the edge and handed inward as values.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::domain::{Monotonic, Now, Timestamp};

/// Nanoseconds since the machine was booted, the time it slept included: readings age while it sleeps. A
/// plain function, because the engine takes its stopwatch as one.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// The monotonic clock as the engine counts it.
#[must_use]
pub fn monotonic() -> Monotonic {
    Monotonic(monotonic_nanos() / 1_000)
}

/// Where systemd-timesyncd works. It puts a file `synchronized` there once it has the time from the network;
/// systemd-time-wait-sync does so for every other NTP daemon.
const TIMESYNC_FOLDER: &str = "/run/systemd/timesync";

/// Whether the clock has been set by the network since the machine was started; `None` where nobody says so, as
/// in most containers. A file, because the kernel's own answer (`adjtimex`) is closed to the service by
/// `ProtectClock` and would need code that the compiler cannot check.
#[must_use]
pub fn is_synced() -> Option<bool> {
    synced_in(Path::new(TIMESYNC_FOLDER))
}

fn synced_in(folder: &Path) -> Option<bool> {
    folder.is_dir().then(|| folder.join("synchronized").exists())
}

/// How long from now until `deadline`; zero when it has passed.
#[must_use]
pub fn until(deadline: Monotonic) -> Duration {
    deadline.since(monotonic())
}

/// Tells the wall-clock time. The system's by default; the demo hands in one that runs at the speed of its
/// simulation, so that simulated readings are as old as they would be in real life. Ages and deadlines never
/// come from here: they are measured on the monotonic clock.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl WallClock {
    /// A clock of one's own.
    pub fn new(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// The time by this clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The time by this clock and by the monotonic one.
    #[must_use]
    pub fn both(&self) -> Now {
        Now { wall: self.now(), monotonic: monotonic() }
    }
}

impl Default for WallClock {
    /// The system's clock; before 1970 it tells 1970.
    fn default() -> Self {
        Self::new(|| {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_micros(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
        })
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WallClock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_says_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(synced_in(&folder.path().join("absent")), None);
        assert_eq!(synced_in(folder.path()), Some(false));
        std::fs::write(folder.path().join("synchronized"), "").unwrap();
        assert_eq!(synced_in(folder.path()), Some(true));
    }

    #[test]
    fn a_clock_tells_what_it_is_made_to_tell() {
        assert_eq!(WallClock::new(|| Timestamp::from_micros(7)).now(), Timestamp::from_micros(7));
        assert!(monotonic_nanos() > 0 && monotonic_nanos() <= monotonic_nanos());
        assert!(WallClock::default().now() > Timestamp::from_micros(1_700_000_000_000_000));
    }
}
