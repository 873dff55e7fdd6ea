//! The root of reads.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};

use super::alert::Alert;
use super::artifact::Artifact;
use super::connection::asked;
use super::finding::{Finding, FindingFilter, FindingOrder};
use super::finding_page::{FindingConnection, Owner};
use super::group::{TaskGroup, TaskGroupConnection};
use super::id::Ref;
use super::node::{Node, finding_of};
use super::plugin::PluginConnection;
use super::principal::Asker;
use super::project::{Project, ProjectConnection, ProjectFilter};
use super::queue::Queue;
use super::schedule::{Schedule, ScheduleConnection};
use super::session::Session;
use super::task::Task;
use super::task_page::{TaskConnection, TaskFilter};
use super::usage::{Usage, UsageBucket};
use super::viewer::Viewer;
use super::waiting::QueuePause;
use super::webhook::{self, WebhookEndpoint};
use super::worker::WorkerConnection;
use crate::api::errors::ApiError;
use tamiz_core::{AlertId, ArtifactId, FindingId, GroupId, ProjectId, ScheduleId, TaskId, WebhookEndpointId};

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
    async fn node(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "An id that a field `id` answered.")] id: ID,
    ) -> Result<Option<Node>, ApiError> {
        let session = Session::of(context)?;
        Node::find(session, &id).await
    }

    /// One project.
    async fn project(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<ProjectId>,
    ) -> Result<Option<Project>, ApiError> {
        Ok(Session::of(context)?.project(id.into()).await?.map(Project))
    }

    /// Projects, newest first.
    async fn projects(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: rows after it.")] after: Option<String>,
        #[graphql(desc = "Rows of the page, from the end of the list; instead of `first`.")] last: Option<
            i32,
        >,
        #[graphql(desc = "A cursor: rows before it.")] before: Option<String>,
        #[graphql(desc = "Which projects; all if not said.")] filter: Option<ProjectFilter>,
    ) -> Result<ProjectConnection, ApiError> {
        ProjectConnection::page(Session::of(context)?, &asked(first, after, last, before), filter).await
    }

    /// One task.
    async fn task(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<TaskId>,
    ) -> Result<Option<Task>, ApiError> {
        Ok(Session::of(context)?.task(id.into()).await?.map(Task))
    }

    /// Tasks, newest first.
    async fn tasks(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
        #[graphql(desc = "Which tasks; all if not said.")] filter: Option<TaskFilter>,
    ) -> Result<TaskConnection, ApiError> {
        TaskConnection::page(Session::of(context)?, &asked(first, after, last, before), filter).await
    }

    /// One group of tasks.
    async fn task_group(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<GroupId>,
    ) -> Result<Option<TaskGroup>, ApiError> {
        Ok(Session::of(context)?.group(id.into()).await?.map(TaskGroup))
    }

    /// Groups of tasks, newest first.
    async fn task_groups(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Of this project; of all if not said.")] project_id: Option<Ref<ProjectId>>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<TaskGroupConnection, ApiError> {
        TaskGroupConnection::page(
            Session::of(context)?,
            project_id,
            &asked(first, after, last, before),
        )
        .await
    }

    /// One schedule.
    async fn schedule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<ScheduleId>,
    ) -> Result<Option<Schedule>, ApiError> {
        Ok(Session::of(context)?.schedule(id.into()).await?.map(Schedule))
    }

    /// Schedules, newest first.
    async fn schedules(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<ScheduleConnection, ApiError> {
        ScheduleConnection::page(Session::of(context)?, &asked(first, after, last, before)).await
    }

    /// What of your queue is held back, by your tenant or by the operator.
    async fn queue_pauses(&self, context: &Context<'_>) -> Result<Vec<QueuePause>, ApiError> {
        let pauses = Session::of(context)?.pauses().await?;
        Ok(pauses.iter().map(QueuePause::from).collect())
    }

    /// One finding.
    async fn finding(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<FindingId>,
    ) -> Result<Option<Finding>, ApiError> {
        finding_of(Session::of(context)?, id.into()).await
    }

    /// Findings of all projects.
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
        #[graphql(desc = "Which findings; all if not said.")] filter: Option<FindingFilter>,
    ) -> Result<FindingConnection, ApiError> {
        let session = Session::of(context)?;
        FindingConnection::of(
            session,
            Owner::Tenant,
            &asked(first, after, last, before),
            order_by,
            filter,
        )
        .await
    }

    /// One alert.
    async fn alert(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<AlertId>,
    ) -> Result<Option<Alert>, ApiError> {
        Ok(Session::of(context)?.alert(id.into()).await?.map(Alert))
    }

    /// Plugins that are installed for everybody or for your tenant, newest first.
    async fn plugins(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Those that serve it; all if not said.")] scan_type: Option<String>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<PluginConnection, ApiError> {
        let session = Session::of(context)?;
        PluginConnection::page(session, scan_type.as_deref(), &asked(first, after, last, before)).await
    }

    /// For admins: where webhooks are sent, the newest first; at most ten.
    async fn webhook_endpoints(&self, context: &Context<'_>) -> Result<Vec<WebhookEndpoint>, ApiError> {
        webhook::endpoints(Session::of(context)?).await
    }

    /// For admins: one endpoint of webhooks.
    async fn webhook_endpoint(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<WebhookEndpointId>,
    ) -> Result<Option<WebhookEndpoint>, ApiError> {
        webhook::endpoint_of(Session::of(context)?, id.into()).await
    }

    /// What your tenant has used from the window that holds `from` to the one that holds `to`; at most 1,000
    /// windows.
    async fn usage(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "A time in the first window.")] from: DateTime<Utc>,
        #[graphql(desc = "A time in the last window.")] to: DateTime<Utc>,
        #[graphql(desc = "How long a window is.")] bucket: UsageBucket,
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
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<WorkerConnection, ApiError> {
        WorkerConnection::page(context, &asked(first, after, last, before)).await
    }

    /// One artifact.
    async fn artifact(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its id.")] id: Ref<ArtifactId>,
    ) -> Result<Option<Artifact>, ApiError> {
        Ok(Session::of(context)?.artifact(id.into()).await?.map(Artifact))
    }
}
