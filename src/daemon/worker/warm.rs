//! Warm starts: taking up what was saved, and saving it again.

use tokio::time::Instant;
use tracing::{info, warn};

use super::Worker;
use crate::daemon::keeper::{Kept, Start};
use crate::daemon::logging::Event;
use crate::domain::{Alarm, AlarmId, Severity};
use crate::engine::Input;

impl Worker {
    /// Takes up what was saved, before anything is received. Never fails: the other way is a cold start.
    pub(super) fn warm_start(&mut self) {
        let now = self.wall.both();
        let start = self.keeper.load(&mut self.engine, now, &mut self.effects);
        self.outbox.accept(&mut self.effects);
        let file = self.keeper.file().map(|file| file.display().to_string()).unwrap_or_default();
        match start {
            Start::Off => {}
            Start::Nothing => info!("cold start: there is no saved state {file} yet"),
            Start::Warm(units) => info!(count = units, "warm start: {units} units go on from {file}"),
            Start::Cold(reason) => {
                warn!(event = %Event::StateNotUsed, "cold start: the saved state {file} is not used: {reason}");
            }
        }
        // What turned stale meanwhile is said at once.
        self.handle(now, Input::Tick);
    }

    /// Notes that it is time to save, or what became of it.
    pub(super) fn keep(&mut self, kept: Kept) {
        match kept {
            Kept::Due => self.keeper.is_due = true,
            Kept::Saved(result) => self.saved(result),
        }
    }

    /// Saves when it is time and the broker has everything: a state that has readings of which the predictions may
    /// yet be lost would call those readings late when they come again.
    pub(super) fn save_when_due(&mut self) {
        if self.keeper.is_due && self.outbox.unconfirmed() == 0 {
            self.keeper.is_due = false;
            self.keeper.begin(&self.engine, self.wall.both());
        }
    }

    /// Saves for the last time.
    pub(super) async fn save_at_stop(&mut self, deadline: Instant) {
        if self.keeper.file().is_none() {
            return;
        }
        if self.outbox.unconfirmed() > 0 {
            info!(
                "the state is not saved: the broker has not confirmed every prediction and its readings come again"
            );
            return;
        }
        let result = self.keeper.finish(&self.engine, self.wall.both(), deadline).await;
        self.saved(result);
    }

    fn saved(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.clear(AlarmId::StateNotSaved),
            Err(reason) => {
                let text = format!("the state for a warm start cannot be saved: {reason}");
                let remedy = "make room on the disk or make the folder writable for this user, or set state.warm_start = false";
                self.raise(&Alarm::new(AlarmId::StateNotSaved, Severity::Warning, &text, remedy));
            }
        }
    }
}
