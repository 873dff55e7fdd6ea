//! A task's ticket, from the tenant's side: written in the same transaction as the task.
//!
//! Every change moves the counters of the tenant's lane (see `migrations/control/0005_queue.sql`) and holds it
//! until the transaction ends, so these come last in one.
//!
//! Not here: claiming and renewing, which see all tenants (see [`crate::queue`]).

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_core::TaskId;
use uuid::Uuid;

use crate::error::StoreError;
use crate::task::Task;
use crate::tenant_tx::TenantTx;

/// Tickets for tasks as they stand, not before their time; a second one for a task that has one changes nothing.
/// Lanes are taken in the order in which everybody takes them.
pub(crate) async fn enqueue_all(tx: &mut TenantTx, tasks: &[&Task]) -> Result<(), StoreError> {
    type Class<'a> = (&'a str, Vec<String>, Vec<String>);
    let mut classes: BTreeMap<Class<'_>, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        let class = (
            task.scan_type.as_str(),
            class_words(&task.payload.tools),
            task.payload.worlds(),
        );
        classes.entry(class).or_default().push(task);
    }
    let mut lanes: BTreeMap<i32, Vec<&Task>> = BTreeMap::new();
    for ((scan_type, tools, worlds), tasks) in classes {
        let class = sqlx::query_scalar!(
            r#"select control.class_of($1, $2, $3) as "class!""#,
            scan_type,
            &tools,
            &worlds
        )
        .fetch_one(tx.connection())
        .await?;
        lanes.entry(class).or_default().extend(tasks);
    }
    for (class, tasks) in lanes {
        let ids: Vec<Uuid> = tasks.iter().map(|task| task.id.uuid()).collect();
        let priorities: Vec<i16> = tasks.iter().map(|task| task.priority).collect();
        let attempts: Vec<i32> = tasks.iter().map(|task| task.attempt).collect();
        let run_at: Vec<Option<DateTime<Utc>>> = tasks.iter().map(|task| task.run_at).collect();
        sqlx::query!(
            "select control.queue_enqueue($1, $2, $3, $4, $5, $6) as count",
            tx.tenant(),
            class,
            &ids,
            &priorities,
            &attempts,
            &run_at as &[Option<DateTime<Utc>>]
        )
        .fetch_one(tx.connection())
        .await?;
        // a hint: those of later are told when they fall due
        let ready = tasks.iter().filter(|task| task.run_at.is_none()).count();
        tx.will_signal_tickets(Some(class), u32::try_from(ready).unwrap_or(u32::MAX));
    }
    Ok(())
}

/// Words of a class, as it is named by them: each once and in order.
pub(crate) fn class_words(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    words.sort();
    words.dedup();
    words
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
    let opened = sqlx::query_scalar!(
        "select r_opened from control.queue_remove(array[$1::uuid], array[$2::uuid], array[$3::int])",
        tx.tenant(),
        task.uuid(),
        attempt
    )
    .fetch_optional(tx.connection())
    .await?;
    tx.will_signal_opened(opened.flatten().unwrap_or_default());
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
        tx.will_signal_tickets(None, 1);
    }
    Ok(())
}
