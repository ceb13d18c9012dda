//! Keeps what the engine knows in a file, for a warm start.
//!
//! Nothing depends on the file: one that is missing, damaged, too old or of another bundle is a cold start with a
//! line in the log, and a folder that cannot be written to is an alarm and does no harm.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::clock;
use super::settings::StateSettings;
use crate::domain::{Effect, Now};
use crate::engine::Engine;
use crate::engine::snapshot::{MAX_SNAPSHOT_BYTES, Snapshot, Stamp};

/// Names the run of the machine; hidden from services with `ProcSubset=pid`.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The same, handed over by such a service.
const BOOT_ID_VARIABLE: &str = "COOLTWIN_BOOT_ID";

/// What became of the saved state at the start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing is kept, by the settings.
    Off,
    /// There is no file yet.
    Nothing,
    /// So many units go on.
    Warm(usize),
    /// The file is there and cannot be used, and why.
    Cold(String),
}

/// What wakes the worker.
#[derive(Debug)]
pub(super) enum Kept {
    /// It is time to save.
    Due,
    /// A save has ended.
    Saved(Result<(), String>),
}

/// The keeper of the file.
#[derive(Debug)]
pub(super) struct Keeper {
    file: Option<PathBuf>,
    due: Option<Interval>,
    saving: Option<JoinHandle<Result<(), String>>>,
    /// It is time to save, and the moment is waited for.
    pub(super) is_due: bool,
}

impl Keeper {
    /// A keeper for an instance. Touches nothing yet.
    pub(super) fn new(settings: &StateSettings, instance: &str) -> Self {
        let folder = settings.path.clone().or_else(state_directory).filter(|_| settings.warm_start);
        let file = folder.map(|folder| folder.join(format!("{instance}.state")));
        let is_regular = file.is_some() && !settings.interval.is_zero();
        let due = is_regular.then(|| {
            let mut due = tokio::time::interval_at(Instant::now() + settings.interval, settings.interval);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            due
        });
        Self { file, due, saving: None, is_due: false }
    }

    /// Goes on with other settings. What is being saved is awaited first, as two writers would share one temporary file;
    /// how it ends is of no interest any more.
    pub(super) fn replace(&mut self, new: Self) {
        let saving = self.saving.take().map(|saving| {
            tokio::spawn(async move {
                let _ = saving.await;
                Ok(())
            })
        });
        *self = Self { saving, ..new };
    }

    /// The file, if one is kept.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Hands the engine what was saved, if it can be believed.
    pub(super) fn load(&self, engine: &mut Engine, now: Now, effects: &mut Vec<Effect>) -> Start {
        let Some(file) = &self.file else { return Start::Off };
        let bytes = match read(file) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Start::Nothing,
            Err(error) => return Start::Cold(format!("it cannot be read: {error}")),
        };
        let taken_up = Snapshot::read(&bytes).map_err(|error| error.to_string()).and_then(|snapshot| {
            let ago = elapsed(&snapshot.stamp, &here(now))?;
            engine.restore(now, snapshot, ago, effects).map_err(|error| error.to_string())
        });
        taken_up.map_or_else(Start::Cold, Start::Warm)
    }

    /// Waits until there is something to do; for ever, when nothing is kept.
    pub(super) async fn wait(&mut self) -> Kept {
        if let Some(saving) = &mut self.saving {
            let result = saving.await.unwrap_or_else(|error| Err(format!("saving failed: {error}")));
            self.saving = None;
            return Kept::Saved(result);
        }
        match &mut self.due {
            Some(due) => {
                due.tick().await;
                Kept::Due
            }
            None => std::future::pending().await,
        }
    }

    /// Starts saving beside the worker, unless that is still going on.
    pub(super) fn begin(&mut self, engine: &Engine, now: Now) {
        if self.saving.is_some() {
            return;
        }
        if let Some((file, bytes)) = self.snapshot(engine, now) {
            self.saving = Some(tokio::task::spawn_blocking(move || save(&file, &bytes)));
        }
    }

    /// Saves and waits for it, until `deadline`: for the stop.
    ///
    /// # Errors
    /// Why it is not saved.
    pub(super) async fn finish(
        &mut self,
        engine: &Engine,
        now: Now,
        deadline: Instant,
    ) -> Result<(), String> {
        let late = |_| "the file system did not take it in time".to_owned();
        if let Some(saving) = self.saving.take() {
            // Two writers would share one temporary file.
            let _ = tokio::time::timeout_at(deadline, saving).await.map_err(late)?;
        }
        let Some((file, bytes)) = self.snapshot(engine, now) else { return Ok(()) };
        let saving = tokio::task::spawn_blocking(move || save(&file, &bytes));
        let result = tokio::time::timeout_at(deadline, saving).await.map_err(late)?;
        result.unwrap_or_else(|error| Err(format!("saving failed: {error}")))
    }

    fn snapshot(&self, engine: &Engine, now: Now) -> Option<(PathBuf, Vec<u8>)> {
        let file = self.file.clone()?;
        let (bytes, left_out) = engine.snapshot(&here(now), MAX_SNAPSHOT_BYTES)?;
        if left_out > 0 {
            tracing::warn!(
                count = left_out,
                "{left_out} units are too many for the saved state and will start cold"
            );
        }
        Some((file, bytes))
    }
}

/// The folder that systemd gives a service with `StateDirectory=`; the first of several.
fn state_directory() -> Option<PathBuf> {
    let folders = std::env::var_os("STATE_DIRECTORY")?;
    std::env::split_paths(&folders).next().filter(|folder| folder.is_absolute())
}

fn here(now: Now) -> Stamp {
    let told = std::env::var(BOOT_ID_VARIABLE).ok().filter(|id| !id.is_empty());
    let boot = told.or_else(|| fs::read_to_string(BOOT_ID).ok()).unwrap_or_default();
    Stamp { saved: now, boot: plain_id(&boot), is_synced: clock::is_synced() == Some(true) }
}

/// The kernel writes the id with hyphens, systemd without.
fn plain_id(id: &str) -> String {
    id.trim().replace('-', "")
}

/// How long ago something was saved: by the clock that never jumps while the machine has not been started anew, by
/// the wall clock where the network had set it both times. A clock that goes on from where it stood when the
/// machine was switched off would make what is days old look fresh.
fn elapsed(saved: &Stamp, here: &Stamp) -> Result<Duration, String> {
    let (then, now) = (saved.saved, here.saved);
    if !saved.boot.is_empty() && saved.boot == here.boot && now.monotonic >= then.monotonic {
        return Ok(now.monotonic.since(then.monotonic));
    }
    if !(saved.is_synced && here.is_synced) {
        return Err(
            "the machine may have been started since, and nobody says that its clock is right".to_owned()
        );
    }
    if now.wall < then.wall {
        return Err(format!("it is from {}, which is to come", then.wall));
    }
    Ok(now.wall.since(then.wall))
}

/// Reads the file; `None` when there is none. No more than a snapshot can have.
fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    opened.take(MAX_SNAPSHOT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes beside and renames: whenever the power fails, the old file or the new one is there, whole.
fn save(file: &Path, bytes: &[u8]) -> Result<(), String> {
    let beside = file.with_extension("state.new");
    let write = || -> io::Result<()> {
        let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        fs::rename(&beside, file)?;
        // The new name is safe only with its folder.
        file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(|error| {
        // Half a file on a full disk helps nobody.
        let _ = fs::remove_file(&beside);
        format!("{}: {error}", file.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Monotonic, Timestamp};

    fn stamp(wall_s: i64, monotonic_s: u64, boot: &str, is_synced: bool) -> Stamp {
        let saved = Now {
            wall: Timestamp::from_micros(wall_s * 1_000_000),
            monotonic: Monotonic(monotonic_s * 1_000_000),
        };
        Stamp { saved, boot: boot.to_owned(), is_synced }
    }

    #[test]
    fn time_since_is_told_by_a_clock_that_can_be_trusted_or_not_at_all() {
        let seconds = |saved, here| elapsed(&saved, &here).map(|ago| ago.as_secs()).ok();
        // The same run of the machine: the wall clock may do as it likes.
        assert_eq!(seconds(stamp(5_000, 10, "a", false), stamp(1_000, 40, "a", false)), Some(30));
        // Started anew: by the wall clock, where it was and is right.
        assert_eq!(seconds(stamp(5_000, 10, "a", true), stamp(5_090, 40, "b", true)), Some(90));
        assert_eq!(seconds(stamp(5_000, 10, "", true), stamp(5_090, 40, "", true)), Some(90));
        assert_eq!(seconds(stamp(5_000, 10, "a", true), stamp(5_090, 40, "b", false)), None);
        assert_eq!(seconds(stamp(5_000, 10, "a", false), stamp(5_090, 40, "b", true)), None);
        assert_eq!(seconds(stamp(5_000, 10, "a", true), stamp(4_999, 40, "b", true)), None);
        assert_eq!(seconds(stamp(5_000, 50, "a", false), stamp(5_090, 40, "a", false)), None);
    }

    #[test]
    fn the_machine_is_the_same_however_its_id_is_written() {
        let systemd = "0fc86e0d3b1d4e0a9b7c1f2e3d4c5b6a";
        assert_eq!(plain_id("0fc86e0d-3b1d-4e0a-9b7c-1f2e3d4c5b6a\n"), systemd);
        assert_eq!(plain_id(systemd), systemd);
    }

    #[test]
    fn files_are_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("main.state");
        assert_eq!(read(&file).unwrap(), None);
        save(&file, b"one").unwrap();
        save(&file, b"two").unwrap();
        assert_eq!(read(&file).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
        let nowhere = folder.path().join("absent/main.state");
        assert!(save(&nowhere, b"x").unwrap_err().contains("absent/main.state"));
        // A folder stands where the new file would: cannot be written, and the old one stays.
        fs::create_dir(folder.path().join("main.state.new")).unwrap();
        assert!(save(&file, b"three").is_err());
        assert_eq!(read(&file).unwrap().unwrap(), b"two");
    }

    #[test]
    fn a_full_disk_is_an_error_and_no_more() {
        // Writing to this device fails as on a full disk.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("main.state");
        std::os::unix::fs::symlink("/dev/full", folder.path().join("main.state.new")).unwrap();
        let error = save(&file, b"x").unwrap_err();
        assert!(error.contains("No space left"), "{error}");
        assert!(!file.exists());
    }
}
