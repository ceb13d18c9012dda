//! All that goes over the broker, in one place: what is subscribed to, and what is published.

use super::{Checked, DaemonTopics};
use crate::daemon::settings::Settings;
use crate::engine::{EngineSettings, Seed};

/// Topics that are published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// As they are written: a template, a filter or a topic.
    pub topic: String,
    /// Their filter.
    pub filter: String,
    /// Which setting they come from.
    pub(super) what: String,
    /// Whom they are for, where that is not everybody.
    pub note: Option<String>,
}

impl Output {
    fn own(topic: String) -> Self {
        Self { filter: topic.clone(), topic, what: "the daemon's own topic".to_owned(), note: None }
    }

    fn noted(topic: String, what: &str, note: &str) -> Self {
        Self { filter: topic.clone(), topic, what: what.to_owned(), note: Some(note.to_owned()) }
    }
}

/// What the daemon publishes of its own accord, the probe that nobody else is to hear included.
pub(super) fn outputs(engine: &EngineSettings, own: &DaemonTopics) -> Vec<Output> {
    let of_units = engine.outputs().map(|(name, template)| Output {
        topic: template.as_str().to_owned(),
        filter: template.filter(),
        what: format!("what topics.{name} publishes"),
        note: None,
    });
    let plain = [&own.status, &own.health, &own.probe].map(String::clone);
    let of_daemon = plain.into_iter().chain([format!("{}/+", own.alarms), own.response("+")]);
    let told = engine.home_assistant.iter();
    let told = told.map(|told| Output::noted(told.filter(), "what Home Assistant is told", "home_assistant"));
    let seed = engine.seed.iter().flat_map(|_| Seed::outputs());
    let seed = seed.map(|topic| Output::noted(topic, "what [seed] publishes", "seed"));
    of_units.chain(of_daemon.map(Output::own)).chain(told).chain(seed).collect()
}

impl Settings {
    /// All filters that are subscribed to, each with whether it is with QoS 1.
    #[must_use]
    pub fn subscriptions(&self, checked: &Checked) -> Vec<(String, bool)> {
        let readings = self.mqtt.subscribe_qos == 1;
        let mut all: Vec<_> = checked.engine.filters().into_iter().map(|filter| (filter, readings)).collect();
        all.push((checked.topics.command_filter(), true));
        if let Some(home_assistant) = &checked.engine.home_assistant {
            all.push((home_assistant.birth_topic.clone(), true));
        }
        if !self.mqtt.probe_interval.is_zero() {
            all.push((checked.topics.probe.clone(), false));
        }
        all
    }

    /// All topics that are published to, but for those that a command asks to be answered on.
    #[must_use]
    pub fn publications(&self, checked: &Checked) -> Vec<Output> {
        let mut all = outputs(&checked.engine, &checked.topics);
        if self.mqtt.probe_interval.is_zero() {
            all.retain(|output| output.topic != checked.topics.probe);
        }
        let requests = checked.engine.sources.iter().filter_map(|rule| Some((rule, rule.requests()?)));
        all.extend(requests.map(|(rule, topic)| {
            Output::noted(topic, "what a source requests", &format!("source {}: rebirth", rule.name()))
        }));
        all
    }
}
