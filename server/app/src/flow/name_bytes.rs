//! Bytes on their way to a row that names them: noted when they are put, looked for when they were deleted meanwhile.
//!
//! Bytes come before rows, so a crash, a lost attempt or a refusal leaves bytes without a row. Their note makes them
//! trash a day later. Bytes that nobody wanted may just be deleted while somebody puts the same again: the row is
//! refused then until it is known whether they are there.

use tamiz_store::upload::StoredBlob;
use tamiz_store::{Store, StoreError, TenantScope, retention};

use super::FlowError;
use crate::blob::{BlobKey, BlobStore};

/// Notes bytes that were just put.
///
/// # Errors
/// [`StoreError`] when the database does not take it; the bytes stay without a note.
pub async fn note_put(store: &Store, scope: &TenantScope, stored: &StoredBlob) -> Result<(), StoreError> {
    let mut tx = store.begin(scope).await?;
    retention::note_put(&mut tx, &stored.storage_path).await?;
    tx.commit().await
}

/// Looks for bytes after [`StoreError::BeingDeleted`]. `false` when some are gone and have to be put again; else
/// rows may name them, at once or when the deletion that is under way is over.
///
/// # Errors
/// A fault of the database or of the blobs.
pub async fn are_there(
    store: &Store,
    blobs: &BlobStore,
    scope: &TenantScope,
    stored: &[StoredBlob],
) -> Result<bool, FlowError> {
    for one in stored {
        let mut tx = store.begin(scope).await?;
        let deleted_at = retention::deleted_at(&mut tx, &one.storage_path).await?;
        tx.commit().await?;
        let Some(deleted_at) = deleted_at else { continue };
        let Some(key) = BlobKey::from_storage_path(scope, &one.storage_path) else {
            return Ok(false);
        };
        let found = blobs.has(&key, one.size_bytes).await;
        if !found.map_err(|error| FlowError::fault("looking for stored bytes", error))? {
            return Ok(false);
        }
        let mut tx = store.begin(scope).await?;
        retention::came_back(&mut tx, &one.storage_path, deleted_at).await?;
        tx.commit().await?;
    }
    Ok(true)
}
