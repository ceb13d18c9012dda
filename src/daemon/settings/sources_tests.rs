use std::fmt::Write as _;

use super::*;
use crate::daemon::settings::{Settings, Source};

fn load(text: &str) -> Result<Settings, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cooltwin.toml");
    std::fs::write(&file, text).unwrap();
    let source = Source { file: Some(file), ..Source::default() };
    let problems = |problems: crate::daemon::settings::SettingsErrors| {
        problems
            .0
            .iter()
            .map(|problem| problem.to_string().replace(folder.path().to_str().unwrap(), ""))
            .collect::<Vec<_>>()
    };
    let mut settings = source.load().map_err(problems)?;
    settings.bundle.path = Some(folder.path().to_owned());
    settings.check().map_err(problems)?;
    Ok(settings)
}

fn problems(text: &str) -> Vec<String> {
    load(text).unwrap_err()
}

#[test]
fn a_rule_is_read_with_its_tables() {
    let text = r#"
[[source]]
name = "a"
topic = "x/{unit}/{sensor}"
kind = "number"
ignore = ["rssi"]
[source.rename]
"AI.1" = "UCAIT"
[source.sensors]
UCAIT = { from = "degF", scale = 1_0, offset = -0.5, invalid = [-999, 1e3], words = { off = 0 } }
[source.overrides.c1]
UCAIT = { offset = 1 }
[[source]]
topic = "y/{unit}"
kind = "object"
time = "/t"
"#;
    let settings = load(text).unwrap();
    let [first, second] = settings.source.as_slice() else { panic!("{:?}", settings.source) };
    let spec = &first.spec;
    assert_eq!(first.origin, second.origin.replace("line 13", "line 2"));
    assert_eq!((spec.name.as_str(), spec.rename["AI.1"].as_str()), ("a", "UCAIT"));
    let conversion = &spec.sensors["UCAIT"];
    assert_eq!((conversion.scale, conversion.offset), (Some(10.0), Some(-0.5)));
    assert_eq!((conversion.invalid.as_slice(), conversion.words["off"]), ([-999.0, 1000.0].as_slice(), 0.0));
    assert_eq!(spec.overrides["c1"]["UCAIT"].offset, Some(1.0));
    assert_eq!((second.spec.name.as_str(), second.spec.time.as_deref()), ("2", Some("/t")));
}

#[test]
fn everything_wrong_in_form_is_said_with_its_line() {
    let found = problems(
        r#"
[[source]]
name = "a"
topik = "x/{unit}/{sensor}"
kind = 3
fallback = "yes"
rename = "UCAIT"
ignore = "rssi"
sensors = { UCAIT = { form = "degF", scale = "2" }, UCWIT = 1 }
[[source]]
name = "a"
topic = "y/{unit}"
kind = "object"
"#,
    );
    let expected = [
        ("source \"a\" topik (from /cooltwin.toml line 4)", "did you mean topic?"),
        ("source \"a\" kind (from /cooltwin.toml line 5)", "must be a text in quotes, not integer"),
        ("source \"a\" fallback", "must be true or false"),
        ("source \"a\" rename", "[source.rename]"),
        ("source \"a\" ignore", "list in brackets"),
        ("source \"a\" sensors.UCAIT.form", "did you mean from?"),
        ("source \"a\" sensors.UCAIT.scale", "decimal number"),
        ("source \"a\" sensors.UCWIT", "table such as"),
        ("source \"a\" name (from /cooltwin.toml line 10)", "earlier rule"),
    ];
    for (start, part) in expected {
        let is_there = found.iter().any(|problem| problem.starts_with(start) && problem.contains(part));
        assert!(is_there, "{start} {part}: {found:#?}");
    }
}

#[test]
fn one_bracket_and_too_many_rules() {
    assert!(problems("[source]\ntopic = \"x\"")[0].contains("[[source]] with two brackets"));
    let many = "[[source]]\ntopic = \"x/{unit}\"\nkind = \"object\"\n".repeat(MAX_RULES + 1);
    assert!(problems(&many)[0].contains("more than 64"));
}

#[test]
fn everything_wrong_in_meaning_is_said_at_once() {
    let found = problems(
        r#"
[[source]]
name = "a"
topic = "x/{room}"
kind = "numbers"
[[source]]
name = "b"
topic = "x/{sensor}"
kind = "number"
value = "/v"
[[source]]
name = "c"
topic = "x/{unit}/{sensor}/c"
kind = "json"
value = "v"
time_format = "h"
zone = "Mars/Olympus"
unit = "u"
sensor = "UCAIT"
"#,
    );
    let expected = [
        ("source \"a\" kind = \"numbers\"", "use one of number, json"),
        ("source \"a\" topic = \"x/{room}\"", "`{room}`"),
        ("source \"b\" value = \"/v\"", "no meaning with kind = \"number\""),
        ("source \"b\" topic = \"x/{sensor}\"", "which unit"),
        ("source \"c\" value = \"v\"", "begin it with a slash"),
        ("source \"c\" time_format = \"h\"", "auto, rfc3339, s, ms, us, ns"),
        ("source \"c\" zone = \"Mars/Olympus\"", "unknown time zone"),
        ("source \"c\" topic", "unit in more than one way"),
        ("source \"c\" topic", "sensor in more than one way"),
    ];
    for (start, part) in expected {
        let is_there = found.iter().any(|problem| problem.starts_with(start) && problem.contains(part));
        assert!(is_there, "{start} {part}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

fn rules(topics: &[&str]) -> String {
    let mut text = String::new();
    for (index, topic) in topics.iter().enumerate() {
        let (topic, fallback) = match topic.strip_suffix(" fallback") {
            Some(topic) => (topic, "fallback = true\n"),
            None => (*topic, ""),
        };
        let _ = write!(
            text,
            "[[source]]\nname = \"r{index}\"\ntopic = \"{topic}\"\nkind = \"object\"\nunit_at = \"/u\"\n{fallback}"
        );
    }
    text
}

#[test]
fn overlaps_are_refused_unless_the_later_takes_what_is_left() {
    for good in [
        &["a/b", "a/c", "a/b/c"][..],
        &["a/b", "a/+ fallback"],
        &["a/b", "a/b/c", "a/# fallback"],
        &["hvac/x/sensors"],
    ] {
        assert!(load(&rules(good)).is_ok(), "{good:?}: {:?}", problems(&rules(good)));
    }
    for (bad, part) in [
        (&["a/b", "a/+"][..], "say so: fallback = true"),
        (&["a/+", "a/b"], "never comes to its turn"),
        (&["a/+", "a/b fallback"], "never comes to its turn"),
        (&["a/b", "a/b"], "say so: fallback = true"),
        (&["a/+", "+/b fallback"], "have topics in common"),
        (&["hvac/#"], "read its own output"),
        (&["hvac/c1/+"], "have topics in common"),
        (&["cooltwin/main/cmd/health"], "the daemon's commands"),
    ] {
        let found = problems(&rules(bad));
        assert!(found.iter().any(|problem| problem.contains(part)), "{bad:?}: {found:#?}");
    }
}
