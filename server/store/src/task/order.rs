//! Asking for tasks: row, group, first event and ticket, in the caller's transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_core::progress::Phase;
use tamiz_core::{GroupId, ProjectId, ScanType, ScheduleId, TaskId, TaskStatus};

use super::{Payload, Task, get};
use crate::error::StoreError;
use crate::event::{self, NewEvent};
use crate::group::{self, Entry};
use crate::tenant_tx::TenantTx;
use crate::ticket;

/// Between two looks another order may begin and leave its place free again; more often than this in a
/// row is no race.
const TRIES_MAX: usize = 3;

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
    /// When, how long and with what else.
    pub terms: Terms,
}

/// When, how long and with what else a task runs; by default at once, alone, as long as a worker lets it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Not before.
    pub run_at: Option<DateTime<Utc>>,
    /// How long one attempt may take; whole seconds.
    pub timeout: Option<Duration>,
    /// The tasks that it finishes with.
    pub group: Option<GroupId>,
    /// What asks for it, if no person does.
    pub schedule: Option<ScheduleId>,
    /// What it is: while a task with the same key waits to begin, no second one is made.
    pub unique_key: Option<[u8; 32]>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// It waits.
    New(Box<Task>),
    /// The id was ordered before; the task may be another order.
    Known(Box<Task>),
    /// This one of the same key waits already; nothing was written.
    Twin(Box<Task>),
    /// There is no such project.
    NoProject,
    /// The group did not take it; give the transaction up.
    NoGroup(Entry),
}

impl Made {
    /// The task, whoever asked for it.
    pub fn task(self) -> Option<Task> {
        match self {
            Self::New(task) | Self::Known(task) | Self::Twin(task) => Some(*task),
            Self::NoProject | Self::NoGroup(_) => None,
        }
    }
}

/// Stores task, ticket and first event.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(tx: &mut TenantTx, new: &NewTask<'_>) -> Result<Made, StoreError> {
    let made = place(tx, new).await?;
    if let Made::New(task) = &made {
        enqueue(tx, &[&**task]).await?;
    }
    Ok(made)
}

/// Writes the tickets of tasks that [`place`] made, as the last thing of the transaction: they hold the tenant's lanes.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn enqueue(tx: &mut TenantTx, tasks: &[&Task]) -> Result<(), StoreError> {
    ticket::enqueue_all(tx, tasks).await
}

/// Stores task and first event. The ticket is for [`enqueue`].
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn place(tx: &mut TenantTx, new: &NewTask<'_>) -> Result<Made, StoreError> {
    for _ in 0..TRIES_MAX {
        if insert(tx, new).await? {
            if let Some(group) = new.terms.group {
                match group::enter(tx, group, new.project).await? {
                    Entry::Entered => {}
                    refused => return Ok(Made::NoGroup(refused)),
                }
            }
            let words = waiting_for(new);
            event::append(
                tx,
                new.id,
                &NewEvent::of(TaskStatus::Queued, Phase::Queued, &words),
            )
            .await?;
            let task = get(tx, new.id).await?;
            return Ok(task.map_or(Made::NoProject, |task| Made::New(Box::new(task))));
        }
        if let Some(known) = get(tx, new.id).await? {
            return Ok(Made::Known(Box::new(known)));
        }
        match new.terms.unique_key {
            None => return Ok(Made::NoProject),
            Some(key) => {
                if let Some(twin) = waiting_twin(tx, &key).await? {
                    return Ok(Made::Twin(Box::new(twin)));
                }
            }
        }
    }
    Ok(Made::NoProject)
}

/// The task of this key that waits to begin. Served by `task_unique_key_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn waiting_twin(tx: &mut TenantTx, unique_key: &[u8; 32]) -> Result<Option<Task>, StoreError> {
    let id = sqlx::query_scalar!(
        "select id from tenant.task where tenant_id = $1 and unique_key = $2",
        tx.tenant(),
        &unique_key[..]
    )
    .fetch_optional(tx.connection())
    .await?;
    match id {
        Some(id) => get(tx, id.into()).await,
        None => Ok(None),
    }
}

/// Waits for whoever inserts the same id or key at the same time. `false` when one of them is there, or when
/// the project is not.
async fn insert(tx: &mut TenantTx, new: &NewTask<'_>) -> Result<bool, StoreError> {
    let payload = serde_json::to_value(new.payload)
        .map_err(|error| StoreError::unreadable("task payload", &error.to_string()))?;
    let Terms {
        run_at,
        timeout,
        group,
        schedule,
        unique_key,
    } = new.terms;
    let timeout = timeout.map(|timeout| i32::try_from(timeout.as_secs().max(1)).unwrap_or(i32::MAX));
    let made = sqlx::query!(
        r#"
        insert into tenant.task (tenant_id, id, project_id, type, status, payload, priority, run_at,
                                 timeout_seconds, group_id, schedule_id, unique_key)
        select $1, $2, p.id, $4, 'queued', $5, $6, $7, $8,
               (select g.id from tenant.task_group g where g.tenant_id = $1 and g.id = $9), $10, $11
        from tenant.project p where p.tenant_id = $1 and p.id = $3
        on conflict do nothing
        "#,
        tx.tenant(),
        new.id.uuid(),
        new.project.uuid(),
        new.scan_type.as_str(),
        payload,
        new.priority,
        run_at,
        timeout,
        group.map(GroupId::uuid),
        schedule.map(ScheduleId::uuid),
        unique_key.as_ref().map(|key| &key[..])
    )
    .execute(tx.connection())
    .await?;
    Ok(made.rows_affected() == 1)
}

/// In words: tasks may wait long for their time, and for a worker that has what they need.
fn waiting_for(new: &NewTask<'_>) -> String {
    if let Some(run_at) = new.terms.run_at {
        let at = run_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        return format!("waiting for its time, {at}");
    }
    let tools = &new.payload.tools;
    if tools.is_empty() {
        "waiting for a worker".to_owned()
    } else {
        format!("waiting for a worker with {}", tools.join(" or "))
    }
}
