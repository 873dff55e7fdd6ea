//! A task's ticket, from the tenant's side: written in the same transaction as the task.
//!
//! Not here: claiming and renewing, which see all tenants (see [`crate::queue`]).

use chrono::{DateTime, Utc};
use tamiz_core::{ScanType, TaskId};

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// A ticket to be made.
pub(crate) struct NewTicket<'a> {
    pub(crate) task: TaskId,
    pub(crate) scan_type: &'a ScanType,
    /// What a worker must have to take it.
    pub(crate) tools: &'a [String],
    pub(crate) priority: i16,
    /// Of the last attempt; the claim counts on.
    pub(crate) attempt: i32,
}

/// Idempotent by task id: a second ticket for a waiting or running task changes nothing.
pub(crate) async fn enqueue(tx: &mut TenantTx, new: &NewTicket<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        insert into control.ticket (task_id, tenant_id, scan_type, priority, attempt, tools)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (tenant_id, task_id) do nothing
        "#,
        new.task.uuid(),
        tx.tenant(),
        new.scan_type.as_str(),
        new.priority,
        new.attempt,
        new.tools
    )
    .execute(tx.connection())
    .await?;
    tx.will_signal_ticket();
    Ok(())
}

/// Takes back a ticket that nobody holds.
pub(crate) async fn remove_waiting(tx: &mut TenantTx, task: TaskId) -> Result<(), StoreError> {
    sqlx::query!(
        "delete from control.ticket where task_id = $1 and tenant_id = $2 and state = 0",
        task.uuid(),
        tx.tenant()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Tells the holder of the lease with its next heartbeat. `false` when nobody holds it.
pub(crate) async fn request_cancel(tx: &mut TenantTx, task: TaskId) -> Result<bool, StoreError> {
    let told = sqlx::query!(
        "update control.ticket set cancel_requested = true
         where task_id = $1 and tenant_id = $2 and state = 1",
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
        "delete from control.ticket where task_id = $1 and tenant_id = $2 and attempt = $3",
        task.uuid(),
        tx.tenant(),
        attempt
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Back into the queue, not before `run_at`, unless a later attempt holds it by now.
pub(crate) async fn put_back(
    tx: &mut TenantTx,
    task: TaskId,
    attempt: i32,
    run_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        update control.ticket set state = 0, worker_id = null, lease_until = null, run_at = $4
        where task_id = $1 and tenant_id = $2 and attempt = $3 and state = 1
        "#,
        task.uuid(),
        tx.tenant(),
        attempt,
        run_at
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
