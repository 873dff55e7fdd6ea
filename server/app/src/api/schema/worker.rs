//! The register of workers, as operators see it.

use async_graphql::{Context, Enum, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tamiz_core::WorkerId;
use tamiz_store::page::Page;
use tamiz_store::worker::{self, WorkerRow};
use uuid::Uuid;

use super::connection::{Asked, Listed, PageInfo, decode, encode};
use super::id::Ref;
use super::principal::OperatorSession;
use super::words::BigInt;
use crate::api::errors::ApiError;

const ORDER: &str = "workers";

/// What a worker is doing.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "worker::WorkerState")]
pub(crate) enum WorkerState {
    /// Loads plugins and tries tools.
    Initializing,
    /// Waits for work.
    Idle,
    /// Works.
    Busy,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Lives and cannot work; `lastError` says why.
    Error,
    /// Gone.
    Offline,
}

/// A tool that a worker has.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct WorkerTool {
    /// Its name in the catalogue.
    name: String,
    /// As it told it itself.
    version: Option<String>,
}

/// A worker, by its last start. All times are by the database's clock.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Worker {
    /// Of this start.
    id: Ref<WorkerId>,
    /// The same at every start.
    name: String,
    /// The machine.
    host: String,
    /// The process there.
    process_id: i32,
    /// Of Tamiz.
    version: String,
    /// What it last said it does.
    state: WorkerState,
    /// How many tasks it works on at once.
    slots: i32,
    /// And how many more it has room for.
    free_slots: i32,
    /// Attempts that ended well, by all starts of the name.
    tasks_done: BigInt,
    /// Attempts that ended badly.
    tasks_failed: BigInt,
    /// Starts of the name before this one.
    restarts: i32,
    /// Why it could not work, now or the last time.
    last_error: Option<String>,
    /// When it last could not.
    last_error_at: Option<DateTime<Utc>>,
    /// When it started.
    started_at: DateTime<Utc>,
    /// When it was last heard of.
    heartbeat_at: DateTime<Utc>,
    /// What it serves.
    scan_types: Vec<String>,
    /// Its tools.
    tools: Vec<WorkerTool>,
    /// The versions of the plugins' contract that it runs.
    worlds: Vec<String>,
}

impl From<WorkerRow> for Worker {
    fn from(row: WorkerRow) -> Self {
        let of = |key: &str| row.capabilities[key].as_array().cloned().unwrap_or_default();
        let words = |key: &str| {
            let values = of(key);
            let words = values.iter().filter_map(Value::as_str);
            words.map(str::to_owned).collect()
        };
        let tool = |tool: &Value| {
            Some(WorkerTool {
                name: tool["name"].as_str()?.to_owned(),
                version: tool["version"].as_str().map(str::to_owned),
            })
        };
        Self {
            scan_types: words("scanTypes"),
            tools: of("tools").iter().filter_map(tool).collect(),
            worlds: words("worlds"),
            id: row.id.into(),
            name: row.name,
            host: row.host,
            process_id: row.process_id,
            version: row.version,
            state: row.state.into(),
            slots: row.slots,
            free_slots: row.free_slots,
            tasks_done: BigInt(row.tasks_done),
            tasks_failed: BigInt(row.tasks_failed),
            restarts: row.restarts,
            last_error: row.last_error,
            last_error_at: row.last_error_at,
            started_at: row.started_at,
            heartbeat_at: row.heartbeat_at,
        }
    }
}

/// A row with its place in the list.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct WorkerEdge {
    /// To continue after this row.
    cursor: String,
    /// The row.
    node: Worker,
}

/// A page of workers, by name.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct WorkerConnection {
    /// Rows with their cursors.
    edges: Vec<WorkerEdge>,
    /// Rows.
    nodes: Vec<Worker>,
    /// Whether and where more follows.
    page_info: PageInfo,
    /// Workers of all pages.
    total_count: i64,
}

/// What a cursor holds: the place of a row in the order by name and start.
type Key = (String, i64, Uuid);

fn key(worker: &Worker) -> Key {
    let started_at = worker.started_at.timestamp_micros();
    (worker.name.clone(), started_at, worker.id.0.uuid())
}

impl WorkerConnection {
    pub(super) async fn page(context: &Context<'_>, asked: &Asked) -> Result<Self, ApiError> {
        let session = OperatorSession::of(context)?;
        let rows_max = session.state.settings.graphql_page_max;
        let window = asked.window_of(rows_max, |cursor| decode::<Key>(ORDER, cursor))?;
        let found = session.store().workers().await;
        let rows = found.map_err(|error| ApiError::of_store(&error))?;
        let mut rows: Vec<Worker> = rows.into_iter().map(Worker::from).collect();
        let total_count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        // the register's order is that of names as the database sorts them
        rows.sort_by_key(key);
        rows.retain(|row| {
            let is_after = window.after.as_ref().is_none_or(|after| key(row) > *after);
            is_after && window.before.as_ref().is_none_or(|before| key(row) < *before)
        });
        let page = Page::between(rows, &window);
        let listed = Listed::of(page, |worker| worker, |worker| encode(ORDER, key(worker)));
        Ok(Self {
            edges: listed.edges(|cursor, node| WorkerEdge { cursor, node }),
            page_info: listed.page_info(),
            nodes: listed.nodes,
            total_count,
        })
    }
}
