//! What must not be told is told nowhere: not in what the program prints or logs at its most talkative, not to
//! systemd, not on any topic, whichever way a secret came in and whatever happens then.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::support::{Authority, Broker, Client, Config, Daemon, cooltwin, program, stderr, stdout};

const STATUS: &str = "cooltwin/test/status";
const USER: &str = "gateway";
const PASSWORD: &str = "correct-horse-battery-staple";
const WRONG: &str = "incorrect-horse-battery-glue";

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |place| char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]))
    });
    digits.collect()
}

/// The secret as it is and as it comes out of careless printing: bytes in decimal or hex, base64 (the part that
/// does not depend on what stands before), backwards no one prints.
fn disguises(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let decimal: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").unwrap();
    }
    let mut found = vec![secret.to_owned(), decimal.join(", "), hex.to_uppercase(), hex];
    for shift in 0..3 {
        // Without the first and last digits, which mix with the neighbours.
        let digits = base64(&bytes[shift..]);
        found.push(digits[..digits.len() - 3].to_owned());
    }
    found
}

/// Fails if a secret stands in the text in any disguise.
fn assert_silent(place: &str, text: &str, secrets: &[&str]) {
    for secret in secrets {
        for disguise in disguises(secret) {
            assert!(!text.contains(&disguise), "{place} tells `{secret}` as `{disguise}`:\n{text}");
        }
    }
}

/// All that left the daemon: standard output and error, systemd, every topic of the broker.
fn assert_all_silent(daemon: &Daemon, client: &Client, secrets: &[&str]) {
    assert!(daemon.log().len() > 1_000, "at trace level there is more to read");
    assert_silent("the output", &daemon.log(), secrets);
    assert_silent("systemd", &daemon.notified().join("\n"), secrets);
    for message in client.messages() {
        let text = String::from_utf8_lossy(&message.payload).into_owned();
        assert_silent(&message.topic, &(message.topic.clone() + "\n" + &text), secrets);
    }
}

#[test]
fn disguises_are_seen_through() {
    assert_eq!(base64(b"hello"), "aGVsbG8");
    for (text, secret) in [("x aGVsbG8gd29ybGQ= y", "hello world"), ("[104, 101, 108, 108, 111]", "hello")] {
        let caught = std::panic::catch_unwind(|| assert_silent("a test", text, &[secret]));
        assert!(caught.is_err(), "{text}");
    }
    let caught = std::panic::catch_unwind(|| {
        assert_silent("a test", &base64(b"\0user\0hello world!"), &["hello world"]);
    });
    assert!(caught.is_err());
}

/// A configuration, variables of the environment and arguments.
type Way = (Config, Vec<(String, String)>, Vec<String>);

/// Every way a password can be given.
fn ways(config: &Config, dir: &Path) -> Vec<Way> {
    let file = dir.join("mqtt-password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let variable = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    vec![
        (config.clone().text("mqtt.password", PASSWORD), vec![], vec![]),
        (config.clone().path("mqtt.password_file", &file), vec![], vec![]),
        (
            config.clone().text("mqtt.password_file", "credential:mqtt-password"),
            variable("CREDENTIALS_DIRECTORY", dir.to_str().unwrap()),
            vec![],
        ),
        (config.clone(), variable("COOLTWIN__MQTT__PASSWORD", PASSWORD), vec![]),
        (config.clone(), vec![], vec!["--set".to_owned(), format!("mqtt.password={PASSWORD}")]),
    ]
}

/// Connect, predict, answer commands, reload well and badly, lose the broker, be refused, stop.
#[test]
fn passwords_are_told_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::start_with_login(USER, PASSWORD);
    let config = Config::new(&broker.url()).text("mqtt.username", USER).text("log.level", "trace");
    for (config, environment, arguments) in ways(&config, dir.path()) {
        let login = Some((USER, PASSWORD));
        let client = Client::connect_with_login(&broker, &["#"], login);
        let environment: Vec<_> = environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut daemon = config.start_with_all(&environment, &arguments);
        client.wait_text(STATUS, "online");
        client.predict_until_answered("attic");
        client.publish("cooltwin/test/cmd/health", "");
        client.wait_on("cooltwin/test/cmd/health/response");

        // A reload that works, one with the password in all the wrong places, one back.
        daemon.signal("HUP");
        daemon.wait_ready(2);
        let spoiled = format!(
            "{}\npasword = {PASSWORD:?}\n[health]\npassword = {PASSWORD:?}\n",
            config.clone().text("mqtt.url", &format!("mqtt://{USER}:{PASSWORD}@localhost")).render()
        );
        fs::write(daemon.config_file(), spoiled.replace("[health]\ninterval", "[engine]\ninterval")).unwrap();
        client.publish("cooltwin/test/cmd/reload", "");
        let answer = client.wait("the refusal", |message| {
            message.topic == "cooltwin/test/cmd/reload/response" && message.text().contains("\"ok\":false")
        });
        assert!(
            answer.text().contains("user name or password") || answer.text().contains("TOML"),
            "{}",
            answer.text()
        );
        config.write(&daemon.config_file());
        daemon.signal("HUP");
        daemon.wait_log("reloaded configuration and bundle");

        // The broker goes, comes back with another password, refuses ours, and takes it again.
        broker.change_password(USER, WRONG);
        broker.kill();
        broker.restart();
        daemon.wait_notified("the refusal", |line| line.contains("check mqtt.username"));
        broker.change_password(USER, PASSWORD);
        broker.kill();
        client.clear();
        broker.restart();
        client.wait_text(STATUS, "online");
        client.wait_on("cooltwin/test/health");
        daemon.signal("TERM");
        assert!(daemon.wait_exit().success());
        assert_all_silent(&daemon, &client, &[PASSWORD]);
    }
}

#[test]
fn a_wrong_password_is_told_nowhere_either() {
    let broker = Broker::start_with_login(USER, PASSWORD);
    let client = Client::connect_with_login(&broker, &["#"], Some((USER, PASSWORD)));
    let daemon = Config::new(&broker.url())
        .text("mqtt.username", USER)
        .text("mqtt.password", WRONG)
        .text("log.level", "trace")
        .start();
    daemon.wait_notified("a status line that names the setting", |line| line.contains("mqtt.username"));
    assert!(client.messages().is_empty(), "it must not have connected");
    assert_silent("the output", &daemon.log(), &[WRONG]);
    assert_silent("systemd", &daemon.notified().join("\n"), &[WRONG]);
}

/// A private key, and the password beside it, over TLS.
#[test]
fn private_keys_are_told_nowhere() {
    let authority = Authority::new();
    let broker = Broker::start_with_tls(&authority, true);
    let identity = authority.issue("gateway");
    let client = Client::connect(&broker, &["#"]);
    let mut daemon = Config::new(&broker.url())
        .path("mqtt.ca_file", &authority.certificate())
        .path("mqtt.client_cert_file", &identity.certificate)
        .path("mqtt.client_key_file", &identity.key)
        .text("mqtt.username", USER)
        .text("mqtt.password", PASSWORD)
        .text("log.level", "trace")
        .start();
    client.wait_text(STATUS, "online");
    client.predict_until_answered("attic");
    let pem = fs::read_to_string(&identity.key).unwrap();
    let key: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-') && line.len() > 20).collect();
    assert!(!key.is_empty());
    // A key that cannot be read as one any more: the error must not quote it.
    fs::write(&identity.key, pem.replace("BEGIN EC PRIVATE KEY", "BEGIN EC PRIVATE KAY")).unwrap();
    daemon.signal("HUP");
    daemon.wait_ready(2);
    daemon.wait_notified("the refusal", |line| line.contains("mqtt.client_key_file"));
    let mut secrets = key.clone();
    secrets.push(PASSWORD);
    assert_all_silent(&daemon, &client, &secrets);
}

/// Nor do commands repeat a secret that stands where it does not belong.
#[test]
fn mistakes_with_secrets_are_reported_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cooltwin.toml");
    let written = [
        format!("[mqtt]\npassword = {PASSWORD}\n"),
        format!("[mqtt]\nusername = \"u\"\npassword = \"{PASSWORD}\n"),
        format!("[mqtt]\nusername = \"u\"\npassword = [\"{PASSWORD}\"]\n"),
        format!("[mqtt]\nusername = \"u\"\npassword.value = \"{PASSWORD}\"\n"),
        format!("[mqtt]\npasword = \"{PASSWORD}\"\n"),
        format!("password = \"{PASSWORD}\"\n"),
        format!("[mqtt]\npassword = \"{PASSWORD}\"\n"),
        format!("[mqtt]\nurl = \"mqtt://u:{PASSWORD}@host\"\n"),
        format!("[mqtt]\nurl = \"u:{PASSWORD}@host\"\n"),
        format!("[mqtt]\nurl = \"mqtt://host?password={PASSWORD}\"\n"),
        format!("[mqtt]\nurl = [\"mqtt://u:{PASSWORD}@host\"]\n"),
    ];
    for text in written {
        fs::write(&file, &text).unwrap();
        for command in ["check", "run"] {
            let output = cooltwin(&[command, "--config", file.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(78), "{text}");
            assert_silent(&text, &(stdout(&output) + &stderr(&output)), &[PASSWORD]);
        }
    }
    let arguments = ["password=", "mqtt.pasword=", "mqtt.url=mqtt://u:", "mqtt.password.x="];
    for argument in arguments {
        let output = cooltwin(&["check", "--set", &format!("{argument}{PASSWORD}")]);
        assert_eq!(output.status.code(), Some(78), "{argument}: {}", stderr(&output));
        assert_silent(argument, &(stdout(&output) + &stderr(&output)), &[PASSWORD]);
    }
    for address in ["mqtts://u:", "u:", "mqtt:u:"] {
        let output = cooltwin(&["simulate", "--mqtt", &format!("{address}{PASSWORD}@host")]);
        assert_eq!(output.status.code(), Some(64), "{address}: {}", stderr(&output));
        assert_silent(address, &(stdout(&output) + &stderr(&output)), &[PASSWORD]);
    }
    for name in ["COOLTWIN__MQTT__PASWORD", "COOLTWIN__PASSWORD", "COOLTWIN__MQTT__PASSWORD__X"] {
        let output = program().args(["check"]).env(name, PASSWORD).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{name}: {}", stderr(&output));
        assert_silent(name, &(stdout(&output) + &stderr(&output)), &[PASSWORD]);
    }
}
