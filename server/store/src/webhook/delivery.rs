//! One delivery on its way: what is to be sent, and what came of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_core::webhook::{DeliveryState, DisabledReason, FAILING_DAYS_MAX, pause_after};
use tamiz_core::{WebhookEndpointId, WebhookMessageId};

use crate::error::{StoreError, word};
use crate::tenant_tx::TenantTx;

/// The status by which a receiver says that it does not want any more.
const GONE: u16 = 410;

/// What is to be sent.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Whose name the guard judges addresses by.
    pub tenant_name: String,
    /// To where.
    pub url: String,
    /// What signs, the newest first.
    pub secrets: Vec<Vec<u8>>,
    /// What is sent, byte by byte.
    pub body: String,
}

/// What came of a try.
#[derive(Debug, Clone)]
pub struct Sent {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration: Duration,
    /// What the receiver answered, if it did.
    pub status_code: Option<u16>,
    /// Why it did not come through.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Option<String>,
    /// How long the receiver asked to wait.
    pub retry_after: Option<Duration>,
}

impl Sent {
    /// Whether the receiver took it.
    pub fn is_success(&self) -> bool {
        self.error.is_none() && self.status_code.is_some_and(|code| (200..300).contains(&code))
    }
}

/// What a taken delivery sends. `None` when there is nothing to send any more: somebody else did, or the endpoint is gone
/// or disabled; then it waits no longer.
///
/// # Errors
/// [`StoreError`] when the database does not answer.
pub async fn open(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    message: WebhookMessageId,
) -> Result<Option<Parcel>, StoreError> {
    let found = sqlx::query!(
        r#"
        select e.url, e.secret, case when e.old_secret_until > now() then e.old_secret end as old_secret, m.body,
               (select name from control.tenant where id = $1) as tenant_name
        from tenant.webhook_delivery d
        cross join lateral (select * from tenant.webhook_endpoint e where e.tenant_id = $1 and e.id = d.endpoint_id
                            and e.disabled_at is null) e
        cross join lateral (select * from tenant.webhook_message m where m.tenant_id = $1 and m.id = d.message_id) m
        where d.tenant_id = $1 and d.endpoint_id = $2 and d.message_id = $3 and d.state = 'waiting'
        "#,
        tx.tenant(),
        endpoint.uuid(),
        message.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    if let Some(found) = found {
        return Ok(Some(Parcel {
            tenant_name: found.tenant_name.unwrap_or_default(),
            url: found.url,
            secrets: std::iter::once(found.secret).chain(found.old_secret).collect(),
            body: found.body,
        }));
    }
    settle(tx, endpoint, message, DeliveryState::Failed).await?;
    Ok(None)
}

/// It waits no longer; one that has ended already stays as it is.
async fn settle(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    message: WebhookMessageId,
    state: DeliveryState,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        with ended as (
            update tenant.webhook_delivery set state = $4, next_at = null, finished_at = now()
            where tenant_id = $1 and endpoint_id = $2 and message_id = $3 and state = 'waiting')
        delete from control.webhook_due where tenant_id = $1 and endpoint_id = $2 and message_id = $3
        "#,
        tx.tenant(),
        endpoint.uuid(),
        message.uuid(),
        state.as_str()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Notes a try: the delivery has ended, or waits for the next one. Answers where it stands.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn note(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    message: WebhookMessageId,
    sent: &Sent,
) -> Result<DeliveryState, StoreError> {
    let counted = sqlx::query!(
        r#"
        update tenant.webhook_delivery set attempts = attempts + 1, tries = tries + 1
        where tenant_id = $1 and endpoint_id = $2 and message_id = $3
        returning attempts, tries, state
        "#,
        tx.tenant(),
        endpoint.uuid(),
        message.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(counted) = counted else {
        // too old: the sweep took it along
        return Ok(DeliveryState::Failed);
    };
    write_attempt(tx, endpoint, message, counted.attempts, sent).await?;
    note_health(tx, endpoint, sent).await?;
    if sent.is_success() {
        settle(tx, endpoint, message, DeliveryState::Delivered).await?;
        return Ok(DeliveryState::Delivered);
    }
    if counted.state != DeliveryState::Waiting.as_str() {
        // somebody else brought it meanwhile
        return word("delivery's state", &counted.state);
    }
    let tries = u32::try_from(counted.tries).unwrap_or(u32::MAX);
    let pause = pause_after(tries, sent.retry_after).filter(|_| sent.status_code != Some(GONE));
    let Some(pause) = pause else {
        settle(tx, endpoint, message, DeliveryState::Failed).await?;
        return Ok(DeliveryState::Failed);
    };
    sqlx::query!(
        r#"
        with again as (
            update tenant.webhook_delivery set next_at = now() + make_interval(secs => $4)
            where tenant_id = $1 and endpoint_id = $2 and message_id = $3 and state = 'waiting')
        update control.webhook_due set due_at = now() + make_interval(secs => $4), leased_until = null
        where tenant_id = $1 and endpoint_id = $2 and message_id = $3
        "#,
        tx.tenant(),
        endpoint.uuid(),
        message.uuid(),
        pause.as_secs_f64()
    )
    .execute(tx.connection())
    .await?;
    Ok(DeliveryState::Waiting)
}

async fn write_attempt(
    tx: &mut TenantTx,
    endpoint: WebhookEndpointId,
    message: WebhookMessageId,
    attempt: i32,
    sent: &Sent,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        insert into tenant.webhook_attempt
            (tenant_id, endpoint_id, message_id, attempt, started_at, duration_ms, status_code, error, answer)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        "#,
        tx.tenant(),
        endpoint.uuid(),
        message.uuid(),
        attempt,
        sent.started_at,
        i32::try_from(sent.duration.as_millis()).unwrap_or(i32::MAX),
        sent.status_code.and_then(|code| i16::try_from(code).ok()),
        sent.error,
        sent.answer
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// An endpoint is disabled when it is gone, or nothing has come through for days.
async fn note_health(tx: &mut TenantTx, endpoint: WebhookEndpointId, sent: &Sent) -> Result<(), StoreError> {
    if sent.is_success() {
        sqlx::query!(
            "update tenant.webhook_endpoint set failing_since = null
             where tenant_id = $1 and id = $2 and failing_since is not null",
            tx.tenant(),
            endpoint.uuid()
        )
        .execute(tx.connection())
        .await?;
        return Ok(());
    }
    sqlx::query!(
        r#"
        update tenant.webhook_endpoint
        set failing_since = coalesce(failing_since, now()),
            disabled_at = case when $3 or failing_since < now() - make_interval(days => $4)
                               then coalesce(disabled_at, now()) else disabled_at end,
            disabled_reason = case when disabled_reason is not null then disabled_reason
                                   when $3 then $5
                                   when failing_since < now() - make_interval(days => $4) then $6 end
        where tenant_id = $1 and id = $2
          and (failing_since is null or $3 or failing_since < now() - make_interval(days => $4))
        "#,
        tx.tenant(),
        endpoint.uuid(),
        sent.status_code == Some(GONE),
        FAILING_DAYS_MAX,
        DisabledReason::Gone.as_str(),
        DisabledReason::Failing.as_str()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
