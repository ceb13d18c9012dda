//! `GET /openapi.json`: what this interface does, with the sensors, ranges and targets of the bundle that is served.
#![allow(clippy::indexing_slicing, reason = "assigning to a key of a JSON object made here inserts it")]
#![allow(clippy::needless_pass_by_value, reason = "parts are made to be put into the whole")]

mod paths;
mod schemas;

use bytes::Bytes;
use serde_json::json;

use crate::daemon::desk::Served;

/// The document.
pub(super) fn document(served: &Served) -> Bytes {
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "cooltwin",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "Predictions of the bundle {} {}, and what the daemon {} knows. Units of measurement and ranges are those of \
                 the bundle.",
                served.identity.id, served.identity.version, served.instance
            ),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths::paths(served),
        "components": {
            "schemas": schemas::schemas(served),
            "responses": paths::responses(),
        },
    });
    if served.terms.token.is_some() {
        document["components"]["securitySchemes"] =
            json!({ "token": { "type": "http", "scheme": "bearer" } });
        document["security"] = json!([{ "token": [] }]);
    }
    document.to_string().into()
}
