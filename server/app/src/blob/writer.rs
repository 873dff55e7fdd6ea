//! Writing one blob: hashed and counted on the way, named by its hash at the end.
//!
//! Small blobs go to their name at once. Larger ones go piece by piece to a name of their own and are
//! renamed at the end, when the hash is known; a reader never sees half a blob.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};

use super::{Blob, BlobError, BlobKey, Place};

/// What is held in memory before anything is written, and the size of a part: the least that S3 takes.
pub(super) const PART_BYTES: usize = 5 * 1024 * 1024;
/// Parts on their way at once; with the one being filled this bounds an upload's memory.
const PARTS_IN_FLIGHT_MAX: usize = 2;

/// A blob being written. Dropped before [`BlobWriter::finish`], nothing of it stays.
pub struct BlobWriter {
    objects: Arc<dyn ObjectStore>,
    place: Place,
    bytes_max: u64,
    hasher: Sha256,
    size_bytes: u64,
    head: BytesMut,
    tail: Option<(ObjectPath, WriteMultipart)>,
}

impl std::fmt::Debug for BlobWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (place, size_bytes) = (self.place, self.size_bytes);
        formatter
            .debug_struct("BlobWriter")
            .field("place", &place)
            .field("size_bytes", &size_bytes)
            .finish_non_exhaustive()
    }
}

impl BlobWriter {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, place: Place, bytes_max: u64) -> BlobWriter {
        let (head, hasher) = (BytesMut::new(), Sha256::new());
        BlobWriter {
            objects,
            place,
            bytes_max,
            hasher,
            size_bytes: 0,
            head,
            tail: None,
        }
    }

    /// How many may be written.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// How many bytes were written.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// SHA-256 of the bytes that were written so far.
    pub fn hash(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] before a byte over the limit is taken, [`BlobError::Unavailable`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let size_bytes = self.size_bytes.saturating_add(bytes.len() as u64);
        if size_bytes > self.bytes_max {
            return Err(BlobError::TooLarge {
                bytes_max: self.bytes_max,
            });
        }
        self.size_bytes = size_bytes;
        self.hasher.update(&bytes);
        if let Some((_, upload)) = &mut self.tail {
            upload
                .wait_for_capacity(PARTS_IN_FLIGHT_MAX)
                .await
                .map_err(unwritten)?;
            upload.put(bytes);
            return Ok(());
        }
        self.head.extend_from_slice(&bytes);
        if self.head.len() > PART_BYTES {
            let path = self.place.incoming_path();
            let upload = self.objects.put_multipart(&path).await.map_err(unwritten)?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            upload.put(std::mem::take(&mut self.head).freeze());
            self.tail = Some((path, upload));
        }
        Ok(())
    }

    /// Ends the blob. When this returns, the bytes are stored for good.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`]; then nothing is stored.
    pub async fn finish(mut self) -> Result<Blob, BlobError> {
        let hash: [u8; 32] = std::mem::take(&mut self.hasher).finalize().into();
        let key = BlobKey {
            place: self.place,
            hash,
        };
        let blob = Blob {
            key,
            size_bytes: self.size_bytes,
        };
        match self.tail.take() {
            None => {
                let head = std::mem::take(&mut self.head).freeze();
                self.objects
                    .put(&key.path(), head.into())
                    .await
                    .map_err(unwritten)?;
            }
            Some((path, upload)) => {
                upload.finish().await.map_err(unwritten)?;
                if let Err(error) = self.objects.rename(&path, &key.path()).await {
                    remove(self.objects.as_ref(), &path).await;
                    return Err(unwritten(error));
                }
            }
        }
        Ok(blob)
    }
}

async fn remove(objects: &dyn ObjectStore, path: &ObjectPath) {
    if let Err(error) = objects.delete(path).await {
        tracing::warn!(%error, %path, "an unfinished upload could not be removed");
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        let Some((path, upload)) = self.tail.take() else {
            return;
        };
        // Outside a runtime the process is ending; the sweep at the next start removes the rest.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, %path, "an unfinished upload could not be removed");
                }
            });
        }
    }
}

fn unwritten(source: object_store::Error) -> BlobError {
    BlobError::Unavailable {
        what: "write",
        source,
    }
}
