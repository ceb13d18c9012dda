//! `cooltwin health` as a container's health check runs it.

use std::path::Path;

use serde_json::Value;

use crate::support::{Authority, Broker, Client, Config, Daemon, program, stderr, stdout};

const STATUS: &str = "cooltwin/test/status";
/// Long enough for an answer on a loaded machine; nothing waits for it in vain.
const PATIENT: &str = "60";
/// For answers that do not come.
const SHORT: &str = "2";

/// Runs it with a configuration file: exit code, standard output, standard error.
fn ask(config: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = program();
    command.arg("health").arg("--config").arg(config).args(arguments);
    let output = command.output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

/// The same in JSON; what it says must agree with the exit code.
fn ask_json(config: &Path, arguments: &[&str]) -> Value {
    let (code, out, err) = ask(config, &[&["--json"], arguments].concat());
    let verdict: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!(code, Some(i32::from(verdict["healthy"] == false)), "{verdict} {err}");
    assert_eq!(verdict["healthy"], err.is_empty(), "{err}");
    verdict
}

/// It is not well for this reason, and says so in words with `part`.
fn assert_ill(config: &Path, arguments: &[&str], problem: &str, part: &str) {
    let verdict = ask_json(config, arguments);
    assert_eq!(
        (&verdict["healthy"], verdict["problem"].as_str()),
        (&Value::Bool(false), Some(problem)),
        "{verdict}"
    );
    assert!(verdict["reason"].as_str().unwrap().contains(part), "{verdict}");
    assert!(verdict["health"].is_null());
    let (code, out, err) = ask(config, arguments);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("cooltwin: unhealthy: ") && err.contains(part), "{err}");
}

fn online(config: &Config, client: &Client) -> Daemon {
    let daemon = config.start();
    client.wait_text(STATUS, "online");
    daemon
}

#[test]
fn a_daemon_at_work_is_well_and_is_left_in_peace() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions"]);
    let daemon = online(&Config::new(&broker.url()), &client);
    client.predict_until_answered("attic");
    let (code, out, err) = ask(&daemon.config_file(), &["--timeout", PATIENT]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for part in
        ["healthy     test is online", "units       0 good, 1 uncertain, 0 withheld", "model       tiny "]
    {
        assert!(out.contains(part), "{out}");
    }
    let verdict = ask_json(&daemon.config_file(), &["--timeout", PATIENT]);
    assert_eq!((&verdict["instance"], &verdict["problem"]), (&"test".into(), &Value::Null));
    assert!(verdict["answered_ms"].as_f64().is_some());
    let health = &verdict["health"];
    assert_eq!((&health["instance"], &health["units"]["uncertain"]), (&"test".into(), &1.into()));
    for guide in ["docs/operations.md", "docs/mqtt.md"] {
        let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(guide)).unwrap();
        for field in health.as_object().unwrap().keys() {
            assert!(guide.contains(&format!("`{field}`")), "{field} is not explained");
        }
    }
    // Neither its session nor its will were touched.
    assert_eq!(
        (&health["broker"]["connects"], &health["drops"]["command_refused"]),
        (&1.into(), &Value::Null)
    );
    assert!(client.on(STATUS).iter().all(|message| message.text() == "online"));
}

#[test]
fn sensors_that_are_silent_are_told_and_are_no_illness() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/state", "cooltwin/test/alarms/source_silent"]);
    let config = Config::new(&broker.url()).text("alarms.silence", "1s");
    let daemon = online(&config, &client);
    // R, which is required, is missing.
    client.publish("hvac/attic/sensors", r#"{"H": 10}"#);
    client.wait_on("hvac/attic/state");
    // An empty one at the start removes what an earlier run may have left.
    client
        .wait("the alarm", |message| message.topic.ends_with("source_silent") && !message.payload.is_empty());
    let verdict = ask_json(&daemon.config_file(), &["--timeout", PATIENT]);
    assert_eq!(verdict["health"]["units"]["bad"], 1);
    assert_eq!(verdict["health"]["alarms"]["standing"][0], "source_silent");
}

#[test]
fn a_daemon_that_was_stopped_or_has_died_is_offline() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    for signal in ["TERM", "KILL"] {
        client.clear();
        let mut daemon = online(&Config::new(&broker.url()), &client);
        daemon.signal(signal);
        daemon.wait_exit();
        client.wait_text(STATUS, "offline");
        assert_ill(
            &daemon.config_file(),
            &["--timeout", PATIENT],
            "offline",
            "test is offline at mqtt://127.0.0.1",
        );
    }
}

#[test]
fn an_offline_left_behind_is_not_believed_before_the_daemon_was_asked() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    let daemon = online(&Config::new(&broker.url()), &client);
    // As the broker holds it while a daemon that was started anew is still connecting.
    client.publish_retained(STATUS, "offline");
    client.flush();
    assert_eq!(ask_json(&daemon.config_file(), &["--timeout", PATIENT])["healthy"], true);
}

#[test]
fn a_daemon_that_hangs_does_not_answer() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    // Long enough for the broker not to notice meanwhile.
    let daemon = online(&Config::new(&broker.url()).text("mqtt.keep_alive", "10m"), &client);
    daemon.freeze();
    assert_ill(&daemon.config_file(), &["--timeout", SHORT], "no_answer", "does not answer within 2s");
    daemon.thaw();
    assert_eq!(ask_json(&daemon.config_file(), &["--timeout", PATIENT])["healthy"], true);
}

#[test]
fn a_question_is_not_kept_for_a_daemon_that_is_away() {
    let broker = Broker::start();
    let client =
        Client::connect(&broker, &[STATUS, "cooltwin/test/cmd/health/response", "cooltwin/test/health"]);
    let config = Config::new(&broker.url());
    let mut daemon = online(&config, &client);
    daemon.signal("TERM");
    daemon.wait_exit();
    client.wait_text(STATUS, "offline");
    assert_ill(&daemon.config_file(), &["--timeout", PATIENT], "offline", "see its log");
    client.clear();
    daemon.restart(&config);
    // The second heartbeat comes after whatever the broker had kept.
    for _ in 0..2 {
        client.wait_on("cooltwin/test/health");
        client.clear();
    }
    assert!(client.on("cooltwin/test/cmd/health/response").is_empty());
}

#[test]
fn a_broker_that_is_away_and_a_name_that_nobody_has() {
    let mut broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    let daemon = online(&Config::new(&broker.url()), &client);
    let file = daemon.config_file();
    let other = ["--timeout", SHORT, "--set", "instance.name=other"];
    assert_ill(&file, &other, "unknown", "no other has been at mqtt://127.0.0.1");
    broker.freeze();
    assert_ill(&file, &["--timeout", SHORT], "unreachable", "no answer within 2s");
    broker.thaw();
    broker.stop();
    assert_ill(&file, &["--timeout", PATIENT], "not_listening", "nothing listens there");
}

#[test]
fn it_logs_in_and_speaks_tls_as_the_daemon_does() {
    let authority = Authority::new();
    let broker = Broker::start_with_tls(&authority, true);
    let client = Client::connect(&broker, &[STATUS]);
    let identity = authority.issue("gateway");
    let config = Config::new(&broker.url())
        .path("mqtt.ca_file", &authority.certificate())
        .path("mqtt.client_cert_file", &identity.certificate)
        .path("mqtt.client_key_file", &identity.key);
    let daemon = online(&config, &client);
    assert_eq!(ask_json(&daemon.config_file(), &["--timeout", PATIENT])["healthy"], true);
    let stranger = Authority::new().certificate();
    let other = format!("mqtt.ca_file={}", stranger.display());
    // The file is gone with its authority: a setting that cannot be used.
    assert_eq!(ask(&daemon.config_file(), &["--set", &other]).0, Some(78));
    let stranger = Authority::new();
    let other = format!("mqtt.ca_file={}", stranger.certificate().display());
    assert_ill(&daemon.config_file(), &["--timeout", PATIENT, "--set", &other], "tls", "certificate");
}

#[test]
fn a_password_is_read_as_the_daemon_reads_it_and_not_told() {
    let broker = Broker::start_with_login("gateway", "hunter2hunter2");
    let client = Client::connect_with_login(&broker, &[STATUS], Some(("gateway", "hunter2hunter2")));
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "hunter2hunter2\n").unwrap();
    let config =
        Config::new(&broker.url()).text("mqtt.username", "gateway").path("mqtt.password_file", &password);
    let daemon = online(&config, &client);
    let (code, out, err) = ask(&daemon.config_file(), &["--timeout", PATIENT]);
    assert_eq!(code, Some(0), "{err}");
    assert!(!(out + &err).contains("hunter2"));
    std::fs::write(&password, "hunter3hunter3\n").unwrap();
    assert_ill(&daemon.config_file(), &["--timeout", PATIENT], "authentication", "mqtt.username");
}

#[test]
fn where_the_question_is_not_allowed_a_heartbeat_answers() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("acl");
    // The daemon may all; who asks has the same rights but for the question.
    std::fs::write(&list, "topic readwrite #\ntopic deny cooltwin/test/cmd/health\n").unwrap();
    let broker =
        Broker::start_with_settings(&format!("acl_file {}\nmax_queued_messages 100\n", list.display()));
    let client = Client::connect(&broker, &[STATUS, "cooltwin/test/cmd/health"]);
    let daemon = online(&Config::new(&broker.url()), &client);
    assert_eq!(ask_json(&daemon.config_file(), &["--timeout", PATIENT])["healthy"], true);
    assert!(client.on("cooltwin/test/cmd/health").is_empty(), "the question must have been kept away");
}

#[test]
fn what_is_wrong_with_the_question_itself() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    let daemon = online(&Config::new(&broker.url()), &client);
    let file = daemon.config_file();
    let (code, out, err) = ask(&file, &["--set", "mqtt.keep_alife=3s"]);
    assert_eq!((code, out.as_str()), (Some(78), ""));
    assert!(err.contains("did you mean mqtt.keep_alive?"), "{err}");
    assert_eq!(ask(&file, &["--timeout", "soon"]).0, Some(64));
    assert_eq!(ask(Path::new("/nonexistent/cooltwin.toml"), &[]).0, Some(78));
    // Who asks need not have the models.
    let without = ask_json(&file, &["--timeout", PATIENT, "--set", "bundle.path=/nonexistent"]);
    assert_eq!(without["healthy"], true);
}
