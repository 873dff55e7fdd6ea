//! Tasks: asked for, read, cancelled, sent back. What a worker does to them is in [`crate::attempt`].

mod of_group;
mod order;
mod row;
mod wishes;

pub use of_group::pages_of_groups;
pub use order::{Made, NewTask, Terms, create, enqueue, place, waiting_twin};
pub(crate) use row::{TaskRow, fault};
pub use wishes::{Cancellation, Redrive, cancel, retry, retry_all};

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tamiz_core::progress::Phase;
use tamiz_core::scope::ScopeLabels;
use tamiz_core::{
    GroupId, PluginFault, PluginRef, ProjectId, ScanType, ScheduleId, Target, TaskId, TaskStatus, UploadId,
};
use uuid::Uuid;

use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::row_count::{PROBED, RowCount};
use crate::tenant_tx::TenantTx;
use crate::unparsed::Unparsed;
use crate::weight;

/// What a task works on; stored in `task.payload`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Payload {
    /// An upload, or a target.
    pub source: Source,
    /// Rules to scan with instead of the bundled ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_upload_id: Option<UploadId>,
    /// For the plugin; fits its schema.
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The tools that the plugin planned with when the task was ordered; none for a report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// The plugins that may serve it, in the order in which they are asked, as they were when the task was
    /// ordered; none in tasks from before the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginRef>,
    /// What the scan looks at, in the words of whoever asked for it.
    #[serde(default, skip_serializing_if = "ScopeLabels::is_empty")]
    pub labels: ScopeLabels,
    /// The version of the code that it is about, in the words of whoever asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Payload {
    /// An uploaded report, without wishes.
    pub fn of_report(upload_id: UploadId) -> Self {
        Self {
            source: Source::Report { upload_id },
            rules_upload_id: None,
            options: serde_json::Map::new(),
            tools: Vec::new(),
            plugins: Vec::new(),
            labels: ScopeLabels::default(),
            commit: None,
        }
    }

    /// The versions of the contract that its plugins were made for, sorted.
    pub fn worlds(&self) -> Vec<String> {
        let worlds: BTreeSet<&String> = self.plugins.iter().map(|plugin| &plugin.world).collect();
        worlds.into_iter().cloned().collect()
    }

    /// Whether both are the same order; another plugin may serve the same one, with other tools.
    pub fn is_order_of(&self, other: &Self) -> bool {
        self.source == other.source
            && self.rules_upload_id == other.rules_upload_id
            && self.options == other.options
            && self.labels == other.labels
            && self.commit == other.commit
    }
}

/// What a task works on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// An archive to unpack and scan with a tool.
    Tree {
        /// The archive.
        upload_id: UploadId,
    },
    /// A capture of network traffic, to be read as it is and by tools.
    Capture {
        /// The capture.
        upload_id: UploadId,
    },
    /// A finished report, to be converted only.
    Report {
        /// The report.
        upload_id: UploadId,
    },
    /// Something in the network, to be scanned with tools. Its addresses are in [`crate::target`].
    Target {
        /// Where to.
        target: Target,
    },
}

impl Source {
    /// The upload behind it, if it is one.
    pub const fn upload_id(&self) -> Option<UploadId> {
        match self {
            Self::Tree { upload_id } | Self::Capture { upload_id } | Self::Report { upload_id } => {
                Some(*upload_id)
            }
            Self::Target { .. } => None,
        }
    }
}

/// One scan asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Where it belongs.
    pub project_id: ProjectId,
    /// Which plugin serves it.
    pub scan_type: ScanType,
    /// Where it is in its life.
    pub status: TaskStatus,
    /// What it is doing.
    pub phase: Phase,
    /// What it works on.
    pub payload: Payload,
    /// Failed attempts since it was last queued by a person.
    pub retries: i32,
    /// The attempt that may write.
    pub attempt: i32,
    /// Higher goes first.
    pub priority: i16,
    /// Number of its last event.
    pub event_seq: i32,
    /// Why it ended badly: a stable code.
    pub error_code: Option<String>,
    /// And a sentence.
    pub error_message: Option<String>,
    /// What its plugin did, if that is why.
    pub plugin_fault: Option<PluginFault>,
    /// Somebody asked to stop it.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When its first attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Not before; of a task that is tried again, of its next try.
    pub run_at: Option<DateTime<Utc>>,
    /// How long one attempt may take; the worker's own limit if not said.
    pub timeout: Option<Duration>,
    /// The tasks that it finishes with.
    pub group: Option<GroupId>,
    /// What asked for it, if no person did.
    pub schedule: Option<ScheduleId>,
}

/// One task.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn get(tx: &mut TenantTx, id: TaskId) -> Result<Option<Task>, StoreError> {
    Ok(by_ids(tx, &[id]).await?.pop())
}

/// The tasks with these ids, in no order; unknown ids are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[TaskId]) -> Result<Vec<Task>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        TaskRow,
        r#"
        select id, project_id, type, status, phase, payload as "payload!: Unparsed<Payload>", retries, attempt,
               priority, event_seq,
               error_code, error_message, plugin_fault, cancel_requested_at, created_at, started_at,
               finished_at, run_at, timeout_seconds, group_id, schedule_id
        from tenant.task where tenant_id = $1 and id = any($2)
        "#,
        tx.tenant(),
        &ids
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_task).await?;
    rows.into_iter().map(Task::try_from).collect()
}

/// Which tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TaskFilter {
    /// Of this project.
    pub project: Option<ProjectId>,
    /// In this state.
    pub status: Option<TaskStatus>,
    /// Of this type.
    pub scan_type: Option<ScanType>,
}

/// One page of tasks, newest first.
///
/// Served by the primary key, or with a project by `task_project_idx (tenant_id, project_id, id)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(
    tx: &mut TenantTx,
    filter: &TaskFilter,
    window: Window<TaskId>,
) -> Result<Page<Task>, StoreError> {
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        TaskRow,
        r#"
        select t.id as "id!", t.project_id as "project_id!", t.type as "type!", t.status as "status!",
               t.phase as "phase!", t.payload as "payload!: Unparsed<Payload>", t.retries as "retries!", t.attempt as "attempt!",
               t.priority as "priority!", t.event_seq as "event_seq!", t.error_code, t.error_message,
               t.plugin_fault, t.cancel_requested_at, t.created_at as "created_at!", t.started_at,
               t.finished_at, t.run_at, t.timeout_seconds, t.group_id, t.schedule_id
        from (
            (select * from tenant.task
             where tenant_id = $1 and ($2::uuid is null or project_id = $2)
               and ($3::text is null or status = $3) and ($4::text is null or type = $4)
               and ($5::uuid is null or id < $5) and ($6::uuid is null or id > $6) and not $8
             order by id desc limit $7)
            union all
            (select * from tenant.task
             where tenant_id = $1 and ($2::uuid is null or project_id = $2)
               and ($3::text is null or status = $3) and ($4::text is null or type = $4)
               and ($5::uuid is null or id < $5) and ($6::uuid is null or id > $6) and $8
             order by id limit $7)) t
        order by t.id desc
        "#,
        tx.tenant(),
        filter.project.map(ProjectId::uuid),
        filter.status.map(TaskStatus::as_str),
        filter.scan_type.as_ref().map(ScanType::as_str),
        window.after.map(TaskId::uuid),
        window.before.map(TaskId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_task).await?;
    let tasks = rows
        .into_iter()
        .map(Task::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Page::between(tasks, &window))
}

/// How many tasks there are under the same filter as [`page`], however long that takes.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn count(tx: &mut TenantTx, filter: &TaskFilter) -> Result<i64, StoreError> {
    count_to(tx, filter, None).await
}

/// The same, as far as a list says it.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counted(tx: &mut TenantTx, filter: &TaskFilter) -> Result<RowCount, StoreError> {
    Ok(RowCount::probed(count_to(tx, filter, Some(PROBED)).await?))
}

async fn count_to(tx: &mut TenantTx, filter: &TaskFilter, most: Option<i64>) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from (
            select from tenant.task
            where tenant_id = $1 and ($2::uuid is null or project_id = $2)
              and ($3::text is null or status = $3) and ($4::text is null or type = $4)
            limit $5
        ) t
        "#,
        tx.tenant(),
        filter.project.map(ProjectId::uuid),
        filter.status.map(TaskStatus::as_str),
        filter.scan_type.as_ref().map(ScanType::as_str),
        most
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count)
}

/// The same page of tasks of each project, newest first; a project without tasks is left out.
///
/// One statement however many projects; each page is served by `task_project_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn pages_of_projects(
    tx: &mut TenantTx,
    projects: &[ProjectId],
    filter: &TaskFilter,
    window: Window<TaskId>,
) -> Result<HashMap<ProjectId, Page<Task>>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        TaskRow,
        r#"
        select t.id as "id!", t.project_id as "project_id!", t.type as "type!", t.status as "status!",
               t.phase as "phase!", t.payload as "payload!: Unparsed<Payload>", t.retries as "retries!", t.attempt as "attempt!",
               t.priority as "priority!", t.event_seq as "event_seq!", t.error_code, t.error_message,
               t.plugin_fault, t.cancel_requested_at, t.created_at as "created_at!", t.started_at,
               t.finished_at, t.run_at, t.timeout_seconds, t.group_id, t.schedule_id
        from unnest($2::uuid[]) parent(parent_id)
        cross join lateral (
            (select * from tenant.task
             where tenant_id = $1 and project_id = parent.parent_id
               and ($3::text is null or status = $3) and ($4::text is null or type = $4)
               and ($5::uuid is null or id < $5) and ($6::uuid is null or id > $6) and not $8
             order by id desc limit $7)
            union all
            (select * from tenant.task
             where tenant_id = $1 and project_id = parent.parent_id
               and ($3::text is null or status = $3) and ($4::text is null or type = $4)
               and ($5::uuid is null or id < $5) and ($6::uuid is null or id > $6) and $8
             order by id limit $7)) t
        order by t.id desc
        "#,
        tx.tenant(),
        &projects,
        filter.status.map(TaskStatus::as_str),
        filter.scan_type.as_ref().map(ScanType::as_str),
        window.after.map(TaskId::uuid),
        window.before.map(TaskId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_task).await?;
    let tasks = rows
        .into_iter()
        .map(Task::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let tasks = tasks.into_iter().map(|task| (task.project_id, task));
    Ok(Page::between_each(tasks, &window))
}

/// How many tasks each project has under `filter`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts_of_projects(
    tx: &mut TenantTx,
    projects: &[ProjectId],
    filter: &TaskFilter,
) -> Result<HashMap<ProjectId, RowCount>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select p.id as "project!", c.rows as "rows!" from unnest($2::uuid[]) p(id)
        cross join lateral (
            select count(*) as rows from (
                select from tenant.task
                where tenant_id = $1 and project_id = p.id
                  and ($3::text is null or status = $3) and ($4::text is null or type = $4)
                limit $5
            ) t
        ) c
        "#,
        tx.tenant(),
        &projects,
        filter.status.map(TaskStatus::as_str),
        filter.scan_type.as_ref().map(ScanType::as_str),
        PROBED
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.project.into(), RowCount::probed(row.rows)))
        .collect())
}
