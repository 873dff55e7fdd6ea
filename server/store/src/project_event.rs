//! What happens to the tasks and alerts of a project, numbered when it is read.
//!
//! Writers only insert, within the transaction that changes something: they wait for nobody, and a scan that stores a
//! million findings holds up no other task of its project. Numbers come with the first reading: [`Store::number_project_events`] gives the
//! next ones to all rows that are committed and have none, one reader at a time. What commits later gets a later number,
//! whenever it began, so a reader who has seen `n` never misses a smaller one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tamiz_core::progress::Phase;
use tamiz_core::{ProjectId, Severity, TaskId, TaskStatus};
use uuid::Uuid;

use crate::connect::Store;
use crate::error::{StoreError, ranked, word};
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Events are kept for so many days; a watcher that was away for longer has to look at everything again.
pub const KEPT_DAYS: i32 = 7;
/// Rows that one statement deletes.
const ROWS_AT_ONCE: i64 = 5_000;
/// Rows that one call deletes before it leaves the rest to the next.
const ROWS_PER_CALL: u64 = 50_000;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A task was queued, or has another state.
    Task,
    /// Alerts were opened, fixed, reopened or dismissed.
    Alerts,
}

impl Kind {
    pub(crate) const fn rank(self) -> i16 {
        match self {
            Self::Task => 1,
            Self::Alerts => 2,
        }
    }
}

/// How many alerts of a severity changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertsChanged {
    /// Which.
    pub severity: Severity,
    /// That nobody knew.
    pub opened: i32,
    /// Gone.
    pub fixed: i32,
    /// There again, or wanted again.
    pub reopened: i32,
    /// Decided not to act on.
    pub dismissed: i32,
}

/// One thing that happened in a project.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectEvent {
    /// From 1; of one project without gaps, of one kind with some.
    pub seq: i64,
    /// The task that changed, or that changed the alerts.
    pub task: Option<TaskId>,
    /// Of a task: its state from then on.
    pub status: Option<TaskStatus>,
    /// Of a task: what it does from then on.
    pub phase: Option<Phase>,
    /// Of alerts: by severity.
    pub alerts: Vec<AlertsChanged>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What happens to alerts in one transaction; opened, fixed, reopened, dismissed of each severity.
pub(crate) async fn append_alerts(
    tx: &mut TenantTx,
    project: ProjectId,
    task: Option<TaskId>,
    changes: &BTreeMap<Severity, [i32; 4]>,
) -> Result<(), StoreError> {
    let severities: Vec<i16> = changes.keys().map(|severity| severity.rank()).collect();
    let column = |index: usize| -> Vec<i32> { changes.values().map(|counts| counts[index]).collect() };
    sqlx::query!(
        "insert into tenant.project_event
            (tenant_id, project_id, id, kind, task_id, severities, opened, fixed, reopened, dismissed)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tx.tenant(),
        project.uuid(),
        Uuid::now_v7(),
        Kind::Alerts.rank(),
        task.map(TaskId::uuid),
        &severities,
        &column(0),
        &column(1),
        &column(2),
        &column(3)
    )
    .execute(tx.connection())
    .await?;
    tx.will_signal_project(project);
    Ok(())
}

impl Store {
    /// Gives numbers to the events of `project` that have none, and answers its last one. The numbers are kept before
    /// anybody is told of them.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn number_project_events(
        &self,
        scope: &TenantScope,
        project: ProjectId,
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin(scope).await?;
        let (last, is_more) = numbered(&mut tx, project).await?;
        let last = if is_more {
            number(&mut tx, project).await?
        } else {
            last
        };
        tx.commit().await?;
        Ok(last)
    }
}

/// The last number, and whether something has none: most of the time nothing has, and nobody waits for the head.
async fn numbered(tx: &mut TenantTx, project: ProjectId) -> Result<(i64, bool), StoreError> {
    let row = sqlx::query!(
        r#"
        select coalesce((select seq from tenant.project_feed where tenant_id = $1 and project_id = $2), 0) as "seq!",
               exists (select from tenant.project_event
                       where tenant_id = $1 and project_id = $2 and seq is null) as "is_more!"
        "#,
        tx.tenant(),
        project.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok((row.seq, row.is_more))
}

async fn number(tx: &mut TenantTx, project: ProjectId) -> Result<i64, StoreError> {
    sqlx::query!(
        "insert into tenant.project_feed (tenant_id, project_id) values ($1, $2) on conflict do nothing",
        tx.tenant(),
        project.uuid()
    )
    .execute(tx.connection())
    .await?;
    sqlx::query!(
        "select seq from tenant.project_feed where tenant_id = $1 and project_id = $2 for update",
        tx.tenant(),
        project.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    // a statement of its own, so that it sees what the last holder of the head has numbered
    let seq = sqlx::query_scalar!(
        r#"
        with numbered as (
            update tenant.project_event e set seq = n.seq
            from (select id, (select seq from tenant.project_feed where tenant_id = $1 and project_id = $2)
                             + row_number() over (order by id) as seq
                  from tenant.project_event where tenant_id = $1 and project_id = $2 and seq is null) n
            where e.tenant_id = $1 and e.project_id = $2 and e.id = n.id
            returning e.seq)
        update tenant.project_feed set seq = greatest(seq, (select max(seq) from numbered))
        where tenant_id = $1 and project_id = $2
        returning seq
        "#,
        tx.tenant(),
        project.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(seq)
}

/// The number of the oldest event that is still there; `None` when there is none.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn oldest(tx: &mut TenantTx, project: ProjectId) -> Result<Option<i64>, StoreError> {
    let seq = sqlx::query_scalar!(
        "select min(seq) from tenant.project_event where tenant_id = $1 and project_id = $2 and seq is not null",
        tx.tenant(),
        project.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(seq)
}

/// Numbered events after `after`, of one kind, oldest first, at most `rows_max`.
///
/// Served by `project_event_seq_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn after(
    tx: &mut TenantTx,
    project: ProjectId,
    kind: Kind,
    after: i64,
    rows_max: i64,
) -> Result<Vec<ProjectEvent>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select seq as "seq!", task_id, status, phase, severities, opened, fixed, reopened, dismissed, created_at
        from tenant.project_event
        where tenant_id = $1 and project_id = $2 and seq > $3 and kind = $4 order by seq limit $5
        "#,
        tx.tenant(),
        project.uuid(),
        after,
        kind.rank(),
        rows_max
    )
    .fetch_all(tx.connection())
    .await?;
    let read = rows.into_iter().map(|row| {
        let column = |values: Option<Vec<i32>>, index: usize| {
            values.and_then(|values| values.get(index).copied()).unwrap_or(0)
        };
        let severities = row.severities.unwrap_or_default().into_iter().enumerate();
        let alerts = severities.map(|(index, rank)| {
            Ok(AlertsChanged {
                severity: ranked("severity", rank, Severity::from_rank)?,
                opened: column(row.opened.clone(), index),
                fixed: column(row.fixed.clone(), index),
                reopened: column(row.reopened.clone(), index),
                dismissed: column(row.dismissed.clone(), index),
            })
        });
        Ok(ProjectEvent {
            seq: row.seq,
            task: row.task_id.map(TaskId::from),
            status: row
                .status
                .as_deref()
                .map(|text| word("task status", text))
                .transpose()?,
            phase: row.phase.as_deref().map(|text| word("phase", text)).transpose()?,
            alerts: alerts.collect::<Result<_, StoreError>>()?,
            created_at: row.created_at,
        })
    });
    read.collect()
}

impl Store {
    /// Deletes events that are older than [`KEPT_DAYS`], up to some thousand of a tenant; answers how many.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was deleted and some tenant's could not be.
    pub async fn delete_old_project_events(&self) -> Result<u64, StoreError> {
        let failing = "old events of projects stay";
        self.round(ROWS_PER_CALL, failing, |store, scope| async move {
            let mut tx = store.begin(&scope).await?;
            let gone = forget(&mut tx).await?;
            tx.commit().await?;
            Ok(gone)
        })
        .await
    }
}

/// Deletes old events. Those that nobody has numbered count as if they had been: whoever was away for so long finds a
/// gap behind the cursor, and is told so. A project without a head was never read, so nobody has a cursor of it.
async fn forget(tx: &mut TenantTx) -> Result<u64, StoreError> {
    // as whoever numbers does: heads first, then events
    sqlx::query!(
        "select from tenant.project_feed f
         where tenant_id = $1 and exists (
             select from tenant.project_event e
             where e.tenant_id = $1 and e.project_id = f.project_id and e.seq is null
                 and e.created_at < now() - make_interval(days => $2))
         order by project_id for update",
        tx.tenant(),
        KEPT_DAYS
    )
    .execute(tx.connection())
    .await?;
    let gone = sqlx::query_scalar!(
        r#"
        with gone as (
            delete from tenant.project_event where tenant_id = $1 and (project_id, id) in (
                select project_id, id from tenant.project_event
                where tenant_id = $1 and created_at < now() - make_interval(days => $2)
                order by created_at limit $3)
            returning project_id, seq),
        unnumbered as (
            select project_id, count(*) as events from gone where seq is null group by project_id),
        counted as (
            update tenant.project_feed f set seq = f.seq + u.events
            from unnumbered u where f.tenant_id = $1 and f.project_id = u.project_id)
        select count(*) as "gone!" from gone
        "#,
        tx.tenant(),
        KEPT_DAYS,
        ROWS_AT_ONCE
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(u64::try_from(gone).unwrap_or(0))
}
