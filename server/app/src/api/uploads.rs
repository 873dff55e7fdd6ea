//! `POST /v1/uploads?project=…&fileName=…`: the raw body becomes an upload.
//!
//! The body is hashed while it streams into the blob store; memory is a few megabytes however large
//! it is. The answer comes after the row is committed: what was acknowledged survives a crash. The
//! limit for one upload is checked against the announced length before a byte is read, and at the byte
//! for a body that announces none; room in the tenant's storage is reserved alike.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use tamiz_core::IdError;
use tamiz_core::quota::{QuotaLimit, ReachedLimit};
use tamiz_core::{ProjectId, Refusal, RefusalCode, TenantId, UploadId};
use tamiz_store::Store;
use tamiz_store::shares::Shares;
use tamiz_store::token::Caller;
use tamiz_store::upload::StoredBlob;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::errors::log_fault;
use super::pieces::Pieces;
use super::refused::{Refused, unreached};
use super::schema::TenantCaller;
use super::state::ApiState;
use crate::blob::{BlobError, BlobKind, BlobWriter};
use crate::config::ApiSettings;
use crate::flow::accept_upload::{UploadLabel, accept_upload, may_upload};
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
const BYTES_PER_SECOND_MIN: u64 = 32 * 1024;
/// What the body is when its sender does not say.
const UNKNOWN_TYPE: &str = "application/octet-stream";

#[derive(Clone)]
struct Uploads {
    state: Arc<ApiState>,
    turns: Arc<Semaphore>,
    of_tenant: Shares<TenantId>,
}

/// The route, to be put behind [`super::guard::around_callers`].
pub fn routes(state: Arc<ApiState>) -> Router {
    let turns = Arc::new(Semaphore::new(UPLOADS_AT_ONCE_MAX));
    Router::new()
        .route(
            "/v1/uploads",
            post(upload).fallback(|| async { Refused::method("POST") }),
        )
        .with_state(Uploads {
            state,
            turns,
            of_tenant: Shares::new(UPLOADS_OF_ONE_TENANT_MAX),
        })
}

/// The largest upload of `caller`: the tenant's own limit, never more than the server's.
pub(super) fn upload_bytes_max(settings: &ApiSettings, caller: &Caller) -> u64 {
    caller.upload_bytes_max.map_or(settings.upload_bytes_max, |own| {
        own.min(settings.upload_bytes_max)
    })
}

/// What the client is told.
#[derive(Serialize)]
struct Acknowledged {
    id: UploadId,
    size: u64,
    sha256: String,
}

async fn upload(
    State(uploads): State<Uploads>,
    TenantCaller(caller): TenantCaller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let caller = &caller;
    let (project, file_name) = parameters(query.as_deref().unwrap_or_default())?;
    let media_type = media_type(&headers)?;
    let bytes_max = upload_bytes_max(&uploads.state.settings, caller);
    let store = &uploads.state.store;
    let announced = match announced(&headers, bytes_max) {
        Ok(announced) => announced,
        Err(refused) => {
            note_too_large(store, caller, &refused).await;
            return Err(refused);
        }
    };
    may_upload(store, caller, project).await.map_err(refused)?;

    let tenant = caller.scope.tenant_id();
    let Some(_place) = uploads.of_tenant.wait(tenant, TURN_WAIT).await else {
        let running = format!("{UPLOADS_OF_ONE_TENANT_MAX} uploads of your tenant");
        return Err(too_many(&running));
    };
    let Ok(Ok(_turn)) = timeout(TURN_WAIT, uploads.turns.acquire()).await else {
        return Err(too_many(&format!("{UPLOADS_AT_ONCE_MAX} uploads")));
    };
    let writer = uploads
        .state
        .blobs
        .writer(&caller.scope, BlobKind::Upload, bytes_max);
    let room = UploadRoom::reserve(store, &caller.scope, announced.unwrap_or(0)).await;
    let mut room = noted(store, caller, room).await?;
    let pieces = Pieces::of(body, BYTES_PER_SECOND_MIN);
    let received = receive(pieces, writer, &mut room).await;
    let blob = match received {
        Ok(blob) => blob,
        Err(Unreceived::Refused(refused)) => {
            note_too_large(store, caller, &refused).await;
            return Err(refused);
        }
        Err(Unreceived::NoRoom(error)) => return noted(store, caller, Err(error)).await,
    };
    let label = UploadLabel {
        project,
        file_name: &file_name,
        media_type,
    };
    let accepted = accept_upload(store, &uploads.state.blobs, caller, &label, &blob, room).await;
    let id = noted(store, caller, accepted).await?;
    metrics::counter!("tamiz_upload_bytes_total").increment(blob.size_bytes);
    let answer = Acknowledged {
        id,
        size: blob.size_bytes,
        sha256: hex::encode(blob.hash),
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Why the bytes did not come in.
enum Unreceived {
    /// They, or the client, are to blame.
    Refused(Refused),
    /// The tenant's storage.
    NoRoom(FlowError),
}

impl From<Refused> for Unreceived {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

async fn receive(
    mut pieces: Pieces,
    mut writer: BlobWriter,
    room: &mut UploadRoom,
) -> Result<StoredBlob, Unreceived> {
    while let Some(piece) = pieces.next().await? {
        let total = writer.size_bytes() + piece.len() as u64;
        if total <= writer.bytes_max() {
            room.cover(total).await.map_err(Unreceived::NoRoom)?;
        }
        writer.write(piece).await.map_err(unwritten)?;
    }
    if writer.size_bytes() == 0 {
        return Err(empty().into());
    }
    let blob = writer.finish().await.map_err(unwritten)?;
    Ok(blob.stored())
}

/// `project` and `fileName` of the query string.
fn parameters(query: &str) -> Result<(ProjectId, String), Refused> {
    let (mut project, mut file_name) = (None, None);
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let slot = match name.as_ref() {
            "project" => &mut project,
            "fileName" => &mut file_name,
            _ => continue,
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(Refused::bad_request(format!(
                "`{name}` stands in the query string twice"
            )));
        }
    }
    let project = project.ok_or_else(|| Refused::bad_request("say `?project=` with the project's id"))?;
    let project = project
        .parse()
        .map_err(|error: IdError| Refused::bad_request(format!("`project`: {error}")))?;
    Ok((project, file_name.unwrap_or_default()))
}

/// The declared type of the bytes themselves. An envelope around them is refused: what would be
/// stored is not what the client means.
fn media_type(headers: &HeaderMap) -> Result<&str, Refused> {
    let unsupported = |message: &str| {
        Refused::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            message,
        )
    };
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(unsupported(
            "send the body without a content encoding: it is stored as it comes",
        ));
    }
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or(UNKNOWN_TYPE);
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.to_ascii_lowercase().starts_with("multipart/") {
        return Err(unsupported(
            "send the file itself as the body, not a multipart form",
        ));
    }
    // what curl --data-binary says about everything
    Ok(
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            UNKNOWN_TYPE
        } else {
            essence
        },
    )
}

/// The length that the client announces, if it does.
fn announced(headers: &HeaderMap, bytes_max: u64) -> Result<Option<u64>, Refused> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    match announced {
        Some(0) => Err(empty()),
        Some(length) if length > bytes_max => Err(too_large(bytes_max).detail("value", length)),
        announced => Ok(announced),
    }
}

/// What a flow answered, with its refusal noted for the audit log and in the words of HTTP.
async fn noted<T>(store: &Store, caller: &Caller, outcome: Result<T, FlowError>) -> Result<T, Refused> {
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

fn refused(error: FlowError) -> Refused {
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
    fn the_query_string_names_one_project_and_a_label() {
        let id = ProjectId::fresh();
        let (project, name) = parameters(&format!("project={id}&fileName=a%20b.zip&other=1")).unwrap();
        assert_eq!((project, name.as_str()), (id, "a b.zip"));
        for bad in ["", "project=", "project=x", &format!("project={id}&project={id}")] {
            assert!(parameters(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_envelope_is_refused_and_a_careless_type_is_none() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            media_type(&headers).map(str::to_owned)
        };
        assert_eq!(of("application/zip").unwrap(), "application/zip");
        assert_eq!(of("application/x-www-form-urlencoded").unwrap(), UNKNOWN_TYPE);
        assert!(of("Multipart/Form-Data; boundary=x").is_err());
        assert_eq!(media_type(&HeaderMap::new()).unwrap(), UNKNOWN_TYPE);
    }

    #[test]
    fn an_announced_length_is_judged_before_a_byte() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static(value));
            announced(&headers, 100).map_err(|refused| refused.code().to_owned())
        };
        assert_eq!(of("100"), Ok(Some(100)));
        assert_eq!(of("101"), Err("UPLOAD_TOO_LARGE".to_owned()));
        assert_eq!(of("0"), Err("UPLOAD_EMPTY".to_owned()));
    }
}
