//! From an HTTP request to a GraphQL request: media type, size, time, JSON, parameters.

use async_graphql::Value;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt as _;

use super::asked::{Asked, from_value};
use super::json;
use crate::api::refused::Refused;

/// A GraphQL request in bytes: large inputs go through uploads, so this holds a document of
/// [`crate::api::cost::QUERY_BYTES_MAX`] and generous variables.
pub(super) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Parameters of a GET request; there are five known ones.
const PARAMETERS_MAX: usize = 16;

/// What a POST brings.
pub(super) enum Body {
    /// One request.
    One(Box<Asked>),
    /// Several, to be answered in their order.
    Many(Vec<Asked>),
}

/// Reads a POST body. Forms cannot send `application/json`, so no other page can forge one.
pub(super) async fn read_post(
    headers: &HeaderMap,
    body: axum::body::Body,
    batch_max: usize,
) -> Result<Body, Refused> {
    check_content_type(headers)?;
    let bytes = read_bounded(headers, body).await?;
    if bytes.is_empty() {
        return Err(Refused::bad_request(
            "the body is empty: send a JSON object with `query`",
        ));
    }
    let value = json::read(&bytes).map_err(|error| {
        Refused::new(
            StatusCode::BAD_REQUEST,
            "BAD_JSON",
            format!("the body is not the JSON expected: {error}"),
        )
    })?;
    one_or_many(value, batch_max)
}

/// Reads the query string of a GET request.
pub(super) fn read_get(query: &str) -> Result<Asked, Refused> {
    let mut object = async_graphql::indexmap::IndexMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()).take(PARAMETERS_MAX) {
        let value = match name.as_ref() {
            "query" | "operationName" | "documentId" => Value::String(value.into_owned()),
            "variables" | "extensions" if value.is_empty() => Value::Null,
            "variables" | "extensions" => json::read(value.as_bytes()).map_err(|error| {
                Refused::bad_request(format!("`{name}` is not the JSON expected: {error}"))
            })?,
            _ => continue,
        };
        if object.insert(async_graphql::Name::new(&name), value).is_some() {
            return Err(Refused::bad_request(format!(
                "`{name}` stands in the query string twice"
            )));
        }
    }
    from_value(Value::Object(object))
}

fn one_or_many(value: Value, batch_max: usize) -> Result<Body, Refused> {
    let Value::List(list) = value else {
        return from_value(value).map(Box::new).map(Body::One);
    };
    if batch_max == 0 {
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "BATCH_NOT_SUPPORTED",
            "send one request at a time: batches are not supported",
        ));
    }
    if list.is_empty() || list.len() > batch_max {
        let message = format!("a batch has 1 to {batch_max} requests");
        return Err(
            Refused::new(StatusCode::BAD_REQUEST, "BATCH_TOO_LARGE", message).detail("limit", batch_max)
        );
    }
    let asked: Result<Vec<Asked>, Refused> = list.into_iter().map(from_value).collect();
    asked.map(Body::Many)
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let unsupported = |message: &str| {
        Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            message,
        )
    };
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| unsupported("send `Content-Type: application/json`"))?;
    let mut parts = value.split(';').map(str::trim);
    if !parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
    {
        return Err(unsupported(
            "a GraphQL request is `application/json`, nothing else",
        ));
    }
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"').to_owned())
    });
    if charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(unsupported("JSON is UTF-8, no other charset"));
    }
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(unsupported("send the body without a content encoding"))
        }
        _ => Ok(()),
    }
}

async fn read_bounded(headers: &HeaderMap, body: axum::body::Body) -> Result<Vec<u8>, Refused> {
    let too_large = || Refused::too_large("BODY_TOO_LARGE", BODY_BYTES_MAX as u64);
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refused::cut_short())?;
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
