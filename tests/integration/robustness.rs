//! Payloads from hell, and what the daemon says of itself.

use crate::support::{Broker, Client, Config, eventually, frame};

const STATUS: &str = "cooltwin/test/status";
const HEALTH: &str = "cooltwin/test/health";
/// Malformed messages: many times what mosquitto leaves unacknowledged (20) before it delivers no more.
const GARBAGE: usize = 1000;

fn garbage(number: usize) -> Vec<u8> {
    let kinds: [Vec<u8>; 11] = [
        (0..=255).collect(),
        Vec::new(),
        "[".repeat(5_000).into_bytes(),
        "{\"data\":".repeat(5_000).into_bytes(),
        b"{\"R\":NaN,\"H\":Infinity,\"N\":-Infinity}".to_vec(),
        b"{\"R\":1e999,\"H\":\"20\",\"N\":true,\"D\":null}".to_vec(),
        b"{\"R\":20".to_vec(),
        b"\xff\xfe{\"R\":20}".to_vec(),
        vec![b'x'; 200 * 1024],
        b"{\"timestamp\":\"9999-12-31T23:59:59Z\",\"R\":20}".to_vec(),
        b"\"R\"".to_vec(),
    ];
    kinds[number % kinds.len()].clone()
}

#[test]
fn garbage_neither_stops_nor_stalls_the_daemon() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", "hvac/+/state", STATUS, HEALTH]);
    let daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    for number in 0..GARBAGE {
        let topic = match number % 3 {
            0 => "hvac/attic/sensors",
            1 => "hvac/attic/sensors/R",
            _ => "hvac/attic/sensors/no such sensor",
        };
        client.publish(topic, garbage(number));
    }
    client.publish("hvac/cellar/sensors", frame(20.0));
    client.wait_on("hvac/cellar/predictions");
    // Behind it everything is acknowledged.
    let health = client.wait("an empty queue", |message| {
        message.topic == HEALTH && message.json()["totals"]["messages"].as_u64() > Some(GARBAGE as u64)
    });
    let health = health.json();
    let dropped: u64 =
        health["drops"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(dropped >= GARBAGE as u64 / 2, "what is not used is counted: {health}");
    assert_eq!(health["broker"]["connects"], 1, "no connection was lost over it");
    let lines = daemon.log().lines().count();
    assert!(lines < 100, "a flood of garbage must not be a flood of lines: {lines}");
}

#[test]
fn every_frame_of_a_flood_is_predicted_in_order() {
    const FRAMES: u64 = 3000;
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/attic/predictions", STATUS]);
    let _daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    let mut answered = 0;
    for number in 1..=FRAMES {
        client.publish("hvac/attic/sensors", frame(20.0));
        // The broker queues 1000 messages for a client, no more.
        if number - answered >= 500 {
            answered = eventually("predictions", || {
                Some(client.on("hvac/attic/predictions").len() as u64).filter(|count| number - count < 250)
            });
        }
    }
    let all = eventually("the last prediction", || {
        Some(client.on("hvac/attic/predictions")).filter(|all| all.len() as u64 >= FRAMES)
    });
    let sequence: Vec<u64> = all.iter().map(|message| message.json()["seq"].as_u64().unwrap()).collect();
    assert_eq!(sequence, (1..=FRAMES).collect::<Vec<_>>());
}

#[test]
fn a_message_of_any_size_is_passed_over_and_costs_nothing() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS, HEALTH]);
    let _daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    client.publish("hvac/attic/sensors", vec![b' '; 20 * 1024 * 1024]);
    client.predict_until_answered("attic");
    let health = client.wait("the count of it", |message| {
        message.topic == HEALTH && message.json()["drops"]["payload_too_large"] == 1
    });
    let health = health.json();
    assert_eq!(health["broker"]["connects"], 1, "the connection was kept: {health}");
    // Acknowledged, so it does not come again.
    assert_eq!(health["queues"]["unacknowledged"], 0, "{health}");
}

#[test]
fn malformed_predictions_of_others_are_not_taken_for_readings() {
    let broker = Broker::start();
    // Not subscribed to what it sends itself: that is no document of the daemon.
    let client = Client::connect(&broker, &["hvac/cellar/predictions", STATUS]);
    let _daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    for topic in [
        "hvac/attic/predictions",
        "hvac/attic/state",
        "cooltwin/test/cmd/explode",
        "hvac/attic/predictions/T",
    ] {
        client.publish(topic, "{\"R\":");
    }
    client.predict_until_answered("cellar");
}

#[test]
fn the_heartbeat_tells_how_it_goes() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", HEALTH, STATUS]);
    let _daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
    let health = client.wait("a heartbeat after the prediction", |message| {
        message.topic == HEALTH && message.json()["totals"]["predictions"].as_u64() >= Some(1)
    });
    assert!(!health.retained, "a health document that is kept would look fresh for ever");
    let health = health.json();
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(health["instance"], "test");
    assert_eq!(health["bundle"]["id"], "tiny");
    assert_eq!(health["broker"]["connected"], true);
    assert_eq!(health["units"]["uncertain"], 1, "{health}");
    for number in ["/uptime_s", "/rates/messages_per_s", "/queues/received", "/latency_us/p99", "/rss_bytes"]
    {
        assert!(health.pointer(number).is_some_and(serde_json::Value::is_number), "{number} in {health}");
    }
    let before = client.on(HEALTH).len();
    eventually("another heartbeat", || (client.on(HEALTH).len() > before).then_some(()));
}

#[test]
fn health_on_request() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["cooltwin/test/cmd/#", "desk/#", STATUS]);
    let _daemon = Config::new(&broker.url()).text("health.interval", "1h").start();
    client.wait_text(STATUS, "online");
    client.publish("cooltwin/test/cmd/health", "");
    assert_eq!(client.wait_on("cooltwin/test/cmd/health/response").json()["instance"], "test");
    client.publish("cooltwin/test/cmd/health", r#"{"reply_to":"desk/7"}"#);
    assert_eq!(client.wait_on("desk/7").json()["instance"], "test");
    // A retained command would be obeyed at every connect; nonsense is refused.
    client.clear();
    client.publish("cooltwin/test/cmd/health", r#"{"reply_to":"hvac/attic/sensors"}"#);
    client.publish("cooltwin/test/cmd/health", [0xff; 10]);
    client.publish("cooltwin/test/cmd/health", r#"{"reply_to":"desk/8"}"#);
    let health = client.wait_on("desk/8").json();
    assert_eq!(health["drops"]["command_refused"], 2, "{health}");
    assert!(client.on("cooltwin/test/cmd/health/response").is_empty());
}

/// This broker closes the connection for a topic that its access list denies; whoever asks for an answer there must not
/// stop the predictions behind it.
#[test]
fn an_answer_that_the_broker_does_not_take_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("acl");
    std::fs::write(&list, "topic readwrite hvac/#\ntopic readwrite cooltwin/#\n").unwrap();
    let broker = Broker::start_with_settings(&format!("acl_file {}\n", list.display()));
    let client = Client::connect(&broker, &["hvac/+/predictions", "cooltwin/test/cmd/#", STATUS]);
    let _daemon = Config::new(&broker.url()).start();
    client.predict_until_answered("attic");
    client.publish("cooltwin/test/cmd/health", r#"{"reply_to":"desk/7"}"#);
    client.wait_text(STATUS, "offline");
    client.clear();
    client.predict_until_answered("cellar");
    client.publish("cooltwin/test/cmd/health", "");
    client.wait_on("cooltwin/test/cmd/health/response");
    assert_eq!(broker.log().matches("as cooltwin-test (").count(), 2, "one connection was lost for it");
}

#[test]
fn a_retained_command_is_not_obeyed_again() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["cooltwin/test/cmd/+/response", STATUS, "desk/#"]);
    client.publish_retained("cooltwin/test/cmd/health", "");
    client.flush();
    let _daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    client.publish("cooltwin/test/cmd/health", r#"{"reply_to":"desk/1"}"#);
    client.wait_on("desk/1");
    assert!(client.on("cooltwin/test/cmd/health/response").is_empty());
}
