//! The tasks of groups.

use std::collections::HashMap;

use tamiz_core::{GroupId, TaskId};
use uuid::Uuid;

use super::{Task, TaskRow};
use crate::error::StoreError;
use crate::page::{Page, PageLimit};
use crate::tenant_tx::TenantTx;
use crate::weight;

/// The same page of tasks of each group, newest first; a group without tasks is left out.
///
/// One statement however many groups; each page is served by `task_of_group_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn pages_of_groups(
    tx: &mut TenantTx,
    groups: &[GroupId],
    after: Option<TaskId>,
    limit: PageLimit,
) -> Result<HashMap<GroupId, Page<Task>>, StoreError> {
    let groups: Vec<Uuid> = groups.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        TaskRow,
        r#"
        select t.id as "id!", t.project_id as "project_id!", t.type as "type!", t.status as "status!",
               t.phase as "phase!", t.payload as "payload!", t.retries as "retries!", t.attempt as "attempt!",
               t.priority as "priority!", t.event_seq as "event_seq!", t.error_code, t.error_message,
               t.plugin_fault, t.cancel_requested_at, t.created_at as "created_at!", t.started_at,
               t.finished_at, t.run_at, t.timeout_seconds, t.group_id, t.schedule_id
        from unnest($2::uuid[]) parent(parent_id)
        cross join lateral (
            select * from tenant.task
            where tenant_id = $1 and group_id = parent.parent_id and ($3::uuid is null or id < $3)
            order by id desc limit $4) t
        order by t.id desc
        "#,
        tx.tenant(),
        &groups,
        after.map(TaskId::uuid),
        limit.probe()
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_task).await?;
    let tasks = rows
        .into_iter()
        .map(Task::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let tasks = tasks.into_iter().filter_map(|task| Some((task.group?, task)));
    Ok(Page::of_each(tasks, limit))
}
