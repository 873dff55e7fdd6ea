//! Bytes of one task: its uploads and its plugins' components out, its artifacts in.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tamiz_core::plugin::ComponentDigest;
use tamiz_core::{Refusal, UploadId};
use tamiz_store::credential::LeaseRight;
use tamiz_store::upload::{StoredBlob, Upload};
use tokio::time::timeout;

use super::body::BYTES_PER_SECOND_MIN;
use super::door::Holder;
use super::task::running;
use super::turns::{busy, detached};
use super::{Workers, unavailable};
use crate::api::errors::log_fault;
use crate::api::pieces::Pieces;
use crate::api::refused::{Refused, unreached};
use crate::blob::{BlobError, BlobKey, BlobKind};
use crate::flow::{FlowError, name_bytes, reserve_storage, serve_attempt};
use crate::wire::HASH_HEADER;

/// For one of the places in which artifacts are taken.
const TURN_MAX: Duration = Duration::from_secs(30);
/// One artifact in bytes; what a tool writes is bounded by its box, and this is the last line.
const ARTIFACT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The row of an upload that the task names.
pub(super) async fn upload(
    State(workers): State<Workers>,
    Holder(right): Holder,
    Path(id): Path<String>,
) -> Result<Json<Upload>, Refused> {
    named(&workers, &right, &id).await.map(Json)
}

/// Its bytes.
pub(super) async fn upload_bytes(
    State(workers): State<Workers>,
    Holder(right): Holder,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let upload = named(&workers, &right, &id).await?;
    let stored = &upload.blob;
    let key = BlobKey::from_storage_path(&right.scope, &stored.storage_path);
    let key = key.ok_or_else(|| absent("upload", &id))?;
    send(&workers, &key, stored.size_bytes).await
}

/// An upload is the task's if its order names it: as what is scanned, or as the rules to scan with.
async fn named(workers: &Workers, right: &LeaseRight, id: &str) -> Result<Upload, Refused> {
    let task = running(workers, right).await?;
    let wanted: UploadId = id.parse().map_err(|_| absent("upload", id))?;
    let names = [task.payload.source.upload_id(), task.payload.rules_upload_id];
    if !names.contains(&Some(wanted)) {
        return Err(absent("upload", id));
    }
    let found = serve_attempt::upload(&workers.state.store, right, wanted).await;
    found.map_err(unavailable)?.ok_or_else(|| absent("upload", id))
}

fn absent(what: &str, id: &str) -> Refused {
    let refusal = Refusal::not_found(what, tamiz_core::text::cut(id, 100));
    Refused::from_refusal(StatusCode::NOT_FOUND, refusal)
}

/// The bytes of a plugin that may serve the task.
pub(super) async fn component(
    State(workers): State<Workers>,
    Holder(right): Holder,
    Path(digest): Path<String>,
) -> Result<Response, Refused> {
    let task = running(&workers, &right).await?;
    let serving = serve_attempt::plugins(&workers.state.store, &right, &task).await;
    let wanted: ComponentDigest = digest
        .clone()
        .try_into()
        .map_err(|_| absent("component", &digest))?;
    let plugins = serving.map_err(unavailable)?.plugins;
    let plugin = plugins.iter().find(|plugin| plugin.sha256 == wanted);
    let plugin = plugin.ok_or_else(|| absent("component", &digest))?;
    send(&workers, &BlobKey::of_plugin(wanted), plugin.size_bytes).await
}

async fn send(workers: &Workers, key: &BlobKey, size_bytes: u64) -> Result<Response, Refused> {
    let reader = workers.state.blobs.read(key, size_bytes).await;
    let reader = reader.map_err(|error| match error {
        BlobError::NotFound { key } => absent("blob", &key),
        fault => Refused::internal(log_fault(&fault)),
    })?;
    let mut response = Body::from_stream(reader).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, BYTES);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
    if let Ok(hash) = HeaderValue::from_str(&hex::encode(key.hash())) {
        headers.insert(HASH_HEADER, hash);
    }
    Ok(response)
}

/// Keeps the body as an artifact's bytes. There is no row of them until the attempt ends with one.
pub(super) async fn artifact(
    State(workers): State<Workers>,
    Holder(right): Holder,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<StoredBlob>, Refused> {
    let bytes = announced(&headers)?;
    detached(take(workers, right, bytes, body)).await
}

async fn take(
    workers: Workers,
    right: LeaseRight,
    bytes: u64,
    body: Body,
) -> Result<Json<StoredBlob>, Refused> {
    let _turn = workers.inner.putting.enter(&right)?;
    running(&workers, &right).await?;
    let place = timeout(TURN_MAX, workers.inner.artifacts.acquire()).await;
    let Ok(Ok(_place)) = place else {
        return Err(busy("too many artifacts come at once: try again"));
    };
    let store = &workers.state.store;
    reserve_storage::for_attempt(store, &right, bytes)
        .await
        .map_err(refused)?;
    let kept = keep(&workers, &right, bytes, body).await;
    if kept.is_err() {
        // it comes again, and is reserved again
        reserve_storage::given_back(store, &right, bytes).await;
    }
    kept
}

async fn keep(
    workers: &Workers,
    right: &LeaseRight,
    bytes: u64,
    body: Body,
) -> Result<Json<StoredBlob>, Refused> {
    let blobs = &workers.state.blobs;
    let mut writer = blobs.writer(&right.scope, BlobKind::Artifact, bytes);
    let mut pieces = Pieces::of(body, BYTES_PER_SECOND_MIN);
    while let Some(piece) = pieces.next().await? {
        writer.write(piece).await.map_err(unwritten)?;
    }
    if writer.size_bytes() != bytes {
        return Err(Refused::bad_request(
            "the body is not as long as announced: nothing was stored",
        ));
    }
    let blob = writer.finish().await.map_err(unwritten)?;
    let stored = blob.stored();
    let noted = name_bytes::note_put(&workers.state.store, &right.scope, &stored).await;
    noted.map_err(unavailable)?;
    Ok(Json(stored))
}

/// Room is reserved before a byte is read, so the length must be known.
fn announced(headers: &HeaderMap) -> Result<u64, Refused> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let length = length.ok_or_else(|| {
        Refused::new(
            StatusCode::LENGTH_REQUIRED,
            "LENGTH_REQUIRED",
            "say the length of the artifact",
        )
    })?;
    if length > ARTIFACT_BYTES_MAX {
        return Err(Refused::too_large("ARTIFACT_TOO_LARGE", ARTIFACT_BYTES_MAX));
    }
    Ok(length)
}

fn unwritten(error: BlobError) -> Refused {
    match error {
        BlobError::TooLarge { bytes_max } => Refused::too_large("ARTIFACT_TOO_LARGE", bytes_max),
        fault => Refused::internal(log_fault(&fault)),
    }
}

/// What a flow refused is told with its own code.
pub(super) fn refused(error: FlowError) -> Refused {
    match error {
        FlowError::Refused(refusal) => Refused::from_refusal(StatusCode::UNPROCESSABLE_ENTITY, refusal),
        FlowError::Store(error) => unreached(&error),
        fault @ FlowError::Fault { .. } => Refused::internal(log_fault(&fault)),
    }
}
