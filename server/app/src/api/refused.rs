//! The one shape of every "no" that is an HTTP answer rather than a GraphQL result.
//!
//! `{"errors":[{"message":…,"extensions":{"code":…,"requestId":…}}]}` with a status, so that GraphQL clients and
//! plain ones read the same thing. Messages name the input and the limit; codes are stable.

use std::time::Duration;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tamiz_core::Refusal;
use tamiz_core::quota::QuotaLimit;
use tamiz_core::rate::RequestRate;
use tamiz_store::StoreError;
use uuid::Uuid;

use super::errors::{log_fault, too_many_at_once};
use super::guard::request_id;
use crate::wire::ToldLimit;

/// JSON in UTF-8.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// The store did not answer: too much at once is the asker's to mend, the rest is a fault of ours.
pub fn unreached(error: &StoreError) -> Refused {
    match error {
        StoreError::Busy => Refused::from_refusal(StatusCode::SERVICE_UNAVAILABLE, too_many_at_once()),
        fault => Refused::internal(log_fault(fault)),
    }
}

/// For `Retry-After`: whole seconds from now, at least one.
pub fn seconds_until(moment: DateTime<Utc>) -> u64 {
    let wait = (moment - Utc::now()).num_milliseconds();
    u64::try_from(wait).unwrap_or(0).div_ceil(1000).max(1)
}

/// A refused request.
#[derive(Debug, Clone)]
pub struct Refused(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    code: String,
    message: String,
    details: serde_json::Map<String, Value>,
    headers: HeaderMap,
}

impl Refused {
    /// A refusal with a stable `code` and a sentence for people.
    pub fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.into(),
            message: message.into(),
            details: serde_json::Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// 408: the line broke before the body was through. The same may be sent again, so it is not the request
    /// that is wrong.
    pub fn cut_short() -> Self {
        let message = "the body ended too early, and nothing was stored: send it again";
        Self::new(StatusCode::REQUEST_TIMEOUT, "BODY_CUT", message)
    }

    /// 405, naming what is allowed.
    pub fn method(allowed: &'static str) -> Self {
        let mut refused = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            format!("this address answers to {allowed} only"),
        );
        refused.0.headers.insert(ALLOW, HeaderValue::from_static(allowed));
        refused
    }

    /// 413, naming the limit.
    pub fn too_large(code: &str, limit_bytes: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            code,
            format!("the body is larger than the limit of {limit_bytes} bytes"),
        )
        .detail("limit", limit_bytes)
    }

    /// 401: `reason` never says whether a well-formed token exists.
    pub fn unauthorized(reason: &str) -> Self {
        let mut refused = Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", reason);
        let challenge = HeaderValue::from_static("Bearer realm=\"tamiz\"");
        refused.0.headers.insert(WWW_AUTHENTICATE, challenge);
        refused
    }

    /// 429 with `Retry-After`.
    pub fn too_many(wait_seconds: u64) -> Self {
        // governor rounds down: at once would be refused again
        let wait_seconds = wait_seconds.max(1);
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "RATE_LIMITED",
            format!("too many requests: try again in {wait_seconds} s"),
        )
        .retry_after(wait_seconds)
        .detail("retryAfterSeconds", wait_seconds)
    }

    /// The same for a tenant, all its clients together: names the limit and its value.
    pub fn too_many_of_tenant(rate: RequestRate, wait: Duration) -> Self {
        let wait_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let requests = rate.requests_per_minute();
        let mut refused = Self::too_many(wait_seconds);
        refused.0.message = format!(
            "your tenant may send {requests} requests a minute and has sent them: try again in {} s",
            wait_seconds.max(1)
        );
        let name = QuotaLimit::RequestsPerMinute.as_str();
        refused.detail("limit", json!({ "name": name, "value": requests }))
    }

    /// 503 with the id under which the cause was logged.
    pub fn unavailable(message: &str, id: Uuid) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message).detail("id", id.to_string())
    }

    /// 500 with the id under which the cause was logged.
    pub fn internal(id: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            super::errors::INTERNAL,
            super::errors::FAULT_MESSAGE,
        )
        .detail("id", id.to_string())
    }

    /// A domain refusal with the status that fits its code.
    pub fn from_refusal(status: StatusCode, refusal: Refusal) -> Self {
        let mut refused = Self::new(status, refusal.code.into_owned(), refusal.message);
        if let Some(limit) = refusal.limit {
            let room_at = limit.room_at;
            refused = refused.detail("limit", json!(ToldLimit::from(*limit)));
            if let Some(room_at) = room_at {
                let wait = HeaderValue::from(seconds_until(room_at));
                refused.0.headers.insert(RETRY_AFTER, wait);
            }
        }
        if refusal.path.is_empty() {
            refused
        } else {
            refused.detail("path", refusal.path)
        }
    }

    /// Says in `Retry-After` when to come back.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        let seconds = HeaderValue::from(seconds);
        self.0.headers.insert(RETRY_AFTER, seconds);
        self
    }

    /// Adds one machine-readable detail.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(key.to_owned(), value.into());
        self
    }

    /// The machine-readable details.
    pub fn details(&self) -> &serde_json::Map<String, Value> {
        &self.0.details
    }

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let parts = *self.0;
        let mut extensions = parts.details;
        extensions.insert("code".to_owned(), Value::from(parts.code));
        if let Some(id) = request_id::current() {
            extensions.insert(request_id::IN_ERRORS.to_owned(), Value::from(id.as_str()));
        }
        let body = json!({ "errors": [{ "message": parts.message, "extensions": extensions }] });
        let mut response = (parts.status, body.to_string()).into_response();
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response.headers_mut().extend(parts.headers);
        response
    }
}
