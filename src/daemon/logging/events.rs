//! What the journal is told in a form that stays the same over versions: events with a message id of their own, and
//! the names of the fields. `systemd/cooltwin.catalog` explains each event to `journalctl -x`, and
//! `systemd/README.md` lists both; a test holds the three together.

use std::fmt;

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $event:ident = $name:literal, $message_id:literal;)+) => {
        /// An event that monitoring and people may look for. Written as the field `event`; the journal gets it as
        /// `EVENT` and its message id as `MESSAGE_ID`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Event {
            $($(#[doc = $doc])+ $event,)+
        }

        impl Event {
            /// All events.
            pub const ALL: &'static [Self] = &[$(Self::$event,)+];

            /// The name, which stays the same over versions.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)+
                }
            }

            /// The 128 bits by which the journal and its catalogue know it, in hexadecimal.
            #[must_use]
            pub fn message_id(self) -> &'static str {
                match self {
                    $(Self::$event => $message_id,)+
                }
            }

            /// What it says, one sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$event => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

// A new one: `systemd-id128 new`, and an entry in the catalogue.
events! {
    /// The daemon is ready.
    Ready = "ready", "b15d6fc60a924137aa75f4f239f13e2a";
    /// The daemon has stopped as it was told to.
    Stopped = "stopped", "87a0093b16f04013a75fe703ec4061a1";
    /// The daemon does not start, because the configuration is wrong.
    StartRefused = "start_refused", "f97941f9b7884542ad0bbaa8c1107bdc";
    /// Configuration and bundle were loaded anew and are in use.
    Reloaded = "reloaded", "2408cebd431840758bf982e2afba8384";
    /// A reload was refused, because the configuration is wrong; what ran before runs on.
    ReloadRefused = "reload_refused", "30ac1160ae4747549f41c46a3d253994";
    /// A model bundle is in use that was not before.
    BundleLoaded = "bundle_loaded", "508c26765a8c4fbe9ed8d3a1ffe34642";
    /// A model bundle cannot be used: a file, hash, signature, model or golden vector is not as it must be.
    BundleRefused = "bundle_refused", "cd7861c80ac1407987126ebf8bd94f11";
    /// A setting is allowed, but unwise.
    SettingUnwise = "setting_unwise", "964c8fdae36c48a881ab7033e13bbe4e";
    /// The broker has accepted the connection.
    BrokerConnected = "broker_connected", "af0008e9eee24e53877055fd2e71affa";
    /// There is no connection to the broker any more, or it cannot be made.
    BrokerLost = "broker_lost", "a4b6800420244945a016b7d53122914b";
    /// Another client uses the same client id.
    TakenOver = "client_id_taken_over", "ef759cfaf0c447438855e9ee1e15c9e1";
    /// The broker refuses a subscription.
    SubscriptionRefused = "subscription_refused", "61ddb4fa6e7a4bc1b8a694e370d35f83";
    /// The broker does not allow the loopback probe.
    ProbeRefused = "probe_refused", "b5d364b7bcc44970ae3a2be66b756363";
    /// The broker accepts messages and does not deliver them.
    BrokerNotDelivering = "broker_not_delivering", "7a375d82efc54840938160d3da71aa77";
    /// Sources or units are silent.
    Silence = "silence", "e214c7f5b70c42b9bf320a9b0ca237c7";
    /// The clock tells a time before this program was written.
    ClockNotSet = "clock_not_set", "2c22fad1a51947bab2107dc0366169d6";
    /// The state for a warm start cannot be saved.
    StateNotSaved = "state_not_saved", "1188d4bfb3204b2ab14d7a3edfb44e3b";
    /// The saved state is not used: a cold start.
    StateNotUsed = "state_not_used", "d1bbfa30bd444b10bbe5fe08ac1debf3";
    /// An alarm is over.
    AlarmCleared = "alarm_cleared", "89d88dc74448465d88aeba52d8f93de9";
    /// A unit has sent its first reading.
    UnitAppeared = "unit_appeared", "25231a7372194f26810aa290e12393f2";
    /// A unit was silent for so long that it is forgotten.
    UnitForgotten = "unit_forgotten", "02d347b26d614081972e79e18d6455f6";
    /// There are more units than are allowed; further ones are not predicted.
    UnitsRefused = "units_refused", "3b568ce8870b41a6b5b6f9bb904487c5";
    /// Readings or their times are not used.
    ReadingsRefused = "readings_refused", "9186f355c4134933a8a6c45df691f3e9";
    /// Messages to or from the broker were dropped.
    MessagesDropped = "messages_dropped", "d3956d940a5241c5aa27286559876c0c";
    /// A command that came over MQTT was refused.
    CommandRefused = "command_refused", "91c00a5301bf490a8366061de5d5ab4b";
    /// Nobody can ask over HTTP: the address cannot be listened on.
    HttpNotListening = "http_not_listening", "5b1d0f6be0b84d0f9a1c7e35d2a4c886";
    /// Lines were left out of the log.
    LinesLeftOut = "lines_left_out", "d9c9df4581f747a782bb9e25bae9a05f";
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The message id of the event of a name.
pub(super) fn message_id_of(name: &str) -> Option<&'static str> {
    Event::ALL.iter().find(|event| event.name() == name).map(|event| event.message_id())
}

/// The fields of the journal that are ours, with what they hold. Their names are those in the code in capitals.
pub const FIELDS: &[(&str, &str)] = &[
    ("MESSAGE_ID", "the event, for `journalctl MESSAGE_ID=...` and `journalctl -x`"),
    ("EVENT", "the event's name"),
    ("INSTANCE", "`instance.name`; on every line"),
    ("UNIT_ID", "the unit (cooler) it is about"),
    (
        "TOPIC",
        "the topic it is about: where the message came in, what was subscribed to, where the alarm stands",
    ),
    (
        "REASON",
        "why, in a word that stays the same over versions; the same words stand in the health document",
    ),
    ("ALARM", "the alarm's name, as in its topic"),
    ("SEVERITY", "of the alarm: `warning` or `critical`"),
    ("COUNT", "how many it is about"),
    ("SESSION", "what the broker knew of us when it accepted the connection: `kept` or `new`"),
    ("BUNDLE", "the bundle's name"),
    ("BUNDLE_VERSION", "the bundle's version"),
    ("BUNDLE_SHA256", "the first 16 digits of the hash over the bundle"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_ids_are_as_the_journal_wants_them_and_differ() {
        let names: BTreeSet<_> = Event::ALL.iter().map(|event| event.name()).collect();
        let ids: BTreeSet<_> = Event::ALL.iter().map(|event| event.message_id()).collect();
        assert_eq!((names.len(), ids.len()), (Event::ALL.len(), Event::ALL.len()));
        for id in ids {
            assert!(id.len() == 32 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{id}");
        }
        assert_eq!(message_id_of("ready"), Some(Event::Ready.message_id()));
        assert_eq!(message_id_of("no such event"), None);
    }

    #[test]
    fn fields_have_names_that_the_journal_takes_as_they_are() {
        for (name, _) in FIELDS {
            let is_plain = name.chars().all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '_'));
            assert!(
                is_plain && name.starts_with(|c: char| c.is_ascii_uppercase()) && name.len() <= 64,
                "{name}"
            );
        }
        // The service manager's own: by them its messages about a unit are found.
        for taken in ["UNIT", "USER_UNIT", "OBJECT_PID", "PRIORITY", "MESSAGE"] {
            assert!(FIELDS.iter().all(|(name, _)| *name != taken), "{taken}");
        }
    }
}
