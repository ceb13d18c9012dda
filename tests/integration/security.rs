//! Who may connect to whom, and what must not be told.

use crate::support::{Authority, Broker, Client, Config};

const STATUS: &str = "cooltwin/test/status";
const PASSWORD: &str = "correct-horse-battery-staple";

#[test]
fn tls_with_an_authority_of_ones_own() {
    let authority = Authority::new();
    let broker = Broker::start_with_tls(&authority, false);
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let _daemon = Config::new(&broker.url()).path("mqtt.ca_file", &authority.certificate()).start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
}

#[test]
fn a_broker_of_another_authority_is_refused() {
    let (brokers, ours) = (Authority::new(), Authority::new());
    let broker = Broker::start_with_tls(&brokers, false);
    let client = Client::connect(&broker, &[STATUS]);
    let daemon = Config::new(&broker.url()).path("mqtt.ca_file", &ours.certificate()).start();
    daemon.wait_log("certificate");
    daemon.wait_notified("a status line that says so", |line| {
        line.starts_with("STATUS=") && line.contains("TLS") && line.contains("certificate")
    });
    assert!(client.messages().is_empty(), "it must not have connected");
}

#[test]
fn a_certificate_is_for_its_host_only() {
    let authority = Authority::new();
    let broker = Broker::start_with_tls(&authority, false);
    // The certificate is for `localhost`.
    let url = broker.url().replace("localhost", "127.0.0.1");
    let daemon = Config::new(&url).path("mqtt.ca_file", &authority.certificate()).start();
    daemon.wait_log("certificate");
}

#[test]
fn client_certificates() {
    let authority = Authority::new();
    let broker = Broker::start_with_tls(&authority, true);
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let anonymous = Config::new(&broker.url()).path("mqtt.ca_file", &authority.certificate());
    let daemon = anonymous.start();
    daemon.wait_notified("the refusal", |line| line.contains("no connection to"));
    assert!(client.messages().is_empty(), "it must not have connected");
    drop(daemon);

    let identity = authority.issue("gateway");
    let _daemon = anonymous
        .path("mqtt.client_cert_file", &identity.certificate)
        .path("mqtt.client_key_file", &identity.key)
        .start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
}

#[test]
fn passwords_open_the_broker_and_stay_out_of_the_log() {
    let broker = Broker::start_with_login("gateway", PASSWORD);
    let login = Some(("gateway", PASSWORD));
    let client = Client::connect_with_login(&broker, &["hvac/+/predictions", STATUS], login);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let named = Config::new(&broker.url()).text("mqtt.username", "gateway").text("log.level", "trace");
    let ways = [
        (named.clone().text("mqtt.password", PASSWORD), None),
        (named.clone().path("mqtt.password_file", &file), None),
        (named.clone(), Some(("COOLTWIN__MQTT__PASSWORD", PASSWORD))),
    ];
    for (config, variable) in ways {
        client.clear();
        let mut daemon = config.start_with(variable.as_slice());
        client.wait_text(STATUS, "online");
        client.predict_until_answered("attic");
        daemon.signal("HUP");
        daemon.wait_ready(2);
        daemon.signal("TERM");
        assert!(daemon.wait_exit().success());
        assert!(!daemon.log().contains(PASSWORD), "the log tells the password");
        assert!(!daemon.notified().join("\n").contains(PASSWORD), "systemd is told the password");
        assert!(!client.messages().iter().any(|message| message.text().contains(PASSWORD)));
    }
}

#[test]
fn a_wrong_password_is_refused_and_not_told_either() {
    const WRONG: &str = "incorrect-horse";
    let broker = Broker::start_with_login("gateway", PASSWORD);
    let client = Client::connect_with_login(&broker, &[STATUS], Some(("gateway", PASSWORD)));
    let daemon = Config::new(&broker.url())
        .text("mqtt.username", "gateway")
        .text("mqtt.password", WRONG)
        .text("log.level", "trace")
        .start();
    daemon.wait_notified("a status line that names the setting", |line| line.contains("mqtt.username"));
    assert!(client.messages().is_empty(), "it must not have connected");
    assert!(!daemon.log().contains(WRONG) && !daemon.notified().join("\n").contains(WRONG));
}
