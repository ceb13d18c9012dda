//! Floods and slow takers: every limit is reached, memory stays flat, and the units that are known are served.

use std::time::Instant;

use crate::support::{Broker, Client, Direction, Rules, Site, eventually, flood, frame, scaled};

const HEALTH: &str = "cooltwin/test/health";
/// What a million of strange topics may cost.
const MAX_GROWTH: u64 = 32 * 1024 * 1024;

/// Demands that memory has not grown since `before`.
fn assert_flat(site: &Site, before: u64) {
    let after = site.daemon.rss();
    assert!(after < before + MAX_GROWTH, "resident memory has grown from {before} to {after} bytes");
}

/// The broker knows nothing of QoS 1 messages that it delivered and that are not acknowledged.
fn unacknowledged(broker: &Broker) -> usize {
    let log = broker.log();
    let sent = log.lines().filter(|line| line.contains("Sending PUBLISH to cooltwin-test (d0, q1"));
    let acknowledged = log.matches("Received PUBACK from cooltwin-test (").count();
    sent.count() - acknowledged
}

#[test]
fn more_topics_than_units_are_allowed() {
    // The broker's own log would be the largest file of all.
    let site = Site::with(
        Broker::start_with_settings(scaled("", "log_type error\nlog_type notice\nlog_type information\n")),
        false,
        |config| config.set("engine.max_units", "9"),
    );
    site.flow(50);
    let before = site.daemon.rss();
    flood(site.broker.port(), scaled(20_000, 1_000_000), |number| {
        (format!("hvac/flood-{number}/sensors"), frame(20.0).into_bytes())
    });
    let (_, _) = site.settle("flood of topics", Instant::now());
    assert_flat(&site, before);
    let client = Client::connect(&site.broker, &[HEALTH]);
    let health = client.wait_on(HEALTH).json();
    assert!(health["drops"]["too_many_units"].as_u64() >= Some(10_000), "{health}");
}

#[test]
fn ten_thousand_malformed_messages_in_a_row() {
    let site = Site::start();
    site.flow(50);
    let before = site.daemon.rss();
    let count = scaled(10_000, 100_000);
    flood(site.broker.port(), count, |number| {
        let payload: &[u8] = match number % 5 {
            0 => b"{\"R\":20",
            1 => b"\xff\xfe\x00",
            2 => b"",
            3 => b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            _ => b"{\"R\":\"warm\"}",
        };
        (format!("hvac/unit-{}/sensors", number % 8), payload.to_vec())
    });
    site.settle("malformed messages, QoS 1", Instant::now());
    assert_flat(&site, before);
    eventually("every message to be acknowledged", || (unacknowledged(&site.broker) == 0).then_some(()));
    let connects = site.proxy.connects().len();
    assert_eq!(connects, 1, "connections were lost over malformed messages");
}

#[test]
fn a_flood_of_garbage_without_acknowledgement() {
    let site = Site::start();
    site.flow(50);
    let before = site.daemon.rss();
    let client = Client::connect(&site.broker, &[]);
    for number in 0..scaled(20_000, 500_000) {
        client.publish_unconfirmed(&format!("hvac/unit-{}/sensors", number % 8), [0xff; 40]);
    }
    client.publish("hvac/unit-0/nothing", "behind the flood");
    client.flush();
    site.settle("garbage, QoS 0", Instant::now());
    assert_flat(&site, before);
}

/// The broker takes what the daemon publishes so slowly that it does not keep up: intake waits, nothing is lost.
#[test]
fn outputs_that_are_taken_slowly() {
    let site = Site::start();
    site.feeder.feed(8);
    site.observer.wait_seen(8);
    let before = site.daemon.rss();
    site.proxy.set(Direction::Up, Rules { rate: 60_000, ..Rules::default() });
    site.feeder.feed(scaled(1_000, 20_000));
    site.observer.wait_seen(scaled(300, 2_000));
    site.proxy.set_both(Rules::default());
    site.settle("outputs taken slowly", Instant::now());
    assert_flat(&site, before);
}

/// The broker holds what a consumer does not read; the daemon knows nothing of it.
#[test]
fn a_consumer_that_does_not_read() {
    let site = Site::start();
    site.flow(100);
    site.observer.pause(true);
    let before = site.daemon.rss();
    site.feeder.set_rate(0);
    site.feeder.feed(scaled(3_000, 50_000));
    site.observer.pause(false);
    site.settle("consumer reads nothing", Instant::now());
    assert_flat(&site, before);
}
