//! Whether the daemon would read what it writes: predictions taken for readings feed on themselves, and one
//! taken for a command is obeyed.

use super::traffic::outputs;
use crate::daemon::settings::DaemonTopics;
use crate::daemon::settings::problem::Problem;
use crate::domain::source::filter::overlap;
use crate::engine::EngineSettings;

/// Notes every input that could match an output, and every data topic that could match a command: who may
/// publish readings is not thereby allowed to command the daemon.
pub(super) fn check(engine: &EngineSettings, own: &DaemonTopics, problems: &mut Vec<Problem>) {
    let topics = &engine.topics;
    let commands = own.command_filter();
    let outputs = outputs(engine, own);
    if engine.target_flags && topics.flags.filter() == topics.target.filter() {
        problems.push(Problem::new(
            "topics.flags",
            format!("\"{}\"", topics.flags.filter()),
            "is where topics.target publishes numbers",
            "change one of the two; the flags, which are retained, would stand in the numbers' place",
        ));
    }
    let mut refuse_overlap = |key: &str, input: &str, what: &str, output: &str| {
        if overlap(input, output) {
            problems.push(Problem::new(
                key,
                format!("\"{input}\""),
                format!("matches {what} {output}"),
                "change one of the two; the daemon would read its own output",
            ));
        }
    };
    for output in &outputs {
        refuse_overlap("topics.daemon", &commands, &output.what, &output.filter);
    }
    let built_in = [("topics.reading", topics.reading.filter()), ("topics.frame", topics.frame.filter())];
    let rules = engine.sources.iter().enumerate().map(|(place, rule)| {
        let key = format!("source \"{}\" topic", rule.name());
        (if engine.is_seed(place) { "seed.enabled".to_owned() } else { key }, rule.subscription())
    });
    for (key, input) in built_in.into_iter().map(|(key, input)| (key.to_owned(), input)).chain(rules) {
        for output in &outputs {
            refuse_overlap(&key, &input, &output.what, &output.filter);
        }
        refuse_overlap(&key, &input, "the daemon's commands", &commands);
        if let Some(birth) = engine.home_assistant.as_ref().map(|told| &told.birth_topic) {
            refuse_overlap(&key, &input, "home_assistant.birth_topic", birth);
        }
    }
    if let Some(birth) = engine.home_assistant.as_ref().map(|told| &told.birth_topic) {
        for output in &outputs {
            refuse_overlap("home_assistant.birth_topic", birth, &output.what, &output.filter);
        }
        refuse_overlap("home_assistant.birth_topic", birth, "the daemon's commands", &commands);
    }
}

#[cfg(test)]
mod tests {
    use crate::daemon::settings::Settings;

    /// The settings' topics by name: what each is by default, and variants of it.
    type Change = fn(&mut Settings, &str);

    fn refused(changes: &[(Change, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.bundle.path = Some(folder.path().to_path_buf());
        for (change, template) in changes {
            change(&mut settings, template);
        }
        settings
            .check()
            .err()
            .map_or_else(Vec::new, |errors| errors.0.iter().map(ToString::to_string).collect())
    }

    const READING: Change = |settings, text| text.clone_into(&mut settings.topics.reading);
    const FRAME: Change = |settings, text| text.clone_into(&mut settings.topics.frame);
    const PREDICTION: Change = |settings, text| text.clone_into(&mut settings.topics.prediction);
    const TARGET: Change = |settings, text| text.clone_into(&mut settings.topics.target);
    const STATE: Change = |settings, text| text.clone_into(&mut settings.topics.state);
    const ALARM: Change = |settings, text| text.clone_into(&mut settings.topics.alarm);
    const DAEMON: Change = |settings, text| text.clone_into(&mut settings.topics.daemon);

    /// Every input against every output: the same topic, placeholders where the other has text and the other way
    /// round, placeholders against placeholders in other places, and `+`.
    #[test]
    fn every_input_is_held_against_every_output() {
        let frames = ["x/{unit}/o", "x/+/{unit}", "{unit}/a/o", "+/{unit}/o", "+/+/{unit}"];
        let readings = ["x/{unit}/{sensor}", "{unit}/{sensor}/o", "{sensor}/a/{unit}", "+/{sensor}/{unit}"];
        let outputs: [(Change, &[&str]); 4] = [
            (PREDICTION, &["x/{unit}/o", "x/a/{unit}", "{unit}/a/o"]),
            (STATE, &["x/{unit}/o", "x/a/{unit}", "{unit}/a/o"]),
            (ALARM, &["x/{unit}/{alarm}", "x/{alarm}/{unit}", "{unit}/{alarm}/o", "{alarm}/a/{unit}"]),
            (TARGET, &["x/{unit}/{target}", "x/{target}/{unit}", "{unit}/{target}/o", "{target}/a/{unit}"]),
        ];
        for (output, written) in outputs {
            for template in written {
                for (input, read) in
                    frames.iter().map(|t| (FRAME, t)).chain(readings.iter().map(|t| (READING, t)))
                {
                    let found = refused(&[(output, template), (input, read)]);
                    assert!(
                        found.iter().any(|problem| problem.contains("read its own output")),
                        "{read} reads {template}: {found:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn inputs_are_held_against_the_daemons_own_topics() {
        let inputs: [(Change, &str, &str); 11] = [
            (READING, "{unit}/main/{sensor}", "cooltwin/main/status"),
            (READING, "cooltwin/{unit}/{sensor}", "cooltwin/main/health"),
            (READING, "{unit}/{sensor}/cmd/+", "cooltwin/main/cmd/+"),
            (READING, "{unit}/main/cmd/health/{sensor}", "cooltwin/main/cmd/+/response"),
            (READING, "{unit}/main/cmd/reload/{sensor}", "cooltwin/main/cmd/+/response"),
            (READING, "{unit}/main/alarms/{sensor}", "cooltwin/main/alarms/+"),
            (FRAME, "{unit}/main/alarms/reload_failed", "cooltwin/main/alarms/+"),
            (FRAME, "cooltwin/{unit}/status", "cooltwin/main/status"),
            (FRAME, "{unit}/main/health", "cooltwin/main/health"),
            (FRAME, "cooltwin/main/cmd/{unit}", "cooltwin/main/cmd/+"),
            (FRAME, "cooltwin/+/cmd/{unit}/response", "cooltwin/main/cmd/+/response"),
        ];
        for (input, template, own) in inputs {
            let found = refused(&[(input, template)]);
            assert!(found.iter().any(|problem| problem.contains(own)), "{template} reads {own}: {found:?}");
        }
        // The daemon's topics moved onto those of the readings.
        for base in ["hvac/{instance}", "hvac/{instance}/sensors"] {
            let found = refused(&[
                (DAEMON, base),
                (READING, "hvac/{unit}/{sensor}"),
                (FRAME, "hvac/{unit}/sensors/+"),
            ]);
            assert!(!found.is_empty(), "{base}");
        }
    }

    #[test]
    fn outputs_are_held_against_the_command_topics() {
        let outputs: [(Change, &str); 6] = [
            (PREDICTION, "cooltwin/main/cmd/{unit}"),
            (STATE, "{unit}/main/cmd/reload"),
            (STATE, "cooltwin/{unit}/cmd/health"),
            (TARGET, "cooltwin/main/{unit}/{target}"),
            (TARGET, "cooltwin/{unit}/cmd/{target}"),
            (ALARM, "{unit}/main/cmd/{alarm}"),
        ];
        for (output, template) in outputs {
            let found = refused(&[(output, template)]);
            assert!(
                found.iter().any(|problem| problem.contains("cooltwin/main/cmd/+")),
                "{template} commands: {found:?}"
            );
        }
    }

    #[test]
    fn flags_meet_others_only_when_they_are_published() {
        const FLAGS: Change = |settings, text| text.clone_into(&mut settings.topics.flags);
        const ON: Change = |settings, _| settings.engine.target_flags = true;
        let cases: [(&[(Change, &str)], &str); 3] = [
            (&[(READING, "hvac/{unit}/+/{sensor}/+")], "what topics.flags publishes"),
            (&[(FLAGS, "hvac/{unit}/predictions/{target}")], "topics.target publishes numbers"),
            (&[(FLAGS, "hvac/{target}/predictions/{unit}")], "topics.target publishes numbers"),
        ];
        for (changes, what) in cases {
            assert_eq!(refused(changes), Vec::<String>::new());
            let found = refused(&[changes, &[(ON, "")]].concat());
            assert!(found.iter().any(|problem| problem.contains(what)), "{what}: {found:?}");
        }
        assert_eq!(refused(&[(ON, "")]), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_meet_is_allowed() {
        let good: [&[(Change, &str)]; 5] = [
            &[],
            &[(READING, "site/{unit}/{sensor}"), (FRAME, "site/{unit}")],
            &[(READING, "hvac/{unit}/sensors/+/{sensor}")],
            &[(TARGET, "hvac/{unit}/{target}"), (READING, "in/{unit}/{sensor}"), (FRAME, "in/{unit}")],
            &[(DAEMON, "a/b/c/{instance}")],
        ];
        for changes in good {
            assert_eq!(refused(changes), Vec::<String>::new());
        }
    }
}
