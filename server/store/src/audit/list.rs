//! The audit log as it is read: newest first.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tamiz_core::TokenId;
use uuid::Uuid;

use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;

/// A row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Its id.
    pub id: Uuid,
    /// Who; none for the platform's own doing.
    pub token: Option<TokenId>,
    /// Such as `quota.refused`.
    pub action: String,
    /// Of what.
    pub resource_type: String,
    /// Which one.
    pub resource_id: Option<String>,
    /// What else there is to say.
    pub metadata: Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Of this action.
    pub action: Option<String>,
    /// Not before.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub to: Option<DateTime<Utc>>,
}

/// Where a row stands in the log.
pub type AuditPlace = (DateTime<Utc>, Uuid);

/// A page of the log. Served by `audit_log_created_idx`, of one action by `audit_log_action_idx`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn page(
    tx: &mut TenantTx,
    filter: &AuditFilter,
    window: Window<AuditPlace>,
) -> Result<Page<AuditEvent>, StoreError> {
    let (after_time, after_id) = window.after.unzip();
    let (before_time, before_id) = window.before.unzip();
    let rows = sqlx::query!(
        r#"
        select id as "id!", user_id, action as "action!", resource_type as "resource_type!", resource_id,
               metadata as "metadata!", created_at as "created_at!"
        from (
            (select * from tenant.audit_log
             where tenant_id = $1 and ($2::text is null or action = $2)
               and ($3::timestamptz is null or created_at >= $3) and ($4::timestamptz is null or created_at < $4)
               and ($5::timestamptz is null or (created_at, id) < ($5, $6::uuid))
               and ($7::timestamptz is null or (created_at, id) > ($7, $8::uuid)) and not $10
             order by created_at desc, id desc limit $9)
            union all
            (select * from tenant.audit_log
             where tenant_id = $1 and ($2::text is null or action = $2)
               and ($3::timestamptz is null or created_at >= $3) and ($4::timestamptz is null or created_at < $4)
               and ($5::timestamptz is null or (created_at, id) < ($5, $6::uuid))
               and ($7::timestamptz is null or (created_at, id) > ($7, $8::uuid)) and $10
             order by created_at, id limit $9)) e
        order by created_at desc, id desc
        "#,
        tx.tenant(),
        filter.action.as_deref(),
        filter.from,
        filter.to,
        after_time,
        after_id,
        before_time,
        before_id,
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    let events = rows.into_iter().map(|row| AuditEvent {
        id: row.id,
        token: row.user_id.map(TokenId::from),
        action: row.action,
        resource_type: row.resource_type,
        resource_id: row.resource_id,
        metadata: row.metadata,
        created_at: row.created_at,
    });
    Ok(Page::between(events.collect(), &window))
}
