//! Findings, and what may be asked about them. Pages of them: `finding_page`.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use tamiz_core::{FindingId, Location, Refusal};
use tamiz_store::finding::{self, FindingRow};

use super::alert::Alert;
use super::answer_bytes::paid;
use super::connection::{OrderDirection, asked};
use super::content::{self, Labelled, OfFlaw, OfRule, Rated, Told};
use super::id::id_of;
use super::occurrence::{OccurrenceConnection, OccurrencesCount};
use super::project::Project;
use super::scalars::Json;
use super::session::Session;
use super::task::Task;
use super::words::Severity;
use crate::api::errors::ApiError;

/// Words of one list of a filter; a longer list is a query that should be two.
const FILTER_WORDS_MAX: usize = 100;

/// One result of one task.
#[derive(Clone)]
pub(crate) struct Finding(pub(super) Arc<FindingRow>);

/// One result of one task.
#[Object]
impl Finding {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(FindingId::from(self.0.id))
    }

    /// Where it belongs.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        Ok(Session::of(context)?
            .project(self.0.project_id.into())
            .await?
            .map(Project))
    }

    /// Which task found it.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        Ok(Session::of(context)?.task(self.0.task_id.into()).await?.map(Task))
    }

    /// The alert that it is a sighting of; null of an attempt that failed, and from before there were alerts.
    async fn alert(&self, context: &Context<'_>) -> Result<Option<Alert>, ApiError> {
        match self.0.alert_id {
            Some(alert) => Ok(Session::of(context)?.alert(alert.into()).await?.map(Alert)),
            None => Ok(None),
        }
    }

    /// The producing tool, lower case.
    async fn tool(&self) -> &str {
        &self.0.source_tool
    }

    #[graphql(flatten)]
    fn of_rule(&self) -> OfRule<'_> {
        OfRule(&self.0.said.content)
    }

    /// How bad it is, in our words.
    fn severity(&self) -> Result<Severity, ApiError> {
        Severity::of_rank(self.0.severity)
    }

    #[graphql(flatten)]
    fn rated(&self) -> Rated<'_> {
        Rated(&self.0.said.content)
    }

    #[graphql(flatten)]
    fn of_flaw(&self) -> OfFlaw<'_> {
        OfFlaw(&self.0.said.content, self.0.project_id.into())
    }

    /// What the vector comes to, 0.0 to 10.0: the base score of versions 2 and 3, of version 4 the score of
    /// the whole vector. Null without one that can be read.
    async fn cvss_score(&self) -> Option<f64> {
        self.0.said.content.cvss_score
    }

    #[graphql(flatten)]
    fn told(&self) -> Told<'_> {
        Told(&self.0.said.content)
    }

    /// The first line, from 1.
    async fn line(&self) -> Option<i32> {
        self.0.said.content.line
    }

    /// The last line, from 1.
    fn end_line(&self) -> Result<Option<u32>, ApiError> {
        let place = content::first_place(&self.0.said.content)?;
        Ok(match place {
            Some(Location::File { end, .. }) => end.map(|end| end.line),
            _ => None,
        })
    }

    /// The source text at the place.
    fn snippet(&self, context: &Context<'_>) -> Result<Option<String>, ApiError> {
        content::snippet(context, &self.0.said.content)
    }

    /// All places, each an object with a `kind`.
    fn locations(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        content::locations(context, &self.0.said.content)
    }

    /// How many further records of the report say the same.
    async fn occurrence_count(&self, context: &Context<'_>) -> Result<i64, ApiError> {
        OccurrencesCount(self.0.id.into())
            .count(Session::of(context)?)
            .await
    }

    /// The further records of the report that say the same, in its order. The first record is the finding.
    async fn occurrences(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<OccurrenceConnection, ApiError> {
        let session = Session::of(context)?;
        let asked = asked(first, after, last, before);
        // boxed for the reason that `Batch::load` tells
        Box::pin(OccurrenceConnection::of(session, self.0.id.into(), &asked)).await
    }

    #[graphql(flatten)]
    fn labelled(&self) -> Labelled<'_> {
        Labelled(&self.0.said.content)
    }

    /// The identity that survives line shifts and tool upgrades, in hexadecimal.
    async fn fingerprint(&self) -> String {
        hex::encode(&self.0.fingerprint)
    }

    /// How the fingerprint was made.
    async fn fingerprint_version(&self) -> i32 {
        i32::from(self.0.fingerprint_version)
    }

    /// The tool's own identity for the result.
    async fn tool_fingerprint(&self) -> Option<&str> {
        self.0.said.tool_fingerprint.as_deref()
    }

    /// Anything else that the tool told.
    fn extra(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        let extra = content::parsed(&self.0.said.extra)?;
        paid(context, &extra)?;
        Ok(Json(extra))
    }

    /// When it was stored.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// What findings are sorted by.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FindingOrderField {
    /// How bad it is, then when it was stored.
    #[default]
    Severity,
    /// When it was stored.
    CreatedAt,
    /// The file, then the line.
    File,
}

/// In which order. Ties are broken by id.
#[derive(InputObject, Debug, Clone, Copy, Default)]
pub(crate) struct FindingOrder {
    /// What they are sorted by.
    field: FindingOrderField,
    /// `DESC` if not said, and `ASC` for `FILE`.
    direction: Option<OrderDirection>,
}

impl FindingOrder {
    /// What its cursors are bound to.
    pub(super) const fn label(self) -> &'static str {
        match self.field {
            FindingOrderField::Severity => "findings/severity_desc",
            FindingOrderField::CreatedAt => "findings/created_desc",
            FindingOrderField::File => "findings/file",
        }
    }

    pub(super) const fn to_store(self) -> finding::FindingOrder {
        match self.field {
            FindingOrderField::Severity => finding::FindingOrder::SeverityDesc,
            FindingOrderField::CreatedAt => finding::FindingOrder::CreatedDesc,
            FindingOrderField::File => finding::FindingOrder::File,
        }
    }

    /// Whether the list runs against the store's order.
    pub(super) const fn is_turned(self) -> bool {
        match self.field {
            FindingOrderField::Severity | FindingOrderField::CreatedAt => {
                matches!(self.direction, Some(OrderDirection::Asc))
            }
            FindingOrderField::File => matches!(self.direction, Some(OrderDirection::Desc)),
        }
    }
}

/// Which findings. Several words of one list mean any of them, several lists all of them.
#[derive(InputObject, Debug, Default)]
pub(crate) struct FindingFilter {
    /// Of these severities.
    severity: Option<Vec<Severity>>,
    /// Of these tools.
    tool: Option<Vec<String>>,
    /// Of these rules.
    rule: Option<Vec<String>>,
    /// In this file; a path that ends with `/` means everything below.
    file: Option<String>,
}

impl FindingFilter {
    pub(super) fn into_store(self) -> Result<finding::FindingFilter, Refusal> {
        let severities = words("severity", self.severity)?;
        Ok(finding::FindingFilter {
            project: None,
            task: None,
            severities: severities.into_iter().map(Into::into).collect(),
            tools: texts("tool", self.tool)?,
            rules: texts("rule", self.rule)?,
            file: self.file.map(|file| askable("file", file)).transpose()?,
        })
    }
}

pub(super) fn texts(name: &str, list: Option<Vec<String>>) -> Result<Vec<String>, Refusal> {
    words(name, list)?
        .into_iter()
        .map(|text| askable(name, text))
        .collect()
}

/// A text of a filter that the database can compare with.
pub(super) fn askable(name: &str, text: String) -> Result<String, Refusal> {
    if tamiz_core::text::is_storable(&text) {
        Ok(text)
    } else {
        Err(Refusal::invalid(name, "must not have a NUL character").at(&["filter", name]))
    }
}

/// The words of one list of the filter; no list is an empty one.
pub(super) fn words<Word>(name: &str, list: Option<Vec<Word>>) -> Result<Vec<Word>, Refusal> {
    let list = list.unwrap_or_default();
    if list.len() > FILTER_WORDS_MAX {
        let rule = format!(
            "has {} words, more than the limit of {FILTER_WORDS_MAX}",
            list.len()
        );
        return Err(Refusal::invalid(name, rule).at(&["filter", name]));
    }
    Ok(list)
}
