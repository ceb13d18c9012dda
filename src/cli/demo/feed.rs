//! The simulated units: rows onto the broker, at many times real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use rumqttc::{AsyncClient, QoS};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cli::publish::frame;
use crate::daemon::clock::WallClock;
use crate::domain::Timestamp;
use crate::simulator::{Row, Simulator};

/// Simulated time from row to row, as a building's logger would report.
pub(super) const STEP: Duration = Duration::from_secs(30);
/// Rows sent at once in the beginning, so that the longest window of the features (15 minutes) is full
/// before anybody has read the first screen.
pub(super) const HISTORY_ROWS: u64 = 40;
/// Pause between those rows.
const HISTORY_PAUSE: Duration = Duration::from_millis(10);

/// Simulated time: that of the row sent last. The demo's daemon takes it for its wall clock, so that
/// readings are as old as they would be in real life.
#[derive(Debug, Clone)]
pub(super) struct SimulatedClock(Arc<AtomicI64>);

impl SimulatedClock {
    pub(super) fn new(start_us: i64) -> Self {
        Self(Arc::new(AtomicI64::new(start_us)))
    }

    fn set(&self, time_us: i64) {
        self.0.store(time_us, Ordering::Relaxed);
    }

    pub(super) fn wall_clock(&self) -> WallClock {
        let micros = Arc::clone(&self.0);
        WallClock::new(move || Timestamp::from_micros(micros.load(Ordering::Relaxed)))
    }
}

/// A row on its way to the broker, and when it went.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) row: Row,
    pub(super) at: Instant,
}

/// Sends rows until it is dropped. Each row is told to `sent` before it goes out, so that the answer cannot
/// overtake it.
pub(super) async fn feed(
    mut simulator: Simulator,
    clock: SimulatedClock,
    pause: Duration,
    client: AsyncClient,
    sent: mpsc::Sender<Sent>,
) -> anyhow::Result<()> {
    let mut history = ticks(HISTORY_PAUSE);
    let mut present = ticks(pause);
    loop {
        let row = simulator.next_row();
        if row.index < HISTORY_ROWS {
            history.tick().await;
        } else {
            present.tick().await;
        }
        clock.set(row.time_us);
        let frames: Vec<(String, String)> =
            row.units.iter().map(|unit| (format!("hvac/{}/sensors", unit.unit), frame(unit, true))).collect();
        if sent.send(Sent { row, at: Instant::now() }).await.is_err() {
            return Ok(());
        }
        for (topic, payload) in frames {
            client.publish(topic, QoS::AtLeastOnce, false, payload).await.context("publishing readings")?;
        }
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
