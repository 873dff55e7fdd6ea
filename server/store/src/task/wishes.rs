//! What people want of a task that is there: to stop it, or to have it tried again.

use tamiz_core::progress::Phase;
use tamiz_core::webhook::EventType;
use tamiz_core::{TaskId, TaskStatus};
use uuid::Uuid;

use super::{Task, by_ids};
use crate::error::{StoreError, word};
use crate::event::{self, NewEvent};
use crate::tenant_tx::TenantTx;
use crate::{attempt, group, pcap_session, scan_result, ticket};

/// What became of a wish to stop a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// It had not begun; it never will.
    Cancelled,
    /// It runs; its worker has been told.
    Requested,
    /// It had already ended like this.
    Ended(TaskStatus),
    /// There is no such task.
    Absent,
}

/// Stops a task: at once when it waits or when nobody holds it, soon when it runs.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn cancel(tx: &mut TenantTx, id: TaskId) -> Result<Cancellation, StoreError> {
    let Some(status) = locked_status(tx, id).await? else {
        return Ok(Cancellation::Absent);
    };
    if status.is_final() {
        return Ok(Cancellation::Ended(status));
    }
    sqlx::query!(
        "update tenant.task set cancel_requested_at = coalesce(cancel_requested_at, now())
         where tenant_id = $1 and id = $2",
        tx.tenant(),
        id.uuid()
    )
    .execute(tx.connection())
    .await?;
    // the ticket only where it is leased: nobody else ends the task meanwhile, whose row is locked
    if ticket::request_cancel(tx, id).await? {
        tx.will_signal_cancel(id);
        return Ok(Cancellation::Requested);
    }
    // a lease that ran out leaves its attempt open; storage comes before groups and tickets
    attempt::close_lost(tx, id, i32::MAX).await?;
    group::lock_of(tx, &[id]).await?;
    ticket::remove_waiting(tx, id).await?;
    let wanting = sqlx::query_scalar!(
        r#"
        with ended as (
            update tenant.task set status = 'cancelled', phase = 'done', finished_at = now(), unique_key = null
            where tenant_id = $1 and id = $2 returning project_id)
        select project_id from ended where exists (
            select from tenant.webhook_endpoint e where e.tenant_id = $1 and e.disabled_at is null
              and $3 = any(e.events) and (e.project_ids is null or ended.project_id = any(e.project_ids)))
        "#,
        tx.tenant(),
        id.uuid(),
        EventType::TaskFinished.as_str()
    )
    .fetch_optional(tx.connection())
    .await?;
    if let Some(project) = wanting {
        tx.outbox.finished(project.into(), id);
    }
    let message = match status {
        TaskStatus::Queued => "cancelled before it began",
        _ => "cancelled before it was tried again",
    };
    event::append(tx, id, &NewEvent::of(TaskStatus::Cancelled, Phase::Done, message)).await?;
    group::leave(tx, id).await?;
    Ok(Cancellation::Cancelled)
}

/// What became of a wish to try a task again.
#[derive(Debug, Clone, PartialEq)]
pub enum Redrive {
    /// It is back in the queue.
    Queued(Box<Task>),
    /// Its state does not allow it.
    Refused(TaskStatus),
    /// There is no such task.
    Absent,
}

/// Sends an ended task back to the queue with fresh attempts. Attempt numbers go on, so that a
/// worker of the earlier life stays fenced out. The findings of the earlier life go at once: the new
/// one may end without any of its own.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn retry(tx: &mut TenantTx, id: TaskId) -> Result<Redrive, StoreError> {
    let Some(status) = locked_status(tx, id).await? else {
        return Ok(Redrive::Absent);
    };
    if !status.may_be_retried() {
        return Ok(Redrive::Refused(status));
    }
    let task = send_back(tx, &[id]).await?.pop();
    Ok(task.map_or(Redrive::Absent, |task| Redrive::Queued(Box::new(task))))
}

/// The same for many; those that are gone or in another state by now are left out. Answers which went back.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn retry_all(tx: &mut TenantTx, ids: &[TaskId]) -> Result<Vec<TaskId>, StoreError> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let locked = sqlx::query!(
        "select id, status from tenant.task where tenant_id = $1 and id = any($2) order by id for update",
        tx.tenant(),
        &wanted
    )
    .fetch_all(tx.connection())
    .await?;
    let mut back: Vec<TaskId> = Vec::with_capacity(locked.len());
    for row in locked {
        if status_of(&row.status)?.may_be_retried() {
            back.push(row.id.into());
        }
    }
    send_back(tx, &back).await?;
    Ok(back)
}

/// Locked tasks that may go; tickets come last. Answers them as they wait.
async fn send_back(tx: &mut TenantTx, ids: &[TaskId]) -> Result<Vec<Task>, StoreError> {
    for id in ids {
        put_back(tx, *id).await?;
    }
    group::come_back(tx, ids).await?;
    let tasks = by_ids(tx, ids).await?;
    let waiting: Vec<&Task> = tasks.iter().collect();
    ticket::enqueue_all(tx, &waiting).await?;
    Ok(tasks)
}

/// The task as it was before its first attempt, but for its number, its events and what is on record of its
/// attempts.
async fn put_back(tx: &mut TenantTx, id: TaskId) -> Result<(), StoreError> {
    scan_result::clear(tx, id).await?;
    pcap_session::clear(tx, id).await?;
    sqlx::query!(
        r#"
        update tenant.task set status = 'queued', phase = 'queued', retries = 0, error_code = null,
               error_message = null, plugin_fault = null, cancel_requested_at = null, finished_at = null,
               run_at = null, unique_key = null
        where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        id.uuid()
    )
    .execute(tx.connection())
    .await?;
    let event = NewEvent::of(TaskStatus::Queued, Phase::Queued, "sent back to the queue");
    event::append(tx, id, &event).await
}

async fn locked_status(tx: &mut TenantTx, id: TaskId) -> Result<Option<TaskStatus>, StoreError> {
    let word = sqlx::query_scalar!(
        "select status from tenant.task where tenant_id = $1 and id = $2 for update",
        tx.tenant(),
        id.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    word.as_deref().map(status_of).transpose()
}

fn status_of(stored: &str) -> Result<TaskStatus, StoreError> {
    word("task status", stored)
}
