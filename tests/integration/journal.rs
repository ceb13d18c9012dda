//! What the journal gets: fields that can be searched, events that the catalogue explains, priorities.

use std::fs;

use crate::support::{Broker, Client, Config, Daemon, Journal};

/// The message id that the catalogue has under a subject.
fn message_id(subject: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/cooltwin.catalog");
    let catalogue = fs::read_to_string(file).unwrap();
    let (before, _) = catalogue.split_once(&format!("\nSubject: {subject}\n")).expect("the subject exists");
    before.rsplit_once("-- ").unwrap().1.to_owned()
}

fn start(config: Config, journal: &Journal) -> Daemon {
    config.text("log.format", "auto").start_inside(journal.prefix(), &[], &[])
}

#[test]
fn events_have_their_ids_fields_and_priorities() {
    let (mut journal, mut broker) = (Journal::listen(), Broker::start());
    let config = Config::new(&broker.url()).text("alarms.unit_silence", "2s").set("engine.max_units", "1");
    let mut daemon = start(config.clone(), &journal);

    let ready = journal.wait(&[("EVENT", "ready")]);
    assert_eq!(ready["MESSAGE_ID"], message_id("cooltwin is ready"));
    assert_eq!((ready["PRIORITY"].as_str(), ready["INSTANCE"].as_str()), ("5", "test"));
    assert_eq!(ready["SYSLOG_IDENTIFIER"], "cooltwin");
    assert_eq!((ready["BUNDLE"].as_str(), ready["BUNDLE_SHA256"].len()), ("tiny", 16));
    assert!(ready["MESSAGE"].contains("is ready as `test` with bundle tiny"), "{ready:?}");
    journal.wait(&[("EVENT", "bundle_loaded"), ("BUNDLE", "tiny"), ("PRIORITY", "5")]);
    journal.wait(&[("EVENT", "broker_connected"), ("SESSION", "new"), ("PRIORITY", "5")]);

    let client = Client::connect(&broker, &["hvac/+/predictions", "hvac/+/alarms/+"]);
    client.predict_until_answered("attic");
    let appeared = journal.wait(&[("UNIT_ID", "attic"), ("EVENT", "unit_appeared"), ("PRIORITY", "5")]);
    assert_eq!(appeared["MESSAGE_ID"], message_id("A unit has appeared"));

    client.publish("hvac/attic/sensors", "no JSON");
    let refused = journal.wait(&[("EVENT", "readings_refused"), ("PRIORITY", "4")]);
    assert_eq!((refused["REASON"].as_str(), refused["COUNT"].as_str()), ("malformed_payload", "1"));
    assert_eq!(refused["TOPIC"], "hvac/attic/sensors");
    client.publish("hvac/cellar/sensors", r#"{"R": 20}"#);
    journal.wait(&[
        ("EVENT", "units_refused"),
        ("REASON", "too_many_units"),
        ("TOPIC", "hvac/cellar/sensors"),
    ]);
    client.publish("cooltwin/test/cmd/explode", "");
    let refused = journal.wait(&[("EVENT", "command_refused"), ("TOPIC", "cooltwin/test/cmd/explode")]);
    assert_eq!((refused["REASON"].as_str(), refused["PRIORITY"].as_str()), ("unknown_command", "4"));

    let silent = journal.wait(&[("ALARM", "unit_silent"), ("EVENT", "silence")]);
    assert_eq!(
        (silent["UNIT_ID"].as_str(), silent["TOPIC"].as_str()),
        ("attic", "hvac/attic/alarms/unit_silent")
    );
    let priority = if silent["SEVERITY"] == "critical" { "3" } else { "4" };
    assert_eq!(silent["PRIORITY"], priority);
    client.predict_until_answered("attic");
    journal.wait(&[("EVENT", "alarm_cleared"), ("ALARM", "unit_silent"), ("UNIT_ID", "attic")]);

    broker.stop();
    let lost = journal.wait(&[("EVENT", "broker_lost"), ("PRIORITY", "4")]);
    assert!(!lost["REASON"].is_empty());
    daemon.signal("TERM");
    assert!(daemon.wait_exit().success());
    journal.wait(&[("EVENT", "stopped"), ("MESSAGE_ID", &message_id("cooltwin has stopped"))]);
    assert_eq!(daemon.log(), "", "all went to the journal");
}

#[test]
fn a_reload_is_told_from_its_refusal_and_by_what() {
    let (mut journal, broker) = (Journal::listen(), Broker::start());
    let config = Config::new(&broker.url());
    let mut daemon = start(config.clone(), &journal);
    let config = config.text("log.format", "auto");

    config.clone().set("engine.setle", "\"1s\"").write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    let refused =
        journal.wait(&[("EVENT", "reload_refused"), ("PRIORITY", "3"), ("REASON", "configuration")]);
    assert!(refused["MESSAGE"].contains("did you mean engine.settle?"), "{refused:?}");
    let alarm = journal.wait(&[("ALARM", "reload_failed"), ("SEVERITY", "warning"), ("PRIORITY", "4")]);
    assert_eq!(alarm["MESSAGE_ID"], refused["MESSAGE_ID"]);
    assert_eq!(alarm["TOPIC"], "cooltwin/test/alarms/reload_failed");

    let empty = tempfile::tempdir().unwrap();
    config.clone().path("bundle.path", empty.path()).write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(3);
    let bundle = journal.wait(&[("EVENT", "bundle_refused"), ("PRIORITY", "3"), ("REASON", "bundle")]);
    assert_eq!(bundle["MESSAGE_ID"], message_id("A model bundle cannot be used"));

    config.write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(4);
    journal.wait(&[("EVENT", "reloaded"), ("PRIORITY", "5"), ("BUNDLE", "tiny")]);
    journal.wait(&[("EVENT", "alarm_cleared"), ("ALARM", "reload_failed")]);
    assert!(journal.entries().iter().all(|entry| entry["INSTANCE"] == "test"));
}

#[test]
fn a_start_that_is_refused_says_why_in_the_journal_and_to_systemd() {
    let mut journal = Journal::listen();
    let config =
        Config::new("mqtt://localhost:1").set("engine.setle", "\"1s\"").text("health.interval", "soon");
    let daemon = config.run_to_the_end(journal.prefix());
    assert_eq!(daemon.1.code(), Some(78));
    let refused: Vec<_> =
        journal.entries().iter().filter(|entry| entry["EVENT"] == "start_refused").collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    for entry in &refused {
        assert_eq!((entry["PRIORITY"].as_str(), entry["REASON"].as_str()), ("3", "configuration"));
        assert_eq!(entry["MESSAGE_ID"], message_id("cooltwin does not start: the configuration is wrong"));
    }
    assert!(refused.iter().any(|entry| entry["MESSAGE"].contains("did you mean engine.settle?")));
    assert_eq!(daemon.0.log(), "", "not a second time as plain lines");
    daemon.0.wait_notified("the reason in a line", |line| {
        line.starts_with("STATUS=start refused: ") && line.ends_with("(and 1 more)")
    });
}
