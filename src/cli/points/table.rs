//! The list as rows, and as one JSON document.

use std::borrow::Cow;

use super::list::{Point, PointList};
use crate::domain::prediction::SCHEMA_VERSION;

const COLUMNS: [&str; 16] = [
    "unit",
    "point",
    "kind",
    "description",
    "topic",
    "pointer",
    "flags_topic",
    "measured_in",
    "values",
    "bacnet_type",
    "bacnet_instance",
    "bacnet_name",
    "bacnet_units",
    "brick",
    "haystack",
    "sources",
];

/// RFC 4180, with a line of names.
pub(super) fn csv(list: &PointList) -> String {
    let mut text = COLUMNS.join(",");
    text.push_str("\r\n");
    for point in &list.points {
        let cells = cells(point);
        let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn cells(point: &Point) -> [String; 16] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let object = point.bacnet.as_ref();
    let sources: Vec<_> = point.sources.iter().map(ToString::to_string).collect();
    [
        point.unit.clone(),
        point.name.clone(),
        point.kind.name().to_owned(),
        as_text(&point.description),
        point.topic.clone(),
        text(&point.pointer),
        text(&point.flags_topic),
        as_text(&point.measured_in),
        point.values.unwrap_or_default().to_owned(),
        object.map_or("", |object| object.kind).to_owned(),
        object.map_or_else(String::new, |object| object.instance.to_string()),
        object.map_or_else(String::new, |object| object.name.clone()),
        object.and_then(|object| object.units).unwrap_or_default().to_owned(),
        text(&point.brick),
        text(&point.haystack),
        as_text(&sources.join("; ")),
    ]
}

/// A cell that people read, so that a spreadsheet does not take it for a formula and run it: the texts of a bundle come
/// from whoever made that. Names and topics stay as they are, as gateways take them by the letter.
fn as_text(cell: &str) -> String {
    let is_formula = cell.len() > 1 && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    format!("{}{cell}", if is_formula { "'" } else { "" })
}

fn quoted(cell: &str) -> Cow<'_, str> {
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\"")).into()
    } else {
        cell.into()
    }
}

/// One document with everything.
pub(super) fn json(list: &PointList) -> String {
    let document = serde_json::json!({
        "schema": SCHEMA_VERSION,
        "instance": list.instance,
        "bundle": list.bundle,
        "points": list.points,
    });
    format!("{document:#}\n")
}
