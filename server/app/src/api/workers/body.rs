//! Bodies of requests: small ones as JSON; how fast large ones must come, which go piece by piece as uploads do.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::api::pieces::{Pieces, stalled};
use crate::api::refused::Refused;

/// A question of a worker: the longest names a thousand leases.
const JSON_BYTES_MAX: usize = 1024 * 1024;
/// For a small body to arrive.
const JSON_SECONDS_MAX: u64 = 30;
/// A slower worker only holds a place: 8 GiB take nine hours with it, a megabyte of a poor line four seconds.
pub(super) const BYTES_PER_SECOND_MIN: u64 = 256 * 1024;

/// A small body.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let patience = Duration::from_secs(JSON_SECONDS_MAX);
        let body = timeout(patience, whole(request.into_body()))
            .await
            .map_err(|_| stalled())??;
        parse(&body).map(Self)
    }
}

async fn whole(body: Body) -> Result<Vec<u8>, Refused> {
    let (mut pieces, mut whole) = (Pieces::of(body, 0), Vec::new());
    while let Some(piece) = pieces.next().await? {
        if whole.len() + piece.len() > JSON_BYTES_MAX {
            let message = format!("the body has more than {JSON_BYTES_MAX} bytes");
            return Err(Refused::bad_request(message));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// JSON of a worker; what is wrong with it is told.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(text)
        .map_err(|error| Refused::bad_request(format!("the body is not understood: {error}")))
}
