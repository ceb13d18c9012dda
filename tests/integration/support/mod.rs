//! What the tests are made of: a broker, a daemon, a client, and patience.

mod broker;
mod certificates;
mod client;
mod daemon;
mod http;
mod journal;
mod namespace;
mod notify;
mod observer;
mod proxy;
mod site;
mod wire;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub(crate) use broker::Broker;
pub(crate) use certificates::Authority;
pub(crate) use client::{Client, Message};
pub(crate) use daemon::{Config, Daemon};
pub(crate) use http::{Answer, Http};
pub(crate) use journal::Journal;
pub(crate) use namespace::Namespace;
pub(crate) use observer::{Feeder, Observer, Tally};
pub(crate) use proxy::{Direction, Proxy, Rules};
pub(crate) use site::{Site, report, scaled};
pub(crate) use wire::{Wire, flood};

/// How long anything expected is waited for: far beyond what it takes on a machine busy with other work.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Polls until there is an answer.
///
/// # Panics
/// When there is none in [`PATIENCE`].
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The small hand-made bundle: sensors R (required), H, N, D; target T.
pub(crate) fn tiny_bundle() -> PathBuf {
    root().join("tests/bundles/tiny")
}

/// The bundle that is shipped.
pub(crate) fn reference_bundle() -> PathBuf {
    root().join("models/unit-cooler")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A frame for the tiny bundle with every sensor.
pub(crate) fn frame(r: f64) -> String {
    format!(r#"{{"R":{r},"H":10,"N":1000,"D":2}}"#)
}

/// The program under test, with no settings from the environment.
pub(crate) fn program() -> Command {
    // The long form of the fault suite drives a release build.
    let program = std::env::var_os("FAULTS_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_cooltwin").into());
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COOLTWIN_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .env_remove("WATCHDOG_USEC")
        .current_dir(root());
    command
}

/// Runs the program to its end.
pub(crate) fn cooltwin(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program can be run")
}

/// Sends a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    // `kill` is built into every shell; the program of that name is not on every machine.
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success(), "process {pid} is no more");
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
