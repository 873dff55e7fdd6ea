//! The scopes that scans compare themselves with.

use chrono::{DateTime, Utc};
use tamiz_core::identity::fingerprint;
use tamiz_core::scope::ScanScope;
use tamiz_core::{ProjectId, TaskId};
use uuid::Uuid;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// A scope that a scan compares itself with.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenScope {
    pub(super) id: Uuid,
    /// When it was scanned before; now, if it never was.
    pub(super) scanned_before: DateTime<Utc>,
    /// Whether this is the first scan of it, so that it holds nothing.
    pub(super) is_new: bool,
}

/// Notes that the task scanned it; made if this is the first scan of it. The project is held.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub(super) async fn open(
    tx: &mut TenantTx,
    project: ProjectId,
    task: TaskId,
    scope: &ScanScope,
) -> Result<OpenScope, StoreError> {
    let opened = sqlx::query_as!(
        OpenScope,
        r#"
        with before as materialized (
            select scanned_at from tenant.scan_scope where tenant_id = $1 and project_id = $3 and key = $4)
        insert into tenant.scan_scope as s
            (tenant_id, id, project_id, key, scan_type, tool, target, branch, environment, category, task_id, scanned_at,
             fingerprint_version)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now(), $12)
        on conflict (tenant_id, project_id, key) do update set task_id = excluded.task_id, scanned_at = now()
        returning s.id, coalesce((select scanned_at from before), now()) as "scanned_before!",
                  not exists (select from before) as "is_new!"
        "#,
        tx.tenant(),
        Uuid::now_v7(),
        project.uuid(),
        &scope.key(),
        scope.scan_type.as_str(),
        scope.tool,
        scope.target,
        scope.labels.branch,
        scope.labels.environment,
        scope.labels.category,
        task.uuid(),
        fingerprint::VERSION
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(opened)
}
