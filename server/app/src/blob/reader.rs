//! Reading one blob: a stream that checks what it delivers.

use std::io::SeekFrom;
use std::ops::Range;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::{BlobError, BlobKey, PIECE_BYTES};

/// The bytes of a blob. The last piece is held back until length and hash are right, so whoever got
/// all bytes got the right ones.
pub struct BlobReader {
    key: BlobKey,
    pieces: BoxStream<'static, Result<Bytes, object_store::Error>>,
    remaining_bytes: u64,
    /// none for a part of a blob, and after the end
    hasher: Option<Sha256>,
    ended: bool,
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (key, remaining) = (self.key.to_string(), self.remaining_bytes);
        formatter
            .debug_struct("BlobReader")
            .field("key", &key)
            .field("remaining_bytes", &remaining)
            .finish_non_exhaustive()
    }
}

impl BlobReader {
    pub(super) async fn open(
        objects: &dyn ObjectStore,
        key: &BlobKey,
        size_bytes: u64,
        range: Option<Range<u64>>,
    ) -> Result<BlobReader, BlobError> {
        let damaged = |what: String| BlobError::Damaged {
            key: key.to_string(),
            what,
        };
        let hasher = range.is_none().then(Sha256::new);
        let wanted = range.unwrap_or(0..size_bytes);
        if wanted.start > wanted.end || wanted.end > size_bytes {
            return Err(damaged(format!("bytes {wanted:?} were asked of {size_bytes}")));
        }
        // Not every store takes an empty range; the length is checked all the same.
        let empty = wanted.is_empty();
        let asked = (!empty && wanted != (0..size_bytes)).then(|| GetRange::Bounded(wanted.clone()));
        let options = GetOptions {
            range: asked,
            head: empty,
            ..GetOptions::default()
        };
        let found = objects
            .get_opts(&key.path(), options)
            .await
            .map_err(|error| match error {
                object_store::Error::NotFound { .. } => BlobError::NotFound { key: key.to_string() },
                source => BlobError::Unavailable { what: "read", source },
            })?;
        if found.meta.size != size_bytes {
            return Err(damaged(format!(
                "it has {} bytes instead of {size_bytes}",
                found.meta.size
            )));
        }
        let pieces = if empty {
            futures_util::stream::empty().boxed()
        } else {
            pieces(found, &wanted).await?
        };
        let remaining_bytes = wanted.end - wanted.start;
        Ok(BlobReader {
            key: *key,
            pieces,
            remaining_bytes,
            hasher,
            ended: empty,
        })
    }

    /// Writes all bytes to a new file. Not synced: a copy that is lost is made again.
    pub(super) async fn copy_to(mut self, path: &Path) -> Result<(), BlobError> {
        let failed = |source| BlobError::File {
            what: "write",
            path: path.to_owned(),
            source,
        };
        let mut file = tokio::fs::File::create_new(path).await.map_err(failed)?;
        while let Some(piece) = self.next().await {
            file.write_all(&piece?).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)
    }

    /// Takes one piece into account; the last one only when everything was right.
    fn accept(&mut self, piece: Bytes) -> Result<Bytes, BlobError> {
        let damaged = |what: &str| BlobError::Damaged {
            key: self.key.to_string(),
            what: what.to_owned(),
        };
        let Some(remaining) = self.remaining_bytes.checked_sub(piece.len() as u64) else {
            return Err(damaged("more bytes came than were stored"));
        };
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        if remaining == 0
            && let Some(hasher) = self.hasher.take()
            && hasher.finalize().as_slice() != self.key.hash.as_slice()
        {
            return Err(damaged("its hash is another one"));
        }
        self.remaining_bytes = remaining;
        Ok(piece)
    }
}

impl Stream for BlobReader {
    type Item = Result<Bytes, BlobError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.pieces.poll_next_unpin(context));
        let item = match next {
            Some(Ok(piece)) => Some(self.accept(piece)),
            Some(Err(source)) => Some(Err(BlobError::Unavailable { what: "read", source })),
            None if self.remaining_bytes == 0 => None,
            None => {
                let what = format!("it ends {} bytes too early", self.remaining_bytes);
                Some(Err(BlobError::Damaged {
                    key: self.key.to_string(),
                    what,
                }))
            }
        };
        self.ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

/// The crate's own stream of a local file reads 8 KiB at a time, each on another thread.
async fn pieces(
    found: object_store::GetResult,
    wanted: &Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes, object_store::Error>>, BlobError> {
    let local = |error: std::io::Error| object_store::Error::Generic {
        store: "disk",
        source: error.into(),
    };
    match found.payload {
        GetResultPayload::File(file, _) => {
            let mut file = tokio::fs::File::from_std(file);
            let sought = file.seek(SeekFrom::Start(wanted.start)).await;
            sought.map_err(|error| BlobError::Unavailable {
                what: "read",
                source: local(error),
            })?;
            let part = file.take(wanted.end - wanted.start);
            Ok(ReaderStream::with_capacity(part, PIECE_BYTES)
                .map_err(local)
                .boxed())
        }
        GetResultPayload::Stream(stream) => Ok(stream),
    }
}
