//! Any text as a configuration: refused with problems of one line each that do not tell the password, or understood.
#![no_main]

use cooltwin::daemon::settings::{Settings, SettingsErrors, Source};
use libfuzzer_sys::fuzz_target;

/// Stands in the seeds as password, and in no other place; nobody may ever see it.
const PASSWORD: &str = "hunter2";

fuzz_target!(|text: &str| {
    let source = Source { file: Some("cooltwin.toml".into()), ..Source::default() };
    match source.load_text(Some(text)) {
        Err(errors) => judge(&errors, text),
        Ok(mut settings) => {
            // What is on this machine is no part of the input.
            without_files(&mut settings);
            match settings.check() {
                Err(errors) => judge(&errors, text),
                Ok(checked) => {
                    assert!(checked.topics.command("x").is_none());
                    assert!(!is_told(&format!("{settings:?} {checked:?}"), text));
                }
            }
        }
    }
});

fn without_files(settings: &mut Settings) {
    let mqtt = &mut settings.mqtt;
    for file in
        [&mut mqtt.password_file, &mut mqtt.ca_file, &mut mqtt.client_cert_file, &mut mqtt.client_key_file]
    {
        *file = None;
    }
    settings.bundle.path = Some("/".into());
    settings.bundle.public_key = settings.bundle.public_key.take().filter(|key| !key.contains('/'));
}

fn judge(errors: &SettingsErrors, text: &str) {
    assert!(!errors.0.is_empty());
    for problem in &errors.0 {
        let shown = problem.to_string();
        assert!(!shown.is_empty() && !is_told(&shown, text), "{shown}");
    }
}

/// Whether the password is told. Where it became the value or part of the name of something else, such as the broker's
/// host, it is none.
fn is_told(shown: &str, text: &str) -> bool {
    let is_password = |line: &str| match line.split('=').next().unwrap_or_default().trim() {
        "password" | "mqtt.password" => true,
        "url" => {
            let authority =
                line.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
            authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(PASSWORD))
        }
        _ => false,
    };
    let mut lines = text.lines().filter(|line| line.contains(PASSWORD));
    shown.contains(PASSWORD) && text.matches(PASSWORD).count() == 1 && lines.all(is_password)
}
