//! Until when alerts are due: the project's days by severity, from the day on which they open.

use sqlx::types::Json;
use tamiz_core::{ProjectId, Severity, SlaDays, TaskId};

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// What the project promises. Nothing, if it is not there.
pub(super) async fn promised(tx: &mut TenantTx, project: ProjectId) -> Result<SlaDays, StoreError> {
    let sla = sqlx::query_scalar!(
        r#"
        select coalesce(settings->'slaDays', '{}') as "sla!: Json<SlaDays>" from tenant.project
        where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        project.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(sla.map(|sla| sla.0).unwrap_or_default())
}

/// Sets when the alerts are due that the task opened or reopened, or whose severity it changed, in this transaction.
/// The project is held.
///
/// To be called once after a task's scopes are merged, unless nothing changed. Without an SLA it reads one row. With one
/// it reads the open alerts of the scopes that the task told of (`alert_present_idx`), keeps the rows that this very
/// transaction wrote (`xmin`), which costs nothing, and of these looks for an event of this transaction by its key. So no
/// index has to be kept for it and no list of ids be carried; a scan that changes nothing need not ask.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn set(tx: &mut TenantTx, project: ProjectId, task: TaskId) -> Result<(), StoreError> {
    let sla = promised(tx, project).await?;
    if sla.is_empty() {
        return Ok(());
    }
    // by rank, from info; 1-based in the array
    let days: Vec<Option<i32>> = Severity::ALL
        .iter()
        .map(|severity| sla.of(*severity).map(i32::from))
        .collect();
    sqlx::query!(
        r#"
        update tenant.alert a set due_on = (now() at time zone 'UTC')::date + ($4::int[])[a.severity + 1]
        from tenant.scan_scope s
        where s.tenant_id = $1 and s.project_id = $2 and s.task_id = $3
          and a.tenant_id = $1 and a.project_id = $2 and a.scope_id = s.id and a.state in (0, 1)
          and a.severity between 0 and 4 and a.last_seen_at is null and a.xmin = pg_current_xact_id()::xid
          and (select true from tenant.alert_event e
               where e.tenant_id = $1 and e.alert_id = a.id and e.task_id = $3 and e.created_at = now()
                 and e.kind in ('opened', 'reopened', 'severity') limit 1)
        "#,
        tx.tenant(),
        project.uuid(),
        task.uuid(),
        &days as &[Option<i32>]
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
