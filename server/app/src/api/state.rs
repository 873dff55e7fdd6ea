//! What the front door needs of the rest of the server.

use tamiz_core::plugin::LimitSet;
use tamiz_store::Store;

use super::transport::Documents;
use super::workers::RemoteWorkers;
use crate::blob::BlobStore;
use crate::config::{ApiSettings, TargetSettings};
use crate::limiter::Limiter;
use crate::metrics_page::MetricsPage;
use crate::plugins::Plugins;

/// Shared by all requests.
pub struct ApiState {
    /// Rows.
    pub store: Store,
    /// Bytes.
    pub blobs: BlobStore,
    /// To check a scan's options before it is queued.
    pub plugins: Plugins,
    /// What any plugin may use up at most.
    pub plugin_limits: LimitSet,
    /// What scans may reach.
    pub targets: TargetSettings,
    /// What webhooks may reach.
    pub webhooks: TargetSettings,
    /// Counts the requests of tenants over all servers.
    pub limiter: Limiter,
    /// What workers without the database are told.
    pub remote_workers: RemoteWorkers,
    /// GraphQL documents that are known by their hashes.
    pub documents: Documents,
    /// Limits.
    pub settings: ApiSettings,
    /// What `/metrics` shows; `None` where no recorder was installed.
    pub metrics: Option<MetricsPage>,
}
