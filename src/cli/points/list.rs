//! The points of some units, whatever they are written as.

use serde::Serialize;

use crate::bundle::manifest::TargetSpec;
use crate::daemon::reload::Loaded;
use crate::domain::source::Place;
use crate::domain::{AlarmId, ModelIdentity, Quality, Rules, UnitId, spelling, unit_of_difference};
use crate::engine::{EngineSettings, device_of_daemon, device_of_unit};

/// Largest instance number of a BACnet object (22 bits, the last one reserved).
const MAX_INSTANCE: u32 = 4_194_302;
/// Objects of a unit are numbered from a multiple of this, so that a further target renumbers no other unit.
const BLOCK: u32 = 10;

/// What a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Prediction,
    Quality,
    Residual,
    Alarm,
    Input,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prediction => "prediction",
            Self::Quality => "quality",
            Self::Residual => "residual",
            Self::Alarm => "alarm",
            Self::Input => "input",
        }
    }
}

/// A proposed BACnet object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct BacnetObject {
    /// `analog-value` or `binary-value`.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) instance: u32,
    /// Unique among the objects of a device.
    pub(super) name: String,
    /// Engineering units by BACnet's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) units: Option<&'static str>,
}

/// A place where an input may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Source {
    /// Name of the rule that reads it.
    pub(super) rule: String,
    /// The topic, with `+` and `#` for what only messages tell.
    pub(super) topic: String,
    /// Where the value stands in the payload, if that is known and the payload is not the value itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pointer: Option<String>,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, topic, pointer } = self;
        write!(
            f,
            "{rule}: {topic}{}{}",
            if pointer.is_some() { " " } else { "" },
            pointer.as_deref().unwrap_or_default()
        )
    }
}

/// One point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    pub(super) unit: String,
    /// Its name within the unit.
    #[serde(rename = "point")]
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) description: String,
    /// Where the value is; empty for an input of which only messages tell it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) topic: String,
    /// Where the value stands in the payload; a payload that is the value itself has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pointer: Option<String>,
    /// Where the value's status flags are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flags_topic: Option<String>,
    /// Every place where an input may come in, in the order in which the rules are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sources: Vec<Source>,
    /// Unit of measurement: of an input as its topic has it, else as the bundle writes it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) measured_in: String,
    /// What words and numbers mean the same, for values that are no numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) values: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bacnet: Option<BacnetObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) brick: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) haystack: Option<String>,
    /// An id without odd characters that no other point has.
    pub(super) id: String,
}

/// All points.
#[derive(Debug, Serialize)]
pub(super) struct PointList {
    pub(super) instance: String,
    /// The daemon's id.
    pub(super) id: String,
    pub(super) bundle: ModelIdentity,
    /// Unit names with their ids.
    pub(super) units: Vec<(String, String)>,
    pub(super) points: Vec<Point>,
}

impl PointList {
    /// The points of the units as configuration and bundle have them.
    ///
    /// # Errors
    /// More objects than can be numbered.
    pub(super) fn new(loaded: &Loaded, units: &[UnitId], inputs: bool, first: u32) -> Result<Self, String> {
        let instance = &loaded.settings.instance.name;
        let targets = &loaded.bundle.manifest.targets;
        let measured = targets.iter().filter(|target| target.measured_by.is_some()).count();
        let objects = u32::try_from(targets.len() + 1 + measured).unwrap_or(MAX_INSTANCE);
        let block = objects.div_ceil(BLOCK).saturating_mul(BLOCK);
        let (rules, _) = loaded.checked.engine.bind(&loaded.bundle.manifest);
        let mut list = Self {
            instance: instance.clone(),
            id: device_of_daemon(instance),
            bundle: loaded.bundle.identity.clone(),
            units: units.iter().map(|id| (id.as_str().to_owned(), device_of_unit(instance, id))).collect(),
            points: Vec::new(),
        };
        for (place, id) in units.iter().enumerate() {
            let begin = u32::try_from(place).ok().and_then(|place| place.checked_mul(block));
            let begin = begin.and_then(|begin| begin.checked_add(first));
            let Some(begin) = begin.filter(|begin| begin.saturating_add(block) <= MAX_INSTANCE) else {
                return Err(format!(
                    "unit {id} would have BACnet instance numbers above {MAX_INSTANCE}; lower --first or name fewer units"
                ));
            };
            let mut unit = UnitPoints {
                loaded,
                id,
                device: device_of_unit(instance, id),
                next: begin,
                points: Vec::new(),
            };
            unit.outputs(begin);
            if inputs {
                unit.inputs(&rules);
            }
            list.points.append(&mut unit.points);
        }
        Ok(list)
    }
}

struct UnitPoints<'a> {
    loaded: &'a Loaded,
    id: &'a UnitId,
    device: String,
    /// Instance number of the next analog value.
    next: u32,
    points: Vec<Point>,
}

impl UnitPoints<'_> {
    fn engine(&self) -> &EngineSettings {
        &self.loaded.checked.engine
    }

    /// Predictions first and the quality behind them: with three targets these are AV 0 to 3.
    fn outputs(&mut self, begin: u32) {
        let engine = self.engine();
        let unit = ("unit", self.id.as_str());
        let (document, state) =
            (engine.topics.prediction.render(&[unit]), engine.topics.state.render(&[unit]));
        let targets = &self.loaded.bundle.manifest.targets;
        for target in targets {
            let point = self.prediction(target, &document);
            self.points.push(point);
        }
        let mut quality = self.point("quality", Kind::Quality, "quality of the predictions", state.clone());
        quality.pointer = Some("/quality".to_owned());
        quality.values = Some("good=0;uncertain=1;bad=2");
        debug_assert!(Quality::Good < Quality::Uncertain && Quality::Uncertain < Quality::Bad);
        quality.bacnet = Some(self.analog("quality", Some("no-units")));
        self.points.push(quality);
        for target in targets.iter().filter(|target| target.measured_by.is_some()) {
            let point = self.residual(target, &document);
            self.points.push(point);
        }
        for (place, alarm) in (0_u32..).zip(AlarmId::OF_UNIT) {
            let topic = self.engine().unit_alarm_topic(self.id, alarm);
            let name = format!("alarm_{alarm}");
            let mut point =
                self.point(&name, Kind::Alarm, "an alarm that stands; nothing while it does not", topic);
            point.values = Some("empty=0;otherwise=1");
            point.brick = Some("Alarm".to_owned());
            point.bacnet = Some(BacnetObject {
                kind: "binary-value",
                instance: begin + place,
                name: self.object_name(&name),
                units: None,
            });
            self.points.push(point);
        }
    }

    fn prediction(&mut self, target: &TargetSpec, document: &str) -> Point {
        let engine = self.engine();
        let values = [("unit", self.id.as_str()), ("target", target.name.as_str())];
        let topic = engine.target_topics.then(|| engine.topics.target.render(&values));
        let flags = engine.target_flags.then(|| engine.topics.flags.render(&values));
        let name = format!("prediction_{}", target.name);
        let mut point = self.point(&name, Kind::Prediction, &described(target, "predicted"), String::new());
        point.topic = topic.unwrap_or_else(|| {
            point.pointer = Some(format!("/{}", target.name));
            document.to_owned()
        });
        point.flags_topic = flags;
        point.measured_in.clone_from(&target.unit);
        point.bacnet = Some(self.analog(&name, spelling(&target.unit).map(|unit| unit.bacnet)));
        point.brick.clone_from(&target.brick);
        point.haystack.clone_from(&target.haystack);
        point
    }

    fn residual(&mut self, target: &TargetSpec, document: &str) -> Point {
        let name = format!("residual_{}", target.name);
        let description = described(target, "measured minus predicted");
        let mut point = self.point(&name, Kind::Residual, &description, document.to_owned());
        point.pointer = Some(format!("/residuals/{}", target.name));
        let unit = unit_of_difference(&target.unit);
        unit.clone_into(&mut point.measured_in);
        point.bacnet = Some(self.analog(&name, spelling(unit).map(|unit| unit.bacnet)));
        point
    }

    /// The sensors, and the channels that measure targets.
    fn inputs(&mut self, rules: &Rules) {
        let manifest = &self.loaded.bundle.manifest;
        for name in manifest.channels() {
            let sensor = manifest.sensors.iter().find(|sensor| sensor.name == name);
            let measures =
                || manifest.targets.iter().find(|target| target.measured_by.as_deref() == Some(name));
            let description = match sensor {
                Some(sensor) => sensor.description.clone(),
                None => measures().map_or_else(String::new, |target| described(target, "measured")),
            };
            let places = rules.places(self.id, name);
            let place = the_place(&places);
            let topic = place.map_or_else(String::new, |place| place.topic.clone());
            let mut point = self.point(name, Kind::Input, &description, topic);
            point.pointer =
                place.and_then(|place| place.pointer.clone()).filter(|pointer| !pointer.is_empty());
            let there = place.and_then(|place| place.unit.as_deref());
            there.or(manifest.unit_of(name)).unwrap_or_default().clone_into(&mut point.measured_in);
            // What tags a target has are those of its prediction.
            point.brick = sensor.and_then(|sensor| sensor.brick.clone());
            point.haystack = sensor.and_then(|sensor| sensor.haystack.clone());
            point.sources = places.into_iter().map(source).collect();
            self.points.push(point);
        }
    }

    fn point(&self, name: &str, kind: Kind, description: &str, topic: String) -> Point {
        Point {
            unit: self.id.as_str().to_owned(),
            name: name.to_owned(),
            kind,
            description: description.to_owned(),
            topic,
            pointer: None,
            flags_topic: None,
            sources: Vec::new(),
            measured_in: String::new(),
            values: None,
            bacnet: None,
            brick: None,
            haystack: None,
            id: format!("{}_p-{name}", self.device),
        }
    }

    /// The next analog value.
    fn analog(&mut self, name: &str, units: Option<&'static str>) -> BacnetObject {
        let instance = self.next;
        self.next += 1;
        let units = Some(units.unwrap_or("no-units"));
        BacnetObject { kind: "analog-value", instance, name: self.object_name(name), units }
    }

    fn object_name(&self, point: &str) -> String {
        format!("{}.{point}", self.id)
    }
}

/// The one place of an input that is certain to be meant: a topic that carries nothing else, or a payload in which its
/// place is known. The topics of the settings count only where no rule that was written may read it.
fn the_place(places: &[Place]) -> Option<&Place> {
    let written: Vec<_> = places.iter().filter(|place| !place.is_built_in).collect();
    let meant: Vec<_> = written.iter().copied().filter(|place| place.is_meant).collect();
    match (meant.as_slice(), written.as_slice()) {
        ([], []) => places.iter().find(|place| place.is_exact()),
        (meant, _) => meant.iter().copied().find(|place| place.is_exact()),
    }
}

fn source(place: Place) -> Source {
    let pointer = place.pointer.filter(|pointer| !pointer.is_empty());
    Source { rule: place.rule, topic: place.topic, pointer }
}

fn described(target: &TargetSpec, what: &str) -> String {
    let about = if target.description.is_empty() { &target.name } else { &target.description };
    format!("{about}, {what}")
}
