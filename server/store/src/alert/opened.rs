//! What is new by one scan: alerts that it opened or brought back and that are open still.

use tamiz_core::gate::SeverityCounts;
use tamiz_core::{Severity, TaskId};

use crate::error::{StoreError, ranked};
use crate::tenant_tx::TenantTx;

/// How many alerts `task` opened or reopened that nobody dismissed since and no later scan found gone, by how severe
/// they are now.
///
/// Served by `finding_task_severity_idx (tenant_id, task_id, …)` and the primary keys of alerts and their events, key
/// by key (see [`super::hold_project`]): as many look-ups as the task has findings.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn opened_by(tx: &mut TenantTx, task: TaskId) -> Result<SeverityCounts, StoreError> {
    let rows = sqlx::query!(
        r#"
        with seen as (
            select distinct f.alert_id as id from tenant.finding f
            where f.tenant_id = $1 and f.task_id = $2 and f.alert_id is not null)
        select a.severity, count(*) as "alerts!"
        from seen
        cross join lateral (
            select a.id, a.severity, a.state from tenant.alert a
            where a.tenant_id = $1 and a.id >= seen.id and a.id <= seen.id order by a.id limit 1) a
        cross join lateral (
            select from tenant.alert_event e
            where e.tenant_id = $1 and e.alert_id >= a.id and e.alert_id <= a.id
              and e.task_id = $2 and e.kind in ('opened', 'reopened')
            order by e.alert_id limit 1) e
        where a.state in (0, 1)
        group by a.severity
        "#,
        tx.tenant(),
        task.uuid()
    )
    .fetch_all(tx.connection())
    .await?;
    let counted = rows.into_iter().map(|row| {
        let severity = ranked("severity", row.severity, Severity::from_rank)?;
        Ok((severity, u32::try_from(row.alerts).unwrap_or(u32::MAX)))
    });
    counted.collect()
}
