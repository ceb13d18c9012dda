//! Who may ask over HTTP, how much, and what a reload changes.

use std::fs;
use std::time::Duration;

use crate::support::{Broker, Client, Config, Http, cooltwin, eventually, frame, stderr};

const STATUS: &str = "cooltwin/test/status";
const TOKEN: &str = "correct-horse-battery";

#[test]
fn the_token_opens_what_only_health_probes_get_without() {
    let broker = Broker::start();
    let config = Config::new(&broker.url()).http().text("http.token", TOKEN).text("log.level", "trace");
    let daemon = config.start();
    let mut http = Http::connect(daemon.http_port());
    for open in ["/live", "/docs"] {
        assert_eq!(http.get(open).status, 200, "{open}");
    }
    for closed in
        ["/health", "/units", "/units/x", "/model", "/metrics", "/openapi.json", "/events", "/nothing"]
    {
        let answer = http.get(closed);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{closed}");
        assert!(!answer.body.contains(TOKEN));
    }
    let with = |http: &mut Http, token: &str| {
        http.ask("GET", "/model", &[&format!("Authorization: Bearer {token}")], None).status
    };
    assert_eq!((with(&mut http, TOKEN), with(&mut http, "correct-horse-batterx")), (200, 401));
    assert_eq!(http.post("/predict", &frame(1.0)).status, 401);
    // A reload takes another token at once, also for connections that stand.
    config.text("http.token", "another-horse-battery").write(&daemon.config_file());
    daemon.signal("HUP");
    daemon.wait_log("reloaded configuration");
    assert_eq!((with(&mut http, TOKEN), with(&mut http, "another-horse-battery")), (401, 200));
    let log = daemon.log();
    assert!(!log.contains(TOKEN) && !log.contains("another-horse"), "{log}");
}

#[test]
fn beyond_this_machine_a_token_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let check = |config: &Config| {
        config.write(&file);
        let output = cooltwin(&["check", "--config", file.to_str().unwrap()]);
        (output.status.code(), stderr(&output))
    };
    let config = Config::new("mqtt://127.0.0.1:1").http().text("http.listen", "0.0.0.0:0");
    let (code, told) = check(&config);
    assert!(
        code == Some(78) && told.contains("http.listen") && told.contains("set http.token_file"),
        "{told}"
    );
    let (code, told) = check(&config.text("http.token", TOKEN));
    assert!(code == Some(0) && told.contains("clear text") && !told.contains(TOKEN), "{told}");
}

#[test]
fn web_pages_cannot_ask_by_names_of_their_own() {
    let broker = Broker::start();
    let daemon = Config::new(&broker.url()).http().text("http.hosts", "twin.example").start();
    let mut http = Http::connect(daemon.http_port());
    let status = |http: &mut Http, headers: &[&str]| http.ask("GET", "/units", headers, None).status;
    assert_eq!(status(&mut http, &["Host: evil.example"]), 421);
    assert_eq!(status(&mut http, &["Host: twin.example:443"]), 200);
    assert_eq!(status(&mut http, &["Host: localhost", "Origin: http://evil.example"]), 403);
    let answer = http.ask("OPTIONS", "/predict", &["Origin: http://localhost"], Some(""));
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[test]
fn bodies_connections_and_times_are_bounded() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS]);
    let config = Config::new(&broker.url()).http();
    let config =
        config.set("http.max_body", "100_000").set("http.max_concurrent", "3").text("http.timeout", "1s");
    let daemon = config.start();
    client.wait_text(STATUS, "online");
    let port = daemon.http_port();
    // Said to be too long, and being it without saying so.
    let mut huge = Http::connect(port);
    assert_eq!(
        huge.ask("POST", "/predict", &["Content-Type: application/json", "Content-Length: 100001"], None)
            .status,
        413
    );
    let mut huge = Http::connect(port);
    huge.send(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"8000\r\n".to_vec(), vec![b' '; 0x8000], b"\r\n".to_vec()].concat();
    for _ in 0..4 {
        // It may be refused before its end.
        let _ = huge.send(&chunk);
    }
    assert_eq!(huge.answer(true).unwrap().status, 413);
    drop(huge);
    // A body that does not come, and a head that does not.
    let mut slow = Http::connect(port);
    slow.send(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{").unwrap();
    assert_eq!(slow.answer(true).unwrap().status, 408);
    let mut slow = Http::connect(port);
    slow.send(b"GET /health HTT").unwrap();
    assert!(slow.answer(true).is_none());
    // More connections than there may be.
    let mut open: Vec<Http> = eventually("three connections", || {
        let mut open: Vec<Http> = (0..3).map(|_| Http::connect(port)).collect();
        open.iter_mut().all(|http| http.get("/live").status == 200).then_some(open)
    });
    let refused = Http::connect(port).get("/live");
    assert_eq!(
        (refused.status, refused.header("retry-after"), refused.header("connection")),
        (503, "1", "close")
    );
    assert_eq!(open[0].get("/live").status, 200);
    drop(open);
    eventually("a free place", || (Http::connect(port).get("/live").status == 200).then_some(()));
    // None of that was heard of over MQTT.
    client.clear();
    assert!(client.on(STATUS).is_empty());
}

#[test]
fn a_head_without_end_is_refused() {
    let broker = Broker::start();
    let daemon = Config::new(&broker.url()).http().start();
    let mut http = Http::connect(daemon.http_port());
    let _ = http.send(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000)).as_bytes());
    assert_eq!(http.answer(false).map(|answer| answer.status), Some(431));
}

#[test]
fn a_port_that_is_taken_stops_nothing_else() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "cooltwin/test/health", "hvac/+/predictions"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = Config::new(&broker.url()).http().text("http.listen", &address);
    let daemon = config.start();
    client.predict_until_answered("attic");
    daemon.wait_notified("the status", |line| line.contains("HTTP is not served") && line.contains(&address));
    client.wait("the warning", |message| {
        message.topic == "cooltwin/test/health" && message.text().contains("HTTP is not served")
    });
    // Another address by a reload, and none.
    config.clone().http().write(&daemon.config_file());
    daemon.signal("HUP");
    let port = daemon.http_port();
    assert_eq!(Http::connect(port).get("/live").status, 200);
    eventually("no warning", || {
        let health = Http::connect(port).get("/health").json();
        health["health"]["warnings"].as_array().unwrap().is_empty().then_some(())
    });
    let mut standing = Http::connect(port);
    assert_eq!(standing.get("/live").status, 200);
    config.set("http.enabled", "false").write(&daemon.config_file());
    daemon.signal("HUP");
    eventually("nobody listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    assert!(standing.answer(true).is_none(), "the connection has ended too");
}

#[test]
fn after_a_reload_the_new_models_answer() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &[STATUS, "cooltwin/test/cmd/reload/response"]);
    let bundle = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(crate::support::tiny_bundle()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), bundle.path().join(entry.file_name())).unwrap();
    }
    let daemon = Config::new(&broker.url()).http().path("bundle.path", bundle.path()).start();
    client.wait_text(STATUS, "online");
    let mut http = Http::connect(daemon.http_port());
    assert_eq!(http.post("/predict", &frame(20.0)).json()["model_version"], "1");
    assert_eq!(http.post("/predict", r#"{"R":99}"#).status, 200);
    let manifest = bundle.path().join("bundle.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let text = text.replacen("version = \"1\"", "version = \"2\"", 1).replacen(
        "accept = [-50, 100]",
        "accept = [-50, 90]",
        1,
    );
    fs::write(&manifest, text).unwrap();
    client.publish("cooltwin/test/cmd/reload", "");
    client.wait("the reload", |message| {
        message.topic.ends_with("response") && message.text().contains("\"ok\":true")
    });
    assert_eq!(http.post("/predict", &frame(20.0)).json()["model_version"], "2");
    assert_eq!(http.post("/predict", r#"{"R":99}"#).status, 422);
    assert!(http.get("/openapi.json").body.contains("\"maximum\":90"));
}

#[test]
fn a_slow_reader_is_given_up() {
    let broker = Broker::start();
    let config = Config::new(&broker.url()).http().text("http.timeout", "1s").set("http.max_concurrent", "1");
    let daemon = config.start();
    let mut greedy = Http::connect(daemon.http_port());
    let samples = format!("[{}]", vec!["{\"R\":20}"; 4_000].join(","));
    let request = format!(
        "POST /predict/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{samples}",
        samples.len()
    );
    // Asks on and reads nothing, until nothing more is taken.
    let stuck = (0..200).any(|_| greedy.send(request.as_bytes()).is_err());
    std::thread::sleep(Duration::from_millis(10));
    assert!(stuck, "the connection takes everything");
    eventually("the place", || (Http::connect(daemon.http_port()).get("/live").status == 200).then_some(()));
}
