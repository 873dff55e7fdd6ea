//! The outermost layers: a request id with its log span, headers that every answer carries, and
//! an answer for a handler that panicked.

use std::any::Any;
use std::time::Instant;

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use uuid::Uuid;

use super::request_id::{REQUEST_ID, RequestId, scope};
use crate::api::refused::Refused;

/// Gives the request its id, a span and an access log line.
/// Neither the query string nor any header is logged: both may hold secrets.
pub(super) async fn request_id(request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let span = tracing::info_span!("request", id = id.as_str(), method = %request.method(), path = request.uri().path());
    let header = HeaderValue::from_str(id.as_str());
    let answering = async move {
        let started = Instant::now();
        let mut response = next.run(request).await;
        tracing::debug!(
            status = response.status().as_u16(),
            milliseconds = started.elapsed().as_millis() as u64,
            "answered"
        );
        if let Ok(value) = header {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    };
    scope(Some(id), answering.instrument(span)).await
}

/// Headers for browsers; a handler that set its own keeps them.
pub(super) async fn security_headers(request: Request, next: Next) -> Response {
    const DEFAULTS: [(HeaderName, &str); 7] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let mut response = next.run(request).await;
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The answer of a handler that panicked: opaque, with an id that is in the log.
pub(super) fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let id = Uuid::now_v7();
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    tracing::error!(%id, panic = text, "a handler panicked");
    Refused::internal(id).into_response()
}
