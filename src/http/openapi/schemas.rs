//! What is sent and answered.

use serde_json::{Map, Value, json};

use super::super::predict::{LARGEST_FEATURE, MAX_VIOLATIONS, TIME_KEY, range_of_channel};
use crate::bundle::manifest::Missing;
use crate::daemon::desk::Served;

pub(super) fn schemas(served: &Served) -> Value {
    json!({
        "Sample": { "anyOf": [reference("Readings"), reference("Features")] },
        "Readings": readings(served),
        "Features": features(served),
        "Prediction": prediction(served, true),
        "BatchItem": prediction(served, false),
        "BatchAnswer": batch_answer(),
        "ModelIdentity": object(json!({
            "id": text("The bundle's name"),
            "version": text("Its version"),
            "sha256": text("The first 16 digits of its hash"),
        })),
        "Health": health(),
        "Word": object(json!({ "status": text("In a word"), "reasons": texts("Why, in words that stay the same") })),
        "UnitList": object(json!({ "count": count("Units held"), "units": list(&reference("UnitBrief")) })),
        "UnitBrief": unit(false),
        "Unit": unit(true),
        "Target": object(json!({
            "name": text("The target"), "unit": text("Unit of measurement"),
            "predicted": optional("Predicted last"), "measured": optional("Measured then"),
            "residual": optional("Measured less predicted"),
        })),
        "Sensor": object(json!({
            "name": text("The sensor"), "unit": text("Unit of measurement"),
            "status": { "type": "string", "enum": ["fresh", "stale", "missing"] },
            "value": optional("The value held"), "age_s": optional("Its age in seconds"),
            "time": { "type": ["string", "null"] },
            "accepted": range(), "trained": { "anyOf": [range(), { "type": "null" }] },
        })),
        "Alarm": object(json!({
            "id": text("Its name"), "severity": { "type": "string", "enum": ["warning", "critical"] },
            "since": text("Since when"), "text": text("What is wrong"), "remedy": text("What to do"),
        })),
        "Model": model(),
        "Problem": problem(),
    })
}

/// A sample that the bundle can predict: its sensors in the middle of what they were trained on.
pub(super) fn example(served: &Served) -> Value {
    let assembler = &served.evaluator.assembler;
    let sensors = served.manifest.sensors.iter().enumerate();
    let value = |index: usize, (low, high): (f64, f64)| {
        let (low, high) = assembler.trained_range(index).unwrap_or((low, high));
        f64::midpoint(low, high).round()
    };
    let named = sensors.map(|(index, sensor)| {
        let value = value(index, sensor.accept).clamp(sensor.accept.0, sensor.accept.1);
        (sensor.name.clone(), json!(value))
    });
    Value::Object(named.collect())
}

fn readings(served: &Served) -> Value {
    let manifest = &served.manifest;
    let mut properties = Map::new();
    for (channel, name) in manifest.channels().into_iter().enumerate() {
        let sensor = manifest.sensors.get(channel);
        let is_required = sensor.is_some_and(|sensor| sensor.missing == Missing::Required);
        let description =
            sensor.map_or("measured value of a target; gives a residual", |sensor| &sensor.description);
        let kind = if is_required { json!("number") } else { json!(["number", "null"]) };
        if let Some((min, max, unit)) = range_of_channel(channel, manifest) {
            let description = format!("{description}, {unit}");
            let property =
                json!({ "type": kind, "minimum": min, "maximum": max, "description": description });
            properties.insert(name.to_owned(), property);
        }
    }
    add_time(&mut properties);
    let required: Vec<&str> = required(served).collect();
    json!({
        "type": "object",
        "description": "Sensors by name, those there are; null is as good as not there. Without a required one nothing is \
                        predicted.",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "example": example(served),
    })
}

fn required(served: &Served) -> impl Iterator<Item = &str> {
    let sensors = served.manifest.sensors.iter();
    sensors.filter(|sensor| sensor.missing == Missing::Required).map(|sensor| sensor.name.as_str())
}

fn features(served: &Served) -> Value {
    let manifest = &served.manifest;
    let mut properties = Map::new();
    for feature in &manifest.features {
        let sensor = manifest.sensors.iter().find(|sensor| sensor.name == feature.name);
        let (min, max) = sensor.map_or((-LARGEST_FEATURE, LARGEST_FEATURE), |sensor| sensor.accept);
        let is_required = sensor.is_some_and(|sensor| sensor.missing == Missing::Required);
        let kind = if is_required { json!("number") } else { json!(["number", "null"]) };
        let description = format!("{}, {}", feature.description, feature.unit);
        let property = json!({ "type": kind, "minimum": min, "maximum": max, "description": description });
        properties.insert(feature.name.clone(), property);
    }
    let names: Vec<&str> = manifest.features.iter().map(|feature| feature.name.as_str()).collect();
    // Sensors that are no feature may stand beside them, required ones must.
    for sensor in &manifest.sensors {
        if !names.contains(&sensor.name.as_str()) {
            let (min, max) = sensor.accept;
            let kind =
                if sensor.missing == Missing::Required { json!("number") } else { json!(["number", "null"]) };
            properties.insert(sensor.name.clone(), json!({ "type": kind, "minimum": min, "maximum": max }));
        }
    }
    add_time(&mut properties);
    let all: Vec<&str> =
        names.iter().copied().chain(required(served).filter(|name| !names.contains(name))).collect();
    json!({
        "type": "object",
        "description": "All features by name, as `cooltwin features` computes them; null where one has no value.",
        "properties": properties,
        "required": all,
        "additionalProperties": false,
    })
}

fn add_time(properties: &mut Map<String, Value>) {
    let description =
        "When it was measured; unset means now. Of use where a feature looks at the time of day.";
    // Years that every calendar agrees on, and no leap seconds.
    let pattern = "^(19[7-9]|20[0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$";
    let time = json!({
        "type": ["string", "null"], "pattern": pattern, "description": description, "example": "2026-01-31T12:00:00Z",
    });
    properties.entry(TIME_KEY).or_insert(time);
}

fn prediction(served: &Served, is_single: bool) -> Value {
    let mut properties = Map::new();
    for target in &served.manifest.targets {
        let description = format!(
            "{}, {}; null when the inputs do not carry a prediction",
            target.description, target.unit
        );
        properties.insert(target.name.clone(), optional(&description));
    }
    let quality = json!({ "type": "string", "enum": ["good", "uncertain", "bad"] });
    properties.insert("quality".to_owned(), quality);
    properties.insert("reasons".to_owned(), texts("Why the quality is not good: code:subject"));
    let residuals = json!({
        "type": "object", "additionalProperties": { "type": "number" },
        "description": "Measured less predicted, of targets of which the measured value was sent",
    });
    properties.insert("residuals".to_owned(), residuals);
    if is_single {
        properties.insert(
            "latency_ms".to_owned(),
            json!({ "type": "number", "description": "Reading and predicting" }),
        );
        properties.insert("model_version".to_owned(), text("The bundle's version"));
        properties.insert("model".to_owned(), reference("ModelIdentity"));
    }
    object(Value::Object(properties))
}

fn batch_answer() -> Value {
    object(json!({
        "predictions": list(&reference("BatchItem")),
        "count": count("How many"),
        "latency_total_ms": { "type": "number" },
        "latency_per_sample_ms": { "type": "number" },
        "model_version": text("The bundle's version"),
        "model": reference("ModelIdentity"),
    }))
}

fn health() -> Value {
    object(json!({
        "status": { "type": "string", "enum": ["healthy", "unhealthy"] },
        "reasons": texts("Why it is not healthy, in words that stay the same"),
        "model_loaded": { "type": "boolean" },
        "models": texts("Targets predicted"),
        "models_loaded": texts("The same"),
        "model_type": { "type": "string", "const": "onnx" },
        "model_version": text("The bundle's version"),
        "version": text("The program's version"),
        "health": { "type": "object", "description": "The document that is published over MQTT" },
    }))
}

fn unit(has_sensors: bool) -> Value {
    let mut properties = json!({
        "unit": text("Its name"),
        "state": { "type": "string", "enum": ["waiting", "predicting", "withheld"] },
        "quality": { "type": "string", "enum": ["good", "uncertain", "bad"] },
        "reasons": texts("Why the quality is not good"),
        "seq": count("Predictions since it appeared"),
        "heard_s": { "type": "number", "description": "Seconds since something came of it" },
        "predicted_s": optional("Seconds since the latest prediction"),
        "time": { "type": ["string", "null"], "description": "Event time of the latest prediction" },
        "targets": list(&reference("Target")),
        "alarms": list(&reference("Alarm")),
    });
    if has_sensors {
        properties["sensors"] = list(&reference("Sensor"));
    }
    object(properties)
}

fn model() -> Value {
    let any = json!({ "type": "array", "items": { "type": "object" } });
    object(json!({
        "id": text("The bundle's name"), "version": text("Its version"), "sha256": text("Its hash, shortened"),
        "description": text("What it is"),
        "step_s": { "type": "number", "description": "Distance of the instants that windows look at" },
        "sensors": any, "features": any, "targets": any,
        "max_missing_features": count("With more missing ones nothing is predicted"),
        "residuals_usable": { "type": "boolean", "description": "Whether residuals say anything about faults" },
        "leaking_features": texts("Features computed from a measured target"),
    }))
}

fn problem() -> Value {
    let violation = json!({
        "type": "object",
        "properties": {
            "sample": count("Its place in a batch, from 0"),
            "field": text("The name it came under"),
            "value": { "description": "As it came" },
            "reason": {
                "type": "string",
                "enum": ["out_of_range", "not_a_number", "not_finite", "not_a_time", "duplicate", "unknown", "required",
                         "feature_missing"],
            },
            "message": text("Why, with the remedy"),
            "allowed": object(json!({
                "min": { "type": "number" }, "max": { "type": "number" }, "unit": { "type": "string" },
            })),
        },
        "required": ["field", "value", "reason", "message"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "description": "RFC 9457",
        "properties": {
            "type": text("about:blank"), "title": text("The status in words"), "status": { "type": "integer" },
            "detail": text("What is wrong, with the remedy"),
            "violations": { "type": "array", "items": violation, "maxItems": MAX_VIOLATIONS },
            "more": count("Violations beyond those listed"),
        },
        "required": ["type", "title", "status", "detail"],
        "additionalProperties": false,
    })
}

/// An object that has all of these and nothing else.
fn object(properties: Value) -> Value {
    let names: Vec<String> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    json!({ "type": "object", "properties": properties, "required": names, "additionalProperties": false })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

fn optional(description: &str) -> Value {
    json!({ "type": ["number", "null"], "description": description })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn range() -> Value {
    json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
}
