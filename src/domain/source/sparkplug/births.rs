//! What BIRTH messages said: which metric an alias stands for, and of which data type it is.
//!
//! Held beside the rules, as messages change it and rules never change. Nothing of it outlives what could have made it
//! wrong: a BIRTH replaces it, a DEATH ends it, and where messages of a node were missed, a BIRTH may have been among
//! them. A wrong sensor is worse than none, so the aliases are then forgotten and the node is asked for another BIRTH.

use std::collections::HashMap;
use std::time::Duration;

use super::payload::Payload;
use super::topic::{Sender, Verb};
use crate::domain::effect::{Publish, PublishKind};
use crate::domain::reject::RejectReason;
use crate::domain::time::{Monotonic, Now};
use crate::domain::topic::MAX_TOPIC_BYTES;

/// Most nodes: four times the units that are held by default, and a node mostly has several.
pub const MAX_NODES: usize = 1024;
/// Most bytes of names, aliases and data types over all nodes: a hundred thousand metrics with names of forty letters.
pub const MAX_BIRTH_BYTES: usize = 8 * 1024 * 1024;
/// Shortest time between two requests to one node: all its metrics come with each answer.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
/// Longest one: it doubles as long as a request changes nothing, as with a node that takes no commands.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// Messages of a node are numbered modulo this.
const SEQUENCE: u64 = 256;
/// The metric that tells which DEATH belongs to which BIRTH.
const BIRTH_DEATH_NUMBER: &str = "bdSeq";

/// What one BIRTH said.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Names with data types, in the order of the names.
    metrics: Vec<(Box<str>, Option<u64>)>,
    /// Aliases with the place of their metric, ascending.
    aliases: Vec<(u64, usize)>,
    bytes: usize,
}

impl Table {
    fn new(payload: &Payload<'_>, room: usize) -> Result<Self, RejectReason> {
        let mut bytes = size_of::<(String, Self)>();
        let mut found = Vec::new();
        for metric in payload.metrics() {
            let Some(name) = metric.name else { continue };
            bytes += name.len() + size_of::<(Box<str>, Option<u64>)>() + size_of::<(u64, usize)>();
            if bytes > room {
                return Err(RejectReason::TooManyKeys);
            }
            found.push((name, metric.alias, metric.datatype));
        }
        found.sort_unstable();
        let aliases = found.iter().enumerate().filter_map(|(at, (_, alias, _))| Some(((*alias)?, at)));
        let mut aliases: Vec<_> = aliases.collect();
        aliases.sort_unstable();
        // One alias for two metrics: no telling which is meant.
        let same = |(one, _): &(u64, usize), (other, _): &(u64, usize)| one == other;
        let clear: Vec<_> = aliases
            .chunk_by(same)
            .filter_map(|same| if let [only] = same { Some(*only) } else { None })
            .collect();
        let metrics = found.into_iter().map(|(name, _, datatype)| (name.into(), datatype)).collect();
        Ok(Self { metrics, aliases: clear, bytes })
    }

    /// Name and data type of the metric that an alias stands for.
    pub(super) fn by_alias(&self, alias: u64) -> Option<(&str, Option<u64>)> {
        let at = self.aliases.binary_search_by_key(&alias, |(alias, _)| *alias).ok()?;
        let (_, metric) = self.aliases.get(at)?;
        self.metrics.get(*metric).map(|(name, datatype)| (name.as_ref(), *datatype))
    }

    /// Data type of the metric of a name.
    pub(super) fn datatype(&self, name: &str) -> Option<u64> {
        let at = self.metrics.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        self.metrics.get(at)?.1
    }
}

#[derive(Debug, Default)]
struct Node {
    /// Number of its last message.
    seq: Option<u64>,
    /// The number that tells its DEATH from those of earlier sessions.
    session: Option<u64>,
    own: Option<Table>,
    devices: HashMap<String, Table>,
    /// When it was last asked for its BIRTH.
    asked: Option<Monotonic>,
    /// How often in vain.
    asks: u32,
}

impl Node {
    fn bytes(&self) -> usize {
        self.own.iter().chain(self.devices.values()).map(|table| table.bytes).sum()
    }

    fn forget(&mut self) {
        self.own = None;
        self.devices = HashMap::new();
        self.session = None;
    }
}

/// What the BIRTHs of all nodes said.
#[derive(Debug, Default)]
pub struct Births {
    nodes: HashMap<String, Node>,
    /// Bytes of all tables.
    bytes: usize,
    /// Whether the message read last showed that a BIRTH is missing, and its rule wants that asked for.
    pub(in super::super) is_wanted: bool,
}

impl Births {
    /// Takes the number of a message. Gives whether messages of its node were missed before it.
    pub(super) fn follow(&mut self, name: &str, sender: &Sender<'_>, payload: &Payload<'_>) -> bool {
        // The will of a node has no number: the broker sends it.
        if (sender.verb, sender.device) == (Verb::Death, None) {
            return false;
        }
        let is_known = self.nodes.contains_key(name);
        if !is_known && (self.nodes.len() >= MAX_NODES || name.len() > MAX_TOPIC_BYTES) {
            return false;
        }
        let node = self.nodes.entry(name.to_owned()).or_default();
        let before = std::mem::replace(&mut node.seq, payload.seq);
        if (sender.verb, sender.device) == (Verb::Birth, None) {
            return false;
        }
        let (Some(before), Some(seq)) = (before, payload.seq) else { return false };
        // The same number again is the same message again: brokers may deliver twice.
        let is_missed = seq != before && seq != before.wrapping_add(1) % SEQUENCE;
        if is_missed {
            self.bytes -= node.bytes();
            node.forget();
        }
        is_missed
    }

    /// Takes a BIRTH. That of a node ends what its devices said before. Its names are kept if they are wanted.
    ///
    /// # Errors
    /// [`RejectReason::TooManyKeys`] where there is no room for it.
    pub(super) fn born(
        &mut self,
        name: &str,
        sender: &Sender<'_>,
        payload: &Payload<'_>,
        is_wanted: bool,
    ) -> Result<(), RejectReason> {
        let node = self.nodes.get_mut(name).ok_or(RejectReason::TooManyKeys)?;
        if let Some(device) = sender.device {
            self.bytes -= node.devices.remove(device).map_or(0, |table| table.bytes);
            let table = Table::new(payload, MAX_BIRTH_BYTES - self.bytes)?;
            self.bytes += table.bytes;
            node.devices.insert(device.to_owned(), table);
            return Ok(());
        }
        self.bytes -= node.bytes();
        node.forget();
        node.session = payload.count(BIRTH_DEATH_NUMBER);
        if is_wanted {
            let table = Table::new(payload, MAX_BIRTH_BYTES - self.bytes)?;
            self.bytes += table.bytes;
            node.own = Some(table);
        }
        Ok(())
    }

    /// Takes a DEATH, unless it is that of an earlier session, which brokers may send late.
    pub(super) fn died(&mut self, name: &str, sender: &Sender<'_>, payload: &Payload<'_>) {
        let Some(node) = self.nodes.get_mut(name) else { return };
        let session = payload.count(BIRTH_DEATH_NUMBER);
        match sender.device {
            Some(device) => self.bytes -= node.devices.remove(device).map_or(0, |table| table.bytes),
            None if node.session.is_some() && session.is_some() && node.session != session => {}
            None => {
                self.bytes -= node.bytes();
                node.forget();
                node.seq = None;
                // Kept only for what it was asked: a node that comes and goes must not be asked each time.
                if node.asked.is_none() {
                    self.nodes.remove(name);
                }
            }
        }
    }

    /// What the sender's BIRTH said.
    pub(super) fn table(&self, name: &str, sender: &Sender<'_>) -> Option<&Table> {
        let node = self.nodes.get(name)?;
        sender.device.map_or(node.own.as_ref(), |device| node.devices.get(device))
    }

    /// All of a message was understood: what was asked of its node has helped.
    pub(super) fn understood(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.asks = 0;
        }
    }

    /// No messages came for a while: whatever was said before may have been taken back.
    pub fn forget(&mut self) {
        self.bytes = 0;
        self.nodes.retain(|_, node| {
            node.forget();
            node.seq = None;
            node.asked.is_some()
        });
    }

    /// Whether a BIRTH is missing that would have explained the message read last, and may be asked for.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// The request for another BIRTH to the node that sends on `topic`, unless it was asked lately.
    pub fn ask(&mut self, topic: &str, now: Now) -> Option<Publish> {
        let sender = Sender::of(topic)?;
        let topic = sender.command_topic()?;
        let node = self.nodes.get_mut(&sender.node())?;
        let pause = FIRST_PAUSE.saturating_mul(1 << node.asks.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
        if node.asked.is_some_and(|asked| now.monotonic.since(asked) < pause) {
            return None;
        }
        node.asked = Some(now.monotonic);
        node.asks = node.asks.saturating_add(1);
        let millis = u64::try_from(now.wall.as_micros() / 1000).unwrap_or_default();
        let payload = super::rebirth_request(millis);
        Some(Publish { topic, payload, retain: false, kind: PublishKind::Request })
    }

    /// Bytes held; at most [`MAX_BIRTH_BYTES`] and [`MAX_NODES`] nodes without their tables.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.nodes.keys().map(|name| name.len() + size_of::<(String, Node)>()).sum::<usize>()
    }
}
