//! The audit log: what somebody did or was refused. For admins.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use tamiz_core::{AuditEventId, Refusal};
use tamiz_store::audit::list::{self, AuditFilter, AuditPlace};
use tamiz_store::token::Role;
use uuid::Uuid;

use super::answer_bytes::paid;
use super::connection::{Asked, Listed, bad_cursor, connection, decode, encode};
use super::id::id_of;
use super::scalars::JsonOf;
use super::session::Session;
use super::token::{ApiToken, token_of};
use crate::api::errors::ApiError;
use crate::flow::{in_the_calendar, require};

const ORDER: &str = "auditEvents";
/// An action, in bytes.
const ACTION_BYTES_MAX: usize = 100;

/// Something that somebody did or was refused.
#[derive(Clone)]
pub(crate) struct AuditEvent(Arc<list::AuditEvent>);

/// Something that somebody did or was refused.
#[Object]
impl AuditEvent {
    /// Its id.
    async fn id(&self) -> ID {
        id_of(AuditEventId::from(self.0.id))
    }

    /// Such as `quota.refused`, `token.created` or `token.revoked`.
    async fn action(&self) -> &str {
        &self.0.action
    }

    /// The token that asked; null for the platform's own doing.
    async fn token(&self, context: &Context<'_>) -> Result<Option<ApiToken>, ApiError> {
        match self.0.token {
            Some(id) => token_of(Session::of(context)?, id).await,
            None => Ok(None),
        }
    }

    /// Of what, such as `token` or `limit`.
    async fn resource_type(&self) -> &str {
        &self.0.resource_type
    }

    /// Which one.
    async fn resource_id(&self) -> Option<&str> {
        self.0.resource_id.as_deref()
    }

    /// What else there is to say; no secrets.
    fn metadata(&self, context: &Context<'_>) -> Result<JsonOf<'_>, ApiError> {
        paid(context, &self.0.metadata).map(JsonOf)
    }

    /// When.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// Which events.
#[derive(InputObject, Debug, Default)]
pub(crate) struct AuditEventFilter {
    /// Of exactly this action.
    action: Option<String>,
    /// Not before.
    from: Option<DateTime<Utc>>,
    /// Before.
    to: Option<DateTime<Utc>>,
}

impl AuditEventFilter {
    fn into_store(self) -> Result<AuditFilter, Refusal> {
        let is_odd = |action: &String| action.len() > ACTION_BYTES_MAX || action.contains('\0');
        if self.action.as_ref().is_some_and(is_odd) {
            let rule = format_args!("must have at most {ACTION_BYTES_MAX} bytes and no NUL");
            return Err(Refusal::invalid("action", rule).at(&["filter", "action"]));
        }
        for (name, at) in [("from", self.from), ("to", self.to)] {
            at.map_or(Ok(()), |at| in_the_calendar(name, at))
                .map_err(|refusal| refusal.at(&["filter", name]))?;
        }
        Ok(AuditFilter {
            action: self.action,
            from: self.from,
            to: self.to,
        })
    }
}

connection!(
    /// A page of the audit log.
    AuditEventConnection, AuditEventEdge, AuditEvent
);

/// What a cursor holds: microseconds and the id.
type Key = (i64, Uuid);

impl AuditEventConnection {
    pub(super) async fn page(
        session: &Session,
        asked: &Asked,
        filter: Option<AuditEventFilter>,
    ) -> Result<Self, ApiError> {
        require(&session.caller, Role::Admin)?;
        let window = asked.window(session, place)?;
        let filter = filter.unwrap_or_default().into_store()?;
        let page = session
            .read(|tx| Box::pin(async move { list::page(tx, &filter, window).await }))
            .await?;
        Ok(Self {
            listed: Listed::of(
                page,
                |row| AuditEvent(Arc::new(row)),
                |node: &AuditEvent| {
                    let key: Key = (node.0.created_at.timestamp_micros(), node.0.id);
                    encode(ORDER, key)
                },
            ),
        })
    }
}

fn place(cursor: &str) -> Result<AuditPlace, Refusal> {
    let (micros, id): Key = decode(ORDER, cursor)?;
    let at = DateTime::from_timestamp_micros(micros).ok_or_else(bad_cursor)?;
    in_the_calendar("after", at).map_err(|_| bad_cursor())?;
    Ok((at, id))
}
