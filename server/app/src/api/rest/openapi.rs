//! `GET /v1/openapi.json`: what the HTTP routes take and answer, as OpenAPI 3.1 has it.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

use crate::api::refused::{JSON, Refused};

/// The document, written by hand and held by tests against the routes.
const DOCUMENT: &str = include_str!("../../../../../docs/openapi.json");
/// It changes with the program only.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The route; it needs no token and no state.
pub(crate) fn routes() -> Router {
    let document = async || ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, CACHE)], DOCUMENT);
    let only_get = async || Refused::method("GET, HEAD");
    Router::new().route("/v1/openapi.json", get(document).fallback(only_get))
}
