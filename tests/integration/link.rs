//! What becomes of the link when broker, network or another client misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Broker, Client, Config, Message, eventually};

const STATUS: &str = "cooltwin/test/status";
const HEALTH: &str = "cooltwin/test/health";
const ALARM: &str = "cooltwin/test/alarms/broker_not_delivering";

/// A health document with a certain connection problem.
fn has_problem(message: &Message, problem: &str) -> bool {
    message.topic == HEALTH && message.json()["broker"]["problem"] == problem
}

#[test]
fn a_fight_for_the_client_id_is_recognised_named_and_left_at_the_end() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", HEALTH, STATUS]);
    let daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    // The other client comes back whenever it is thrown out, as most do.
    let is_over = Arc::new(AtomicBool::new(false));
    let (stop, port) = (is_over.clone(), broker.port());
    let rival = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            // CONNECT as `cooltwin-test`, session kept, keep alive 60 s.
            let mut connect = vec![0x10, 25, 0, 4, b'M', b'Q', b'T', b'T', 4, 0, 0, 60, 0, 13];
            connect.extend_from_slice(b"cooltwin-test");
            stream.write_all(&connect).unwrap();
            let mut buffer = [0; 256];
            while !stop.load(Ordering::Relaxed) {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                    _ => {}
                }
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    daemon.wait_notified("a status line with the remedy", |line| {
        line.starts_with("STATUS=") && line.contains("`cooltwin-test`") && line.contains("mqtt.client_id")
    });
    client.wait("the problem in the health document", |message| has_problem(message, "taken_over"));
    let lines = daemon.log().lines().filter(|line| line.contains("another client uses")).count();
    assert_eq!(lines, 1, "it is logged once");
    is_over.store(true, Ordering::Relaxed);
    rival.join().unwrap();
    client.clear();
    client.predict_until_answered("attic");
}

#[test]
fn causes_are_told_apart_and_logged_once() {
    // Nothing listens; then somebody who does not speak MQTT.
    let broker = Broker::not_yet_started();
    let daemon = Config::new(&broker.url()).start();
    daemon.wait_log("the connection is refused");
    let listener = TcpListener::bind(("127.0.0.1", broker.port())).unwrap();
    let closing = std::thread::spawn(move || {
        for _ in 0..3 {
            drop(listener.accept().unwrap());
        }
    });
    daemon.wait_log("closes the connection instead of answering");
    closing.join().unwrap();
    let log = daemon.log();
    for cause in ["the connection is refused", "instead of answering"] {
        assert_eq!(log.matches(cause).count(), 1, "{cause}:\n{log}");
    }
}

#[test]
fn a_broker_that_accepts_but_does_not_deliver_raises_an_alarm_that_clears_by_itself() {
    // An access list that comes to let the daemon publish its probe and silently keep it from reading it.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access");
    let all = "topic readwrite hvac/#\ntopic readwrite cooltwin/test/#\n";
    std::fs::write(&file, all).unwrap();
    // With unbounded queues this broker would close the connection instead.
    let settings = format!("acl_file {}\nmax_queued_messages 1000\n", file.display());
    let broker = Broker::start_with_settings(&settings);
    let client = Client::connect(&broker, &[ALARM, HEALTH, STATUS]);
    let daemon = Config::new(&broker.url()).text("mqtt.probe_interval", "1s").start();
    client.wait_text(STATUS, "online");
    client.wait("a probe that came back", |message| {
        message.topic == HEALTH && message.json()["broker"]["delivering"] == true
    });
    std::fs::write(&file, format!("{all}topic deny cooltwin/test/probe\n")).unwrap();
    broker.reload();
    // What may stand from an earlier life is removed at the start.
    let alarm = client.wait("the alarm", |message| message.topic == ALARM && !message.payload.is_empty());
    assert_eq!(alarm.json()["id"], "broker_not_delivering");
    client.wait("the problem in the health document", |message| has_problem(message, "not_delivering"));
    daemon.wait_notified("a status line that says so", |line| line.contains("does not deliver"));
    client.clear();
    std::fs::write(&file, all).unwrap();
    broker.reload();
    client.wait("the end of the alarm", |message| message.topic == ALARM && message.payload.is_empty());
}

#[test]
fn a_broker_that_closes_for_the_probe_is_served_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access");
    let rules = "topic readwrite hvac/#\ntopic readwrite cooltwin/test/#\ntopic deny cooltwin/test/probe\n";
    std::fs::write(&file, rules).unwrap();
    // This version of mosquitto closes the connection of a client that publishes where it may not, when its
    // queues are not bounded; others do so always.
    let broker = Broker::start_with_settings(&format!("acl_file {}", file.display()));
    let client = Client::connect(&broker, &["hvac/+/predictions", HEALTH, STATUS]);
    let daemon = Config::new(&broker.url()).start();
    daemon.wait_log("mqtt.probe_interval");
    client.clear();
    client.predict_until_answered("attic");
    let health =
        client.wait("the reason in the health document", |message| has_problem(message, "probe_refused"));
    assert_eq!(health.json()["broker"]["state"], "connected");
}

#[test]
fn a_reload_is_ready_when_the_new_topics_are_subscribed() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["site/+/predictions", STATUS]);
    let before = Config::new(&broker.url());
    let mut daemon = before.start();
    client.wait_text(STATUS, "online");
    for round in 0..5 {
        let frames = format!("site{round}/{{unit}}/in");
        before
            .clone()
            .text("topics.frame", &frames)
            .text("topics.prediction", "site/{unit}/predictions")
            .write(&daemon.config_file());
        daemon.signal("HUP");
        daemon.wait_ready(round + 2);
        // One frame, at once: what is not subscribed would be lost.
        client.publish(&format!("site{round}/unit{round}/in"), crate::support::frame(20.0));
        client.wait_on(&format!("site/unit{round}/predictions"));
    }
}

#[test]
fn a_frozen_broker_is_noticed_although_there_is_much_to_write() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let daemon = Config::new(&broker.url()).start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
    for number in 0..2_000 {
        client.publish(&format!("hvac/unit-{}/sensors", number % 50), crate::support::frame(20.0));
    }
    broker.freeze();
    daemon.wait_notified("the silence", |line| line.contains("does not answer any more"));
    broker.thaw();
    client.flush();
    eventually("a prediction of every unit", || {
        (0..50).all(|unit| !client.on(&format!("hvac/unit-{unit}/predictions")).is_empty()).then_some(())
    });
}
