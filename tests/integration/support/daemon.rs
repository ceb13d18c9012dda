//! The daemon as systemd would run it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::notify::Notify;
use super::{eventually, program, signal, tiny_bundle};

/// A configuration under construction: values as TOML by `section.key`.
#[derive(Clone)]
pub(crate) struct Config {
    values: BTreeMap<String, String>,
    /// What stands behind them as it is: rules of sources.
    rules: String,
}

impl Config {
    /// The tiny bundle on a broker; everything that would make a test wait set short.
    pub(crate) fn new(url: &str) -> Self {
        Self { values: BTreeMap::new(), rules: String::new() }
            .text("instance.name", "test")
            .text("mqtt.url", url)
            .text("mqtt.keep_alive", "2s")
            .text("mqtt.reconnect_max", "1s")
            .text("health.interval", "500ms")
            .text("log.format", "text")
            // Two at a time could not have the same port.
            .set("http.enabled", "false")
            .path("bundle.path", &tiny_bundle())
    }

    /// Sets a value written as TOML.
    pub(crate) fn set(mut self, key: &str, toml: &str) -> Self {
        self.values.insert(key.to_owned(), toml.to_owned());
        self
    }

    /// Sets the rules of sources, as TOML.
    pub(crate) fn rules(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.rules);
        self
    }

    /// Sets a text.
    pub(crate) fn text(self, key: &str, text: &str) -> Self {
        self.set(key, &format!("{text:?}"))
    }

    /// Sets a path.
    pub(crate) fn path(self, key: &str, path: &Path) -> Self {
        self.text(key, path.to_str().unwrap())
    }

    /// The file.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let mut current = "";
        for (key, value) in &self.values {
            let (section, key) = key.split_once('.').unwrap();
            if section != current {
                writeln!(text, "[{section}]").unwrap();
                current = section;
            }
            writeln!(text, "{key} = {value}").unwrap();
        }
        text.push_str(&self.rules);
        text
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, self.render()).unwrap();
    }

    /// Serves HTTP on whichever port is free.
    pub(crate) fn http(self) -> Self {
        self.set("http.enabled", "true").text("http.listen", "127.0.0.1:0")
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with(&self, environment: &[(&str, &str)]) -> Daemon {
        self.start_with_all(environment, &[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with_all(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Daemon {
        self.start_inside(Vec::new(), environment, arguments)
    }

    /// The same with a command before it that runs it.
    pub(crate) fn start_inside(
        &self,
        prefix: Vec<String>,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Daemon {
        let mut daemon = self.prepare(prefix, environment, arguments);
        daemon.spawn();
        daemon.wait_ready(1);
        daemon
    }

    /// Starts the daemon inside a command and waits for its end.
    pub(crate) fn run_to_the_end(&self, prefix: Vec<String>) -> (Daemon, ExitStatus) {
        let mut daemon = self.prepare(prefix, &[], &[]);
        daemon.spawn();
        let status = daemon.wait_exit();
        (daemon, status)
    }

    fn prepare(&self, prefix: Vec<String>, environment: &[(&str, &str)], arguments: &[&str]) -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        self.write(&dir.path().join("cooltwin.toml"));
        Daemon {
            notify: Notify::listen(&dir.path().join("notify")),
            dir,
            child: None,
            log: Arc::default(),
            prefix,
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        }
    }
}

/// A running daemon, killed when dropped.
pub(crate) struct Daemon {
    dir: TempDir,
    child: Option<Child>,
    notify: Notify,
    log: Arc<Mutex<String>>,
    prefix: Vec<String>,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

fn collect(output: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

/// The command, run by another one, which must become it: signals go to the process that is started.
fn inside(prefix: &[String], program: Command) -> Command {
    let Some((first, rest)) = prefix.split_first() else { return program };
    let mut command = Command::new(first);
    command.args(rest).arg(program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(program.get_current_dir().unwrap());
    command
}

impl Daemon {
    fn spawn(&mut self) {
        let mut command: Command = inside(&self.prefix, program());
        command.arg("run").arg("--config").arg(self.config_file());
        command.args(&self.arguments);
        command.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        collect(child.stdout.take().unwrap(), self.log.clone());
        collect(child.stderr.take().unwrap(), self.log.clone());
        self.child = Some(child);
    }

    /// Waits until it has said that it is ready for the `count`-th time: each reload says so again.
    pub(crate) fn wait_ready(&mut self, count: usize) {
        eventually("READY=1", || {
            let child = self.child.as_mut().unwrap();
            assert!(
                child.try_wait().unwrap().is_none(),
                "the daemon has ended:\n{}",
                self.log.lock().unwrap()
            );
            (self.notify.lines().iter().filter(|line| *line == "READY=1").count() >= count).then_some(())
        });
    }

    /// The file it was started with.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.dir.path().join("cooltwin.toml")
    }

    /// All that it has told systemd, line by line.
    pub(crate) fn notified(&self) -> Vec<String> {
        self.notify.lines()
    }

    /// Waits for a line to systemd.
    pub(crate) fn wait_notified(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        eventually(what, || self.notify.lines().into_iter().find(|line| wanted(line)))
    }

    /// Waits until its log contains a text.
    pub(crate) fn wait_log(&self, text: &str) {
        eventually(&format!("`{text}` in the log"), || self.log().contains(text).then_some(()));
    }

    /// What it has logged, and printed if it has.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The port where it serves HTTP since it last said so.
    pub(crate) fn http_port(&self) -> u16 {
        eventually("HTTP", || {
            let log = self.log();
            let (_, address) = log.rsplit_once("HTTP is served on http://")?;
            address.lines().next()?.rsplit_once(':')?.1.parse().ok()
        })
    }

    /// Resident memory, in bytes.
    pub(crate) fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Stops it where it stands, as a machine without memory or a debugger does.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// Waits for its end.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        eventually("the daemon to end", || self.child.as_mut().unwrap().try_wait().unwrap())
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.wait_exit();
    }

    /// Starts it again after its end, with another configuration.
    pub(crate) fn restart(&mut self, config: &Config) {
        let before = self.notify.lines().iter().filter(|line| *line == "READY=1").count();
        config.write(&self.config_file());
        self.spawn();
        self.wait_ready(before + 1);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- the daemon's log\n{}--- told to systemd\n{}",
                self.log(),
                self.notified().join("\n")
            );
        }
    }
}
