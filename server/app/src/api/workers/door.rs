//! Who is asking: a worker by its token, or the holder of a lease by its credential.

use axum::extract::{FromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tamiz_core::WorkerId;
use tamiz_core::worker_token::WorkerToken;
use tamiz_store::credential::LeaseRight;
use tamiz_store::worker_token::WorkerCaller;

use super::{Workers, unavailable};
use crate::api::guard::bearer::after_scheme;
use crate::api::refused::Refused;
use crate::wire::{PROTOCOL, PROTOCOL_HEADER, PROTOCOL_MISMATCH, WORKER_HEADER, WORKER_UNKNOWN};

const MISSING: &str = "send the worker's token as `Authorization: Bearer tmw_…`";
const REFUSED: &str = "the worker's token is not valid: it is unknown, expired or revoked";

/// Turns away whoever speaks another protocol, before anything else is looked at.
pub(super) async fn same_protocol(request: Request, next: Next) -> Response {
    let spoken = request.headers().get(PROTOCOL_HEADER);
    let spoken = spoken.and_then(|value| value.to_str().ok());
    if spoken.and_then(|text| text.parse().ok()) == Some(PROTOCOL) {
        return next.run(request).await;
    }
    let message = format!(
        "this server is Tamiz {} and speaks version {PROTOCOL} of the workers' protocol, the worker {}: run the \
         same version on both sides",
        env!("CARGO_PKG_VERSION"),
        spoken.map_or("none".into(), |text| tamiz_core::text::cut(text, 20).to_owned()),
    );
    Refused::new(StatusCode::UPGRADE_REQUIRED, PROTOCOL_MISMATCH, message).into_response()
}

/// A worker that showed a live token.
pub(super) struct Caller {
    /// Who it says it is; the token's only where `is_its_worker` of `token` says so.
    pub(super) worker: WorkerId,
    pub(super) token: WorkerCaller,
}

impl FromRequestParts<Workers> for Caller {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, workers: &Workers) -> Result<Self, Refused> {
        let token = bearer(&parts.headers)?;
        let token = WorkerToken::parse(token).map_err(|_| Refused::unauthorized(MISSING))?;
        let worker = parts.headers.get(WORKER_HEADER);
        let worker = worker.and_then(|value| value.to_str().ok()?.parse().ok());
        let worker =
            worker.ok_or_else(|| Refused::bad_request(format!("`{WORKER_HEADER}` must be a UUID")))?;
        let found = workers.state.store.authenticate_worker(&token, worker).await;
        let token = found
            .map_err(unavailable)?
            .ok_or_else(|| Refused::unauthorized(REFUSED))?;
        Ok(Self { worker, token })
    }
}

/// The same, and the worker is registered with that token.
pub(super) struct ItsWorker(pub(super) Caller);

impl FromRequestParts<Workers> for ItsWorker {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, workers: &Workers) -> Result<Self, Refused> {
        let caller = Caller::from_request_parts(parts, workers).await?;
        if caller.token.is_its_worker {
            return Ok(Self(caller));
        }
        let message = "no worker with this id is registered with this token";
        Err(Refused::new(StatusCode::FORBIDDEN, WORKER_UNKNOWN, message))
    }
}

/// Whoever showed a credential that has not expired.
pub(super) struct Holder(pub(super) LeaseRight);

impl FromRequestParts<Workers> for Holder {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, workers: &Workers) -> Result<Self, Refused> {
        let credential = bearer(&parts.headers)?;
        let right = workers.key().await?.verify(credential, chrono::Utc::now());
        right
            .map(Self)
            .map_err(|error| Refused::unauthorized(&error.to_string()))
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    let (Some(value), None) = (value, values.next()) else {
        return Err(Refused::unauthorized(MISSING));
    };
    after_scheme(value).ok_or_else(|| Refused::unauthorized(MISSING))
}
