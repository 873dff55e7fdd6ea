//! A task's ticket, from the tenant's side: written in the same transaction as the task.
//!
//! Every change moves the counters of the tenant's lane (see `migrations/control/0005_queue.sql`) and holds it
//! until the transaction ends, so these come last in one.
//!
//! Not here: claiming and renewing, which see all tenants (see [`crate::queue`]).

use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_core::{ScanType, TaskId};

use crate::error::StoreError;
use crate::task::Task;
use crate::tenant_tx::TenantTx;

/// A ticket to be made.
pub(crate) struct NewTicket<'a> {
    pub(crate) task: TaskId,
    pub(crate) scan_type: &'a ScanType,
    /// What a worker must have to take it: one of them.
    pub(crate) tools: &'a [String],
    /// What it must run: all of them.
    pub(crate) worlds: Vec<String>,
    pub(crate) priority: i16,
    /// Of the last attempt; the claim counts on.
    pub(crate) attempt: i32,
    /// Not before; at once when none.
    pub(crate) run_at: Option<DateTime<Utc>>,
}

impl<'a> NewTicket<'a> {
    /// The ticket of a task as it stands, to be served at once.
    pub(crate) fn of(task: &'a Task) -> Self {
        Self {
            task: task.id,
            scan_type: &task.scan_type,
            tools: &task.payload.tools,
            worlds: task.payload.worlds(),
            priority: task.priority,
            attempt: task.attempt,
            run_at: None,
        }
    }
}

/// Idempotent by task id: a second ticket for a waiting or running task changes nothing.
pub(crate) async fn enqueue(tx: &mut TenantTx, new: &NewTicket<'_>) -> Result<(), StoreError> {
    let mut tools = new.tools.to_vec();
    tools.sort();
    tools.dedup();
    let run_at = new.run_at;
    sqlx::query!(
        r#"
        select control.queue_enqueue($1, control.class_of($2, $3, $4), array[$5::uuid], array[$6::smallint],
                                     array[$7::int], array[$8::timestamptz]) as count
        "#,
        tx.tenant(),
        new.scan_type.as_str(),
        &tools,
        &new.worlds,
        new.task.uuid(),
        new.priority,
        new.attempt,
        run_at
    )
    .fetch_one(tx.connection())
    .await?;
    tx.will_signal_ticket();
    Ok(())
}

/// Takes back a ticket that nobody holds.
pub(crate) async fn remove_waiting(tx: &mut TenantTx, task: TaskId) -> Result<(), StoreError> {
    sqlx::query!(
        "select r_task from control.queue_remove(array[$1::uuid], array[$2::uuid], array[null::int])",
        tx.tenant(),
        task.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(())
}

/// Tells the holder of the lease with its next heartbeat. `false` when nobody holds it.
pub(crate) async fn request_cancel(tx: &mut TenantTx, task: TaskId) -> Result<bool, StoreError> {
    let told = sqlx::query!(
        "update control.ticket set cancel_requested = true
         where task_id = $1 and tenant_id = $2 and state + 0 = 1",
        task.uuid(),
        tx.tenant()
    )
    .execute(tx.connection())
    .await?;
    Ok(told.rows_affected() == 1)
}

/// The work of `attempt` is over: the ticket goes, unless a later attempt holds it by now.
pub(crate) async fn remove(tx: &mut TenantTx, task: TaskId, attempt: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "select r_task from control.queue_remove(array[$1::uuid], array[$2::uuid], array[$3::int])",
        tx.tenant(),
        task.uuid(),
        attempt
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(())
}

/// Back into the queue for so long, by the database's clock, unless a later attempt holds it by now.
pub(crate) async fn put_back(
    tx: &mut TenantTx,
    task: TaskId,
    attempt: i32,
    pause: Duration,
) -> Result<(), StoreError> {
    sqlx::query!(
        "select control.queue_put_back($1, $2, $3, make_interval(secs => $4))",
        tx.tenant(),
        task.uuid(),
        attempt,
        pause.as_secs_f64()
    )
    .fetch_one(tx.connection())
    .await?;
    if pause.is_zero() {
        tx.will_signal_ticket();
    }
    Ok(())
}
