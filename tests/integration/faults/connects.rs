//! Brokers that cannot be reached, do not let anybody in, or let in somebody else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rumqttc::mqttbytes::v4::Packet;
use tempfile::TempDir;

use crate::support::{
    Authority, Broker, Client, Config, Daemon, Proxy, Rules, Site, Tally, Wire, eventually, report, scaled,
};

const STATUS: &str = "cooltwin/test/status";

/// Connects in a time, written to the report in the place of frames.
fn report_connects(fault: &str, connects: usize) {
    let tally = Tally { frames: connects as u64, ..Tally::default() };
    report(fault, &tally, None, None);
}

/// Pauses grow from half a second, so most attempts fall into the first seconds: no more than 12 in a minute,
/// nor in any shorter time.
#[test]
fn a_dead_broker_is_left_in_peace() {
    let proxy = Proxy::start(1);
    proxy.refuse(true);
    let url = format!("mqtt://127.0.0.1:{}", proxy.port());
    let _daemon = Config::new(&url).text("mqtt.reconnect_max", "1m").start();
    std::thread::sleep(scaled(Duration::from_secs(10), Duration::from_mins(1)));
    let connects = proxy.connects().len();
    report_connects(scaled("dead broker: connects in 10 s", "dead broker: connects in a minute"), connects);
    assert!((2..=12).contains(&connects), "{connects} connects");
}

/// A second client with the daemon's id that always comes back: each connect throws the other out.
#[test]
fn a_second_client_with_the_same_id() {
    let minute = scaled(Duration::from_secs(20), Duration::from_mins(1));
    let broker = Broker::start_with_settings("");
    let proxy = Proxy::start(broker.port());
    let url = format!("mqtt://127.0.0.1:{}", proxy.port());
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let daemon = Config::new(&url).text("mqtt.reconnect_max", "1m").start();
    client.predict_until_answered("attic");
    let before = proxy.connects().len();
    let stop = Arc::new(AtomicBool::new(false));
    let (port, is_over) = (broker.port(), stop.clone());
    let rival = std::thread::spawn(move || {
        let mut takeovers = 0;
        while !is_over.load(Ordering::Acquire) {
            if let Ok(mut wire) = Wire::open(port, "cooltwin-test", false) {
                takeovers += 1;
                while !is_over.load(Ordering::Acquire) && wire.next().is_ok() {}
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        takeovers
    });
    std::thread::sleep(minute);
    let connects = proxy.connects().len() - before;
    stop.store(true, Ordering::Release);
    let takeovers = rival.join().unwrap();
    report_connects(scaled("takeover: connects in 20 s", "takeover: connects in a minute"), connects);
    assert!(connects <= 6, "{connects} connects against {takeovers} takeovers");
    assert!(takeovers >= 2, "the rival has come {takeovers} times: there was no fight");
    daemon.wait_notified("a status line that names the setting", |line| line.contains("mqtt.client_id"));
    // Without the rival it serves again.
    client.predict_until_answered("attic");
}

/// While the rival has the session, frames go to it. What it did not acknowledge is the daemon's again.
#[test]
fn a_session_that_comes_back_from_a_rival() {
    let site = Site::start();
    site.feeder.feed(10);
    site.observer.wait_seen(10);
    site.proxy.refuse(true);
    let mut rival = Wire::open(site.broker.port(), "cooltwin-test", false).unwrap();
    assert!(rival.session_present, "it is the daemon's session");
    site.feeder.feed(100);
    let mut taken = 0;
    while taken < 10 {
        taken += usize::from(matches!(rival.next().unwrap(), Some(Packet::Publish(_))));
    }
    drop(rival);
    site.proxy.refuse(false);
    site.settle("session taken over and given back", Instant::now());
}

/// Access to everything for whoever gives no name.
const OTHERS: &str = "topic readwrite #\nuser gateway\ntopic readwrite cooltwin/#\n";
/// Frames published while access is denied.
const DENIED: usize = 10;

/// A broker with an access list, and a daemon with the user name `gateway`, which that list denies something.
struct Guarded {
    list: PathBuf,
    client: Client,
    daemon: Daemon,
    broker: Broker,
    _dir: TempDir,
}

impl Guarded {
    fn start(rights: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (list, passwords) = (dir.path().join("acl"), dir.path().join("passwords"));
        fs::write(&list, format!("{OTHERS}{rights}")).unwrap();
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c", passwords.to_str().unwrap(), "gateway", "secret"])
            .status();
        assert!(made.unwrap().success());
        let settings = format!("acl_file {}\npassword_file {}\n", list.display(), passwords.display());
        let broker = Broker::start_with_settings(&settings);
        let client = Client::connect(&broker, &["hvac/+/predictions"]);
        let daemon = Config::new(&broker.url())
            .text("mqtt.username", "gateway")
            .text("mqtt.password", "secret")
            .text("alarms.silence", "1s")
            .start();
        daemon.wait_notified("the connection", |line| line.starts_with("STATUS=connected to"));
        eventually("the subscription", || {
            broker.log().contains("Sending SUBACK to cooltwin-test").then_some(())
        });
        for number in 0..DENIED {
            client.publish(&format!("hvac/unit-{number}/sensors"), crate::support::frame(20.0));
        }
        client.flush();
        assert!(client.messages().is_empty(), "the access list denies nothing");
        Self { list, client, daemon, broker, _dir: dir }
    }

    /// Denies nothing any more.
    fn open(&self) {
        fs::write(&self.list, format!("{OTHERS}topic readwrite #\n")).unwrap();
        self.broker.reload();
    }

    fn connects(&self) -> usize {
        self.broker.log().matches("as cooltwin-test (").count()
    }
}

/// This broker says yes to the subscription and delivers nothing: the connection is neither lost nor made anew, and
/// an alarm stands while it lasts.
#[test]
fn an_access_list_that_denies_reading() {
    let guarded = Guarded::start("topic write hvac/#\n");
    let alarms = Client::connect(&guarded.broker, &["cooltwin/test/alarms/source_silent"]);
    let alarm = alarms.wait("the alarm", |message| !message.payload.is_empty());
    assert!(
        alarm.json()["text"].as_str().unwrap().contains("denying this client to read"),
        "{}",
        alarm.text()
    );
    assert_eq!(guarded.connects(), 1, "connected anew for no reason");
    alarms.clear();
    guarded.open();
    guarded.client.predict_until_answered("attic");
    alarms.wait("the alarm's end", |message| message.payload.is_empty());
    assert_eq!(guarded.connects(), 1, "connected anew for no reason");
}

/// This broker ends the connection at every publish that it denies. Nothing is acknowledged meanwhile, so nothing
/// is lost when it allows it.
#[test]
fn an_access_list_that_denies_publishing() {
    let guarded = Guarded::start("topic read hvac/#\n");
    guarded.daemon.wait_notified("a status line that says so", |line| line.contains("no connection to"));
    guarded.open();
    for number in 0..DENIED {
        guarded.client.wait_on(&format!("hvac/unit-{number}/predictions"));
    }
}

#[test]
fn an_expired_certificate_is_refused_until_it_is_renewed() {
    let authority = Authority::new();
    let mut broker = Broker::start_with_tls(&authority, false);
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    broker.stop();
    authority.issue_expired("broker");
    broker.restart();
    let daemon = Config::new(&broker.url()).path("mqtt.ca_file", &authority.certificate()).start();
    daemon.wait_notified("a status line that says so", |line| {
        line.starts_with("STATUS=") && line.to_lowercase().contains("expired")
    });
    assert!(client.messages().is_empty(), "it must not have connected");
    broker.stop();
    authority.issue("broker");
    broker.restart();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
}

/// The broker gets a certificate of another authority, and the daemon's list of authorities is replaced: no restart.
#[test]
fn certificates_are_rotated() {
    let (old, new) = (Authority::new(), Authority::new());
    let mut broker = Broker::start_with_tls(&old, false);
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let dir = tempfile::tempdir().unwrap();
    let trusted = dir.path().join("ca.pem");
    fs::copy(old.certificate(), &trusted).unwrap();
    let daemon = Config::new(&broker.url()).path("mqtt.ca_file", &trusted).start();
    client.wait_text(STATUS, "online");
    broker.stop();
    new.issue("broker");
    old.replace_by(&new, "broker");
    broker.restart();
    daemon.wait_notified("the refusal", |line| {
        line.starts_with("STATUS=") && line.contains("no connection to") && line.contains("certificate")
    });
    client.clear();
    fs::copy(new.certificate(), &trusted).unwrap();
    let healed = Instant::now();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
    report("TLS authority rotated", &Tally::default(), Some(healed.elapsed()), None);
}

/// The greeting does not come, or not in time; then it does.
#[test]
fn a_broker_that_accepts_and_is_silent() {
    let site = Site::with(Broker::start_with_settings(""), false, |config| {
        config.text("mqtt.connect_timeout", "1s")
    });
    site.flow(50);
    let told = site.daemon.notified().len();
    let before = site.proxy.connects().len();
    site.proxy.set_both(Rules { stalled: true, ..Rules::default() });
    site.proxy.cut();
    eventually("attempts that fail", || (site.proxy.connects().len() >= before + 3).then_some(()));
    assert!(site.daemon.notified().iter().skip(told).any(|line| line.contains("connect_timeout")));
    site.proxy.set_both(Rules::default());
    site.settle("greeting withheld", Instant::now());
}
