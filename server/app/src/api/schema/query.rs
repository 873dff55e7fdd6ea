//! The root of reads.

use std::sync::Arc;

use async_graphql::{Context, ID, Interface, Object};
use chrono::{DateTime, Utc};
use tamiz_store::node::{self, Kind};
use tamiz_store::{finding, tool_execution};
use uuid::Uuid;

use super::alert::Alert;
use super::artifact::Artifact;
use super::finding::{Finding, FindingFilter, FindingOrder};
use super::finding_page::{FindingConnection, Owner};
use super::group::{TaskGroup, TaskGroupConnection};
use super::plugin::{Plugin, PluginConnection};
use super::principal::Asker;
use super::project::{Project, ProjectConnection, ProjectFilter};
use super::queue::Queue;
use super::schedule::{Schedule, ScheduleConnection};
use super::session::Session;
use super::task::Task;
use super::task_page::{TaskConnection, TaskFilter};
use super::tenant::Tenant;
use super::token::{ApiToken, token_of};
use super::tool_execution::ToolExecution;
use super::upload::{Upload, upload_of};
use super::usage::{Usage, UsageBucket};
use super::viewer::Viewer;
use super::waiting::QueuePause;
use super::webhook::{self, WebhookEndpoint};
use super::worker::WorkerConnection;
use crate::api::errors::ApiError;

/// Anything with an id. Ids are UUIDs, unique over all kinds.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "A UUID."))]
pub(crate) enum Node {
    Project(Project),
    Task(Task),
    Finding(Finding),
    Alert(Alert),
    Artifact(Artifact),
    ToolExecution(ToolExecution),
    Plugin(Plugin),
    Upload(Upload),
    ApiToken(ApiToken),
    Tenant(Tenant),
}

/// The root of reads.
pub(crate) struct Query;

/// The root of reads. What belongs to another tenant is null, like what does not exist.
#[Object(name = "MainQuery")]
impl Query {
    /// Who asks.
    #[expect(
        clippy::unused_async,
        reason = "the macro takes async functions; this one awaits nothing"
    )]
    async fn viewer(&self, context: &Context<'_>) -> Result<Viewer, ApiError> {
        Ok(Viewer(Arc::clone(Session::of(context)?)))
    }

    /// Whatever has this id.
    async fn node(&self, context: &Context<'_>, id: ID) -> Result<Option<Node>, ApiError> {
        let session = Session::of(context)?;
        let Ok(id) = Uuid::parse_str(&id) else {
            return Ok(None);
        };
        let Some(kind) = session.read(|tx| Box::pin(node::kind(tx, id))).await? else {
            return Ok(None);
        };
        Ok(match kind {
            Kind::Project => session
                .project(id.into())
                .await?
                .map(|row| Node::Project(Project(row))),
            Kind::Task => session.task(id.into()).await?.map(|row| Node::Task(Task(row))),
            Kind::Finding => finding_of(session, id).await?.map(Node::Finding),
            Kind::Alert => session.alert(id.into()).await?.map(|row| Node::Alert(Alert(row))),
            Kind::Artifact => session
                .artifact(id.into())
                .await?
                .map(|row| Node::Artifact(Artifact(row))),
            Kind::Plugin => session
                .plugin(id.into())
                .await?
                .map(|row| Node::Plugin(Plugin(row))),
            Kind::Upload => upload_of(session, id.into()).await?.map(Node::Upload),
            Kind::Token => token_of(session, id.into()).await?.map(Node::ApiToken),
            Kind::Tenant => Some(Node::Tenant(Tenant::own(session))),
            Kind::ToolExecution => {
                let rows = session
                    .read(|tx| Box::pin(async move { tool_execution::by_ids(tx, &[id.into()]).await }))
                    .await?;
                rows.into_iter()
                    .next()
                    .map(|row| Node::ToolExecution(ToolExecution(Arc::new(row))))
            }
        })
    }

    /// One project.
    async fn project(&self, context: &Context<'_>, id: Uuid) -> Result<Option<Project>, ApiError> {
        Ok(Session::of(context)?.project(id.into()).await?.map(Project))
    }

    /// Projects, newest first.
    async fn projects(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
        filter: Option<ProjectFilter>,
    ) -> Result<ProjectConnection, ApiError> {
        ProjectConnection::page(Session::of(context)?, first, after.as_deref(), filter).await
    }

    /// One task.
    async fn task(&self, context: &Context<'_>, id: Uuid) -> Result<Option<Task>, ApiError> {
        Ok(Session::of(context)?.task(id.into()).await?.map(Task))
    }

    /// Tasks, newest first.
    async fn tasks(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
        filter: Option<TaskFilter>,
    ) -> Result<TaskConnection, ApiError> {
        TaskConnection::page(Session::of(context)?, first, after.as_deref(), filter).await
    }

    /// One group of tasks.
    async fn task_group(&self, context: &Context<'_>, id: Uuid) -> Result<Option<TaskGroup>, ApiError> {
        Ok(Session::of(context)?.group(id.into()).await?.map(TaskGroup))
    }

    /// Groups of tasks, newest first.
    async fn task_groups(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Of this project; of all if not said.")] project_id: Option<Uuid>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
    ) -> Result<TaskGroupConnection, ApiError> {
        TaskGroupConnection::page(Session::of(context)?, project_id, first, after.as_deref()).await
    }

    /// One schedule.
    async fn schedule(&self, context: &Context<'_>, id: Uuid) -> Result<Option<Schedule>, ApiError> {
        Ok(Session::of(context)?.schedule(id.into()).await?.map(Schedule))
    }

    /// Schedules, newest first.
    async fn schedules(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
    ) -> Result<ScheduleConnection, ApiError> {
        ScheduleConnection::page(Session::of(context)?, first, after.as_deref()).await
    }

    /// What of your queue is held back, by your tenant or by the operator.
    async fn queue_pauses(&self, context: &Context<'_>) -> Result<Vec<QueuePause>, ApiError> {
        let pauses = Session::of(context)?.pauses().await?;
        Ok(pauses.iter().map(QueuePause::from).collect())
    }

    /// One finding.
    async fn finding(&self, context: &Context<'_>, id: Uuid) -> Result<Option<Finding>, ApiError> {
        finding_of(Session::of(context)?, id).await
    }

    /// Findings of all projects.
    async fn findings(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
        #[graphql(desc = "`SEVERITY_DESC` if not said.")] order_by: Option<FindingOrder>,
        filter: Option<FindingFilter>,
    ) -> Result<FindingConnection, ApiError> {
        let session = Session::of(context)?;
        FindingConnection::of(session, Owner::Tenant, first, after.as_deref(), order_by, filter).await
    }

    /// One alert.
    async fn alert(&self, context: &Context<'_>, id: Uuid) -> Result<Option<Alert>, ApiError> {
        Ok(Session::of(context)?.alert(id.into()).await?.map(Alert))
    }

    /// Plugins that are installed for everybody or for your tenant, newest first.
    async fn plugins(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Those that serve it; all if not said.")] scan_type: Option<String>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
    ) -> Result<PluginConnection, ApiError> {
        let session = Session::of(context)?;
        PluginConnection::page(session, scan_type.as_deref(), first, after.as_deref()).await
    }

    /// For admins: where webhooks are sent, the newest first; at most ten.
    async fn webhook_endpoints(&self, context: &Context<'_>) -> Result<Vec<WebhookEndpoint>, ApiError> {
        webhook::endpoints(Session::of(context)?).await
    }

    /// For admins: one endpoint of webhooks.
    async fn webhook_endpoint(
        &self,
        context: &Context<'_>,
        id: Uuid,
    ) -> Result<Option<WebhookEndpoint>, ApiError> {
        webhook::endpoint_of(Session::of(context)?, id.into()).await
    }

    /// What your tenant has used from the window that holds `from` to the one that holds `to`; at most 1,000
    /// windows.
    async fn usage(
        &self,
        context: &Context<'_>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        bucket: UsageBucket,
    ) -> Result<Usage, ApiError> {
        Usage::between(Session::of(context)?, from, to, bucket.into()).await
    }

    /// What waits and runs: of your tenant, or of all for an operator's token.
    #[expect(
        clippy::unused_async,
        reason = "the macro takes async functions; this one awaits nothing"
    )]
    async fn queue(&self, context: &Context<'_>) -> Result<Queue, ApiError> {
        Asker::of(context)?;
        Ok(Queue)
    }

    /// For operators: the workers, by name.
    async fn workers(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
    ) -> Result<WorkerConnection, ApiError> {
        WorkerConnection::page(context, first, after.as_deref()).await
    }

    /// One artifact.
    async fn artifact(&self, context: &Context<'_>, id: Uuid) -> Result<Option<Artifact>, ApiError> {
        Ok(Session::of(context)?.artifact(id.into()).await?.map(Artifact))
    }
}

async fn finding_of(session: &Session, id: Uuid) -> Result<Option<Finding>, ApiError> {
    let rows = session
        .read(|tx| Box::pin(async move { finding::by_ids(tx, &[id.into()]).await }))
        .await?;
    Ok(rows.into_iter().next().map(|row| Finding(Arc::new(row))))
}
