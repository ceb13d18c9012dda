//! Home Assistant's discovery over a real broker: it appears, outlives the daemon, comes again, and goes.

use std::path::Path;

use crate::support::{Broker, Client, Config, Message, cooltwin, eventually, frame, stderr, tiny_bundle};

const DAEMON: &str = "homeassistant/device/cooltwin-test/config";
const ATTIC: &str = "homeassistant/device/cooltwin-test_unit-attic/config";
const STATE: &str = "hvac/attic/state";

fn config(broker: &Broker) -> Config {
    Config::new(&broker.url()).set("home_assistant.enabled", "true")
}

/// What a client that comes now finds kept at the broker.
fn kept(broker: &Broker, topic: &str) -> Option<Message> {
    let fence = "test/fence";
    let client = Client::connect(broker, &[topic, fence]);
    client.publish(fence, "");
    client.wait_on(fence);
    client.on(topic).into_iter().find(|message| message.retained)
}

fn is_removal(message: &Message) -> bool {
    message.text().is_empty()
}

#[test]
fn devices_appear_outlive_the_daemon_and_come_again_with_it() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["homeassistant/#", "hvac/+/predictions"]);
    let mut daemon = config(&broker).start();
    client.wait_on(DAEMON);
    client.predict_until_answered("attic");
    let told = client.wait_on(ATTIC).json();
    assert_eq!(told["dev"]["via_device"], "cooltwin-test");
    assert_eq!(told["stat_t"], "hvac/attic/predictions");
    daemon.kill();
    for topic in [DAEMON, ATTIC] {
        assert!(kept(&broker, topic).is_some_and(|message| !is_removal(&message)), "{topic}");
    }
    client.clear();
    daemon.restart(&config(&broker));
    client.wait_on(DAEMON);
    client.predict_until_answered("attic");
    let again = client.wait_on(ATTIC).json();
    assert_eq!(again, told, "the same to the letter");
    assert!(
        client.messages().iter().all(|message| !message.topic.ends_with("/config") || !is_removal(message))
    );
}

#[test]
fn the_birth_message_brings_them_again() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["homeassistant/#", "hvac/+/predictions"]);
    let _daemon = config(&broker).start();
    client.wait_on(DAEMON);
    client.predict_until_answered("attic");
    client.wait_on(ATTIC);
    client.clear();
    client.publish("homeassistant/status", "online");
    client.wait_on(DAEMON);
    client.wait_on(ATTIC);
}

#[test]
fn a_unit_that_is_forgotten_is_gone_there_too() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["homeassistant/#", "hvac/#"]);
    let _daemon = config(&broker).text("engine.unit_ttl", "3s").start();
    client.wait_on(DAEMON);
    client.predict_until_answered("attic");
    client.wait_on(ATTIC);
    client.wait("the removal", |message| message.topic == ATTIC && is_removal(message));
    client.wait("the state's removal", |message| message.topic == STATE && is_removal(message));
    assert!(kept(&broker, ATTIC).is_none() && kept(&broker, DAEMON).is_some());
}

#[test]
fn switched_off_by_a_reload_everything_is_taken_back() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["homeassistant/#", "hvac/+/predictions"]);
    let mut daemon = config(&broker).start();
    client.predict_until_answered("attic");
    client.wait_on(ATTIC);
    config(&broker).set("home_assistant.enabled", "false").write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    for topic in [DAEMON, ATTIC] {
        client.wait("the removal", |message| message.topic == topic && is_removal(message));
        eventually("nothing to be kept", || kept(&broker, topic).is_none().then_some(()));
    }
    // And on again, while it runs.
    client.clear();
    config(&broker).write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(3);
    client.wait_on(DAEMON);
    client.wait_on(ATTIC);
}

/// The tiny bundle with its target called otherwise.
fn other_bundle(folder: &Path) {
    for file in std::fs::read_dir(tiny_bundle()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    for (name, from, to) in [
        ("bundle.toml", "[[targets]]\nname = \"T\"", "[[targets]]\nname = \"T2\""),
        ("reference.json", "\"T\"", "\"T2\""),
    ] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.contains(from), "{name}");
        std::fs::write(folder.join(name), text.replace(from, to)).unwrap();
    }
    let sealed = cooltwin(&["seal", folder.to_str().unwrap()]);
    assert!(sealed.status.success(), "{}", stderr(&sealed));
}

#[test]
fn targets_of_an_earlier_bundle_vanish_with_the_reload() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["homeassistant/#", "hvac/+/predictions"]);
    let mut daemon = config(&broker).start();
    client.predict_until_answered("attic");
    client.wait_on(ATTIC);
    client.clear();
    let folder = tempfile::tempdir().unwrap();
    other_bundle(folder.path());
    config(&broker).path("bundle.path", folder.path()).write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    let told = client.wait_on(ATTIC).json();
    assert_eq!(told["cmps"]["prediction_T"], serde_json::json!({ "p": "sensor" }));
    assert_eq!(told["cmps"]["prediction_T2"]["p"], "sensor");
    assert!(told["cmps"]["prediction_T2"]["uniq_id"].is_string());
    client.publish("hvac/attic/sensors", frame(20.0));
    client.wait("a prediction of it", |message| {
        message.topic == "hvac/attic/predictions" && message.json()["T2"].is_number()
    });
}

/// This broker closes the connection for a topic that its access list denies, so the documents end every connection: what
/// was predicted before goes before them.
#[test]
fn a_broker_that_closes_for_the_documents_gets_predictions_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("access");
    std::fs::write(
        &list,
        "topic readwrite hvac/#\ntopic readwrite cooltwin/#\ntopic read homeassistant/status\n",
    )
    .unwrap();
    let broker = Broker::start_with_settings(&format!("acl_file {}", list.display()));
    let client = Client::connect(&broker, &["hvac/+/predictions"]);
    let _daemon = config(&broker).start();
    eventually("the documents to end a connection", || {
        (broker.log().matches("as cooltwin-test (").count() >= 2).then_some(())
    });
    client.predict_until_answered("attic");
    client.predict_until_answered("cellar");
    let connections = broker.log().matches("as cooltwin-test (").count();
    assert!(connections > 2, "the documents ended {connections} connections");
}
