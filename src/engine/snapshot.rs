//! What the engine knows, as bytes: saved at a stop and rarely while running, taken up again at the next start,
//! so that windows need not fill anew.
//!
//! The bytes hold a checksum, the bundle's hash and the time, and nothing of them is believed before it has been
//! checked. Predictions after taking them up equal, bit for bit, those of a daemon that never stopped; ages go
//! on over the stop.

mod bytes;

use std::time::Duration;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Engine;
use super::unit::{Unit, UnitTopics};
use crate::domain::state::grid_time;
use crate::domain::{Effect, Held, History, HistoryParts, Monotonic, Now, Timestamp, UnitId, UnitState};
use bytes::{Reader, put_number, put_text};

/// Longest snapshot, in bytes: some thousand units of the reference bundle. Units beyond it are not saved.
pub const MAX_SNAPSHOT_BYTES: usize = 32 * 1024 * 1024;
/// What a snapshot begins with; the last byte is the version of what follows.
const MAGIC: &[u8; 16] = b"cooltwin state\n\x01";
/// Bytes of the checksum behind it, SHA-256 over all that follows.
const DIGEST_BYTES: usize = 32;
/// Most predictions a unit can have made: what JSON tells exactly, and more than a million a second make in a century.
const MAX_SEQ: u64 = 1 << 53;
/// Longest text in a snapshot: a hash, the name of a boot or of a unit.
const MAX_TEXT_BYTES: usize = 128;

/// Why a snapshot is not taken up. The daemon then starts as if there were none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// It begins with something else.
    #[error("it is no saved state, or one of another version")]
    Unknown,
    /// Its checksum is wrong, or what it says cannot be.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It was saved with another bundle.
    #[error("it belongs to bundle {saved}, and {loaded} is loaded")]
    OtherBundle {
        /// First digits of the hash it was saved with.
        saved: String,
        /// First digits of the loaded one's.
        loaded: String,
    },
    /// Longer ago than the longest window.
    #[error("it is {age_s} s old, and the longest window has {window_s} s")]
    TooOld {
        /// Seconds since it was saved.
        age_s: u64,
        /// Seconds of the longest window.
        window_s: u64,
    },
}

/// When and where a snapshot was made, as far as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Time by both clocks.
    pub saved: Now,
    /// Which run of the machine, in words of the edge's choosing; empty when it does not know.
    pub boot: String,
    /// Whether the network had set the wall clock.
    pub is_synced: bool,
}

/// A snapshot that was read and found whole, but not yet taken up.
#[derive(Debug)]
pub struct Snapshot {
    /// When and where it was made.
    pub stamp: Stamp,
    bundle: String,
    units: Vec<SavedUnit>,
}

#[derive(Debug)]
struct SavedUnit {
    id: UnitId,
    seq: u64,
    /// How long ago, when it was saved: heard of, heard of live, evaluated.
    heard: Duration,
    live: Duration,
    evaluated: Option<Duration>,
    event_time: Option<Timestamp>,
    /// By channel: value, event time, age.
    held: Vec<Option<(f64, Timestamp, Duration)>>,
    history: HistoryParts,
}

impl Engine {
    /// Everything that is known of the units, as at most `most` bytes, and how many units did not fit in. `None` while the clock
    /// is not set: nobody could tell later how old it is.
    #[must_use]
    pub fn snapshot(&self, stamp: &Stamp, most: usize) -> Option<(Vec<u8>, usize)> {
        if stamp.saved.wall < self.settings.clock_floor {
            return None;
        }
        let mut body = Vec::new();
        put_text(&mut body, &self.bundle.identity.sha256);
        put_text(&mut body, &stamp.boot);
        put_number(&mut body, u64::from(stamp.is_synced));
        put_number(&mut body, stamp.saved.wall.as_micros() as u64);
        put_number(&mut body, stamp.saved.monotonic.0);
        let place_of_count = body.len();
        put_number(&mut body, 0);
        let mut saved = 0_u64;
        for (id, unit) in &self.units {
            let before = body.len();
            put_unit(&mut body, id, unit, stamp.saved);
            if MAGIC.len() + DIGEST_BYTES + body.len() > most {
                body.truncate(before);
                break;
            }
            saved += 1;
        }
        if let Some(count) = body.get_mut(place_of_count..place_of_count + 8) {
            count.copy_from_slice(&saved.to_le_bytes());
        }
        Some((sealed(&body), self.units.len() - saved as usize))
    }

    /// Takes up what was saved `ago`, into an engine that has heard of no unit yet. A [`super::Input::Tick`] should
    /// follow: it says which units can no longer be predicted. Gives the number of units.
    ///
    /// # Errors
    /// Why the snapshot is not taken up; the engine is then as before.
    pub fn restore(
        &mut self,
        now: Now,
        snapshot: Snapshot,
        ago: Duration,
        effects: &mut Vec<Effect>,
    ) -> Result<usize, SnapshotError> {
        let loaded = &self.bundle.identity.sha256;
        if snapshot.bundle != *loaded {
            let digits = |hash: &str| hash.chars().take(16).collect();
            return Err(SnapshotError::OtherBundle {
                saved: digits(&snapshot.bundle),
                loaded: digits(loaded),
            });
        }
        let program = self.bundle.evaluator.assembler.program();
        let window =
            program.step().saturating_mul(u32::try_from(program.history_shape().1).unwrap_or(u32::MAX));
        if ago > window {
            return Err(SnapshotError::TooOld { age_s: ago.as_secs(), window_s: window.as_secs() });
        }
        let units: Result<Vec<_>, _> =
            snapshot.units.into_iter().map(|saved| self.restored(now, saved, ago)).collect();
        let mut units = units?;
        // Where fewer are allowed than were saved, those heard of last, as at a reload.
        units.sort_by_key(|(_, unit)| std::cmp::Reverse(unit.last_heard));
        for (id, unit) in units.into_iter().take(self.settings.max_units) {
            self.sweep_unit(&id, effects);
            self.units.insert(id, unit);
        }
        Ok(self.units.len())
    }

    fn restored(&self, now: Now, saved: SavedUnit, ago: Duration) -> Result<(UnitId, Unit), SnapshotError> {
        let assembler = &self.bundle.evaluator.assembler;
        let blank = assembler.new_state();
        let (signals, capacity) = assembler.program().history_shape();
        if saved.held.len() != blank.held().len() {
            return Err(SnapshotError::Damaged("another number of channels"));
        }
        let is_usable = |channel: usize, value: f64| assembler.accept(channel, value).is_ok();
        let usable = saved
            .held
            .iter()
            .enumerate()
            .all(|(channel, held)| held.is_none_or(|held| is_usable(channel, held.0)));
        if !usable {
            return Err(SnapshotError::Damaged("a reading outside its sensor's range"));
        }
        let newest = grid_time(saved.history.newest, assembler.program().step());
        if saved.history.len > 0 && saved.event_time.is_none_or(|time| time < newest) {
            return Err(SnapshotError::Damaged("history after the newest reading"));
        }
        let history = History::restored(signals, capacity, &saved.history)
            .ok_or(SnapshotError::Damaged("history of another layout"))?;
        let arrived = now.monotonic;
        let held = saved.held.into_iter().map(|held| {
            let (value, event, age) = held?;
            Some(Held { value, event, arrived, age_at_arrival: age.saturating_add(ago) })
        });
        let state = UnitState::restored(held.collect(), history, saved.event_time);
        let topics = UnitTopics::new(&self.settings, &saved.id, self.bundle.targets());
        // The machine may have been started since: what is longer ago than that counts from its start.
        let back = |before: Duration| Monotonic(arrived.0.saturating_sub(micros(before.saturating_add(ago))));
        let mut unit = Unit::new(state, topics, back(saved.heard));
        unit.seq = saved.seq;
        unit.last_live = back(saved.live);
        unit.last_evaluated = saved.evaluated.map(back);
        // Due at once: what is required may have turned stale meanwhile.
        unit.stale_at = Some(now.monotonic);
        Ok((saved.id, unit))
    }
}

impl Snapshot {
    /// Reads a snapshot. Memory is bounded by the length of the bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let sealed = bytes.strip_prefix(MAGIC.as_slice()).ok_or(SnapshotError::Unknown)?;
        let (digest, body) =
            sealed.split_at_checked(DIGEST_BYTES).ok_or(SnapshotError::Damaged("cut off"))?;
        if Sha256::digest(body).as_slice() != digest {
            return Err(SnapshotError::Damaged("its checksum is wrong"));
        }
        let mut reader = Reader::new(body);
        let bundle = reader.text(MAX_TEXT_BYTES)?;
        let boot = reader.text(MAX_TEXT_BYTES)?;
        let is_synced = reader.number()? != 0;
        let wall = reader.time()?;
        let saved = Now { wall, monotonic: Monotonic(reader.number()?) };
        // Each unit has at least its name, so the count is bounded by the bytes that are left.
        let count = reader.count(8)?;
        let mut units = Vec::with_capacity(count);
        for _ in 0..count {
            units.push(read_unit(&mut reader)?);
        }
        if !reader.is_at_end() {
            return Err(SnapshotError::Damaged("more than it says"));
        }
        Ok(Self { stamp: Stamp { saved, boot, is_synced }, bundle, units })
    }
}

fn sealed(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + DIGEST_BYTES + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(Sha256::digest(body).as_slice());
    bytes.extend_from_slice(body);
    bytes
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn put_unit(out: &mut Vec<u8>, id: &UnitId, unit: &Unit, now: Now) {
    let ago = |at: Monotonic| micros(now.monotonic.since(at));
    put_text(out, id.as_str());
    put_number(out, unit.seq);
    put_number(out, ago(unit.last_heard));
    put_number(out, ago(unit.last_live));
    put_optional(out, unit.last_evaluated.map(ago));
    put_optional(out, unit.state.event_time().map(|time| time.as_micros() as u64));
    put_number(out, unit.state.held().len() as u64);
    for held in unit.state.held() {
        put_optional(out, held.map(|held| held.value.to_bits()));
        if let Some(held) = held {
            put_number(out, held.event.as_micros() as u64);
            put_number(out, micros(held.age(now)));
        }
    }
    let parts = unit.state.history.parts();
    put_number(out, parts.newest as u64);
    put_number(out, parts.len as u64);
    put_number(out, parts.changed.len() as u64);
    for sample in &parts.samples {
        put_number(out, sample.to_bits());
    }
    for ((value, since), unbroken) in parts.changed.iter().zip(&parts.unbroken) {
        put_number(out, value.to_bits());
        put_number(out, since.as_micros() as u64);
        put_number(out, *unbroken as u64);
    }
}

fn put_optional(out: &mut Vec<u8>, number: Option<u64>) {
    put_number(out, u64::from(number.is_some()));
    if let Some(number) = number {
        put_number(out, number);
    }
}

fn read_unit(reader: &mut Reader<'_>) -> Result<SavedUnit, SnapshotError> {
    let name = reader.text(MAX_TEXT_BYTES)?;
    let id = UnitId::new(&name).map_err(|_| SnapshotError::Damaged("a unit's name that is none"))?;
    let seq = reader.number()?;
    if seq > MAX_SEQ {
        return Err(SnapshotError::Damaged("more predictions than there can be"));
    }
    let (heard, live) = (reader.duration()?, reader.duration()?);
    let evaluated = reader.optional(Reader::duration)?;
    let event_time = reader.optional(Reader::time)?;
    let channels = reader.count(8)?;
    let mut held = Vec::with_capacity(channels);
    for _ in 0..channels {
        held.push(reader.optional(|reader| Ok((reader.float()?, reader.time()?, reader.duration()?)))?);
    }
    // The other way round a time would stand that no reading has.
    if event_time != held.iter().flatten().map(|(_, event, _)| *event).max() {
        return Err(SnapshotError::Damaged("times that do not fit together"));
    }
    let newest = reader.number()? as i64;
    let len = reader.count(0)?;
    let signals = reader.count(24)?;
    let samples = len.checked_mul(signals).filter(|samples| *samples <= reader.left() / 8);
    let samples = samples.ok_or(SnapshotError::Damaged("cut off"))?;
    let samples = (0..samples).map(|_| reader.sample()).collect::<Result<_, _>>()?;
    let (mut changed, mut unbroken) = (Vec::with_capacity(signals), Vec::with_capacity(signals));
    for _ in 0..signals {
        changed.push((reader.sample()?, reader.time()?));
        unbroken.push(reader.count(0)?);
    }
    let history = HistoryParts { newest, len, samples, changed, unbroken };
    Ok(SavedUnit { id, seq, heard, live, evaluated, event_time, held, history })
}
