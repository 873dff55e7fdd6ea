//! Groups: tasks that finish together.
//!
//! A group counts its tasks and those that have not ended, in the transactions that ask for them and end
//! them. It finishes once: when it is closed and its last task ends, or when it is closed after that. What
//! happens to its tasks later (somebody tries one again) does not take that back.
//!
//! Lock order: task rows, then the group's row, then tickets.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use tamiz_core::{GroupId, ProjectId, TaskId, TaskStatus};
use uuid::Uuid;

use crate::error::{StoreError, word};
use crate::page::{Page, Window};
use crate::row_count::{PROBED, RowCount};
use crate::tenant_tx::TenantTx;

/// Tasks of one group: what its counts can still be read for in a moment.
pub const TASKS_MAX: i32 = 10_000;

/// Tasks that finish together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Where it belongs.
    pub project_id: ProjectId,
    /// For people.
    pub name: String,
    /// Tasks that were asked for in it.
    pub tasks: i32,
    /// Those of them that have not ended; stays at 0 once it has finished.
    pub unfinished: i32,
    /// Since when it takes no more.
    pub closed_at: Option<DateTime<Utc>>,
    /// When it was closed and all had ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

struct GroupRow {
    id: Uuid,
    project_id: Uuid,
    name: String,
    tasks: i32,
    unfinished: i32,
    closed_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<GroupRow> for Group {
    fn from(row: GroupRow) -> Self {
        Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            name: row.name,
            tasks: row.tasks,
            unfinished: row.unfinished,
            closed_at: row.closed_at,
            finished_at: row.finished_at,
            created_at: row.created_at,
        }
    }
}

/// Makes an empty group; once, however often it is asked for with the same id. `None` when the project is
/// not there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut TenantTx,
    id: GroupId,
    project: ProjectId,
    name: &str,
) -> Result<Option<Group>, StoreError> {
    sqlx::query!(
        r#"
        insert into tenant.task_group (tenant_id, id, project_id, name)
        select $1, $2, p.id, $4 from tenant.project p where p.tenant_id = $1 and p.id = $3
        on conflict (tenant_id, id) do nothing
        "#,
        tx.tenant(),
        id.uuid(),
        project.uuid(),
        name
    )
    .execute(tx.connection())
    .await?;
    Ok(by_ids(tx, &[id]).await?.pop())
}

/// Whether a group took a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It did.
    Entered,
    /// It takes no more.
    Closed,
    /// It has as many as it may.
    Full,
    /// There is none with this id in the task's project.
    Absent,
}

/// Counts a new task of the group.
pub(crate) async fn enter(tx: &mut TenantTx, id: GroupId, project: ProjectId) -> Result<Entry, StoreError> {
    let entered = sqlx::query!(
        r#"
        update tenant.task_group set tasks = tasks + 1, unfinished = unfinished + 1
        where tenant_id = $1 and id = $2 and project_id = $3 and closed_at is null and tasks < $4
        "#,
        tx.tenant(),
        id.uuid(),
        project.uuid(),
        TASKS_MAX
    )
    .execute(tx.connection())
    .await?;
    if entered.rows_affected() == 1 {
        announce(tx, id);
        return Ok(Entry::Entered);
    }
    let found = by_ids(tx, &[id]).await?.pop();
    Ok(match found.filter(|group| group.project_id == project) {
        None => Entry::Absent,
        Some(group) if group.closed_at.is_some() => Entry::Closed,
        Some(_) => Entry::Full,
    })
}

/// Takes the rows of the tasks' groups, in the order in which everybody takes them, for whoever takes
/// tickets before they end the tasks.
pub(crate) async fn lock_of(tx: &mut TenantTx, tasks: &[TaskId]) -> Result<(), StoreError> {
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        r#"
        select 1 as one from tenant.task_group where tenant_id = $1 and id in (
            select group_id from tenant.task where tenant_id = $1 and id = any($2) and group_id is not null)
        order by id for no key update
        "#,
        tx.tenant(),
        &tasks
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(())
}

/// A task ended, if it has a group; the last one of a closed group finishes it.
pub(crate) async fn leave(tx: &mut TenantTx, task: TaskId) -> Result<(), StoreError> {
    let group = sqlx::query_scalar!(
        r#"
        update tenant.task_group g
        set unfinished = g.unfinished - 1,
            finished_at = case when g.closed_at is not null and g.unfinished = 1 then now() end
        from tenant.task t
        where t.tenant_id = $1 and t.id = $2 and g.tenant_id = $1 and g.id = t.group_id
          and g.finished_at is null and g.unfinished > 0
        returning g.id
        "#,
        tx.tenant(),
        task.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    if let Some(group) = group {
        announce(tx, group.into());
    }
    Ok(())
}

/// Ended tasks are tried again: their groups wait for them, unless they have finished.
pub(crate) async fn come_back(tx: &mut TenantTx, tasks: &[TaskId]) -> Result<(), StoreError> {
    lock_of(tx, tasks).await?;
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let groups = sqlx::query_scalar!(
        r#"
        update tenant.task_group g set unfinished = g.unfinished + back.count::int
        from (select group_id, count(*) from tenant.task
              where tenant_id = $1 and id = any($2) and group_id is not null group by group_id) back
        where g.tenant_id = $1 and g.id = back.group_id and g.finished_at is null
        returning g.id
        "#,
        tx.tenant(),
        &tasks
    )
    .fetch_all(tx.connection())
    .await?;
    for group in groups {
        announce(tx, group.into());
    }
    Ok(())
}

/// Takes no more tasks from now on; finished at once when all of them have ended. `None` when it is not
/// there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn close(tx: &mut TenantTx, id: GroupId) -> Result<Option<Group>, StoreError> {
    let row = sqlx::query_as!(
        GroupRow,
        r#"
        update tenant.task_group
        set closed_at = coalesce(closed_at, now()),
            finished_at = case when unfinished = 0 then coalesce(finished_at, now()) end
        where tenant_id = $1 and id = $2
        returning id, project_id, name, tasks, unfinished, closed_at, finished_at, created_at
        "#,
        tx.tenant(),
        id.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    if row.is_some() {
        announce(tx, id);
    }
    Ok(row.map(Group::from))
}

/// The groups with these ids, in no order; unknown ids are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[GroupId]) -> Result<Vec<Group>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        GroupRow,
        r#"
        select id, project_id, name, tasks, unfinished, closed_at, finished_at, created_at
        from tenant.task_group where tenant_id = $1 and id = any($2)
        "#,
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(Group::from).collect())
}

/// Ids are unique over all kinds: its watchers listen where those of tasks do.
fn announce(tx: &mut TenantTx, id: GroupId) {
    tx.will_signal_task(TaskId::from(id.uuid()));
}

/// One page of groups, newest first. Served by the primary key, or by `task_group_project_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(
    tx: &mut TenantTx,
    project: Option<ProjectId>,
    window: Window<GroupId>,
) -> Result<Page<Group>, StoreError> {
    let rows = sqlx::query_as!(
        GroupRow,
        r#"
        select id as "id!", project_id as "project_id!", name as "name!", tasks as "tasks!", unfinished as "unfinished!",
               closed_at, finished_at, created_at as "created_at!"
        from (
            (select * from tenant.task_group
             where tenant_id = $1 and ($2::uuid is null or project_id = $2)
               and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4) and not $6
             order by id desc limit $5)
            union all
            (select * from tenant.task_group
             where tenant_id = $1 and ($2::uuid is null or project_id = $2)
               and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4) and $6
             order by id limit $5)) g
        order by id desc
        "#,
        tx.tenant(),
        project.map(ProjectId::uuid),
        window.after.map(GroupId::uuid),
        window.before.map(GroupId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(Page::between(
        rows.into_iter().map(Group::from).collect(),
        &window,
    ))
}

/// How many groups there are under the same filter as [`page`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn count(tx: &mut TenantTx, project: Option<ProjectId>) -> Result<RowCount, StoreError> {
    let read = sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from (
            select from tenant.task_group
            where tenant_id = $1 and ($2::uuid is null or project_id = $2)
            limit $3
        ) g
        "#,
        tx.tenant(),
        project.map(ProjectId::uuid),
        PROBED
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(RowCount::probed(read))
}

/// How many tasks of each group are in each state; served by `task_of_group_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn counts(
    tx: &mut TenantTx,
    groups: &[GroupId],
) -> Result<HashMap<GroupId, Vec<(TaskStatus, i64)>>, StoreError> {
    let groups: Vec<Uuid> = groups.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select group_id as "group_id!", status, count(*) as "count!" from tenant.task
        where tenant_id = $1 and group_id = any($2) group by group_id, status
        "#,
        tx.tenant(),
        &groups
    )
    .fetch_all(tx.connection())
    .await?;
    let mut counts: HashMap<GroupId, Vec<(TaskStatus, i64)>> = HashMap::new();
    for row in rows {
        let status = word("task status", &row.status)?;
        counts
            .entry(row.group_id.into())
            .or_default()
            .push((status, row.count));
    }
    Ok(counts)
}
