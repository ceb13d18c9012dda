//! `cooltwin watch` beside a daemon at work.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Broker, Client, Config, Daemon, eventually, frame, program, signal, stderr, stdout};

const STATUS: &str = "cooltwin/test/status";
/// Long enough for an answer on a loaded machine; nothing waits for it in vain.
const PATIENT: &str = "60";
/// For answers that do not come.
const SHORT: &str = "2";

/// Runs it to its end: exit code, standard output, standard error.
fn once(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = program().args(["watch", "--once"]).args(arguments).output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

fn config_of(daemon: &Daemon) -> String {
    daemon.config_file().to_str().unwrap().to_owned()
}

fn online(config: &Config, client: &Client) -> Daemon {
    let daemon = config.start();
    client.wait_text(STATUS, "online");
    daemon
}

/// One that goes on until it is ended, and what it has printed so far.
struct Watch {
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl Watch {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let printed = Arc::<Mutex<String>>::default();
        let (mut out, told) = (child.stdout.take().unwrap(), printed.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                told.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, printed }
    }

    fn lines(arguments: &[&str]) -> Self {
        let mut command = program();
        command.arg("watch").args(arguments);
        Self::start(command)
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Waits until something is printed that was not before the call.
    fn wait(&self, part: &str) {
        self.wait_after(0, part);
    }

    fn wait_after(&self, begin: usize, part: &str) {
        eventually(&format!("`{part}`"), || self.printed().get(begin..)?.contains(part).then_some(()));
    }

    fn end(mut self, name: &str) -> (Option<i32>, String) {
        signal(self.child.id(), name);
        let code = self.child.wait().unwrap().code();
        let mut complaints = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        (code, complaints)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- watch has printed\n{}", self.printed());
        }
    }
}

#[test]
fn once_tells_all_units_and_leaves_the_daemon_in_peace() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["#"]);
    let daemon = online(&Config::new(&broker.url()), &client);
    let file = config_of(&daemon);
    // Its numbers come with its next prediction, and it waits for that.
    client.predict_until_answered("attic");
    let feeding = std::thread::scope(|scope| {
        let watching = scope.spawn(|| once(&["-c", &file, "--timeout", PATIENT]));
        while !watching.is_finished() {
            client.publish("hvac/attic/sensors", frame(20.0));
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        watching.join().unwrap()
    });
    let (code, out, err) = feeding;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for part in [
        "cooltwin watch  test at mqtt://127.0.0.1:",
        "daemon    online, up ",
        "model tiny ",
        "attic uncertain",
    ] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    let row = out.lines().find(|line| line.starts_with("attic")).unwrap();
    assert!(row.contains("incomplete_history") || row.contains("outside_trained_range"), "{row}");
    assert!(
        out.lines().any(|line| line.trim_end().starts_with("unit  quality") && line.contains(" T ")),
        "{out}"
    );
    assert!(!out.contains('\x1b'));
    // All that was ever published by somebody else than the daemon and this test.
    let strange: Vec<_> = client
        .messages()
        .into_iter()
        .filter(|message| !message.topic.starts_with("hvac/attic/") && message.topic.contains("/cmd/"))
        .map(|message| message.topic)
        .collect();
    assert!(
        strange
            .iter()
            .all(|topic| topic == "cooltwin/test/cmd/health" || topic == "cooltwin/test/cmd/health/response")
    );
    assert!(!strange.is_empty());
    client.clear();
    let health = client.wait_on("cooltwin/test/health").json();
    assert_eq!(
        (&health["broker"]["connects"], &health["drops"]["command_refused"]),
        (&1.into(), &Value::Null)
    );
    assert!(broker.log().contains("as cooltwin-test-watch-"), "under an id of its own");
}

#[test]
fn once_in_json_for_one_unit() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/state", "hvac/+/predictions"]);
    let daemon = online(&Config::new(&broker.url()), &client);
    client.predict_until_answered("attic");
    // R, which is required, is missing.
    client.publish("hvac/cellar/sensors", r#"{"H": 10}"#);
    client.wait_on("hvac/cellar/state");
    let (code, out, err) =
        once(&["-c", &config_of(&daemon), "--timeout", SHORT, "--json", "--unit", "cell*"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let snapshot: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&snapshot["instance"], &snapshot["online"], &snapshot["problem"]),
        (&"test".into(), &true.into(), &Value::Null)
    );
    assert_eq!(snapshot["health"]["bundle"]["id"], "tiny");
    let units = snapshot["units"].as_array().unwrap();
    assert_eq!(
        (units.len(), &units[0]["unit"], &units[0]["quality"]),
        (1, &"cellar".into(), &"withheld".into())
    );
    assert_eq!(units[0]["reasons"][0], "required_missing:R");
}

#[test]
fn an_access_list_that_hides_the_units_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("acl");
    // As docs/install.md has it for the daemon, which need not read what it publishes.
    let own = "topic read hvac/+/sensors\ntopic write hvac/+/predictions\ntopic write hvac/+/predictions/+\ntopic write hvac/+/state\ntopic write hvac/+/alarms/+\n\
               topic readwrite cooltwin/test/#\n";
    std::fs::write(&list, format!("{own}topic write hvac/+/sensors\n")).unwrap();
    let broker = Broker::start_with_settings(&format!("acl_file {}\n", list.display()));
    let client = Client::connect(&broker, &[STATUS, "cooltwin/test/health"]);
    let daemon = online(&Config::new(&broker.url()), &client);
    eventually("a prediction", || {
        client.publish("hvac/attic/sensors", frame(20.0));
        client.on("cooltwin/test/health").last()?.json()["totals"]["predictions"]
            .as_u64()
            .filter(|count| *count > 0)
    });
    let (code, out, err) = once(&["-c", &config_of(&daemon), "--timeout", "3"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(err.contains("the daemon tells of 1 units and nothing of them comes"), "{err}");
    assert!(out.contains("online") && out.contains("no units yet"), "{out}");
}

#[test]
fn a_broker_that_closes_on_the_question_is_watched_by_heartbeats() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("acl");
    std::fs::write(&list, "topic readwrite #\ntopic deny cooltwin/test/cmd/health\n").unwrap();
    let broker = Broker::start_with_settings(&format!("acl_file {}\n", list.display()));
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions", "cooltwin/test/cmd/health"]);
    let daemon = online(&Config::new(&broker.url()), &client);
    let (code, out, err) = once(&["-c", &config_of(&daemon), "--timeout", PATIENT]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("daemon    online, up "), "{out}");
    let watch = Watch::lines(&["-c", &config_of(&daemon)]);
    watch.wait("broker connected; units: 0 good");
    client.predict_until_answered("attic");
    watch.wait("Z attic uncertain  T ");
    assert!(client.on("cooltwin/test/cmd/health").is_empty(), "the question must have been kept away");
}

#[test]
fn once_says_why_there_is_nothing_to_see() {
    let mut broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    let mut daemon = online(&Config::new(&broker.url()), &client);
    let file = config_of(&daemon);
    let fails = |arguments: &[&str], code: i32, part: &str| {
        let (found, out, err) = once(arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {out}{err}");
        assert!(err.contains(part), "{arguments:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
        out
    };
    fails(
        &["-c", &file, "--timeout", SHORT, "--set", "instance.name=other"],
        1,
        "no other has been at mqtt://127.0.0.1",
    );
    daemon.signal("TERM");
    daemon.wait_exit();
    client.wait_text(STATUS, "offline");
    fails(&["-c", &file, "--timeout", PATIENT], 1, "test is offline at mqtt://127.0.0.1");
    let json = fails(&["-c", &file, "--timeout", PATIENT, "--json"], 1, "test is offline");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["problem"], "offline");
    broker.stop();
    fails(&["-c", &file, "--timeout", PATIENT], 1, "nothing listens there");
    fails(&["-c", &file, "--set", "mqtt.keep_alife=3s"], 78, "did you mean mqtt.keep_alive?");
    fails(&["-c", "/nonexistent/cooltwin.toml"], 78, "/nonexistent/cooltwin.toml");
    fails(&["--url", "https://127.0.0.1"], 64, "TLS is not spoken here");
    let (code, _, err) = once(&["--url", "http://me:hush@127.0.0.1"]);
    assert!(code == Some(64) && !err.contains("hush") && err.contains("--token-file"), "{err}");
    fails(&["--url", "http://127.0.0.1:1", "-c", &file], 64, "cannot be used with");
    fails(&["--token-file", "/x"], 64, "--url");
    fails(&["--url", "http://127.0.0.1:1"], 1, "no connection to http://127.0.0.1:1");
    // A broker is listening there, and speaks another language.
    broker.restart();
    let url = format!("http://127.0.0.1:{}", broker.port());
    fails(&["--url", &url, "--timeout", SHORT], 1, &url);
}

#[test]
fn lines_go_on_over_a_broker_and_a_daemon_that_die() {
    let mut broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions"]);
    let config = Config::new(&broker.url());
    let mut daemon = online(&config, &client);
    let watch = Watch::lines(&["-c", &config_of(&daemon)]);
    watch.wait("Z test online\n");
    client.predict_until_answered("attic");
    watch.wait("Z attic uncertain  T ");
    broker.kill();
    watch.wait("NO CONNECTION to mqtt://127.0.0.1");
    let before = watch.printed().len();
    broker.restart();
    watch.wait_after(before, "watched at mqtt://127.0.0.1");
    client.wait_connects(2, 2);
    client.predict_until_answered("cellar");
    watch.wait_after(before, "Z cellar uncertain  T ");
    daemon.kill();
    watch.wait_after(before, "Z test OFFLINE: ");
    let offline = watch.printed().len();
    daemon.restart(&config);
    watch.wait_after(offline, "Z test online\n");
    let printed = watch.printed();
    assert!(!printed.contains('\x1b') && printed.lines().all(|line| line.starts_with("20")), "{printed}");
    assert_eq!(watch.end("TERM"), (Some(0), String::new()));
}

#[test]
fn lines_in_json_are_documents() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions"]);
    let daemon = online(&Config::new(&broker.url()), &client);
    let watch = Watch::lines(&["-c", &config_of(&daemon), "--json"]);
    watch.wait(r#""kind":"connected""#);
    client.predict_until_answered("attic");
    watch.wait(r#""kind":"prediction""#);
    watch.wait(r#""kind":"health""#);
    let printed = watch.printed();
    let complete = printed.rsplit_once('\n').unwrap().0;
    let prediction = complete
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|line| line["kind"] == "prediction")
        .unwrap();
    assert_eq!((&prediction["unit"], &prediction["document"]["unit"]), (&"attic".into(), &"attic".into()));
    assert!(prediction["document"]["T"].is_number());
    assert_eq!(watch.end("INT"), (Some(0), String::new()));
}

#[test]
fn over_http_with_a_token() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions"]);
    let mut daemon =
        online(&Config::new(&broker.url()).http().text("http.token", "0123456789abcdef0123"), &client);
    client.predict_until_answered("attic");
    let url = format!("http://127.0.0.1:{}", daemon.http_port());
    let (code, _, err) = once(&["--url", &url]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("a token is needed, or it is wrong: name its file with --token-file"), "{err}");
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123\n").unwrap();
    let with_token = ["--url", &url, "--token-file", token.to_str().unwrap()];
    let (code, out, err) = once(&with_token);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    // All numbers are there at once, with what they are measured in.
    let row = out.lines().find(|line| line.starts_with("attic uncertain")).unwrap();
    assert!(row.split_whitespace().nth(3).is_some_and(|number| number.parse::<f64>().is_ok()), "{row}");
    assert!(out.contains(&format!("cooltwin watch  test at {url}")) && out.contains("degC"), "{out}");
    let watch = Watch::lines(&with_token);
    watch.wait(&format!("watched at {url}"));
    client.predict_until_answered("cellar");
    watch.wait("Z cellar uncertain  T ");
    daemon.kill();
    watch.wait(&format!("NO CONNECTION to {url}"));
    assert_eq!(watch.end("TERM"), (Some(0), String::new()));
}

/// A terminal of its own: `script` belongs to every Debian (bsdutils). What is run is told by its file, so that no
/// quoting is in the way.
fn in_terminal(dir: &Path, config: &str, columns: u32, then: &str) -> Watch {
    let session = dir.join("session.sh");
    let watch = program();
    let text = format!(
        "set -m\nstty cols {columns} rows 24\nstty -g > before\n{} watch -c {config}\n{then}\necho \"ended with $?\"\nstty -g > after\n",
        watch.get_program().to_str().unwrap(),
    );
    std::fs::write(&session, text).unwrap();
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-f", "-c", "sh ./session.sh", "/dev/null"]);
    command.current_dir(dir).env("TERM", "xterm").env("SHELL", "/bin/sh").env_remove("NO_COLOR");
    Watch::start(command)
}

/// The terminal has the settings and the screen that it had.
fn assert_left_as_it_was(dir: &Path, watch: &Watch) {
    watch.wait("ended with 0");
    let read = |name: &str| {
        eventually(name, || std::fs::read_to_string(dir.join(name)).ok().filter(|text| !text.is_empty()))
    };
    assert_eq!(read("after"), read("before"));
    let printed = watch.printed();
    let (screen, rest) = printed.rsplit_once("\x1b[?7h\x1b[?25h\x1b[?1049l").unwrap();
    assert!(screen.contains("\x1b[?1049h\x1b[?25l\x1b[?7l"));
    assert!(rest.trim().starts_with("ended with 0"), "{rest:?}");
}

#[test]
fn a_terminal_is_drawn_on_and_left_as_it_was() {
    let mut broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "hvac/+/predictions"]);
    let daemon = online(&Config::new(&broker.url()), &client);
    let dir = tempfile::tempdir().unwrap();
    let mut watch = in_terminal(dir.path(), &config_of(&daemon), 100, "");
    watch.wait("connected for");
    client.predict_until_answered("attic");
    watch.wait("attic\x1b[0m \x1b[33muncertain");
    broker.kill();
    watch.wait("NO CONNECTION for");
    let lost = watch.printed().len();
    broker.restart();
    watch.wait_after(lost, "connected for");
    watch.child.stdin.as_mut().unwrap().write_all(b"q").unwrap();
    assert_left_as_it_was(dir.path(), &watch);
}

#[test]
fn it_can_be_suspended_and_goes_on() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    let daemon = online(&Config::new(&broker.url()), &client);
    let dir = tempfile::tempdir().unwrap();
    let then = "stty -g > meanwhile\necho suspended\nread go\nfg > /dev/null";
    let mut watch = in_terminal(dir.path(), &config_of(&daemon), 100, then);
    watch.wait("connected for");
    let press = |watch: &mut Watch, keys: &[u8]| watch.child.stdin.as_mut().unwrap().write_all(keys).unwrap();
    press(&mut watch, b"\x1a");
    watch.wait("suspended");
    let suspended = watch.printed().len();
    press(&mut watch, b"\n");
    watch.wait_after(suspended, "connected for");
    press(&mut watch, b"q");
    assert_left_as_it_was(dir.path(), &watch);
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("meanwhile"), read("before"));
}

#[test]
fn what_ends_it_from_outside_leaves_the_terminal_too() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    let daemon = online(&Config::new(&broker.url()), &client);
    let dir = tempfile::tempdir().unwrap();
    let watch = in_terminal(dir.path(), &config_of(&daemon), 40, "");
    watch.wait("connected for");
    let of_this = format!("watch -c {}", config_of(&daemon));
    let pid = processes()
        .into_iter()
        .find(|(_, line)| line.contains("cooltwin") && line.ends_with(&of_this))
        .unwrap()
        .0;
    signal(pid, "TERM");
    assert_left_as_it_was(dir.path(), &watch);
    // Lines of a narrow terminal are cut, not wrapped.
    let printed = watch.printed();
    let drawn = printed.rsplit("\x1b[H").next().unwrap().split("\x1b[J").next().unwrap();
    // Each part begins with a command, which ends with a letter.
    let after =
        |part: &str| part.split_once(char::is_alphabetic).map_or(String::new(), |(_, text)| text.to_owned());
    let plain: String = format!("[H{drawn}").split('\x1b').map(after).collect();
    let lines: Vec<&str> = plain.lines().collect();
    assert!(lines.len() >= 6 && lines.iter().all(|line| line.chars().count() <= 40), "{plain}");
    assert!(lines.iter().any(|line| line.ends_with('…')), "{plain}");
}

/// Ids and command lines.
fn processes() -> Vec<(u32, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let process = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        Some((pid, line.trim_end_matches('\0').replace('\0', " ")))
    };
    entries.filter_map(process).collect()
}
