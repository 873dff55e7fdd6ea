//! What a worker does to a task: begin, report, end. Every write is fenced by the attempt number.
//!
//! A worker whose lease ran out may still be running. Whatever it writes carries its attempt; once a
//! later attempt has begun, the fence (`task.attempt`) has moved on and the write changes nothing.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tamiz_core::progress::Phase;
use tamiz_core::webhook::EventType;
use tamiz_core::{PluginFault, Refusal, TaskId, TaskStatus, WorkerId};

use crate::error::{StoreError, word};
use crate::event::{self, NewEvent};
use crate::quota::storage;
use crate::task::{self, Task};
use crate::tenant_tx::TenantTx;
use crate::{group, ticket, usage};

/// What a claimed task turned out to be.
#[derive(Debug, Clone)]
pub enum Begin {
    /// Go ahead.
    Run(Box<Task>),
    /// Somebody wanted it to stop meanwhile; it is cancelled now.
    Cancelled,
    /// It has been lost by workers too often; it is a dead letter now.
    Dead,
    /// It ended, or a later attempt runs: nothing to do.
    Stale,
}

/// Moves the fence to `attempt` and the task to `running`.
///
/// An earlier attempt that never ended was lost with its worker; it counts as a failure. Beginning
/// what the same worker has begun answers [`Begin::Run`] again: the answer of the first commit may
/// have been lost on the way.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn begin(
    tx: &mut TenantTx,
    id: TaskId,
    attempt: i32,
    worker: WorkerId,
    attempts_max: i32,
) -> Result<Begin, StoreError> {
    let Some(held) = lock(tx, id).await? else {
        ticket::remove(tx, id, attempt).await?;
        return Ok(Begin::Stale);
    };
    if held.status.is_final() {
        // the lock keeps a retry, which makes a new ticket, behind this
        ticket::remove(tx, id, attempt).await?;
        return Ok(Begin::Stale);
    }
    if held.attempt >= attempt {
        return begun_before(tx, id, attempt, worker, held.attempt).await;
    }
    let retries = held.retries + i32::from(held.status == TaskStatus::Running);
    sqlx::query!(
        r#"
        update tenant.task set attempt = $3, retries = $4, status = 'running', phase = 'preparing',
               started_at = coalesce(started_at, now()), unique_key = null
        where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        id.uuid(),
        attempt,
        retries
    )
    .execute(tx.connection())
    .await?;
    // the first attempt has none before it
    if held.attempt > 0 {
        close_lost(tx, id, attempt).await?;
    }
    sqlx::query!(
        "insert into tenant.task_attempt (tenant_id, task_id, attempt, worker_id, worker_host)
         values ($1, $2, $3, $4, (select w.host from control.worker w where w.id = $4))",
        tx.tenant(),
        id.uuid(),
        attempt,
        worker.uuid()
    )
    .execute(tx.connection())
    .await?;
    if held.cancel_requested {
        end(tx, id, attempt, &Ending::cancelled("cancelled before it began")).await?;
        return Ok(Begin::Cancelled);
    }
    if retries >= attempts_max {
        end(tx, id, attempt, &Ending::lost_too_often(retries)).await?;
        return Ok(Begin::Dead);
    }
    let message = if retries == 0 {
        "a worker has begun".to_owned()
    } else {
        format!("a worker has begun, try {} of {attempts_max}", retries + 1)
    };
    event::append(
        tx,
        id,
        &NewEvent::of(TaskStatus::Running, Phase::Preparing, &message),
    )
    .await?;
    run(tx, id).await
}

async fn run(tx: &mut TenantTx, id: TaskId) -> Result<Begin, StoreError> {
    Ok(task::get(tx, id)
        .await?
        .map_or(Begin::Stale, |task| Begin::Run(Box::new(task))))
}

/// The task is not over and its fence stands at `fence`, not below `attempt`. The ticket stays: it is
/// the only way by which a worker that died with it is found out.
async fn begun_before(
    tx: &mut TenantTx,
    id: TaskId,
    attempt: i32,
    worker: WorkerId,
    fence: i32,
) -> Result<Begin, StoreError> {
    let ours = sqlx::query_scalar!(
        r#"select exists (select from tenant.task_attempt
           where tenant_id = $1 and task_id = $2 and attempt = $3 and worker_id = $4
             and finished_at is null) as "ours!""#,
        tx.tenant(),
        id.uuid(),
        attempt,
        worker.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    if ours && fence == attempt {
        run(tx, id).await
    } else {
        Ok(Begin::Stale)
    }
}

/// What [`begin`] decides by.
struct HeldTask {
    status: TaskStatus,
    attempt: i32,
    retries: i32,
    cancel_requested: bool,
}

/// Locks the task's row, so that no cancel, retry or end comes between reading and writing it.
async fn lock(tx: &mut TenantTx, id: TaskId) -> Result<Option<HeldTask>, StoreError> {
    let row = sqlx::query!(
        r#"
        select status, attempt, retries, cancel_requested_at is not null as "cancel_requested!"
        from tenant.task where tenant_id = $1 and id = $2 for update
        "#,
        tx.tenant(),
        id.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(|row| {
        Ok(HeldTask {
            status: word("task status", &row.status)?,
            attempt: row.attempt,
            retries: row.retries,
            cancel_requested: row.cancel_requested,
        })
    })
    .transpose()
}

/// Closes the attempts below `before` that never ended: their worker is gone or no longer heard. What they
/// reserved goes back, and their time is counted until their worker was last heard, which is at most a lease
/// too much; of a worker that the register has forgotten nothing is known.
///
/// Storage and usage are locked here, so it comes before groups and tickets.
pub(crate) async fn close_lost(tx: &mut TenantTx, id: TaskId, before: i32) -> Result<(), StoreError> {
    storage::give_back_before(tx, id, before).await?;
    let spent = sqlx::query_scalar!(
        r#"
        with lost as (
            update tenant.task_attempt set outcome = 'lost', finished_at = now(),
                   error_code = 'ATTEMPT_LOST',
                   error_message = 'its worker was silent for longer than its lease'
            where tenant_id = $1 and task_id = $2 and attempt < $3 and finished_at is null
            returning worker_id, started_at)
        select coalesce(sum(greatest(0, extract(epoch from least(now(), w.heartbeat_at) - lost.started_at))), 0)
               ::double precision as "seconds!"
        from lost join control.worker w on w.id = lost.worker_id
        "#,
        tx.tenant(),
        id.uuid(),
        before
    )
    .fetch_one(tx.connection())
    .await?;
    usage::add_compute_seconds(tx, spent).await
}

/// Tells what the attempt is doing. `false` when it no longer may.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn report(
    tx: &mut TenantTx,
    id: TaskId,
    attempt: i32,
    event: &NewEvent<'_>,
) -> Result<bool, StoreError> {
    let ours = sqlx::query!(
        "update tenant.task set phase = $4
         where tenant_id = $1 and id = $2 and attempt = $3 and status = 'running'",
        tx.tenant(),
        id.uuid(),
        attempt,
        event.phase.as_str()
    )
    .execute(tx.connection())
    .await?
    .rows_affected()
        == 1;
    if ours {
        event::append(tx, id, event).await?;
    }
    Ok(ours)
}

/// Whether an attempt may write its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// It may; the task is locked until the transaction ends.
    Open,
    /// It did already, like this: the answer of that commit was lost on the way.
    Ended(TaskStatus),
    /// It may not any more.
    Closed,
}

/// Locks the task for the final transaction.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn fence(tx: &mut TenantTx, id: TaskId, attempt: i32) -> Result<Fence, StoreError> {
    let held = lock(tx, id).await?;
    if held.is_some_and(|held| held.attempt == attempt && held.status == TaskStatus::Running) {
        return Ok(Fence::Open);
    }
    let outcome = sqlx::query_scalar!(
        r#"select outcome as "outcome!" from tenant.task_attempt
           where tenant_id = $1 and task_id = $2 and attempt = $3 and outcome is not null"#,
        tx.tenant(),
        id.uuid(),
        attempt
    )
    .fetch_optional(tx.connection())
    .await?;
    // `lost` is no state of a task: somebody else wrote that
    Ok(outcome
        .and_then(|outcome| TaskStatus::from_str(&outcome).ok())
        .map_or(Fence::Closed, Fence::Ended))
}

/// How an attempt ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ending {
    /// The task's state from now on.
    pub status: TaskStatus,
    /// Why, when it is a bad end.
    pub refusal: Option<Refusal>,
    /// What the plugin did, if that is why.
    pub plugin_fault: Option<PluginFault>,
    /// For the watchers.
    pub message: String,
    /// Findings or other things done.
    pub done: Option<i64>,
    /// How long to wait before trying again, by the database's clock; only with [`TaskStatus::Retrying`].
    pub pause: Option<Duration>,
    /// Whether it counts against the task's attempts; a worker that goes down in order does not.
    pub counts: bool,
}

impl Ending {
    /// Stopped because somebody wanted it.
    pub fn cancelled(message: &str) -> Self {
        Self {
            status: TaskStatus::Cancelled,
            refusal: None,
            plugin_fault: None,
            message: message.to_owned(),
            done: None,
            pause: None,
            counts: true,
        }
    }

    fn lost_too_often(times: i32) -> Self {
        let message = format!("lost with its worker or failed {times} times");
        Self {
            status: TaskStatus::DeadLetter,
            refusal: Some(Refusal::new(
                tamiz_core::RefusalCode::AttemptsExhausted,
                &*message,
            )),
            plugin_fault: None,
            message,
            done: None,
            pause: None,
            counts: true,
        }
    }
}

/// Ends the attempt: task, attempt row, event and ticket together. Answers how it ended: a task that
/// somebody wants stopped is not tried again but cancelled. `None` when the attempt no longer may.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn end(
    tx: &mut TenantTx,
    id: TaskId,
    attempt: i32,
    ending: &Ending,
) -> Result<Option<TaskStatus>, StoreError> {
    let cancelled;
    let ending = if ending.status == TaskStatus::Retrying
        && lock(tx, id).await?.is_some_and(|held| held.cancel_requested)
    {
        cancelled = Ending::cancelled("cancelled; it would have been tried again");
        &cancelled
    } else {
        ending
    };
    Ok(write_end(tx, id, attempt, ending).await?.then_some(ending.status))
}

async fn write_end(tx: &mut TenantTx, id: TaskId, attempt: i32, ending: &Ending) -> Result<bool, StoreError> {
    let retrying = ending.status == TaskStatus::Retrying;
    let phase = if retrying { Phase::Queued } else { Phase::Done };
    let code = ending.refusal.as_ref().map(|refusal| refusal.code.as_ref());
    let reason = ending.refusal.as_ref().map(|refusal| refusal.message.as_str());
    // what the next attempt may mend is the attempt's error, not yet the task's
    let (task_code, task_reason) = if retrying { (None, None) } else { (code, reason) };
    let fault = ending.plugin_fault.as_ref().map(serde_json::to_value).transpose();
    let fault = fault.map_err(|error| StoreError::unreadable("plugin fault", &error.to_string()))?;
    let ours = sqlx::query!(
        r#"
        update tenant.task set status = $4, phase = $5, error_code = $6, error_message = $7,
               retries = retries + $8::int, finished_at = case when $9 then null else now() end,
               plugin_fault = $10,
               run_at = case when $9 then now() + make_interval(secs => $11) else run_at end
        where tenant_id = $1 and id = $2 and attempt = $3 and status = 'running'
        returning type, group_id, project_id,
                  exists (select from tenant.webhook_endpoint e
                          where e.tenant_id = $1 and e.disabled_at is null and $12 = any(e.events)
                            and (e.project_ids is null or project_id = any(e.project_ids))) as "wants_told!"
        "#,
        tx.tenant(),
        id.uuid(),
        attempt,
        ending.status.as_str(),
        phase.as_str(),
        task_code,
        task_reason,
        i32::from(retrying && ending.counts),
        retrying,
        fault,
        ending.pause.unwrap_or_default().as_secs_f64(),
        EventType::TaskFinished.as_str()
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(task) = ours else {
        return Ok(false);
    };
    close(tx, id, attempt, ending, fault.as_ref()).await?;
    let event = NewEvent {
        done: ending.done,
        ..NewEvent::of(ending.status, phase, &ending.message)
    };
    event::append(tx, id, &event).await?;
    if retrying {
        ticket::put_back(tx, id, attempt, ending.pause.unwrap_or_default()).await?;
    } else {
        if task.group_id.is_some() {
            group::leave(tx, id).await?;
        }
        ticket::remove(tx, id, attempt).await?;
        tx.will_count_end(task.r#type);
        if task.wants_told {
            tx.outbox.finished(task.project_id.into(), id);
        }
    }
    Ok(true)
}

/// The row of the attempt says how it ended.
async fn close(
    tx: &mut TenantTx,
    id: TaskId,
    attempt: i32,
    ending: &Ending,
    fault: Option<&serde_json::Value>,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        update tenant.task_attempt set finished_at = now(), outcome = $4, error_code = $5, error_message = $6,
               plugin_fault = $7
        where tenant_id = $1 and task_id = $2 and attempt = $3
        "#,
        tx.tenant(),
        id.uuid(),
        attempt,
        ending.status.as_str(),
        ending.refusal.as_ref().map(|refusal| refusal.code.as_ref()),
        ending.refusal.as_ref().map(|refusal| refusal.message.as_str()),
        fault
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// One try at a task, as it is told.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// Which.
    pub attempt: i32,
    /// Who tried.
    pub worker_id: WorkerId,
    /// Where; not known of attempts from before it was noted.
    pub worker_host: Option<String>,
    /// How the tool that failed ended, if it was one and no signal ended it.
    pub exit_code: Option<i32>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// `completed`, `failed`, `retrying`, `timeout`, `cancelled`, `dead_letter`, `lost`.
    pub outcome: Option<String>,
    /// A stable code.
    pub error_code: Option<String>,
    /// And a sentence.
    pub error_message: Option<String>,
    /// What the plugin did, if that is why.
    pub plugin_fault: Option<PluginFault>,
}

/// Attempts of a task that are shown, and whose runs of tools are: people may send it back as often as they like.
pub(crate) const SHOWN_MAX: i32 = 100;

/// The latest attempts of these tasks, a hundred of each at most, oldest first, with their task.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tasks(tx: &mut TenantTx, tasks: &[TaskId]) -> Result<Vec<(TaskId, AttemptRow)>, StoreError> {
    let tasks: Vec<uuid::Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select a.task_id, a.attempt, a.worker_id, a.worker_host, a.started_at, a.finished_at, a.outcome,
               a.error_code, a.error_message, a.plugin_fault, run.exit_code as "exit_code?"
        from tenant.task_attempt a
        join tenant.task t on t.tenant_id = $1 and t.id = a.task_id
        left join lateral (
            select e.exit_code from tenant.tool_execution e
            where e.tenant_id = $1 and e.task_id = a.task_id and e.attempt = a.attempt
            order by e.id desc limit 1) run on a.error_code like 'TOOL\_%'
        where a.tenant_id = $1 and a.task_id = any($2) and a.attempt > t.attempt - $3
        order by a.task_id, a.attempt
        "#,
        tx.tenant(),
        &tasks,
        SHOWN_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            let attempt = AttemptRow {
                attempt: row.attempt,
                worker_id: row.worker_id.into(),
                worker_host: row.worker_host,
                exit_code: row.exit_code,
                started_at: row.started_at,
                finished_at: row.finished_at,
                outcome: row.outcome,
                error_code: row.error_code,
                error_message: row.error_message,
                plugin_fault: row.plugin_fault.map(task::fault).transpose()?,
            };
            Ok((row.task_id.into(), attempt))
        })
        .collect()
}
