use prost::Message as _;

use super::super::rules::Channel;
use super::super::tests::{CHANNELS, story};
use super::super::{ConversionSpec, Rules};
use super::*;
use crate::domain::time::{Monotonic, Now};
use crate::domain::{PayloadKeys, Rule, RuleSpec, TopicTemplate, ZoneSpec};

/// The messages as the specification has them, for an encoder that knows nothing of the reader.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Payload {
        #[prost(uint64, optional, tag = "1")]
        pub(super) timestamp: Option<u64>,
        #[prost(message, repeated, tag = "2")]
        pub(super) metrics: Vec<Metric>,
        #[prost(uint64, optional, tag = "3")]
        pub(super) seq: Option<u64>,
        #[prost(string, optional, tag = "4")]
        pub(super) uuid: Option<String>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Metric {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(uint64, optional, tag = "2")]
        pub(super) alias: Option<u64>,
        #[prost(uint64, optional, tag = "3")]
        pub(super) timestamp: Option<u64>,
        #[prost(uint32, optional, tag = "4")]
        pub(super) datatype: Option<u32>,
        #[prost(bool, optional, tag = "5")]
        pub(super) is_historical: Option<bool>,
        #[prost(bool, optional, tag = "7")]
        pub(super) is_null: Option<bool>,
        #[prost(message, optional, tag = "9")]
        pub(super) properties: Option<PropertySet>,
        #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15, 16")]
        pub(super) value: Option<Value>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PropertySet {
        #[prost(string, repeated, tag = "1")]
        pub(super) keys: Vec<String>,
        #[prost(message, repeated, tag = "2")]
        pub(super) values: Vec<PropertyValue>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct PropertyValue {
        #[prost(uint32, optional, tag = "1")]
        pub(super) datatype: Option<u32>,
        #[prost(uint32, optional, tag = "3")]
        pub(super) int_value: Option<u32>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Value {
        #[prost(uint32, tag = "10")]
        Int(u32),
        #[prost(uint64, tag = "11")]
        Long(u64),
        #[prost(float, tag = "12")]
        Float(f32),
        #[prost(double, tag = "13")]
        Double(f64),
        #[prost(bool, tag = "14")]
        Truth(bool),
        #[prost(string, tag = "15")]
        Text(String),
        #[prost(bytes, tag = "16")]
        Bytes(Vec<u8>),
    }
}
use proto::Value;

const DOUBLE: u32 = 10;

fn metric(name: &str, datatype: u32, value: Value) -> proto::Metric {
    proto::Metric {
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        datatype: Some(datatype).filter(|datatype| *datatype > 0),
        value: Some(value),
        ..proto::Metric::default()
    }
}

fn by_alias(alias: u64, value: Value) -> proto::Metric {
    proto::Metric { alias: Some(alias), ..metric("", 0, value) }
}

fn with_alias(alias: u64, metric: proto::Metric) -> proto::Metric {
    proto::Metric { alias: Some(alias), ..metric }
}

fn message(seq: u64, metrics: Vec<proto::Metric>) -> Vec<u8> {
    let timestamp = Some(1_000);
    proto::Payload { timestamp, metrics, seq: Some(seq), uuid: None }.encode_to_vec()
}

fn quality(code: u32, metric: proto::Metric) -> proto::Metric {
    let property = |code| proto::PropertyValue { datatype: Some(3), int_value: Some(code) };
    let keys = vec!["engLow".to_owned(), "Quality".to_owned()];
    let properties = Some(proto::PropertySet { keys, values: vec![property(7), property(code)] });
    proto::Metric { properties, ..metric }
}

fn spec(topic: &str) -> RuleSpec {
    RuleSpec { name: "r".into(), topic: topic.into(), kind: "sparkplug".into(), ..RuleSpec::default() }
}

/// Rules with the memory of BIRTHs that they read by.
struct Site {
    rules: Rules,
    births: Births,
}

impl Site {
    fn new(spec: RuleSpec) -> Self {
        let rule = Rule::new(spec, &ZoneSpec::utc()).unwrap();
        let frame = TopicTemplate::parse("f/{unit}", &["unit"], true).unwrap();
        let reading = TopicTemplate::parse("f/{unit}/{sensor}", &["unit", "sensor"], true).unwrap();
        let channels: &[Channel<'_>] = &CHANNELS;
        let topics = (&frame, &reading);
        let (rules, problems) =
            Rules::new(&[rule], topics, PayloadKeys::default(), &ZoneSpec::utc(), channels);
        assert_eq!(problems, []);
        Self { rules, births: Births::default() }
    }

    fn read(&mut self, topic: &str, payload: &[u8]) -> String {
        let mut batch = Batch::default();
        let outcome = self.rules.read(&format!("spBv1.0/g/{topic}"), payload, &mut self.births, &mut batch);
        story(outcome, &batch)
    }

    fn ask(&mut self, topic: &str, second: u64) -> bool {
        let micros = second * 1_000_000;
        let now = Now { wall: Timestamp::from_micros(micros as i64), monotonic: Monotonic(micros) };
        self.births.ask(&format!("spBv1.0/g/{topic}"), now).is_some()
    }
}

fn devices() -> Site {
    let mut spec = spec("spBv1.0/g/+/+/{unit}");
    spec.rename = [("Air/Temp".to_owned(), "T".to_owned())].into();
    Site::new(spec)
}

fn birth(seq: u64) -> Vec<u8> {
    let temp = with_alias(7, metric("Air/Temp", DOUBLE, Value::Double(20.0)));
    message(seq, vec![temp, with_alias(8, metric("M", 1, Value::Int(0xff)))])
}

fn node_birth(session: u64) -> Vec<u8> {
    message(0, vec![metric("bdSeq", 8, Value::Long(session))])
}

#[test]
fn aliases_mean_what_the_birth_said() {
    let mut site = devices();
    assert_eq!(site.read("NBIRTH/e", &node_birth(3)), "");
    assert_eq!(site.read("DBIRTH/e/c1", &birth(1)), "c1@1 T=20 M=-1;");
    let data = message(2, vec![by_alias(7, Value::Double(21.5)), by_alias(8, Value::Int(0xfe))]);
    assert_eq!(site.read("DDATA/e/c1", &data), "c1@1 T=21.5 M=-2;");
    assert!(!site.births.is_wanted());
    // Another device of the node has not said what its aliases are.
    assert_eq!(
        site.read("DDATA/e/c2", &message(3, vec![by_alias(7, Value::Double(1.0))])),
        "missing_birth:1"
    );
    assert!(site.births.is_wanted());
    // Its next BIRTH may say something else.
    let other = with_alias(7, metric("F", DOUBLE, Value::Double(3.0)));
    assert_eq!(site.read("DBIRTH/e/c1", &message(4, vec![other])), "c1@1 F=3;");
    assert_eq!(site.read("DDATA/e/c1", &message(5, vec![by_alias(7, Value::Double(4.0))])), "c1@1 F=4;");
    assert_eq!(site.read("DDATA/e/c1", &message(6, vec![by_alias(8, Value::Int(1))])), "missing_birth:1");
}

#[test]
fn deaths_and_missed_messages_end_what_was_said() {
    let data = |seq| message(seq, vec![by_alias(7, Value::Double(21.5))]);
    let alive = || {
        let mut site = devices();
        site.read("NBIRTH/e", &node_birth(3));
        site.read("DBIRTH/e/c1", &birth(1));
        site
    };
    let death =
        |session| proto::Payload { seq: None, ..proto::Payload::decode(&*node_birth(session)).unwrap() };
    let mut site = alive();
    assert_eq!(site.read("NDEATH/e", &death(2).encode_to_vec()), "");
    assert_eq!(site.read("DDATA/e/c1", &data(2)), "c1@1 T=21.5;", "the death of an earlier session");
    site.read("NDEATH/e", &death(3).encode_to_vec());
    assert_eq!(site.read("DDATA/e/c1", &data(3)), "missing_birth:1");
    let mut site = alive();
    assert_eq!(site.read("DDEATH/e/c1", &message(2, Vec::new())), "");
    assert_eq!(site.read("DDATA/e/c1", &data(3)), "missing_birth:1");
    let mut site = alive();
    site.read("NBIRTH/e", &node_birth(4));
    assert_eq!(
        site.read("DDATA/e/c1", &data(1)),
        "missing_birth:1",
        "a node's BIRTH ends those of its devices"
    );
    let mut site = alive();
    assert_eq!(site.read("DDATA/e/c1", &data(2)), site.read("DDATA/e/c1", &data(2)), "delivered twice");
    // A device that is none of ours takes a number too; after it one is missing.
    assert_eq!(site.read("NDATA/e", &message(3, Vec::new())), "");
    assert!(!site.births.is_wanted());
    assert_eq!(site.read("DDATA/e/c1", &data(5)), "missing_birth:1");
    assert!(site.births.is_wanted());
    let mut site = alive();
    site.births.forget();
    assert_eq!(site.read("DDATA/e/c1", &data(2)), "missing_birth:1", "the connection had ended");
    assert!(site.births.memory_bytes() > 0);
}

#[test]
fn numbers_of_messages_begin_again_after_255() {
    let mut site = devices();
    site.read("DBIRTH/e/c1", &birth(255));
    let data = message(0, vec![by_alias(7, Value::Double(21.5))]);
    assert_eq!(site.read("DDATA/e/c1", &data), "c1@1 T=21.5;");
}

#[test]
fn values_by_their_data_type() {
    let mut site = Site::new(spec("spBv1.0/g/+/{unit}"));
    let cases = [
        (1, Value::Int(0x80), "T=-128"),
        (1, Value::Int(0xffff_ff80), "T=-128"),
        (1, Value::Int(300), "T=out_of_range"),
        (2, Value::Int(0xfffe), "T=-2"),
        (2, Value::Int(0xffff_fffe), "T=-2"),
        (2, Value::Long(u64::MAX), "T=-1"),
        (3, Value::Int(u32::MAX), "T=-1"),
        (3, Value::Int(5), "T=5"),
        (4, Value::Long(u64::MAX - 4), "T=-5"),
        (5, Value::Int(255), "T=255"),
        (5, Value::Int(256), "T=out_of_range"),
        (6, Value::Int(65_535), "T=65535"),
        (7, Value::Int(u32::MAX), "T=4294967295"),
        (7, Value::Long(4_000_000_000), "T=4000000000"),
        (8, Value::Long(1 << 53), "T=9007199254740992"),
        (9, Value::Float(21.5), "T=21.5"),
        (9, Value::Float(f32::NAN), "T=not_finite"),
        (10, Value::Double(-0.25), "T=-0.25"),
        (11, Value::Truth(true), "T=1"),
        (12, Value::Text("21.5".into()), "T=21.5"),
        (12, Value::Text("warm".into()), "T=not_a_number"),
        (13, Value::Long(1_772_366_400_000), "T=not_a_number"),
        (17, Value::Bytes(vec![1]), "T=not_a_number"),
        (0, Value::Float(1.5), "T=1.5"),
    ];
    for (datatype, value, expected) in cases {
        let text = format!("{datatype} {value:?}");
        let got = site.read("NDATA/c1", &message(1, vec![metric("T", datatype, value)]));
        assert_eq!(got, format!("c1@1 {expected};"), "{text}");
    }
    // Whether it has a sign was said in the BIRTH.
    assert_eq!(site.read("NDATA/c1", &message(1, vec![metric("T", 0, Value::Int(5))])), "missing_birth:1");
    let birth = message(2, vec![metric("T", 1, Value::Int(1))]);
    assert_eq!(site.read("NBIRTH/c1", &birth), "c1@1 T=1;");
    assert_eq!(site.read("NDATA/c1", &message(3, vec![metric("T", 0, Value::Int(0xfb))])), "c1@1 T=-5;");
}

#[test]
fn what_a_metric_says_of_itself() {
    let mut site = Site::new(spec("spBv1.0/g/+/{unit}"));
    let good = || metric("T", DOUBLE, Value::Double(1.0));
    let mut read = |metric: proto::Metric| site.read("NDATA/c1", &message(1, vec![metric]));
    assert_eq!(read(quality(192, good())), "c1@1 T=1;");
    assert_eq!(read(quality(500, good())), "bad_quality:1");
    assert_eq!(read(quality(0, good())), "bad_quality:1");
    assert_eq!(read(proto::Metric { timestamp: Some(7_000), ..good() }), "c1@7 T=1;");
    assert_eq!(read(proto::Metric { is_null: Some(true), value: None, ..good() }), "c1@1 T=not_a_number;");
    assert_eq!(read(proto::Metric { timestamp: Some(u64::MAX), ..good() }), "invalid_time:1");
    let recorded = proto::Metric { is_historical: Some(true), ..good() };
    assert_eq!(read(recorded.clone()), "invalid_time:1", "sent now, taken who knows when");
    assert_eq!(read(proto::Metric { timestamp: Some(3_000), ..recorded }), "c1@3 T=1;");
    assert_eq!(site.read("NDATA/c1", &message(1, vec![metric("x", 10, Value::Double(1.0))])), "");
    assert_eq!(
        site.read("NBIRTH/c1", &message(0, vec![metric("x", 10, Value::Double(1.0))])),
        "unknown_sensor"
    );
    assert_eq!(site.read("NCMD/c1", b"whatever"), "");
    assert_eq!(site.read("NDATA/c1", b"\x0a"), "malformed_payload");
    assert_eq!(site.read("NDATA/c1/d", &message(1, Vec::new())), "");
}

#[test]
fn units_and_prefixes_in_names() {
    let mut by_name = spec("spBv1.0/g/+/e/+");
    by_name.metric = Some("Site/+/{unit}/{sensor}".into());
    by_name.rename = [("Air/Temp".to_owned(), "T".to_owned())].into();
    by_name.units = [("Cooler A".to_owned(), "a".to_owned())].into();
    by_name.sensors.insert(
        "M".into(),
        ConversionSpec { words: [("false".to_owned(), 5.0)].into(), ..ConversionSpec::default() },
    );
    let value = || Value::Double(1.0);
    let metrics = vec![
        metric("Site/1/Cooler A/Air/Temp", DOUBLE, value()),
        metric("Site/1/b/F", DOUBLE, value()),
        metric("Site/1/b/M", 11, Value::Truth(false)),
        metric("Elsewhere/1/b/F", DOUBLE, value()),
    ];
    assert_eq!(Site::new(by_name).read("DDATA/e/d", &message(1, metrics)), "a@1 T=1;b@1 F=1 M=5;");
    let mut by_device = spec("spBv1.0/g/+/{unit}/{sensor}");
    by_device.rename = [("probe/Temp".to_owned(), "T".to_owned())].into();
    let metrics = vec![metric("Temp", DOUBLE, value())];
    assert_eq!(Site::new(by_device).read("DDATA/e/probe", &message(1, metrics)), "e@1 T=1;");
}

#[test]
fn rules_that_cannot_be() {
    let refused = |change: &dyn Fn(&mut RuleSpec)| {
        let mut spec = spec("spBv1.0/g/+/{unit}");
        change(&mut spec);
        Rule::new(spec, &ZoneSpec::utc())
            .unwrap_err()
            .into_iter()
            .map(|p| p.key)
            .collect::<Vec<_>>()
            .join(" ")
    };
    for topic in ["a/{unit}", "spBv1.0/g/NDATA/{unit}", "spBv1.0/{unit}/+/#", "spBv1.0/g/+/e/{unit}/x"] {
        assert_eq!(refused(&|spec| spec.topic = topic.into()), "topic", "{topic}");
    }
    for name in ["{unit}", "a{sensor}", "{x}/{sensor}", "{unit}/{unit}/{sensor}"] {
        assert_eq!(refused(&|spec| spec.metric = Some(name.into())), "metric", "{name}");
    }
    assert_eq!(refused(&|spec| spec.metric = Some("{unit}/{sensor}".into())), "topic", "two units");
    assert_eq!(refused(&|spec| spec.time = Some("/t".into())), "time");
    assert_eq!(refused(&|spec| (spec.kind, spec.rebirth) = ("object".into(), Some(true))), "rebirth");
    let rule = Rule::new(spec("spBv1.0/g/+/+/{unit}"), &ZoneSpec::utc()).unwrap();
    assert_eq!(rule.requests().as_deref(), Some("spBv1.0/g/NCMD/+"));
    assert_eq!((rule.filter(), rule.subscription()), ("spBv1.0/g/+/+/+".into(), "spBv1.0/g/+/+/#".into()));
}

#[test]
fn requests_are_few_and_only_where_they_may_be() {
    let mut site = devices();
    let unknown = message(0, vec![by_alias(7, Value::Double(1.0))]);
    site.read("DDATA/e/c1", &unknown);
    let asked: Vec<u64> = (0..20_000).filter(|second| site.ask("DDATA/e/c1", *second)).collect();
    // In vain, it is asked ever less often.
    assert_eq!(asked, [0, 60, 180, 420, 900, 1860, 3780, 7380, 10980, 14580, 18180]);
    site.read("DBIRTH/e/c1", &birth(1));
    site.read("DDATA/e/c1", &message(2, vec![by_alias(7, Value::Double(1.0))]));
    assert!(site.ask("DDATA/e/c1", 18_240));
    assert!(!site.ask("DDATA/never/c1", 18_240), "nobody was heard of");
    let mut quiet = spec("spBv1.0/g/+/+/{unit}");
    quiet.rebirth = Some(false);
    let mut site = Site::new(quiet);
    assert_eq!(site.read("DDATA/e/c1", &unknown), "missing_birth:1");
    assert!(!site.births.is_wanted());
}

#[test]
fn a_request_is_what_nodes_expect() {
    let mut site = devices();
    site.read("DDATA/e/c1", &message(0, vec![by_alias(7, Value::Double(1.0))]));
    let wall = Timestamp::from_micros(1_772_366_400_000_000);
    let publish = site.births.ask("spBv1.0/g/DDATA/e/c1", Now { wall, monotonic: Monotonic(1) }).unwrap();
    assert_eq!((publish.topic.as_str(), publish.retain), ("spBv1.0/g/NCMD/e", false));
    let expected = proto::Payload {
        timestamp: Some(1_772_366_400_000),
        metrics: vec![proto::Metric {
            timestamp: Some(1_772_366_400_000),
            ..metric("Node Control/Rebirth", 11, Value::Truth(true))
        }],
        seq: None,
        uuid: None,
    };
    assert_eq!(proto::Payload::decode(&*publish.payload).unwrap(), expected);
    let odd = "spBv1.0/g/DDATA/e\u{7}/c1";
    assert!(site.births.ask(odd, Now { wall, monotonic: Monotonic(u64::MAX) }).is_none());
}

#[test]
fn births_are_bounded() {
    let mut site = devices();
    let metrics: Vec<_> = (0..4000)
        .map(|alias| with_alias(alias, metric(&format!("{alias:0>200}"), DOUBLE, Value::Double(1.0))))
        .collect();
    let mut refused = 0;
    for number in 0..20_u64 {
        let story = site.read(&format!("DBIRTH/e{number}/c1"), &message(0, metrics.clone()));
        refused += u64::from(story == "too_many_keys:1");
        assert!(site.births.memory_bytes() <= MAX_BIRTH_BYTES + 20 * 1024, "{}", site.births.memory_bytes());
    }
    assert!((1..20).contains(&refused), "{refused}");
    for number in 0..2 * MAX_NODES {
        site.read(&format!("DDATA/n{number}/c1"), &message(0, Vec::new()));
    }
    assert!(site.births.memory_bytes() <= MAX_BIRTH_BYTES + MAX_NODES * 1024);
    site.births.forget();
    assert_eq!(site.births.memory_bytes(), 0);
    let beyond = (0..9000).map(|_| metric("x", DOUBLE, Value::Double(1.0))).collect();
    assert_eq!(site.read("DDATA/e/c1", &message(0, beyond)), "too_many_keys");
}

/// Rules of which one needs a part of what the other needs would have the same message twice.
#[test]
fn subscriptions_are_apart_or_one_within_the_other() {
    let problem = |one: &str, other: &str| {
        let rule = |topic| {
            let unit = Some("u".to_owned());
            Rule::new(RuleSpec { unit, ..spec(topic) }, &ZoneSpec::utc()).unwrap()
        };
        let frame = TopicTemplate::parse("f/{unit}", &["unit"], true).unwrap();
        let reading = TopicTemplate::parse("f/{unit}/{sensor}", &["unit", "sensor"], true).unwrap();
        let found = super::super::overlaps(&[rule(one), rule(other)], &frame, &reading, &ZoneSpec::utc());
        found.into_iter().find_map(|overlap| overlap.problem).map(|problem| problem.key)
    };
    assert_eq!(problem("spBv1.0/g/+/e/a", "spBv1.0/g/+/e/b"), None);
    assert_eq!(problem("spBv1.0/g/+/e/a", "spBv1.0/g/+/+/b"), None);
    assert_eq!(problem("spBv1.0/+/+/e/a", "spBv1.0/g/+/+/b").as_deref(), Some("topic"));
    assert_eq!(problem("spBv1.0/g/+/e/a", "spBv1.0/g/+/e/+").as_deref(), Some("topic"));
}

proptest::proptest! {
    #[test]
    fn what_was_written_is_read(
        values in proptest::collection::vec(proptest::num::f64::NORMAL, 3),
        whole in proptest::prelude::any::<i32>(),
    ) {
        let mut site = Site::new(spec("spBv1.0/g/+/{unit}"));
        let doubles = CHANNELS.iter().zip(&values).map(|(channel, value)| metric(channel.name, DOUBLE, Value::Double(*value)));
        let expected = format!("c1@1 T={} F={} M={};", values[0], values[1], values[2]);
        proptest::prop_assert_eq!(site.read("NDATA/c1", &message(1, doubles.collect())), expected);
        let same = vec![metric("T", 3, Value::Int(whole.cast_unsigned()))];
        proptest::prop_assert_eq!(site.read("NDATA/c1", &message(2, same)), format!("c1@1 T={whole};"));
    }

    /// Bytes that are nearly messages: cut, changed, put together.
    #[test]
    fn nearly_right_bytes_cannot_hurt(
        cuts in proptest::collection::vec((0..3_usize, 0..200_usize, proptest::prelude::any::<u8>()), 1..20),
    ) {
        let mut site = devices();
        for (which, at, byte) in cuts {
            let mut bytes = [birth(1), node_birth(2), message(9, vec![quality(0, by_alias(7, Value::Double(1.0)))])][which].clone();
            if at < bytes.len() {
                bytes[at] = byte;
            } else {
                bytes.truncate(at / 2);
            }
            for topic in ["NBIRTH/e", "DBIRTH/e/c1", "DDATA/e/c1", "DDEATH/e/c1", "NDEATH/e"] {
                let _ = site.read(topic, &bytes);
                proptest::prop_assert!(site.births.memory_bytes() < 1024 * 1024);
            }
        }
    }
}
