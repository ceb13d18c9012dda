//! Start, stop, reload, and what systemd and the broker's clients are told of it.

use crate::support::{Broker, Client, Config, eventually};

const STATUS: &str = "cooltwin/test/status";

#[test]
fn a_daemon_that_dies_leaves_its_will() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    let mut daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    daemon.kill();
    client.wait_text(STATUS, "offline");
    let late = Client::connect(&broker, &[STATUS]).wait_on(STATUS);
    assert_eq!((late.text(), late.retained), ("offline", true));
}

#[test]
fn a_stop_says_goodbye_and_succeeds() {
    for signal in ["TERM", "INT"] {
        let broker = Broker::start();
        let client = Client::connect(&broker, &[STATUS]);
        let mut daemon = Config::new(&broker.url()).start();
        client.wait_text(STATUS, "online");
        daemon.signal(signal);
        let status = daemon.wait_exit();
        assert_eq!(status.code(), Some(0), "after SIG{signal}: {status}");
        client.wait_text(STATUS, "offline");
        assert!(daemon.notified().contains(&"STOPPING=1".to_owned()));
        let late = Client::connect(&broker, &[STATUS]).wait_on(STATUS);
        assert_eq!((late.text(), late.retained), ("offline", true));
        eventually("the broker to see the farewell", || {
            broker.log().contains("Received DISCONNECT from cooltwin-test").then_some(())
        });
    }
}

#[test]
fn readings_that_wait_to_settle_are_predicted_before_a_stop() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions", "cooltwin/test/health"]);
    let mut daemon = Config::new(&broker.url()).text("engine.settle", "60s").start();
    client.wait_text(STATUS, "online");
    for (sensor, value) in [("R", "20"), ("H", "10"), ("N", "1000"), ("D", "2")] {
        client.publish(&format!("hvac/attic/sensors/{sensor}"), value);
    }
    client.wait("the readings in the health document", |message| {
        message.topic.ends_with("/health") && message.json()["totals"]["readings"] == 4
    });
    assert!(client.on("hvac/attic/predictions").is_empty());
    daemon.signal("TERM");
    client.wait_on("hvac/attic/predictions");
    assert!(daemon.wait_exit().success());
}

#[test]
fn a_broker_that_is_away_does_not_fail_the_start_nor_the_stop() {
    let mut broker = Broker::not_yet_started();
    let mut daemon = Config::new(&broker.url()).start();
    daemon.wait_notified("a status line that says so", |line| {
        line.starts_with("STATUS=") && line.contains("no connection to") && line.contains("refused")
    });
    broker.restart();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions"]);
    client.wait_text(STATUS, "online");
    daemon.wait_notified("a status line that says so", |line| line.starts_with("STATUS=connected to"));
    client.predict_until_answered("attic");
    broker.stop();
    daemon.wait_log("no connection to");
    daemon.signal("TERM");
    assert!(daemon.wait_exit().success());
}

#[test]
fn the_watchdog_is_fed() {
    let broker = Broker::start();
    let daemon = Config::new(&broker.url()).start_with(&[("WATCHDOG_USEC", "400000")]);
    eventually("three signs of life", || {
        (daemon.notified().iter().filter(|line| *line == "WATCHDOG=1").count() >= 3).then_some(())
    });
}

#[test]
fn a_reload_takes_effect_or_changes_nothing() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions", "site/#", "cooltwin/test/cmd/#"]);
    let before = Config::new(&broker.url());
    let mut daemon = before.start();
    client.wait_text(STATUS, "online");
    let mut newest = 0;
    // Counts on over every reload: the unit is the same one.
    let mut predicted = |document: &serde_json::Value| {
        let number = document["seq"].as_u64().unwrap();
        assert!(number > newest, "{number} after {newest}");
        newest = number;
    };
    predicted(&client.predict_until_answered("attic").json());

    // Wrong: an unknown key and a wrong value. Everything goes on as it was.
    before.clone().set("engine.setle", "\"1s\"").text("health.interval", "soon").write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    assert!(daemon.notified().iter().any(|line| line == "RELOADING=1"));
    daemon.wait_log("did you mean engine.settle?");
    daemon.wait_log("health.interval");
    predicted(&client.predict_until_answered("attic").json());

    // A bundle that cannot be used.
    let empty = tempfile::tempdir().unwrap();
    before.clone().path("bundle.path", empty.path()).write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(3);
    predicted(&client.predict_until_answered("attic").json());

    // Right: other topics, of which the broker learns with a new connection.
    let after = before
        .clone()
        .text("topics.frame", "site/{unit}/in")
        .text("topics.prediction", "site/{unit}/out")
        .set("engine.target_topics", "false");
    after.write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(4);
    predicted(&client.answered("site/attic/in", "site/attic/out").json());

    // The same by a command.
    before.write(&daemon.config_file());
    client.publish("cooltwin/test/cmd/reload", "");
    assert_eq!(client.wait_on("cooltwin/test/cmd/reload/response").json()["ok"], true);
    predicted(&client.predict_until_answered("attic").json());
}

/// Rules of sources that a reload changes: what they read now is subscribed, what they read before is not.
#[test]
fn a_reload_takes_over_rules_of_sources() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", "cooltwin/test/health"]);
    let rule = |topic: &str| format!("[[source]]\nname = \"site\"\ntopic = \"{topic}\"\nkind = \"object\"\n");
    let config = Config::new(&broker.url());
    let mut daemon = config.clone().rules(&rule("old/{unit}")).start();
    client.answered("old/attic", "hvac/attic/predictions");
    config.clone().rules(&rule("new/{unit}")).write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    let document = client.answered("new/attic", "hvac/attic/predictions").json();
    assert!(document["seq"].as_u64().unwrap() > 1, "the unit is still known: {document}");
    // What comes on the old topic stands between two frames that are answered, in the order of one connection.
    client.publish("old/cellar", crate::support::frame(20.0));
    client.answered("new/attic", "hvac/attic/predictions");
    client.predict_until_answered("attic");
    assert!(client.on("hvac/cellar/predictions").is_empty());
    client.clear();
    let health = client.wait_on("cooltwin/test/health").json();
    assert_eq!(health["drops"]["unknown_topic"], serde_json::Value::Null, "still subscribed: {health}");
}
