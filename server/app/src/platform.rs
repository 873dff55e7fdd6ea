//! What a process of the platform has at hand, made once by `main` and shared by reference count.

use std::sync::Arc;

use tamiz_host::Registry;
use tamiz_store::Store;

use crate::blob::BlobStore;
use crate::config::Config;

/// The seams, opened.
#[derive(Clone)]
pub struct Platform {
    /// Postgres.
    pub store: Store,
    /// Large bytes.
    pub blobs: BlobStore,
    /// Plugins by scan type.
    pub plugins: Arc<Registry>,
    /// What was configured.
    pub config: Arc<Config>,
}
