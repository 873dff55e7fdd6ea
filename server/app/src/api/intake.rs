//! Bytes of a client on their way to becoming an upload, whichever route they come by.
//!
//! They are hashed while they stream into the blob store; memory is a few megabytes however many they are. The limit
//! for one upload is checked against the announced length before a byte is read, and at the byte for a body that
//! announces none; room in the tenant's storage is reserved alike. What is dropped before [`Receiving::accept`] leaves
//! nothing.
//!
//! Not here: how bytes come out of a request (`uploads`, `rest`).

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use tamiz_core::quota::{QuotaLimit, ReachedLimit};
use tamiz_core::{Refusal, RefusalCode, TenantId, UploadId};
use tamiz_store::Store;
use tamiz_store::shares::{Place, Shares};
use tamiz_store::token::Caller;
use tamiz_store::upload::StoredBlob;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::errors::log_fault;
use super::refused::{Refused, unreached};
use super::state::ApiState;
use crate::blob::{BlobError, BlobKind, BlobWriter};
use crate::config::ApiSettings;
use crate::flow::accept_upload::{UploadLabel, accept_upload};
use crate::flow::reserve_storage::UploadRoom;
use crate::flow::{FlowError, note_refusal};

/// Uploads that stream at once; each holds up to three parts of 5 MiB on their way to the store.
const UPLOADS_AT_ONCE_MAX: usize = 12;
/// Of them those of one tenant: a slow one leaves places to the others.
const UPLOADS_OF_ONE_TENANT_MAX: usize = 3;
/// How long an upload waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(30);
/// A client slower than this only holds a place: the largest upload of 512 MiB may take four and a
/// half hours.
pub(super) const BYTES_PER_SECOND_MIN: u64 = 32 * 1024;

/// Lets uploads in; clones share the places.
#[derive(Clone)]
pub(super) struct Intake {
    state: Arc<ApiState>,
    turns: Arc<Semaphore>,
    of_tenant: Shares<TenantId>,
}

/// The largest upload of `caller`: the tenant's own limit, never more than the server's.
pub(super) fn upload_bytes_max(settings: &ApiSettings, caller: &Caller) -> u64 {
    caller.upload_bytes_max.map_or(settings.upload_bytes_max, |own| {
        own.min(settings.upload_bytes_max)
    })
}

impl Intake {
    pub(super) fn new(state: Arc<ApiState>) -> Self {
        Self {
            state,
            turns: Arc::new(Semaphore::new(UPLOADS_AT_ONCE_MAX)),
            of_tenant: Shares::new(UPLOADS_OF_ONE_TENANT_MAX),
        }
    }

    /// The length that the client announces, if it does and may send as much. `around` are bytes of the body that are
    /// none of the upload's.
    pub(super) async fn announced(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        around: u64,
    ) -> Result<Option<u64>, Refused> {
        let bytes_max = upload_bytes_max(&self.state.settings, caller);
        let announced = announced(headers, bytes_max, around);
        if let Err(refused) = &announced {
            note_too_large(&self.state.store, caller, refused).await;
        }
        announced
    }

    /// Takes a place, and room for `announced` bytes.
    pub(super) async fn open(&self, caller: &Caller, announced: Option<u64>) -> Result<Receiving, Refused> {
        let tenant = caller.scope.tenant_id();
        let Some(place) = self.of_tenant.wait(tenant, TURN_WAIT).await else {
            let running = format!("{UPLOADS_OF_ONE_TENANT_MAX} uploads of your tenant");
            return Err(too_many(&running));
        };
        let turn = Arc::clone(&self.turns).acquire_owned();
        let Ok(Ok(turn)) = timeout(TURN_WAIT, turn).await else {
            return Err(too_many(&format!("{UPLOADS_AT_ONCE_MAX} uploads")));
        };
        let state = &self.state;
        let bytes_max = upload_bytes_max(&state.settings, caller);
        let writer = state.blobs.writer(&caller.scope, BlobKind::Upload, bytes_max);
        let room = UploadRoom::reserve(&state.store, &caller.scope, announced.unwrap_or(0)).await;
        Ok(Receiving {
            room: noted(&state.store, caller, room).await?,
            state: Arc::clone(state),
            caller: caller.clone(),
            writer,
            _places: (place, turn),
        })
    }
}

/// An upload that is coming in.
pub(super) struct Receiving {
    state: Arc<ApiState>,
    caller: Caller,
    writer: BlobWriter,
    room: UploadRoom,
    _places: (Place, OwnedSemaphorePermit),
}

impl Receiving {
    /// Adds bytes.
    pub(super) async fn take(&mut self, piece: Bytes) -> Result<(), Refused> {
        let total = self.writer.size_bytes() + piece.len() as u64;
        if total <= self.writer.bytes_max() {
            let covered = self.room.cover(total).await;
            noted(&self.state.store, &self.caller, covered).await?;
        }
        let written = self.writer.write(piece).await.map_err(unwritten);
        if let Err(refused) = &written {
            note_too_large(&self.state.store, &self.caller, refused).await;
        }
        written
    }

    /// SHA-256 of what came so far.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.writer.hash()
    }

    /// Stores the bytes for good and commits their row; from then on they are acknowledged.
    pub(super) async fn accept(self, label: &UploadLabel<'_>) -> Result<(UploadId, StoredBlob), Refused> {
        if self.writer.size_bytes() == 0 {
            return Err(empty());
        }
        let (state, caller) = (&self.state, &self.caller);
        let blob = self.writer.finish().await.map_err(unwritten)?.stored();
        let accepted = accept_upload(&state.store, &state.blobs, caller, label, &blob, self.room).await;
        let id = noted(&state.store, caller, accepted).await?;
        metrics::counter!("tamiz_upload_bytes_total").increment(blob.size_bytes);
        Ok((id, blob))
    }
}

fn announced(headers: &HeaderMap, bytes_max: u64, around: u64) -> Result<Option<u64>, Refused> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    match announced {
        Some(0) => Err(empty()),
        Some(length) if length > bytes_max.saturating_add(around) => {
            Err(too_large(bytes_max).detail("value", length))
        }
        announced => Ok(announced),
    }
}

/// What a flow answered, with its refusal noted for the audit log and in the words of HTTP.
pub(super) async fn noted<T>(
    store: &Store,
    caller: &Caller,
    outcome: Result<T, FlowError>,
) -> Result<T, Refused> {
    let outcome = note_refusal::noted(store, &caller.scope, Some(caller.token), outcome).await;
    outcome.map_err(refused)
}

/// An upload that is too large for the limit of its tenant, not of the server, goes to the audit log.
async fn note_too_large(store: &Store, caller: &Caller, refused: &Refused) {
    let Some(value) = caller.upload_bytes_max else {
        return;
    };
    if refused.code() != RefusalCode::UploadTooLarge.as_str() {
        return;
    }
    let mut refusal = Refusal::new(RefusalCode::UploadTooLarge, refused.message());
    refusal.limit = Some(Box::new(ReachedLimit {
        name: QuotaLimit::UploadBytes.to_string(),
        value,
        used: 0,
        room_at: None,
    }));
    note_refusal::note_refusal(store, &caller.scope, Some(caller.token), &refusal).await;
}

fn too_many(running: &str) -> Refused {
    Refused::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "TOO_MANY_UPLOADS",
        format!("{running} are running, which is the limit: try again later"),
    )
}

fn too_large(bytes_max: u64) -> Refused {
    Refused::too_large(RefusalCode::UploadTooLarge.as_str(), bytes_max)
}

fn empty() -> Refused {
    let refusal = Refusal::new(RefusalCode::UploadEmpty, "the upload has no bytes");
    Refused::from_refusal(StatusCode::UNPROCESSABLE_ENTITY, refusal)
}

fn unwritten(error: BlobError) -> Refused {
    match error {
        BlobError::TooLarge { bytes_max } => too_large(bytes_max),
        fault => Refused::internal(log_fault(&fault)),
    }
}

/// The "no" of a flow with the status that fits it.
pub(super) fn refused(error: FlowError) -> Refused {
    match error {
        FlowError::Refused(refusal) => {
            let status = match refusal.code.as_ref() {
                code if code == RefusalCode::NotFound.as_str() => StatusCode::NOT_FOUND,
                code if code == RefusalCode::NotAllowed.as_str() => StatusCode::FORBIDDEN,
                _ if refusal
                    .limit
                    .as_ref()
                    .is_some_and(|limit| limit.room_at.is_some()) =>
                {
                    StatusCode::TOO_MANY_REQUESTS
                }
                code if code == RefusalCode::QuotaExceeded.as_str() => StatusCode::INSUFFICIENT_STORAGE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Refused::from_refusal(status, refusal)
        }
        FlowError::Store(error) => unreached(&error),
        fault @ FlowError::Fault { .. } => Refused::internal(log_fault(&fault)),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn an_announced_length_is_judged_before_a_byte() {
        let of = |value: &'static str, around: u64| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static(value));
            announced(&headers, 100, around).map_err(|refused| refused.code().to_owned())
        };
        assert_eq!(of("100", 0), Ok(Some(100)));
        assert_eq!(of("101", 0), Err("UPLOAD_TOO_LARGE".to_owned()));
        assert_eq!(of("101", 1), Ok(Some(101)));
        assert_eq!(of("0", 9), Err("UPLOAD_EMPTY".to_owned()));
    }
}
