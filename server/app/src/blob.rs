//! Large bytes: uploads, reports, artifacts, on disk or in S3, Google Cloud Storage or Azure.
//!
//! A blob is written through a [`BlobWriter`], which hashes on the way and names it by its SHA-256, so
//! equal bytes of one tenant lie once and a name never changes its content. Once
//! [`BlobWriter::finish`] returned, the bytes survive a power cut: on disk the file and its folders are
//! synced. A [`BlobReader`] checks length and hash and never delivers the last piece of a blob
//! that is not what was stored.
//!
//! Keys of a tenant's blobs are made from a [`TenantScope`] only, `t/<tenant>/<kind>/<sha256>`; there is no
//! way to name one by hand, and a stored path of another tenant is no key. Components of plugins are the
//! platform's, `p/plugin/<sha256>`: which tenant may run one is said by its rows.
//!
//! Not here: which rows refer to a blob (see the store), and who may read one (see the API).

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::BlobReader;
pub use writer::BlobWriter;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};
use tamiz_core::TenantId;
use tamiz_core::plugin::ComponentDigest;
use tamiz_store::TenantScope;
use tamiz_store::upload::StoredBlob;
use tokio::io::AsyncReadExt;
use url::Url;

/// Written once per start: it proves that the store can be written, and is looked at by health checks.
const MARKER: &str = "tamiz-blob-store";
/// An upload that was cut off by a crash is nobody's after a day.
const INCOMING_SECONDS_MAX: u64 = 86_400;
/// What is nobody's in particular lies here.
const PLATFORM_PREFIX: &str = "p";
/// A piece of a local file; small enough to wait for, large enough for the disk.
const PIECE_BYTES: usize = 256 * 1024;

/// What went wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// More bytes than allowed.
    #[error("more than {bytes_max} bytes")]
    TooLarge {
        /// the limit
        bytes_max: u64,
    },
    /// No such blob.
    #[error("there is no blob {key}")]
    NotFound {
        /// its key
        key: String,
    },
    /// The bytes are not those that were stored.
    #[error("the blob {key} is damaged: {what}")]
    Damaged {
        /// its key
        key: String,
        /// how it differs
        what: String,
    },
    /// The address of the store is no good.
    #[error("the blob store address {url} cannot be used: {reason}")]
    Address {
        /// the address, password masked
        url: String,
        /// why
        reason: String,
    },
    /// A local file could not be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// what was being done
        what: &'static str,
        /// to what
        path: PathBuf,
        /// why not
        source: std::io::Error,
    },
    /// The store does not answer as it should.
    #[error("the blob store failed to {what}")]
    Unavailable {
        /// what was being done
        what: &'static str,
        /// why not
        source: object_store::Error,
    },
}

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlobKind {
    /// bytes a client sent: a zip, a report
    Upload,
    /// bytes worth keeping: a tool's report, its output, evidence
    Artifact,
}

impl BlobKind {
    const ALL: [BlobKind; 2] = [BlobKind::Upload, BlobKind::Artifact];

    const fn segment(self) -> &'static str {
        match self {
            BlobKind::Upload => "upload",
            BlobKind::Artifact => "artifact",
        }
    }
}

/// The name of a blob: whose, what, and the hash of its bytes. Shown as it is stored in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobKey {
    place: Place,
    hash: [u8; 32],
}

/// Where a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Tenant(TenantId, BlobKind),
    Plugins,
}

impl Place {
    /// Where unfinished uploads lie; beside the finished ones, so that deleting a tenant's prefix deletes
    /// them, too.
    fn incoming_path(self) -> ObjectPath {
        let prefix = match self {
            Place::Tenant(tenant, _) => tenant_prefix(tenant),
            Place::Plugins => PLATFORM_PREFIX.to_owned(),
        };
        ObjectPath::from(format!("{prefix}/incoming/{}", uuid::Uuid::now_v7()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tenant(tenant, kind) => write!(formatter, "{}/{}", tenant_prefix(*tenant), kind.segment()),
            Place::Plugins => write!(formatter, "{PLATFORM_PREFIX}/plugin"),
        }
    }
}

impl BlobKey {
    /// The key of a tenant's blob.
    pub fn new(scope: &TenantScope, kind: BlobKind, hash: [u8; 32]) -> BlobKey {
        BlobKey {
            place: Place::Tenant(scope.tenant_id(), kind),
            hash,
        }
    }

    /// The key of a plugin's component.
    pub fn of_plugin(digest: ComponentDigest) -> BlobKey {
        BlobKey {
            place: Place::Plugins,
            hash: digest.bytes(),
        }
    }

    /// The key a row's storage path names; none when it is malformed or another tenant's.
    pub fn from_storage_path(scope: &TenantScope, path: &str) -> Option<BlobKey> {
        BlobKey::parse(scope.tenant_id(), path)
    }

    fn parse(tenant: TenantId, path: &str) -> Option<BlobKey> {
        let rest = path.strip_prefix(&format!("{}/", tenant_prefix(tenant)))?;
        let (kind, hash) = rest.split_once('/')?;
        let kind = BlobKind::ALL.into_iter().find(|known| known.segment() == kind)?;
        let bytes: [u8; 32] = hex::decode(hash).ok()?.try_into().ok()?;
        // Upper-case hexadecimal would be a second name of the same blob.
        (hex::encode(bytes) == hash).then_some(BlobKey {
            place: Place::Tenant(tenant, kind),
            hash: bytes,
        })
    }

    /// The SHA-256 of the bytes.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    fn path(&self) -> ObjectPath {
        ObjectPath::from(self.to_string())
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.place, hex::encode(self.hash))
    }
}

fn tenant_prefix(tenant: TenantId) -> String {
    format!("t/{}", tenant.uuid())
}

/// A blob that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// its name
    pub key: BlobKey,
    /// its length
    pub size_bytes: u64,
}

impl Blob {
    /// As a row names it.
    pub fn stored(&self) -> StoredBlob {
        StoredBlob {
            storage_path: self.key.to_string(),
            hash: self.key.hash(),
            size_bytes: self.size_bytes,
        }
    }
}

/// The place where blobs lie. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BlobStore {
    objects: Arc<dyn ObjectStore>,
}

impl BlobStore {
    /// Opens the store behind an address and proves that it can be written.
    ///
    /// `file:///folder/` (made when missing), `memory:///`, `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix`; credentials and endpoints come from the usual `AWS_*`, `GOOGLE_*` and
    /// `AZURE_*` variables.
    ///
    /// # Errors
    /// [`BlobError::Address`] for an address that cannot be used, [`BlobError::Unavailable`] when the
    /// store does not take a write.
    pub async fn open(url: &Url) -> Result<BlobStore, BlobError> {
        let objects: Arc<dyn ObjectStore> = match url.scheme() {
            "file" => Arc::new(open_folder(url)?),
            "memory" => Arc::new(InMemory::new()),
            _ => open_cloud(url, std::env::vars_os())?,
        };
        let marker = ObjectPath::from(MARKER);
        let written = objects
            .put(&marker, Bytes::from_static(b"blobs of Tamiz\n").into())
            .await;
        written.map_err(|source| BlobError::Unavailable {
            what: "write",
            source,
        })?;
        Ok(BlobStore { objects })
    }

    /// A writer of a new blob of at most `bytes_max` bytes.
    pub fn writer(&self, scope: &TenantScope, kind: BlobKind, bytes_max: u64) -> BlobWriter {
        let place = Place::Tenant(scope.tenant_id(), kind);
        BlobWriter::new(self.objects.clone(), place, bytes_max)
    }

    /// Stores a plugin's component, whose size was checked; again is no mistake.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`]; then nothing is stored.
    pub async fn put_plugin(&self, component: Bytes) -> Result<Blob, BlobError> {
        let mut writer = BlobWriter::new(self.objects.clone(), Place::Plugins, component.len() as u64);
        writer.write(component).await?;
        writer.finish().await
    }

    /// Whether a blob of that length lies under the key; its bytes are not looked at.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`] when the store does not answer.
    pub async fn has(&self, key: &BlobKey, size_bytes: u64) -> Result<bool, BlobError> {
        match self.objects.head(&key.path()).await {
            Ok(found) => Ok(found.size == size_bytes),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(BlobError::Unavailable {
                what: "answer",
                source,
            }),
        }
    }

    /// Stores a local file of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// [`BlobError::File`] when it cannot be read, else as [`BlobWriter::write`].
    pub async fn put_file(
        &self,
        scope: &TenantScope,
        kind: BlobKind,
        path: &Path,
        bytes_max: u64,
    ) -> Result<Blob, BlobError> {
        write_file(self.writer(scope, kind, bytes_max), path).await
    }

    /// Reads a whole blob, checked against its hash and the length its row tells.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Damaged`], [`BlobError::Unavailable`].
    pub async fn read(&self, key: &BlobKey, size_bytes: u64) -> Result<BlobReader, BlobError> {
        BlobReader::open(self.objects.as_ref(), key, size_bytes, None).await
    }

    /// Reads a part of a blob; its length is checked, its hash cannot be.
    ///
    /// # Errors
    /// As [`BlobStore::read`]; a range that reaches beyond the end is [`BlobError::Damaged`].
    pub async fn read_range(
        &self,
        key: &BlobKey,
        size_bytes: u64,
        range: Range<u64>,
    ) -> Result<BlobReader, BlobError> {
        BlobReader::open(self.objects.as_ref(), key, size_bytes, Some(range)).await
    }

    /// Copies a blob into a new local file, checked as [`BlobStore::read`] does. The file is removed
    /// again when anything is wrong.
    ///
    /// # Errors
    /// As [`BlobStore::read`]; [`BlobError::File`] when the file cannot be written.
    pub async fn fetch(&self, key: &BlobKey, size_bytes: u64, path: &Path) -> Result<(), BlobError> {
        let reader = self.read(key, size_bytes).await?;
        let copied = reader.copy_to(path).await;
        if copied.is_err()
            && let Err(error) = tokio::fs::remove_file(path).await
        {
            tracing::warn!(%error, file = %path.display(), "an unfinished copy could not be removed");
        }
        copied
    }

    /// Deletes a blob; one that is not there is no mistake.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`] when the store does not do it.
    pub async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        match self.objects.delete(&key.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(BlobError::Unavailable {
                what: "delete",
                source,
            }),
        }
    }

    /// Whether the store answers; costs one small request.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`] when it does not.
    pub async fn check(&self) -> Result<(), BlobError> {
        let answer = self
            .objects
            .get_opts(&ObjectPath::from(MARKER), GetOptions::new().with_head(true))
            .await;
        answer.map(|_| ()).map_err(|source| BlobError::Unavailable {
            what: "answer",
            source,
        })
    }
}

async fn write_file(mut writer: BlobWriter, path: &Path) -> Result<Blob, BlobError> {
    let failed = |source| BlobError::File {
        what: "read",
        path: path.to_owned(),
        source,
    };
    let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = file.read(&mut piece).await.map_err(failed)?;
        if count == 0 {
            return writer.finish().await;
        }
        writer.write(Bytes::copy_from_slice(&piece[..count])).await?;
    }
}

fn open_folder(url: &Url) -> Result<LocalFileSystem, BlobError> {
    let bad = |reason: String| BlobError::Address {
        url: url.to_string(),
        reason,
    };
    let folder = url
        .to_file_path()
        .map_err(|()| bad("it names no local folder".to_owned()))?;
    std::fs::create_dir_all(&folder).map_err(|error| bad(error.to_string()))?;
    sweep(&folder);
    let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| bad(error.to_string()))?;
    // Without this an acknowledged blob would be in the page cache only.
    Ok(store.with_fsync(true))
}

/// Removes what uploads left behind that were cut off by a crash. In the cloud a lifecycle rule on
/// unfinished uploads does this (docs/operating.md).
fn sweep(folder: &Path) {
    let oldest = SystemTime::now() - Duration::from_secs(INCOMING_SECONDS_MAX);
    let tenants = std::fs::read_dir(folder.join("t"))
        .into_iter()
        .flatten()
        .flatten();
    let places = tenants
        .map(|tenant| tenant.path())
        .chain([folder.join(PLATFORM_PREFIX)]);
    let incoming = places.filter_map(|place| std::fs::read_dir(place.join("incoming")).ok());
    for entry in incoming.flatten().flatten() {
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|time| time < oldest);
        if old && let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(%error, file = %entry.path().display(), "an unfinished upload could not be removed");
        }
    }
}

fn open_cloud(
    url: &Url,
    environment: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> Result<Arc<dyn ObjectStore>, BlobError> {
    let options = environment.filter_map(|(name, value)| {
        let name = name.to_str()?.to_ascii_lowercase();
        let ours = ["aws_", "google_", "azure_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        ours.then_some((name, value.into_string().ok()?))
    });
    match object_store::parse_url_opts(url, options) {
        Ok((store, prefix)) => Ok(Arc::new(PrefixStore::new(store, prefix))),
        Err(error) => {
            let mut shown = url.clone();
            // A URL that cannot have a password has none to hide.
            let _ = shown.set_password(None);
            Err(BlobError::Address {
                url: shown.to_string(),
                reason: error.to_string(),
            })
        }
    }
}
