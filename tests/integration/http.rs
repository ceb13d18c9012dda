//! What the daemon answers over HTTP.

use serde_json::{Value, json};

use crate::documents;
use crate::support::{
    Answer, Broker, Client, Config, Daemon, Http, cooltwin, eventually, frame, reference_bundle, stdout,
};

/// A daemon at work that has predicted one unit, and a connection to it.
fn predicting() -> (Broker, Client, Daemon, Http) {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["cooltwin/test/status", "hvac/+/predictions"]);
    let daemon = Config::new(&broker.url()).http().start();
    client.predict_until_answered("attic");
    let http = Http::connect(daemon.http_port());
    (broker, client, daemon, http)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Field and reason of each violation.
fn violations(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (422, "application/problem+json"),
        "{answer:?}"
    );
    let list = answer.json()["violations"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.iter().map(|one| (text(&one["field"]), text(&one["reason"]))).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn health_and_what_probes_ask() {
    let (mut broker, _client, daemon, mut http) = predicting();
    let health = http.get("/health");
    assert_eq!(health.status, 200, "{health:?}");
    let health = health.json();
    assert_eq!((&health["status"], &health["reasons"]), (&json!("healthy"), &json!([])));
    // What clients of the original project look for.
    assert_eq!(
        (&health["model_loaded"], &health["models"], &health["models_loaded"]),
        (&json!(true), &json!(["T"]), &json!(["T"]))
    );
    assert_eq!(
        (&health["model_type"], &health["version"]),
        (&json!("onnx"), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(health["health"]["instance"], "test");
    for (path, word) in [("/live", "live"), ("/ready", "ready")] {
        let answer = http.get(path);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some(word)), "{path}");
    }
    broker.stop();
    daemon.wait_log("no connection to");
    let health = eventually("ill health", || Some(http.get("/health")).filter(|health| health.status == 503));
    assert_eq!(health.json()["status"], "unhealthy");
    assert_eq!(health.json()["reasons"].as_array().unwrap().len(), 1, "{health:?}");
    assert_eq!((http.get("/ready").status, http.get("/live").status), (503, 200));
    daemon.freeze();
    daemon.thaw();
    // Predictions over HTTP need no broker.
    assert_eq!(http.post("/predict", &frame(20.0)).status, 200);
}

#[test]
fn units_and_the_model() {
    let (_broker, client, _daemon, mut http) = predicting();
    client.publish("hvac/attic/sensors", r#"{"R":20,"H":10,"N":1000,"D":2,"T":25}"#);
    let unit = eventually("the measured value", || {
        let unit = http.get("/units/attic").json();
        unit["targets"][0]["measured"].is_number().then_some(unit)
    });
    assert_eq!((&unit["unit"], &unit["state"]), (&json!("attic"), &json!("predicting")));
    let target = &unit["targets"][0];
    let (predicted, residual) = (target["predicted"].as_f64().unwrap(), target["residual"].as_f64().unwrap());
    assert_eq!((&target["name"], target["measured"].as_f64().unwrap() - predicted), (&json!("T"), residual));
    let sensors: Vec<_> = unit["sensors"].as_array().unwrap().iter().map(|sensor| &sensor["name"]).collect();
    assert_eq!(sensors, ["R", "H", "N", "D"]);
    let first = &unit["sensors"][0];
    assert_eq!(
        (&first["status"], &first["value"], &first["accepted"]),
        (&json!("fresh"), &json!(20.0), &json!([-50.0, 100.0]))
    );
    let list = eventually("the list", || Some(http.get("/units").json()).filter(|list| list["count"] == 1));
    assert_eq!(list["units"][0]["unit"], "attic");
    assert!(list["units"][0].get("sensors").is_none());
    for unknown in ["/units/nobody", "/units/a%2Fb", "/units/%ff", "/nothing", "/units/", "/predict/batch/x"]
    {
        let answer = http.get(unknown);
        assert_eq!((answer.status, answer.json()["title"].as_str()), (404, Some("Not Found")), "{unknown}");
    }
    let model = http.get("/model").json();
    assert_eq!(
        (&model["id"], &model["version"], &model["targets"][0]["name"]),
        (&json!("tiny"), &json!("1"), &json!("T"))
    );
    assert_eq!(model["sensors"][0]["required"], true);
}

#[test]
fn predictions_on_request_are_those_of_the_street_to_the_bit() {
    let broker = Broker::start();
    let daemon = Config::new(&broker.url()).http().path("bundle.path", &reference_bundle()).start();
    let mut http = Http::connect(daemon.http_port());
    let rows =
        stdout(&cooltwin(&["simulate", "--seed", "7", "--rows", "40", "--step", "7m", "--format", "jsonl"]));
    let bundle = reference_bundle();
    let targets = ["UCAOT", "UCWOT", "UCAF"];
    let (mut samples, mut answers) = (Vec::new(), Vec::new());
    for row in rows.lines() {
        let row_of: Value = serde_json::from_str(row).unwrap();
        let mut sample = row_of["data"].clone();
        sample["timestamp"] = row_of["time"].clone();
        // Alone in a file, a frame is the first of its unit as well.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("one.jsonl");
        std::fs::write(&file, format!("{row}\n")).unwrap();
        let replayed =
            stdout(&cooltwin(&["predict", "--bundle", bundle.to_str().unwrap(), file.to_str().unwrap()]));
        let answer = http.post("/predict", &sample.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let replayed: Value = serde_json::from_str(&replayed).unwrap();
        for key in targets.into_iter().chain(["quality", "reasons", "residuals", "model"]) {
            assert_eq!(answer[key], replayed[key], "{key} of {row}");
        }
        assert!(answer["latency_ms"].as_f64().unwrap() > 0.0);
        assert_eq!(answer["model_version"], replayed["model"]["version"]);
        samples.push(sample);
        answers.push(answer);
        if samples.len() == 8 {
            break;
        }
    }
    let batch = http.post("/predict/batch", &json!({ "samples": samples }).to_string());
    assert_eq!(batch.status, 200, "{batch:?}");
    let batch = batch.json();
    assert_eq!(
        (&batch["count"], &batch["model_version"]),
        (&json!(samples.len()), &answers[0]["model_version"])
    );
    assert!(batch["latency_total_ms"].as_f64().unwrap() >= batch["latency_per_sample_ms"].as_f64().unwrap());
    let list = http.post("/predict/batch", &json!(samples).to_string()).json();
    assert_eq!(list, batch["predictions"]);
    for (one, alone) in list.as_array().unwrap().iter().zip(&answers) {
        for key in targets.into_iter().chain(["quality", "reasons", "residuals"]) {
            assert_eq!(one[key], alone[key]);
        }
    }
}

#[test]
fn all_features_by_name_are_a_row_of_the_matrix() {
    let broker = Broker::start();
    let daemon = Config::new(&broker.url()).http().path("bundle.path", &reference_bundle()).start();
    let mut http = Http::connect(daemon.http_port());
    let folder = tempfile::tempdir().unwrap();
    let (readings, matrix) = (folder.path().join("readings.csv"), folder.path().join("matrix.csv"));
    std::fs::write(&readings, stdout(&cooltwin(&["simulate", "--seed", "3", "--rows", "80"]))).unwrap();
    let bundle = reference_bundle();
    let bundle = bundle.to_str().unwrap();
    std::fs::write(&matrix, stdout(&cooltwin(&["features", "--bundle", bundle, readings.to_str().unwrap()])))
        .unwrap();
    let predicted =
        stdout(&cooltwin(&["predict", "--bundle", bundle, "--features", matrix.to_str().unwrap()]));
    let text = std::fs::read_to_string(&matrix).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let known = http.get("/model").json();
    let known: Vec<&str> = known["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| feature["name"].as_str().unwrap())
        .collect();
    assert_eq!(known.len(), 52);
    for (line, predicted) in lines.zip(predicted.lines()).step_by(20) {
        let cells = names.iter().zip(line.split(',')).filter(|(name, _)| known.contains(name));
        let cells =
            cells.map(|(name, cell)| format!("\"{name}\":{}", if cell.is_empty() { "null" } else { cell }));
        let answer = http.post("/predict", &format!("{{{}}}", cells.collect::<Vec<_>>().join(",")));
        assert_eq!(answer.status, 200, "{answer:?}");
        let predicted: Value = serde_json::from_str(predicted).unwrap();
        for target in ["UCAOT", "UCWOT", "UCAF"] {
            assert_eq!(answer.json()[target], predicted[target], "{line}");
        }
    }
    let partly = http.post("/predict", r#"{"UCAIT":25,"UCWF":0.5,"UCWIT":9,"Q_max_water":1}"#);
    let partly = violations(&partly);
    assert_eq!(partly.len(), 48);
    assert!(partly.iter().all(|(_, reason)| reason == "feature_missing"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let (_broker, _client, _daemon, mut http) = predicting();
    let all = r#"{"R":NaN,"H":1000,"N":"fast","D":1,"D":2,"Hh":1,"timestamp":"noon"}"#;
    let answer = http.post("/predict", all);
    let told = [
        ("R", "not_finite"),
        ("N", "not_a_number"),
        ("D", "duplicate"),
        ("Hh", "unknown"),
        ("timestamp", "not_a_time"),
        ("H", "out_of_range"),
    ];
    assert_eq!(violations(&answer), pairs(&told));
    let range = &answer.json()["violations"][5];
    assert_eq!(
        (&range["value"], &range["allowed"]),
        (&json!(1000), &json!({"min": -50.0, "max": 100.0, "unit": "degC"}))
    );
    assert!(range["message"].as_str().unwrap().contains("-50 to 100 degC"));
    assert_eq!(violations(&http.post("/predict", r#"{"H":1,"R":null}"#)), pairs(&[("R", "required")]));
    for huge in ["1e999", "-1e999", "Infinity", "-Infinity"] {
        assert_eq!(
            violations(&http.post("/predict", &format!("{{\"R\":{huge}}}"))),
            pairs(&[("R", "not_finite")]),
            "{huge}"
        );
    }
    for strange in ["true", "[1]", "{}", "\"1\""] {
        assert_eq!(
            violations(&http.post("/predict", &format!("{{\"R\":{strange}}}"))),
            pairs(&[("R", "not_a_number")]),
            "{strange}"
        );
    }
    let batch = http.post("/predict/batch", r#"{"samples":[{"R":1},{"R":1000},{"R":-1000}]}"#);
    assert_eq!(violations(&batch), pairs(&[("R", "out_of_range"), ("R", "out_of_range")]));
    assert_eq!(
        (&batch.json()["violations"][0]["sample"], &batch.json()["violations"][1]["sample"]),
        (&json!(1), &json!(2))
    );
    let many = format!("[{}]", vec!["{\"R\":1000}"; 300].join(","));
    let many = http.post("/predict/batch", &many).json();
    assert_eq!((many["violations"].as_array().unwrap().len(), &many["more"]), (100, &json!(200)));
    let no_json = ["", "{", "{\"R\":1}x", "{\"R\":01}", "\u{1}", "{'R':1}", "nothing"];
    for body in no_json {
        let answer = http.post("/predict", body);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, "application/problem+json"),
            "{body}"
        );
    }
    for other in ["1", "[]", "null", "\"x\""] {
        assert_eq!(http.post("/predict", other).status, 422, "{other}");
        assert_eq!(http.post("/predict/batch", other).status, 422, "{other}");
    }
    for other in
        [r#"{"samples":[]}"#, r#"{"samples":{}}"#, r#"{"samples":[1]}"#, r#"{"samples":[],"x":1}"#, "{}"]
    {
        assert_eq!(http.post("/predict/batch", other).status, 422, "{other}");
    }
}

#[test]
fn methods_kinds_and_pages() {
    let (_broker, _client, _daemon, mut http) = predicting();
    for (method, path, allow) in [
        ("POST", "/health", "GET, HEAD"),
        ("GET", "/predict", "POST"),
        ("DELETE", "/predict/batch", "POST"),
        ("PUT", "/units/x", "GET, HEAD"),
    ] {
        let answer = http.ask(method, path, &[], Some(""));
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{method} {path}");
    }
    for kind in ["", "Content-Type: text/plain"] {
        let headers = [kind].into_iter().filter(|kind| !kind.is_empty()).collect::<Vec<_>>();
        assert_eq!(http.ask("POST", "/predict", &headers, Some(&frame(1.0))).status, 415, "{kind}");
    }
    let head = http.ask("HEAD", "/health", &[], None);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let page = http.get("/docs");
    assert!(page.header("content-type").starts_with("text/html") && page.body.contains("openapi.json"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert!(!page.body.contains("http://") && !page.body.contains("https://") && page.body.len() < 30_000);
    let live = http.get("/");
    assert!(live.header("content-type").starts_with("text/html") && live.body.contains("page.js"));
    assert!(live.header("content-security-policy").contains("default-src 'self'"));
    let known = format!("If-None-Match: {}", live.header("etag"));
    assert_eq!(http.ask("HEAD", "/", &[&known], None).status, 304);
    let api = http.get("/openapi.json").json();
    assert_eq!(api["openapi"], "3.1.0");
    let paths = keys(&api["paths"]);
    for path in &paths {
        let is_post = path.starts_with("/predict");
        let probe = path.replace("{id}", "attic");
        if *path != "/events" {
            let answer = if is_post { http.post(&probe, "{}") } else { http.get(&probe) };
            assert_eq!(answer.status, if is_post { 422 } else { 200 }, "{path}");
        }
    }
    assert_eq!(paths.len(), 12);
    let example = &api["components"]["schemas"]["Readings"]["example"];
    let answer = http.post("/predict", &example.to_string());
    assert_eq!(answer.status, 200);
    let mut described = keys(&api["components"]["schemas"]["Prediction"]["properties"]);
    described.sort_unstable();
    let answer = answer.json();
    let mut answered = keys(&answer);
    answered.sort_unstable();
    assert_eq!(answered, described);
}

#[test]
fn what_is_published_can_be_watched() {
    let (_broker, client, _daemon, http) = predicting();
    let mut watching = http;
    watching.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let head = watching.answer(false).unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    let mut next = |wanted: &str| loop {
        let line = watching.line();
        if let Some(data) = line.strip_prefix("data: ") {
            let (name, document) = (wanted, serde_json::from_str::<Value>(data).unwrap());
            return (name.to_owned(), document);
        }
        if let Some(name) = line.strip_prefix("event: ")
            && name != wanted
        {
            // Another one: its data is not ours.
            watching.line();
        }
    };
    let (_, snapshot) = next("snapshot");
    assert_eq!(
        (&snapshot["units"]["units"][0]["unit"], &snapshot["health"]["instance"]),
        (&json!("attic"), &json!("test"))
    );
    client.publish("hvac/cellar/sensors", frame(20.0));
    let (_, state) = next("prediction");
    assert_eq!(
        (&state["topic"], &state["document"]["unit"]),
        (&json!("hvac/cellar/predictions"), &json!("cellar"))
    );
    let (_, health) = next("health");
    assert_eq!(health["topic"], "cooltwin/test/health");
    // As published over MQTT, to the letter of the same schemas.
    for (kind, document) in
        [("health", &snapshot["health"]), ("prediction", &state["document"]), ("health", &health["document"])]
    {
        assert_eq!(documents::fits(kind, document), Ok(()));
    }
}

#[test]
fn metrics_have_what_was_counted() {
    let (_broker, _client, _daemon, mut http) = predicting();
    assert_eq!(http.post("/predict", &frame(20.0)).status, 200);
    assert_eq!(http.post("/predict", "{}").status, 422);
    let metrics = http.get("/metrics");
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "cooltwin_http_requests_total{route=\"/predict\",code=\"200\"} 1",
        "cooltwin_http_requests_total{route=\"/predict\",code=\"422\"} 1",
        "cooltwin_http_request_duration_seconds_count{route=\"/predict\"} 2",
        "cooltwin_http_predictions_total 1",
        "cooltwin_http_connections 1",
        "cooltwin_broker_connected 1",
        "cooltwin_unit_quality{unit=\"attic\",quality=\"uncertain\"} 1",
    ] {
        assert!(metrics.body.lines().any(|known| known == line), "{line} is not in\n{}", metrics.body);
    }
    assert!(metrics.body.contains("cooltwin_predicted_value{unit=\"attic\",target=\"T\",measure=\"degC\"} "));
}
