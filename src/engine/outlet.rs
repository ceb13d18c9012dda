//! The second half of the street: a unit's state to a prediction and the documents about it.

use super::Engine;
use super::flags::StatusFlags;
use super::seed::Seed;
use super::silence::silent_at;
use super::unit::{Published, Unit};
use crate::bundle::Bundle;
use crate::domain::prediction::{SCHEMA_VERSION, write_json, write_number};
use crate::domain::{
    Effect, LatencyMicros, Now, PredictionDocument, Publish, PublishKind, Quality, Reason, StateDocument,
    Timestamp, UnitId,
};
use crate::monitor::residual;

/// Bytes set aside for a prediction document; it has about 600.
const DOCUMENT_BYTES: usize = 768;

impl Engine {
    /// Evaluates a unit, publishes what comes of it and acknowledges the messages that waited for it.
    pub(super) fn evaluate(&mut self, now: Now, id: &UnitId, effects: &mut Vec<Effect>) {
        if self.units.get(id).is_some_and(|unit| !unit.alarms.is_empty()) {
            // First: the state that follows says which alarms stand.
            self.watch(now, id, effects);
        }
        let Some(unit) = self.units.get_mut(id) else { return };
        let waited = unit.waiting_since.take().map_or(0, |since| now.monotonic.since(since).as_micros());
        unit.due = None;
        unit.last_evaluated = Some(now.monotonic);
        let mut reasons = std::mem::take(&mut self.reasons);
        reasons.clear();
        if let Some(evaluation) = self.bundle.evaluator.evaluate(&unit.state, now, self.stopwatch) {
            reasons.extend_from_slice(evaluation.reasons);
            let (mut quality, time) = (evaluation.quality, evaluation.time);
            if self.is_clock_unset {
                reasons.push(Reason::ClockNotSet);
                quality = quality.max(Quality::Uncertain);
            }
            if let Some(predictions) = evaluation.predictions {
                self.values.clear();
                self.values.extend_from_slice(predictions);
                let inputs = (evaluation.oldest.as_secs_f64(), evaluation.fresh, evaluation.sensors);
                let latency = latency(waited as f64, evaluation.ticks);
                unit.seq += 1;
                self.counters.predictions += 1;
                note(&self.bundle, &self.target_channels, unit, now, &self.values, time);
                let texts = texts(&self.bundle, &reasons);
                let seed = self.settings.seed.as_ref().filter(|seed| seed.unit == *id);
                let document = Document { id, quality, texts: &texts, inputs, latency, seed };
                publish_prediction(&self.bundle, unit, &self.values, &document, effects);
                if self.settings.target_topics {
                    publish_targets(unit, &self.values, effects);
                }
            } else {
                self.counters.withheld += 1;
            }
            publish_state(&self.bundle, id, unit, quality, &reasons, time, effects);
            self.alert_withheld(now, id, quality, effects);
        }
        self.reasons = reasons;
        let Some(unit) = self.units.get_mut(id) else { return };
        let assembler = &self.bundle.evaluator.assembler;
        unit.stale_at = assembler.next_stale(&unit.state, now).map(|after| now.monotonic.plus(after));
        unit.silent_at = silent_at(assembler, unit, now, self.settings.silence.units, self.open_since);
        self.waiting = self.waiting.saturating_sub(unit.waiting.len());
        effects.extend(unit.waiting.drain(..).map(Effect::Acknowledge));
    }

    /// Publishes the unit's state again if an alarm came or went since.
    pub(super) fn tell_alarms(&mut self, id: &UnitId, effects: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(id) else { return };
        let changed = |last: &&Published| last.alarms != unit.alarms.len();
        let Some(last) = unit.published.as_ref().filter(changed) else { return };
        let (quality, reasons, time) = (last.quality, last.reasons.clone(), last.time);
        publish_state(&self.bundle, id, unit, quality, &reasons, time, effects);
    }
}

/// The parts of a prediction document that are computed before it is written.
struct Document<'a> {
    id: &'a UnitId,
    quality: Quality,
    texts: &'a [String],
    inputs: (f64, usize, usize),
    latency: LatencyMicros,
    seed: Option<&'a Seed>,
}

fn latency(wait: f64, [begin, assembled, done]: [u64; 3]) -> LatencyMicros {
    let micros = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1000.0;
    let (features, inference) = (micros(begin, assembled), micros(assembled, done));
    LatencyMicros { wait, features, inference, total: wait + features + inference }
}

/// Keeps what was predicted, and what is measured at the same time.
fn note(
    bundle: &Bundle,
    target_channels: &[Option<usize>],
    unit: &mut Unit,
    now: Now,
    values: &[f64],
    time: Timestamp,
) {
    let assembler = &bundle.evaluator.assembler;
    let state = &unit.state;
    let measured = target_channels.iter().map(|channel| assembler.measurement(state, (*channel)?, now));
    let latest = &mut unit.latest;
    // No more room than there are targets: the memory of a unit is known beforehand.
    latest.values.clear();
    latest.values.reserve_exact(values.len());
    latest.values.extend_from_slice(values);
    latest.measured.clear();
    latest.measured.reserve_exact(values.len());
    latest.measured.extend(measured);
    (latest.time, latest.at) = (time, now.monotonic);
}

fn publish_prediction(
    bundle: &Bundle,
    unit: &Unit,
    values: &[f64],
    document: &Document<'_>,
    effects: &mut Vec<Effect>,
) {
    let predictions: Vec<(&str, f64)> = bundle.targets().zip(values.iter().copied()).collect();
    let residuals: Vec<(&str, f64)> = predictions
        .iter()
        .zip(&unit.latest.measured)
        .filter_map(|((name, predicted), measured)| Some((*name, residual(*measured, *predicted)?)))
        .collect();
    let (oldest_s, fresh, sensors) = document.inputs;
    let seed = document.seed;
    let document = PredictionDocument {
        time: unit.state.event_time().unwrap_or_default(),
        unit: document.id.as_str(),
        seq: unit.seq,
        predictions: &predictions,
        quality: document.quality,
        reasons: document.texts,
        oldest_s,
        fresh,
        sensors,
        residuals: &residuals,
        residuals_usable: bundle.leaking_features.is_empty(),
        model: &bundle.identity,
        latency_us: document.latency,
    };
    let mut payload = Vec::with_capacity(DOCUMENT_BYTES);
    write_json(&document, &mut payload);
    effects.push(Effect::Publish(Publish {
        topic: unit.topics.prediction.clone(),
        payload,
        retain: false,
        kind: PublishKind::Prediction,
    }));
    if seed.is_some() {
        effects.push(Seed::result(&document));
    }
}

fn publish_targets(unit: &Unit, values: &[f64], effects: &mut Vec<Effect>) {
    for (topic, value) in unit.topics.targets.iter().zip(values) {
        let mut payload = Vec::with_capacity(24);
        write_number(*value, &mut payload);
        effects.push(Effect::Publish(Publish {
            topic: topic.clone(),
            payload,
            retain: false,
            kind: PublishKind::Target,
        }));
    }
}

/// Publishes the unit's state if it differs from what was published last.
pub(super) fn publish_state(
    bundle: &Bundle,
    id: &UnitId,
    unit: &mut Unit,
    quality: Quality,
    reasons: &[Reason],
    time: Timestamp,
    effects: &mut Vec<Effect>,
) {
    let is_known = |last: &Published| {
        last.quality == quality && last.reasons == reasons && last.alarms == unit.alarms.len()
    };
    if unit.published.as_ref().is_some_and(is_known) {
        return;
    }
    let flags = publish_flags(unit, quality, reasons, effects);
    let alarms: Vec<_> = unit.alarms.iter().map(|standing| standing.alarm.id.name()).collect();
    unit.published =
        Some(Published { quality, reasons: reasons.to_vec(), time, flags, alarms: alarms.len() });
    let document = StateDocument {
        schema: SCHEMA_VERSION,
        unit: id.as_str(),
        state: if quality == Quality::Bad { "withheld" } else { "predicting" },
        reasons: &texts(bundle, reasons),
        quality: quality.name(),
        alarms: &alarms,
        time: time.to_string(),
        model: &bundle.identity,
    };
    let mut payload = Vec::with_capacity(DOCUMENT_BYTES);
    write_json(&document, &mut payload);
    effects.push(Effect::Publish(Publish {
        topic: unit.topics.state.clone(),
        payload,
        retain: true,
        kind: PublishKind::State,
    }));
}

/// Publishes the status flags that differ from those published last, and gives all of them.
fn publish_flags(
    unit: &Unit,
    quality: Quality,
    reasons: &[Reason],
    effects: &mut Vec<Effect>,
) -> Vec<StatusFlags> {
    let before: &[StatusFlags] = unit.published.as_ref().map_or(&[], |state| &state.flags);
    let mut flags = Vec::with_capacity(unit.topics.flags.len());
    for (target, topic) in unit.topics.flags.iter().enumerate() {
        let now = StatusFlags::of(target, quality, reasons, !unit.alarms.is_empty());
        if before.get(target) != Some(&now) {
            effects.push(Effect::Publish(Publish {
                topic: topic.clone(),
                payload: now.to_string().into_bytes(),
                retain: true,
                kind: PublishKind::State,
            }));
        }
        flags.push(now);
    }
    flags
}

/// Reasons as they are listed.
pub(super) fn texts(bundle: &Bundle, reasons: &[Reason]) -> Vec<String> {
    bundle.manifest.listed(reasons).map(|reason| reason.to_string()).collect()
}
