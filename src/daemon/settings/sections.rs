//! The table of all settings.
//!
//! Its comments are what `cooltwin config` prints, so they are written for the reader of a configuration file
//! and without the back-ticks that rendered documentation would like.
#![allow(clippy::doc_markdown)]

use std::path::PathBuf;
use std::time::Duration;

use super::table::{Applies, KeySpec, Reader, SectionSpec, sections};
use super::value::SettingValue;
use super::{Secret, SourceSettings};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

sections! {
    /// This daemon among others.
    [instance] InstanceSettings {
        /// Name of this daemon. Stands in its topics and in its client id, so it must be unique at the broker:
        /// 1 to 64 letters, digits, "-", "_" or ".".
        name: String = "main".to_owned(), applies AtRestart;
        /// Longest time a stop may take: what is still unconfirmed by then is left to the broker's redelivery.
        /// Keep it below TimeoutStopSec of the service.
        stop_timeout: Duration = s(5), from ms(100) => s(300);
    }

    /// The connection to the broker.
    [mqtt] MqttSettings {
        /// Where the broker is: mqtt://host:1883, or mqtts://host:8883 for TLS.
        url: String = "mqtt://localhost:1883".to_owned(), applies Reconnecting;
        /// Allow mqtt:// to a broker on another machine, where everybody on the way can read and change what is
        /// sent, the password included. To localhost, 127.0.0.0/8 and ::1 it is always allowed.
        allow_plain: bool = false, applies Reconnecting;
        /// Client id. Must stay the same over restarts: the broker keeps what arrived meanwhile under this name.
        /// Unset: `cooltwin-` and the instance's name.
        client_id: Option<String> = None, example "\"cooltwin-main\"", applies Reconnecting;
        /// User name at the broker.
        username: Option<String> = None, example "\"cooltwin\"", applies Reconnecting;
        /// Password. Better in `password_file`, or in the environment variable COOLTWIN__MQTT__PASSWORD.
        /// Wherever a file is named below, credential:NAME means the credential that systemd's LoadCredential= brings.
        password: Option<Secret> = None, example "\"secret\"", applies Reconnecting;
        /// File that holds the password, one line. It and the next three are read anew at every connect.
        password_file: Option<PathBuf> = None, example "\"/etc/cooltwin/mqtt-password\"", applies Reconnecting;
        /// Certificates of the authorities that may have signed the broker's certificate, PEM.
        /// Unset: those the system trusts. Used with mqtts:// only, as are the next two.
        ca_file: Option<PathBuf> = None, example "\"/etc/cooltwin/ca.pem\"", applies Reconnecting;
        /// Certificate to present to the broker, PEM, with its chain.
        client_cert_file: Option<PathBuf> = None, example "\"/etc/cooltwin/client.pem\"", applies Reconnecting;
        /// Private key of that certificate, PEM.
        client_key_file: Option<PathBuf> = None, example "\"/etc/cooltwin/client.key\"", applies Reconnecting;
        /// How often the link is probed. A dead link is found within twice this time.
        keep_alive: Duration = s(10), from s(2) => s(3600), applies Reconnecting;
        /// Forget what arrived while disconnected. With `false` the broker keeps it and no reading is lost.
        clean_session: bool = false, applies Reconnecting;
        /// Quality of service asked for readings: 1 loses nothing, 0 is faster and may lose.
        subscribe_qos: usize = 1, from 0 => 1, applies Reconnecting;
        /// Longest time for one attempt to connect, TLS and greeting included.
        connect_timeout: Duration = s(10), from s(1) => s(120), applies Reconnecting;
        /// How often a small message goes round through the broker on our own topic `probe`. When two in a row do
        /// not come back, the alarm `broker_not_delivering` is raised. At least "1s"; "0s": no probe.
        probe_interval: Duration = s(30), from s(0) => s(3600), applies Reconnecting;
        /// Longest pause between two attempts to connect; the pauses double up to it, with jitter.
        reconnect_max: Duration = s(60), from ms(500) => s(600), applies Reconnecting;
    }

    /// Topics. Placeholders in braces stand for one whole level.
    [topics] TopicSettings {
        /// Single readings: a bare number, or JSON with value and time. Needs {unit} and {sensor}.
        reading: String = "hvac/{unit}/sensors/{sensor}".to_owned(), applies Reconnecting;
        /// Frames: one JSON object with many readings. Needs {unit}.
        frame: String = "hvac/{unit}/sensors".to_owned(), applies Reconnecting;
        /// Prediction documents. Needs {unit}.
        prediction: String = "hvac/{unit}/predictions".to_owned();
        /// One target's bare number. Needs {unit} and {target}.
        target: String = "hvac/{unit}/predictions/{target}".to_owned();
        /// What a unit is doing and why, retained. Needs {unit}.
        state: String = "hvac/{unit}/state".to_owned(), applies AtRestart;
        /// One target's status flags, retained, if engine.target_flags is true. Needs {unit} and {target}.
        flags: String = "hvac/{unit}/predictions/{target}/flags".to_owned();
        /// Alarms of a unit, retained while they stand. Needs {unit} and {alarm}.
        alarm: String = "hvac/{unit}/alarms/{alarm}".to_owned(), applies AtRestart;
        /// The daemon's own topics stand below this one: status, health, alarms, cmd. Needs {instance}.
        daemon: String = "cooltwin/{instance}".to_owned(), applies AtRestart;
    }

    /// Where value and time stand in the payloads that come in.
    [payload] PayloadSettings {
        /// JSON pointer of the value of a single reading.
        value: String = "/value".to_owned();
        /// JSON pointer of the time of a single reading.
        time: String = "/time".to_owned();
        /// Key of the time in a frame; `time` is accepted as well.
        frame_time: String = "timestamp".to_owned();
        /// Key of the object with the readings in a frame; a frame without it is flat.
        frame_data: String = "data".to_owned();
        /// Zone of times that come without an offset: UTC, a name such as Europe/Vienna, or +02:00.
        time_zone: String = "UTC".to_owned();
    }

    /// When units are predicted, and how many are held.
    [engine] EngineSection {
        /// Quiet time after a single reading before its unit is predicted, so that a burst gives one prediction.
        settle: Duration = ms(100), from ms(0) => s(60);
        /// Shortest time between two predictions of one unit; "0s" predicts every frame.
        min_interval: Duration = ms(0), from ms(0) => s(3600);
        /// Most units held at once; readings of further ones are refused and counted.
        max_units: usize = 256, from 1 => 100_000, in "units";
        /// Silence after which a unit is forgotten and its retained state removed.
        unit_ttl: Duration = s(24 * 3600), from s(1) => s(31_557_600);
        /// How far ahead of the clock a time may be and still be believed.
        max_clock_skew: Duration = s(60), from s(0) => s(24 * 3600);
        /// Longest payload that is read, in bytes; longer ones are refused and counted.
        max_payload_bytes: usize = 64 * 1024, from 64 => 1024 * 1024, in "bytes", applies Reconnecting;
        /// Most messages that wait unacknowledged for their unit to settle. Must stay below the broker's
        /// in-flight limit (20 for mosquitto), or both wait for each other.
        max_waiting: usize = 16, from 1 => 10_000, in "messages";
        /// Publish each target as a bare number too, for devices that cannot read JSON.
        target_topics: bool = true;
        /// Publish BACnet's status flags beside each of these numbers: in-alarm, fault, overridden, out-of-service.
        target_flags: bool = false;
    }

    /// Alarms: silence calls for somebody to look. Silence counts while the broker is connected; "0s" turns one off.
    [alarms] AlarmSettings {
        /// Longest silence of all sources together. Also finds a broker that denies reading without saying so.
        /// Set it, and the next ones, above the longest pause between two messages.
        silence: Duration = s(300), from s(0) => s(7 * 24 * 3600);
        /// Longest silence of frames, for sites where they must come.
        frame_silence: Duration = s(0), from s(0) => s(7 * 24 * 3600);
        /// Longest silence of single readings, for sites where they must come.
        reading_silence: Duration = s(0), from s(0) => s(7 * 24 * 3600);
        /// Longest silence of one unit. It is silent too when every sensor is older than its max_age.
        unit_silence: Duration = s(300), from s(0) => s(7 * 24 * 3600);
    }

    /// Home Assistant: tells it of every unit and of the daemon, by its MQTT device discovery (2024.12 or later).
    [home_assistant] HomeAssistantSettings {
        /// Tell it. What was told is taken back when this is switched off by a reload.
        enabled: bool = false, applies Reconnecting;
        /// First level of its discovery topics, as set there.
        prefix: String = "homeassistant".to_owned();
        /// Where it says `online` when it has started, as set there: it is then told everything again.
        birth_topic: String = "homeassistant/status".to_owned(), applies Reconnecting;
        /// Values of predictions older than this count as unknown there; "0s": never. Set it above the longest pause
        /// between two predictions of a unit.
        expire_after: Duration = s(15 * 60), from s(0) => s(24 * 3600);
    }

    /// The topics of the project that this one grew out of, for sites that use them.
    [seed] SeedSettings {
        /// Use them beside our own: readings from hvac/sensors/data, predictions to hvac/predictions/results, alarms to
        /// hvac/alerts/info, warning, error and critical, a heartbeat to hvac/status.
        enabled: bool = false, applies Reconnecting;
        /// Name of the one unit that they speak of.
        unit: String = "cooler-1".to_owned();
    }

    /// The models.
    [bundle] BundleSettings {
        /// Folder of the model bundle.
        /// Unset: models/unit-cooler where the program is started, or else /usr/share/cooltwin/models/unit-cooler.
        path: Option<PathBuf> = None, example "\"/var/lib/cooltwin/models/site\"";
        /// Public key of minisign, or a file with one: only a bundle with this key's signature
        /// (bundle.toml.minisig, made by minisign -Sm bundle.toml) is then loaded.
        public_key: Option<String> = None, example "\"/etc/cooltwin/minisign.pub\"";
    }

    /// Warm starts: what the windows look at is saved at a stop and taken up at the next start, so that they need
    /// not fill anew.
    [state] StateSettings {
        /// Folder to save in. Unset: the state directory that systemd gives the service, else nothing is saved.
        path: Option<PathBuf> = None, example "\"/var/lib/cooltwin\"";
        /// How often it is saved while running, for the case of a crash; "0s": at a stop only. Rarely, because
        /// writing wears SD cards.
        interval: Duration = s(15 * 60), from s(0) => s(24 * 3600);
        /// Take up at the start what was saved. With false nothing is saved either.
        warm_start: bool = true;
    }

    /// The heartbeat.
    [health] HealthSettings {
        /// How often the health document is published.
        interval: Duration = s(30), from ms(100) => s(3600);
    }

    /// The HTTP interface: predictions on request, units, health and metrics; see docs/http.md. A port that is taken stops
    /// nothing else: health, status and log say so, and it is tried again.
    [http] HttpSettings {
        /// Whether to listen at all.
        enabled: bool = true;
        /// Address and port. Beyond this machine (127.0.0.0/8 and ::1) a token is required.
        listen: String = "127.0.0.1:8000".to_owned();
        /// What callers have to send as "Authorization: Bearer ...", 16 to 256 letters, digits and signs without blanks. Better
        /// in token_file, or in the environment variable COOLTWIN__HTTP__TOKEN. Unset: everybody on this machine may ask.
        token: Option<Secret> = None, example "\"0123456789abcdef\"";
        /// File that holds the token, one line; or credential:NAME. Read at the start and at every reload.
        token_file: Option<PathBuf> = None, example "\"/etc/cooltwin/http-token\"";
        /// Names, with commas between, by which a proxy on this machine passes requests on. While the address is of this
        /// machine only, requests for any other name than localhost are refused, so that no web page can ask through a browser.
        hosts: Option<String> = None, example "\"cooltwin.example.org\"";
        /// Longest request body, in bytes. A batch of 1,000 predictions has about 300 KB.
        max_body: usize = 1024 * 1024, from 1024 => 4 * 1024 * 1024, in "bytes";
        /// Longest time that a request may take to arrive, that a connection may be idle, and that an answer may take.
        timeout: Duration = s(10), from ms(100) => s(300);
        /// Most connections at once; further ones are answered with 503 and Retry-After.
        max_concurrent: usize = 64, from 1 => 512, in "connections";
    }

    /// The log.
    [log] LogSettings {
        /// error, warn, info, debug or trace; also filters by module such as "info,cooltwin::daemon=debug".
        level: String = "info".to_owned(), applies AtNextStart;
        /// Where to: "journal" with structured fields, "text" on standard error, or "auto": the journal
        /// when started by systemd, else text.
        format: String = "auto".to_owned(), applies AtNextStart;
    }
}
