//! The routes, with what they answer.

use serde_json::{Map, Value, json};

use super::super::counts::Route;
use super::super::predict::MAX_SAMPLES;
use super::schemas::example;
use crate::daemon::desk::Served;

/// What every route may answer, by its name in [`responses`].
const COMMON: [(&str, &str); 4] =
    [("403", "Forbidden"), ("405", "MethodNotAllowed"), ("421", "Misdirected"), ("503", "Busy")];

pub(super) fn paths(served: &Served) -> Value {
    let mut paths = Map::new();
    let gets: [(Route, &str, &str, Value); 10] = [
        (
            Route::Health,
            "How the daemon is",
            "200 when it does its work, 503 with the reasons when it does not.",
            reference("Health"),
        ),
        (
            Route::Live,
            "Does it still work?",
            "For whoever starts it again when it does not. Needs no token.",
            reference("Word"),
        ),
        (
            Route::Ready,
            "Do predictions flow?",
            "200 while the broker is connected. Needs no token.",
            reference("Word"),
        ),
        (
            Route::Units,
            "All units",
            "The first thousand by name, each with its latest predictions.",
            reference("UnitList"),
        ),
        (Route::Unit, "One unit", "With all its sensors.", reference("Unit")),
        (
            Route::Model,
            "The models in use",
            "Sensors, features and targets of the bundle.",
            reference("Model"),
        ),
        (Route::Metrics, "What was counted", "For Prometheus.", Value::Null),
        (
            Route::Events,
            "What is published, as it is",
            "Server-sent events: `snapshot` first, then `prediction`, `state`, `alarm`, `health`, each with topic and document, \
             `alarm_cleared` and `unit_evicted`, and `missed` with a count for those who read too slowly.",
            Value::Null,
        ),
        (Route::OpenApi, "This description", "OpenAPI 3.1.", json!({ "type": "object" })),
        (
            Route::Docs,
            "This description, to be read",
            "Works without a network. Needs no token.",
            Value::Null,
        ),
    ];
    for (route, summary, description, schema) in gets {
        let content = match route {
            Route::Metrics => json!({ "text/plain": { "schema": { "type": "string" } } }),
            Route::Events => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
            Route::Docs => json!({ "text/html": { "schema": { "type": "string" } } }),
            _ => json!({ "application/json": { "schema": schema } }),
        };
        let mut responses = common(served, route);
        responses.insert("200".to_owned(), json!({ "description": summary, "content": content }));
        if matches!(route, Route::Health | Route::Live | Route::Ready) {
            let unwell = json!({
                "application/json": { "schema": schema },
                "application/problem+json": { "schema": reference("Problem") },
            });
            let description = "It is not; the reasons say why.";
            responses.insert(
                "503".to_owned(),
                json!({ "description": description, "content": unwell, "headers": {} }),
            );
        }
        let mut operation = json!({
            "summary": summary,
            "description": description,
            "operationId": route.path().trim_matches('/').replace(['/', '{', '}', '.'], ""),
            "responses": responses,
        });
        if route == Route::Unit {
            let schema = json!({ "type": "string", "minLength": 1 });
            operation["parameters"] = json!([{ "name": "id", "in": "path", "required": true, "description": "its name", "schema": schema }]);
            operation["responses"]["404"] = json!({ "$ref": "#/components/responses/NotFound" });
        }
        if route.is_public() {
            operation["security"] = json!([]);
        }
        paths.insert(route.path().to_owned(), json!({ "get": operation }));
    }
    paths.insert(Route::Predict.path().to_owned(), json!({ "post": predict(served) }));
    paths.insert(Route::Batch.path().to_owned(), json!({ "post": batch(served) }));
    Value::Object(paths)
}

fn predict(served: &Served) -> Value {
    let mut responses = common(served, Route::Predict);
    responses.insert("200".to_owned(), answer("The prediction, with its quality", &reference("Prediction")));
    json!({
        "summary": "One prediction",
        "description": "Sensors by name, those there are; or all features by name. Nothing is kept: windows over a unit's \
                        history see this one moment only, and the quality says so.",
        "operationId": "predict",
        "requestBody": body(reference("Sample"), example(served)),
        "responses": responses,
    })
}

fn batch(served: &Served) -> Value {
    let mut responses = common(served, Route::Batch);
    let either =
        json!({ "oneOf": [reference("BatchAnswer"), { "type": "array", "items": reference("BatchItem") }] });
    responses.insert("200".to_owned(), answer("The predictions, in the same order", &either));
    let list =
        json!({ "type": "array", "items": reference("Sample"), "minItems": 1, "maxItems": MAX_SAMPLES });
    let object = json!({
        "type": "object",
        "properties": { "samples": list },
        "required": ["samples"],
        "additionalProperties": false,
    });
    let example = json!({ "samples": [example(served), example(served)] });
    json!({
        "summary": "Many predictions",
        "description": "Samples as for one prediction, in `samples` or as a bare list, which is answered by a bare list. All are \
                        predicted, or none.",
        "operationId": "predictBatch",
        "requestBody": body(json!({ "oneOf": [object, list] }), example),
        "responses": responses,
    })
}

fn body(schema: Value, example: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema, "example": example } } })
}

fn answer(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn common(served: &Served, route: Route) -> Map<String, Value> {
    let posts =
        [("400", "BadRequest"), ("408", "Late"), ("413", "TooLong"), ("415", "NotJson"), ("422", "Unusable")];
    let is_post = matches!(route, Route::Predict | Route::Batch);
    let asks = matches!(
        route,
        Route::Health | Route::Ready | Route::Units | Route::Unit | Route::Metrics | Route::Events
    );
    let mut all: Vec<(&str, &str)> = COMMON.to_vec();
    all.extend(posts.iter().filter(|_| is_post));
    all.extend((served.terms.token.is_some() && !route.is_public()).then_some(("401", "Unauthorized")));
    all.extend(asks.then_some(("504", "NoAnswer")));
    let reference = |name: &str| json!({ "$ref": format!("#/components/responses/{name}") });
    all.into_iter().map(|(code, name)| (code.to_owned(), reference(name))).collect()
}

/// Answers that are no success.
pub(super) fn responses() -> Value {
    let all = [
        ("BadRequest", "The body is not JSON"),
        ("Unauthorized", "The token is missing or wrong"),
        ("Forbidden", "A web page of another site asks"),
        ("NotFound", "There is nothing of this name"),
        ("MethodNotAllowed", "The header Allow says which methods there are"),
        ("Late", "The body did not arrive in time"),
        ("TooLong", "The body is longer than http.max_body"),
        ("NotJson", "The body is of another kind than application/json"),
        ("Misdirected", "The request is for a host name that is not this machine's"),
        ("Unusable", "Values cannot be used; all of them are listed"),
        (
            "Busy",
            "Too much is asked at once, or the daemon is stopping; the header Retry-After says when to try again",
        ),
        ("NoAnswer", "The daemon does not answer in time"),
    ];
    let content = json!({ "application/problem+json": { "schema": reference("Problem") } });
    all.into_iter()
        .map(|(name, description)| {
            (name.to_owned(), json!({ "description": description, "content": content }))
        })
        .collect::<Map<_, _>>()
        .into()
}
