//! Answers that a client may keep: those of known documents to GET requests.
//!
//! The tag is weak, because it is of the answer without what it cost. The answer is private and asked for again
//! each time; a client that has it already is told so without the body.

use async_graphql::Response as GraphqlResponse;
use axum::http::header::{CACHE_CONTROL, ETAG, HeaderName, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::accept::MediaType;
use super::http::{to_json, write};
use crate::api::cost::Cost;

/// Bytes of the hash that stand in a tag: no two answers of one address share them by chance.
const TAG_BYTES: usize = 16;

/// The answer to a GET with these `headers`: 304 if the client has `response` already.
pub(super) fn answer(
    headers: &HeaderMap,
    media_type: MediaType,
    response: &GraphqlResponse,
    cost: &Cost,
) -> Response {
    let mut body = to_json(response);
    let digest = Sha256::digest(body.as_bytes());
    let tag = format!("\"{}\"", hex::encode(&digest[..TAG_BYTES]));
    let mut answer = if has(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        cost.append(&mut body);
        write(StatusCode::OK, media_type, body)
    };
    let mut set = |name: HeaderName, value: HeaderValue| answer.headers_mut().insert(name, value);
    set(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    set(VARY, HeaderValue::from_static("authorization, accept"));
    if let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) {
        set(ETAG, tag);
    }
    answer
}

/// Whether the client has what `tag` says (RFC 9110 §13.1.2; tags compare weakly).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|said| said == "*" || said.strip_prefix("W/").unwrap_or(said) == tag)
}
