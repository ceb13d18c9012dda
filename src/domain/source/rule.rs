//! One rule, checked by itself: what can be known without a bundle.

use super::clock::TimeFormat;
use super::pattern::Pattern;
use super::pointer::Pointer;
use super::sparkplug::{self, MetricName};
use super::spec::{RuleProblem, RuleSpec};
use crate::domain::time::ZoneSpec;
use crate::domain::topic::TopicTemplate;
use crate::domain::unit::UnitId;

/// Most names in one table of a rule: four for each sensor that a bundle may have.
pub const MAX_NAMES: usize = 1024;

/// What a payload looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `topics.frame`: an object, flat or under a key.
    Frame,
    /// `topics.reading`: a bare number or an object with value and time.
    Reading,
    /// A bare number.
    Number,
    /// JSON with one value.
    Json,
    /// JSON with an object of readings.
    Object,
    /// JSON with a list of readings.
    List,
    /// A device of zigbee2mqtt.
    Zigbee2mqtt,
    /// Sensors of a Tasmota device.
    Tasmota,
    /// Notifications and status messages of Shelly devices, second generation and later.
    Shelly,
    /// Uplink events of `ChirpStack` 4.
    Chirpstack,
    /// Telemetry by `ThingsBoard`'s gateway API.
    Thingsboard,
    /// `InfluxDB` line protocol.
    Influx,
    /// Sparkplug B.
    Sparkplug,
}

/// What is particular to a kind.
pub(super) struct Traits {
    /// Its name in settings.
    pub(super) name: &'static str,
    /// Keys of a rule that mean something here, beside those that always do.
    keys: &'static [&'static str],
    /// Where the readings, value, time and sensor's name stand unless the rule says otherwise.
    pub(super) at: &'static str,
    pub(super) value: &'static str,
    time: &'static str,
    sensor: &'static str,
    /// How times are written unless the rule says otherwise.
    format: TimeFormat,
    /// Whether units are predicted at once unless the rule says otherwise.
    is_frame: bool,
    /// Whether each name of the payload is a sensor's.
    pub(super) names_sensors: bool,
    /// Whether its payloads have much beside readings: names that are no sensor's are then not counted, unless
    /// a message has no others.
    pub(super) is_talkative: bool,
}

const NONE: Traits = Traits {
    name: "",
    keys: &[],
    at: "",
    value: "/value",
    time: "/time",
    sensor: "/name",
    format: TimeFormat::Auto,
    is_frame: true,
    names_sensors: true,
    is_talkative: false,
};

/// What devices have that publish an object of their own making.
const DEVICE: Traits =
    Traits { keys: &["unit", "unit_at", "time", "time_format", "zone"], is_talkative: true, ..NONE };

impl Kind {
    /// All that a rule can name, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Number,
        Self::Json,
        Self::Object,
        Self::List,
        Self::Zigbee2mqtt,
        Self::Tasmota,
        Self::Shelly,
        Self::Chirpstack,
        Self::Thingsboard,
        Self::Influx,
        Self::Sparkplug,
    ];

    pub(super) const fn traits(self) -> &'static Traits {
        match self {
            Self::Frame => &Traits { name: "frame", ..NONE },
            Self::Reading => &Traits { name: "reading", is_frame: false, names_sensors: false, ..NONE },
            Self::Number => &Traits {
                name: "number",
                keys: &["unit", "sensor"],
                is_frame: false,
                names_sensors: false,
                ..NONE
            },
            Self::Json => &Traits {
                name: "json",
                keys: &["unit", "unit_at", "sensor", "sensor_at", "value", "time", "time_format", "zone"],
                is_frame: false,
                names_sensors: false,
                ..NONE
            },
            Self::Object => &Traits {
                name: "object",
                keys: &["unit", "unit_at", "at", "time", "time_format", "zone"],
                ..NONE
            },
            Self::List => &Traits {
                name: "list",
                keys: &["unit", "unit_at", "sensor_at", "at", "value", "time", "time_format", "zone"],
                names_sensors: false,
                ..NONE
            },
            Self::Zigbee2mqtt => &Traits { name: "zigbee2mqtt", time: "/last_seen", ..DEVICE },
            Self::Tasmota => &Traits { name: "tasmota", time: "/Time", ..DEVICE },
            Self::Shelly => &Traits {
                name: "shelly",
                keys: &["unit", "unit_at"],
                time: "/params/ts",
                format: TimeFormat::Seconds,
                ..DEVICE
            },
            Self::Chirpstack => &Traits { name: "chirpstack", at: "/object", ..DEVICE },
            Self::Thingsboard => {
                &Traits { name: "thingsboard", keys: &["time_format"], format: TimeFormat::Millis, ..NONE }
            }
            Self::Influx => &Traits {
                name: "influx",
                keys: &["unit", "unit_tag", "sensor_tag", "time_format"],
                format: TimeFormat::Nanos,
                ..NONE
            },
            Self::Sparkplug => &Traits {
                name: "sparkplug",
                keys: &["unit", "metric", "rebirth"],
                is_talkative: true,
                ..NONE
            },
        }
    }

    /// The name it has in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.traits().name
    }
}

/// Where a name comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NameFrom {
    Topic,
    Fixed(String),
    At(Pointer),
    /// The value of a tag.
    Tag(String),
    /// Names stand in the payload by its kind.
    Payload,
}

/// A rule that is sound by itself.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(super) spec: RuleSpec,
    pub(super) pattern: Pattern,
    pub(super) kind: Kind,
    pub(super) unit: NameFrom,
    pub(super) sensor: NameFrom,
    pub(super) at: Pointer,
    pub(super) value: Pointer,
    pub(super) time: Pointer,
    pub(super) format: TimeFormat,
    pub(super) zone: ZoneSpec,
    pub(super) is_frame: bool,
    /// What names of metrics look like, where the rule says it.
    pub(super) metric: Option<MetricName>,
    /// Whether nodes are asked for BIRTHs that are missing.
    pub(super) rebirth: bool,
}

impl Rule {
    /// Checks a rule. Times without an offset are in `zone` unless it says otherwise.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(spec: RuleSpec, zone: &ZoneSpec) -> Result<Self, Vec<RuleProblem>> {
        let mut problems = Vec::new();
        let kind = kind_of(&spec, &mut problems);
        let pattern = pattern_of(&spec, &mut problems);
        let (Some(kind), Some(pattern)) = (kind, pattern) else { return Err(problems) };
        let traits = kind.traits();
        check_keys(&spec, kind, &mut problems);
        check_tables(&spec, &mut problems);
        let metric = if kind == Kind::Sparkplug { sparkplug::check(&spec, &mut problems) } else { None };
        let names_unit = metric.as_ref().is_some_and(MetricName::has_unit);
        let unit = unit_from(&spec, (kind, names_unit), &pattern, &mut problems);
        let sensor = sensor_from(&spec, kind, &pattern, &mut problems);
        let mut pointer = |key, written: &Option<String>, default: &str| {
            pointer_of(key, written.as_deref().unwrap_or(default), &mut problems)
        };
        let at = pointer("at", &spec.at, traits.at);
        let value = pointer("value", &spec.value, traits.value);
        let time = pointer("time", &spec.time, traits.time);
        let format = match spec.time_format.as_deref() {
            None => traits.format,
            Some(name) => TimeFormat::of_name(name).unwrap_or_else(|| {
                let known = TimeFormat::ALL.map(|(name, _)| name).join(", ");
                problems.push(RuleProblem::new(
                    "time_format",
                    Some(name),
                    "is no format of times",
                    format!("use one of {known}"),
                ));
                traits.format
            }),
        };
        if kind == Kind::Influx && format == TimeFormat::Rfc3339 {
            let remedy = "use ns, us, ms or s, as the collector is set";
            problems.push(RuleProblem::new(
                "time_format",
                Some("rfc3339"),
                "is no format of the line protocol",
                remedy,
            ));
        }
        let zone = match spec.zone.as_deref().map(ZoneSpec::parse) {
            None => zone.clone(),
            Some(Ok(zone)) => zone,
            Some(Err(reason)) => {
                problems.push(RuleProblem::new("zone", spec.zone.as_deref(), reason, ""));
                zone.clone()
            }
        };
        let is_frame = spec.settle.map_or(traits.is_frame, |settle| !settle);
        match (unit, sensor) {
            (Some(unit), Some(sensor)) if problems.is_empty() => {
                let rebirth = spec.rebirth.unwrap_or(true);
                Ok(Self {
                    spec,
                    pattern,
                    kind,
                    unit,
                    sensor,
                    at,
                    value,
                    time,
                    format,
                    zone,
                    is_frame,
                    metric,
                    rebirth,
                })
            }
            _ => Err(problems),
        }
    }

    /// One of the two rules that are there without being written, for a topic of the settings. They take what the
    /// others leave.
    pub(super) fn built_in(name: &str, kind: Kind, topic: &TopicTemplate, zone: &ZoneSpec) -> Option<Self> {
        let spec = RuleSpec {
            name: name.to_owned(),
            topic: topic.as_str().to_owned(),
            kind: kind.name().to_owned(),
            fallback: true,
            ..RuleSpec::default()
        };
        Some(Self {
            pattern: Pattern::parse(topic.as_str()).ok()?,
            spec,
            kind,
            unit: NameFrom::Topic,
            sensor: if kind == Kind::Frame { NameFrom::Payload } else { NameFrom::Topic },
            at: Pointer::default(),
            value: Pointer::default(),
            time: Pointer::default(),
            format: TimeFormat::Auto,
            zone: zone.clone(),
            is_frame: kind.traits().is_frame,
            metric: None,
            rebirth: false,
        })
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Kind of its payloads.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The filter of the topics that it reads.
    #[must_use]
    pub fn filter(&self) -> String {
        self.pattern.filter()
    }

    /// The filter to subscribe to, which may be wider: what a message means may be said on other topics.
    #[must_use]
    pub fn subscription(&self) -> String {
        let filter = self.filter();
        if self.kind == Kind::Sparkplug { sparkplug::subscription(&filter) } else { filter }
    }

    /// The topics, as a filter, on which it has requests published to those that it hears of, if it does.
    #[must_use]
    pub fn requests(&self) -> Option<String> {
        (self.kind == Kind::Sparkplug && self.rebirth).then(|| sparkplug::commands(&self.filter()))
    }

    /// Its topics.
    #[must_use]
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Whether it takes what the rules before it leave.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.spec.fallback
    }

    /// Whether its units are predicted at once.
    #[must_use]
    pub fn is_frame(&self) -> bool {
        self.is_frame
    }
}

fn kind_of(spec: &RuleSpec, problems: &mut Vec<RuleProblem>) -> Option<Kind> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == spec.kind);
    if kind.is_none() {
        let reason = if spec.kind.is_empty() { "is missing" } else { "is no kind of payload" };
        let known = Kind::ALL.map(Kind::name).join(", ");
        problems.push(RuleProblem::new("kind", Some(&spec.kind), reason, format!("use one of {known}")));
    }
    kind
}

fn pattern_of(spec: &RuleSpec, problems: &mut Vec<RuleProblem>) -> Option<Pattern> {
    let refuse = |(reason, remedy): (String, String)| {
        problems.push(RuleProblem::new("topic", Some(&spec.topic), reason, remedy));
    };
    Pattern::parse(&spec.topic).map_err(refuse).ok()
}

/// Refuses keys that would have no effect.
fn check_keys(spec: &RuleSpec, kind: Kind, problems: &mut Vec<RuleProblem>) {
    let traits = kind.traits();
    let given = [
        ("unit", &spec.unit),
        ("metric", &spec.metric),
        ("rebirth", &spec.rebirth.map(|flag| flag.to_string())),
        ("unit_at", &spec.unit_at),
        ("unit_tag", &spec.unit_tag),
        ("sensor_tag", &spec.sensor_tag),
        ("sensor", &spec.sensor),
        ("sensor_at", &spec.sensor_at),
        ("at", &spec.at),
        ("value", &spec.value),
        ("time", &spec.time),
        ("time_format", &spec.time_format),
        ("zone", &spec.zone),
    ];
    for (key, value) in given {
        if let Some(value) = value.as_deref().filter(|_| !traits.keys.contains(&key)) {
            let reason = format!("has no meaning with kind = \"{}\"", traits.name);
            problems.push(RuleProblem::new(key, Some(value), reason, "remove the line"));
        }
    }
}

fn check_tables(spec: &RuleSpec, problems: &mut Vec<RuleProblem>) {
    let sizes = [
        ("rename", spec.rename.len()),
        ("units", spec.units.len()),
        ("ignore", spec.ignore.len()),
        ("sensors", spec.sensors.len()),
        ("overrides", spec.overrides.len()),
    ];
    for (key, size) in sizes.into_iter().filter(|(_, size)| *size > MAX_NAMES) {
        let reason = format!("has {size} entries, more than {MAX_NAMES}");
        problems.push(RuleProblem::new(key, None, reason, "make several rules of it, with narrower topics"));
    }
    let named = spec.units.iter().map(|(theirs, ours)| (format!("units.{theirs}"), ours));
    let overridden = spec.overrides.keys().map(|ours| (format!("overrides.{ours}"), ours));
    let fixed = spec.unit.iter().map(|ours| ("unit".to_owned(), ours));
    for (key, unit) in fixed.chain(named).chain(overridden) {
        if let Err(error) = UnitId::check(unit) {
            problems.push(RuleProblem::new(key, Some(unit), error.to_string(), "choose another name"));
        }
    }
    for name in spec.ignore.iter().filter(|name| spec.rename.contains_key(*name)) {
        let reason = "is both renamed and ignored";
        problems.push(RuleProblem::new("ignore", Some(name), reason, "remove it from one of the two"));
    }
}

fn pointer_of(key: &str, text: &str, problems: &mut Vec<RuleProblem>) -> Pointer {
    Pointer::parse(text).unwrap_or_else(|reason| {
        problems.push(RuleProblem::new(key, Some(text), reason, ""));
        Pointer::default()
    })
}

/// Where the unit's name comes from: exactly one place.
fn unit_from(
    spec: &RuleSpec,
    (kind, names_unit): (Kind, bool),
    pattern: &Pattern,
    problems: &mut Vec<RuleProblem>,
) -> Option<NameFrom> {
    let in_topic = pattern.has_unit().then_some(NameFrom::Topic);
    let fixed = spec.unit.clone().map(NameFrom::Fixed);
    let at = spec.unit_at.as_deref().map(|text| NameFrom::At(pointer_of("unit_at", text, problems)));
    let tag = spec.unit_tag.clone().map(NameFrom::Tag);
    let in_payload = (kind == Kind::Thingsboard || names_unit).then_some(NameFrom::Payload);
    let missing = match kind {
        Kind::Sparkplug => "write {unit} for one level of the topic or of `metric`, or unit = \"NAME\"",
        _ => "write {unit} for one level of the topic, or unit = \"NAME\", or unit_at = \"/POINTER\"",
    };
    let ambiguous = match kind {
        Kind::Thingsboard => "the payload names the units; write `+` in the topic",
        Kind::Influx => "keep one of {unit} in the topic, unit and unit_tag",
        Kind::Sparkplug => "keep one of {unit} in the topic, {unit} in metric, and unit",
        _ => "keep one of {unit} in the topic, unit and unit_at",
    };
    only_one("unit", [in_topic, fixed, at, tag, in_payload], (missing, ambiguous), spec, problems)
}

/// Where the sensor's name comes from.
fn sensor_from(
    spec: &RuleSpec,
    kind: Kind,
    pattern: &Pattern,
    problems: &mut Vec<RuleProblem>,
) -> Option<NameFrom> {
    if kind.traits().names_sensors {
        return Some(spec.sensor_tag.clone().map_or(NameFrom::Payload, NameFrom::Tag));
    }
    if kind == Kind::List {
        let text = spec.sensor_at.as_deref().unwrap_or(kind.traits().sensor);
        return Some(NameFrom::At(pointer_of("sensor_at", text, problems)));
    }
    let in_topic = pattern.has_sensor().then_some(NameFrom::Topic);
    let fixed = spec.sensor.clone().map(NameFrom::Fixed);
    let at = spec.sensor_at.as_deref().map(|text| NameFrom::At(pointer_of("sensor_at", text, problems)));
    let missing = "write {sensor} for one level of the topic, or sensor = \"NAME\"";
    let ambiguous = "keep one of {sensor} in the topic, sensor and sensor_at";
    only_one("sensor", [in_topic, fixed, at], (missing, ambiguous), spec, problems)
}

/// The one place of several that tells `what`; the remedies are for none and for more than one.
fn only_one<const N: usize>(
    what: &str,
    places: [Option<NameFrom>; N],
    (missing, ambiguous): (&str, &str),
    spec: &RuleSpec,
    problems: &mut Vec<RuleProblem>,
) -> Option<NameFrom> {
    let mut places = places.into_iter().flatten();
    let (reason, remedy) = match (places.next(), places.next()) {
        (Some(place), None) => return Some(place),
        (None, _) => (format!("does not say which {what} it is"), missing),
        (Some(_), Some(_)) => (format!("tells the {what} in more than one way"), ambiguous),
    };
    problems.push(RuleProblem::new("topic", Some(&spec.topic), reason, remedy));
    None
}
