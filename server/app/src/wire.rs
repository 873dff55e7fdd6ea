//! What a worker without the database and its server say to each other, over HTTP.
//!
//! ```text
//! with the worker's token:     terms register ready heartbeat bell claim renew
//! with a lease's credential:   begin report log plugins target secret-key uploads components artifacts finish
//! ```
//!
//! Bodies are JSON, except those of uploads, components and artifacts, which are the bytes, and of the end of
//! an attempt: a line of JSON ([`HandIn`]) and then the spool of findings as it lies on disk. Types of the
//! store stand in the bodies as they are, so [`PROTOCOL`] goes up whenever one of them changes.
//!
//! Not here: who may say what (api), and what is done about it (flow).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamiz_core::plugin::LimitSet;
use tamiz_core::progress::Phase;
use tamiz_core::quota::ReachedLimit;
use tamiz_core::summary::Summary;
use tamiz_core::{PinnedTarget, TaskStatus};
use tamiz_store::artifact::NewArtifact;
use tamiz_store::attempt::Ending;
use tamiz_store::pcap_session::NewPcapSession;
use tamiz_store::plugin::InstalledPlugin;
use tamiz_store::queue::Claim;
use tamiz_store::task::Task;
use tamiz_store::tool_execution::ToolExecution;

/// Both sides must speak the same.
pub(crate) const PROTOCOL: u32 = 1;
/// In which header each request says so.
pub(crate) const PROTOCOL_HEADER: &str = "tamiz-worker-protocol";
/// Which worker asks, where the credential does not say it.
pub(crate) const WORKER_HEADER: &str = "tamiz-worker";
/// The hash of an upload's or component's bytes, in hex.
pub(crate) const HASH_HEADER: &str = "tamiz-sha256";
/// What begins every path.
pub(crate) const ROOT: &str = "/worker/v1";
/// What a question that waits for something waits at most, in seconds: proxies give up after a minute.
pub(crate) const WAIT_SECONDS_MAX: u64 = 20;

/// The code of an attempt that may not write any more.
pub(crate) const STALE_ATTEMPT: &str = "STALE_ATTEMPT";
/// The code of a protocol that the server does not speak.
pub(crate) const PROTOCOL_MISMATCH: &str = "PROTOCOL_MISMATCH";
/// The code of a worker that the register does not have under this token.
pub(crate) const WORKER_UNKNOWN: &str = "WORKER_UNKNOWN";

/// A tenant's limit that is reached, as the `limit` of a refusal; clients of HTTP read the same.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToldLimit {
    name: String,
    value: u64,
    used: u64,
    room_at: Option<DateTime<Utc>>,
}

impl From<ReachedLimit> for ToldLimit {
    fn from(limit: ReachedLimit) -> Self {
        Self {
            name: limit.name,
            value: limit.value,
            used: limit.used,
            room_at: limit.room_at,
        }
    }
}

impl From<ToldLimit> for ReachedLimit {
    fn from(told: ToldLimit) -> Self {
        Self {
            name: told.name,
            value: told.value,
            used: told.used,
            room_at: told.room_at,
        }
    }
}

/// A worker has started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Register {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) process_id: u32,
    pub(crate) version: String,
    pub(crate) slots: u32,
}

/// How often the worker's name was started before.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Registered {
    pub(crate) restarts: u32,
}

/// What holds for all workers of the server, in milliseconds where it is a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) lease: u64,
    pub(crate) heartbeat: u64,
    pub(crate) poll: u64,
    pub(crate) retry_base: u64,
    pub(crate) retry_max: u64,
    pub(crate) attempts_max: u32,
}

/// It knows what it can do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) capabilities: Value,
}

/// A sign of life.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) state: String,
    pub(crate) free_slots: u32,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) error: Option<String>,
}

/// Whether the register has the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) known: bool,
}

/// What a worker serves, and its room.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Room {
    pub(crate) scan_types: Vec<String>,
    pub(crate) tools: Vec<String>,
    pub(crate) worlds: Vec<String>,
    pub(crate) slots: u32,
}

/// Tickets may be ready, or nothing rang in time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rang {
    pub(crate) rang: bool,
}

/// A claimed ticket and what opens its task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) claim: Claim,
    pub(crate) credential: String,
}

/// What was claimed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claimed {
    pub(crate) leases: Vec<Given>,
}

/// Leases to renew; with `wait` the answer comes when one of them is to be cancelled or is lost, or after a
/// while.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Renew {
    pub(crate) held: Vec<Claim>,
    pub(crate) wait: bool,
}

/// A lease that stands.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stands {
    pub(crate) claim: Claim,
    pub(crate) cancel_requested: bool,
    pub(crate) credential: String,
}

/// Those that stand.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Renewed {
    pub(crate) held: Vec<Stands>,
}

/// What a claimed task turned out to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Begun {
    Run(Box<Task>),
    Cancelled,
    Dead,
    Stale,
}

/// What the attempt does.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) phase: Phase,
    pub(crate) message: String,
    pub(crate) done: Option<i64>,
    pub(crate) total: Option<i64>,
}

/// Lines of the task's log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) lines: Vec<LogLine>,
}

/// One of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogLine {
    pub(crate) level: String,
    pub(crate) message: String,
    /// Of the line, in milliseconds: the worker's clock is not asked.
    pub(crate) age: u64,
}

/// Whether the log has room for more.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Logged {
    pub(crate) is_full: bool,
}

/// Whether the attempt may still write.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ours {
    pub(crate) ours: bool,
}

/// What may serve the task.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plugins {
    pub(crate) plan: LimitSet,
    pub(crate) plugins: Vec<InstalledPlugin>,
}

/// Where the task goes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Whither {
    pub(crate) target: Option<(PinnedTarget, String)>,
}

/// The key that found secrets are hashed with, in hex.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SecretKey {
    pub(crate) key: String,
}

/// The end of an attempt; the spool follows when there are results.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HandIn {
    pub(crate) executions: Vec<ToolExecution>,
    pub(crate) artifacts: Vec<NewArtifact>,
    pub(crate) results: Option<Results>,
    pub(crate) ending: Ending,
}

/// The totals, and what comes after them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) summary: Summary,
    pub(crate) report_path: Option<String>,
    pub(crate) session: Option<NewPcapSession>,
    pub(crate) spool_bytes: u64,
    /// In hex.
    pub(crate) spool_sha256: String,
}

/// How the attempt ended; nothing when it no longer may write.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) status: Option<TaskStatus>,
}
