//! Sending again: one message, or all that failed since a time; and a message that says nothing, to try an endpoint out.

use chrono::{DateTime, Utc};
use tamiz_core::webhook::EventType;
use tamiz_core::{WebhookEndpointId, WebhookMessageId};
use uuid::Uuid;

use super::{age, body};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Messages that one request sends again.
pub const REPLAYED_MAX: i64 = 1_000;
/// Tries after which a message is not replayed any more: its log would only grow.
pub const ATTEMPTS_MAX: i32 = 200;

/// Sends a message again from the start, whatever became of it. False when it is not there, or was tried too often.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn one(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    message: WebhookMessageId,
) -> Result<bool, StoreError> {
    Ok(again(tx, endpoint, &[message.uuid()]).await? == 1)
}

/// Sends again what failed since then, the oldest first and at most [`REPLAYED_MAX`]; answers how many.
///
/// Served by `webhook_delivery_failed_idx`.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn failed_since(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    since: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let failed = sqlx::query_scalar!(
        r#"
        select message_id from tenant.webhook_delivery
        where tenant_id = $1 and endpoint_id = $2 and state = 'failed' and message_id >= $3 and attempts < $4
        order by message_id limit $5
        "#,
        tx.tenant(),
        endpoint.uuid(),
        age::first_id_of(since),
        ATTEMPTS_MAX,
        REPLAYED_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    again(tx, endpoint, &failed).await
}

async fn again(tx: &mut TenantTx, endpoint: WebhookEndpointId, messages: &[Uuid]) -> Result<u64, StoreError> {
    let again = sqlx::query!(
        r#"
        with again as (
            update tenant.webhook_delivery set state = 'waiting', tries = 0, next_at = now(), finished_at = null
            where tenant_id = $1 and endpoint_id = $2 and message_id = any($3) and attempts < $4
            returning message_id)
        insert into control.webhook_due (tenant_id, endpoint_id, message_id) select $1, $2, message_id from again
        on conflict (tenant_id, endpoint_id, message_id) do update set due_at = now()
        "#,
        tx.tenant(),
        endpoint.uuid(),
        messages,
        ATTEMPTS_MAX
    )
    .execute(tx.connection())
    .await?;
    Ok(again.rows_affected())
}

/// Sends a message that says nothing to one endpoint. `None` when it is not there, or disabled.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn test(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
) -> Result<Option<WebhookMessageId>, StoreError> {
    let enabled = sqlx::query_scalar!(
        r#"select now() as "now!" from tenant.webhook_endpoint
           where tenant_id = $1 and id = $2 and disabled_at is null"#,
        tx.tenant(),
        endpoint.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(now) = enabled else {
        return Ok(None);
    };
    let message = WebhookMessageId::fresh();
    sqlx::query!(
        r#"
        with message as (
            insert into tenant.webhook_message (tenant_id, id, type, body) values ($1, $2, $3, $4)),
        delivery as (
            insert into tenant.webhook_delivery (tenant_id, endpoint_id, message_id) values ($1, $5, $2))
        insert into control.webhook_due (tenant_id, endpoint_id, message_id) values ($1, $5, $2)
        "#,
        tx.tenant(),
        message.uuid(),
        EventType::Test.as_str(),
        body::of_test(now)?,
        endpoint.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(Some(message))
}
