use super::*;
use crate::domain::{Held, Now, Timestamp, UnitState};

const STEP: Duration = Duration::from_secs(30);

fn features<'a>(list: &[(&'a str, &'a str)]) -> Vec<FeatureSource<'a>> {
    list.iter()
        .map(|(name, expr)| FeatureSource { name, expr: (!expr.is_empty()).then_some(*expr), missing: None })
        .collect()
}

fn program(list: &[(&str, &str)]) -> Program {
    compile(&["A", "B"], &features(list), STEP, ZoneSpec::utc()).unwrap()
}

fn errors(list: &[(&str, &str)]) -> Vec<(String, Option<usize>, String)> {
    compile(&["A", "B"], &features(list), STEP, ZoneSpec::utc())
        .unwrap_err()
        .into_iter()
        .map(|error| (error.feature, error.column, error.message))
        .collect()
}

/// A unit to which readings are applied one after the other; every value counts as fresh.
struct Bench {
    program: Program,
    state: UnitState,
    scratch: crate::bundle::program::Scratch,
}

impl Bench {
    fn new(list: &[(&str, &str)]) -> Self {
        let program = program(list);
        let (signals, capacity) = program.history_shape();
        let scratch = program.scratch();
        Self { program, state: UnitState::new(2, signals, capacity), scratch }
    }

    /// Applies A and B at `second` and gives the features at that time.
    fn at(&mut self, second: i64, a: f64, b: f64) -> Vec<f32> {
        let time = Timestamp::from_micros(second * 1_000_000);
        let value =
            |sensor: usize, state: &UnitState, _| state.get(sensor).map_or(f64::NAN, |held| held.value);
        self.program.advance(&mut self.state, time, &mut self.scratch, &value);
        self.state.set(0, Held::new(a, time, Now::replay(time)));
        self.state.set(1, Held::new(b, time, Now::replay(time)));
        let mut row = vec![0.0; self.program.features()];
        self.program.evaluate(&self.state, time, &[a, b], &value, &mut self.scratch, &mut row);
        row
    }
}

fn one(expr: &str, a: f64, b: f64) -> f32 {
    Bench::new(&[("f", expr)]).at(0, a, b)[0]
}

#[test]
fn arithmetic_and_functions() {
    for (expr, want) in [
        ("A + B * 2 - 1", 7.0),
        ("A / B", 2.0 / 3.0),
        ("A ^ B", 8.0),
        ("-A ^ 2", -4.0),
        ("pow(A, 0.5)", 2.0_f64.sqrt() as f32),
        ("abs(-A) + sqrt(B + 1)", 4.0),
        ("min(A, B) * 10 + max(A, B)", 23.0),
        ("clip(A, 0, 1)", 1.0),
        ("if(A < B, 7, 8)", 7.0),
        ("and(A < B, not(A == 2)) + or(0, 1)", 1.0),
        ("exp(0) + ln(1) + sin(0) + cos(0)", 2.0),
        ("isnan(A / 0)", 1.0),
        ("cos(2 * pi)", 1.0),
    ] {
        assert_eq!(one(expr, 2.0, 3.0), want, "{expr}");
    }
}

#[test]
fn undefined_results_are_missing_values() {
    for expr in
        ["A / 0", "ln(-1)", "sqrt(-A)", "exp(9999)", "0 / 0", "A / 0 < 1", "min(A / 0, 1)", "if(A / 0, 1, 2)"]
    {
        assert!(one(expr, 2.0, 3.0).is_nan(), "{expr}");
    }
    let sources = [FeatureSource { name: "f", expr: Some("A / 0"), missing: Some(5.0) }];
    let program = compile(&["A", "B"], &sources, STEP, ZoneSpec::utc()).unwrap();
    let mut row = [0.0];
    let state = UnitState::new(2, 0, 1);
    let (now, value) = (Timestamp::default(), |_: usize, _: &UnitState, _| 1.0);
    program.evaluate(&state, now, &[1.0, 1.0], &value, &mut program.scratch(), &mut row);
    assert_eq!(row, [5.0]);
}

#[test]
fn windows_follow_the_grid() {
    let mut bench = Bench::new(&[
        ("A", ""),
        ("mean", "mean(A, 90s)"),
        ("std", "std(A, 90s)"),
        ("slope", "slope(A, 90s)"),
        ("lag", "lag(A, 1m)"),
        ("since", "since_change(A > 2)"),
        ("age", "age(A)"),
        ("hour", "hour()"),
    ]);
    let first = bench.at(0, 1.0, 0.0);
    assert_eq!(first[..3], [1.0, 1.0, 0.0]);
    assert!(first[3].is_nan() && first[4].is_nan());
    bench.at(30, 2.0, 0.0);
    let third = bench.at(60, 3.0, 0.0);
    assert_eq!(third[1], 2.0);
    assert_eq!(third[2], (2.0_f64 / 3.0).sqrt() as f32);
    assert_eq!(third[3], (1.0_f64 / 30.0) as f32);
    assert_eq!(third[4], 1.0);
    assert_eq!(third[5], 0.0);
    // Between instants only what was sampled counts; the newest instant is that of 90 s.
    let between = bench.at(97, 9.0, 0.0);
    assert_eq!(between[0], 9.0);
    assert_eq!(between[1], (2.0_f64 + 3.0 + 3.0) as f32 / 3.0);
    assert_eq!(between[5], 37.0);
    assert_eq!(between[6], 0.0);
    assert_eq!(bench.at(7200, 9.0, 0.0)[7], 2.0);
}

#[test]
fn the_result_does_not_depend_on_looking() {
    let list =
        [("m", "mean(A * B, 2m)"), ("s", "std(A, 2m)"), ("l", "lag(B, 2m)"), ("c", "since_change(A > 5)")];
    let (mut often, mut seldom) = (Bench::new(&list), Bench::new(&list));
    for second in (0..600).step_by(7) {
        let (a, b) = ((second % 11) as f64, (second % 13) as f64);
        let got = often.at(second, a, b);
        let time = Timestamp::from_micros(second * 1_000_000);
        // `seldom` is fed the same readings but asked only at the end.
        let value =
            |sensor: usize, state: &UnitState, _| state.get(sensor).map_or(f64::NAN, |held| held.value);
        seldom.program.advance(&mut seldom.state, time, &mut seldom.scratch, &value);
        seldom.state.set(0, Held::new(a, time, Now::replay(time)));
        seldom.state.set(1, Held::new(b, time, Now::replay(time)));
        if second > 590 {
            let mut row = vec![0.0; 4];
            seldom.program.evaluate(&seldom.state, time, &[a, b], &value, &mut seldom.scratch, &mut row);
            assert_eq!(row, got);
        }
    }
}

#[test]
fn a_long_gap_costs_no_more_than_the_window() {
    let mut bench = Bench::new(&[("m", "mean(A, 1h)")]);
    bench.at(0, 4.0, 0.0);
    assert_eq!(bench.at(10 * 365 * 86_400, 4.0, 0.0)[0], 4.0);
    assert_eq!(bench.state.history.len(), 120);
}

#[test]
fn equal_parts_are_computed_once() {
    let shared = program(&[
        ("x", "(A + B) * 2"),
        ("y", "(A + B) * 3"),
        ("m", "mean(A + B, 1m)"),
        ("n", "std(A + B, 1m)"),
    ]);
    assert_eq!(shared.history_shape(), (1, 2));
    assert_eq!(shared.code.iter().filter(|op| matches!(op, Op::Binary(BinaryOp::Add, ..))).count(), 1);
}

#[test]
fn features_inside_windows_are_sampled() {
    let mut bench = Bench::new(&[("d", "A - B"), ("m", "mean(d, 1m)")]);
    bench.at(0, 3.0, 1.0);
    assert_eq!(bench.at(30, 7.0, 1.0), [6.0, 4.0]);
}

#[test]
fn a_missing_feature_is_its_default_inside_windows_too() {
    let sources = [
        FeatureSource { name: "q", expr: Some("A / 0"), missing: Some(5.0) },
        FeatureSource { name: "m", expr: Some("mean(q, 1m)"), missing: None },
    ];
    let program = compile(&["A", "B"], &sources, STEP, ZoneSpec::utc()).unwrap();
    let mut row = [0.0; 2];
    let (signals, capacity) = program.history_shape();
    let (now, value) = (Timestamp::default(), |_: usize, _: &UnitState, _| 1.0);
    let state = UnitState::new(2, signals, capacity);
    program.evaluate(&state, now, &[1.0, 1.0], &value, &mut program.scratch(), &mut row);
    assert_eq!(row, [5.0, 5.0]);
}

/// Each feature names the one before twice: followed anew each time that would be 2^60 expressions.
#[test]
fn features_inside_windows_are_compiled_once() {
    let names: Vec<String> = (0..60).map(|index| format!("f{index}")).collect();
    let mut list = vec![("f0", "A".to_owned())];
    list.extend(
        names.iter().zip(&names[1..]).map(|(before, name)| (name.as_str(), format!("{before} + {before}"))),
    );
    list.push(("m", "mean(f59, 1m)".to_owned()));
    let list: Vec<(&str, &str)> = list.iter().map(|(name, expr)| (*name, expr.as_str())).collect();
    assert_eq!(program(&list).instructions(), 121);
}

#[test]
fn the_depth_of_trees_is_bounded_across_features() {
    let long = |name: &str| format!("{name}{}", "+1".repeat(60));
    let names: Vec<String> = (0..60).map(|index| format!("f{index}")).collect();
    let mut list = vec![("f0", long("A"))];
    list.extend(names.iter().zip(&names[1..]).map(|(before, name)| (name.as_str(), long(before))));
    list.push(("m", "mean(f59, 1m)".to_owned()));
    let list: Vec<(&str, &str)> = list.iter().map(|(name, expr)| (*name, expr.as_str())).collect();
    let got = errors(&list);
    assert_eq!((got.len(), got[0].0.as_str()), (1, "m"));
    assert!(got[0].2.contains("nested deeper than 256 levels"), "{}", got[0].2);
}

#[test]
fn memory_of_a_unit_is_bounded() {
    let exprs: Vec<String> = (0..46).map(|index| format!("mean(A * {index}, 1d)")).collect();
    let names: Vec<String> = (0..46).map(|index| format!("f{index}")).collect();
    let list: Vec<(&str, &str)> =
        names.iter().zip(&exprs).map(|(name, expr)| (name.as_str(), expr.as_str())).collect();
    assert_eq!(program(&list[..45]).history_shape(), (45, 2880));
    assert!(errors(&list)[0].2.contains("2880 samples of each of 46 signals"));
}

#[test]
fn all_errors_come_at_once_with_their_places() {
    let got = errors(&[
        ("one", "A + C"),
        ("two", "mean(A, 45s)"),
        ("three", "mean(mean(A, 1m), 1m)"),
        ("four", "later + 1"),
        ("later", "clip(A)"),
        ("six", "sinn(A)"),
        ("seven", "mean(A, 3)"),
        ("eight", "5m"),
        ("nine", "age(one)"),
        ("ten", "mean(A, 300d)"),
    ]);
    let want = [
        ("one", 5, "unknown name `C`"),
        ("two", 9, "multiple of the bundle's step (30 s)"),
        ("three", 6, "a window cannot stand inside a window"),
        ("four", 1, "move it up"),
        ("later", 1, "clip(x, low, high), found 1"),
        ("six", 1, "did you mean `sin`?"),
        ("seven", 9, "wants a time span"),
        ("eight", 1, "only as the second argument"),
        ("nine", 5, "`age` wants a sensor"),
        ("ten", 9, "at most 2880 are kept"),
    ];
    assert_eq!(got.len(), want.len());
    for ((feature, column, message), (name, at, part)) in got.iter().zip(want) {
        assert_eq!((feature.as_str(), *column), (name, Some(at)), "{message}");
        assert!(message.contains(part), "{message}");
    }
    assert!(errors(&[("Q", "")])[0].2.contains("no sensor `Q`"));
    assert_eq!(errors(&[("p", "A +"), ("q", ")"), ("r", "p + C")]).len(), 3);
}
