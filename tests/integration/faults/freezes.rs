//! Processes that stand still while their connections stay open.

use std::time::{Duration, Instant};

use crate::support::{Broker, Site, scaled};

/// How long everything stands still: beyond twice the keep-alive of 2 s; at full size a minute with the default
/// keep-alive of 10 s.
fn frozen() -> Duration {
    scaled(Duration::from_secs(6), Duration::from_mins(1))
}

fn keep_alive() -> Duration {
    scaled(Duration::from_secs(2), Duration::from_secs(10))
}

/// What a loaded machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(3);

fn site() -> Site {
    Site::with(Broker::start_with_settings(""), false, |config| {
        let reconnect_max = scaled("1s", "1m");
        config
            .text("mqtt.keep_alive", &format!("{}s", keep_alive().as_secs()))
            .text("mqtt.reconnect_max", reconnect_max)
    })
}

#[test]
fn a_frozen_broker() {
    let site = site();
    site.flow(100);
    let told = site.daemon.notified().len();
    let frozen_at = Instant::now();
    site.broker.freeze();
    crate::support::eventually("a status line that says so", || {
        site.daemon.notified().iter().skip(told).any(|line| line.contains("no connection to")).then_some(())
    });
    let noticed = frozen_at.elapsed();
    assert!(noticed < keep_alive() * 2 + SLACK, "noticed after {noticed:?}");
    std::thread::sleep(frozen().saturating_sub(noticed));
    site.broker.thaw();
    let healed = Instant::now();
    let (_, recovery) = site.settle("broker frozen", healed);
    println!("frozen broker noticed after {noticed:?}");
    assert!(recovery < Duration::from_secs(2) + SLACK, "served again after {recovery:?}");
}

#[test]
fn a_frozen_daemon() {
    let site = site();
    site.flow(100);
    site.daemon.freeze();
    std::thread::sleep(frozen());
    site.daemon.thaw();
    let healed = Instant::now();
    let (_, recovery) = site.settle("daemon frozen", healed);
    assert!(recovery < Duration::from_secs(2) + SLACK, "served again after {recovery:?}");
}
