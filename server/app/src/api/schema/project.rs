//! Projects and their pages.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::ProjectId;
use tamiz_store::project;

use super::alert_page::{self, AlertConnection, AlertCount, AlertDay, AlertFilter, AlertOrder};
use super::alert_rule::{AlertRule, rules_of};
use super::connection::{Asked, Listed, asked, connection, decode, encode};
use super::export::ExportFormat;
use super::finding::{FindingFilter, FindingOrder, askable};
use super::finding_page::{FindingConnection, Owner};
use super::id::id_of;
use super::session::Session;
use super::task_page::{ProjectTaskFilter, TaskConnection};
use super::top_rule::{TopRule, top_rules_of};
use super::upload::UploadConnection;
use super::words::SeverityCounts;
use crate::api::alert_export;
use crate::api::errors::ApiError;

const ORDER: &str = "projects";

/// Groups tasks and findings.
#[derive(Clone)]
pub(crate) struct Project(pub(super) Arc<project::Project>);

/// Groups tasks and findings.
#[Object]
impl Project {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// Unique in the tenant.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// Its tasks, newest first.
    async fn tasks(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
        #[graphql(desc = "Which of them; all if not said.")] filter: Option<ProjectTaskFilter>,
    ) -> Result<TaskConnection, ApiError> {
        TaskConnection::of_project(
            Session::of(context)?,
            self.0.id,
            &asked(first, after, last, before),
            filter,
        )
        .await
    }

    /// Its findings.
    #[expect(
        clippy::too_many_arguments,
        reason = "a connection has four arguments of its own"
    )]
    async fn findings(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
        #[graphql(desc = "The worst first if not said.")] order_by: Option<FindingOrder>,
        #[graphql(desc = "Which of them; all if not said.")] filter: Option<FindingFilter>,
    ) -> Result<FindingConnection, ApiError> {
        let session = Session::of(context)?;
        FindingConnection::of(
            session,
            Owner::Project(self.0.id),
            &asked(first, after, last, before),
            order_by,
            filter,
        )
        .await
    }

    /// What was uploaded into it, newest first.
    async fn uploads(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<UploadConnection, ApiError> {
        UploadConnection::of_project(
            Session::of(context)?,
            self.0.id,
            &asked(first, after, last, before),
        )
        .await
    }

    /// Its alerts: what people manage, however many scans see it.
    #[expect(
        clippy::too_many_arguments,
        reason = "a connection has four arguments of its own"
    )]
    async fn alerts(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
        #[graphql(desc = "The worst first if not said.")] order_by: Option<AlertOrder>,
        #[graphql(desc = "Which of them; all if not said.")] filter: Option<AlertFilter>,
    ) -> Result<AlertConnection, ApiError> {
        let session = Session::of(context)?;
        AlertConnection::of_project(
            session,
            self.0.id,
            &asked(first, after, last, before),
            order_by,
            filter,
        )
        .await
    }

    /// How many alerts it has of each state and severity.
    async fn alert_counts(&self, context: &Context<'_>) -> Result<Vec<AlertCount>, ApiError> {
        alert_page::counts_of(Session::of(context)?, self.0.id).await
    }

    /// What happened to its alerts in the last days, today among them, the oldest first; days and severities without
    /// changes are left out.
    async fn trend(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "1 to 366.", default = 30)] days: i32,
    ) -> Result<Vec<AlertDay>, ApiError> {
        alert_page::trend_of(Session::of(context)?, self.0.id, days).await
    }

    /// Rules that act on its alerts by themselves, in the order in which they are asked.
    async fn alert_rules(&self, context: &Context<'_>) -> Result<Vec<AlertRule>, ApiError> {
        rules_of(Session::of(context)?, self.0.id).await
    }

    /// Days from when an alert opens until it is due, by severity.
    async fn sla_days(&self) -> SlaDays {
        self.0.sla.0.into()
    }

    /// Where its alerts are as a file: a path of this server, which the token of this request opens. With
    /// `?state=open,reopened` there are those in these states alone; SARIF has no others unless that is said.
    async fn export_url(&self, #[graphql(desc = "The format of the file.")] format: ExportFormat) -> String {
        alert_export::path_of(self.0.id, format.into())
    }

    /// Its open alerts by severity, from counters: what there is to do.
    async fn severity_counts(&self, context: &Context<'_>) -> Result<SeverityCounts, ApiError> {
        alert_page::open_counts_of(Session::of(context)?, self.0.id).await
    }

    /// Its findings by severity: what all scans together reported, the same flaw as often as it was seen. Counted when it is
    /// asked for.
    async fn finding_severity_counts(&self, context: &Context<'_>) -> Result<SeverityCounts, ApiError> {
        Ok(Session::of(context)?.severities_of(self.0.id).await?.into())
    }

    /// The rules with the most open alerts, most first, from counters.
    async fn top_rules(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "1 to 100.", default = 10)] first: i32,
    ) -> Result<Vec<TopRule>, ApiError> {
        top_rules_of(Session::of(context)?, self.0.id, first).await
    }
}

/// Days from when an alert opens until it is due, by severity; null where nobody promised anything.
#[derive(SimpleObject, Debug, Clone, Copy)]
pub(crate) struct SlaDays {
    /// For severity `CRITICAL`.
    critical: Option<i32>,
    /// For severity `HIGH`.
    high: Option<i32>,
    /// For severity `MEDIUM`.
    medium: Option<i32>,
    /// For severity `LOW`.
    low: Option<i32>,
    /// For severity `INFO`.
    info: Option<i32>,
}

impl From<tamiz_core::SlaDays> for SlaDays {
    fn from(days: tamiz_core::SlaDays) -> Self {
        let of = |days: Option<u16>| days.map(i32::from);
        Self {
            critical: of(days.critical),
            high: of(days.high),
            medium: of(days.medium),
            low: of(days.low),
            info: of(days.info),
        }
    }
}

/// Which projects.
#[derive(InputObject, Debug, Default)]
pub(crate) struct ProjectFilter {
    /// The one with exactly this name.
    name: Option<String>,
}

/// How `totalCount` of projects is found.
pub(super) struct ProjectsCount(Option<String>);

impl ProjectsCount {
    async fn count(&self, session: &Session) -> Result<i64, ApiError> {
        let name = self.0.clone();
        session
            .read(|tx| Box::pin(async move { project::count(tx, name.as_deref()).await }))
            .await
    }
}

connection!(
    /// A page of projects.
    ProjectConnection, ProjectEdge, Project,
    /// Cheap: projects are few.
    ProjectsCount
);

impl ProjectConnection {
    pub(super) async fn page(
        session: &Session,
        asked: &Asked,
        filter: Option<ProjectFilter>,
    ) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode::<ProjectId>(ORDER, cursor))?;
        let name = filter.unwrap_or_default().name;
        let name = name.map(|name| askable("name", name)).transpose()?;
        let wanted = name.clone();
        let page = session
            .read(|tx| Box::pin(async move { project::page(tx, wanted.as_deref(), window).await }))
            .await?;
        Ok(Self {
            listed: Listed::of(
                page,
                |row| Project(Arc::new(row)),
                |node: &Project| encode(ORDER, node.0.id),
            ),
            counted: ProjectsCount(name),
        })
    }
}
