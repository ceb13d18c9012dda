//! The program as it is run: what goes in, what comes out, with which exit code.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// The program, started in the project's folder, where it finds the reference bundle.
fn cooltwin(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cooltwin"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = cooltwin(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A program that refuses its arguments does not read.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn fails(arguments: &[&str], input: &str, code: i32, part: &str) {
    let output = run(arguments, input);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(message.contains(part), "{arguments:?}: {message}");
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn exit_codes_say_what_is_wrong() {
    fails(&[], "", 64, "Usage: cooltwin <COMMAND>");
    fails(&["simulate", "--sede", "3"], "", 64, "--seed");
    fails(&["simulate", "--fault", "gremlins:1:0"], "", 64, "unknown fault kind `gremlins`");
    fails(&["simulate", "--units", "0"], "", 64, "units is 0");
    fails(&["predict", "--bundle", "src", "-"], "", 78, "no bundle.toml");
    fails(&["predict", "-"], "time,UCAIT\n2026-01-05T00:00:00Z,warm\n", 1, "line 2: column 2 (UCAIT)");
    fails(&["simulate", "--mqtt", "mqtt://127.0.0.1:1"], "", 1, "cannot connect to 127.0.0.1:1");
    assert!(run(&["--version"], "").status.success());
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_other_seeds_others() {
    let rows = |seed| stdout(&run(&["simulate", "--seed", seed, "--rows", "50", "--units", "2"], ""));
    assert_eq!(rows("7"), rows("7"));
    assert_ne!(rows("7"), rows("8"));
    assert_eq!(rows("7").lines().count(), 101);
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let mut child = cooltwin(&["simulate", "--rows", "1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first.starts_with("time,unit,"));
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn readings_and_the_matrix_made_of_them_predict_the_same_bits() {
    let arguments = ["simulate", "--rows", "120", "--units", "2", "--fault", "dropped-UCWF:0.4:20"];
    for form in ["csv", "jsonl"] {
        let readings = stdout(&run(&[&arguments[..], &["--format", form]].concat(), ""));
        let direct = lines(&stdout(&run(&["predict", "-"], &readings)));
        let matrix = stdout(&run(&["features", "-"], &readings));
        let by_matrix = lines(&stdout(&run(&["predict", "--features", "-"], &matrix)));
        assert_eq!(direct.len(), 240);
        assert_eq!(by_matrix.len(), 240);
        for (one, other) in direct.iter().zip(&by_matrix) {
            for field in ["time", "unit", "UCAOT", "UCWOT", "UCAF"] {
                assert_eq!(one[field], other[field], "{field}");
            }
        }
    }
}

#[test]
fn bench_reports_every_stage() {
    let report = stdout(&run(&["bench", "--runs", "1000", "--json"], ""));
    let report: Value = serde_json::from_str(&report).unwrap();
    let names: Vec<&str> =
        report["lines"].as_array().unwrap().iter().map(|line| line["name"].as_str().unwrap()).collect();
    let stages = ["readings into the state", "feature vector", "frame to prediction"];
    let models = ["ucaot.onnx", "ucwot.onnx", "ucaf.onnx", "all models"];
    assert_eq!(names, [&models[..], &stages[..]].concat());
    assert!(report["load_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_environment_forces_a_kernel() {
    let rows = stdout(&run(&["simulate", "--rows", "4"], ""));
    let predicted = |kernel: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &rows).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        cooltwin(&["predict", &path]).env("COOLTWIN_KERNEL", kernel).output().unwrap()
    };
    let fastest = stdout(&predicted("auto"));
    assert_eq!(fastest.lines().count(), 4);
    for kernel in ["reference", "walk", "quickscorer"] {
        assert_eq!(stdout(&predicted(kernel)), fastest, "{kernel}");
    }
    let refused = |kernel: &str, part: &str| {
        let output = predicted(kernel);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{message}");
        assert!(message.contains(part), "{message}");
    };
    refused(
        "fast",
        "COOLTWIN_KERNEL is to name a kernel, or auto for the fastest: there is no kernel `fast`",
    );
    let lacking = if cfg!(target_arch = "aarch64") { "quickscorer-avx2" } else { "quickscorer-neon" };
    refused(lacking, "does not fit: the processor has no");
}

/// A demo that prints JSON lines.
#[cfg(feature = "demo")]
fn demo(arguments: &[&str]) -> Child {
    let arguments = [&["demo", "--json"], arguments].concat();
    cooltwin(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_predicts_over_its_own_broker_and_shows_the_fault() {
    let output = demo(&["--units", "2", "--seconds", "5", "--speed", "600"]).wait_with_output().unwrap();
    let documents = lines(&stdout(&output));
    let first = documents.first().unwrap();
    assert!(first["truth"]["UCAF"].is_number() && first["fault"].is_null(), "{first}");
    let mean_residual = |unit: &str| {
        let faulty = documents.iter().rev().filter(|document| document["unit"] == unit).take(10);
        let residuals: Vec<f64> =
            faulty.map(|document| document["residuals"]["UCAF"].as_f64().unwrap()).collect();
        residuals.iter().sum::<f64>() / residuals.len() as f64
    };
    assert!(documents.iter().any(|document| document["fault"] == "clogged-filter:0.3"));
    assert!(mean_residual("cooler-02") < -100.0, "{}", mean_residual("cooler-02"));
    assert!(mean_residual("cooler-01").abs() < 50.0, "{}", mean_residual("cooler-01"));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("mosquitto_sub -h 127.0.0.1 -p "), "{message}");
    assert!(message.contains("live page: http://127.0.0.1:"), "{message}");
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_serves_the_live_page_with_its_units() {
    let mut child = demo(&["--units", "2"]);
    let mut told = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut told).unwrap();
    let address = told
        .split_once("live page: http://")
        .and_then(|(_, rest)| rest.split_once(';'))
        .unwrap()
        .0
        .to_owned();
    // The first prediction is there when its line is; all are read, so that the demo goes on.
    let mut predictions = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(predictions.next().unwrap().unwrap().starts_with('{'));
    let drain = std::thread::spawn(move || predictions.count());
    let get = |route: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {route} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert!(get("/").contains("<html"));
    let units: Value = serde_json::from_str(&get("/units")).unwrap();
    assert!(units["units"].as_array().unwrap().iter().any(|unit| unit["unit"] == "cooler-01"), "{units}");
    child.kill().unwrap();
    child.wait().unwrap();
    drain.join().unwrap();
}

#[cfg(feature = "demo")]
#[test]
fn the_demo_without_http_has_no_page() {
    let output = demo(&["--seconds", "2", "--no-http"]).wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("look in: ") && !message.contains("http://"), "{message}");
    stdout(&output);
}

#[cfg(feature = "demo")]
#[test]
fn interrupting_the_demo_ends_it_cleanly() {
    let mut child = demo(&[]);
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    assert!(first.starts_with('{'), "{first}");
    // The reader is kept open: the end must come from the signal.
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let drain = std::thread::spawn(move || reader.lines().count());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drain.join().unwrap();
}

#[test]
fn completions_and_manual_pages_come_from_the_command_line() {
    let script = stdout(&run(&["completions", "bash"], ""));
    assert!(script.contains("simulate") && script.contains("--seed"));
    let folder = tempfile::tempdir().unwrap();
    stdout(&run(&["man", folder.path().to_str().unwrap()], ""));
    for name in ["cooltwin.1", "cooltwin-run.1", "cooltwin-predict.1", "cooltwin-bench.1"] {
        let page = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(page.contains(".TH"), "{name}");
    }
}

/// The lines of `cooltwin check` that begin with a word, without it.
fn checked(word: &str, settings: &[&str]) -> Vec<String> {
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let text = stdout(&run(&[&["check"][..], &settings].concat(), ""));
    text.lines().filter_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned()).collect()
}

#[test]
fn check_tells_every_topic_that_is_subscribed_and_published() {
    let own = ["cooltwin/main/cmd/+", "cooltwin/main/probe"];
    assert_eq!(checked("subscribes:", &[]), [&["hvac/+/sensors", "hvac/+/sensors/+"][..], &own].concat());
    let units = ["hvac/{unit}/predictions", "hvac/{unit}/predictions/{target}", "hvac/{unit}/state"];
    let daemon = ["status", "health", "probe", "alarms/+", "cmd/+/response"]
        .map(|part| format!("cooltwin/main/{part}"));
    let published = checked("publishes:", &[]);
    assert_eq!(published[..3], units);
    assert_eq!(published[3], "hvac/{unit}/alarms/{alarm}");
    assert_eq!(published[4..], daemon);

    let all = [
        "home_assistant.enabled=true",
        "engine.target_flags=true",
        "seed.enabled=true",
        "mqtt.probe_interval=0s",
        "engine.target_topics=false",
    ];
    let subscribed = checked("subscribes:", &all);
    assert!(subscribed.contains(&"homeassistant/status".to_owned()), "{subscribed:?}");
    assert!(!subscribed.contains(&own[1].to_owned()), "{subscribed:?}");
    let published = checked("publishes:", &all);
    for topic in [
        "hvac/{unit}/predictions/{target}/flags",
        "homeassistant/device/+/config (home_assistant)",
        "hvac/predictions/results (seed)",
        "hvac/alerts/error (seed)",
        "hvac/status (seed)",
    ] {
        assert!(published.contains(&topic.to_owned()), "{topic}: {published:?}");
    }
    for topic in [units[1], own[1]] {
        assert!(!published.contains(&topic.to_owned()), "{topic}: {published:?}");
    }
}
