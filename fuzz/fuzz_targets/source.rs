//! Any bytes as a payload of each kind of source rule: the first byte chooses the kind.
#![no_main]

use cooltwin::domain::source::{Channel, ConversionSpec, Kind, MAX_BIRTH_BYTES};
use cooltwin::domain::{Batch, Births, PayloadKeys, Rule, RuleSpec, Rules, TopicTemplate, ZoneSpec};
use libfuzzer_sys::fuzz_target;

fn rules(kind: Kind) -> Rules {
    let mut spec = RuleSpec {
        name: "r".to_owned(),
        topic: if kind == Kind::Sparkplug { "spBv1.0/g/+/e/d" } else { "in" }.to_owned(),
        kind: kind.name().to_owned(),
        unit: Some("c1".to_owned()),
        ..RuleSpec::default()
    };
    let conversion = ConversionSpec {
        from: Some("degF".to_owned()),
        scale: Some(0.1),
        invalid: vec![-999.0],
        words: [("on".to_owned(), 1.0)].into(),
        ..ConversionSpec::default()
    };
    spec.sensors.insert("T".to_owned(), conversion);
    spec.rename.insert("a.b".to_owned(), "F".to_owned());
    // What a kind tells by itself, or cannot do without.
    let attempts = [(true, Some("T")), (true, None), (false, None)];
    let zone = ZoneSpec::utc();
    let rule = attempts.into_iter().find_map(|(has_unit, sensor)| {
        let mut spec = spec.clone();
        spec.unit = spec.unit.filter(|_| has_unit);
        spec.sensor = sensor.map(str::to_owned);
        Rule::new(spec, &zone).ok()
    });
    let frame = TopicTemplate::parse("f/{unit}", &["unit"], true).expect("a template");
    let reading = TopicTemplate::parse("f/{unit}/{sensor}", &["unit", "sensor"], true).expect("a template");
    let channels = [Channel { name: "T", unit: "degC" }, Channel { name: "F", unit: "m3/h" }];
    let rule = rule.expect("every kind has a rule");
    Rules::new(&[rule], (&frame, &reading), PayloadKeys::default(), &zone, &channels).0
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, payload)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let (mut rules, mut batch, mut births) = (rules(kind), Batch::default(), Births::default());
    // The first byte of a Sparkplug payload chooses what kind of message it is; the same is a BIRTH before it, so that
    // its aliases are known.
    let topic = match payload.first().map(|byte| byte % 4) {
        _ if kind != Kind::Sparkplug => "in",
        Some(0) => "spBv1.0/g/DBIRTH/e/d",
        Some(1) => "spBv1.0/g/NBIRTH/e",
        Some(2) => "spBv1.0/g/NDEATH/e",
        _ => "spBv1.0/g/DDATA/e/d",
    };
    let payload = if kind == Kind::Sparkplug { payload.get(1..).unwrap_or_default() } else { payload };
    if kind == Kind::Sparkplug {
        let _ = rules.read("spBv1.0/g/DBIRTH/e/d", payload, &mut births, &mut batch);
    }
    if rules.read(topic, payload, &mut births, &mut batch).is_ok() {
        for group in (0..batch.len()).filter_map(|index| batch.group(index)) {
            assert!(!group.unit.is_empty() && !group.readings.is_empty());
            assert!(
                group
                    .readings
                    .iter()
                    .all(|reading| reading.value.is_err() || reading.value.is_ok_and(f64::is_finite))
            );
        }
    }
    assert!(births.memory_bytes() <= MAX_BIRTH_BYTES + 1024);
});
