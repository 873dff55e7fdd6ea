//! Occurrences of findings, and pages of them: those of many findings in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Object};
use tamiz_core::{FindingId, Location};
use tamiz_store::finding::{self, OccurrenceRow};
use tamiz_store::page::{Page, Window};

use super::answer_bytes::paid;
use super::connection::{Asked, Listed, connection, decode_within, encode};
use super::scalars::Json;
use super::session::Session;
use super::task_page::by;
use crate::api::errors::ApiError;

const ORDER: &str = "occurrences";

/// A further record of the report that says what its finding says.
#[derive(Clone)]
pub(crate) struct Occurrence(Arc<OccurrenceRow>);

/// A further record of the report that says what its finding says.
#[Object]
impl Occurrence {
    /// Its number among those of the finding, from 1, in the order of the report.
    async fn ordinal(&self) -> i32 {
        self.0.ordinal
    }

    /// Its primary place in one word.
    fn location(&self, context: &Context<'_>) -> Result<Option<String>, ApiError> {
        let label = self.0.locations.0.first().map(Location::label);
        paid(context, &label)?;
        Ok(label)
    }

    /// All its places, each an object with a `kind`.
    fn locations(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        let all = serde_json::to_value(&self.0.locations.0).map_err(|error| ApiError::fault(&error))?;
        paid(context, &all)?;
        Ok(Json(all))
    }

    /// The byte of the report that it begins with; null where the converter does not say.
    async fn report_offset(&self) -> Option<i64> {
        self.0.report_offset
    }

    /// Its length in the report, in bytes.
    async fn report_length(&self) -> Option<i64> {
        self.0.report_length
    }
}

/// One page of one finding's occurrences.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OccurrencePageKey {
    finding: FindingId,
    /// Between ordinals.
    window: Window<i32>,
}

/// Shared rows of a page.
pub(super) type OccurrencePage = Page<Arc<OccurrenceRow>>;

/// How many occurrences a finding has.
pub(super) struct OccurrencesCount(pub(super) FindingId);

impl OccurrencesCount {
    pub(super) async fn count(&self, session: &Session) -> Result<i64, ApiError> {
        let fetch = async |findings: Vec<FindingId>| {
            session
                .read(|tx| Box::pin(async move { finding::occurrence_counts_of(tx, &findings).await }))
                .await
        };
        Ok(session
            .batches()
            .occurrence_counts
            .load(self.0, fetch)
            .await?
            .unwrap_or(0))
    }
}

connection!(
    /// A page of occurrences.
    OccurrenceConnection, OccurrenceEdge, Occurrence,
    /// They are counted when it is asked for, by the key of the finding.
    OccurrencesCount
);

impl OccurrenceConnection {
    pub(super) async fn of(session: &Session, finding: FindingId, asked: &Asked) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode_within(ORDER, &finding, cursor))?;
        let key = OccurrencePageKey { finding, window };
        let page = session
            .batches()
            .occurrence_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        Ok(Self {
            listed: Listed::of(page, Occurrence, move |node: &Occurrence| {
                encode(ORDER, (finding, node.0.ordinal))
            }),
            counted: OccurrencesCount(finding),
        })
    }
}

async fn pages(
    session: &Session,
    keys: Vec<OccurrencePageKey>,
) -> Result<HashMap<OccurrencePageKey, Arc<OccurrencePage>>, ApiError> {
    let mut pages = HashMap::new();
    for (window, findings) in by(keys, |key| (key.window, key.finding)) {
        let found = session
            .read(|tx| Box::pin(async move { finding::occurrence_pages_of(tx, &findings, window).await }))
            .await?;
        pages.extend(found.into_iter().map(|(finding, page)| {
            let key = OccurrencePageKey { finding, window };
            (key, Arc::new(page.shared()))
        }));
    }
    Ok(pages)
}
