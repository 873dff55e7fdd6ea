//! Schedules: what is asked for again and again, and when it is due.
//!
//! Rows of a tenant in the control database. A sweep takes those that are due for a while
//! ([`crate::Store::due_schedules`]), prepares the order, and moves `due_at` on in the transaction that creates the
//! task ([`lock_due`], [`Turned`]): of two sweeps that took the same turn only one finds it still due.
//!
//! Not here: when a schedule is due (core's `cron`), and what its order means (the app).

mod due;
mod row;

use chrono::{DateTime, Utc};
use tamiz_core::cron::{CatchUp, Overlap};
use tamiz_core::{ProjectId, Refusal, ScanType, ScheduleId, TaskId, TokenId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::quota::Meter;
use crate::tenant_tx::TenantTx;
use crate::token::Role;

pub use due::{DueSchedule, LATE_MAX};
use row::ScheduleRow;

/// Schedules of one tenant: each is looked at when it is due, and all of them are listed.
pub const SCHEDULES_MAX: i64 = 1_000;
/// Of its last tasks so many are looked at for one that has not ended.
const TASKS_LOOKED_AT: i64 = 100;

/// What is asked for, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// For people; unique in the tenant.
    pub name: String,
    /// When, as core reads it.
    pub cron: String,
    /// Where the clock hangs.
    pub time_zone: String,
    /// What a turn does while an earlier task runs.
    pub overlap: Overlap,
    /// What becomes of missed turns.
    pub catch_up: CatchUp,
    /// Where its tasks belong.
    pub project_id: ProjectId,
    /// Which plugin serves them.
    pub scan_type: ScanType,
    /// The rest of the order, as the app stores it.
    pub order: serde_json::Value,
    /// With whose right.
    pub token: TokenId,
    /// The role that the token had.
    pub role: Role,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// What is asked for, and when.
    pub plan: Plan,
    /// Since when it rests.
    pub paused_at: Option<DateTime<Utc>>,
    /// When it is due next.
    pub due_at: Option<DateTime<Utc>>,
    /// When its last task was due, and which it was.
    pub last_due_at: Option<DateTime<Utc>>,
    /// The last task.
    pub last_task: Option<TaskId>,
    /// Turns left out because an earlier task had not ended.
    pub skipped: i32,
    /// When the last one was.
    pub last_skipped_at: Option<DateTime<Utc>>,
    /// Turns in a row that made no task.
    pub failures: i32,
    /// Why the last of them made none: a stable code.
    pub last_error_code: Option<String>,
    /// And a sentence.
    pub last_error_message: Option<String>,
    /// And when that was.
    pub last_error_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What became of a schedule that was to be made.
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    /// It is there.
    Saved(Box<Schedule>),
    /// The name is taken.
    NameTaken,
    /// The tenant has as many as it may.
    TooMany,
    /// There is none with this id.
    Absent,
}

/// What the database's clock says.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn now(tx: &mut TenantTx) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(r#"select now() as "now!""#)
        .fetch_one(tx.connection())
        .await?)
}

/// Makes a schedule that is due at `due_at`. Locks the tenant's meter, so that those who make one at the same time
/// count one after the other.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut TenantTx,
    id: ScheduleId,
    plan: &Plan,
    due_at: Option<DateTime<Utc>>,
) -> Result<Saved, StoreError> {
    Meter::lock(tx).await?;
    let count = count(tx).await?;
    if count >= SCHEDULES_MAX {
        return Ok(Saved::TooMany);
    }
    let made = sqlx::query!(
        r#"
        insert into control.schedule (tenant_id, id, project_id, name, cron, time_zone, overlap, catch_up,
                                      scan_type, task_order, token_id, role, due_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict on constraint schedule_name_key do nothing
        "#,
        tx.tenant(),
        id.uuid(),
        plan.project_id.uuid(),
        plan.name,
        plan.cron,
        plan.time_zone,
        plan.overlap.as_str(),
        plan.catch_up.as_str(),
        plan.scan_type.as_str(),
        plan.order,
        plan.token.uuid(),
        plan.role.as_str(),
        due_at
    )
    .execute(tx.connection())
    .await?;
    if made.rows_affected() == 0 {
        return Ok(Saved::NameTaken);
    }
    saved(tx, id).await
}

/// Changes what is asked for and when; what went wrong before is forgotten.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn update(
    tx: &mut TenantTx,
    id: ScheduleId,
    plan: &Plan,
    due_at: Option<DateTime<Utc>>,
) -> Result<Saved, StoreError> {
    let taken = sqlx::query_scalar!(
        r#"select exists (select from control.schedule
           where tenant_id = $1 and name = $2 and id <> $3) as "taken!""#,
        tx.tenant(),
        plan.name,
        id.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    if taken {
        return Ok(Saved::NameTaken);
    }
    sqlx::query!(
        r#"
        update control.schedule
        set project_id = $3, name = $4, cron = $5, time_zone = $6, overlap = $7, catch_up = $8, scan_type = $9,
            task_order = $10, token_id = $11, role = $12, due_at = $13, firing_until = null, failures = 0,
            last_error_code = null, last_error_message = null, last_error_at = null
        where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        id.uuid(),
        plan.project_id.uuid(),
        plan.name,
        plan.cron,
        plan.time_zone,
        plan.overlap.as_str(),
        plan.catch_up.as_str(),
        plan.scan_type.as_str(),
        plan.order,
        plan.token.uuid(),
        plan.role.as_str(),
        due_at
    )
    .execute(tx.connection())
    .await?;
    saved(tx, id).await
}

/// Keeps a schedule as it is until the transaction ends. `false` when there is none.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn lock(tx: &mut TenantTx, id: ScheduleId) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"select 1 as "one!" from control.schedule where tenant_id = $1 and id = $2 for update"#,
        tx.tenant(),
        id.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(found.is_some())
}

/// Lets it rest, or go on at `due_at`.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn set_paused(
    tx: &mut TenantTx,
    id: ScheduleId,
    paused: bool,
    due_at: Option<DateTime<Utc>>,
) -> Result<Saved, StoreError> {
    sqlx::query!(
        r#"
        update control.schedule
        set paused_at = case when $3 then coalesce(paused_at, now()) end, due_at = $4, firing_until = null
        where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        id.uuid(),
        paused,
        due_at
    )
    .execute(tx.connection())
    .await?;
    saved(tx, id).await
}

async fn saved(tx: &mut TenantTx, id: ScheduleId) -> Result<Saved, StoreError> {
    let found = by_ids(tx, &[id]).await?.pop();
    Ok(found.map_or(Saved::Absent, |schedule| Saved::Saved(Box::new(schedule))))
}

/// Ends it; its tasks stay. `false` when there was none.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn delete(tx: &mut TenantTx, id: ScheduleId) -> Result<bool, StoreError> {
    let gone = sqlx::query!(
        "delete from control.schedule where tenant_id = $1 and id = $2",
        tx.tenant(),
        id.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(gone.rows_affected() == 1)
}

/// The schedules with these ids, in no order; unknown ids are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[ScheduleId]) -> Result<Vec<Schedule>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        ScheduleRow,
        r#"
        select id, project_id, name, cron, time_zone, overlap, catch_up, scan_type, task_order, token_id, role,
               paused_at, due_at, last_due_at, last_task_id, skipped, last_skipped_at, failures, last_error_code,
               last_error_message, last_error_at, created_at
        from control.schedule where tenant_id = $1 and id = any($2)
        "#,
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Schedule::try_from).collect()
}

/// One page of schedules, newest first.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(tx: &mut TenantTx, window: Window<ScheduleId>) -> Result<Page<Schedule>, StoreError> {
    let rows = sqlx::query_as!(
        ScheduleRow,
        r#"
        select id, project_id, name, cron, time_zone, overlap, catch_up, scan_type, task_order, token_id, role,
               paused_at, due_at, last_due_at, last_task_id, skipped, last_skipped_at, failures, last_error_code,
               last_error_message, last_error_at, created_at
        from control.schedule
        where tenant_id = $1 and ($2::uuid is null or id < $2) and ($3::uuid is null or id > $3)
        -- a tenant has few: they may be sorted
        order by case when $5 then id end, id desc limit $4
        "#,
        tx.tenant(),
        window.after.map(ScheduleId::uuid),
        window.before.map(ScheduleId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows
        .into_iter()
        .map(Schedule::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Page::read(rows, &window))
}

/// How many schedules there are.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn count(tx: &mut TenantTx) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from control.schedule where tenant_id = $1"#,
        tx.tenant()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count)
}

/// Locks a schedule whose turn of `due_at` nobody has made yet, before all other locks of the transaction.
/// `false` when somebody did, or changed or paused it.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn lock_due(tx: &mut TenantTx, id: ScheduleId, due_at: DateTime<Utc>) -> Result<bool, StoreError> {
    let ours = sqlx::query_scalar!(
        r#"select 1 as "one!" from control.schedule
           where tenant_id = $1 and id = $2 and due_at = $3 and paused_at is null for update"#,
        tx.tenant(),
        id.uuid(),
        due_at
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(ours.is_some())
}

/// How a turn was made.
#[derive(Debug, Clone, Copy)]
pub enum Turned<'a> {
    /// It made this task, for this time.
    Fired(TaskId, DateTime<Utc>),
    /// It was missed, and missed turns are left out.
    Missed,
    /// An earlier task had not ended.
    Skipped,
    /// It could not be.
    Refused(&'a Refusal),
}

/// Moves a locked schedule on to its next turn.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn turn(
    tx: &mut TenantTx,
    id: ScheduleId,
    turned: Turned<'_>,
    next: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let (task, due_at) = match turned {
        Turned::Fired(task, due_at) => (Some(task.uuid()), Some(due_at)),
        _ => (None, None),
    };
    let refusal = match turned {
        Turned::Refused(refusal) => Some(refusal),
        _ => None,
    };
    sqlx::query!(
        r#"
        update control.schedule
        set due_at = $3, firing_until = null,
            last_task_id = coalesce($4, last_task_id), last_due_at = coalesce($5, last_due_at),
            skipped = skipped + $6::int, last_skipped_at = case when $6 = 1 then now() else last_skipped_at end,
            failures = case when $7::text is not null then failures + 1 when $4 is not null then 0 else failures end,
            last_error_code = case when $4 is null then coalesce($7, last_error_code) end,
            last_error_message = case when $4 is null then coalesce($8, last_error_message) end,
            last_error_at = case when $4 is not null then null when $7 is not null then now() else last_error_at end
        where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        id.uuid(),
        next,
        task,
        due_at,
        i32::from(matches!(turned, Turned::Skipped)),
        refusal.map(|refusal| refusal.code.as_ref()),
        refusal.map(|refusal| refusal.message.as_str())
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The tasks of a schedule that have not ended, of its last [`TASKS_LOOKED_AT`], the latest first. Served by
/// `task_of_schedule_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn unfinished_tasks(tx: &mut TenantTx, id: ScheduleId) -> Result<Vec<TaskId>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"
        select last.id from (
            select id, status from tenant.task where tenant_id = $1 and schedule_id = $2
            order by id desc limit $3) last
        where last.status in ('queued', 'running', 'retrying') order by last.id desc
        "#,
        tx.tenant(),
        id.uuid(),
        TASKS_LOOKED_AT
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(ids.into_iter().map(TaskId::from).collect())
}
