//! Old messages go, with what became of them.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use tamiz_core::webhook::KEPT_DAYS;
use uuid::{Builder, Uuid};

use crate::connect::Store;
use crate::error::StoreError;
use crate::scope::TenantScope;

/// Messages of one tenant that one transaction deletes.
const MESSAGES_AT_ONCE: i64 = 1_000;
/// Messages that one call deletes before it leaves the rest to the next.
const MESSAGES_PER_CALL: u64 = 10_000;

/// The least id that a message of that time may have: they are UUIDv7.
pub(super) fn first_id_of(at: DateTime<Utc>) -> Uuid {
    let milliseconds = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(milliseconds, &[0; 10]).into_uuid()
}

impl Store {
    /// Deletes webhooks' messages that are older than thirty days, up to some thousand; answers how many.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was deleted and some tenant's could not be.
    pub async fn delete_old_webhooks(&self) -> Result<u64, StoreError> {
        let before = first_id_of(Utc::now() - TimeDelta::days(i64::from(KEPT_DAYS)));
        let failing = "old messages stay";
        self.round(MESSAGES_PER_CALL, failing, |store, scope| async move {
            delete(&store, &scope, before).await
        })
        .await
    }
}

/// One batch of a tenant. Served by the primary keys and `webhook_delivery_message_idx`.
async fn delete(store: &Store, scope: &TenantScope, before: Uuid) -> Result<u64, StoreError> {
    let mut tx = store.begin(scope).await?;
    let messages = sqlx::query_scalar!(
        r#"
        delete from tenant.webhook_message where tenant_id = $1 and id = any(array(
            select id from tenant.webhook_message where tenant_id = $1 and id < $2 order by id limit $3))
        returning id
        "#,
        tx.tenant(),
        before,
        MESSAGES_AT_ONCE
    )
    .fetch_all(tx.connection())
    .await?;
    sqlx::query!(
        "delete from tenant.webhook_expiry_told where tenant_id = $1 and dismissed_until < now()",
        tx.tenant()
    )
    .execute(tx.connection())
    .await?;
    if !messages.is_empty() {
        let endpoints = sqlx::query_scalar!(
            "delete from tenant.webhook_delivery where tenant_id = $1 and message_id = any($2) returning endpoint_id",
            tx.tenant(),
            &messages
        )
        .fetch_all(tx.connection())
        .await?;
        let endpoints: Vec<Uuid> = BTreeSet::from_iter(endpoints).into_iter().collect();
        sqlx::query!(
            r#"
            with attempts as (
                delete from tenant.webhook_attempt
                where tenant_id = $1 and endpoint_id = any($2) and message_id = any($3))
            delete from control.webhook_due
            where tenant_id = $1 and endpoint_id = any($2) and message_id = any($3)
            "#,
            tx.tenant(),
            &endpoints,
            &messages
        )
        .execute(tx.connection())
        .await?;
    }
    tx.commit().await?;
    Ok(messages.len() as u64)
}
