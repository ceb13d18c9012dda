//! A stand-in for the journal. Its socket has a fixed name, so the daemon gets a file system of its own in which
//! ours lies there. Where none can be made, as in many containers, ours takes that name itself.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::eventually;

/// Longest datagram: a line of the log with its fields.
const MAX_DATAGRAM_BYTES: usize = 256 * 1024;
/// How long a look for more lines takes.
const LOOK: Duration = Duration::from_millis(50);

/// Where every program looks for the journal.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Only one stand-in at a time can have that name.
static NAME: Mutex<()> = Mutex::new(());
/// Has the daemon take its standard error to be connected to the journal.
const CONNECTED: &str = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";

/// Whether a file system of one's own can be made. Whoever is not root becomes it in a name space of users.
fn can_unshare() -> bool {
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/run"])
        .stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

/// What an entry of the journal holds. A field has one value here, as each of ours must.
pub(crate) type Entry = BTreeMap<String, String>;

/// Listens until dropped.
pub(crate) struct Journal {
    folder: TempDir,
    socket: UnixDatagram,
    entries: Vec<Entry>,
    /// Held while the socket has the name that every program knows.
    name: Option<MutexGuard<'static, ()>>,
}

impl Journal {
    pub(crate) fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = (!can_unshare()).then(|| NAME.lock().unwrap_or_else(PoisonError::into_inner));
        let socket = if name.is_some() {
            let place = Path::new(SOCKET);
            assert!(
                !place.exists(),
                "a journal runs here and unshare(1) may not make a file system beside it"
            );
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            UnixDatagram::bind(place).unwrap()
        } else {
            UnixDatagram::bind(folder.path().join("socket")).unwrap()
        };
        socket.set_read_timeout(Some(LOOK)).unwrap();
        Self { folder, socket, entries: Vec::new(), name }
    }

    /// What to put before a command so that it finds this journal, and takes its standard error to be connected to it.
    pub(crate) fn prefix(&self) -> Vec<String> {
        if self.name.is_some() {
            return ["sh", "-c", CONNECTED, "sh"].map(str::to_owned).to_vec();
        }
        let here = self.folder.path().display();
        let script = format!(
            "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
             mount --bind '{here}' /run/systemd/journal && {CONNECTED}"
        );
        let unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", &script, "sh"];
        unshare.map(str::to_owned).to_vec()
    }

    /// All entries so far.
    pub(crate) fn entries(&mut self) -> &[Entry] {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            // The first one only asks whether anybody listens.
            if length > 0 {
                self.entries.push(parse(&buffer[..length]));
            }
        }
        &self.entries
    }

    /// Waits for an entry with these values.
    pub(crate) fn wait(&mut self, wanted: &[(&str, &str)]) -> Entry {
        let has = |entry: &Entry| {
            wanted.iter().all(|(field, value)| entry.get(*field).is_some_and(|found| found == value))
        };
        eventually(&format!("{wanted:?} in the journal"), || self.entries().iter().find(|e| has(e)).cloned())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.name.is_some() {
            let _ = fs::remove_file(SOCKET);
        }
    }
}

/// Reads what is described in <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>: `NAME=value`, or the name on a line, the
/// length in eight bytes, and the value.
fn parse(mut bytes: &[u8]) -> Entry {
    let mut entry = Entry::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').expect("every line ends");
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let (name, value) = if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            bytes = rest;
            (&line[..equals], &line[equals + 1..])
        } else {
            let (length, rest) = rest.split_at(8);
            let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
            let (value, rest) = rest.split_at(length);
            assert_eq!(rest[0], b'\n');
            bytes = &rest[1..];
            (line, value)
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let name = text(name);
        let is_valid = name.chars().all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '_'))
            && name.starts_with(|c: char| c.is_ascii_uppercase());
        assert!(is_valid && name.len() <= 64, "the journal would drop the field {name}");
        assert!(entry.insert(name.clone(), text(value)).is_none(), "{name} stands there twice");
    }
    entry
}
