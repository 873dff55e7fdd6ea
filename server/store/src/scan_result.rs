//! The totals of a task, one row per task.

use chrono::{DateTime, Utc};
use tamiz_core::TaskId;
use tamiz_core::budget::json_bytes;
use tamiz_core::summary::Summary;
use uuid::Uuid;

use crate::error::StoreError;
use crate::finding::FindingMonth;
use crate::tenant_tx::TenantTx;

/// What a task came to.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanResult {
    /// Its id.
    pub id: Uuid,
    /// Of which task.
    pub task_id: TaskId,
    /// Totals and diagnostics.
    pub summary: Summary,
    /// The first report's blob.
    pub storage_path: Option<String>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// Stores the row; its findings go in that month.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut TenantTx,
    task: TaskId,
    summary: &Summary,
    storage_path: Option<&str>,
    month: FindingMonth,
) -> Result<(), StoreError> {
    let summary = serde_json::to_value(summary)
        .map_err(|error| StoreError::unreadable("summary", &error.to_string()))?;
    sqlx::query!(
        "insert into tenant.scan_result (tenant_id, id, task_id, summary, storage_path, findings_expire_on)
         values ($1, $2, $3, $4, $5, $6)",
        tx.tenant(),
        Uuid::now_v7(),
        task.uuid(),
        summary,
        storage_path,
        month.expires_on()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Forgets the findings and the totals of `task`, which is sent back and starts afresh (a partial
/// report keeps what was readable).
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub(crate) async fn clear(tx: &mut TenantTx, task: TaskId) -> Result<(), StoreError> {
    let had = sqlx::query!(
        "delete from tenant.scan_result where tenant_id = $1 and task_id = $2",
        tx.tenant(),
        task.uuid()
    )
    .execute(tx.connection())
    .await?;
    if had.rows_affected() > 0 {
        sqlx::query!(
            "delete from tenant.finding_occurrence o using tenant.finding f
             where o.tenant_id = $1 and f.tenant_id = $1 and f.task_id = $2 and o.finding_id = f.id",
            tx.tenant(),
            task.uuid()
        )
        .execute(tx.connection())
        .await?;
        sqlx::query!(
            "delete from tenant.finding where tenant_id = $1 and task_id = $2",
            tx.tenant(),
            task.uuid()
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}

/// The results of these tasks, in no order; tasks without one are left out.
///
/// Served by `scan_result_task_key (tenant_id, task_id)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tasks(tx: &mut TenantTx, tasks: &[TaskId]) -> Result<Vec<ScanResult>, StoreError> {
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query!(
        "select id, task_id, summary, storage_path, created_at from tenant.scan_result
         where tenant_id = $1 and task_id = any($2)",
        tx.tenant(),
        &tasks
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, |row| json_bytes(&row.summary)).await?;
    rows.into_iter()
        .map(|row| {
            Ok(ScanResult {
                id: row.id,
                task_id: row.task_id.into(),
                summary: serde_json::from_value(row.summary)
                    .map_err(|error| StoreError::unreadable("summary", &error.to_string()))?,
                storage_path: row.storage_path,
                created_at: row.created_at,
            })
        })
        .collect()
}
