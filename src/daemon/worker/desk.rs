//! The worker at the desk: answers, and what it hands out.

use serde_json::{Value, json};
use tracing::{info, warn};

use super::Worker;
use crate::daemon::desk::{Health, Published, Question, Served};
use crate::daemon::logging::Event;
use crate::daemon::settings::HttpTerms;
use crate::domain::{Effect, Publish, PublishKind, UnitId};

impl Worker {
    /// Hands out what is served from now on: by these terms, with the models in use.
    pub(super) fn serve(&mut self, terms: Option<HttpTerms>) {
        if !self.desk.is_open() {
            return;
        }
        self.desk.serve(terms.map(|terms| {
            let (name, zone) = (self.settings.instance.name.clone(), self.engine.settings().zone.clone());
            Served::new(terms, name, self.engine.bundle(), zone)
        }));
    }

    /// Answers one question.
    pub(super) fn answer(&mut self, question: Question) {
        let now = self.wall.both();
        // Whoever does not wait any more does not get it.
        match question {
            Question::Health(reply) => {
                let _ = reply.send(Health {
                    reasons: self.statistics.reasons(),
                    is_connected: self.statistics.broker.is_connected(),
                    document: self.health_document().into(),
                    alarms: self.engine.view_alarms(),
                });
            }
            Question::Figures(most, reply) => {
                let instance = &self.settings.instance.name;
                let figures = self.statistics.figures(
                    now,
                    instance,
                    &self.engine,
                    &self.outbox,
                    self.link.inbox(),
                    most,
                );
                let _ = reply.send(Box::new(figures));
            }
            Question::Units(most, reply) => {
                let _ = reply.send(self.engine.view_units(now, most));
            }
            Question::Unit(id, reply) => {
                let _ = reply.send(self.engine.view_unit(now, &id).map(Box::new));
            }
            Question::Listening(outcome) => self.listening(outcome),
        }
    }

    /// Whether anybody can ask over HTTP. It stops nothing else, so it is a warning.
    fn listening(&mut self, outcome: Result<(), String>) {
        let problem = outcome.err();
        match &problem {
            Some(text) => warn!(event = %Event::HttpNotListening, "{text}"),
            None if self.statistics.http_problem.is_some() => info!("HTTP is served again"),
            None => {}
        }
        self.statistics.http_problem = problem;
        self.update_status();
    }

    /// Shows what is published to those who watch.
    pub(super) fn show(&self, effects: &[Effect]) {
        if !self.desk.is_watched() {
            return;
        }
        for effect in effects {
            match effect {
                Effect::Publish(publish) => self.show_published(publish),
                // What is removed from the broker says no more whose it was.
                Effect::AlarmCleared(unit, alarm) => {
                    let unit = unit.as_ref().map(UnitId::as_str);
                    self.tell("alarm_cleared", &json!({ "unit": unit, "alarm": alarm.name() }));
                }
                Effect::UnitEvicted(unit) => self.tell("unit_evicted", &json!({ "unit": unit.as_str() })),
                Effect::UnitAppeared(_) | Effect::AlarmRaised(..) | Effect::Acknowledge(_) => {}
            }
        }
    }

    fn show_published(&self, publish: &Publish) {
        let kind = match publish.kind {
            PublishKind::Prediction => "prediction",
            PublishKind::State => "state",
            PublishKind::Alarm => "alarm",
            // They repeat what the others say, or are meant for one device.
            PublishKind::Target | PublishKind::Event | PublishKind::Discovery | PublishKind::Request => {
                return;
            }
        };
        let (topic, payload) = (Some(publish.topic.as_str().into()), publish.payload.as_slice().into());
        self.desk.show(Published { kind, topic, payload });
    }

    fn tell(&self, kind: &'static str, document: &Value) {
        self.desk.show(Published { kind, topic: None, payload: document.to_string().into_bytes().into() });
    }
}
