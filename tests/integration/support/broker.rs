//! A mosquitto of one's own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Authority, eventually, signal};

/// Starts a port is tried for, should somebody else take it between finding and using it.
const ATTEMPTS: usize = 5;

/// A running mosquitto, stopped when dropped.
pub(crate) struct Broker {
    dir: TempDir,
    /// Where the tests' own clients connect.
    port: u16,
    /// Where TLS is spoken, if it is.
    tls_port: Option<u16>,
    /// Another address where it listens, with the port.
    elsewhere: Option<String>,
    child: Option<Child>,
}

impl Broker {
    /// Open to everybody on loopback, remembering nothing over a restart.
    pub(crate) fn start() -> Self {
        Self::start_with(false, |_| "allow_anonymous true\n".to_owned())
    }

    /// Asks for a user name and a password.
    pub(crate) fn start_with_login(user: &str, password: &str) -> Self {
        Self::start_with(false, |dir| {
            write_password(dir, user, password);
            format!("allow_anonymous false\npassword_file {}\n", dir.join("passwords").display())
        })
    }

    /// From its next start on, `user` is the only one and has this password.
    pub(crate) fn change_password(&self, user: &str, password: &str) {
        write_password(self.dir.path(), user, password);
    }

    /// Speaks TLS with a certificate of `authority`; with `clients_too` only to those who have one as well.
    pub(crate) fn start_with_tls(authority: &Authority, clients_too: bool) -> Self {
        let server = authority.issue("broker");
        Self::start_with(true, |_| {
            // Belongs to the listener that stands before it.
            format!(
                "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate {clients_too}\nallow_anonymous true\n",
                authority.certificate().display(),
                server.certificate.display(),
                server.key.display(),
            )
        })
    }

    /// Open to everybody, with settings of one's own. Queues for clients that are away are not bounded.
    pub(crate) fn start_with_settings(settings: &str) -> Self {
        Self::start_with(false, |_| format!("allow_anonymous true\nmax_queued_messages 0\n{settings}"))
    }

    /// The same, at another address of this machine as well.
    pub(crate) fn start_at(address: &str) -> Self {
        // The first listener's settings are global here, so another needs no more than its address.
        let port = free_port();
        let settings = format!("allow_anonymous true\nmax_queued_messages 0\nlistener {port} {address}\n");
        let mut broker = Self::start_with(false, |_| settings.clone());
        broker.elsewhere = Some(format!("{address}:{port}"));
        broker
    }

    /// The same, with a memory that outlives the process: saved at every change, or on [`Broker::save`].
    pub(crate) fn start_persistent(saves_changes: bool, settings: &str) -> Self {
        Self::start_with(false, |dir| {
            let autosave = if saves_changes { "autosave_on_changes true\nautosave_interval 1\n" } else { "" };
            format!(
                "allow_anonymous true\nmax_queued_messages 0\npersistence true\npersistence_location {}/\n\
                 {autosave}{settings}",
                dir.display()
            )
        })
    }

    fn start_with(is_tls: bool, settings: impl Fn(&Path) -> String) -> Self {
        for _ in 0..ATTEMPTS {
            let dir = tempfile::tempdir().unwrap();
            let (port, tls_port) = (free_port(), is_tls.then(free_port));
            // As root mosquitto would become another user, who may not read this folder.
            let settings = settings(dir.path());
            let log = if settings.contains("log_type") { "" } else { "log_type all\n" };
            let mut config = format!("user root\n{log}set_tcp_nodelay true\nlistener {port} 127.0.0.1\n");
            if let Some(tls_port) = tls_port {
                writeln!(config, "listener {tls_port} 127.0.0.1").unwrap();
            }
            config.push_str(&settings);
            fs::write(dir.path().join("mosquitto.conf"), config).unwrap();
            let mut broker = Self { dir, port, tls_port, elsewhere: None, child: None };
            if broker.spawn() {
                return broker;
            }
            eprintln!("the broker did not start on port {port}:\n{}", broker.log());
        }
        panic!("no broker could be started in {ATTEMPTS} attempts");
    }

    /// A port on which nobody listens yet; [`Broker::restart`] makes this broker appear on it.
    pub(crate) fn not_yet_started() -> Self {
        let mut broker = Self::start();
        broker.stop();
        broker
    }

    /// Starts the process; `false` when it ended at once.
    fn spawn(&mut self) -> bool {
        let starts = self.starts();
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut child = Command::new("mosquitto")
            .arg("-c")
            .arg(self.dir.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto is installed; tests/run.sh --setup does it");
        // It listens before it has read its certificates, so a connection proves nothing.
        let is_up = eventually("mosquitto to run", || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            (self.starts() > starts).then_some(true)
        });
        self.child = is_up.then_some(child);
        is_up
    }

    /// How often it has started, as its log tells.
    fn starts(&self) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains("mosquitto version") && line.ends_with("running"))
            .count()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("mosquitto.log")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Where it is, for a daemon.
    pub(crate) fn url(&self) -> String {
        match (self.tls_port, &self.elsewhere) {
            // The certificates are for the name.
            (Some(port), _) => format!("mqtts://localhost:{port}"),
            (None, Some(address)) => format!("mqtt://{address}"),
            (None, None) => format!("mqtt://127.0.0.1:{}", self.port),
        }
    }

    /// Its port on 127.0.0.1 without TLS.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("the broker runs").id()
    }

    /// Ends it in an orderly way, as `systemctl stop` does.
    pub(crate) fn stop(&mut self) {
        signal(self.pid(), "TERM");
        self.child.take().unwrap().wait().unwrap();
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        eventually("the broker's port to be free again", || self.spawn().then_some(()));
    }

    /// Writes what it remembers to disk, where a kill does not reach it. Needs [`Broker::start_persistent`].
    pub(crate) fn save(&self) {
        let file = self.dir.path().join("mosquitto.db");
        let written = || fs::metadata(&file).and_then(|data| data.modified()).ok();
        let before = written();
        signal(self.pid(), "USR1");
        eventually("the broker's memory on disk", || (written() > before).then_some(()));
    }

    /// Has it read its access list and passwords again.
    pub(crate) fn reload(&self) {
        signal(self.pid(), "HUP");
    }

    /// Freezes it: connections stay open, nothing answers.
    pub(crate) fn freeze(&self) {
        signal(self.pid(), "STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal(self.pid(), "CONT");
    }
}

fn write_password(dir: &Path, user: &str, password: &str) {
    let status = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .args([dir.join("passwords").as_os_str(), user.as_ref(), password.as_ref()])
        .status()
        .expect("mosquitto_passwd is installed");
    assert!(status.success());
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the broker's last lines");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
