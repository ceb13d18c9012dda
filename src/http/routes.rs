//! What can be asked, and the answers that come from the worker.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::app::{App, PATIENCE, kept};
use super::problem::Problem;
use super::{docs, events, metrics, page as live, predict};
use crate::daemon::clock::monotonic;
use crate::daemon::desk::{Health, Question};
use crate::domain::UnitId;
use crate::domain::prediction::write_json;

/// A worker that is at the same turn for so long hangs: a reload that connects anew may take ten seconds, and systemd's
/// watchdog ends it after thirty.
const HANGS: Duration = Duration::from_secs(15);
/// Most units in one list.
pub(super) const MAX_LISTED_UNITS: usize = 1_000;

/// The routes.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/health", only("GET, HEAD", get(health)))
        .route("/live", only("GET, HEAD", get(live)))
        .route("/ready", only("GET, HEAD", get(ready)))
        .route("/units", only("GET, HEAD", get(units)))
        .route("/units/:id", only("GET, HEAD", get(unit)))
        .route("/model", only("GET, HEAD", get(model)))
        .route("/metrics", only("GET, HEAD", get(metrics::metrics)))
        .route("/events", only("GET, HEAD", get(events::events)))
        .route("/openapi.json", only("GET, HEAD", get(openapi)))
        .route("/docs", only("GET, HEAD", get(docs::page)))
        .route("/predict", only("POST", post(predict::single)))
        .route("/predict/batch", only("POST", post(predict::batch)))
        .merge(live::router())
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "there is nothing here; GET /docs says what there is")
        })
        .with_state(app)
}

/// Any other method is answered with those that there are.
pub(super) fn only(methods: &'static str, route: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    route.fallback(move || async move { Problem::method(methods) })
}

/// A document that is as it is now, and not what some cache holds.
pub(super) fn fresh(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, body.into()).into_response()
}

/// The same as JSON.
pub(super) fn json(status: StatusCode, document: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(1024);
    write_json(document, &mut body);
    fresh(status, "application/json", body)
}

/// A page that may use nothing but what it brings and this daemon.
pub(super) fn page(html: &'static str) -> Response {
    let mut response = fresh(StatusCode::OK, "text/html; charset=utf-8", html);
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                  img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// The worker's health, asked for at most once in a moment.
pub(super) async fn ask_health(app: &App) -> Result<Arc<Health>, Problem> {
    kept(&app.health, async { app.ask(PATIENCE, Question::Health).await.map(Arc::new) }).await
}

#[derive(Serialize)]
struct HealthAnswer<'a> {
    status: &'static str,
    reasons: &'a [&'static str],
    model_loaded: bool,
    models: Vec<&'a str>,
    models_loaded: Vec<&'a str>,
    model_type: &'static str,
    model_version: &'a str,
    version: &'static str,
    health: Option<&'a RawValue>,
}

async fn health(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let serving = app.serving()?;
    let health = ask_health(&app).await?;
    let targets = || serving.served.manifest.targets.iter().map(|target| target.name.as_str()).collect();
    let is_well = health.reasons.is_empty();
    let answer = HealthAnswer {
        status: if is_well { "healthy" } else { "unhealthy" },
        reasons: &health.reasons,
        model_loaded: true,
        models: targets(),
        models_loaded: targets(),
        model_type: "onnx",
        model_version: &serving.served.identity.version,
        version: env!("CARGO_PKG_VERSION"),
        health: serde_json::from_slice(&health.document).ok(),
    };
    Ok(json(if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &answer))
}

#[derive(Serialize)]
struct Word<'a> {
    status: &'static str,
    reasons: &'a [&'static str],
}

async fn live(State(app): State<Arc<App>>) -> Response {
    if app.front.busy_for(monotonic()) < HANGS {
        json(StatusCode::OK, &Word { status: "live", reasons: &[] })
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, &Word { status: "hanging", reasons: &["no_answer"] })
    }
}

async fn ready(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let health = ask_health(&app).await?;
    Ok(if health.is_connected {
        json(StatusCode::OK, &Word { status: "ready", reasons: &[] })
    } else {
        json(StatusCode::SERVICE_UNAVAILABLE, &Word { status: "not_ready", reasons: &health.reasons })
    })
}

async fn units(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let renew = async {
        let list = app.ask(PATIENCE, |reply| Question::Units(MAX_LISTED_UNITS, reply)).await?;
        let mut body = Vec::with_capacity(4096);
        write_json(&list, &mut body);
        Ok(Bytes::from(body))
    };
    Ok(fresh(StatusCode::OK, "application/json", kept(&app.units, renew).await?))
}

async fn unit(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let none = || Problem::new(StatusCode::NOT_FOUND, "there is no unit of this name; GET /units lists all");
    let Path(name) = name.map_err(|_| none())?;
    let id = UnitId::new(&name).map_err(|_| none())?;
    let view = app.ask(PATIENCE, |reply| Question::Unit(id, reply)).await?;
    view.map(|view| json(StatusCode::OK, &view)).ok_or_else(none)
}

async fn openapi(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    Ok(fresh(StatusCode::OK, "application/json", app.serving()?.openapi()))
}

#[derive(Serialize)]
struct ModelAnswer<'a> {
    id: &'a str,
    version: &'a str,
    sha256: &'a str,
    description: &'a str,
    step_s: f64,
    sensors: Vec<SensorAnswer<'a>>,
    features: Vec<FeatureAnswer<'a>>,
    targets: Vec<TargetAnswer<'a>>,
    max_missing_features: usize,
    residuals_usable: bool,
    leaking_features: &'a [String],
}

#[derive(Serialize)]
struct SensorAnswer<'a> {
    name: &'a str,
    unit: &'a str,
    description: &'a str,
    accepted: (f64, f64),
    trained: Option<(f64, f64)>,
    max_age_s: f64,
    required: bool,
}

#[derive(Serialize)]
struct FeatureAnswer<'a> {
    name: &'a str,
    unit: &'a str,
    description: &'a str,
    expression: Option<&'a str>,
}

#[derive(Serialize)]
struct TargetAnswer<'a> {
    name: &'a str,
    unit: &'a str,
    description: &'a str,
    plausible: (f64, f64),
    measured_by: Option<&'a str>,
}

async fn model(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let serving = app.serving()?;
    let served = &serving.served;
    let (manifest, assembler) = (&served.manifest, &served.evaluator.assembler);
    let answer = ModelAnswer {
        id: &served.identity.id,
        version: &served.identity.version,
        sha256: &served.identity.sha256,
        description: &manifest.description,
        step_s: manifest.step.as_secs_f64(),
        sensors: manifest
            .sensors
            .iter()
            .enumerate()
            .map(|(index, sensor)| SensorAnswer {
                name: &sensor.name,
                unit: &sensor.unit,
                description: &sensor.description,
                accepted: sensor.accept,
                trained: assembler.trained_range(index),
                max_age_s: sensor.max_age.as_secs_f64(),
                required: sensor.missing == crate::bundle::manifest::Missing::Required,
            })
            .collect(),
        features: manifest
            .features
            .iter()
            .map(|feature| FeatureAnswer {
                name: &feature.name,
                unit: &feature.unit,
                description: &feature.description,
                expression: feature.expr.as_deref(),
            })
            .collect(),
        targets: manifest
            .targets
            .iter()
            .map(|target| TargetAnswer {
                name: &target.name,
                unit: &target.unit,
                description: &target.description,
                plausible: target.plausible,
                measured_by: target.measured_by.as_deref(),
            })
            .collect(),
        max_missing_features: manifest.max_missing_features,
        residuals_usable: served.leaking_features.is_empty(),
        leaking_features: &served.leaking_features,
    };
    Ok(json(StatusCode::OK, &answer))
}
