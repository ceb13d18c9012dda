//! BACnet's status flags beside the numbers, over a real broker: they follow the unit, outlive the daemon, and go.

use crate::support::{Broker, Client, Config, eventually, frame};

const NUMBER: &str = "hvac/attic/predictions/T";
const FLAGS: &str = "hvac/attic/predictions/T/flags";

fn config(broker: &Broker) -> Config {
    Config::new(&broker.url()).set("engine.target_flags", "true")
}

/// What a gateway that connects now finds at the broker.
fn kept(broker: &Broker) -> Option<String> {
    let fence = "test/fence";
    let client = Client::connect(broker, &[FLAGS, fence]);
    client.publish(fence, "");
    client.wait_on(fence);
    client.on(FLAGS).into_iter().find(|message| message.retained).map(|message| message.text().to_owned())
}

#[test]
fn flags_follow_the_unit_and_outlive_the_daemon() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/#", "cooltwin/test/status"]);
    let mut daemon = config(&broker).text("alarms.unit_silence", "2s").start();
    client.predict_until_answered("attic");
    client.wait_text(FLAGS, "0000");
    client.wait_on(NUMBER);
    // Nothing fresh comes: the number is old, and an alarm stands.
    client.wait_text(FLAGS, "1100");
    client.clear();
    client.publish("hvac/attic/sensors", frame(20.0));
    client.wait_text(FLAGS, "0000");
    eventually("the broker to keep them", || (kept(&broker)? == "0000").then_some(()));
    daemon.kill();
    assert_eq!(kept(&broker).as_deref(), Some("0000"), "whether the daemon is there, its status says");
    client.wait_text("cooltwin/test/status", "offline");
}

#[test]
fn flags_are_removed_when_nobody_wants_them_and_with_their_unit() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/#"]);
    let mut daemon = config(&broker).start();
    client.predict_until_answered("attic");
    client.wait_text(FLAGS, "0000");
    config(&broker).set("engine.target_flags", "false").write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    client.wait_text(FLAGS, "");
    assert_eq!(kept(&broker), None);
    client.clear();
    client.predict_until_answered("attic");
    client.wait_on(NUMBER);
    assert!(client.on(FLAGS).is_empty());

    config(&broker).text("engine.unit_ttl", "2s").write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(3);
    client.publish("hvac/attic/sensors", frame(20.0));
    client.wait_text(FLAGS, "0000");
    client.wait_text(FLAGS, "");
    assert_eq!(kept(&broker), None);
}
