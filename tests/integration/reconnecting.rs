//! Brokers that go away and come back.

use crate::support::{Broker, Client, Config, eventually, frame};

const STATUS: &str = "cooltwin/test/status";

#[test]
fn a_broker_that_forgot_everything_gets_it_all_again() {
    let mut broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/#", STATUS]);
    let _daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
    client.wait_on("hvac/attic/state");
    let mut connects = 1;
    // In an orderly way and as by a power failure; without persistence both lose session and retained messages.
    for end in [Broker::stop, Broker::kill] {
        end(&mut broker);
        broker.restart();
        connects += 1;
        client.wait_connects(connects, 2);
        client.clear();
        // Subscribed again, without having been asked.
        client.predict_until_answered("attic");
        // And what the broker had kept is back, unchanged, for whoever comes.
        let late = Client::connect(&broker, &["hvac/+/state", STATUS]);
        late.wait_text(STATUS, "online");
        assert!(late.wait_on("hvac/attic/state").retained);
    }
}

#[test]
fn a_frozen_broker_is_noticed_and_served_again() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
    broker.freeze();
    daemon.wait_notified("a status line that says so", |line| line.contains("no connection to"));
    broker.thaw();
    daemon.wait_notified("the watch to go on", |line| line.starts_with("STATUS=connected to"));
    client.predict_until_answered("attic");
}

#[test]
fn what_comes_while_the_link_is_down_is_predicted_afterwards() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let mut daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    daemon.signal("TERM");
    assert!(daemon.wait_exit().success());
    // The broker keeps them for the daemon's session.
    for number in 0..50 {
        client.publish(&format!("hvac/unit-{number}/sensors"), frame(20.0));
    }
    client.flush();
    daemon.restart(&Config::new(&broker.url()));
    eventually("a prediction of each unit", || {
        (0..50).all(|number| !client.on(&format!("hvac/unit-{number}/predictions")).is_empty()).then_some(())
    });
}

#[test]
fn readings_that_were_not_predicted_when_the_daemon_died_come_again() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS, "cooltwin/test/health"]);
    let mut daemon = Config::new(&broker.url()).text("engine.settle", "60s").start();
    client.wait_text(STATUS, "online");
    for (sensor, value) in [("R", "20"), ("H", "10"), ("N", "1000"), ("D", "2")] {
        client.publish(&format!("hvac/attic/sensors/{sensor}"), value);
    }
    client.wait("the readings in the health document", |message| {
        message.topic.ends_with("/health") && message.json()["totals"]["readings"] == 4
    });
    daemon.kill();
    client.wait_text(STATUS, "offline");
    assert!(client.on("hvac/attic/predictions").is_empty());
    daemon.restart(&Config::new(&broker.url()));
    let document = client.wait_on("hvac/attic/predictions").json();
    assert_eq!(document["inputs"]["fresh"], 4);
}

#[test]
fn frames_are_predicted_although_the_daemon_is_killed_again_and_again() {
    const FRAMES: usize = 600;
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let config = Config::new(&broker.url());
    let mut daemon = config.start();
    client.wait_text(STATUS, "online");
    for round in 0..3 {
        for number in 0..FRAMES / 3 {
            let number = round * FRAMES / 3 + number;
            // One unit a frame, so that each must have a prediction of its own.
            client.publish(&format!("hvac/unit-{number}/sensors"), frame(20.0));
        }
        daemon.kill();
        daemon.restart(&config.clone().set("engine.max_units", "1000"));
    }
    eventually("a prediction of each unit", || {
        (0..FRAMES)
            .all(|number| !client.on(&format!("hvac/unit-{number}/predictions")).is_empty())
            .then_some(())
    });
}
