//! What the broker does not have yet.
//!
//! Every publish waits here until it is confirmed, so a lost connection loses nothing: the next one gets
//! everything unconfirmed again, in order. And an incoming message is acknowledged only when all that it
//! caused is confirmed, and all that was taken in before it. Knows no socket and no clock.
//!
//! Six classes, by what a late or lost message would cost. The higher goes first; within a class the order
//! holds:
//!
//! | class | what | when the link is slow or down |
//! |---|---|---|
//! | urgent | alarms, `online`/`offline` | held, the latest of each topic; never dropped |
//! | retained | unit states | held, the latest of each topic; never dropped |
//! | kept | predictions | held, all of them; when [`MAX_HELD`] is reached, intake stops |
//! | answer | answers to commands | in one queue with kept, but sent once: gone when the connection ends before the confirmation |
//! | announced | what Home Assistant is told | in one queue with kept, the next few when the last are confirmed; not held beyond the connection, as the engine tells it anew for the next; removals are held, and go with retained until they were sent once |
//! | fleeting | per-target numbers, health | the newer replaces the older of its topic; takes turns with kept |

mod entry;
mod fleeting;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::mqtt::{Command, Epoch, MAX_OUTGOING_BYTES, Outgoing, PublishId, WINDOW};
use crate::domain::{Effect, Publish, Token};
pub(super) use entry::{Drops, Sort};
use entry::{Entry, Latest, Progress};
use fleeting::{Fate, Fleeting};

/// Publishes held before intake stops: a few seconds of a busy site, or some minutes of a calm one.
pub(super) const MAX_HELD: usize = 8_192;
/// Bytes held before intake stops; a prediction document has about one kilobyte.
pub(super) const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;
/// Fixed part of a PUBLISH packet, at most.
const PACKET_OVERHEAD_BYTES: usize = 16;
/// Marks the ids of fleeting messages, which count by themselves.
const FLEETING_ID: PublishId = 1 << 63;

/// The outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// All but the fleeting ones, in the order in which they came.
    entries: VecDeque<Entry>,
    /// Id of the first entry; the others count on from it.
    first: PublishId,
    /// Those of the entries that wait and go before others, in their order.
    urgent: VecDeque<PublishId>,
    retained: VecDeque<PublishId>,
    /// Of the kept and announced entries those before this position were handed over on the present connection.
    handed_over: usize,
    fleeting: Fleeting,
    /// Fleeting ones handed over so far, on this connection and before it.
    fleeting_sent: u64,
    fleeting_sent_before: u64,
    /// Fleeting ones were left when all was handed over that may be.
    is_slow: bool,
    on_their_way: usize,
    bytes: usize,
    /// Announced ones that are not confirmed.
    announced: usize,
    /// Tokens with the id up to which everything must be confirmed first; ascending.
    waiting_acks: VecDeque<(Token, PublishId)>,
    due_acks: Vec<Token>,
    latest: BTreeMap<String, Latest>,
    epoch: Option<Epoch>,
    drops: Drops,
    confirmed: u64,
}

impl Outbox {
    /// Takes over what one `handle` call of the engine wants sent; other effects are left in `effects`.
    pub(super) fn accept(&mut self, effects: &mut Vec<Effect>) {
        effects.retain_mut(|effect| match effect {
            Effect::Publish(publish) => {
                let Publish { topic, payload, retain, kind } = publish;
                let (topic, payload) = (std::mem::take(topic), std::mem::take(payload));
                self.publish(topic, payload.into(), Sort::from(*kind), *retain);
                false
            }
            Effect::Acknowledge(token) => {
                // Behind everything held, also what this message did not cause: it may be the second coming of
                // one whose prediction waits here, and MQTT wants acknowledgements in the order of arrival.
                self.waiting_acks.push_back((*token, self.next_id()));
                false
            }
            Effect::UnitAppeared(_)
            | Effect::UnitEvicted(_)
            | Effect::AlarmRaised(..)
            | Effect::AlarmCleared(..) => true,
        });
        self.advance();
    }

    /// Has a message acknowledged of which nothing is to be awaited.
    pub(super) fn acknowledge(&mut self, token: Token) {
        self.due_acks.push(token);
    }

    /// Takes one message for sending.
    pub(super) fn publish(&mut self, topic: String, payload: Bytes, sort: Sort, retain: bool) {
        if topic.len() + payload.len() + PACKET_OVERHEAD_BYTES > MAX_OUTGOING_BYTES {
            self.drops.oversize += 1;
            return;
        }
        match sort {
            Sort::Fleeting => {
                self.pass(topic, payload);
                return;
            }
            Sort::Urgent | Sort::Retained | Sort::Announced => {
                if self.replace_waiting(&topic, &payload) {
                    return;
                }
                let latest = Latest { payload: payload.clone(), sort, waiting: Some(self.next_id()) };
                self.latest.insert(topic.clone(), latest);
            }
            Sort::Kept | Sort::Answer => {}
        }
        self.hold(topic, payload, sort, retain);
    }

    fn pass(&mut self, topic: String, payload: Bytes) {
        let is_offline = self.epoch.is_none();
        match self.fleeting.push(topic, payload, is_offline || self.is_slow) {
            Fate::Waits => {}
            Fate::Replaced if is_offline => self.drops.offline += 1,
            Fate::Replaced => self.drops.slow += 1,
            Fate::Displaced(count) => self.drops.full += count,
        }
    }

    /// Puts a newer payload into the entry that still waits for its turn, if there is one.
    fn replace_waiting(&mut self, topic: &str, payload: &Bytes) -> bool {
        let Some(latest) = self.latest.get_mut(topic) else { return false };
        latest.payload = payload.clone();
        let Some(id) = latest.waiting else { return false };
        let position = id.saturating_sub(self.first) as usize;
        let Some(entry) = self.entries.get_mut(position) else { return false };
        self.bytes = self.bytes + payload.len() - entry.payload.len();
        entry.payload = payload.clone();
        if entry.sort == Sort::Announced {
            // A removal takes its turn before the document that it replaces.
            self.queue(id);
        }
        true
    }

    fn hold(&mut self, topic: String, payload: Bytes, sort: Sort, retain: bool) {
        let id = self.next_id();
        self.announced += usize::from(sort == Sort::Announced);
        self.bytes += topic.len() + payload.len();
        self.entries.push_back(Entry {
            topic,
            payload,
            sort,
            retain,
            progress: Progress::Waiting,
            is_repeated: false,
            is_superseded: false,
        });
        self.queue(id);
    }

    /// Gives an entry that waits its turn before the kept ones, if it has one. What Home Assistant is told has none: a
    /// broker that closes the connection for it has then confirmed all predictions that were made before. Removals have
    /// one, once: they go before the states that are removed with them.
    fn queue(&mut self, id: PublishId) {
        let Some(position) = id.checked_sub(self.first) else { return };
        let Some(entry) = self.entries.get(position as usize) else { return };
        match entry.sort {
            Sort::Urgent => self.urgent.push_back(id),
            Sort::Retained => self.retained.push_back(id),
            Sort::Announced if entry.payload.is_empty() && !entry.is_repeated => self.retained.push_back(id),
            Sort::Announced | Sort::Kept | Sort::Answer | Sort::Fleeting => {}
        }
    }

    fn next_id(&self) -> PublishId {
        self.first + self.entries.len() as u64
    }

    /// A new connection: everything unconfirmed is due again, and every retained state.
    pub(super) fn connected(&mut self, epoch: Epoch) {
        self.disconnected();
        self.epoch = Some(epoch);
        self.fleeting_sent_before = self.fleeting_sent;
        let next = self.next_id();
        let mut again = Vec::new();
        for (topic, latest) in &mut self.latest {
            if latest.waiting.is_none() {
                latest.waiting = Some(next + again.len() as u64);
                again.push((topic.clone(), latest.payload.clone(), latest.sort));
            }
        }
        for (topic, payload, sort) in again {
            self.hold(topic, payload, sort, true);
        }
    }

    /// The connection is gone: what was on its way may or may not have arrived.
    pub(super) fn disconnected(&mut self) {
        self.epoch = None;
        self.handed_over = 0;
        self.on_their_way = 0;
        // The broker delivers again what was not acknowledged; the old tokens mean nothing to it.
        self.waiting_acks.clear();
        self.due_acks.clear();
        self.urgent.clear();
        self.retained.clear();
        let mut removals = Vec::new();
        for position in 0..self.entries.len() {
            let id = self.first + position as u64;
            let Some(entry) = self.entries.get_mut(position) else { break };
            if entry.progress == Progress::Confirmed {
                continue;
            }
            let was_sent = entry.progress == Progress::Sent;
            let is_spent = entry.sort == Sort::Answer && was_sent;
            let is_removal = entry.sort == Sort::Announced && entry.payload.is_empty();
            let is_told_again = entry.sort == Sort::Announced && !is_removal;
            if is_told_again {
                self.latest.remove(&entry.topic);
            }
            // The broker may have closed the connection for it: it is repeated behind all that waits now.
            let is_postponed = is_removal && was_sent && !entry.is_superseded;
            if is_postponed {
                removals.push(entry.topic.clone());
            }
            if entry.is_superseded || is_spent || is_told_again || is_postponed {
                self.drops.answers += u64::from(is_spent);
                self.announced = self.announced.saturating_sub(usize::from(entry.sort == Sort::Announced));
                self.bytes = self.bytes.saturating_sub(entry.forget());
                continue;
            }
            entry.is_repeated |= was_sent;
            entry.progress = Progress::Waiting;
            if let Some(latest) = self.latest.get_mut(&entry.topic)
                && entry.sort.is_retained()
            {
                // Of several the last one in order, which carries the latest payload.
                latest.waiting = Some(id);
            }
            self.queue(id);
        }
        for topic in removals {
            self.postpone(topic);
        }
        self.advance();
    }

    /// Has a removal sent again, as the last of all that waits.
    fn postpone(&mut self, topic: String) {
        let waiting = self.latest.get(&topic).and_then(|latest| latest.waiting);
        if waiting.is_some() {
            // Another removal of it, which is yet to be sent for the first time.
            return;
        }
        let latest = Latest { payload: Bytes::new(), sort: Sort::Announced, waiting: Some(self.next_id()) };
        self.latest.insert(topic.clone(), latest);
        self.hold(topic, Bytes::new(), Sort::Announced, true);
        // No turn before the kept ones this time.
        self.retained.pop_back();
        if let Some(entry) = self.entries.back_mut() {
            entry.is_repeated = true;
        }
    }

    /// The broker has this one, or it is on its way where no confirmation is asked for.
    pub(super) fn confirm(&mut self, id: PublishId) {
        if id & FLEETING_ID != 0 {
            // One of an earlier connection is not counted as on its way any more.
            if id & !FLEETING_ID >= self.fleeting_sent_before {
                self.on_their_way = self.on_their_way.saturating_sub(1);
                self.confirmed += 1;
            }
            return;
        }
        let Some(position) = id.checked_sub(self.first) else { return };
        let Some(entry) = self.entries.get_mut(position as usize) else { return };
        if entry.progress != Progress::Sent {
            return;
        }
        let is_retained = entry.sort.is_retained();
        self.announced = self.announced.saturating_sub(usize::from(entry.sort == Sort::Announced));
        let (topic, is_removal) = (std::mem::take(&mut entry.topic), entry.payload.is_empty());
        self.bytes = self.bytes.saturating_sub(topic.len() + entry.forget());
        self.on_their_way = self.on_their_way.saturating_sub(1);
        self.confirmed += 1;
        if is_retained {
            self.supersede(&topic, position as usize);
            let is_over = |latest: &Latest| {
                let is_told = latest.sort == Sort::Announced && latest.waiting.is_none();
                is_told || (is_removal && latest.payload.is_empty())
            };
            if self.latest.get(&topic).is_some_and(is_over) {
                // Removed at the broker, or made anew for the next connection; nothing to repeat.
                self.latest.remove(&topic);
            }
        }
        self.advance();
    }

    /// The broker has the retained entry at `position`: older ones of its topic that were sent before it must not come
    /// after it on another connection.
    fn supersede(&mut self, topic: &str, position: usize) {
        for older in self.entries.iter_mut().take(position) {
            older.is_superseded |= older.sort.is_retained() && older.topic == topic;
        }
    }

    /// Forgets the confirmed entries at the front and finds what may be acknowledged now.
    fn advance(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.progress == Progress::Confirmed) {
            self.entries.pop_front();
            self.first += 1;
            self.handed_over = self.handed_over.saturating_sub(1);
        }
        while let Some((token, until)) = self.waiting_acks.front().copied() {
            if until > self.first {
                break;
            }
            self.due_acks.push(token);
            self.waiting_acks.pop_front();
        }
    }

    /// Appends what the link may send now: acknowledgements, and publishes as far as the window allows.
    pub(super) fn pump(&mut self, commands: &mut Vec<Command>) {
        let Some(epoch) = self.epoch else { return };
        commands.extend(self.due_acks.drain(..).map(Command::Acknowledge));
        while self.on_their_way < WINDOW
            && let Some(id) = self.urgent.pop_front().or_else(|| self.retained.pop_front())
        {
            self.send(epoch, id, commands);
        }
        // In turns: numbers must not wait for ever behind documents on a link that is always behind.
        let mut is_done = false;
        while !is_done && self.on_their_way < WINDOW {
            let kept = self.next_kept();
            if let Some(id) = kept {
                self.send(epoch, id, commands);
            }
            let number = if self.on_their_way < WINDOW { self.fleeting.pop() } else { None };
            is_done = kept.is_none() && number.is_none();
            if let Some((topic, payload)) = number {
                self.on_their_way += 1;
                let id = FLEETING_ID | self.fleeting_sent;
                self.fleeting_sent += 1;
                commands.push(Command::Publish(Outgoing {
                    id,
                    epoch,
                    topic,
                    payload,
                    is_confirmed: false,
                    retain: false,
                    is_repeated: false,
                }));
            }
        }
        self.is_slow = !self.fleeting.is_empty();
    }

    /// The next kept or announced entry that waits.
    fn next_kept(&mut self) -> Option<PublishId> {
        while let Some(entry) = self.entries.get(self.handed_over) {
            self.handed_over += 1;
            let is_in_turn = matches!(entry.sort, Sort::Kept | Sort::Answer | Sort::Announced);
            if is_in_turn && entry.progress == Progress::Waiting {
                return Some(self.first + self.handed_over as u64 - 1);
            }
        }
        None
    }

    fn send(&mut self, epoch: Epoch, id: PublishId, commands: &mut Vec<Command>) {
        let Some(position) = id.checked_sub(self.first) else { return };
        let Some(entry) = self.entries.get_mut(position as usize) else { return };
        if entry.progress != Progress::Waiting {
            return;
        }
        entry.progress = Progress::Sent;
        self.on_their_way += 1;
        if entry.sort.is_retained()
            && let Some(latest) = self.latest.get_mut(&entry.topic)
            && latest.waiting == Some(id)
        {
            latest.waiting = None;
        }
        commands.push(Command::Publish(Outgoing {
            id,
            epoch,
            topic: entry.topic.clone(),
            payload: entry.payload.clone(),
            is_confirmed: true,
            retain: entry.retain,
            is_repeated: entry.is_repeated,
        }));
    }

    /// Whether so much is held that nothing more may be taken in.
    #[must_use]
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_HELD || self.bytes >= MAX_HELD_BYTES
    }

    /// Whether everything is confirmed and acknowledged.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.due_acks.is_empty()
            && self.fleeting.is_empty()
            && self.on_their_way == 0
    }

    /// Publishes held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.entries.len() + self.fleeting.len()
    }

    /// Publishes that must not be lost and that the broker has not confirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        let is_open = |entry: &&Entry| entry.sort == Sort::Kept && entry.progress != Progress::Confirmed;
        self.entries.iter().filter(is_open).count()
    }

    /// Whether something that Home Assistant is told is not confirmed yet.
    #[must_use]
    pub(super) fn is_announcing(&self) -> bool {
        self.announced > 0
    }

    /// Received messages of which the acknowledgement waits for confirmations.
    #[must_use]
    pub(super) fn unacknowledged(&self) -> usize {
        self.waiting_acks.len()
    }

    /// What was dropped.
    #[must_use]
    pub(super) fn drops(&self) -> Drops {
        self.drops
    }

    /// Publishes confirmed, or sent where no confirmation is asked for.
    #[must_use]
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }
}

#[cfg(test)]
mod tests;
