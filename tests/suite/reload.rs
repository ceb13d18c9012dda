//! One engine takes over from another: what is kept, and what is said of units that fall short.

use std::time::Duration;

use cooltwin::bundle::{Bundle, seal};
use cooltwin::domain::{Effect, Now, Timestamp, UnitId, ZoneSpec};
use cooltwin::engine::{Engine, EngineSettings, Input, Seed, SilenceLimits};

use super::bundles;

/// The small bundle with a part of its manifest replaced, sealed anew.
fn changed(from: &str, to: &str) -> Bundle {
    let mut files = bundles::files("tests/bundles/tiny");
    let manifest = String::from_utf8(files.0["bundle.toml"].clone()).unwrap();
    assert!(manifest.contains(from), "{from}");
    files.0.insert("bundle.toml".into(), manifest.replacen(from, to, 1).into_bytes());
    files.0.extend(seal(&files, None).unwrap().0);
    Bundle::load(&files).unwrap()
}

fn engine(bundle: Bundle) -> Engine {
    Engine::new(bundle, EngineSettings { target_topics: false, ..EngineSettings::default() }, || 0)
}

fn now(second: i64) -> Now {
    let start = Timestamp::parse("2026-03-01T12:00:00Z", &ZoneSpec::utc()).unwrap();
    Now::replay(Timestamp::from_micros(start.as_micros() + second * 1_000_000))
}

/// Feeds readings and gives the documents published, as `topic payload`.
fn feed(engine: &mut Engine, second: i64, readings: &[(&str, f64)]) -> Vec<String> {
    run(engine, second, Input::Readings { unit: "c1", time: None, readings })
}

fn run(engine: &mut Engine, second: i64, input: Input<'_>) -> Vec<String> {
    let mut effects = Vec::new();
    engine.handle(now(second), input, &mut effects);
    let documents = effects.into_iter().filter_map(|effect| match effect {
        Effect::Publish(publish) => {
            Some(format!("{} {}", publish.topic, String::from_utf8(publish.payload).unwrap()))
        }
        _ => None,
    });
    documents.collect()
}

/// An engine that hears nothing for a minute and then has alarms of unit and sources; what it publishes when one with
/// the other settings takes over.
fn reloaded_in_silence(silence: SilenceLimits) -> Vec<String> {
    let minute = Duration::from_mins(1);
    let limits = SilenceLimits { sources: minute, frames: minute, readings: minute, units: minute };
    let with =
        |silence| Engine::new(bundles::tiny(), EngineSettings { silence, ..EngineSettings::default() }, || 0);
    let mut old = with(limits);
    run(&mut old, 0, Input::Opened);
    feed(&mut old, 1, &ALL);
    let mut alarms = Vec::new();
    for second in (6..=66).step_by(5) {
        alarms
            .extend(run(&mut old, second, Input::Tick).into_iter().filter(|text| text.contains("/alarms/")));
    }
    assert_eq!(alarms.len(), 4, "{alarms:?}");
    let mut new = with(silence);
    new.adopt(old);
    let told = run(&mut new, 67, Input::Tick);
    let mut cleared: Vec<_> =
        told.into_iter().filter_map(|text| text.strip_suffix(' ').map(str::to_owned)).collect();
    cleared.sort();
    cleared
}

#[test]
fn alarms_that_are_switched_off_are_over() {
    let off = SilenceLimits {
        sources: Duration::ZERO,
        frames: Duration::ZERO,
        readings: Duration::ZERO,
        units: Duration::ZERO,
    };
    assert_eq!(
        reloaded_in_silence(off),
        [
            "cooltwin/main/alarms/frames_silent",
            "cooltwin/main/alarms/readings_silent",
            "cooltwin/main/alarms/source_silent",
            "hvac/c1/alarms/unit_silent",
        ]
    );
    let minute = Duration::from_mins(1);
    let on = SilenceLimits { sources: minute, frames: minute, readings: minute, units: minute };
    assert_eq!(reloaded_in_silence(on), [""; 0], "what is still wanted stands");
}

/// A connection that comes and goes every half minute is no reason to be silent about a source that never says anything.
#[test]
fn a_link_that_flaps_does_not_hide_a_silent_source() {
    let silence = SilenceLimits { sources: Duration::from_mins(2), ..SilenceLimits::default() };
    let mut engine =
        Engine::new(bundles::tiny(), EngineSettings { silence, ..EngineSettings::default() }, || 0);
    let mut told = Vec::new();
    for second in 0..180 {
        match second % 30 {
            0 => told.extend(run(&mut engine, second, Input::Opened)),
            25 => told.extend(run(&mut engine, second, Input::Closed)),
            _ => {}
        }
        told.extend(run(&mut engine, second, Input::Tick));
    }
    let raised: Vec<_> = told.iter().filter(|text| text.contains("source_silent {")).collect();
    assert_eq!(raised.len(), 1, "{told:?}");
    // With pauses in which the connection is really away, silence says nothing.
    let mut engine = self::engine(bundles::tiny());
    for second in (0..1_800).step_by(60) {
        assert!(!run(&mut engine, second, Input::Opened).iter().any(|text| text.ends_with('}')));
        assert_eq!(run(&mut engine, second + 29, Input::Tick), [""; 0]);
        run(&mut engine, second + 30, Input::Closed);
    }
}

const ALL: [(&str, f64); 4] = [("R", 10.0), ("H", 1.0), ("N", 100.0), ("D", 2.0)];

#[test]
fn a_bundle_laid_out_alike_keeps_readings_history_and_numbers() {
    let mut old = engine(bundles::tiny());
    feed(&mut old, 0, &ALL);
    feed(&mut old, 30, &ALL);
    let mut new = engine(changed("version = \"1\"", "version = \"2\""));
    new.adopt(old);
    assert_eq!(new.units().good, 1, "its quality is known");
    assert_eq!(run(&mut new, 31, Input::Tick), [] as [&str; 0]);
    let documents = feed(&mut new, 32, &[("R", 11.0)]);
    assert!(documents[0].contains("\"seq\":3,\"T\":10.25,\"quality\":\"good\""), "{}", documents[0]);
    assert!(documents[1].starts_with("hvac/c1/state") && documents[1].contains("\"version\":\"2\""));
    assert_eq!(new.counters().predictions, 3);
}

#[test]
fn another_layout_keeps_readings_by_name() {
    let mut old = engine(bundles::tiny());
    feed(&mut old, 0, &ALL);
    feed(&mut old, 30, &ALL);
    // H would be another quantity; the others are the same, whatever their order or limits.
    let mut new =
        engine(changed("unit = \"degC\"\ndescription = \"held", "unit = \"K\"\ndescription = \"held"));
    new.adopt(old);
    let documents = feed(&mut new, 32, &[("R", 11.0)]);
    let reasons = "\"reasons\":[\"missing:H\",\"incomplete_history:R_mean_1m\"]";
    assert!(documents[0].contains(reasons) && documents[0].contains("\"seq\":3"), "{}", documents[0]);
}

#[test]
fn a_unit_that_no_longer_carries_a_prediction_is_reported_at_once() {
    let mut old = engine(bundles::tiny());
    feed(&mut old, 0, &ALL);
    let mut new = engine(changed(
        "max_age = \"1m\"\nmissing = \"required\"",
        "max_age = \"10s\"\nmissing = \"required\"",
    ));
    new.adopt(old);
    let documents = run(&mut new, 20, Input::Tick);
    assert_eq!(documents.len(), 1);
    assert!(
        documents[0].contains("\"state\":\"withheld\",\"reasons\":[\"required_stale:R\""),
        "{}",
        documents[0]
    );
}

#[test]
fn fewer_units_allowed_than_held_forget_those_heard_longest_ago_with_what_stands_of_them() {
    let mut old = engine(bundles::tiny());
    for (second, unit) in [(0, "c2"), (10, "c1"), (20, "c3")] {
        run(&mut old, second, Input::Readings { unit, time: None, readings: &ALL });
    }
    let settings = EngineSettings { max_units: 1, ..old.settings().clone() };
    let mut new = Engine::new(bundles::tiny(), settings, || 0);
    new.adopt(old);
    let documents = run(&mut new, 21, Input::Tick);
    for unit in ["c1", "c2"] {
        assert!(documents.contains(&format!("hvac/{unit}/state ")), "{documents:?}");
    }
    assert!(!documents.contains(&"hvac/c3/state ".to_owned()), "{documents:?}");
    assert_eq!(new.counters().evicted, 2);
}

#[test]
fn flags_that_nobody_publishes_any_more_are_removed() {
    let with = |bundle, target_flags| {
        Engine::new(bundle, EngineSettings { target_flags, ..EngineSettings::default() }, || 0)
    };
    let flags = |texts: Vec<String>| -> Vec<String> {
        texts.into_iter().filter(|text| text.contains("/flags")).collect()
    };
    let mut old = with(bundles::tiny(), true);
    assert_eq!(flags(feed(&mut old, 0, &ALL)), ["hvac/c1/predictions/T/flags 0000"]);
    let mut same = with(bundles::tiny(), true);
    same.adopt(old);
    assert_eq!(flags(run(&mut same, 1, Input::Tick)), [""; 0]);
    assert_eq!(flags(feed(&mut same, 2, &ALL)), ["hvac/c1/predictions/T/flags 0000"], "told anew");
    let mut without = with(bundles::tiny(), false);
    without.adopt(same);
    assert_eq!(flags(run(&mut without, 3, Input::Tick)), ["hvac/c1/predictions/T/flags "]);
    assert_eq!(flags(feed(&mut without, 4, &ALL)), [""; 0]);
}

/// An engine with the seed's topics for a unit, or without them.
fn with_seed(unit: Option<&str>) -> Engine {
    let seed = unit.map(|unit| Seed { unit: UnitId::new(unit).unwrap() });
    let settings = EngineSettings { seed, unit_ttl: Duration::from_mins(10), ..EngineSettings::default() };
    Engine::new(bundles::tiny(), settings, || 0)
}

/// The alerts that a unit is withheld among what was published: `true` where it is, `false` where that is over.
fn withheld(published: &[String]) -> Vec<bool> {
    let alerts = published.iter().filter_map(|text| text.strip_prefix("hvac/alerts/")?.split_once(' '));
    let alerts = alerts.map(|(_, text)| serde_json::from_str::<serde_json::Value>(text).unwrap());
    alerts.filter(|alert| alert["id"] == "withheld").map(|alert| alert["active"].as_bool().unwrap()).collect()
}

/// What a reload says to an engine of which the unit is withheld, and then a frame that can be predicted.
fn alerts_over_a_reload(after: Option<&str>) -> [Vec<bool>; 3] {
    let mut old = with_seed(Some("c1"));
    assert_eq!(withheld(&feed(&mut old, 0, &ALL[1..])), [true], "R is required");
    let mut new = with_seed(after);
    new.adopt(old);
    let at_once = run(&mut new, 1, Input::Tick);
    let still = feed(&mut new, 2, &ALL[1..]);
    let predicted = feed(&mut new, 3, &ALL);
    [at_once, still, predicted].map(|published| withheld(&published))
}

#[test]
fn the_alert_that_a_unit_is_withheld_outlasts_a_reload_and_ends_with_its_reason() {
    assert_eq!(alerts_over_a_reload(Some("c1")), [vec![], vec![], vec![false]]);
    // The topics speak of another unit, or are used no more: nobody would say it later.
    assert_eq!(alerts_over_a_reload(Some("c2")), [vec![false], vec![], vec![]]);
    assert_eq!(alerts_over_a_reload(None), [vec![false], vec![], vec![]]);
}

#[test]
fn the_alert_that_a_unit_is_withheld_ends_when_the_unit_is_forgotten() {
    let mut engine = with_seed(Some("c1"));
    assert_eq!(withheld(&feed(&mut engine, 0, &ALL[1..])), [true]);
    assert_eq!(withheld(&run(&mut engine, 599, Input::Tick)), [true; 0]);
    assert_eq!(withheld(&run(&mut engine, 600, Input::Tick)), [false]);
    assert_eq!(withheld(&feed(&mut engine, 601, &ALL)), [true; 0]);
    assert_eq!(withheld(&run(&mut engine, 10_000, Input::Tick)), [true, false], "stale, then forgotten");
}
