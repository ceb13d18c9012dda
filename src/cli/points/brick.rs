//! The list as a Brick model in Turtle.

use std::fmt::Write as _;

use super::list::{Point, PointList};
use crate::domain::spelling;

const PREFIXES: &str = "\
@prefix brick: <https://brickschema.org/schema/Brick#> .
@prefix ref: <https://brickschema.org/schema/Brick/ref#> .
@prefix bacnet: <http://data.ashrae.org/bacnet/2020#> .
@prefix unit: <http://qudt.org/vocab/unit/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix cooltwin: <urn:cooltwin:terms#> .
";

/// One graph: the units as equipment with their points.
pub(super) fn turtle(list: &PointList) -> String {
    let mut text = String::from(PREFIXES);
    // Ids have letters, digits, `-` and `_` only.
    let _ = writeln!(text, "@prefix site: <urn:cooltwin:{}:> .", list.id);
    for (name, id) in &list.units {
        let _ = write!(text, "\nsite:{id} a brick:Equipment ;\n    rdfs:label {}", literal(name));
        for point in list.points.iter().filter(|point| point.unit == *name) {
            let _ = write!(text, " ;\n    brick:hasPoint site:{}", point.id);
        }
        text.push_str(" .\n");
    }
    for point in &list.points {
        write_point(&mut text, point);
    }
    text
}

/// Writing to a String cannot fail, so the results carry nothing.
fn write_point(text: &mut String, point: &Point) {
    let class = point.brick.as_deref().unwrap_or("Point");
    let _ = write!(text, "\nsite:{} a brick:{class}", point.id);
    let mut say = |predicate: &str, object: &str| {
        let _ = write!(text, " ;\n    {predicate} {object}");
    };
    say("rdfs:label", &literal(&format!("{} {}", point.unit, point.name)));
    say("rdfs:comment", &literal(&point.description));
    say("cooltwin:kind", &literal(point.kind.name()));
    if !point.topic.is_empty() {
        say("cooltwin:topic", &literal(&point.topic));
    }
    for source in &point.sources {
        say("cooltwin:source", &literal(&source.to_string()));
    }
    if let Some(pointer) = &point.pointer {
        say("cooltwin:pointer", &literal(pointer));
    }
    if let Some(flags) = &point.flags_topic {
        say("cooltwin:flagsTopic", &literal(flags));
    }
    if let Some(unit) = spelling(&point.measured_in) {
        say("brick:hasUnit", &format!("unit:{}", unit.qudt));
    }
    if let Some(object) = &point.bacnet {
        let reference = format!(
            "[ a ref:BACnetReference ;\n        bacnet:object-identifier {} ;\n        bacnet:object-name {} ]",
            literal(&format!("{},{}", object.kind, object.instance)),
            literal(&object.name)
        );
        say("ref:hasExternalReference", &reference);
    }
    text.push_str(" .\n");
}

/// A text in quotes, as Turtle writes it.
fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
