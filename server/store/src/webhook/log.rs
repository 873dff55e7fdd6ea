//! What was sent to an endpoint, and how it went.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use tamiz_core::webhook::{DeliveryState, EventType};
use tamiz_core::{ProjectId, WebhookEndpointId, WebhookMessageId};
use uuid::Uuid;

use crate::error::{StoreError, word};
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;
use crate::weight;

/// Tries of one delivery that are told: one that was replayed again and again has more.
const ATTEMPTS_TOLD_MAX: i64 = 30;

/// A message on its way to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message, the same at every try.
    pub message: WebhookMessageId,
    /// What it tells.
    pub event: EventType,
    /// Of which project; none for a test.
    pub project: Option<ProjectId>,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is tried next.
    pub next_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Attempt {
    /// Of which message.
    pub message_id: Uuid,
    /// From 1.
    pub attempt: i32,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: i32,
    /// What the receiver answered, if it did.
    pub status_code: Option<i16>,
    /// Why it did not come through.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Option<String>,
}

/// One page of an endpoint's deliveries, the newest first. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn deliveries(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    state: Option<DeliveryState>,
    window: Window<WebhookMessageId>,
) -> Result<Page<Delivery>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select d.message_id as "message_id!", m.type as "type!", m.project_id, d.state as "state!",
               d.attempts as "attempts!", d.next_at, d.finished_at, m.created_at as "created_at!"
        from (
            (select * from tenant.webhook_delivery d
             where d.tenant_id = $1 and d.endpoint_id = $2 and ($3::text is null or d.state = $3)
               and ($4::uuid is null or d.message_id < $4) and ($5::uuid is null or d.message_id > $5) and not $7
             order by d.message_id desc limit $6)
            union all
            (select * from tenant.webhook_delivery d
             where d.tenant_id = $1 and d.endpoint_id = $2 and ($3::text is null or d.state = $3)
               and ($4::uuid is null or d.message_id < $4) and ($5::uuid is null or d.message_id > $5) and $7
             order by d.message_id limit $6)) d
        cross join lateral (select m.type, m.project_id, m.created_at from tenant.webhook_message m
                            where m.tenant_id = $1 and m.id = d.message_id limit 1) m
        order by d.message_id desc
        "#,
        tx.tenant(),
        endpoint.uuid(),
        state.map(DeliveryState::as_str),
        window.after.map(WebhookMessageId::uuid),
        window.before.map(WebhookMessageId::uuid),
        window.limit.probe(),
        window.from_end
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows.into_iter().map(|row| {
        Ok(Delivery {
            message: row.message_id.into(),
            event: word("webhook event", &row.r#type)?,
            project: row.project_id.map(Into::into),
            state: word("delivery's state", &row.state)?,
            attempts: row.attempts,
            next_at: row.next_at,
            finished_at: row.finished_at,
            created_at: row.created_at,
        })
    });
    Ok(Page::between(rows.collect::<Result<_, StoreError>>()?, &window))
}

/// The latest tries of these messages at an endpoint, oldest first. Served by the primary key.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn attempts_of(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    messages: &[WebhookMessageId],
) -> Result<Vec<Attempt>, StoreError> {
    let messages: Vec<Uuid> = messages.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        Attempt,
        r#"
        select a.message_id, a.attempt, a.started_at, a.duration_ms, a.status_code, a.error, a.answer
        from unnest($3::uuid[]) x(id)
        cross join lateral (
            select * from tenant.webhook_attempt a
            where a.tenant_id = $1 and a.endpoint_id = $2 and a.message_id = x.id
            order by a.attempt desc limit $4) a
        order by a.message_id, a.attempt
        "#,
        tx.tenant(),
        endpoint.uuid(),
        &messages,
        ATTEMPTS_TOLD_MAX
    )
    .fetch(tx.connection());
    allowance.collect(rows, weight::of_webhook_attempt).await
}
