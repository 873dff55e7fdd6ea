//! What happened to alerts, and pages of it: that of many alerts in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};
use tamiz_core::{AlertId, AlertRuleId};
use tamiz_store::alert::{self, AlertEventRow};
use tamiz_store::page::{Page, Window};
use uuid::Uuid;

use super::answer_bytes::paid;
use super::connection::{Asked, Listed, connection, decode_within, encode};
use super::id::id_of;
use super::scalars::JsonOf;
use super::session::Session;
use super::task::Task;
use super::task_page::by;
use crate::api::errors::ApiError;

const ORDER: &str = "alert_events";

/// A change of an alert.
#[derive(Clone)]
pub(crate) struct AlertEvent(Arc<AlertEventRow>);

/// A change of an alert.
#[Object]
impl AlertEvent {
    /// Its id.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// `opened`, `fixed`, `reopened`, `dismissed`, `moved`, `severity`, `assigned`, `commented` or `due`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// Who: the name of the token, `rule:` and the name of the rule as it was, `vex` or `expiry`; null when a task did it.
    async fn actor(&self) -> Option<&str> {
        self.0.actor.as_deref()
    }

    /// The rule that did it, a UUID; null when none did.
    async fn rule_id(&self) -> Option<ID> {
        self.0.rule_id.map(|id| id_of(AlertRuleId::from(id)))
    }

    /// The task that did it; null when a person did, and once the task is deleted.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        match self.0.task_id {
            Some(task) => Ok(Session::of(context)?.task(task.into()).await?.map(Task)),
            None => Ok(None),
        }
    }

    /// What was otherwise before: an object.
    fn before(&self, context: &Context<'_>) -> Result<Option<JsonOf<'_>>, ApiError> {
        Ok(paid(context, &self.0.before)?.as_ref().map(JsonOf))
    }

    /// What it is since.
    fn after(&self, context: &Context<'_>) -> Result<Option<JsonOf<'_>>, ApiError> {
        Ok(paid(context, &self.0.after)?.as_ref().map(JsonOf))
    }

    /// In words.
    fn comment(&self, context: &Context<'_>) -> Result<Option<&str>, ApiError> {
        Ok(paid(context, &self.0.comment)?.as_deref())
    }
}

/// One page of one alert's events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AlertEventPageKey {
    alert: AlertId,
    /// Between times and ids.
    window: Window<(DateTime<Utc>, Uuid)>,
}

/// Shared rows of a page.
pub(super) type AlertEventPage = Page<Arc<AlertEventRow>>;

connection!(
    /// A page of what happened to an alert.
    AlertEventConnection, AlertEventEdge, AlertEvent
);

impl AlertEventConnection {
    pub(super) async fn of(session: &Session, alert: AlertId, asked: &Asked) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode_within(ORDER, &alert, cursor))?;
        let key = AlertEventPageKey { alert, window };
        let page = session
            .batches()
            .alert_event_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        Ok(Self {
            listed: Listed::of(page, AlertEvent, move |node: &AlertEvent| {
                encode(ORDER, (alert, (node.0.created_at, node.0.id)))
            }),
        })
    }
}

async fn pages(
    session: &Session,
    keys: Vec<AlertEventPageKey>,
) -> Result<HashMap<AlertEventPageKey, Arc<AlertEventPage>>, ApiError> {
    let mut pages = HashMap::new();
    for (window, alerts) in by(keys, |key| (key.window, key.alert)) {
        let found = session
            .read(|tx| Box::pin(async move { alert::event_pages_of(tx, &alerts, window).await }))
            .await?;
        pages.extend(found.into_iter().map(|(alert, page)| {
            let key = AlertEventPageKey { alert, window };
            (key, Arc::new(page.shared()))
        }));
    }
    Ok(pages)
}
