//! The wall clock the daemon goes by.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

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
    fn a_clock_tells_what_it_is_made_to_tell() {
        assert_eq!(WallClock::new(|| Timestamp::from_micros(7)).now(), Timestamp::from_micros(7));
        assert!(WallClock::default().now() > Timestamp::from_micros(1_700_000_000_000_000));
    }
}
