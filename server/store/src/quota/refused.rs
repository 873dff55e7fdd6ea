//! Refusals, counted and told to the audit log: in a transaction of its own, for the refused one rolls back.
//!
//! A flood of refusals of one limit is one row of the audit log per [`AUDIT_SECONDS`], which says how many
//! there were; the count of all stands in `control.quota_refusal`.

use serde_json::{Value, json};
use tamiz_core::TokenId;
use tamiz_core::quota::ReachedLimit;

use crate::audit::{self, Entry};
use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

/// Between two rows of the audit log about one limit of one tenant: a day of them is 8,640 rows.
pub const AUDIT_SECONDS: f64 = 10.0;
/// Limits of tenants that one turn of the sweep tells of.
const LATE_AT_ONCE: i64 = 100;
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
            let metadata = json!({
                "value": reached.value,
                "used": reached.used,
                "roomAt": reached.room_at,
                "refusals": row.untold,
            });
            tell(&mut tx, token, &reached.name, metadata).await?;
        }
        tx.commit().await
    }

    /// Tells the audit log of the refusals that ended a flood, which no later one told of; answers of how many
    /// limits. One that cannot be told of holds up no other.
    ///
    /// # Errors
    /// The last [`StoreError`], when some could not be told of.
    pub async fn tell_late_refusals(&self) -> Result<u64, StoreError> {
        let late = sqlx::query!(
            "select tenant_id, name from control.quota_refusal
             where refused_count > audited_count and audited_at < now() - make_interval(secs => $1)
             order by random() limit $2",
            AUDIT_SECONDS,
            LATE_AT_ONCE
        )
        .fetch_all(&self.dispatch)
        .await?;
        let (mut told, mut outcome) = (0, Ok(()));
        for row in late {
            let scope = TenantScope::of(row.tenant_id.into());
            match self.tell_late(&scope, &row.name).await {
                Ok(done) => told += u64::from(done),
                Err(error) => outcome = Err(error),
            }
        }
        outcome.map(|()| told)
    }

    async fn tell_late(&self, scope: &TenantScope, name: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin(scope).await?;
        let row = sqlx::query!(
            r#"
            select refused_count - audited_count as "untold!", refused_at from control.quota_refusal
            where tenant_id = $1 and name = $2 and refused_count > audited_count
              and audited_at < now() - make_interval(secs => $3)
            for update
            "#,
            tx.tenant(),
            name,
            AUDIT_SECONDS
        )
        .fetch_optional(tx.connection())
        .await?;
        // another process was faster
        let Some(row) = row else { return Ok(false) };
        let metadata = json!({ "refusals": row.untold, "lastAt": row.refused_at });
        tell(&mut tx, None, name, metadata).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn tell(
    tx: &mut TenantTx,
    token: Option<TokenId>,
    name: &str,
    metadata: Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update control.quota_refusal set audited_count = refused_count, audited_at = now()
         where tenant_id = $1 and name = $2",
        tx.tenant(),
        name
    )
    .execute(tx.connection())
    .await?;
    let entry = Entry {
        token,
        action: ACTION,
        resource_type: "limit",
        resource_id: Some(name),
        metadata,
    };
    audit::record(tx, &entry).await
}
