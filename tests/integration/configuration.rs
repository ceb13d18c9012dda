//! Wrong configurations, bundles and command lines are refused at once, with every reason.

use std::fs;
use std::path::Path;

use crate::support::{Config, cooltwin, program, stderr, stdout, tiny_bundle};

/// Wrong configuration or bundle: starting again would not help.
const CONFIGURATION: Option<i32> = Some(78);
/// Wrong command line.
const USAGE: Option<i32> = Some(64);
/// A broker that nobody runs; none of these tests gets so far as to connect.
const NOWHERE: &str = "mqtt://127.0.0.1:1";

fn written(dir: &Path, config: &Config) -> String {
    let file = dir.join("cooltwin.toml");
    config.write(&file);
    file.to_str().unwrap().to_owned()
}

#[test]
fn every_mistake_is_reported_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Config::new(NOWHERE)
        .text("engine.setle", "1s")
        .text("engine.max_units", "many")
        .text("health.interval", "1 parsec")
        .set("mqtt.clean_session", "\"perhaps\"")
        .text("bundel.path", "x");
    let meaning = Config::new("http://broker")
        .text("instance.name", "a/b")
        .text("topics.frame", "hvac/sensors")
        .text("topics.prediction", "hvac/{unit}/sensors")
        .text("log.level", "verbose")
        .text("mqtt.password", "without a user")
        .text("bundle.path", "/nowhere/at/all");
    let expected: [(&Config, &[&str]); 2] = [
        (
            &keys,
            &[
                "engine.setle",
                "did you mean engine.settle?",
                "engine.max_units",
                "health.interval",
                "mqtt.clean_session",
                "bundel",
                "did you mean [bundle]?",
            ],
        ),
        (
            &meaning,
            &[
                "mqtt.url",
                "instance.name",
                "topics.frame",
                "log.level",
                "mqtt.username",
                "bundle.path",
                "/nowhere/at/all",
            ],
        ),
    ];
    for (config, expected) in expected {
        let file = written(dir.path(), config);
        for command in ["check", "run"] {
            let output = cooltwin(&[command, "--config", &file]);
            let said = stderr(&output);
            assert_eq!(output.status.code(), CONFIGURATION, "{command}: {said}");
            for text in expected {
                assert!(said.contains(text), "{command} does not say `{text}`:\n{said}");
            }
            assert!(!said.contains("without a user"), "{command} tells the password:\n{said}");
        }
    }
}

#[test]
fn a_file_that_is_no_toml_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cooltwin.toml");
    for content in [Some("[mqtt\nurl = 1"), None] {
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        for command in ["check", "run"] {
            let output = cooltwin(&[command, "--config", file.to_str().unwrap()]);
            assert_eq!(output.status.code(), CONFIGURATION, "{}", stderr(&output));
            assert!(stderr(&output).contains("cooltwin.toml"), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_good_configuration_passes_without_a_broker() {
    let dir = tempfile::tempdir().unwrap();
    let output = cooltwin(&["check", "--config", &written(dir.path(), &Config::new(NOWHERE))]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_environment_overrides_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), &Config::new(NOWHERE));
    let mut command = program();
    command.args(["check", "--config", &file]).env("COOLTWIN__ENGINE__MAX_UNITS", "0");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), CONFIGURATION);
    assert!(stderr(&output).contains("engine.max_units"), "{}", stderr(&output));
}

#[test]
fn the_printed_configuration_is_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let printed = cooltwin(&["config"]);
    assert!(printed.status.success());
    let file = dir.path().join("cooltwin.toml");
    fs::write(&file, &printed.stdout).unwrap();
    let bundle = tiny_bundle();
    let mut command = program();
    command.args(["check", "--config", file.to_str().unwrap()]).env("COOLTWIN__BUNDLE__PATH", bundle);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

/// A copy of the tiny bundle to be spoiled.
fn copied_bundle(dir: &Path) {
    for entry in fs::read_dir(tiny_bundle()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_damaged_bundle_is_refused() {
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 3] = [
        ("t.onnx", |dir| {
            let mut bytes = fs::read(dir.join("t.onnx")).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(dir.join("t.onnx"), bytes).unwrap();
        }),
        ("golden.jsonl", |dir| fs::remove_file(dir.join("golden.jsonl")).unwrap()),
        ("bundle.toml", |dir| {
            let text = fs::read_to_string(dir.join("bundle.toml")).unwrap();
            fs::write(dir.join("bundle.toml"), text.replace("R / D", "R / Q")).unwrap();
        }),
    ];
    for (file, spoil) in spoil {
        let dir = tempfile::tempdir().unwrap();
        copied_bundle(dir.path());
        spoil(dir.path());
        let config = written(dir.path(), &Config::new(NOWHERE).path("bundle.path", dir.path()));
        for command in ["check", "run"] {
            let output = cooltwin(&[command, "--config", &config]);
            assert_eq!(output.status.code(), CONFIGURATION, "{command} {file}: {}", stderr(&output));
            assert!(stderr(&output).contains(file), "{command} does not name {file}: {}", stderr(&output));
        }
    }
}

#[test]
fn a_wrong_command_line_is_wrong_usage() {
    for arguments in [&["run", "--nonsense"][..], &["fly"], &[], &["simulate", "--rows", "many"]] {
        let output = cooltwin(arguments);
        assert_eq!(output.status.code(), USAGE, "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).is_empty() && stdout(&output).is_empty(), "{arguments:?}");
    }
}
