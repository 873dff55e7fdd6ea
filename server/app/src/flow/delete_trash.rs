//! Deletes bytes that no row refers to any more; their rows went with what was kept long enough.

use tamiz_store::{Store, StoreError};

use crate::blob::{BlobError, BlobKey, BlobStore};

/// Why bytes were not deleted; the next turn tries again.
#[derive(Debug, thiserror::Error)]
pub enum TrashError {
    /// The database did not do its part.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The object store did not do its part.
    #[error("the blob store failed")]
    Blob(#[from] BlobError),
}

/// Deletes a bounded number of objects; answers how many.
///
/// # Errors
/// [`TrashError`]; what was deleted until then is deleted again later, which is no mistake.
pub async fn delete_trash(store: &Store, blobs: &BlobStore) -> Result<u64, TrashError> {
    let trash = store.trash_to_delete().await?;
    if trash.is_empty() {
        return Ok(0);
    }
    for one in &trash {
        // a path that is none of ours names nothing that could be deleted
        if let Some(key) = BlobKey::from_storage_path(&one.scope, &one.storage_path) {
            blobs.delete(&key).await?;
        }
    }
    store.trash_deleted(&trash).await?;
    Ok(trash.len() as u64)
}
