//! The list as a grid of Project Haystack 4, in its JSON encoding.

use serde_json::{Map, Value, json};

use super::list::{Kind, Point, PointList};
use crate::domain::spelling;

/// One grid: the units as equipment, then their points.
pub(super) fn grid(list: &PointList) -> String {
    let mut rows: Vec<Map<String, Value>> = Vec::new();
    for (name, id) in &list.units {
        let mut row = Map::new();
        row.insert("id".into(), reference(id));
        row.insert("dis".into(), name.as_str().into());
        row.insert("equip".into(), marker());
        rows.push(row);
    }
    for point in &list.points {
        let equip = list.units.iter().find(|(name, _)| *name == point.unit).map_or("", |(_, id)| id);
        rows.push(row(point, equip));
    }
    let mut columns: Vec<&String> = rows.iter().flat_map(Map::keys).collect();
    columns.sort_unstable();
    columns.dedup();
    let columns: Vec<Value> = columns.into_iter().map(|name| json!({ "name": name })).collect();
    let grid = json!({ "_kind": "grid", "meta": { "ver": "3.0" }, "cols": columns, "rows": rows });
    format!("{grid:#}\n")
}

fn row(point: &Point, equip: &str) -> Map<String, Value> {
    let mut row = Map::new();
    let mut set = |key: &str, value: Value| row.insert(key.to_owned(), value);
    set("id", reference(&point.id));
    set("dis", format!("{} {}", point.unit, point.name).into());
    set("doc", point.description.as_str().into());
    set("equipRef", reference(equip));
    set("point", marker());
    set("cooltwinKind", point.kind.name().into());
    if !point.topic.is_empty() {
        set("mqttTopic", point.topic.as_str().into());
    }
    if !point.sources.is_empty() {
        let sources: Vec<_> = point.sources.iter().map(ToString::to_string).collect();
        set("mqttSources", sources.into());
    }
    if let Some(pointer) = &point.pointer {
        set("mqttPointer", pointer.as_str().into());
    }
    if let Some(flags) = &point.flags_topic {
        set("mqttFlagsTopic", flags.as_str().into());
    }
    match point.kind {
        Kind::Quality => {
            set("kind", "Str".into());
            set("enum", "good,uncertain,bad".into());
        }
        Kind::Alarm => {
            set("kind", "Bool".into());
            set("alarm", marker());
        }
        Kind::Prediction | Kind::Residual | Kind::Input => {
            set("kind", "Number".into());
            let unit = spelling(&point.measured_in).map_or(point.measured_in.as_str(), |unit| unit.haystack);
            if !unit.is_empty() {
                set("unit", unit.into());
            }
        }
    }
    if let Some(object) = &point.bacnet {
        let short = if object.kind == "binary-value" { "BV" } else { "AV" };
        set("bacnetCur", format!("{short}{}", object.instance).into());
    }
    for tag in point.haystack.iter().flat_map(|tags| tags.split_whitespace()) {
        // What the point says itself counts; the bundle was checked not to have such a tag.
        row.entry(tag).or_insert_with(marker);
    }
    row
}

fn reference(id: &str) -> Value {
    json!({ "_kind": "ref", "val": id })
}

fn marker() -> Value {
    json!({ "_kind": "marker" })
}
