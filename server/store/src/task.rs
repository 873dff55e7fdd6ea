//! Tasks: asked for, read, cancelled, sent back. What a worker does to them is in [`crate::attempt`].

mod wishes;

pub use wishes::{Cancellation, Redrive, cancel, retry};

use std::collections::HashMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tamiz_core::progress::Phase;
use tamiz_core::{PluginFault, PluginRef, ProjectId, ScanType, Target, TaskId, TaskStatus, UploadId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::event::{self, NewEvent};
use crate::page::{Page, PageLimit};
use crate::tenant_tx::TenantTx;
use crate::ticket::NewTicket;
use crate::{ticket, weight};

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
}

impl Payload {
    /// Whether both are the same order; another plugin may serve the same one, with other tools.
    pub fn is_order_of(&self, other: &Self) -> bool {
        self.source == other.source
            && self.rules_upload_id == other.rules_upload_id
            && self.options == other.options
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
#[derive(Debug, Clone, PartialEq)]
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
}

/// The columns of a task as they come; one shape for all reads.
pub(crate) struct TaskRow {
    pub id: Uuid,
    pub project_id: Uuid,
    pub r#type: String,
    pub status: String,
    pub phase: String,
    pub payload: serde_json::Value,
    pub retries: i32,
    pub attempt: i32,
    pub priority: i16,
    pub event_seq: i32,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub plugin_fault: Option<serde_json::Value>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<TaskRow> for Task {
    type Error = StoreError;

    fn try_from(row: TaskRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            scan_type: ScanType::parse(&row.r#type)
                .map_err(|_| StoreError::unreadable("task type", &row.r#type))?,
            status: TaskStatus::from_str(&row.status)
                .map_err(|_| StoreError::unreadable("task status", &row.status))?,
            phase: Phase::from_str(&row.phase)
                .map_err(|_| StoreError::unreadable("task phase", &row.phase))?,
            payload: serde_json::from_value(row.payload)
                .map_err(|error| StoreError::unreadable("task payload", &error.to_string()))?,
            retries: row.retries,
            attempt: row.attempt,
            priority: row.priority,
            event_seq: row.event_seq,
            error_code: row.error_code,
            error_message: row.error_message,
            plugin_fault: row.plugin_fault.map(fault).transpose()?,
            cancel_requested_at: row.cancel_requested_at,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// What stands in a row about a plugin's fault.
pub(crate) fn fault(stored: serde_json::Value) -> Result<PluginFault, StoreError> {
    serde_json::from_value(stored).map_err(|error| StoreError::unreadable("plugin fault", &error.to_string()))
}

/// A task to be asked for.
#[derive(Debug, Clone)]
pub struct NewTask<'a> {
    /// Its id: asking twice with the same one makes one task.
    pub id: TaskId,
    /// Where it belongs.
    pub project: ProjectId,
    /// Which plugin shall serve it.
    pub scan_type: &'a ScanType,
    /// What it works on.
    pub payload: &'a Payload,
    /// Higher goes first.
    pub priority: i16,
}

/// Stores task, ticket and first event in the caller's transaction. `None` when the project is not
/// there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(tx: &mut TenantTx, new: &NewTask<'_>) -> Result<Option<Task>, StoreError> {
    let payload = serde_json::to_value(new.payload)
        .map_err(|error| StoreError::unreadable("task payload", &error.to_string()))?;
    let made = sqlx::query!(
        r#"
        insert into tenant.task (tenant_id, id, project_id, type, status, payload, priority)
        select $1, $2, p.id, $4, 'queued', $5, $6 from tenant.project p where p.tenant_id = $1 and p.id = $3
        on conflict (tenant_id, id) do nothing
        "#,
        tx.tenant(),
        new.id.uuid(),
        new.project.uuid(),
        new.scan_type.as_str(),
        payload,
        new.priority
    )
    .execute(tx.connection())
    .await?;
    if made.rows_affected() == 1 {
        event::append(
            tx,
            new.id,
            &NewEvent::of(
                TaskStatus::Queued,
                Phase::Queued,
                &waiting_for(&new.payload.tools),
            ),
        )
        .await?;
        let ticket = NewTicket {
            task: new.id,
            scan_type: new.scan_type,
            tools: &new.payload.tools,
            priority: new.priority,
            attempt: 0,
        };
        ticket::enqueue(tx, &ticket).await?;
    }
    get(tx, new.id).await
}

/// In words: tasks may wait long for a worker that has what they need.
fn waiting_for(tools: &[String]) -> String {
    if tools.is_empty() {
        "waiting for a worker".to_owned()
    } else {
        format!("waiting for a worker with {}", tools.join(" or "))
    }
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
        select id, project_id, type, status, phase, payload, retries, attempt, priority, event_seq,
               error_code, error_message, plugin_fault, cancel_requested_at, created_at, started_at,
               finished_at
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
    after: Option<TaskId>,
    limit: PageLimit,
) -> Result<Page<Task>, StoreError> {
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        TaskRow,
        r#"
        select id, project_id, type, status, phase, payload, retries, attempt, priority, event_seq,
               error_code, error_message, plugin_fault, cancel_requested_at, created_at, started_at,
               finished_at
        from tenant.task
        where tenant_id = $1 and ($2::uuid is null or project_id = $2)
          and ($3::text is null or status = $3) and ($4::text is null or type = $4)
          and ($5::uuid is null or id < $5)
        order by id desc limit $6
        "#,
        tx.tenant(),
        filter.project.map(ProjectId::uuid),
        filter.status.map(TaskStatus::as_str),
        filter.scan_type.as_ref().map(ScanType::as_str),
        after.map(TaskId::uuid),
        limit.probe()
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_task).await?;
    let tasks = rows
        .into_iter()
        .map(Task::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Page::of(tasks, limit))
}

/// How many tasks there are under the same filter as [`page`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn count(tx: &mut TenantTx, filter: &TaskFilter) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from tenant.task
        where tenant_id = $1 and ($2::uuid is null or project_id = $2)
          and ($3::text is null or status = $3) and ($4::text is null or type = $4)
        "#,
        tx.tenant(),
        filter.project.map(ProjectId::uuid),
        filter.status.map(TaskStatus::as_str),
        filter.scan_type.as_ref().map(ScanType::as_str)
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
    after: Option<TaskId>,
    limit: PageLimit,
) -> Result<HashMap<ProjectId, Page<Task>>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        TaskRow,
        r#"
        select t.id as "id!", t.project_id as "project_id!", t.type as "type!", t.status as "status!",
               t.phase as "phase!", t.payload as "payload!", t.retries as "retries!", t.attempt as "attempt!",
               t.priority as "priority!", t.event_seq as "event_seq!", t.error_code, t.error_message,
               t.plugin_fault, t.cancel_requested_at, t.created_at as "created_at!", t.started_at, t.finished_at
        from unnest($2::uuid[]) parent(parent_id)
        cross join lateral (
            select * from tenant.task
            where tenant_id = $1 and project_id = parent.parent_id
              and ($3::text is null or status = $3) and ($4::text is null or type = $4)
              and ($5::uuid is null or id < $5)
            order by id desc limit $6) t
        order by t.id desc
        "#,
        tx.tenant(),
        &projects,
        filter.status.map(TaskStatus::as_str),
        filter.scan_type.as_ref().map(ScanType::as_str),
        after.map(TaskId::uuid),
        limit.probe()
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_task).await?;
    let mut pages: HashMap<ProjectId, Vec<Task>> = HashMap::new();
    for row in rows {
        let task = Task::try_from(row)?;
        pages.entry(task.project_id).or_default().push(task);
    }
    Ok(pages
        .into_iter()
        .map(|(project, tasks)| (project, Page::of(tasks, limit)))
        .collect())
}

/// How many tasks each project has under `filter`; a project without any is left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts_of_projects(
    tx: &mut TenantTx,
    projects: &[ProjectId],
    filter: &TaskFilter,
) -> Result<HashMap<ProjectId, i64>, StoreError> {
    let projects: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select project_id, count(*) as "count!" from tenant.task
        where tenant_id = $1 and project_id = any($2)
          and ($3::text is null or status = $3) and ($4::text is null or type = $4)
        group by project_id
        "#,
        tx.tenant(),
        &projects,
        filter.status.map(TaskStatus::as_str),
        filter.scan_type.as_ref().map(ScanType::as_str)
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.project_id.into(), row.count))
        .collect())
}
