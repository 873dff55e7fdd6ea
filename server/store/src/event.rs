//! What happened to a task, numbered without gaps.
//!
//! The number is taken in the update that locks the task row, so that the order of numbers is the
//! order of commits and a reader who has seen `n` never misses a smaller one (a plain id would lose
//! rows under concurrency).

use chrono::{DateTime, Utc};
use tamiz_core::progress::Phase;
use tamiz_core::{TaskId, TaskStatus};
use uuid::Uuid;

use crate::error::{StoreError, word};
use crate::project_event;
use crate::tenant_tx::TenantTx;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// From 1, without gaps.
    pub seq: i32,
    /// The task's state from then on.
    pub status: TaskStatus,
    /// What it does from then on.
    pub phase: Phase,
    /// For people.
    pub message: String,
    /// Of `total`, in whatever the phase counts.
    pub done: Option<i64>,
    /// When known.
    pub total: Option<i64>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// Something to be told.
#[derive(Debug, Clone)]
pub struct NewEvent<'a> {
    /// The task's state from now on.
    pub status: TaskStatus,
    /// What it does from now on.
    pub phase: Phase,
    /// For people.
    pub message: &'a str,
    /// Of `total`.
    pub done: Option<i64>,
    /// When known.
    pub total: Option<i64>,
}

impl<'a> NewEvent<'a> {
    /// Without counts.
    pub const fn of(status: TaskStatus, phase: Phase, message: &'a str) -> Self {
        Self {
            status,
            phase,
            message,
            done: None,
            total: None,
        }
    }
}

/// Appends in the caller's transaction and announces it after the commit; a new state to the watchers of the project, too.
pub(crate) async fn append(tx: &mut TenantTx, task: TaskId, new: &NewEvent<'_>) -> Result<(), StoreError> {
    let project = sqlx::query_scalar!(
        r#"
        with numbered as (
            update tenant.task set event_seq = event_seq + 1 where tenant_id = $1 and id = $2
            returning project_id, event_seq),
        event as (
            insert into tenant.task_event (tenant_id, task_id, seq, status, phase, message, done, total)
            select $1, $2, event_seq, $3, $4, $5, $6, $7 from numbered)
        insert into tenant.project_event (tenant_id, project_id, id, kind, task_id, status, phase)
        select $1, n.project_id, $8, $9, $2, $3, $4 from numbered n
        where not exists (select from tenant.task_event e where e.tenant_id = $1 and e.task_id = $2
                          and e.seq = n.event_seq - 1 and e.status = $3)
        returning project_id
        "#,
        tx.tenant(),
        task.uuid(),
        new.status.as_str(),
        new.phase.as_str(),
        new.message,
        new.done,
        new.total,
        Uuid::now_v7(),
        project_event::Kind::Task.rank()
    )
    .fetch_optional(tx.connection())
    .await?;
    if let Some(project) = project {
        tx.will_signal_project(project.into());
    }
    tx.will_signal_task(task);
    Ok(())
}

/// Events after `after`, oldest first, at most `rows_max`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn after(
    tx: &mut TenantTx,
    task: TaskId,
    after: i32,
    rows_max: i64,
) -> Result<Vec<Event>, StoreError> {
    let rows = of_tasks(tx, &[task], after, rows_max).await?;
    Ok(rows.into_iter().map(|(_, event)| event).collect())
}

/// Of each of these tasks the events after `after`, oldest first, at most `rows_max` of each.
///
/// Served by the primary key `(tenant_id, task_id, seq)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tasks(
    tx: &mut TenantTx,
    tasks: &[TaskId],
    after: i32,
    rows_max: i64,
) -> Result<Vec<(TaskId, Event)>, StoreError> {
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query!(
        r#"
        select event.task_id, event.seq, event.status, event.phase, event.message, event.done,
               event.total, event.created_at
        from unnest($2::uuid[]) wanted(task_id)
        cross join lateral (
            select * from tenant.task_event
            where tenant_id = $1 and task_id = wanted.task_id and seq > $3 order by seq limit $4) event
        order by event.task_id, event.seq
        "#,
        tx.tenant(),
        &tasks,
        after,
        rows_max
    )
    .fetch(tx.connection());
    let rows = allowance
        .collect(rows, |row| size_of::<Event>() as u64 + row.message.len() as u64)
        .await?;
    rows.into_iter()
        .map(|row| {
            let event = Event {
                seq: row.seq,
                status: word("event status", &row.status)?,
                phase: word("event phase", &row.phase)?,
                message: row.message,
                done: row.done,
                total: row.total,
                created_at: row.created_at,
            };
            Ok((row.task_id.into(), event))
        })
        .collect()
}
