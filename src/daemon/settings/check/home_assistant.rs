//! `[home_assistant]`: topics that it reads, and what it is told of the daemon.

use super::DaemonTopics;
use crate::daemon::settings::Settings;
use crate::daemon::settings::problem::Problem;
use crate::domain::TopicTemplate;
use crate::engine::HomeAssistant;

/// What the engine is to know of Home Assistant, if that is wanted.
pub(super) fn check(
    settings: &Settings,
    topics: &DaemonTopics,
    problems: &mut Vec<Problem>,
) -> Option<HomeAssistant> {
    let written = &settings.home_assistant;
    let mut is_right = true;
    for (key, topic) in [("prefix", &written.prefix), ("birth_topic", &written.birth_topic)] {
        let parsed = TopicTemplate::parse(topic, &[], false).map_err(|error| error.to_string());
        // A topic like any other to a broker, but not the one that Home Assistant reads or writes.
        let is_whole = topic.split('/').all(|level| !level.is_empty()) && !topic.starts_with('$');
        let whole = if is_whole { Ok(()) } else { Err("has an empty level or begins with $".to_owned()) };
        if let Err(error) = parsed.and(whole) {
            let remedy = "write it as it stands in Home Assistant's options of MQTT";
            let key = format!("home_assistant.{key}");
            problems.push(Problem::new(key, format!("\"{topic}\""), error, remedy));
            is_right = false;
        }
    }
    (is_right && written.enabled).then(|| HomeAssistant {
        prefix: written.prefix.clone(),
        birth_topic: written.birth_topic.clone(),
        expire_after: written.expire_after,
        instance: settings.instance.name.clone(),
        status_topic: topics.status.clone(),
        health_topic: topics.health.clone(),
        health_interval: settings.health.interval,
    })
}

#[cfg(test)]
mod tests {
    use crate::daemon::settings::Settings;

    fn problems(change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.bundle.path = Some(folder.path().to_path_buf());
        settings.home_assistant.enabled = true;
        change(&mut settings);
        let errors = settings.check().err();
        errors.map_or_else(Vec::new, |errors| errors.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn topics_that_cannot_be_are_refused_and_those_that_meet_others_too() {
        assert_eq!(problems(|_| {}), Vec::<String>::new());
        for wrong in ["", "a/#", "+", "a\u{1}", "homeassistant/", "/homeassistant", "a//b", "/", "$ha"] {
            let found = problems(|settings| wrong.clone_into(&mut settings.home_assistant.prefix));
            assert!(
                found.iter().any(|problem| problem.contains("home_assistant.prefix")),
                "{wrong:?}: {found:?}"
            );
            let found = problems(|settings| wrong.clone_into(&mut settings.home_assistant.birth_topic));
            assert!(found.iter().any(|problem| problem.contains("birth_topic")), "{wrong:?}: {found:?}");
        }
        for (frame, meets) in [
            ("{unit}/status", "home_assistant.birth_topic"),
            ("homeassistant/device/{unit}/config", "read its own output"),
        ] {
            let found = problems(|settings| frame.clone_into(&mut settings.topics.frame));
            assert!(found.iter().any(|problem| problem.contains(meets)), "{frame}: {found:?}");
        }
        let found =
            problems(|settings| "cooltwin/main/status".clone_into(&mut settings.home_assistant.birth_topic));
        assert!(found.iter().any(|problem| problem.contains("the daemon's own topic")), "{found:?}");
    }
}
