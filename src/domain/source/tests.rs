use std::fmt::Write as _;

use super::*;
use crate::domain::{PayloadKeys, RejectReason, TopicTemplate, ZoneSpec};

pub(super) const CHANNELS: [Channel<'static>; 3] = [
    Channel { name: "T", unit: "degC" },
    Channel { name: "F", unit: "m3/h" },
    Channel { name: "M", unit: "1" },
];

/// What a rule for `u/{unit}/s` or the topic given is, of a kind.
pub(super) fn spec(kind: &str, topic: &str) -> RuleSpec {
    RuleSpec { name: "r".into(), topic: topic.into(), kind: kind.into(), ..RuleSpec::default() }
}

pub(super) fn rules(specs: Vec<RuleSpec>) -> Rules {
    let rules: Vec<Rule> = specs.into_iter().map(|spec| Rule::new(spec, &ZoneSpec::utc()).unwrap()).collect();
    let frame = TopicTemplate::parse("hvac/{unit}/sensors", &["unit"], true).unwrap();
    let reading = TopicTemplate::parse("hvac/{unit}/sensors/{sensor}", &["unit", "sensor"], true).unwrap();
    let (rules, problems) =
        Rules::new(&rules, (&frame, &reading), PayloadKeys::default(), &ZoneSpec::utc(), &CHANNELS);
    assert_eq!(problems, []);
    rules
}

/// The readings of a message as text, or why there are none.
fn read(rules: &mut Rules, topic: &str, payload: &str) -> String {
    let mut batch = Batch::default();
    let outcome = rules.read(topic, payload.as_bytes(), &mut Births::default(), &mut batch);
    story(outcome, &batch)
}

/// What a message held, as text.
pub(super) fn story(outcome: Result<(), RejectReason>, batch: &Batch) -> String {
    let mut text = String::new();
    if let Err(reason) = outcome {
        return reason.to_string();
    }
    for group in (0..batch.len()).filter_map(|index| batch.group(index)) {
        let time = group.time.map_or_else(String::new, |time| format!("@{}", time.as_micros() / 1_000_000));
        let _ = write!(text, "{}{time}", group.unit);
        for reading in group.readings {
            let value = reading.value.map_or_else(|reason| reason.to_string(), |value| value.to_string());
            let _ = write!(text, " {}={value}", CHANNELS[reading.channel].name);
        }
        text.push(';');
    }
    for (reason, count) in batch.rejects().iter() {
        let _ = write!(text, "{reason}:{count}");
    }
    text
}

#[test]
fn the_built_in_rules_read_what_they_always_did() {
    let mut rules = rules(Vec::new());
    assert_eq!(
        read(&mut rules, "hvac/c1/sensors", r#"{"time":7,"data":{"T":1,"x":2,"F":"3"}}"#),
        "c1@7 T=1 F=not_a_number;unknown_sensor:1"
    );
    assert_eq!(read(&mut rules, "hvac/c1/sensors/T", "21.5"), "c1 T=21.5;");
    assert_eq!(read(&mut rules, "hvac/c1/sensors/X", "21.5"), "unknown_sensor");
    assert_eq!(read(&mut rules, "hvac/c1/sensors/T", "{"), "malformed_payload");
    assert_eq!(read(&mut rules, "hvac//sensors/T", "1"), "invalid_unit");
    assert_eq!(read(&mut rules, "hvac/c1/other", "1"), "unknown_topic");
    assert_eq!(rules.filters(None), ["hvac/+/sensors", "hvac/+/sensors/+"]);
}

#[test]
fn numbers() {
    let mut number = spec("number", "u/{unit}/{sensor}");
    number.rename.insert("temp".into(), "T".into());
    number.units.insert("seven".into(), "c7".into());
    number.ignore.push("rssi".into());
    let fahrenheit =
        ConversionSpec { from: Some("degF".into()), invalid: vec![-999.0], ..ConversionSpec::default() };
    let switch = ConversionSpec { words: [("on".into(), 1.0)].into(), ..ConversionSpec::default() };
    let corrected = ConversionSpec { offset: Some(-18.0), ..ConversionSpec::default() };
    number.sensors = [("T".into(), fahrenheit), ("M".into(), switch)].into();
    number.overrides.insert("c7".into(), [("T".to_owned(), corrected)].into());
    let mut rules = rules(vec![number]);
    for (topic, payload, expected) in [
        ("u/c1/temp", "68", "c1 T=20;"),
        ("u/c1/T", " \"68\"\n", "c1 T=20;"),
        ("u/seven/temp", "68", "c7 T=10;"),
        ("u/seven/temp", "-999", "c7 T=sentinel_value;"),
        ("u/c1/M", "ON", "c1 M=1;"),
        ("u/c1/M", "off", "c1 M=not_a_number;"),
        ("u/c1/T", "nan", "c1 T=not_finite;"),
        ("u/c1/T", "", "c1 T=not_a_number;"),
        ("u/c1/rssi", "-61", ""),
        ("u/c1/rain", "3", "unknown_sensor:1"),
        ("u/a b\"/T", "3", "invalid_unit"),
    ] {
        assert_eq!(read(&mut rules, topic, payload), expected, "{topic} {payload}");
    }
}

#[test]
fn values_at_pointers() {
    let mut json = spec("json", "in");
    json.unit_at = Some("/d/0/unit".into());
    json.sensor_at = Some("/d/0/point".into());
    json.value = Some("/d/0/v".into());
    json.time = Some("/d/0/t".into());
    json.time_format = Some("ms".into());
    let mut rules = rules(vec![json]);
    for (payload, expected) in [
        (r#"{"d":[{"unit":"c1","point":"T","v":4,"t":7000}]}"#, "c1@7 T=4;"),
        (r#"{"d":[{"unit":12,"point":"T","v":"4"}]}"#, "12 T=4;"),
        (r#"{"d":[{"unit":"c1","point":"T","v":[4]}]}"#, "c1 T=not_a_number;"),
        (r#"{"d":[{"unit":"c1","point":"T","v":NaN}]}"#, "c1 T=not_finite;"),
        (r#"{"d":[{"unit":"c1","point":"Q","v":4}]}"#, "unknown_sensor:1"),
        (r#"{"d":[{"point":"T","v":4}]}"#, "invalid_unit"),
        (r#"{"d":[{"unit":"c1","v":4}]}"#, "unexpected_shape"),
        (r#"{"d":[]}"#, "unexpected_shape"),
        (r#"{"d":[{"unit":"c1","point":"T","v":4,"t":"x"}]}"#, "invalid_time"),
        ("4", "unexpected_shape"),
        ("{\"d\":", "malformed_payload"),
        ("", "malformed_payload"),
    ] {
        assert_eq!(read(&mut rules, "in", payload), expected, "{payload}");
    }
}

#[test]
fn objects_of_readings() {
    let mut object = spec("object", "u/{unit}/{sensor}");
    object.at = Some("/v".into());
    object.time = Some("/v/t".into());
    object.rename = [("in.air.0", "T"), ("in.flow", "F")]
        .map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()))
        .into();
    let mut rules = rules(vec![object]);
    for (payload, expected) in [
        (r#"{"v":{"t":7,"air":[4,5],"flow":6}}"#, "c1@7 T=4 F=6;unknown_sensor:1"),
        (r#"{"v":{"flow":6,"flow":7}}"#, "c1 F=duplicate_key;"),
        (r#"{"v":{"flow":-Infinity,"air":[1]}}"#, "c1 F=not_finite T=1;"),
        (r#"{"v":{}}"#, "unexpected_shape"),
        (r#"{"v":[1]}"#, "unexpected_shape"),
        (r#"{"w":{}}"#, "unexpected_shape"),
        (r#"{"v":{"t":"then","flow":6}}"#, "invalid_time"),
    ] {
        assert_eq!(read(&mut rules, "u/c1/in", payload), expected, "{payload}");
    }
    let many: Vec<String> = (0..1100).map(|index| format!("\"k{index}\":1")).collect();
    assert_eq!(read(&mut rules, "u/c1/in", &format!("{{\"v\":{{{}}}}}", many.join(","))), "too_many_keys");
}

#[test]
fn lists_of_units_and_times() {
    let mut list = spec("list", "in");
    list.unit_at = Some("/u".into());
    list.at = Some("/l".into());
    let mut rules = rules(vec![list]);
    for (payload, expected) in [
        (
            r#"{"u":"c1","time":9,"l":[{"name":"T","value":1},{"name":"F","value":2,"time":8},{"name":"T","value":3,"u":"c2"}]}"#,
            "c1@8 F=2;c1@9 T=1;c2@9 T=3;",
        ),
        (r#"{"u":"c1","l":[{"name":"T","value":1},{"name":"T","value":2}]}"#, "c1 T=duplicate_key;"),
        (
            r#"{"u":"c1","l":[{"value":1},7,{"name":"T"},{"name":"M","value":0}]}"#,
            "c1 M=0;unexpected_shape:3",
        ),
        (r#"{"u":"c1","l":[]}"#, "unexpected_shape"),
        (r#"{"u":"c1","l":{}}"#, "unexpected_shape"),
        (r#"{"l":[{"name":"T","value":1}]}"#, "invalid_unit:1"),
    ] {
        assert_eq!(read(&mut rules, "in", payload), expected, "{payload}");
    }
    let entry = r#"{"name":"T","value":1}"#;
    let many = format!("{{\"u\":\"c\",\"l\":[{}]}}", vec![entry; 1100].join(","));
    assert_eq!(read(&mut rules, "in", &many), "too_many_keys");
}

#[test]
fn devices_that_tell_more_than_readings() {
    let mut zigbee = spec("zigbee2mqtt", "z/{unit}");
    zigbee.rename.insert("temperature".into(), "T".into());
    let mut rules = rules(vec![zigbee]);
    let full =
        r#"{"battery":87,"last_seen":"1970-01-01T00:00:07Z","temperature":21.5,"update":{"state":"idle"}}"#;
    assert_eq!(read(&mut rules, "z/c1", full), "c1@7 T=21.5;");
    assert_eq!(read(&mut rules, "z/c1", r#"{"battery":87,"state":"ON"}"#), "unknown_sensor");
    assert_eq!(read(&mut rules, "z/c1", "{}"), "unexpected_shape");
    assert_eq!(read(&mut rules, "z/c1", r#"{"last_seen":"soon","temperature":1}"#), "invalid_time");
}

#[test]
fn shelly_notifications_and_status() {
    let rename = [("temperature:100.tC".to_owned(), "T".to_owned())];
    let named = |name: &str, topic| RuleSpec {
        name: name.into(),
        rename: rename.clone().into(),
        ..spec("shelly", topic)
    };
    let mut rules = rules(vec![named("a", "{unit}/events/rpc"), named("b", "{unit}/status/{sensor}")]);
    for (topic, payload, expected) in [
        (
            "c1/events/rpc",
            r#"{"method":"NotifyStatus","params":{"ts":7.5,"temperature:100":{"id":100,"tC":4}}}"#,
            "c1@7 T=4;",
        ),
        ("c1/events/rpc", r#"{"method":"NotifyEvent","params":{"ts":7,"events":[]}}"#, ""),
        ("c1/events/rpc", r#"{"method":"NotifyStatus"}"#, "unexpected_shape"),
        (
            "c1/events/rpc",
            r#"{"method":"NotifyStatus","params":{"ts":7,"input:0":{"state":true}}}"#,
            "unknown_sensor",
        ),
        ("c1/status/temperature:100", r#"{"id":100,"tC":4,"tF":39.2}"#, "c1 T=4;"),
        ("c1/status/temperature:100", r#"{"id":100,"tC":null}"#, "c1 T=not_a_number;"),
        ("c1/status/temperature:100", "4", "unexpected_shape"),
    ] {
        assert_eq!(read(&mut rules, topic, payload), expected, "{payload}");
    }
}

#[test]
fn telemetry_of_many_devices() {
    let mut rules = rules(vec![spec("thingsboard", "in")]);
    for (payload, expected) in [
        (
            r#"{"a":[{"ts":8000,"values":{"T":1}},{"ts":7000,"values":{"T":2}}],"b":[{"F":3}]}"#,
            "a@7 T=2;a@8 T=1;b F=3;",
        ),
        (
            r#"{"a":[{"ts":"x","values":{"T":1}}],"b":{"T":1},"c/d":[{"T":1}],"e":[7]}"#,
            "unexpected_shape:2invalid_unit:1invalid_time:1",
        ),
        (r#"{"a":[]}"#, "unexpected_shape"),
        ("[]", "unexpected_shape"),
    ] {
        assert_eq!(read(&mut rules, "in", payload), expected, "{payload}");
    }
    let many = format!("{{\"a\":[{}]}}", vec![r#"{"T":1}"#; 1100].join(","));
    assert_eq!(read(&mut rules, "in", &many), "too_many_keys");
    let mut named = spec("thingsboard", "in/{unit}");
    named.name = "named".into();
    let problems = Rule::new(named, &ZoneSpec::utc()).unwrap_err();
    assert!(problems[0].remedy.contains("the payload names the units"), "{problems:?}");
}

#[test]
fn lines_of_the_line_protocol() {
    let mut plain = spec("influx", "i");
    plain.unit_tag = Some("unit".into());
    plain.rename = [("coil.temp", "T"), ("flow", "F")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let mut tagged = spec("influx", "j/{unit}");
    tagged.name = "tagged".into();
    tagged.sensor_tag = Some("point".into());
    tagged.time_format = Some("s".into());
    tagged.rename.insert("a b.raw".into(), "M".into());
    let mut rules = rules(vec![plain, tagged]);
    for (topic, payload, expected) in [
        ("i", "coil,unit=c1 temp=4 7000000000", "c1@7 T=4;"),
        ("i", "coil,host=x,unit=c1 temp=4i,flow=2u,rpm=3 7000000000\n", "c1@7 T=4 F=2;unknown_sensor:1"),
        ("i", "# comment\n\ncoil,unit=c1 temp=4\r\nother,unit=c2 flow=5", "c1 T=4;c2 F=5;"),
        ("i", "coil,unit=c\\ 1 temp=4", "c 1 T=4;"),
        ("i", "coil,unit=c\\,1,x=\"a temp=4", "c,1 T=4;"),
        ("i", r#"coil,unit=c1 note="a, b=1 \"c\" d",temp=4"#, "c1 T=4;unknown_sensor:1"),
        (
            "i",
            "coil,unit=c1 note=\"two\nlines\",temp=4\ncoil,unit=c2 temp=5",
            "c1 T=4;c2 T=5;unknown_sensor:1",
        ),
        ("i", "coil,unit=c1 temp=t", "c1 T=not_a_number;"),
        ("i", "coil temp=4", "invalid_unit:1"),
        ("i", "coil,unit=c1 temp=4 soon", "invalid_time:1"),
        ("i", "coil,unit=c1", "malformed_payload:1"),
        ("i", "coil,unit=c1 temp=4,flow", "malformed_payload:1"),
        ("i", "coil,unit=c1 temp=4,flow=x\ncoil,unit=c1 temp=5", "c1 T=5;malformed_payload:1"),
        ("i", "# nothing", "unexpected_shape"),
        ("j/c1", "m,point=T value=4 7", "c1@7 T=4;"),
        ("j/c1", "m,point=a\\ b raw=4,value=5 7", "c1@7 M=4;unknown_sensor:1"),
        ("j/c1", "m value=4", "unexpected_shape:1"),
    ] {
        assert_eq!(read(&mut rules, topic, payload), expected, "{payload}");
    }
    let many = "coil,unit=c1 temp=4\n".repeat(1100);
    assert_eq!(read(&mut rules, "i", &many), "too_many_keys");
    let mut wrong = spec("influx", "i/{unit}");
    wrong.time_format = Some("rfc3339".into());
    wrong.unit_tag = Some("unit".into());
    let problems = Rule::new(wrong, &ZoneSpec::utc()).unwrap_err();
    assert_eq!(
        problems.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(),
        ["topic", "time_format"]
    );
}

#[test]
fn the_first_rule_that_matches_reads() {
    let mut one = spec("number", "a/{unit}/T");
    one.sensor = Some("T".into());
    let mut rest = spec("number", "a/{unit}/{sensor}");
    rest.fallback = true;
    rest.name = "rest".into();
    let mut rules = rules(vec![one, rest]);
    let (mut batch, mut births) = (Batch::default(), Births::default());
    rules.read("a/c1/T", b"1", &mut births, &mut batch).unwrap();
    assert_eq!(batch.rule(), Some(0));
    rules.read("a/c1/F", b"1", &mut births, &mut batch).unwrap();
    assert_eq!(batch.rule(), Some(1));
    assert_eq!(rules.filters(None), ["a/+/+", "hvac/+/sensors", "hvac/+/sensors/+"]);
}

#[test]
fn what_the_bundle_does_not_have_is_named() {
    let mut wrong = spec("number", "a/{unit}/x");
    wrong.sensor = Some("Tx".into());
    wrong.rename.insert("y".into(), "Humidity".into());
    let conversion = |from: &str| ConversionSpec { from: Some(from.into()), ..ConversionSpec::default() };
    wrong.sensors = [("T".into(), conversion("gpm")), ("Q".into(), conversion("degF"))].into();
    wrong.overrides.insert("c1".into(), [("F".to_owned(), conversion("K"))].into());
    let rule = Rule::new(wrong, &ZoneSpec::utc()).unwrap();
    let frame = TopicTemplate::parse("f/{unit}", &["unit"], true).unwrap();
    let reading = TopicTemplate::parse("f/{unit}/{sensor}", &["unit", "sensor"], true).unwrap();
    let (_, problems) =
        Rules::new(&[rule], (&frame, &reading), PayloadKeys::default(), &ZoneSpec::utc(), &CHANNELS);
    let keys: Vec<_> = problems.iter().map(|(_, problem)| problem.key.as_str()).collect();
    assert_eq!(keys, ["rename.y", "sensor", "sensors.Q", "sensors.T.from", "overrides.c1.F.from"]);
}

#[test]
fn notes_tell_what_became_of_each_name() {
    let mut object = spec("object", "u/{unit}");
    object.ignore.push("rssi".into());
    let mut rules = rules(vec![object]);
    let mut batch = Batch::with_notes();
    rules.read("u/c1", br#"{"T":1,"rssi":2,"Q":3,"F":"x"}"#, &mut Births::default(), &mut batch).unwrap();
    let outcomes: Vec<_> = batch.notes().iter().map(|note| (note.name.as_str(), note.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("T", Some(Ok((0, 1.0)))),
            ("rssi", None),
            ("Q", Some(Err(RejectReason::UnknownSensor))),
            ("F", Some(Err(RejectReason::NotANumber))),
        ]
    );
}

/// A topic that the rule of a kind reads.
fn topic_of(kind: Kind) -> String {
    if kind == Kind::Sparkplug { "spBv1.0/g/NDATA/c1".to_owned() } else { format!("{}/c1", kind.name()) }
}

/// One rule of every kind, each for the topic of its name.
fn one_of_each() -> Rules {
    let specs = Kind::ALL.into_iter().map(|kind| {
        let unit = if kind == Kind::Thingsboard { "+" } else { "{unit}" };
        let topic = topic_of(kind).replace("NDATA", "+").replace("c1", unit);
        let mut spec = spec(kind.name(), &topic);
        spec.name = kind.name().to_owned();
        spec.sensor = matches!(kind, Kind::Number | Kind::Json).then(|| "T".to_owned());
        spec
    });
    rules(specs.collect())
}

proptest::proptest! {
    #[test]
    fn no_bytes_can_hurt(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let (mut rules, mut batch, mut births) = (one_of_each(), Batch::default(), Births::default());
        for kind in Kind::ALL {
            let _ = rules.read(&topic_of(kind), &bytes, &mut births, &mut batch);
        }
    }

    #[test]
    fn nearly_right_json_cannot_hurt(text in "[\\[\\]{},:\"0-9.eTFv ]{0,60}") {
        let (mut rules, mut batch, mut births) = (one_of_each(), Batch::default(), Births::default());
        for kind in Kind::ALL {
            if rules.read(&topic_of(kind), text.as_bytes(), &mut births, &mut batch).is_ok() {
                for group in (0..batch.len()).filter_map(|index| batch.group(index)) {
                    proptest::prop_assert!(group.readings.iter().all(|reading| reading.value.is_err() || reading.value.is_ok_and(f64::is_finite)));
                }
            }
        }
    }

    #[test]
    fn nearly_right_lines_cannot_hurt(text in "[a-c,= \\\\\"\n0-9.eiTF]{0,60}") {
        let (mut rules, mut batch, mut births) = (one_of_each(), Batch::default(), Births::default());
        let _ = rules.read("influx/c1", text.as_bytes(), &mut births, &mut batch);
    }

    /// An object of numbers is the same readings as its numbers one by one.
    #[test]
    fn kinds_agree(values in proptest::collection::vec(proptest::num::f64::NORMAL, 3)) {
        let mut rules = one_of_each();
        let object = format!("{{\"T\":{:?},\"F\":{:?},\"M\":{:?}}}", values[0], values[1], values[2]);
        let list: Vec<String> = CHANNELS.iter().zip(&values).map(|(channel, value)| format!("{{\"name\":\"{}\",\"value\":{value:?}}}", channel.name)).collect();
        let one = read(&mut rules, "object/c1", &object);
        proptest::prop_assert_eq!(&one, &read(&mut rules, "list/c1", &format!("[{}]", list.join(","))));
        let expected = format!("c1 T={} F={} M={};", values[0], values[1], values[2]);
        proptest::prop_assert_eq!(&one, &expected);
        let alone = read(&mut rules, "number/c1", &format!("{:?}", values[0]));
        proptest::prop_assert_eq!(alone, format!("c1 T={};", values[0]));
    }
}
