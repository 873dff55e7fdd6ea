//! Runs of native tools, as they are kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamiz_core::budget::json_bytes;
use tamiz_core::{ArtifactId, TaskId, ToolExecutionId};
use uuid::Uuid;

use crate::attempt;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// One run of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolExecution {
    /// Its id.
    pub id: ToolExecutionId,
    /// For which task.
    pub task_id: TaskId,
    /// In which attempt.
    pub attempt: i32,
    /// The tool's name in the catalogue.
    pub tool: String,
    /// As the tool told it.
    pub tool_version: Option<String>,
    /// The arguments as the tool got them.
    pub args: Vec<String>,
    /// `None` when a signal ended it.
    pub exit_code: Option<i32>,
    /// `exited`, `timed_out`, `output_limit`, `cancelled`, `killed`.
    pub ended_by: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// What it wrote to stdout.
    pub stdout_ref: Option<ArtifactId>,
    /// What it wrote to stderr.
    pub stderr_ref: Option<ArtifactId>,
    /// CPU seconds, peak memory, bytes written.
    pub metrics: Value,
}

/// Stores the row.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(tx: &mut TenantTx, run: &ToolExecution) -> Result<(), StoreError> {
    let args = Value::from(run.args.clone());
    sqlx::query!(
        r#"
        insert into tenant.tool_execution
            (tenant_id, id, task_id, attempt, tool, tool_version, args, exit_code, ended_by, started_at,
             finished_at, stdout_ref, stderr_ref, metrics)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        "#,
        tx.tenant(),
        run.id.uuid(),
        run.task_id.uuid(),
        run.attempt,
        run.tool,
        run.tool_version,
        args,
        run.exit_code,
        run.ended_by,
        run.started_at,
        run.finished_at,
        run.stdout_ref.map(ArtifactId::uuid),
        run.stderr_ref.map(ArtifactId::uuid),
        run.metrics
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The runs in the latest hundred attempts of these tasks, oldest first.
///
/// Served by `tool_execution_task_idx (tenant_id, task_id, id)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn of_tasks(tx: &mut TenantTx, tasks: &[TaskId]) -> Result<Vec<ToolExecution>, StoreError> {
    let tasks: Vec<Uuid> = tasks.iter().map(|id| id.uuid()).collect();
    select(tx, &tasks, &[]).await
}

/// The runs with these ids, in no order; unknown ids are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[ToolExecutionId]) -> Result<Vec<ToolExecution>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    select(tx, &[], &ids).await
}

async fn select(tx: &mut TenantTx, tasks: &[Uuid], ids: &[Uuid]) -> Result<Vec<ToolExecution>, StoreError> {
    let allowance = tx.allowance();
    let rows = sqlx::query!(
        r#"
        select id, task_id, attempt, tool, tool_version, args, exit_code, ended_by, started_at, finished_at,
               stdout_ref, stderr_ref, metrics
        from tenant.tool_execution
        where tenant_id = $1 and (id = any($3) or task_id = any($2) and attempt > (
            select t.attempt - $4 from tenant.task t where t.tenant_id = $1 and t.id = task_id))
        order by task_id, id
        "#,
        tx.tenant(),
        tasks,
        ids,
        attempt::SHOWN_MAX
    )
    .fetch(tx.connection());
    let rows = allowance
        .collect(rows, |row| json_bytes(&row.args) + json_bytes(&row.metrics))
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ToolExecution {
                id: row.id.into(),
                task_id: row.task_id.into(),
                attempt: row.attempt,
                tool: row.tool,
                tool_version: row.tool_version,
                args: serde_json::from_value(row.args)
                    .map_err(|error| StoreError::unreadable("tool arguments", &error.to_string()))?,
                exit_code: row.exit_code,
                ended_by: row.ended_by,
                started_at: row.started_at,
                finished_at: row.finished_at,
                stdout_ref: row.stdout_ref.map(ArtifactId::from),
                stderr_ref: row.stderr_ref.map(ArtifactId::from),
                metrics: row.metrics,
            })
        })
        .collect()
}
