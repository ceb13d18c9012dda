//! What is counted of the requests themselves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::page;

/// What can be asked; the rest is [`Route::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Live,
    Ready,
    Units,
    Unit,
    Model,
    Metrics,
    Predict,
    Batch,
    OpenApi,
    Docs,
    Page,
    Events,
    Other,
}

impl Route {
    pub(super) const ALL: [Self; 14] = [
        Self::Health,
        Self::Live,
        Self::Ready,
        Self::Units,
        Self::Unit,
        Self::Model,
        Self::Metrics,
        Self::Predict,
        Self::Batch,
        Self::OpenApi,
        Self::Docs,
        Self::Page,
        Self::Events,
        Self::Other,
    ];

    /// The route of a path.
    pub(super) fn of(path: &str) -> Self {
        let exact = Self::ALL.into_iter().find(|route| route.path() == path);
        let unit = || path.strip_prefix("/units/").filter(|rest| !rest.is_empty() && !rest.contains('/'));
        let page = || page::has(path).then_some(Self::Page);
        exact.or_else(|| unit().map(|_| Self::Unit)).or_else(page).unwrap_or(Self::Other)
    }

    /// As it stands in metrics and documentation.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Live => "/live",
            Self::Ready => "/ready",
            Self::Units => "/units",
            Self::Unit => "/units/{id}",
            Self::Model => "/model",
            Self::Metrics => "/metrics",
            Self::Predict => "/predict",
            Self::Batch => "/predict/batch",
            Self::OpenApi => "/openapi.json",
            Self::Docs => "/docs",
            Self::Page => "/",
            Self::Events => "/events",
            Self::Other => "other",
        }
    }

    /// Whether it tells nothing that a token should keep: probes of service managers have none.
    pub(super) fn is_public(self) -> bool {
        matches!(self, Self::Live | Self::Ready | Self::Docs | Self::Page)
    }
}

/// Statuses that are answered; others count as the last.
pub(super) const CODES: [u16; 16] =
    [200, 307, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 500, 503, 504, 0];
/// Upper bounds of the durations' buckets, in microseconds.
pub(super) const BOUNDS_US: [u64; 10] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 100_000, 1_000_000];

/// One kind of request.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) by_code: [AtomicU64; CODES.len()],
    /// Not cumulated; the last is beyond all bounds.
    pub(super) buckets: [AtomicU64; BOUNDS_US.len() + 1],
    pub(super) sum_us: AtomicU64,
}

/// All counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    routes: [Requests; Route::ALL.len()],
    /// Rows predicted.
    pub(super) predictions: AtomicU64,
    /// Connections that are open.
    pub(super) connections: AtomicU64,
    /// Connections answered with 503 or dropped, because too many were open.
    pub(super) refused: AtomicU64,
    /// Events that those who watch have missed because they were too slow.
    pub(super) missed_events: AtomicU64,
}

/// The one way to count here: nothing depends on the order.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// What was counted.
pub(super) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counts {
    /// Notes an answered request.
    pub(super) fn answered(&self, route: Route, code: u16, took: Duration) {
        let Some(requests) = self.routes.get(route as usize) else { return };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1);
        let bucket = BOUNDS_US.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS_US.len());
        let counters = [requests.by_code.get(place), requests.buckets.get(bucket)];
        for counter in counters.into_iter().flatten() {
            add(counter, 1);
        }
        add(&requests.sum_us, micros);
    }

    /// All routes with what was counted of them.
    pub(super) fn routes(&self) -> impl Iterator<Item = (Route, &Requests)> {
        Route::ALL.into_iter().zip(&self.routes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_routes_belong_together() {
        for route in Route::ALL.into_iter().filter(|route| !matches!(route, Route::Unit | Route::Other)) {
            assert_eq!(Route::of(route.path()), route);
        }
        assert_eq!(Route::of("/units/cooler-01"), Route::Unit);
        assert_eq!((Route::of("/page.js"), Route::of("/page.rs")), (Route::Page, Route::Other));
        for path in ["/units/", "/units/a/b", "/health/", "other"] {
            assert_eq!(Route::of(path), Route::Other, "{path}");
        }
    }

    #[test]
    fn requests_are_counted_by_route_code_and_time() {
        let counts = Counts::default();
        counts.answered(Route::Predict, 200, Duration::from_micros(50));
        counts.answered(Route::Predict, 418, Duration::from_secs(9));
        let (_, requests) = counts.routes().find(|(route, _)| *route == Route::Predict).unwrap();
        assert_eq!((get(&requests.by_code[0]), get(&requests.by_code[CODES.len() - 1])), (1, 1));
        assert_eq!((get(&requests.buckets[0]), get(&requests.buckets[BOUNDS_US.len()])), (1, 1));
        assert_eq!(get(&requests.sum_us), 9_000_050);
        assert!(counts.routes().all(|(route, _)| Route::ALL[route as usize] == route));
    }
}
