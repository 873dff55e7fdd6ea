//! Bodies of requests: small ones as JSON; how fast large ones must come, which go piece by piece as uploads do.

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

pub(super) use crate::api::json_body::parse;
use crate::api::{json_body, refused::Refused};

/// A slower worker only holds a place: 8 GiB take nine hours with it, a megabyte of a poor line four seconds.
pub(super) const BYTES_PER_SECOND_MIN: u64 = 256 * 1024;

/// A small body.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        json_body::read(request.into_body()).await.map(Self)
    }
}
