//! Which kind of thing an id names. Ids are UUIDv7 and unique over all kinds.

use uuid::Uuid;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// What an id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A project.
    Project,
    /// A task.
    Task,
    /// A finding.
    Finding,
    /// An alert.
    Alert,
    /// An artifact.
    Artifact,
    /// A run of a tool.
    ToolExecution,
    /// An installed plugin.
    Plugin,
    /// An upload.
    Upload,
    /// A token.
    Token,
    /// The tenant itself.
    Tenant,
}

/// The kind of `id`; `None` when this tenant has nothing of that id.
///
/// Served by the primary keys.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn kind(tx: &mut TenantTx, id: Uuid) -> Result<Option<Kind>, StoreError> {
    let word = sqlx::query_scalar!(
        r#"
        select 'project' as "kind!" from tenant.project where tenant_id = $1 and id = $2
        union all select 'task' from tenant.task where tenant_id = $1 and id = $2
        union all select 'finding' from tenant.finding where tenant_id = $1 and id = $2
        union all select 'alert' from tenant.alert where tenant_id = $1 and id = $2
        union all select 'artifact' from tenant.artifact where tenant_id = $1 and id = $2
        union all select 'tool_execution' from tenant.tool_execution where tenant_id = $1 and id = $2
        union all select 'plugin' from control.plugin
            where (tenant_id is null or tenant_id = $1) and id = $2
        union all select 'upload' from tenant.codeaudit_upload where tenant_id = $1 and id = $2
        union all select 'token' from tenant.api_token where tenant_id = $1 and id = $2
        union all select 'tenant' from control.tenant where id = $1 and id = $2
        limit 1
        "#,
        tx.tenant(),
        id
    )
    .fetch_optional(tx.connection())
    .await?;
    word.map(|word| match word.as_str() {
        "project" => Ok(Kind::Project),
        "task" => Ok(Kind::Task),
        "finding" => Ok(Kind::Finding),
        "alert" => Ok(Kind::Alert),
        "artifact" => Ok(Kind::Artifact),
        "tool_execution" => Ok(Kind::ToolExecution),
        "plugin" => Ok(Kind::Plugin),
        "upload" => Ok(Kind::Upload),
        "token" => Ok(Kind::Token),
        "tenant" => Ok(Kind::Tenant),
        other => Err(StoreError::unreadable("kind", other)),
    })
    .transpose()
}
