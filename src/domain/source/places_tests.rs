use super::super::tests::{CHANNELS, rules, spec};
use super::super::{Births, ConversionSpec, RuleSpec, Rules};
use super::Place;
use crate::domain::source::Batch;
use crate::domain::unit::UnitId;

/// The places of a unit's sensor: rule, topic, and pointer with an arrow where it is known.
fn told(rules: &Rules, unit: &str, sensor: &str) -> Vec<String> {
    let places = rules.places(&UnitId::new(unit).unwrap(), sensor);
    places
        .into_iter()
        .map(|Place { rule, topic, pointer, .. }| match pointer {
            Some(pointer) => format!("{rule} {topic} -> {pointer}"),
            None => format!("{rule} {topic}"),
        })
        .collect()
}

fn table<const N: usize>(entries: [(&str, &str); N]) -> std::collections::BTreeMap<String, String> {
    entries.into_iter().map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).collect()
}

#[test]
fn without_rules_sensors_come_in_by_the_topics_of_the_settings() {
    let rules = rules(Vec::new());
    let built_in = ["topics.frame hvac/c1/sensors", "topics.reading hvac/c1/sensors/T -> "];
    assert_eq!(told(&rules, "c1", "T"), built_in);
    assert_eq!(told(&rules, "c1", "no sensor"), [""; 0]);
}

#[test]
fn a_rule_is_told_with_its_own_names() {
    let number = RuleSpec {
        rename: table([("rm temp", "T"), ("temp", "T"), ("F", "M")]),
        units: table([("AHU 07", "c7")]),
        ..spec("number", "site/+/{unit}/{sensor}")
    };
    let fixed = RuleSpec { unit: Some("c7".into()), sensor: Some("F".into()), ..spec("json", "meter/flow") };
    let fixed = RuleSpec { name: "flow".into(), value: Some("/l".into()), ..fixed };
    let rules = rules(vec![number, fixed]);
    let built_in = ["topics.frame hvac/c7/sensors", "topics.reading hvac/c7/sensors/T -> "];
    let own = ["r site/+/AHU 07/rm temp -> ", "r site/+/AHU 07/temp -> "];
    assert_eq!(told(&rules, "c7", "T"), [own, built_in].concat());
    assert_eq!(told(&rules, "c1", "T")[..2], ["r site/+/c1/rm temp -> ", "r site/+/c1/temp -> "]);
    // Their F is another sensor of ours.
    assert_eq!(told(&rules, "c7", "F")[0], "flow meter/flow -> /l");
    assert_eq!(told(&rules, "c1", "F").len(), 2);
    assert_eq!(told(&rules, "c1", "M")[..2], ["r site/+/c1/F -> ", "topics.frame hvac/c1/sensors"]);
    // A unit's name that the table gives to another one.
    assert!(told(&rules, "AHU 07", "T").iter().all(|place| place.starts_with("topics.")));
}

#[test]
fn what_only_messages_tell_is_left_open() {
    let rename = || table([("water.flow", "F"), ("a/b~", "T"), ("x.y.z", "M")]);
    let object = RuleSpec { at: Some("/data".into()), rename: rename(), ..spec("object", "o/{unit}/#") };
    let split = RuleSpec { rename: rename(), name: "split".into(), ..spec("tasmota", "s/{unit}/{sensor}") };
    let list = RuleSpec { name: "list".into(), unit_at: Some("/device".into()), ..spec("list", "l") };
    let sparkplug = RuleSpec {
        name: "plug".into(),
        rename: table([("dev/Air In", "T")]),
        ..spec("sparkplug", "spBv1.0/g/+/{unit}/{sensor}")
    };
    let rules = rules(vec![object, split, list, sparkplug]);
    let written = |sensor| {
        let mut told = told(&rules, "c1", sensor);
        told.retain(|place| !place.starts_with("topics."));
        told
    };
    assert_eq!(written("F"), ["r o/c1/# -> /data/water/flow", "split s/c1/water -> /flow", "list l"]);
    assert_eq!(written("T"), ["r o/c1/# -> /data/a~1b~0", "list l", "plug spBv1.0/g/+/c1/dev"]);
    assert_eq!(written("M"), ["r o/c1/# -> /data/x/y/z", "split s/c1/+", "list l"]);
}

#[test]
fn what_an_earlier_rule_takes_is_not_told_of_a_later_one() {
    let narrow = RuleSpec { unit: Some("c1".into()), ..spec("object", "hvac/c1/sensors") };
    let wide = RuleSpec { name: "wide".into(), fallback: true, ..spec("number", "hvac/{unit}/+/{sensor}") };
    let rules = rules(vec![narrow, wide]);
    let first = ["r hvac/c1/sensors -> /T", "wide hvac/c1/+/T -> "];
    assert_eq!(told(&rules, "c1", "T"), first);
    assert_eq!(told(&rules, "c2", "T"), ["wide hvac/c2/+/T -> ", "topics.frame hvac/c2/sensors"]);
}

#[test]
fn a_rule_that_names_other_sensors_may_not_be_meant_and_units_are_the_sources() {
    let scaled =
        |from: &str, scale| ConversionSpec { from: Some(from.into()), scale, ..ConversionSpec::default() };
    let mut rule = RuleSpec { rename: table([("t", "T")]), ..spec("object", "o/{unit}") };
    rule.sensors = [("T".to_owned(), scaled("°F", None)), ("F".to_owned(), scaled("L/h", Some(0.1)))].into();
    rule.overrides = [("c2".to_owned(), [("T".to_owned(), scaled("K", None))].into())].into();
    let rules = rules(vec![rule]);
    let first = |unit: &str, sensor| {
        let place = rules.places(&UnitId::new(unit).unwrap(), sensor).swap_remove(0);
        (place.is_meant, place.unit)
    };
    assert_eq!(first("c1", "T"), (true, Some("degF".into())));
    assert_eq!(first("c2", "T"), (true, Some("K".into())));
    assert_eq!(first("c1", "F"), (true, Some(String::new())));
    assert_eq!(first("c1", "M"), (false, None));
}

/// Whatever a place says exactly, a message made by it is read as that.
#[test]
fn messages_made_by_exact_places_are_read() {
    let number = RuleSpec {
        rename: table([("rm temp", "T"), ("F", "M")]),
        units: table([("AHU 07", "c1")]),
        ..spec("number", "site/{unit}/{sensor}")
    };
    let json = RuleSpec { name: "j".into(), value: Some("/a/v".into()), ..spec("json", "j/{unit}/{sensor}") };
    let object = RuleSpec {
        name: "o".into(),
        at: Some("/d~1/e".into()),
        rename: table([("w.f", "F"), ("a/b~", "T")]),
        ..spec("object", "o/{unit}")
    };
    let split =
        RuleSpec { name: "s".into(), rename: table([("w.f", "F")]), ..spec("tasmota", "s/{unit}/{sensor}") };
    let mut rules = rules(vec![number, json, object, split]);
    let mut read = 0;
    for unit in ["c1", "c2"] {
        for (channel, known) in CHANNELS.iter().enumerate() {
            let places = rules.places(&UnitId::new(unit).unwrap(), known.name);
            for place in places.into_iter().filter(Place::is_exact) {
                let payload = place.pointer.iter().flat_map(|pointer| pointer.rsplit('/')).fold(
                    "5".to_owned(),
                    |inner, step| match step.replace("~1", "/").replace("~0", "~").as_str() {
                        "" => inner,
                        step => format!("{{\"{step}\":{inner}}}"),
                    },
                );
                let mut batch = Batch::default();
                rules.read(&place.topic, payload.as_bytes(), &mut Births::default(), &mut batch).unwrap();
                let group = batch.group(0).unwrap();
                assert_eq!(group.unit, unit, "{place:?}");
                assert_eq!(group.readings.len(), 1);
                assert_eq!(
                    (group.readings[0].channel, group.readings[0].value),
                    (channel, Ok(5.0)),
                    "{place:?}"
                );
                read += 1;
            }
        }
    }
    // Of each unit: two by number, three each by json, object and the topic of single readings, one by tasmota.
    assert_eq!(read, 2 * (2 + 3 + 3 + 3 + 1));
}
