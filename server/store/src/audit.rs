//! The audit log: what somebody did or was refused. Rows are added, never changed.

pub mod list;

use serde_json::Value;
use tamiz_core::TokenId;
use uuid::Uuid;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// A row to be added.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Who; none for the platform's own doing.
    pub token: Option<TokenId>,
    /// Such as `quota.refused`.
    pub action: &'static str,
    /// Of what.
    pub resource_type: &'static str,
    /// Which one.
    pub resource_id: Option<&'a str>,
    /// What else there is to say; no secrets.
    pub metadata: Value,
}

/// Adds the row.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn record(tx: &mut TenantTx, entry: &Entry<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        insert into tenant.audit_log
            (tenant_id, id, user_id, action, resource_type, resource_id, metadata, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp())
        "#,
        tx.tenant(),
        Uuid::now_v7(),
        entry.token.map(TokenId::uuid),
        entry.action,
        entry.resource_type,
        entry.resource_id,
        entry.metadata
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
