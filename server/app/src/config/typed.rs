//! The typed configuration. The rules that its values obey are in [`super::reader`].

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use tamiz_core::ScanType;
use url::Url;

use super::target::TargetSettings;
use super::timeouts::TaskTimeouts;
use super::value::{DatabaseUrl, Network, Origin, RedisUrl};

/// Everything that can be configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// where the API listens
    pub listen: SocketAddr,
    /// the Postgres to use; none means the embedded one
    pub database_url: Option<DatabaseUrl>,
    /// the Redis that counts tenants' requests; none means Postgres does
    pub redis_url: Option<RedisUrl>,
    /// where everything local lies; absolute
    pub data_dir: PathBuf,
    /// where blobs lie: `file:`, `memory:`, `s3:`, `gs:`, `az:`
    pub blob_url: Url,
    /// where scans unpack and run; absolute
    pub scratch_dir: PathBuf,
    /// whether `serve` and `worker` bring the database to the newest schema first
    pub migrate_on_start: bool,
    /// how long running work may take to end after SIGTERM
    pub shutdown_grace: Duration,
    /// leases, polling and retries
    pub queue: QueueSettings,
    /// days for which the lines that workers say of tasks are kept
    pub log_retention_days: u32,
    /// the worker and its tools
    pub worker: WorkerSettings,
    /// what scans may reach
    pub target: TargetSettings,
    /// what webhooks may reach
    pub webhook: TargetSettings,
    /// plugins and their limits
    pub plugin: PluginSettings,
    /// what one uploaded archive may unpack to
    pub archive: ArchiveSettings,
    /// the API's limits
    pub api: ApiSettings,
    /// tenants that `/metrics` of a server names; the page needs no token, so none by default
    pub metrics_tenants_max: usize,
    /// what is logged and how
    pub log: LogSettings,
}

/// How tickets are leased and tried again.
#[derive(Debug, Clone)]
pub struct QueueSettings {
    /// how long a claimed ticket stays its worker's without a heartbeat
    pub lease: Duration,
    /// how often a worker renews its leases; at most half the lease
    pub heartbeat: Duration,
    /// how often the queue is looked at when nobody calls
    pub poll: Duration,
    /// attempts before a task is a dead letter
    pub attempts_max: u32,
    /// the wait before the second attempt; doubles from there
    pub retry_base: Duration,
    /// the longest wait between two attempts
    pub retry_max: Duration,
    /// how long one attempt may take
    pub task_timeouts: TaskTimeouts,
}

/// A worker that was silent for this part of a lease is gone. The rest is left for finding it out, so that what
/// it held is back in the queue within one lease.
const SILENT_LEASE: f64 = 5.0 / 6.0;
/// Looks for silent workers per lease: with the pause between two spread up to a half more, one comes in time.
const LOOKS_PER_LEASE: u32 = 12;

impl QueueSettings {
    /// A worker that was not heard of for this long is gone.
    pub fn silence_max(&self) -> Duration {
        self.lease.mul_f64(SILENT_LEASE)
    }

    /// How often silent workers and leases that ran out are looked for.
    pub fn look_pause(&self) -> Duration {
        self.poll.min(self.lease / LOOKS_PER_LEASE)
    }
}

/// The worker.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// whether `serve` runs a worker too
    pub in_process: bool,
    /// what the worker is called; by itself the host and a few digits
    pub name: Option<String>,
    /// the only scan types that it serves; none is all
    pub scan_types: Vec<ScanType>,
    /// tasks worked on at once
    pub slots: usize,
    /// folders searched for tools before `PATH`
    pub tool_path: Vec<PathBuf>,
    /// a tool catalogue instead of the built-in one
    pub tools_file: Option<PathBuf>,
    /// semgrep rules instead of the bundled ones
    pub rules_path: Option<PathBuf>,
    /// where `tamiz worker` answers `/healthz` and `/metrics`; nowhere if not said
    pub metrics_listen: Option<SocketAddr>,
}

/// Plugins.
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// where first-party components lie
    pub dir: PathBuf,
    /// where compiled components are kept; only the server writes there
    pub cache_dir: PathBuf,
    /// the most memory one call of a plugin may hold
    pub memory_bytes_max: u64,
    /// the longest one call of a plugin may take
    pub deadline: Duration,
}

/// What one uploaded archive may unpack to; its other limits are of the format and do not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// files and folders listed in it
    pub entries_max: u64,
    /// one file
    pub file_bytes_max: u64,
    /// all files together
    pub bytes_max: u64,
}

/// The API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// where browsers find the server; pages from there may open websockets
    pub public_url: Url,
    /// entries of an archive, for clients that pack one
    pub archive_entries_max: u64,
    /// the largest upload
    pub upload_bytes_max: u64,
    /// requests per client
    pub rate: RateLimit,
    /// proxies whose `X-Forwarded-For` is believed; none by default
    pub trusted_proxies: Vec<Network>,
    /// other sites whose pages may call the API; none by default
    pub cors_origins: Vec<Origin>,
    /// nesting of a GraphQL document
    pub graphql_depth_max: usize,
    /// weighted fields of a GraphQL document
    pub graphql_complexity_max: usize,
    /// rows of one page
    pub graphql_page_max: usize,
    /// what else a GraphQL request may do
    pub graphql: GraphqlSettings,
    /// how many may be there at once
    pub places: Places,
}

/// What a GraphQL request may do, beside its size.
#[derive(Debug, Clone)]
pub struct GraphqlSettings {
    /// what the queries of one tenant may cost in a minute, in values of full answers; none is no limit
    pub cost_per_minute: Option<NonZeroU32>,
    /// how long a query or mutation may take
    pub timeout: Duration,
    /// whether the schema may be asked for what it is
    pub introspection: bool,
    /// operations of one HTTP request; 0 refuses lists of them
    pub batch_max: usize,
    /// the manifest of the documents that clients may name by their hashes
    pub trusted_documents: Option<PathBuf>,
    /// whether every other document is refused
    pub trusted_documents_only: bool,
}

impl Default for GraphqlSettings {
    fn default() -> Self {
        Self {
            cost_per_minute: NonZeroU32::new(2_000_000),
            timeout: Duration::from_secs(30),
            introspection: true,
            batch_max: 0,
            trusted_documents: None,
            trusted_documents_only: false,
        }
    }
}

/// Connections and streams at once.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// connections of the server
    pub connections: usize,
    /// connections of one address, or of one IPv6 network
    pub connections_of_one_address: usize,
    /// event streams and websockets of the server
    pub streams: usize,
    /// event streams and websockets of one tenant
    pub streams_of_one_tenant: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_of_one_address: 2_500,
            streams: 4_096,
            streams_of_one_tenant: 256,
        }
    }
}

/// Requests per client.
#[derive(Debug, Clone, Copy)]
pub struct RateLimit {
    /// in the long run
    pub requests_per_second: NonZeroU32,
    /// at once
    pub burst: NonZeroU32,
}

/// Logging.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// text for people, JSON for machines
    pub format: LogFormat,
    /// directives as of `tracing-subscriber`, such as `info,tamiz::worker=debug`
    pub filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// for people
    Text,
    /// one JSON object per line
    Json,
}
