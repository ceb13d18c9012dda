//! The requests themselves.

use super::super::counts::{BOUNDS_US, CODES, Counts, get};
use super::exposition::Exposition;

pub(super) fn write(counts: &Counts, out: &mut Exposition) {
    out.counter(
        "cooltwin_http_requests_total",
        "Requests answered, by route and status; status 0 is any other.",
    );
    for (route, requests) in counts.routes() {
        for (code, count) in CODES.iter().zip(&requests.by_code).filter(|(_, count)| get(count) > 0) {
            out.sample(&[("route", route.path()), ("code", &code.to_string())], get(count) as f64);
        }
    }
    let help = "Time from a request's head until its answer's.";
    out.family("cooltwin_http_request_duration_seconds", help, "histogram");
    for (route, requests) in counts.routes() {
        let mut sum = 0;
        for (bound, count) in BOUNDS_US.iter().zip(&requests.buckets) {
            sum += get(count);
            let bound = (*bound as f64 / 1e6).to_string();
            out.part("_bucket", &[("route", route.path()), ("le", &bound)], sum as f64);
        }
        sum += requests.buckets.last().map_or(0, get);
        out.part("_bucket", &[("route", route.path()), ("le", "+Inf")], sum as f64);
        out.part("_sum", &[("route", route.path())], get(&requests.sum_us) as f64 / 1e6);
        out.part("_count", &[("route", route.path())], sum as f64);
    }
    let predictions = get(&counts.predictions) as f64;
    out.counter("cooltwin_http_predictions_total", "Samples predicted over HTTP.").sample(&[], predictions);
    let connections = get(&counts.connections) as f64;
    out.gauge("cooltwin_http_connections", "Connections that are open.").sample(&[], connections);
    let help = "Connections answered with 503 or closed because too many were open.";
    out.counter("cooltwin_http_refused_total", help).sample(&[], get(&counts.refused) as f64);
    let help = "Events missed by those who watch too slowly.";
    out.counter("cooltwin_http_events_missed_total", help).sample(&[], get(&counts.missed_events) as f64);
}
