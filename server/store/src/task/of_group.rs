//! The tasks of groups.

use std::collections::HashMap;

use tamiz_core::{GroupId, TaskId};
use uuid::Uuid;

use super::{Payload, Task, TaskRow};
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;
use crate::unparsed::Unparsed;
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
    window: Window<TaskId>,
) -> Result<HashMap<GroupId, Page<Task>>, StoreError> {
    let groups: Vec<Uuid> = groups.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        TaskRow,
        r#"
        select t.id as "id!", t.project_id as "project_id!", t.type as "type!", t.status as "status!",
               t.phase as "phase!", t.payload as "payload!: Unparsed<Payload>", t.retries as "retries!", t.attempt as "attempt!",
               t.priority as "priority!", t.event_seq as "event_seq!", t.error_code, t.error_message,
               t.plugin_fault, t.cancel_requested_at, t.created_at as "created_at!", t.started_at,
               t.finished_at, t.run_at, t.timeout_seconds, t.group_id, t.schedule_id
        from unnest($2::uuid[]) parent(parent_id)
        cross join lateral (
            (select * from tenant.task
             where tenant_id = $1 and group_id = parent.parent_id
               and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4) and not $6
             order by id desc limit $5)
            union all
            (select * from tenant.task
             where tenant_id = $1 and group_id = parent.parent_id
               and ($3::uuid is null or id < $3) and ($4::uuid is null or id > $4) and $6
             order by id limit $5)) t
        order by t.id desc
        "#,
        tx.tenant(),
        &groups,
        window.after.map(TaskId::uuid),
        window.before.map(TaskId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_task).await?;
    let tasks = rows
        .into_iter()
        .map(Task::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let tasks = tasks.into_iter().filter_map(|task| Some((task.group?, task)));
    Ok(Page::between_each(tasks, &window))
}
