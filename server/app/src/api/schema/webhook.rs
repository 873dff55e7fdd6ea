//! Endpoints of webhooks, and the log of what was sent to them. Admins' alone: addresses and answers may hold what is
//! secret.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::{ProjectId, WebhookEndpointId, WebhookMessageId};
use tamiz_store::token::Role;
use tamiz_store::webhook::endpoint::{self, Endpoint};
use tamiz_store::webhook::{self, Attempt, Delivery};
use uuid::Uuid;

use super::connection::{Asked, Listed, asked, connection, decode_within, encode};
use super::id::{Ref, id_of};
use super::scalars::Url;
use super::session::Session;
use crate::api::errors::ApiError;
use crate::flow::require;

const ORDER: &str = "webhookDeliveries";

/// What a webhook tells.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tamiz_core::webhook::EventType", name = "WebhookEvent")]
pub(crate) enum WebhookEventName {
    /// `alert.opened`: a scan found what nobody knew.
    AlertOpened,
    /// `alert.fixed`: a scan looked and did not find it any more.
    AlertFixed,
    /// `alert.reopened`: it is there again, or is to be acted on again.
    AlertReopened,
    /// `alert.dismissed`: somebody decided not to act.
    AlertDismissed,
    /// `acceptance.expiring`: an accepted risk is open again in a week.
    AcceptanceExpiring,
    /// `task.finished`: a task has ended, well or badly.
    TaskFinished,
    /// `webhook.test`: somebody tries an endpoint out; nobody asks for it in `events`.
    Test,
}

/// Why nothing is sent to an endpoint.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(
    remote = "tamiz_core::webhook::DisabledReason",
    name = "WebhookDisabledReason"
)]
pub(crate) enum DisabledReasonName {
    /// Somebody wanted it so.
    ByHand,
    /// It answered 410.
    Gone,
    /// Nothing came through for five days.
    Failing,
}

/// Where a delivery stands.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "tamiz_core::webhook::DeliveryState", name = "WebhookDeliveryState")]
pub(crate) enum DeliveryStateName {
    /// It will be sent, for the first time or again.
    Waiting,
    /// The endpoint took it.
    Delivered,
    /// It was tried often enough, or the endpoint does not want any more; it can be replayed.
    Failed,
}

/// Where webhooks are sent. For admins.
#[derive(Clone)]
pub(crate) struct WebhookEndpoint(pub(super) Endpoint);

/// Where webhooks are sent. For admins.
#[Object]
impl WebhookEndpoint {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// What is called.
    async fn url(&self) -> Url {
        Url(self.0.wish.url.clone())
    }

    /// What it is told.
    async fn events(&self) -> Vec<WebhookEventName> {
        self.0.wish.events.iter().map(|event| (*event).into()).collect()
    }

    /// Of these projects alone; null means of all.
    async fn project_ids(&self) -> Option<Vec<Ref<ProjectId>>> {
        let projects = self.0.wish.projects.as_ref();
        projects.map(|projects| projects.iter().copied().map(Ref).collect())
    }

    /// Since when nothing is sent to it.
    async fn disabled_at(&self) -> Option<DateTime<Utc>> {
        self.0.disabled.map(|(at, _)| at)
    }

    /// And why.
    async fn disabled_reason(&self) -> Option<DisabledReasonName> {
        self.0.disabled.map(|(_, reason)| reason.into())
    }

    /// Since when nothing has come through; after five days it is disabled.
    async fn failing_since(&self) -> Option<DateTime<Utc>> {
        self.0.failing_since
    }

    /// Until when messages are signed with the secret of before, too.
    async fn old_secret_until(&self) -> Option<DateTime<Utc>> {
        self.0.old_secret_until
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// What was sent to it, the newest first; messages are kept for thirty days.
    async fn deliveries(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
        #[graphql(desc = "Those that stand there; all if not said.")] state: Option<DeliveryStateName>,
    ) -> Result<WebhookDeliveryConnection, ApiError> {
        let session = Session::of(context)?;
        WebhookDeliveryConnection::page(session, self.0.id, &asked(first, after, last, before), state).await
    }
}

/// All endpoints of the tenant.
pub(super) async fn endpoints(session: &Session) -> Result<Vec<WebhookEndpoint>, ApiError> {
    require(&session.caller, Role::Admin)?;
    let found = session.read(|tx| Box::pin(endpoint::all(tx))).await?;
    Ok(found.into_iter().map(WebhookEndpoint).collect())
}

/// One of them.
pub(super) async fn endpoint_of(
    session: &Session,
    id: WebhookEndpointId,
) -> Result<Option<WebhookEndpoint>, ApiError> {
    require(&session.caller, Role::Admin)?;
    let found = session.read(|tx| Box::pin(endpoint::get(tx, id))).await?;
    Ok(found.map(WebhookEndpoint))
}

/// One try at sending a message.
#[derive(SimpleObject, Clone)]
pub(crate) struct WebhookAttempt {
    /// From 1.
    number: i32,
    /// When it began.
    started_at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    duration_ms: i32,
    /// What the receiver answered, if it did.
    status_code: Option<i32>,
    /// Why it did not come through.
    error: Option<String>,
    /// The first 4 KiB of the answer.
    answer: Option<String>,
}

impl From<Attempt> for WebhookAttempt {
    fn from(row: Attempt) -> Self {
        Self {
            number: row.attempt,
            started_at: row.started_at,
            duration_ms: row.duration_ms,
            status_code: row.status_code.map(i32::from),
            error: row.error,
            answer: row.answer,
        }
    }
}

/// A message on its way to an endpoint.
#[derive(Clone)]
pub(crate) struct WebhookDelivery {
    row: Arc<Delivery>,
    attempts: Arc<Vec<WebhookAttempt>>,
}

/// A message on its way to an endpoint.
#[Object]
impl WebhookDelivery {
    /// The header `webhook-id`, the same at every try.
    async fn message_id(&self) -> Uuid {
        self.row.message.uuid()
    }

    /// What it tells.
    async fn event(&self) -> WebhookEventName {
        self.row.event.into()
    }

    /// Of which project; null for a test.
    async fn project_id(&self) -> Option<Ref<ProjectId>> {
        self.row.project.map(Ref)
    }

    /// Where it stands.
    async fn state(&self) -> DeliveryStateName {
        self.row.state.into()
    }

    /// How often it was tried.
    async fn attempt_count(&self) -> i32 {
        self.row.attempts
    }

    /// The latest thirty tries, oldest first.
    async fn attempts(&self) -> &[WebhookAttempt] {
        &self.attempts
    }

    /// When it is tried next.
    async fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        self.row.next_at
    }

    /// When it ended.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.row.finished_at
    }

    /// When it was written.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }
}

connection!(
    /// A page of deliveries.
    WebhookDeliveryConnection, WebhookDeliveryEdge, WebhookDelivery
);

impl WebhookDeliveryConnection {
    async fn page(
        session: &Session,
        endpoint: WebhookEndpointId,
        asked: &Asked,
        state: Option<DeliveryStateName>,
    ) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode_within(ORDER, &endpoint, cursor))?;
        let state = state.map(Into::into);
        let page = session
            .read(|tx| Box::pin(webhook::deliveries(tx, endpoint, state, window)))
            .await?;
        let messages: Vec<WebhookMessageId> = page.rows.iter().map(|row| row.message).collect();
        let attempts = session
            .read(|tx| Box::pin(async move { webhook::attempts_of(tx, endpoint, &messages).await }))
            .await?;
        let mut of_message: HashMap<Uuid, Vec<WebhookAttempt>> = HashMap::new();
        for attempt in attempts {
            of_message
                .entry(attempt.message_id)
                .or_default()
                .push(attempt.into());
        }
        let node = |row: Delivery| {
            let attempts = of_message.remove(&row.message.uuid()).unwrap_or_default();
            WebhookDelivery {
                row: Arc::new(row),
                attempts: Arc::new(attempts),
            }
        };
        let cursor = move |node: &WebhookDelivery| encode(ORDER, (endpoint, node.row.message));
        Ok(Self {
            listed: Listed::of(page, node, cursor),
        })
    }
}
