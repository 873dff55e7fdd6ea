//! What a process of the platform has at hand, made once by `main` and shared by reference count.

use std::sync::Arc;

use tamiz_store::Store;

use crate::blob::BlobStore;
use crate::config::Config;
use crate::plugins::Plugins;

/// The seams, opened.
#[derive(Clone)]
pub struct Platform {
    /// Postgres.
    pub store: Store,
    /// Large bytes.
    pub blobs: BlobStore,
    /// Components by digest.
    pub plugins: Plugins,
    /// What was configured.
    pub config: Arc<Config>,
}
