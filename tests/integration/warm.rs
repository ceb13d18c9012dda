//! Warm starts: what is saved is taken up again, and a file system that fails does no harm.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use crate::support::{Broker, Client, Config, Site, eventually, frame, scaled};

const PREDICTIONS: &str = "hvac/attic/predictions";
const ALARM: &str = "cooltwin/test/alarms/state_not_saved";

fn config(broker: &Broker, folder: &Path) -> Config {
    Config::new(&broker.url()).path("state.path", folder).set("engine.target_topics", "false")
}

/// Publishes a frame and gives the number of its prediction.
fn seq(client: &Client) -> u64 {
    client.clear();
    client.publish("hvac/attic/sensors", frame(20.0));
    client.wait_on(PREDICTIONS).json()["seq"].as_u64().unwrap()
}

#[test]
fn a_restart_goes_on_where_the_stop_was() {
    let (broker, folder) = (Broker::start(), tempfile::tempdir().unwrap());
    let client = Client::connect(&broker, &[PREDICTIONS, "cooltwin/test/status"]);
    let config = config(&broker, folder.path());
    let mut daemon = config.start();
    daemon.wait_log("there is no saved state");
    client.wait_text("cooltwin/test/status", "online");
    client.predict_until_answered("attic");
    let before = seq(&client);
    daemon.signal("TERM");
    assert!(daemon.wait_exit().success());
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["test.state"]);

    client.clear();
    daemon.restart(&config);
    daemon.wait_log("warm start: 1 units go on");
    client.wait_text("cooltwin/test/status", "online");
    assert_eq!(seq(&client), before + 1);

    // Another bundle's, or damaged: a cold start that says why.
    daemon.signal("TERM");
    daemon.wait_exit();
    let file = folder.path().join("test.state");
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    client.clear();
    daemon.restart(&config);
    daemon.wait_log("is not used: it is damaged: its checksum is wrong");
    client.wait_text("cooltwin/test/status", "online");
    assert_eq!(seq(&client), 1);
}

#[test]
fn a_crash_goes_on_from_what_was_saved_while_running() {
    let (broker, folder) = (Broker::start(), tempfile::tempdir().unwrap());
    let client = Client::connect(&broker, &[PREDICTIONS, "cooltwin/test/status"]);
    let config = config(&broker, folder.path()).text("state.interval", "100ms");
    let mut daemon = config.start();
    client.predict_until_answered("attic");
    let (file, before) = (folder.path().join("test.state"), seq(&client));
    // Written anew twice after the last prediction: it is in.
    let written = || fs::metadata(&file).ok().and_then(|file| file.modified().ok());
    for _ in 0..2 {
        let last = written();
        eventually("the state to be saved", || (written() != last).then_some(()));
    }
    daemon.kill();
    client.clear();
    daemon.restart(&config);
    daemon.wait_log("warm start: 1 units go on");
    client.wait_text("cooltwin/test/status", "online");
    assert_eq!(seq(&client), before + 1);
}

#[test]
fn a_full_disk_raises_one_alarm_and_does_no_harm() {
    let (broker, folder) = (Broker::start(), tempfile::tempdir().unwrap());
    let client = Client::connect(&broker, &[PREDICTIONS, ALARM]);
    // Writing to this device fails as on a full disk.
    let beside = folder.path().join("test.state.new");
    symlink("/dev/full", &beside).unwrap();
    // Removed after each failure, so that the disk is full once.
    let config = config(&broker, folder.path()).text("state.interval", "1s");
    let mut daemon = config.start();
    let alarm = client.wait("the alarm", |message| message.topic == ALARM && !message.payload.is_empty());
    assert!(alarm.json()["text"].as_str().unwrap().contains("No space left"), "{}", alarm.text());
    client.clear();
    client.predict_until_answered("attic");
    client.wait("the alarm's end", |message| message.topic == ALARM && message.payload.is_empty());
    daemon.signal("TERM");
    assert!(daemon.wait_exit().success());
}

#[test]
fn a_folder_that_cannot_be_written_to_raises_one_alarm_and_does_no_harm() {
    let (broker, folder) = (Broker::start(), tempfile::tempdir().unwrap());
    let client = Client::connect(&broker, &[PREDICTIONS, ALARM]);
    // A file where a folder is expected stops every user, also one who may write anywhere.
    let nowhere = folder.path().join("file");
    fs::write(&nowhere, "").unwrap();
    let mut daemon = config(&broker, &nowhere).text("state.interval", "50ms").start();
    client.wait("the alarm", |message| message.topic == ALARM && !message.payload.is_empty());
    client.predict_until_answered("attic");
    let first = seq(&client);
    // Saving fails twenty times a second; the alarm and its line in the log are there once.
    for _ in 0..20 {
        seq(&client);
    }
    assert_eq!(seq(&client), first + 21);
    assert!(client.on(ALARM).is_empty());
    assert_eq!(daemon.log().matches("alarm state_not_saved").count(), 1, "{}", daemon.log());
    daemon.signal("TERM");
    assert!(daemon.wait_exit().success());
}

/// A state that is ahead of what the broker has would take readings that come again for late ones, and their
/// predictions would never be made. Frames have times of their own here, without which none is ever late.
#[test]
fn a_daemon_that_saves_all_the_time_loses_nothing_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::with(Broker::start_with_settings(""), true, |config| {
        config.path("state.path", folder.path()).text("state.interval", "5ms")
    });
    let mut healed = Instant::now();
    for round in 0..scaled(6, 40) {
        if round % 2 == 0 {
            // A backlog to be killed in the middle of.
            site.daemon.freeze();
            site.feeder.feed(400);
            site.daemon.thaw();
            site.observer.wait_seen(site.observer.seen() + 50);
        } else {
            site.flow(300);
        }
        site.daemon.kill();
        site.daemon.restart(&site.config);
        healed = Instant::now();
    }
    assert!(site.daemon.log().contains("warm start"), "{}", site.daemon.log());
    site.settle("daemon that saves all the time killed", healed);
}
