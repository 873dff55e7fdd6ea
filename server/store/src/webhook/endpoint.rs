//! Where webhooks are sent, what each endpoint wants, and the secrets that its messages are signed with.

use chrono::{DateTime, Utc};
use tamiz_core::webhook::{DisabledReason, ENDPOINTS_MAX, EventType, OLD_SECRET_HOURS};
use tamiz_core::{ProjectId, WebhookEndpointId};
use uuid::Uuid;

use crate::error::{StoreError, word};
use crate::quota::Meter;
use crate::tenant_tx::TenantTx;

/// What an endpoint wants, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Judged by whoever sends.
    pub url: String,
    /// At least one.
    pub events: Vec<EventType>,
    /// Of these projects alone; all if none is said.
    pub projects: Option<Vec<ProjectId>>,
}

/// An endpoint, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// What it wants, and where.
    pub wish: Wish,
    /// Since when nothing is sent to it, and why.
    pub disabled: Option<(DateTime<Utc>, DisabledReason)>,
    /// Since when nothing has come through.
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when its secret of before signs, too.
    pub old_secret_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

struct EndpointRow {
    id: Uuid,
    url: String,
    events: Vec<String>,
    project_ids: Option<Vec<Uuid>>,
    disabled_at: Option<DateTime<Utc>>,
    disabled_reason: Option<String>,
    failing_since: Option<DateTime<Utc>>,
    old_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<EndpointRow> for Endpoint {
    type Error = StoreError;

    fn try_from(row: EndpointRow) -> Result<Self, StoreError> {
        let events = row.events.iter().map(|event| word("webhook event", event));
        let reason = row.disabled_reason.as_deref();
        let reason = reason
            .map(|reason| word("reason of an endpoint", reason))
            .transpose()?;
        Ok(Self {
            id: row.id.into(),
            wish: Wish {
                url: row.url,
                events: events.collect::<Result<_, _>>()?,
                projects: row
                    .project_ids
                    .map(|ids| ids.into_iter().map(ProjectId::from).collect()),
            },
            disabled: row.disabled_at.zip(reason),
            failing_since: row.failing_since,
            old_secret_until: row.old_secret_until,
            created_at: row.created_at,
        })
    }
}

fn columns(wish: &Wish) -> (Vec<&str>, Option<Vec<Uuid>>) {
    let events = wish.events.iter().map(|event| event.as_str()).collect();
    let projects = wish.projects.as_ref();
    let projects = projects.map(|projects| projects.iter().map(|id| id.uuid()).collect());
    (events, projects)
}

/// Makes an endpoint; `None` when the tenant has as many as it may. Locks the tenant's meter, so that those who make one
/// at the same time count one after the other.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn create(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    wish: &Wish,
    secret: &[u8],
) -> Result<Option<Endpoint>, StoreError> {
    Meter::lock(tx).await?;
    let (events, projects) = columns(wish);
    let row = sqlx::query_as!(
        EndpointRow,
        r#"
        insert into tenant.webhook_endpoint (tenant_id, id, url, events, project_ids, secret)
        select $1, $2, $3, $4::text[], $5::uuid[], $6
        where (select count(*) from tenant.webhook_endpoint where tenant_id = $1) < $7
        returning id, url, events, project_ids, disabled_at, disabled_reason, failing_since, old_secret_until,
                  created_at
        "#,
        tx.tenant(),
        id.uuid(),
        wish.url,
        &events as &[&str],
        projects.as_deref(),
        secret,
        ENDPOINTS_MAX
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// Changes what an endpoint wants and whether anything is sent to it; what falls due while it is disabled fails.
/// `None` when it is not there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn update(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    wish: &Wish,
    enabled: bool,
) -> Result<Option<Endpoint>, StoreError> {
    let (events, projects) = columns(wish);
    let row = sqlx::query_as!(
        EndpointRow,
        r#"
        update tenant.webhook_endpoint
        set url = $3, events = $4::text[], project_ids = $5::uuid[],
            disabled_at = case when not $6 then coalesce(disabled_at, now()) end,
            disabled_reason = case when not $6 then coalesce(disabled_reason, 'by-hand') end,
            -- whoever enables it again gives it the whole time again
            failing_since = case when disabled_at is null or not $6 then failing_since end
        where tenant_id = $1 and id = $2
        returning id, url, events, project_ids, disabled_at, disabled_reason, failing_since, old_secret_until,
                  created_at
        "#,
        tx.tenant(),
        id.uuid(),
        wish.url,
        &events as &[&str],
        projects.as_deref(),
        enabled
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// Another secret signs from now on, for a day beside the one of before. `None` when the endpoint is not there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn rotate(
    tx: &mut TenantTx,
    id: WebhookEndpointId,
    secret: &[u8],
) -> Result<Option<Endpoint>, StoreError> {
    let row = sqlx::query_as!(
        EndpointRow,
        r#"
        update tenant.webhook_endpoint
        set old_secret = secret, old_secret_until = now() + make_interval(hours => $4), secret = $3
        where tenant_id = $1 and id = $2
        returning id, url, events, project_ids, disabled_at, disabled_reason, failing_since, old_secret_until,
                  created_at
        "#,
        tx.tenant(),
        id.uuid(),
        secret,
        OLD_SECRET_HOURS
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// Takes an endpoint away; what waits for it is not sent. False when it is not there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn delete(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<bool, StoreError> {
    let gone = sqlx::query!(
        "delete from tenant.webhook_endpoint where tenant_id = $1 and id = $2",
        tx.tenant(),
        id.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(gone.rows_affected() == 1)
}

/// All endpoints, the newest first; there are few.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Endpoint>, StoreError> {
    let rows = sqlx::query_as!(
        EndpointRow,
        r#"
        select id, url, events, project_ids, disabled_at, disabled_reason, failing_since, old_secret_until, created_at
        from tenant.webhook_endpoint where tenant_id = $1 order by id desc
        "#,
        tx.tenant()
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// One endpoint.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn get(tx: &mut TenantTx, id: WebhookEndpointId) -> Result<Option<Endpoint>, StoreError> {
    let row = sqlx::query_as!(
        EndpointRow,
        r#"
        select id, url, events, project_ids, disabled_at, disabled_reason, failing_since, old_secret_until, created_at
        from tenant.webhook_endpoint where tenant_id = $1 and id = $2
        "#,
        tx.tenant(),
        id.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// The first of these projects that the tenant does not have.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn unknown_project(
    tx: &mut TenantTx,
    projects: &[ProjectId],
) -> Result<Option<ProjectId>, StoreError> {
    let ids: Vec<Uuid> = projects.iter().map(|id| id.uuid()).collect();
    let known = sqlx::query_scalar!(
        "select id from tenant.project where tenant_id = $1 and id = any($2)",
        tx.tenant(),
        &ids
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(projects.iter().find(|id| !known.contains(&id.uuid())).copied())
}
