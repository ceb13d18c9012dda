//! Tells Home Assistant what there is: one retained document a device, by its MQTT device discovery.
//!
//! The documents are made anew from what the engine knows whenever they are to be told, so that none is held: at every
//! connection, after a reload, for a unit that appears, and when Home Assistant says that it has started. They go
//! out a few at a time, the daemon's own device first, as the units refer to it; the next ones only when the broker has
//! confirmed the last ones.

mod device;
mod names;

use std::time::Duration;

use super::Engine;
use crate::domain::{Effect, Monotonic, Now, Publish, PublishKind, Token, UnitId};
pub(super) use device::Component;
pub use names::{daemon as device_of_daemon, unit as device_of_unit};

/// Documents sent at once. One has about 3 KB with the reference bundle: a burst of 50 KB delays a prediction behind it by
/// some milliseconds on a slow network.
const BATCH: usize = 16;
/// Pause until the next ones: 256 units are told in less than two seconds.
const PAUSE: Duration = Duration::from_millis(100);
/// Shortest pause between Home Assistant's start and the documents: it subscribes to them after it has said so.
const BIRTH_PAUSE: Duration = Duration::from_millis(500);
/// Further pause, by the instance's name, so that many daemons do not answer at the same moment; in milliseconds.
const BIRTH_SPREAD: u64 = 3_000;
/// What Home Assistant says on its birth topic when it has started.
const BIRTH: &[u8] = b"online";
/// Most components of earlier bundles that are remembered as gone: the largest bundle swapped twice for another.
const MAX_RETIRED: usize = 512;

/// What is to be known of Home Assistant, and of the daemon that it is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistant {
    /// First level of its discovery topics.
    pub prefix: String,
    /// Where it says that it has started.
    pub birth_topic: String,
    /// Values of predictions older than this count as unknown; zero for never.
    pub expire_after: Duration,
    /// The daemon's name.
    pub instance: String,
    /// Where the daemon says that it is there.
    pub status_topic: String,
    /// The daemon's heartbeat.
    pub health_topic: String,
    /// How often it comes.
    pub health_interval: Duration,
}

impl HomeAssistant {
    /// The filter of everything that is published for it.
    #[must_use]
    pub fn filter(&self) -> String {
        format!("{}/device/+/config", self.prefix)
    }

    fn topic(&self, device: &str) -> String {
        format!("{}/device/{device}/config", self.prefix)
    }

    /// How long after Home Assistant's start it is told: always the same for one daemon.
    fn birth_pause(&self) -> Duration {
        // FNV-1a: a hash that is the same in every build.
        let hash = self.instance.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        BIRTH_PAUSE + Duration::from_millis(hash % BIRTH_SPREAD)
    }
}

/// What is still to be told.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    /// When the next documents are due; nothing is to be told without.
    due: Option<Monotonic>,
    /// Whether the daemon's own device has been told since all was to be told.
    has_daemon: bool,
    /// Whether what was told last is still on its way to the broker.
    is_held: bool,
    /// Topics of devices that are gone with the settings that they were told under.
    withdrawn: Vec<String>,
    /// Components of devices that are gone with the bundle that they came from.
    retired: Vec<Component>,
}

impl Engine {
    /// Takes the message if it is Home Assistant's: it has started and is to be told everything again. What the broker has
    /// kept of an earlier start says nothing: whoever connects tells everything anyway.
    pub(super) fn is_birth(
        &mut self,
        now: Now,
        topic: &str,
        payload: &[u8],
        (retained, token): (bool, Option<Token>),
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(home_assistant) = &self.settings.home_assistant else { return false };
        if home_assistant.birth_topic != topic {
            return false;
        }
        let at = now.monotonic.plus(home_assistant.birth_pause());
        if payload == BIRTH && !retained {
            self.announce_all(at);
        }
        effects.extend(token.map(Effect::Acknowledge));
        true
    }

    /// Has everything told, again, from a moment on.
    pub(super) fn announce_all(&mut self, at: Monotonic) {
        self.discovery.has_daemon = false;
        for unit in self.units.values_mut() {
            unit.is_announced = false;
        }
        self.announce_from(at);
    }

    /// Has what is new told from a moment on, if it is not under way already.
    pub(super) fn announce_from(&mut self, at: Monotonic) {
        if self.settings.home_assistant.is_some() {
            self.discovery.due = Some(self.discovery.due.map_or(at, |due| due.min(at)));
        }
    }

    /// Holds the next documents back, or lets them go: the broker is to have confirmed the last ones first, so that a slow
    /// link has room for predictions between them. Said before a [`super::Input::Tick`]; removals are never held back.
    pub fn hold_discovery(&mut self, is_held: bool) {
        self.discovery.is_held = is_held;
    }

    /// When the next documents are due. While messages cannot go out only removals are: the outbox keeps those.
    pub(super) fn discovery_deadline(&self) -> Option<Monotonic> {
        let can_tell = self.can_tell() || !self.discovery.withdrawn.is_empty();
        self.discovery.due.filter(|_| can_tell)
    }

    fn can_tell(&self) -> bool {
        self.open_since.is_some() && !self.discovery.is_held
    }

    /// Tells what is due.
    pub(super) fn announce(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.discovery_deadline().is_none_or(|due| due > now.monotonic) {
            return;
        }
        effects.extend(self.discovery.withdrawn.drain(..).map(removal));
        let Some(home_assistant) = &self.settings.home_assistant else {
            self.discovery.due = None;
            return;
        };
        if !self.can_tell() {
            return;
        }
        if !std::mem::replace(&mut self.discovery.has_daemon, true) {
            let (topic, document) = device::daemon(home_assistant);
            effects.push(told(topic, &document));
        }
        let devices = device::Devices {
            home_assistant,
            bundle: &self.bundle,
            min_interval: self.settings.min_interval,
            retired: &self.discovery.retired,
        };
        let mut left = BATCH;
        let mut waiting = self.units.iter_mut().filter(|(_, unit)| !unit.is_announced);
        for (id, unit) in waiting.by_ref() {
            if left == 0 {
                self.discovery.due = Some(now.monotonic.plus(PAUSE));
                return;
            }
            unit.is_announced = true;
            let (topic, document) = devices.unit(id, &unit.topics);
            effects.push(told(topic, &document));
            left -= 1;
        }
        self.discovery.due = None;
    }

    /// Takes back what was told of a unit that is forgotten, in this life or an earlier one.
    pub(super) fn withdraw(&self, id: &UnitId, effects: &mut Vec<Effect>) {
        let Some(home_assistant) = &self.settings.home_assistant else { return };
        effects.push(removal(home_assistant.topic(&names::unit(&home_assistant.instance, id))));
    }

    /// Goes on from an engine with other settings or another bundle: what it told and is no more is taken back, the rest
    /// is told anew. Call before the old units are taken over.
    pub(super) fn adopt_discovery(&mut self, old: &mut Self) {
        let Some(before) = &old.settings.home_assistant else {
            self.announce_from(Monotonic::default());
            return;
        };
        let mut discovery = std::mem::take(&mut old.discovery);
        let is_there =
            |now: &HomeAssistant| (&now.prefix, &now.instance) == (&before.prefix, &before.instance);
        if !self.settings.home_assistant.as_ref().is_some_and(is_there) {
            // All of them: what is still to be told now may have been told before, at an earlier connection or in an
            // earlier life. Removing what is not there harms nothing.
            let units = old.units.keys().map(|id| names::unit(&before.instance, id));
            let devices = std::iter::once(names::daemon(&before.instance)).chain(units);
            discovery.withdrawn.extend(devices.map(|device| before.topic(&device)));
        }
        let present = device::components(&self.bundle.manifest);
        discovery.retired.extend(device::components(&old.bundle.manifest));
        discovery.retired.retain(|component| !present.contains(component));
        discovery.retired.sort_unstable();
        discovery.retired.dedup();
        discovery.retired.truncate(MAX_RETIRED);
        self.discovery = Announcer { due: Some(Monotonic::default()), has_daemon: false, ..discovery };
    }
}

fn told(topic: String, document: &serde_json::Value) -> Effect {
    let payload = document.to_string().into_bytes();
    Effect::Publish(Publish { topic, payload, retain: true, kind: PublishKind::Discovery })
}

/// An empty document takes the device away.
fn removal(topic: String) -> Effect {
    Effect::Publish(Publish::removal(topic, PublishKind::Discovery))
}
