//! Alerts, and what may be asked about them. Pages of them: `alert_page`; decisions: `mutation_of_alerts`.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::{AlertId, suppression};
use tamiz_store::alert::{self, AlertRow};

use super::alert_event::AlertEventConnection;
use super::alert_occurrence::AlertOccurrenceConnection;
use super::answer_bytes::paid;
use super::connection::asked;
use super::content::{self, Labelled, OfFlaw, OfRule, Rated, Told};
use super::id::id_of;
use super::project::Project;
use super::related::RelatedAlert;
use super::scalars::{Date, Json};
use super::session::Session;
use super::task::Task;
use super::words::{AlertStateName, DismissalReasonName, Severity, unreadable};
use crate::api::errors::ApiError;

/// What people manage: the identity behind equal findings of a project.
#[derive(Clone)]
pub(crate) struct Alert(pub(super) Arc<AlertRow>);

/// A decision not to act on an alert.
#[derive(SimpleObject)]
#[graphql(name = "AlertDismissal")]
pub(crate) struct Dismissal {
    /// Why.
    reason: DismissalReasonName,
    /// In words.
    comment: Option<String>,
    /// The name of the token, or what else it was.
    by: String,
    /// When.
    at: DateTime<Utc>,
    /// Until when, of an accepted risk: then it opens again if it is there.
    until: Option<DateTime<Utc>>,
}

/// A reason for which a tool hides its own result.
#[derive(SimpleObject)]
#[graphql(name = "AlertSuppression")]
pub(crate) struct Suppression {
    /// Such as `inSource` or `external`; empty where the tool does not say.
    kind: String,
    /// `accepted`, `underReview` or `rejected`.
    status: String,
    /// In words; empty where there are none.
    justification: String,
}

/// What one kind of scan looks at; it finds gone what it held and does not see any more.
pub(crate) struct Scope(pub(super) alert::AlertScope);

/// What one kind of scan looks at; it finds gone what it held and does not see any more.
#[Object(name = "AlertScope")]
impl Scope {
    /// The type of scan.
    async fn scan_type(&self) -> &str {
        &self.0.scan_type
    }

    /// The tool, lower case.
    async fn tool(&self) -> &str {
        &self.0.scope_tool
    }

    /// Host, `host:port` or name; empty for source code.
    async fn target(&self) -> &str {
        &self.0.scope_target
    }

    /// Of the source code, as it was said when the scan was asked for.
    async fn branch(&self) -> &str {
        &self.0.scope_branch
    }

    /// Such as `staging`.
    async fn environment(&self) -> &str {
        &self.0.scope_environment
    }

    /// What tells apart scans of parts of one target.
    async fn category(&self) -> &str {
        &self.0.scope_category
    }

    /// When it was scanned last.
    async fn scanned_at(&self) -> DateTime<Utc> {
        self.0.scanned_at
    }

    /// The task that scanned it last; null once it is deleted.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        let task = self.0.scope_task_id.into();
        Ok(Session::of(context)?.task(task).await?.map(Task))
    }
}

impl Alert {
    /// Those of these alerts that are there, in the order of the ids.
    pub(super) async fn all_of(session: &Session, ids: &[AlertId]) -> Result<Vec<Self>, ApiError> {
        let loading = ids.iter().map(|id| session.alert(*id));
        let alerts = futures_util::future::try_join_all(loading).await?;
        Ok(alerts.into_iter().flatten().map(Alert).collect())
    }

    fn stands(&self) -> Result<tamiz_core::AlertState, ApiError> {
        let state = tamiz_core::AlertState::from_rank(self.0.state);
        state.ok_or_else(|| unreadable("alert state", self.0.state))
    }
}

/// What people manage: the identity behind equal findings of a project. What it says is what its newest sighting says.
#[Object]
impl Alert {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(AlertId::from(self.0.id))
    }

    /// Where it belongs.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        Ok(Session::of(context)?
            .project(self.0.project())
            .await?
            .map(Project))
    }

    /// Where it stands.
    fn state(&self) -> Result<AlertStateName, ApiError> {
        Ok(self.stands()?.into())
    }

    /// How bad it is: what a person said, or the tool.
    fn severity(&self) -> Result<Severity, ApiError> {
        Severity::of_rank(self.0.severity)
    }

    /// How bad the tool says it is, in our words.
    fn tool_severity(&self) -> Result<Severity, ApiError> {
        Severity::of_rank(self.0.tool_severity)
    }

    /// How bad a person says it is.
    fn severity_override(&self) -> Result<Option<Severity>, ApiError> {
        self.0.severity_override.map(Severity::of_rank).transpose()
    }

    #[graphql(flatten)]
    fn rated(&self) -> Rated<'_> {
        Rated(&self.0.content)
    }

    /// The producing tool, lower case.
    async fn tool(&self) -> &str {
        &self.0.source_tool
    }

    #[graphql(flatten)]
    fn of_rule(&self) -> OfRule<'_> {
        OfRule(&self.0.content)
    }

    #[graphql(flatten)]
    fn of_flaw(&self) -> OfFlaw<'_> {
        OfFlaw(&self.0.content, self.0.project_id.into())
    }

    /// What the vector comes to, 0.0 to 10.0.
    async fn cvss_score(&self) -> Option<f64> {
        self.0.content.cvss_score
    }

    #[graphql(flatten)]
    fn told(&self) -> Told<'_> {
        Told(&self.0.content)
    }

    /// The first line, from 1, where what it says was seen.
    async fn line(&self) -> Option<i32> {
        self.0.content.line
    }

    /// The source text at the place.
    fn snippet(&self, context: &Context<'_>) -> Result<Option<String>, ApiError> {
        content::snippet(context, &self.0.content)
    }

    /// All places of its newest sighting, each an object with a `kind`.
    fn locations(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        content::locations(context, &self.0.content)
    }

    #[graphql(flatten)]
    fn labelled(&self) -> Labelled<'_> {
        Labelled(&self.0.content)
    }

    /// Why the tool itself hides its newest sighting (`nosem`, a baseline, a list of the tool's). Evidence, and no state:
    /// what a tool suppresses stays as people have it.
    fn suppressions(&self, context: &Context<'_>) -> Result<Vec<Suppression>, ApiError> {
        let said = suppression::of(&self.0.suppressions.0).into_iter();
        let shown = said.map(|one| {
            Ok(Suppression {
                kind: one.kind,
                status: one.status,
                justification: paid(context, &one.justification)?.clone(),
            })
        });
        shown.collect()
    }

    /// What its identity is made of: `code`, `url`, …
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The identity that survives line shifts and tool upgrades, in hexadecimal.
    async fn fingerprint(&self) -> String {
        hex::encode(&self.0.fingerprint)
    }

    /// How the fingerprint was made.
    async fn fingerprint_version(&self) -> i32 {
        i32::from(self.0.fingerprint_version)
    }

    /// When it opened.
    async fn first_seen_at(&self) -> DateTime<Utc> {
        self.0.first_seen_at
    }

    /// When a scan saw it last.
    async fn last_seen_at(&self) -> DateTime<Utc> {
        self.0.last_seen
    }

    /// Whether the last scan of one of its scopes saw it.
    async fn is_present(&self) -> bool {
        self.0.is_present
    }

    /// The task that saw it first; null once it is deleted.
    async fn first_task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        let task = self.0.first_task_id.into();
        Ok(Session::of(context)?.task(task).await?.map(Task))
    }

    /// The scope that saw it last.
    async fn scope(&self) -> Scope {
        Scope(self.0.scope.clone())
    }

    /// The decision not to act on it; null unless it is `DISMISSED`.
    fn dismissal(&self, context: &Context<'_>) -> Result<Option<Dismissal>, ApiError> {
        let Some(reason) = self.0.dismissed_reason.as_deref() else {
            return Ok(None);
        };
        let unreadable = |_| unreadable("reason of a dismissal", reason);
        let reason: tamiz_core::DismissalReason = reason.parse().map_err(unreadable)?;
        Ok(Some(Dismissal {
            reason: reason.into(),
            comment: paid(context, &self.0.dismissed_comment)?.clone(),
            by: self.0.dismissed_by.clone().unwrap_or_default(),
            at: self.0.dismissed_at.unwrap_or_default(),
            until: self.0.dismissed_until,
        }))
    }

    /// Who shall act.
    async fn assignee(&self) -> Option<&str> {
        self.0.assignee.as_deref()
    }

    /// Until which day somebody shall act, in UTC: by the project's days of its severity from when it opened, or as a
    /// person said.
    async fn due_on(&self) -> Option<Date> {
        self.0.due_on.map(Date)
    }

    /// Whether it is open after the day on which it was due.
    fn is_overdue(&self) -> Result<bool, ApiError> {
        let today = Utc::now().date_naive();
        Ok(self.stands()?.is_open() && self.0.due_on.is_some_and(|due| due < today))
    }

    /// Its places, scope by scope, also those that it has left.
    async fn occurrences(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<AlertOccurrenceConnection, ApiError> {
        let session = Session::of(context)?;
        AlertOccurrenceConnection::of(session, self.0.id.into(), &asked(first, after, last, before)).await
    }

    /// Other alerts of the project that may be of the same flaw: of the same advisory by any of its aliases, or of the
    /// same weakness at the same place. Those that are open come first, then the worst. Nothing is merged.
    async fn related(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many at most, 20 if not said.")] first: Option<i32>,
    ) -> Result<Vec<RelatedAlert>, ApiError> {
        RelatedAlert::of(Session::of(context)?, self.0.id.into(), first).await
    }

    /// What happened to it, the newest first.
    async fn events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<AlertEventConnection, ApiError> {
        let session = Session::of(context)?;
        AlertEventConnection::of(session, self.0.id.into(), &asked(first, after, last, before)).await
    }
}
