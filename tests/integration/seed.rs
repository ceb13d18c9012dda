//! The topics of the project that this one grew out of, over a real broker, by one setting.

use serde_json::Value;

use crate::support::{Broker, Client, Config, Message, eventually};

const READINGS: &str = "hvac/sensors/data";
const RESULTS: &str = "hvac/predictions/results";
const STATUS: &str = "hvac/status";
const FRAME: &str = r#"{"data":{"R":20,"H":10,"N":1000,"D":2}}"#;

/// Publishes frames until one is answered: those published before the daemon has subscribed go nowhere.
fn answered(client: &Client) -> Value {
    let mut asked = 0_u32;
    eventually("a result", || {
        if asked.is_multiple_of(50) {
            client.publish(READINGS, FRAME);
        }
        asked += 1;
        client.on(RESULTS).first().map(Message::json)
    })
}

#[test]
fn one_setting_reads_and_writes_the_seeds_topics_beside_our_own() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/#"]);
    let mut daemon = Config::new(&broker.url())
        .set("seed.enabled", "true")
        .text("seed.unit", "attic")
        .text("alarms.unit_silence", "2s")
        .start();
    let alive = client.wait_on(STATUS);
    assert_eq!((&alive.json()["status"], alive.retained), (&"online".into(), false));
    let result = answered(&client);
    let own = client.wait_on("hvac/attic/predictions").json();
    assert_eq!(result["predictions"]["T"], own["T"]);
    assert_eq!(result["timestamp"], own["time"]);
    assert_eq!((&result["quality"], &result["model_version"]), (&own["quality"], &own["model"]["version"]));

    let alert = client.wait("silence", |message| {
        message.topic == "hvac/alerts/critical" && message.json()["id"] == "unit_silent"
    });
    assert_eq!((&alert.json()["active"], &alert.json()["unit"]), (&true.into(), &"attic".into()));
    assert!(!alert.retained);
    client.wait("withheld", |message| {
        message.topic == "hvac/alerts/error" && message.json()["id"] == "withheld"
    });
    client.publish(READINGS, FRAME);
    for id in ["unit_silent", "withheld"] {
        client.wait("its end", |message| {
            message.topic == "hvac/alerts/info"
                && message.json()["id"] == id
                && message.json()["active"] == false
        });
    }
    // Nothing on the seed's topics of what is none of its unit.
    client.predict_until_answered("cellar");
    assert!(client.messages().iter().all(|message| {
        !message.topic.starts_with("hvac/alerts")
            || message.json().get("unit").is_none_or(|unit| unit == "attic")
    }));
    daemon.signal("TERM");
    assert!(daemon.wait_exit().success());
    client.wait("the farewell", |message| message.topic == STATUS && message.json()["status"] == "offline");
}

#[test]
fn a_reload_switches_them_on_and_off() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/#"]);
    let config = Config::new(&broker.url());
    let mut daemon = config.start();
    client.predict_until_answered("attic");
    assert!(client.on(STATUS).is_empty() && client.on(RESULTS).is_empty());
    config.clone().set("seed.enabled", "true").write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    client.wait_on(STATUS);
    answered(&client);
    config.write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(3);
    client.clear();
    client.publish(READINGS, FRAME);
    client.predict_until_answered("attic");
    assert!(client.on(STATUS).is_empty() && client.on(RESULTS).is_empty());
}
