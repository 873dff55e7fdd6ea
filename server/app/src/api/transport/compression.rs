//! Compression of answers: JSON of more than [`BYTES_MIN`] bytes, for clients that take gzip.
//!
//! Never event streams, whose events would wait in the compressor. Sizes tell nothing of secrets (BREACH): an attacker
//! would have to make a client with somebody's token ask for chosen text beside a secret, and a page of another site has
//! no token to ask with, while secrets stand in no answer but the one that makes them.

use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, StatusCode, Version};
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};

/// Less than this fits one packet as it is.
const BYTES_MIN: u64 = 1024;

/// The layer.
pub(super) fn layer() -> CompressionLayer<impl Predicate> {
    // the fastest level halves and more what the best would take a tenth off again, for a third of the time
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(BYTES_MIN).and(is_json))
}

fn is_json(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| {
        kind.starts_with("application/json") || kind.starts_with("application/graphql-response+json")
    })
}
