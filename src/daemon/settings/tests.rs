use std::time::Duration;

use super::*;

fn source(toml: &str, environment: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cooltwin.toml");
    std::fs::write(&file, toml).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let source = Source { file: Some(file), environment, overrides: Vec::new() };
    (folder, source)
}

fn problems(toml: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let (_folder, source) = source(toml, environment);
    source.load().unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn checked(change: impl FnOnce(&mut Settings)) -> Result<Checked, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.bundle.path = Some(folder.path().to_path_buf());
    change(&mut settings);
    settings.check().map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

#[test]
fn the_shipped_file_is_the_template() {
    let shipped = include_str!("../../../config/cooltwin.toml");
    assert_eq!(shipped, template(), "write it anew with: cooltwin config > config/cooltwin.toml");
}

#[test]
fn the_reference_in_the_guides_is_the_one_printed() {
    let written = include_str!("../../../docs/configuration.md");
    assert_eq!(
        written,
        reference(),
        "write it anew with: cooltwin config --markdown > docs/configuration.md"
    );
}

#[test]
fn every_variable_in_the_reference_sets_its_setting() {
    let variables: Vec<(String, String)> = reference()
        .lines()
        .filter_map(|line| line.strip_prefix("Example: ")?.split_once("`, or `"))
        .filter_map(|(_, variable)| variable.strip_suffix('`')?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let keys: usize = Settings::specs().iter().map(|section| section.keys.len()).sum();
    assert_eq!(variables.len(), keys);
    for (name, value) in &variables {
        let environment = [(name.clone(), value.clone())].into();
        let settings = Source { environment, ..Source::default() }.load_text(None).unwrap();
        let changed = Settings::default().changed(&settings);
        // A value that is the default changes nothing; the others change what is named.
        for (key, _) in &changed {
            assert_eq!(*name, format!("COOLTWIN__{}", key.replace('.', "__").to_uppercase()));
        }
        let is_default = Settings::specs().iter().flat_map(|section| &section.keys).any(|key| {
            name.ends_with(&key.key.to_uppercase())
                && key.default.as_deref().map(|text| text.trim_matches('"')) == Some(value)
        });
        assert_eq!(changed.is_empty(), is_default, "{name}={value}");
    }
}

#[test]
fn the_template_means_the_defaults() {
    let (_folder, source) = source(&template(), &[]);
    assert_eq!(source.load().unwrap(), Settings::default());
}

#[test]
fn every_example_in_the_template_is_accepted() {
    let uncommented: String = template()
        .lines()
        .map(|line| match line.strip_prefix("# ").and_then(|rest| rest.split_once(" = ")) {
            Some((key, _)) if !key.contains(' ') => line.trim_start_matches("# "),
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let (_folder, source) = source(&uncommented, &[]);
    let settings = source.load().unwrap();
    assert_eq!(settings.mqtt.client_id.as_deref(), Some("cooltwin-main"));
    assert!(settings.mqtt.ca_file.is_some() && settings.bundle.path.is_some());
}

#[test]
fn the_environment_overrides_the_file_and_the_command_line_both() {
    let (_folder, mut source) = source(
        "[mqtt]\nurl = \"mqtt://file\"\nkeep_alive = \"20s\"\n[engine]\nmax_units = 3",
        &[
            ("COOLTWIN__MQTT__URL", "mqtt://environment"),
            ("COOLTWIN__ENGINE__MAX_UNITS", "4"),
            ("COOLTWIN__ENGINE__TARGET_TOPICS", "false"),
        ],
    );
    source.overrides.push(("engine.max_units".into(), "5".into()));
    let settings = source.load().unwrap();
    assert_eq!(settings.mqtt.url, "mqtt://environment");
    assert_eq!(settings.mqtt.keep_alive, Duration::from_secs(20));
    assert_eq!(settings.engine.max_units, 5);
    assert!(!settings.engine.target_topics);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let found = problems(
        "color = 1\nurl = \"x\"\nlog = 3\n[mqtt]\nurll = \"x\"\nkeep_alive = 10\nsubscribe_qos = 2\nsettle = \"1s\"\n\
         [brdige]\na = 1\n[mqqt]\n[engine]\nmax_units = -1\ntarget_topics = \"yes\"",
        &[("COOLTWIN__HEALTH__INTERVALL", "1s")],
    );
    let expected = [
        ("color ", "outside every section"),
        ("url ", "did you mean mqtt.url?"),
        ("log ", "is a section, not a value"),
        ("mqtt.urll ", "did you mean mqtt.url?"),
        ("mqtt.keep_alive = 10 ", "duration with its unit"),
        ("mqtt.subscribe_qos = 2 ", "between 0 and 1"),
        ("mqtt.settle ", "did you mean engine.settle?"),
        ("brdige ", "no section [brdige]"),
        ("mqqt ", "did you mean [mqtt]?"),
        ("engine.max_units = -1 ", "whole number"),
        ("engine.target_topics = \"yes\" ", "`true` or `false`"),
        ("health.intervall (from the environment)", "did you mean health.interval?"),
    ];
    for (start, reason) in expected {
        let is_there = found.iter().any(|problem| problem.starts_with(start) && problem.contains(reason));
        assert!(is_there, "{start} {reason}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn broken_toml_names_the_place() {
    let found = problems("[mqtt]\nurl = ", &[]);
    assert!(found[0].contains("cooltwin.toml") && found[0].contains("line 2"), "{found:?}");
    assert!(!found[0].contains('\n'), "{found:?}");
}

#[test]
fn an_empty_file_is_no_wish_for_all_defaults() {
    for text in ["", " \n\t\n"] {
        let found = problems(text, &[]);
        assert!(found[0].contains("is empty") && found[0].contains("cooltwin config"), "{found:?}");
    }
    let (_folder, source) = source("# all defaults, and meant so\n", &[]);
    assert_eq!(source.load().unwrap(), Settings::default());
}

#[test]
fn a_missing_file_is_named_with_a_remedy() {
    let source = Source { file: Some("/nowhere/c.toml".into()), ..Source::default() };
    let problem = source.load().unwrap_err().to_string();
    assert!(problem.contains("/nowhere/c.toml") && problem.contains("cooltwin config"), "{problem}");
}

#[test]
fn a_secret_is_in_no_output() {
    let (_folder, source) = source("[mqtt]\nusername = \"u\"\npassword = \"hunter2\"", &[]);
    let settings = source.load().unwrap();
    assert_eq!(settings.mqtt.password.as_ref().unwrap().expose(), "hunter2");
    assert!(!format!("{settings:?} {settings:#?}").contains("hunter2"));
    let found = problems("[mqtt]\npassword = 12345678", &[]);
    assert!(!found[0].contains("12345678"), "{found:?}");
    for url in ["mqtt://u:hunter2@host", "://u:hunter2@", "ftp://u:hunter2@host"] {
        let found = checked(|settings| settings.mqtt.url = url.into()).unwrap_err();
        assert!(!found.concat().contains("hunter2"), "{found:?}");
    }
}

#[test]
fn a_password_that_others_can_read_where_it_stands_is_warned_about() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, mut source) = source("[mqtt]\nusername = \"u\"\npassword = \"hunter2\"", &[]);
    let file = source.file.clone().unwrap();
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    assert_eq!(source.warnings(&source.load().unwrap()), Vec::<String>::new());
    mode(0o644);
    let warnings = source.warnings(&source.load().unwrap());
    assert!(warnings.len() == 1 && warnings[0].contains("chmod o-r") && !warnings[0].contains("hunter2"));
    source.environment.insert("COOLTWIN__MQTT__PASSWORD".into(), "hunter2".into());
    assert_eq!(
        source.warnings(&source.load().unwrap()),
        Vec::<String>::new(),
        "it is not the one in the file"
    );
    source.overrides.push(("mqtt.password".into(), "hunter2".into()));
    let warnings = source.warnings(&source.load().unwrap());
    assert!(warnings.len() == 1 && warnings[0].contains("command line") && !warnings[0].contains("hunter2"));
    mode(0o646);
    assert!(
        source.load().unwrap_err().to_string().contains("chmod o-w"),
        "everybody could command the daemon"
    );
}

#[test]
fn defaults_pass_the_check() {
    let checked = checked(|_| ()).unwrap();
    assert_eq!(checked.broker.to_string(), "mqtt://localhost:1883");
    assert_eq!(checked.topics.status, "cooltwin/main/status");
    assert_eq!(checked.warnings, Vec::<String>::new());
    let engine = crate::engine::EngineSettings::default();
    assert_eq!(format!("{:?}", checked.engine), format!("{engine:?}"), "the defaults are the engine's own");
}

#[test]
fn brokers() {
    let broker = |url: &str| {
        checked(|settings| {
            settings.mqtt.url = url.into();
            settings.mqtt.allow_plain = true;
        })
        .map(|checked| checked.broker)
    };
    assert_eq!(broker("mqtts://b.example").unwrap().port, 8883);
    assert_eq!(broker("mqtt://[::1]:9").unwrap().host, "[::1]");
    assert_eq!(broker("mqtt://10.0.0.7").unwrap().to_string(), "mqtt://10.0.0.7:1883");
    for bad in ["localhost", "http://host", "mqtt://", "mqtt://h/path", "mqtts://[::1]", "mqtt://h:99999"] {
        let found = broker(bad).unwrap_err();
        assert!(found.len() == 1 && found[0].starts_with("mqtt.url"), "{bad}: {found:?}");
    }
}

#[test]
fn log_levels() {
    let level = |text: &str| checked(|settings| settings.log.level = text.into());
    for good in ["info", "WARN", "off", "info,cooltwin::daemon=debug", "warn,cooltwin=trace"] {
        assert!(level(good).is_ok(), "{good}");
    }
    for bad in ["", "verbose", "info,shouting=", "=info", "cooltwin=loud", "cooltwin"] {
        let found = level(bad).unwrap_err();
        assert!(found.len() == 1 && found[0].starts_with("log.level"), "{bad}: {found:?}");
    }
}

#[test]
fn the_second_pass_reports_everything_at_once() {
    let found = checked(|settings| {
        settings.instance.name = "a/b".into();
        settings.mqtt.password_file = Some("/nowhere/password".into());
        settings.mqtt.client_cert_file = Some("/nowhere/cert".into());
        settings.topics.state = "#".into();
        settings.payload.time_zone = "Mars/Olympus".into();
        settings.payload.value = "value".into();
        settings.log.format = "xml".into();
        settings.bundle.path = Some("/nowhere/bundle".into());
    })
    .unwrap_err();
    let keys = [
        "instance.name",
        "mqtt.username",
        "mqtt.client_key_file",
        "mqtt.password_file",
        "mqtt.client_cert_file",
        "topics.state",
        "payload.time_zone",
        "payload.value",
        "log.format",
        "bundle.path",
    ];
    for key in keys {
        assert!(found.iter().any(|problem| problem.starts_with(key)), "{key}: {found:#?}");
    }
    assert_eq!(found.len(), keys.len(), "{found:#?}");
}

#[test]
fn meaning_is_checked_in_the_same_go_as_form() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let text = "[mqtt]\nulr = \"x\"\n[engine]\nmax_units = -3\n[topics]\nprediction = \"hvac/predictions\"\n";
    std::fs::write(&file, text).unwrap();
    let source = Source { file: Some(file), ..Source::default() };
    let problems = source.load().unwrap_err().to_string();
    for part in ["did you mean mqtt.url?", "engine.max_units = -3", "topics.prediction", "{unit}"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
}
