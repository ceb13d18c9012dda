//! A network namespace with a cable to this one, which can be pulled.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes names and addresses of several namespaces of one process differ.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace, removed when dropped.
pub(crate) struct Namespace {
    name: String,
    /// This side's end of the cable; the other one has the same name with another ending.
    cable: String,
    net: String,
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
}

impl Namespace {
    /// `None` where the kernel or missing rights forbid it.
    pub(crate) fn make() -> Option<Self> {
        let number = std::process::id() % 60_000 + COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self {
            name: format!("cooltwin-{number}"),
            cable: format!("ct{number}"),
            // Addresses set aside for benchmarks of networks, which nobody uses.
            net: format!("198.18.{}", number % 250),
        };
        match namespace.set_up() {
            Ok(()) => Some(namespace),
            Err(reason) => {
                println!("{reason}");
                None
            }
        }
    }

    fn set_up(&self) -> Result<(), String> {
        let (here, there) = (format!("{}a", self.cable), format!("{}b", self.cable));
        ip(&["netns", "add", &self.name])?;
        ip(&["link", "add", &here, "type", "veth", "peer", "name", &there])?;
        ip(&["link", "set", &there, "netns", &self.name])?;
        ip(&["addr", "add", &format!("{}.1/24", self.net), "dev", &here])?;
        ip(&["link", "set", &here, "up"])?;
        ip(&["-n", &self.name, "addr", "add", &format!("{}.2/24", self.net), "dev", &there])?;
        ip(&["-n", &self.name, "link", "set", &there, "up"])
    }

    /// Address of this side.
    pub(crate) fn host(&self) -> String {
        format!("{}.1", self.net)
    }

    /// What to put before a command so that it runs inside.
    pub(crate) fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).to_vec()
    }

    /// Nothing passes any more.
    pub(crate) fn pull_cable(&self) {
        ip(&["link", "set", &format!("{}a", self.cable), "down"]).unwrap();
    }

    /// Everything passes again.
    pub(crate) fn plug_cable(&self) {
        ip(&["link", "set", &format!("{}a", self.cable), "up"]).unwrap();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cable's other end goes with it.
        let _ = ip(&["link", "del", &format!("{}a", self.cable)]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}
