//! Networks that are slow, lose, tear, and end without a word.

use std::time::{Duration, Instant};

use crate::support::{Broker, Direction, Namespace, Rules, Site, eventually, scaled};

/// What a loaded machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(3);

#[test]
fn a_slow_and_lossy_link() {
    let site = Site::start();
    site.flow(20);
    let (delay, rate) = (Duration::from_millis(100), 40_000);
    site.proxy.set_both(Rules { delay, rate, lost_percent: 10, ..Rules::default() });
    std::thread::sleep(scaled(Duration::from_secs(3), Duration::from_secs(30)));
    // Connecting has to work over it, too.
    site.proxy.cut();
    let healed = Instant::now();
    site.observer.wait_seen(site.observer.seen() + 20);
    site.settle("slow and lossy link, cut once", healed);
}

#[test]
fn a_link_that_tears_packets() {
    let site = Site::start();
    site.flow(20);
    for pieces in scaled(&[1, 7][..], &[1, 3, 100]) {
        site.proxy.set_both(Rules { pieces: *pieces, ..Rules::default() });
        site.observer.wait_seen(site.observer.seen() + 10);
        site.proxy.cut();
        site.observer.wait_seen(site.observer.seen() + 10);
    }
    site.settle("packets torn to pieces", Instant::now());
}

/// A broker that closes a connection shortly after it was accepted, four times in a row, looks like another client
/// with the same id, and is left in peace for longer; so there are three cuts here, and more at full size.
#[test]
fn connections_cut_again_and_again() {
    let site = Site::start();
    site.flow(200);
    let mut healed = Instant::now();
    for _ in 0..scaled(3, 10) {
        site.observer.wait_seen(site.observer.seen() + 20);
        site.proxy.cut();
        healed = Instant::now();
    }
    site.settle("connection cut in full flow", healed);
}

/// Bytes of one direction vanish, then the connection ends: confirmations that were under way, or predictions.
#[test]
fn a_direction_that_loses_everything() {
    let site = Site::start();
    site.flow(200);
    let mut healed = Instant::now();
    for direction in [Direction::Up, Direction::Down] {
        site.proxy.set(direction, Rules { dropped: true, ..Rules::default() });
        std::thread::sleep(Duration::from_millis(300));
        site.proxy.cut();
        site.proxy.set_both(Rules::default());
        healed = Instant::now();
        site.observer.wait_seen(site.observer.seen() + 20);
    }
    site.settle("one direction lost, then cut", healed);
}

#[test]
fn a_link_that_is_half_open() {
    let site = Site::start();
    site.flow(100);
    let told = site.daemon.notified().len();
    let begin = Instant::now();
    site.proxy.set_both(Rules { stalled: true, ..Rules::default() });
    eventually("a status line that says so", || {
        site.daemon.notified().iter().skip(told).any(|line| line.contains("no connection to")).then_some(())
    });
    let noticed = begin.elapsed();
    // Twice the keep-alive of 2 s.
    assert!(noticed < Duration::from_secs(4) + SLACK, "noticed after {noticed:?}");
    std::thread::sleep(scaled(Duration::from_secs(2), Duration::from_mins(1)));
    // What was under way is lost with the connection it belongs to.
    site.proxy.cut();
    site.proxy.set_both(Rules::default());
    site.settle("link half open", Instant::now());
}

/// The daemon in a network namespace of its own, its link taken down: neither side hears that the other is
/// gone. Where namespaces cannot be made, a stalled proxy stands in for the cable.
#[test]
fn a_cable_pulled() {
    let Some(namespace) = Namespace::make() else {
        println!("no network namespaces here; a proxy stands in");
        return a_link_that_is_half_open();
    };
    let broker = Broker::start_at(&namespace.host());
    let site = Site::with_daemon_in(broker, &namespace);
    site.flow(100);
    let told = site.daemon.notified().len();
    let begin = Instant::now();
    namespace.pull_cable();
    eventually("a status line that says so", || {
        site.daemon.notified().iter().skip(told).any(|line| line.contains("no connection to")).then_some(())
    });
    let noticed = begin.elapsed();
    assert!(noticed < Duration::from_secs(4) + SLACK, "noticed after {noticed:?}");
    std::thread::sleep(scaled(Duration::from_secs(3), Duration::from_mins(1)));
    namespace.plug_cable();
    site.settle("cable pulled", Instant::now());
}
