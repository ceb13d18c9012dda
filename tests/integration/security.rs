//! Who may connect to whom, and what must not be told.

use crate::support::{Authority, Broker, Client, Config, cooltwin, frame, stderr};

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
fn plain_mqtt_beyond_this_machine_needs_permission_and_is_warned_about() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS, "cooltwin/test/health"]);
    // Linux takes the unspecified address for this machine; by the letter it is another one.
    let config = Config::new(&format!("mqtt://0.0.0.0:{}", broker.port()));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cooltwin.toml");
    config.write(&file);
    for command in ["check", "run"] {
        let output = cooltwin(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
        assert!(stderr(&output).contains("mqtt.allow_plain = true"), "{}", stderr(&output));
    }

    let warning = "plain MQTT to mqtt://0.0.0.0";
    let mut daemon = config.clone().set("mqtt.allow_plain", "true").start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
    daemon.wait_log(warning);
    daemon.wait_notified("a status line with the warning", |line| {
        line.starts_with("STATUS=connected") && line.contains(warning)
    });
    client.wait("health with the warning", |message| {
        message.topic.ends_with("health")
            && message.json()["warnings"][0].as_str().is_some_and(|text| text.contains(warning))
    });

    // A reload without the permission is refused; one to an address that needs none ends the warning.
    config.write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    daemon.wait_notified("the refusal", |line| line.contains("mqtt.allow_plain = true"));
    Config::new(&broker.url()).write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_ready(3);
    client.clear();
    client.wait("health without a warning", |message| {
        message.topic.ends_with("health") && message.json()["warnings"].as_array().is_some_and(Vec::is_empty)
    });
}

#[test]
fn certificates_and_keys_are_renewed_without_a_restart() {
    let authority = Authority::new();
    let mut broker = Broker::start_with_tls(&authority, true);
    let client = Client::connect(&broker, &["hvac/+/predictions", STATUS]);
    let identity = authority.issue("gateway");
    let config = Config::new(&broker.url())
        .path("mqtt.ca_file", &authority.certificate())
        .path("mqtt.client_cert_file", &identity.certificate)
        .path("mqtt.client_key_file", &identity.key);
    let daemon = config.start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");

    // Another authority, another certificate of the broker, another one of ours, all in the old places.
    authority.renew();
    authority.issue("broker");
    broker.kill();
    client.clear();
    broker.restart();
    // With its old certificate: the broker does not know who signed it.
    daemon.wait_notified("the refusal", |line| line.contains("UnknownCA"));
    assert!(!client.messages().iter().any(|message| message.text() == "online"));
    authority.issue("gateway");
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
    assert_eq!(
        daemon.notified().iter().filter(|line| *line == "READY=1").count(),
        1,
        "no restart, no reload"
    );
}

#[test]
fn a_password_is_renewed_without_a_restart() {
    const NEXT: &str = "another-horse";
    let mut broker = Broker::start_with_login("gateway", PASSWORD);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mqtt"), PASSWORD).unwrap();
    let config = Config::new(&broker.url())
        .text("mqtt.username", "gateway")
        .text("mqtt.password_file", "credential:mqtt");
    // As `LoadCredential=mqtt:...` does.
    let daemon = config.start_with(&[("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap())]);
    let client = Client::connect_with_login(&broker, &[STATUS], Some(("gateway", PASSWORD)));
    client.wait_text(STATUS, "online");
    drop(client);

    broker.change_password("gateway", NEXT);
    broker.kill();
    broker.restart();
    daemon.wait_notified("the refusal of the old one", |line| line.contains("check mqtt.username"));
    std::fs::write(dir.path().join("mqtt"), NEXT).unwrap();
    let client = Client::connect_with_login(&broker, &[STATUS], Some(("gateway", NEXT)));
    client.wait_text(STATUS, "online");
    assert_eq!(
        daemon.notified().iter().filter(|line| *line == "READY=1").count(),
        1,
        "no restart, no reload"
    );
}

#[test]
fn a_flood_of_messages_is_no_flood_of_lines() {
    const UNITS: usize = 1_000;
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "cooltwin/test/health"]);
    // At debug level each new unit is a line.
    let config = Config::new(&broker.url()).text("log.level", "debug").set("engine.max_units", "5000");
    let daemon = config.start();
    client.wait_text(STATUS, "online");
    for unit in 0..UNITS {
        client.publish(&format!("hvac/unit-{unit}/sensors"), frame(20.0));
    }
    let health = client.wait("health that counts the lines left out", |message| {
        message.topic.ends_with("health") && message.json()["drops"]["log_lines"].as_u64() > Some(0)
    });
    daemon.wait_log("lines were left out of the log");
    let appeared = daemon.log().lines().filter(|line| line.contains("appeared")).count();
    assert!(appeared < UNITS, "{appeared}");
    assert!(health.json()["drops"]["log_lines"].as_u64().unwrap() <= UNITS as u64);
}
