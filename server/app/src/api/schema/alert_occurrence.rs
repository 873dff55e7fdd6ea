//! Places of alerts, and pages of them: those of many alerts in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Object};
use chrono::{DateTime, Utc};
use tamiz_core::AlertId;
use tamiz_store::alert::{self, AlertOccurrenceRow};
use tamiz_store::page::{Page, Window};
use uuid::Uuid;

use super::alert::Scope;
use super::answer_bytes::paid;
use super::connection::{Asked, Listed, connection, decode_within, encode};
use super::scalars::Json;
use super::session::Session;
use super::task_page::by;
use crate::api::errors::ApiError;

const ORDER: &str = "alert_occurrences";

/// A place of an alert in a scope.
#[derive(Clone)]
pub(crate) struct AlertOccurrence(Arc<AlertOccurrenceRow>);

/// A place of an alert in a scope.
#[Object]
impl AlertOccurrence {
    /// The place in one word.
    fn location(&self, context: &Context<'_>) -> Result<Option<&str>, ApiError> {
        Ok(paid(context, &self.0.location_label)?.as_deref())
    }

    /// All places of its newest sighting there, each an object with a `kind`.
    fn locations(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        let all = serde_json::to_value(&self.0.locations.0).map_err(|error| ApiError::fault(&error))?;
        paid(context, &all)?;
        Ok(Json(all))
    }

    /// The line at which it was seen last, from 1.
    async fn line(&self) -> Option<i32> {
        Some(self.0.line).filter(|line| *line > 0)
    }

    /// When a scan of the scope saw it first.
    async fn first_seen_at(&self) -> DateTime<Utc> {
        self.0.first_seen_at
    }

    /// When a scan of the scope saw it last.
    async fn last_seen_at(&self) -> DateTime<Utc> {
        self.0.last_seen
    }

    /// Whether the last scan of the scope saw it.
    async fn is_present(&self) -> bool {
        self.0.is_present
    }

    /// Where.
    async fn scope(&self) -> Scope {
        Scope(self.0.scope.clone())
    }
}

/// One page of one alert's places.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AlertOccurrencePageKey {
    alert: AlertId,
    /// Between scopes and places.
    window: Window<(Uuid, Uuid)>,
}

/// Shared rows of a page.
pub(super) type AlertOccurrencePage = Page<Arc<AlertOccurrenceRow>>;

/// How many places an alert has.
pub(super) struct AlertOccurrencesCount(AlertId);

impl AlertOccurrencesCount {
    async fn count(&self, session: &Session) -> Result<i64, ApiError> {
        let fetch = async |alerts: Vec<AlertId>| {
            session
                .read(|tx| Box::pin(async move { alert::occurrence_counts_of(tx, &alerts).await }))
                .await
        };
        Ok(session
            .batches()
            .alert_occurrence_counts
            .load(self.0, fetch)
            .await?
            .unwrap_or(0))
    }
}

connection!(
    /// A page of places of an alert.
    AlertOccurrenceConnection, AlertOccurrenceEdge, AlertOccurrence,
    /// They are counted when it is asked for, by the key of the alert.
    AlertOccurrencesCount
);

impl AlertOccurrenceConnection {
    pub(super) async fn of(session: &Session, alert: AlertId, asked: &Asked) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode_within(ORDER, &alert, cursor))?;
        let key = AlertOccurrencePageKey { alert, window };
        let page = session
            .batches()
            .alert_occurrence_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        Ok(Self {
            listed: Listed::of(page, AlertOccurrence, move |node: &AlertOccurrence| {
                encode(ORDER, (alert, (node.0.scope.scope_id, node.0.place)))
            }),
            counted: AlertOccurrencesCount(alert),
        })
    }
}

async fn pages(
    session: &Session,
    keys: Vec<AlertOccurrencePageKey>,
) -> Result<HashMap<AlertOccurrencePageKey, Arc<AlertOccurrencePage>>, ApiError> {
    let mut pages = HashMap::new();
    for (window, alerts) in by(keys, |key| (key.window, key.alert)) {
        let found = session
            .read(|tx| Box::pin(async move { alert::occurrence_pages_of(tx, &alerts, window).await }))
            .await?;
        pages.extend(found.into_iter().map(|(alert, page)| {
            let key = AlertOccurrencePageKey { alert, window };
            (key, Arc::new(page.shared()))
        }));
    }
    Ok(pages)
}
