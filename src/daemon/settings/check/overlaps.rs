//! Rules that read the same topics.

use crate::daemon::settings::problem::Problem;
use crate::domain::source::Overlap;
use crate::engine::{EngineSettings, seed};

/// Refuses rules of which it depends on their order which of them reads a topic.
pub(super) fn check(engine: &EngineSettings, problems: &mut Vec<Problem>) {
    for overlap in engine.overlaps() {
        let Overlap { first, second, problem: Some(found) } = overlap else { continue };
        // The built-in rules come last, by the names of their settings.
        let key = match engine.sources.get(second) {
            Some(_) if engine.is_seed(second) => {
                problems
                    .extend(engine.sources.get(first).map(|rule| of_seed(rule.name(), &rule.subscription())));
                continue;
            }
            Some(rule) => format!("source \"{}\" {}", rule.name(), found.key),
            None if second == engine.sources.len() => "topics.frame".to_owned(),
            None => "topics.reading".to_owned(),
        };
        problems.push(Problem::new(key, found.value, found.reason, found.remedy));
    }
}

/// The seed's rule is written by nobody, so nobody can look for it: what can be changed is the rule that takes its topic.
fn of_seed(earlier: &str, filter: &str) -> Problem {
    let reason = format!("reads {}, which source \"{earlier}\" ({filter}) reads already", seed::SENSORS);
    let remedy = format!(
        "remove that [[source]], or make its topic narrower, as [seed] reads {} by itself; or set seed.enabled = false",
        seed::SENSORS
    );
    Problem::new("seed.enabled", "true".to_owned(), reason, remedy)
}

#[cfg(test)]
mod tests {
    use crate::daemon::settings::Settings;
    use crate::daemon::settings::sources::SourceSettings;
    use crate::domain::RuleSpec;

    /// What is refused with these topics of sources while the seed's are used.
    fn refused(topics: &[&str], change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.bundle.path = Some(folder.path().to_path_buf());
        settings.seed.enabled = true;
        for (index, topic) in topics.iter().enumerate() {
            let spec = RuleSpec {
                name: format!("s{index}"),
                topic: (*topic).to_owned(),
                kind: "object".to_owned(),
                unit: (!topic.contains("{unit}")).then(|| "c1".to_owned()),
                fallback: true,
                ..RuleSpec::default()
            };
            settings.source.push(SourceSettings { spec, origin: "line 1".to_owned() });
        }
        change(&mut settings);
        let errors = settings.check().err();
        errors.map_or_else(Vec::new, |errors| errors.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_rule_on_the_seeds_topic_is_refused_by_the_setting_that_clashes_with_it() {
        assert_eq!(refused(&[], |_| {}), Vec::<String>::new());
        assert_eq!(refused(&["hvac/sensors/other"], |_| {}), Vec::<String>::new());
        for topic in ["hvac/sensors/data", "{unit}/sensors/data", "+/+/data"] {
            let found = refused(&["x/y", topic], |_| {});
            let filter = topic.replace("{unit}", "+");
            assert_eq!(
                found,
                [format!(
                    "seed.enabled = true: reads hvac/sensors/data, which source \"s1\" ({filter}) reads already; \
                     remove that [[source]], or make its topic narrower, as [seed] reads hvac/sensors/data by itself; \
                     or set seed.enabled = false"
                )]
            );
            assert_eq!(refused(&[topic], |settings| settings.seed.enabled = false), Vec::<String>::new());
        }
    }

    #[test]
    fn the_seeds_topic_that_an_output_meets_is_no_source_either() {
        let found = refused(&[], |settings| "hvac/{unit}/data".clone_into(&mut settings.topics.state));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("seed.enabled = \"hvac/sensors/data\": matches what topics.state publishes")
        );
    }
}
