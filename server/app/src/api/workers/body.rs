//! Bodies of requests: small ones as JSON, large ones piece by piece with the limits of uploads.

use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::api::refused::Refused;

/// A question of a worker: the longest names a thousand leases.
const JSON_BYTES_MAX: usize = 1024 * 1024;
/// For a small body to arrive.
const JSON_SECONDS_MAX: u64 = 30;
/// A worker that sends nothing for so long is gone.
const STALL_MAX: Duration = Duration::from_secs(30);
/// A slower one only holds a place: 8 GiB take nine hours with it, a megabyte of a poor line four seconds.
const BYTES_PER_SECOND_MIN: u64 = 256 * 1024;
/// From when on the speed is looked at.
const SPEED_GRACE: Duration = Duration::from_mins(1);

/// A small body.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let patience = Duration::from_secs(JSON_SECONDS_MAX);
        let body = timeout(patience, to_bytes(request.into_body(), JSON_BYTES_MAX))
            .await
            .map_err(|_| stalled())?
            .map_err(|_| {
                Refused::bad_request(format!("the body has more than {JSON_BYTES_MAX} bytes or is cut"))
            })?;
        parse(&body).map(Self)
    }
}

/// JSON of a worker; what is wrong with it is told.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(text)
        .map_err(|error| Refused::bad_request(format!("the body is not understood: {error}")))
}

fn stalled() -> Refused {
    let message = format!("nothing came for {} s, or far too slowly", STALL_MAX.as_secs());
    Refused::new(StatusCode::REQUEST_TIMEOUT, "UPLOAD_STALLED", message)
}

/// A large body on its way.
pub(super) struct Pieces {
    stream: BodyDataStream,
    began_at: Instant,
    bytes: u64,
}

impl Pieces {
    pub(super) fn of(body: Body) -> Self {
        Self {
            stream: body.into_data_stream(),
            began_at: Instant::now(),
            bytes: 0,
        }
    }

    /// `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        let piece = timeout(STALL_MAX, self.stream.next())
            .await
            .map_err(|_| stalled())?;
        let Some(piece) = piece else {
            return Ok(None);
        };
        let piece =
            piece.map_err(|_| Refused::bad_request("the body ended too early: nothing was stored"))?;
        self.bytes += piece.len() as u64;
        let elapsed = self.began_at.elapsed();
        if elapsed > SPEED_GRACE && self.bytes < elapsed.as_secs() * BYTES_PER_SECOND_MIN {
            return Err(stalled());
        }
        Ok(Some(piece))
    }
}
