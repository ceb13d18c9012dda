//! Every kind of document that the daemon publishes, held against its schema. All other tests do the same with whatever
//! their clients get ([`Client`]); here nothing may be missing.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::documents::{self, OUT, RETAINED, TEXTS};
use crate::support::{Broker, Client, Config, eventually, frame};

/// Publishes frames on a topic until a document comes on another: what comes before the subscription goes nowhere.
fn until_answered(client: &Client, sensors: &str, payload: &str, topic: &str) {
    let mut asked = 0_u32;
    eventually(topic, || {
        if asked.is_multiple_of(50) {
            client.publish(sensors, payload);
        }
        asked += 1;
        (!client.on(topic).is_empty()).then_some(())
    });
}

/// Waits for a document; an empty message is none, and removes what an earlier run may have left.
fn standing(client: &Client, topic: &str) {
    client.wait(topic, |message| message.topic == topic && !message.payload.is_empty());
}

/// One document of each kind, as it was published.
fn one_of_each(client: &Client) -> Vec<(&'static str, Value)> {
    let mut found: Vec<(&'static str, Value)> = Vec::new();
    for message in client.messages() {
        let kind = documents::check(&message.topic, &message.payload).unwrap();
        if let Some(kind) = kind.filter(|kind| OUT.contains(kind) && !message.payload.is_empty())
            && found.iter().all(|(known, _)| *known != kind)
        {
            found.push((kind, message.json()));
        }
    }
    found
}

#[test]
fn every_kind_of_document_is_what_its_schema_says() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/#", "cooltwin/#"]);
    let config = Config::new(&broker.url())
        .set("seed.enabled", "true")
        .text("seed.unit", "attic")
        .set("engine.target_topics", "true")
        .set("engine.target_flags", "true")
        .text("alarms.unit_silence", "2s");
    let mut daemon = config.start();
    client.wait_on("cooltwin/test/health");

    // What comes in is what is promised to be read.
    let seed = r#"{"timestamp":null,"data":{"R":20,"H":10,"N":1000,"D":2,"T":20.5}}"#;
    let reading = r#"{"value":20.25}"#;
    for (name, payload) in [("frame", seed), ("frame", &frame(20.0)), ("reading", reading)] {
        assert_eq!(documents::check_input(name, payload), Ok(()));
    }
    until_answered(&client, "hvac/sensors/data", seed, "hvac/predictions/results");
    client.publish("hvac/cellar/sensors", frame(20.0));
    client.wait_on("hvac/cellar/predictions");
    client.publish("hvac/loft/sensors/R", reading);
    client.wait_on("hvac/loft/predictions");

    // Raised and cleared; then one of the daemon.
    standing(&client, "hvac/attic/alarms/unit_silent");
    client.publish("hvac/sensors/data", seed);
    client.wait_on("hvac/alerts/info");

    let (reload, answer) = ("cooltwin/test/cmd/reload", "cooltwin/test/cmd/reload/response");
    client.publish("cooltwin/test/cmd/health", "");
    client.wait_on("cooltwin/test/cmd/health/response");
    client.publish(reload, "");
    client.wait("a reload", |message| message.topic == answer && message.json()["ok"] == true);
    config.clone().set("engine.max_units", "0").write(&daemon.config_file());
    client.publish(reload, "");
    client.wait("a refusal", |message| message.topic == answer && message.json()["ok"] == false);
    standing(&client, "cooltwin/test/alarms/reload_failed");
    // Now health has a last error.
    client.publish("cooltwin/test/cmd/health", "");
    client.wait("an error in health", |message| {
        message.topic == "cooltwin/test/cmd/health/response" && message.json()["last_error"].is_object()
    });
    daemon.signal("TERM");
    assert!(daemon.wait_exit().success());
    client.wait_text("cooltwin/test/status", "offline");

    let all: BTreeSet<&str> = OUT.into_iter().chain(TEXTS).collect();
    assert_eq!(client.kinds().into_keys().collect::<BTreeSet<_>>(), all);
    // Who comes later gets what is retained, of each kind that is, and nothing else.
    let late = Client::connect(&broker, &["hvac/#", "cooltwin/#"]);
    late.wait_text("cooltwin/test/status", "offline");
    standing(&late, "cooltwin/test/alarms/reload_failed");
    standing(&late, "hvac/attic/state");
    late.wait_on("hvac/attic/predictions/T/flags");
    assert!(late.messages().iter().all(|message| message.retained));
    assert_eq!(late.kinds().into_keys().collect::<Vec<_>>(), RETAINED);
    // The schemas look at all of them: broken anywhere, none is let through.
    let documents = one_of_each(&client);
    assert_eq!(documents.len(), OUT.len());
    for (kind, document) in documents {
        let broken = documents::broken(kind, &document);
        assert!(broken.len() > 5, "{kind}");
        for (what, document) in broken {
            assert!(documents::fits(kind, &document).is_err(), "{kind}{what} is let through: {document}");
        }
    }
}

#[test]
fn documents_on_topics_of_ones_own_are_held_against_them_too() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["site/#", "desk/#"]);
    let _daemon = Config::new(&broker.url())
        .text("topics.frame", "site/{unit}/in")
        .text("topics.prediction", "site/{unit}/out")
        .text("topics.state", "site/{unit}/how")
        .text("topics.alarm", "site/{unit}/wrong/{alarm}")
        .text("topics.daemon", "site/daemon/{instance}")
        .set("engine.target_topics", "false")
        .text("alarms.unit_silence", "2s")
        .start();
    until_answered(&client, "site/attic/in", &frame(20.0), "site/attic/out");
    standing(&client, "site/attic/wrong/unit_silent");
    client.publish("site/daemon/test/cmd/reload", r#"{"reply_to":"desk/7"}"#);
    client.wait_on("desk/7");
    client.wait_on("site/daemon/test/health");
    let all = ["alarm", "health", "prediction", "reload-answer", "state"];
    assert_eq!(client.kinds().into_keys().collect::<Vec<_>>(), all);
}

#[test]
fn a_test_fails_for_a_document_of_another_form() {
    let broker = Broker::start();
    for (topic, payload) in [
        ("hvac/attic/state", r#"{"schema":1}"#),
        ("hvac/attic/predictions/T", "NaN"),
        ("elsewhere", r#"{"schema":1,"seq":1}"#),
    ] {
        let failure = catch_unwind(AssertUnwindSafe(|| {
            let client = Client::connect(&broker, &[topic]);
            client.publish(topic, payload);
            client.wait_on(topic);
        }))
        .expect_err(topic);
        let text = failure.downcast_ref::<String>().expect("it failed in words");
        assert!(text.starts_with(&format!("{topic}: {payload}\nis no ")), "{text}");
    }
}
