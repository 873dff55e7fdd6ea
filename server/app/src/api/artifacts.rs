//! `GET /v1/artifacts/{id}`: the bytes of an artifact, as a download.
//!
//! Artifacts are written by strangers (tools, targets, uploads), so they are never shown inside our
//! pages: attachment, no sniffing, a policy that runs nothing. The stream checks length and hash and
//! breaks off rather than deliver a wrong last byte.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tamiz_core::{ArtifactId, Refusal};
use tamiz_store::artifact::{self, Artifact};
use tamiz_store::token::Caller;

use super::errors::log_fault;
use super::refused::{Refused, unreached};
use super::schema::TenantCaller;
use super::state::ApiState;
use crate::blob::BlobKey;

/// What a stored type becomes when it cannot stand in a header.
const UNKNOWN_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Bytes never change under an id, but who may read them can: ask again each time.
const CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// The route, to be put behind [`super::guard::around_callers`].
pub fn routes(state: Arc<ApiState>) -> Router {
    let route = get(download).fallback(|| async { Refused::method("GET, HEAD") });
    Router::new().route("/v1/artifacts/{id}", route).with_state(state)
}

async fn download(
    State(state): State<Arc<ApiState>>,
    TenantCaller(caller): TenantCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let artifact = find(&state, &caller, &id).await?;
    let size_bytes = artifact.blob.size_bytes;
    let tag = format!("\"{}\"", hex::encode(artifact.blob.hash));
    if matches(&headers, &tag) {
        return Ok((
            StatusCode::NOT_MODIFIED,
            [(ETAG, header(&tag)), (CACHE_CONTROL, CACHE)],
        )
            .into_response());
    }
    let part = wanted(&headers, &tag, size_bytes)?;
    let key = BlobKey::from_storage_path(&caller.scope, &artifact.blob.storage_path)
        .ok_or_else(|| Refused::internal(log_fault(&Unnamed)))?;
    let reader = match part.clone() {
        Some(range) => state.blobs.read_range(&key, size_bytes, range).await,
        None => state.blobs.read(&key, size_bytes).await,
    };
    let reader = reader.map_err(|error| Refused::internal(log_fault(&error)))?;

    let length = part.as_ref().map_or(size_bytes, |range| range.end - range.start);
    let status = if part.is_some() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let mut response = (status, Body::from_stream(reader)).into_response();
    let answered = response.headers_mut();
    answered.insert(
        CONTENT_TYPE,
        HeaderValue::from_str(&artifact.media_type).unwrap_or(UNKNOWN_TYPE),
    );
    answered.insert(CONTENT_LENGTH, HeaderValue::from(length));
    answered.insert(CONTENT_DISPOSITION, header(&disposition(&artifact.name)));
    answered.insert(ETAG, header(&tag));
    answered.insert(CACHE_CONTROL, CACHE);
    answered.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(range) = part {
        let range = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
        answered.insert(CONTENT_RANGE, header(&range));
    }
    Ok(response)
}

/// The artifact, if it is the caller's: another tenant's is not there.
async fn find(state: &ApiState, caller: &Caller, id: &str) -> Result<Artifact, Refused> {
    let absent = || {
        let refusal = Refusal::not_found("artifact", tamiz_core::text::cut(id, 100));
        Refused::from_refusal(StatusCode::NOT_FOUND, refusal)
    };
    let id: ArtifactId = id.parse().map_err(|_| absent())?;
    let fault = |error| unreached(&error);
    let mut tx = state.store.begin(&caller.scope).await.map_err(fault)?;
    let found = artifact::get(&mut tx, id).await.map_err(fault)?;
    tx.commit().await.map_err(fault)?;
    found.ok_or_else(absent)
}

fn matches(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| matches!(known.trim(), "*") || known.trim().trim_start_matches("W/") == tag)
}

/// The one byte range that is asked for, if it can be served; several ranges are answered whole.
fn wanted(headers: &HeaderMap, tag: &str, size_bytes: u64) -> Result<Option<Range<u64>>, Refused> {
    let outdated = headers
        .get(IF_RANGE)
        .is_some_and(|known| known.as_bytes() != tag.as_bytes());
    let asked = headers
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("bytes="));
    let Some(asked) = asked.filter(|asked| !outdated && !asked.contains(',')) else {
        return Ok(None);
    };
    let Some((from, to)) = asked.trim().split_once('-') else {
        return Ok(None);
    };
    let range = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(size_bytes),
        (Ok(from), Err(_)) if to.is_empty() => from..size_bytes,
        (Err(_), Ok(last)) if from.is_empty() => size_bytes.saturating_sub(last)..size_bytes,
        // a range that makes no sense is as if it were not there (RFC 9110 §14.2)
        _ => return Ok(None),
    };
    if range.start >= range.end {
        let message =
            format!("the artifact has {size_bytes} bytes: `Range: bytes={asked}` names none of them");
        return Err(Refused::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "RANGE_NOT_SATISFIABLE",
            message,
        ));
    }
    Ok(Some(range))
}

/// `attachment` with the name twice: in ASCII for old clients, and as it is (RFC 6266, RFC 8187).
pub(super) fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|character| match character {
            '"' | '\\' | '/' | '%' => '_',
            character if character.is_ascii_graphic() || character == ' ' => character,
            _ => '_',
        })
        .collect();
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // writing to a string does not fail
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// A header value of text that is ASCII by construction.
pub(super) fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("attachment"))
}

#[derive(Debug, thiserror::Error)]
#[error("an artifact's storage path is not a key of its tenant")]
struct Unnamed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("a\"b\r\nSet-Cookie: x/ü.txt"),
            "attachment; filename=\"a_b__Set-Cookie: x__.txt\"; filename*=UTF-8''a%22b%0D%0ASet-Cookie%3A%20x%2F%C3%BC.txt"
        );
    }

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        let of = |range: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static(range));
            wanted(&headers, "\"x\"", 10).map_err(|refused| refused.code().to_owned())
        };
        assert_eq!(of("bytes=0-3"), Ok(Some(0..4)));
        assert_eq!(of("bytes=4-"), Ok(Some(4..10)));
        assert_eq!(of("bytes=-3"), Ok(Some(7..10)));
        assert_eq!(of("bytes=-30"), Ok(Some(0..10)));
        assert_eq!(of("bytes=5-99"), Ok(Some(5..10)));
        assert_eq!(of("bytes=10-"), Err("RANGE_NOT_SATISFIABLE".to_owned()));
        for whole in ["bytes=3-1", "bytes=x-", "items=0-1", "bytes=0-1,3-4", "bytes=5"] {
            assert_eq!(of(whole), Ok(None), "{whole}");
        }
    }
}
