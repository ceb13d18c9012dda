//! `GET /metrics`: what was counted, in the text format 0.0.4 of Prometheus. Names end in their base unit, counters in
//! `_total`.

mod exposition;
mod own;
mod units;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;

use super::app::{App, PATIENCE, kept};
use super::problem::Problem;
use super::routes::fresh;
use crate::daemon::Figures;
use crate::daemon::desk::Question;
use exposition::Exposition;

/// Media type of the format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Units with series of their own: each has some ten, and Prometheus keeps every one for weeks.
const MAX_UNITS: usize = 256;

/// `GET /metrics`.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let renew = async {
        let figures = app.ask(PATIENCE, |reply| Question::Figures(MAX_UNITS, reply)).await?;
        let mut out = Exposition::default();
        daemon(&figures, &mut out);
        broker(&figures, &mut out);
        units::write(&figures, &mut out);
        own::write(&app.counts, &mut out);
        Ok(Bytes::from(out.text))
    };
    Ok(fresh(StatusCode::OK, TEXT, kept(&app.metrics, renew).await?))
}

fn daemon(figures: &Figures, out: &mut Exposition) {
    let engine = &figures.engine;
    let bundle = &figures.bundle;
    let about = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("instance_name", figures.instance.as_str()),
        ("bundle", bundle.id.as_str()),
        ("bundle_version", bundle.version.as_str()),
        ("bundle_sha256", bundle.sha256.as_str()),
    ];
    out.gauge("cooltwin_info", "The program and the models in use.").sample(&about, 1.0);
    out.gauge("cooltwin_uptime_seconds", "Time since the daemon was started.").sample(&[], figures.uptime_s);
    if let Some(bytes) = figures.rss_bytes {
        out.gauge("cooltwin_resident_memory_bytes", "Resident memory.").sample(&[], bytes as f64);
    }
    let counters = [
        ("cooltwin_messages_total", "Messages taken in.", engine.messages),
        ("cooltwin_readings_total", "Readings taken in.", engine.readings),
        ("cooltwin_predictions_total", "Predictions published.", engine.predictions),
        (
            "cooltwin_withheld_total",
            "Evaluations of which the inputs did not carry a prediction.",
            engine.withheld,
        ),
        ("cooltwin_settled_early_total", "Units predicted before they had settled.", engine.settled_early),
        ("cooltwin_units_evicted_total", "Units forgotten after silence.", engine.evicted),
        ("cooltwin_published_total", "Messages that the broker has confirmed.", figures.published),
        ("cooltwin_reloads_total", "Reloads taken over.", figures.reloads.0),
        ("cooltwin_reloads_failed_total", "Reloads refused.", figures.reloads.1),
        ("cooltwin_alarms_raised_total", "Alarms raised.", engine.alarms.raised),
        ("cooltwin_alarms_cleared_total", "Alarms cleared.", engine.alarms.cleared),
    ];
    for (name, help, value) in counters {
        out.counter(name, help).sample(&[], value as f64);
    }
    out.counter("cooltwin_rejected_total", "Readings, times or messages not used, by reason.");
    for (reason, count) in engine.rejects.iter() {
        out.sample(&[("reason", reason.name())], count as f64);
    }
    out.counter("cooltwin_dropped_total", "Messages and log lines dropped, by reason.");
    for (reason, count) in &figures.drops {
        out.sample(&[("reason", reason)], *count as f64);
    }
    out.gauge("cooltwin_queued", "What waits, by queue.");
    let (received, publishes, unacknowledged) = figures.queues;
    for (queue, waiting) in
        [("received", received), ("publishes", publishes), ("unacknowledged", unacknowledged)]
    {
        out.sample(&[("queue", queue)], waiting as f64);
    }
    out.gauge("cooltwin_alarm", "Alarms of the daemon that stand.");
    for (id, severity) in &figures.alarms {
        out.sample(&[("alarm", id), ("severity", severity)], 1.0);
    }
    out.gauge("cooltwin_unit_alarms", "Alarms of units that stand.").sample(&[], figures.unit_alarms as f64);
    let help = "Time from a message's arrival until what it caused was handed over; quantiles of the latest.";
    out.family("cooltwin_latency_seconds", help, "summary");
    for (quantile, seconds) in ["0.5", "0.95", "0.99"].into_iter().zip(figures.latency.quantiles_s) {
        out.sample(&[("quantile", quantile)], seconds);
    }
    out.part("_sum", &[], figures.latency.sum_s);
    out.part("_count", &[], figures.latency.count as f64);
}

fn broker(figures: &Figures, out: &mut Exposition) {
    let broker = &figures.broker;
    let connected = f64::from(u8::from(broker.is_connected));
    out.gauge("cooltwin_broker_connected", "Whether the broker is connected.").sample(&[], connected);
    out.counter("cooltwin_broker_connects_total", "Connections to the broker.")
        .sample(&[], broker.connects as f64);
    out.counter("cooltwin_broker_failures_total", "Connections lost or refused, by cause.");
    for (cause, count) in &broker.failures {
        out.sample(&[("cause", cause)], *count as f64);
    }
    if let Some(is_delivering) = broker.is_delivering {
        let help = "Whether what is published comes out of the broker again.";
        out.gauge("cooltwin_broker_delivering", help).sample(&[], f64::from(u8::from(is_delivering)));
    }
    if let Some(seconds) = broker.probe_s {
        let help = "Time that the latest probe took through the broker and back.";
        out.gauge("cooltwin_broker_probe_seconds", help).sample(&[], seconds);
    }
}
