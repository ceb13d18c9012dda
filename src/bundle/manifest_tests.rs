use super::*;

const GOOD: &str = r#"
schema = 1
id = "m"
version = "1.0"
step = "30s"
time_zone = "Europe/Vienna"
[[sensors]]
name = "A"
unit = "degC"
accept = [-50, 200]
max_age = "5m"
missing = "required"
[[sensors]]
name = "B"
unit = "rpm"
accept = [0.5, 1e3]
max_age = "1h"
missing = { default = 2.5 }
[[features]]
name = "A"
[[features]]
name = "ratio"
expr = "A / B"
missing = 0.0
[[targets]]
name = "T"
unit = "degC"
model = "t.onnx"
plausible = [0, 50]
measured_by = "T"
output_scaler = { mean = 20.0, scale = 2.0 }
[limits]
max_missing_features = 1
"#;

#[test]
fn a_good_manifest_says_what_it_says() {
    let manifest = Manifest::parse(GOOD).unwrap();
    assert_eq!(manifest.step, Duration::from_secs(30));
    assert_eq!(manifest.sensors[1].missing, Missing::Default(2.5));
    assert_eq!(manifest.sensors[1].accept, (0.5, 1000.0));
    assert_eq!(manifest.features[1].expr.as_deref(), Some("A / B"));
    assert_eq!(manifest.targets[0].accept, (0.0, 50.0));
    assert_eq!(manifest.channels(), ["A", "B", "T"]);
    assert_eq!(manifest.max_missing_features, 1);
}

#[test]
fn all_problems_come_at_once() {
    let text = GOOD
        .replace("missing = \"required\"", "missing = \"sometimes\"")
        .replace("accept = [0.5, 1e3]", "accept = [5, 1]")
        .replace("expr = \"A / B\"", "expresion = \"A\"")
        .replace("model = \"t.onnx\"", "model = \"../t.onnx\"")
        .replace("30s", "30 parsecs")
        .replace("Europe/Vienna", "Europe/Atlantis");
    let problems = Manifest::parse(&text).unwrap_err();
    for part in [
        "step: `30 parsecs` is no time span",
        "Europe/Atlantis",
        "sensors[0] `A`: missing is `sometimes`",
        "sensors[1] `B`: accept = [5, 1] is no range",
        "features[1] `ratio`: unknown field `expresion`",
        "targets[0] `T`: model `../t.onnx`",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:#?}");
    }
}

#[test]
fn doubles_and_shadows_are_refused() {
    let twice = GOOD.replace("name = \"B\"", "name = \"A\"");
    assert!(Manifest::parse(&twice).unwrap_err().iter().any(|problem| problem.contains("`A` stands twice")));
    let shadow = GOOD.replace("name = \"ratio\"", "name = \"B\"");
    assert!(Manifest::parse(&shadow).unwrap_err()[0].contains("name of a sensor"));
}

#[test]
fn names_that_would_collide_are_refused() {
    for (from, to, part) in [
        ("name = \"T\"", "name = \"quality\"", "the prediction document has a field of that name"),
        ("measured_by = \"T\"", "measured_by = \"a/b\"", "targets[0] `T` measured_by: a name is"),
        ("measured_by = \"T\"", "measured_by = \"time\"", "a key of the frame itself"),
        ("name = \"B\"", "name = \"unit\"", "sensors[1] `unit`: `unit` is a key of the frame"),
        ("missing = 0.0", "missing = inf", "missing must be a finite number"),
        ("missing = { default = 2.5 }", "missing = { defualt = 2.5 }", "or `{ default = x }`"),
    ] {
        let problems = Manifest::parse(&GOOD.replace(from, to)).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(part)), "{part}: {problems:#?}");
    }
}

#[test]
fn broken_toml_names_its_line() {
    let problems = Manifest::parse("schema = 1\nid = \n").unwrap_err();
    assert!(problems[0].contains("line 2"), "{problems:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_can_hurt(text in "\\PC{0,300}") {
        let _ = Manifest::parse(&text);
    }
}
