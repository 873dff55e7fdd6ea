//! Deletes bytes that no row refers to any more; their rows went with what was kept long enough.

use std::time::Duration;

use tamiz_store::{Store, StoreError};
use tokio::time::timeout;

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
    /// Nor did it say so.
    #[error("the blob store took longer than {} s to delete", DELETE_MAX.as_secs())]
    Slow,
}

/// One object's deletion; far less than the time after which somebody else deletes it.
const DELETE_MAX: Duration = Duration::from_mins(1);

/// Deletes a bounded number of objects; answers how many.
///
/// # Errors
/// [`TrashError`]; what was deleted until then is deleted again later, which is no mistake.
pub async fn delete_trash(store: &Store, blobs: &BlobStore) -> Result<u64, TrashError> {
    let mut gone = Vec::new();
    for mut one in store.trash_to_delete().await? {
        if !store.is_still_trash(&mut one).await? {
            continue;
        }
        // a path that is none of ours names nothing that could be deleted
        if let Some(key) = BlobKey::from_storage_path(&one.scope, &one.storage_path) {
            let deleted = timeout(DELETE_MAX, blobs.delete(&key)).await;
            deleted.map_err(|_| TrashError::Slow)??;
        }
        gone.push(one);
    }
    if !gone.is_empty() {
        store.trash_deleted(&gone).await?;
    }
    Ok(gone.len() as u64)
}
