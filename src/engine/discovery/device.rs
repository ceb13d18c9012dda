//! The documents of device discovery, in Home Assistant's abbreviated keys.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::unit::UnitTopics;
use super::{HomeAssistant, names};
use crate::bundle::manifest::TargetSpec;
use crate::bundle::{Bundle, Manifest};
use crate::domain::{AlarmId, Quality, UnitId, spelling, unit_of_difference};

/// Heartbeats that may be missed before what they told counts as unknown.
const MISSED_HEARTBEATS: u32 = 3;

/// A component by its id and its platform, which is all that its removal needs.
pub(in crate::engine) type Component = (String, &'static str);

const SENSOR: &str = "sensor";
const BINARY_SENSOR: &str = "binary_sensor";

/// What the documents of units are made of.
pub(super) struct Devices<'a> {
    pub(super) home_assistant: &'a HomeAssistant,
    pub(super) bundle: &'a Bundle,
    /// Shortest time between two predictions.
    pub(super) min_interval: Duration,
    pub(super) retired: &'a [Component],
}

fn prediction_id(target: &str) -> String {
    format!("prediction_{target}")
}

fn residual_id(target: &str) -> String {
    format!("residual_{target}")
}

fn alarm_id(alarm: AlarmId) -> String {
    format!("alarm_{alarm}")
}

/// The components of each unit.
pub(super) fn components(manifest: &Manifest) -> Vec<Component> {
    let targets = manifest.targets.iter();
    let predictions = targets.clone().map(|target| (prediction_id(&target.name), SENSOR));
    let measured = targets.filter(|target| target.measured_by.is_some());
    let residuals = measured.map(|target| (residual_id(&target.name), SENSOR));
    let alarms = AlarmId::OF_UNIT.map(|alarm| (alarm_id(alarm), BINARY_SENSOR));
    predictions.chain(residuals).chain([("quality".to_owned(), SENSOR)]).chain(alarms).collect()
}

impl Devices<'_> {
    /// Topic and document of a unit.
    pub(super) fn unit(&self, id: &UnitId, topics: &UnitTopics) -> (String, Value) {
        let instance = &self.home_assistant.instance;
        let device = names::unit(instance, id);
        let mut components = Map::new();
        for target in &self.bundle.manifest.targets {
            components.insert(prediction_id(&target.name), self.prediction(target, topics));
            if target.measured_by.is_some() {
                components.insert(residual_id(&target.name), self.residual(target, topics));
            }
        }
        components.insert("quality".to_owned(), quality(topics));
        for alarm in AlarmId::OF_UNIT {
            components.insert(alarm_id(alarm), unit_alarm(alarm, topics));
        }
        name_each(&device, &mut components);
        for (id, platform) in self.retired {
            // With its platform alone a component is removed.
            components.insert(id.clone(), json!({ "p": platform }));
        }
        let identity = &self.bundle.identity;
        let document = json!({
            "dev": {
                "ids": [device],
                "name": id.as_str(),
                "mf": "cooltwin",
                "mdl": identity.id,
                "sw": format!("bundle {}", identity.version),
                "via_device": names::daemon(instance),
            },
            "o": origin(),
            "avty": [status(self.home_assistant)],
            "stat_t": topics.prediction,
            "qos": 1,
            "cmps": components,
        });
        (self.home_assistant.topic(&device), document)
    }

    fn prediction(&self, target: &TargetSpec, topics: &UnitTopics) -> Value {
        let template = format!("{{{{ value_json['{}'] }}}}", target.name);
        let mut sensor =
            self.measurement(&format!("Predicted {}", described(target)), &target.unit, &template);
        sensor.insert("avty".to_owned(), self.while_predicting(topics));
        sensor.insert("avty_mode".to_owned(), "all".into());
        sensor.into()
    }

    fn residual(&self, target: &TargetSpec, topics: &UnitTopics) -> Value {
        let template = format!("{{{{ value_json.residuals.get('{}') }}}}", target.name);
        let unit = unit_of_difference(&target.unit);
        let mut sensor = self.measurement(&format!("Residual of {}", described(target)), unit, &template);
        if !self.bundle.leaking_features.is_empty() {
            // The models see the measurement: the residual says nothing.
            sensor.insert("en".to_owned(), false.into());
        }
        // A device class converts units as those of a value: half a kelvin too much would become 33 degF.
        sensor.remove("dev_cla");
        sensor.insert("avty".to_owned(), self.while_predicting(topics));
        sensor.insert("avty_mode".to_owned(), "all".into());
        sensor.into()
    }

    fn measurement(&self, name: &str, unit: &str, template: &str) -> Map<String, Value> {
        let mut sensor = Map::new();
        let mut set = |key: &str, value: Value| sensor.insert(key.to_owned(), value);
        set("p", SENSOR.into());
        set("name", name.into());
        set("stat_cla", "measurement".into());
        set("val_tpl", template.into());
        if let Some(spelling) = spelling(unit) {
            set("unit_of_meas", spelling.home_assistant.into());
            set("sug_dsp_prc", spelling.digits.into());
            if let Some(class) = spelling.device_class {
                set("dev_cla", class.into());
            }
        } else if !unit.is_empty() {
            set("unit_of_meas", unit.into());
        }
        let expire = self.home_assistant.expire_after;
        if !expire.is_zero() {
            set("exp_aft", seconds(expire.max(self.min_interval.saturating_mul(2))).into());
        }
        sensor
    }

    /// The daemon is there, and the unit is predicted.
    fn while_predicting(&self, topics: &UnitTopics) -> Value {
        let template =
            "{{ 'online' if value_json is defined and value_json.state == 'predicting' else 'offline' }}";
        json!([status(self.home_assistant), { "t": topics.state, "val_tpl": template }])
    }
}

/// Whole seconds, at least one.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs().max(1)
}

/// What a target means in words, or its name.
fn described(target: &TargetSpec) -> &str {
    if target.description.is_empty() { &target.name } else { &target.description }
}

fn quality(topics: &UnitTopics) -> Value {
    let names = [Quality::Good, Quality::Uncertain, Quality::Bad].map(Quality::name);
    json!({
        "p": SENSOR,
        "name": "Quality",
        "dev_cla": "enum",
        "ops": names,
        "stat_t": topics.state,
        "val_tpl": "{{ value_json.quality if value_json is defined else None }}",
        "json_attr_t": topics.state,
        "json_attr_tpl": "{{ {'state': value_json.state, 'reasons': value_json.reasons, 'time': value_json.time} | tojson \
                         if value_json is defined else '{}' }}",
    })
}

/// From the unit's retained state and not from the alarm's own topic, which is empty while nothing is wrong: Home Assistant
/// could not tell that from not knowing.
fn unit_alarm(alarm: AlarmId, topics: &UnitTopics) -> Value {
    let template = format!(
        "{{{{ 'ON' if value_json is defined and '{alarm}' in (value_json.alarms | default([])) else 'OFF' }}}}"
    );
    json!({
        "p": BINARY_SENSOR,
        "name": in_words(alarm),
        "dev_cla": "problem",
        "stat_t": topics.state,
        "val_tpl": template,
    })
}

/// `unit_silent`: "Unit silent".
fn in_words(alarm: AlarmId) -> String {
    let text = alarm.name().replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn status(home_assistant: &HomeAssistant) -> Value {
    json!({ "t": home_assistant.status_topic })
}

fn origin() -> Value {
    json!({ "name": "cooltwin", "sw": env!("CARGO_PKG_VERSION") })
}

/// Gives each component the id that it keeps for ever, whatever it is called.
fn name_each(device: &str, components: &mut Map<String, Value>) {
    for (id, component) in components {
        if let Some(component) = component.as_object_mut() {
            component.insert("uniq_id".to_owned(), format!("{device}_{id}").into());
        }
    }
}

/// Topic and document of the daemon itself.
pub(super) fn daemon(home_assistant: &HomeAssistant) -> (String, Value) {
    let device = names::daemon(&home_assistant.instance);
    let mut components = Map::new();
    let connectivity = json!({
        "p": BINARY_SENSOR,
        "name": "Running",
        "dev_cla": "connectivity",
        "ent_cat": "diagnostic",
        "stat_t": home_assistant.status_topic,
        "pl_on": "online",
        "pl_off": "offline",
        // Never unavailable: that is what it tells.
        "avty": [],
    });
    components.insert("running".to_owned(), connectivity);
    let expire = seconds(home_assistant.health_interval.saturating_mul(MISSED_HEARTBEATS)) + 1;
    for (id, name, template, further) in health_sensors() {
        let mut sensor = json!({
            "p": SENSOR,
            "name": name,
            "ent_cat": "diagnostic",
            "val_tpl": format!("{{{{ value_json.{template} }}}}"),
            "exp_aft": expire,
        });
        if let (Some(sensor), Value::Object(further)) = (sensor.as_object_mut(), further) {
            sensor.extend(further);
        }
        components.insert(id.to_owned(), sensor);
    }
    for alarm in AlarmId::OF_DAEMON {
        let template = format!("{{{{ 'ON' if '{alarm}' in value_json.alarms.standing else 'OFF' }}}}");
        let sensor = json!({
            "p": BINARY_SENSOR,
            "name": in_words(alarm),
            "dev_cla": "problem",
            "ent_cat": "diagnostic",
            "val_tpl": template,
            "exp_aft": expire,
        });
        components.insert(alarm_id(alarm), sensor);
    }
    name_each(&device, &mut components);
    let document = json!({
        "dev": {
            "ids": [device],
            "name": format!("cooltwin {}", home_assistant.instance),
            "mf": "cooltwin",
            "mdl": "prediction daemon",
            "sw": env!("CARGO_PKG_VERSION"),
        },
        "o": origin(),
        "avty": [status(home_assistant)],
        "stat_t": home_assistant.health_topic,
        "qos": 1,
        "cmps": components,
    });
    (home_assistant.topic(&device), document)
}

/// What the health document tells: id, name, where it stands, and what else is to be said of it.
fn health_sensors() -> [(&'static str, &'static str, &'static str, Value); 12] {
    let rate = |unit: &str| json!({ "stat_cla": "measurement", "unit_of_meas": unit, "sug_dsp_prc": 2 });
    let count = || json!({ "stat_cla": "measurement" });
    [
        ("version", "Version", "version", json!({})),
        ("bundle", "Bundle", "bundle.id ~ ' ' ~ value_json.bundle.version", json!({})),
        ("uptime", "Uptime", "uptime_s", json!({ "dev_cla": "duration", "unit_of_meas": "s", "en": false })),
        ("messages", "Messages", "rates.messages_per_s", rate("msg/s")),
        ("predictions", "Predictions", "rates.predictions_per_s", rate("predictions/s")),
        ("latency", "Latency, 99th percentile", "latency_us.p99", rate("µs")),
        (
            "memory",
            "Memory",
            "rss_bytes",
            json!({ "dev_cla": "data_size", "unit_of_meas": "B", "stat_cla": "measurement" }),
        ),
        ("units_good", "Units of good quality", "units.good", count()),
        ("units_uncertain", "Units of uncertain quality", "units.uncertain", count()),
        ("units_withheld", "Units without prediction", "units.bad", count()),
        (
            "broker",
            "Broker",
            "broker.state",
            json!({ "dev_cla": "enum", "ops": ["connecting", "connected", "down"] }),
        ),
        ("problem", "Problem with the broker", "broker.problem or 'none'", json!({})),
    ]
}
