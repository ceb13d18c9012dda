use super::*;
use crate::bundle::manifest::Manifest;

const MANIFEST: &str = r#"
schema = 1
id = "m"
version = "1"
step = "30s"
sensors = [
  { name = "R", unit = "", accept = [0, 100], max_age = "1m", missing = "required" },
  { name = "H", unit = "", accept = [0, 100], max_age = "1m", missing = "hold" },
  { name = "N", unit = "", accept = [0, 100], max_age = "1m", missing = "nan" },
  { name = "D", unit = "", accept = [0, 100], max_age = "1m", missing = { default = 7.0 } },
]
features = [{ name = "R" }, { name = "H" }, { name = "N" }, { name = "D" }, { name = "q", expr = "R / H" }, { name = "m", expr = "mean(R, 1m)" }]
targets = [{ name = "T", unit = "", model = "t.onnx", plausible = [0, 100], measured_by = "T" }]
[limits]
max_missing_features = 2
"#;

const REFERENCE: &str = r#"{"schema":1,"rows":1,"features":[{"name":"R","min":0,"max":50,"edges":[],"counts":[1]}],"residuals":[]}"#;

fn assembler() -> Assembler {
    let reference: Reference = serde_json::from_str(REFERENCE).unwrap();
    Assembler::new(&Manifest::parse(MANIFEST).unwrap(), Some(&reference)).unwrap()
}

fn at(second: i64) -> Now {
    Now::replay(Timestamp::from_micros(second * 1_000_000))
}

fn apply(assembler: &mut Assembler, state: &mut UnitState, second: i64, values: &[(usize, f64)]) {
    for (channel, value) in values {
        assembler.apply(state, *channel, *value, at(second).wall, at(second)).unwrap();
    }
}

#[test]
fn fresh_values_are_good_once_history_is_full() {
    let mut assembler = assembler();
    let mut state = assembler.new_state();
    assert!(assembler.assemble(&state, at(0)).is_none());
    apply(&mut assembler, &mut state, 0, &[(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]);
    let first = assembler.assemble(&state, at(0)).unwrap();
    assert_eq!(first.row, [1.0, 2.0, 3.0, 4.0, 0.5, 1.0]);
    assert_eq!((first.reasons, first.quality), (&[Reason::IncompleteHistory(5)][..], Quality::Uncertain));
    apply(&mut assembler, &mut state, 30, &[(0, 3.0), (1, 2.0), (2, 3.0), (3, 4.0), (4, 50.0)]);
    assert_eq!(assembler.measurement(&state, 4, at(30)), Some(50.0));
    let second = assembler.assemble(&state, at(35)).unwrap();
    assert_eq!((second.row[5], second.quality, second.fresh, second.sensors), (2.0, Quality::Good, 4, 4));
    assert_eq!(second.oldest, Duration::from_secs(5));
}

#[test]
fn staleness_follows_the_policy_of_each_sensor() {
    let mut assembler = assembler();
    let mut state = assembler.new_state();
    apply(&mut assembler, &mut state, 0, &[(1, 2.0)]);
    let got = assembler.assemble(&state, at(0)).unwrap();
    assert!(got.reasons.contains(&Reason::RequiredMissing(0)) && got.quality == Quality::Bad);
    apply(&mut assembler, &mut state, 30, &[(0, 60.0), (2, 3.0), (3, 4.0)]);
    let stale = assembler.assemble(&state, at(91)).unwrap();
    assert_eq!(stale.row[..4].iter().map(|v| v.to_bits()).collect::<Vec<_>>()[1], 2.0_f32.to_bits());
    for reason in [Reason::RequiredStale(0), Reason::Held(1), Reason::Stale(2), Reason::Defaulted(3)] {
        assert!(stale.reasons.contains(&reason), "{reason:?} in {:?}", stale.reasons);
    }
    assert_eq!(stale.row[3], 7.0);
}

#[test]
fn unusual_values_and_undefined_features_are_named() {
    let mut assembler = assembler();
    let mut state = assembler.new_state();
    for second in [0, 30] {
        apply(&mut assembler, &mut state, second, &[(0, 60.0), (1, 0.0), (2, 3.0), (3, 4.0)]);
    }
    let got = assembler.assemble(&state, at(30)).unwrap();
    assert_eq!(got.reasons, [Reason::OutsideTrainedRange(0), Reason::Undefined(4)]);
}

#[test]
fn too_many_missing_features_withhold() {
    let mut assembler = assembler();
    let mut state = assembler.new_state();
    apply(&mut assembler, &mut state, 30, &[(0, 1.0)]);
    let got = assembler.assemble(&state, at(30)).unwrap();
    assert!(got.reasons.contains(&Reason::TooManyMissing), "{:?}", got.reasons);
}

#[test]
fn bad_readings_are_refused_with_their_reason() {
    let mut assembler = assembler();
    let mut state = assembler.new_state();
    let t = at(10);
    assert_eq!(assembler.apply(&mut state, 0, 65535.0, t.wall, t), Err(RejectReason::OutOfRange));
    assert_eq!(assembler.apply(&mut state, 0, f64::NAN, t.wall, t), Err(RejectReason::NotFinite));
    assert_eq!(assembler.apply(&mut state, 9, 1.0, t.wall, t), Err(RejectReason::UnknownSensor));
    assert_eq!(assembler.apply(&mut state, 0, 1.0, t.wall, t), Ok(()));
    assert_eq!(assembler.apply(&mut state, 0, 1.0, at(9).wall, t), Err(RejectReason::LateReading));
    assert_eq!(assembler.apply(&mut state, 0, 2.0, t.wall, t), Ok(()));
}

#[test]
fn a_window_without_its_newest_sample_is_incomplete() {
    let manifest = MANIFEST.replace("mean(R, 1m)", "mean(R / H, 1m)");
    let mut assembler = Assembler::new(&Manifest::parse(&manifest).unwrap(), None).unwrap();
    let mut state = assembler.new_state();
    for (second, h) in [(0, 1.0), (30, 1.0), (60, 0.0)] {
        apply(&mut assembler, &mut state, second, &[(0, 6.0), (1, h), (2, 3.0), (3, 4.0)]);
    }
    let got = assembler.assemble(&state, at(60)).unwrap();
    assert_eq!(got.row[5], 6.0);
    assert_eq!(got.reasons, [Reason::Undefined(4), Reason::IncompleteHistory(5)]);
}

#[test]
fn windows_do_not_depend_on_when_somebody_looked() {
    let mut assembler = assembler();
    let mut state = assembler.new_state();
    for second in [0, 30, 60] {
        apply(&mut assembler, &mut state, second, &[(0, f64::from(second as i32))]);
    }
    let soon = assembler.assemble(&state, at(60)).unwrap().row[5];
    // R itself is stale by now and its own feature is missing; the window ends at the newest reading.
    let late = assembler.assemble(&state, at(200)).unwrap();
    assert_eq!((soon, late.row[5], late.row[0].is_nan()), (45.0, 45.0, true));
}

/// The mean as the documentation defines it, from the list of readings alone.
fn mean_by_definition(readings: &[(i64, f64)]) -> f32 {
    let (&(first, _), &(last, newest)) = (&readings[0], &readings[readings.len() - 1]);
    let number = last.div_euclid(30);
    let instants: Vec<i64> =
        (number - 1..=number).map(|number| number * 30).filter(|at| *at >= first).collect();
    if instants.is_empty() {
        return newest as f32;
    }
    let held = |at: i64| readings.iter().rev().find(|(second, _)| *second <= at).unwrap();
    let values: Vec<f64> = instants
        .iter()
        .map(|at| (at, held(*at)))
        .filter(|(at, held)| **at - held.0 <= 60)
        .map(|(_, held)| held.1)
        .collect();
    (values.iter().sum::<f64>() / values.len() as f64) as f32
}

proptest::proptest! {
    #[test]
    fn windows_are_what_the_documentation_says(
        gaps in proptest::collection::vec((1_i64..200, 0_u8..100), 1..40),
        start in 0_i64..100,
    ) {
        let mut assembler = assembler();
        let mut state = assembler.new_state();
        let (mut second, mut readings) = (start, Vec::new());
        for (gap, value) in gaps {
            second += gap;
            let value = f64::from(value);
            readings.push((second, value));
            apply(&mut assembler, &mut state, second, &[(0, value)]);
            let got = assembler.assemble(&state, at(second)).unwrap().row[5];
            let want = mean_by_definition(&readings);
            proptest::prop_assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{got} {want}");
        }
    }
}
