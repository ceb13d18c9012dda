//! Payloads with a shape of their own: Shelly's notifications, telemetry by `ThingsBoard`'s gateway API.

use super::batch::Batch;
use super::pattern::Captured;
use super::pointer::member;
use super::read::{Sink, walk};
use super::rules::Bound;
use crate::domain::decode::MAX_FRAME_KEYS;
use crate::domain::json::{plain_text, read_list, read_object};
use crate::domain::reject::RejectReason;

/// Methods whose parameters are a status; others tell of buttons and the like.
const STATUS_METHODS: [&str; 2] = ["NotifyStatus", "NotifyFullStatus"];

impl Bound {
    /// A notification, whose parameters are the components by name, or the status of one component, which the topic
    /// names.
    pub(super) fn shelly(
        &self,
        captured: Captured<'_>,
        text: &str,
        batch: &mut Batch,
    ) -> Result<(), RejectReason> {
        if !text.starts_with('{') {
            return Err(RejectReason::UnexpectedShape);
        }
        let Some(method) = member(text, "method").and_then(plain_text_in_quotes) else {
            return self.object(captured, text, Some(text), batch);
        };
        if !STATUS_METHODS.contains(&method) {
            batch.has_ignored = true;
            batch.note("method", method, None);
            return Ok(());
        }
        self.object(captured, text, member(text, "params"), batch)
    }

    /// Devices by name, each with a list of values, with a time or without.
    pub(super) fn thingsboard(&self, text: &str, batch: &mut Batch) -> Result<(), RejectReason> {
        if !text.starts_with('{') {
            return Err(RejectReason::UnexpectedShape);
        }
        let mut name = std::mem::take(&mut batch.path);
        let mut sink = Sink::new(self, batch);
        let mut entries = 0;
        let mut outcome = Ok(());
        let read = read_object(text, |device, list| {
            let listed = read_list(list, |entry| {
                entries += 1;
                if entries > MAX_FRAME_KEYS {
                    outcome = Err(RejectReason::TooManyKeys);
                } else if let Err(reason) = self.telemetry(device, entry, &mut name, &mut sink) {
                    sink.refuse(device, entry, reason);
                }
            });
            if listed.is_err() {
                sink.refuse(device, list, RejectReason::UnexpectedShape);
            }
        });
        batch.path = name;
        read.and(outcome)
    }

    fn telemetry(
        &self,
        device: &str,
        entry: &str,
        name: &mut String,
        sink: &mut Sink<'_>,
    ) -> Result<(), RejectReason> {
        let values = member(entry, "values");
        let time = if values.is_some() { member(entry, "ts") } else { None };
        let time = match time {
            Some(raw) => self.rule.format.read_json(raw, &self.rule.zone)?,
            None => None,
        };
        let values = values.unwrap_or(entry);
        if !values.starts_with('{') {
            return Err(RejectReason::UnexpectedShape);
        }
        sink.open(device, time)?;
        name.clear();
        walk(values, name, &mut 0, [None; 2], sink)
    }
}

fn plain_text_in_quotes(raw: &str) -> Option<&str> {
    plain_text(raw).filter(|_| raw.starts_with('"'))
}
