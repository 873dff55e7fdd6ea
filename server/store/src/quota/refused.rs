//! Refusals, counted and told to the audit log: in a transaction of its own, for the refused one rolls back.
//!
//! A flood of refusals of one limit is one row of the audit log per [`AUDIT_SECONDS`], which says how many
//! there were; the count of all stands in `control.quota_refusal`.

use serde_json::json;
use tamiz_core::TokenId;
use tamiz_core::quota::ReachedLimit;

use crate::audit::{self, Entry};
use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

/// Between two rows of the audit log about one limit of one tenant: a day of them is 8,640 rows.
pub const AUDIT_SECONDS: f64 = 10.0;
/// What the audit log calls it.
pub const ACTION: &str = "quota.refused";

impl Store {
    /// Counts a refusal, and tells the audit log unless it was just told of the same limit.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not take it.
    pub async fn note_refusal(
        &self,
        scope: &TenantScope,
        token: Option<TokenId>,
        reached: &ReachedLimit,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin(scope).await?;
        let row = sqlx::query!(
            r#"
            insert into control.quota_refusal as r (tenant_id, name, refused_count) values ($1, $2, 1)
            on conflict (tenant_id, name) do update set refused_count = r.refused_count + 1, refused_at = now()
            returning refused_count - audited_count as "untold!",
                      (audited_at is null or audited_at < now() - make_interval(secs => $3)) as "is_due!"
            "#,
            tx.tenant(),
            reached.name,
            AUDIT_SECONDS
        )
        .fetch_one(tx.connection())
        .await?;
        if row.is_due {
            sqlx::query!(
                "update control.quota_refusal set audited_count = refused_count, audited_at = now()
                 where tenant_id = $1 and name = $2",
                tx.tenant(),
                reached.name
            )
            .execute(tx.connection())
            .await?;
            let entry = Entry {
                token,
                action: ACTION,
                resource_type: "limit",
                resource_id: Some(&reached.name),
                metadata: json!({
                    "value": reached.value,
                    "used": reached.used,
                    "roomAt": reached.room_at,
                    "refusals": row.untold,
                }),
            };
            audit::record(&mut tx, &entry).await?;
        }
        tx.commit().await
    }
}
