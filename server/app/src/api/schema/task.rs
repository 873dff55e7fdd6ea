//! Tasks and their pages.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tamiz_core::UploadId;
use tamiz_store::task::{self, Source};

use super::answer_bytes::paid;
use super::artifact::Artifact;
use super::connection::asked;
use super::connection::limit;
use super::finding::{FindingFilter, FindingOrder};
use super::finding_page::{FindingConnection, Owner};
use super::group::TaskGroup;
use super::id::{Ref, id_of};
use super::plugin::TaskPlugin;
use super::project::Project;
use super::scalars::Json;
use super::scan_result::ScanResult;
use super::schedule::Schedule;
use super::session::Session;
use super::target::{PcapSession, ScanTarget};
use super::task_error::TaskError;
use super::task_event::{EventsKey, TaskAttempt, TaskEvent};
use super::task_log::TaskLogConnection;
use super::tool_execution::ToolExecution;
use super::waiting::TaskWait;
use super::words::{TaskPhase, TaskStatus};
use crate::api::errors::ApiError;

/// One scan asked for.
#[derive(Clone)]
pub(crate) struct Task(pub(super) Arc<task::Task>);

/// One scan asked for.
#[Object]
impl Task {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// Where it belongs.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        Ok(Session::of(context)?
            .project(self.0.project_id)
            .await?
            .map(Project))
    }

    /// Which plugin serves it.
    async fn scan_type(&self) -> &str {
        self.0.scan_type.as_str()
    }

    /// Where it is in its life.
    async fn status(&self) -> TaskStatus {
        self.0.status.into()
    }

    /// What it is doing.
    async fn phase(&self) -> TaskPhase {
        self.0.phase.into()
    }

    /// Higher goes first.
    async fn priority(&self) -> i32 {
        i32::from(self.0.priority)
    }

    /// Failed attempts since it was last queued by a person.
    async fn retries(&self) -> i32 {
        self.0.retries
    }

    /// The current or last attempt.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }

    /// Number of its last event.
    async fn last_event_seq(&self) -> i32 {
        self.0.event_seq
    }

    /// Why it ended badly.
    async fn error(&self) -> Option<TaskError> {
        TaskError::of(
            self.0.error_code.as_deref(),
            self.0.error_message.as_deref(),
            self.0.plugin_fault.as_ref(),
        )
    }

    /// The plugin that read its report; before that the one that is asked first. Null for tasks from before
    /// plugins were noted.
    async fn plugin(&self, context: &Context<'_>) -> Result<Option<TaskPlugin>, ApiError> {
        let result = Session::of(context)?.result_of(self.0.id).await?;
        let ran = result.and_then(|result| result.summary.plugin.clone());
        let has_run = ran.is_some();
        let plugin = ran.or_else(|| self.0.payload.plugins.first().cloned());
        Ok(plugin.map(|plugin| TaskPlugin { plugin, has_run }))
    }

    /// The upload it scans or converts; null for a task with a target.
    async fn upload_id(&self) -> Option<Ref<UploadId>> {
        self.0.payload.source.upload_id().map(Ref)
    }

    /// What it scans over the network; null for a task with an upload.
    async fn target(&self, context: &Context<'_>) -> Result<Option<ScanTarget>, ApiError> {
        Ok(Session::of(context)?.target_of(self.0.id).await?.map(ScanTarget))
    }

    /// Whether the upload is a finished report.
    async fn is_import(&self) -> bool {
        matches!(self.0.payload.source, Source::Report { .. })
    }

    /// The upload with rules used instead of the bundled ones.
    async fn rules_upload_id(&self) -> Option<Ref<UploadId>> {
        self.0.payload.rules_upload_id.map(Ref)
    }

    /// What the plugin was told.
    fn options(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        let options = Value::Object(self.0.payload.options.clone());
        paid(context, &options)?;
        Ok(Json(options))
    }

    /// Somebody asked to stop it.
    async fn cancel_requested_at(&self) -> Option<DateTime<Utc>> {
        self.0.cancel_requested_at
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }

    /// When its first attempt began.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }

    /// When it ended.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// Not before; of a task that is tried again, of its next try.
    async fn run_at(&self) -> Option<DateTime<Utc>> {
        self.0.run_at
    }

    /// How long one attempt may take; null is the operator's time for its scan type.
    async fn timeout_seconds(&self) -> Option<i64> {
        let seconds = self.0.timeout.map(|timeout| timeout.as_secs());
        seconds.map(u64::cast_signed)
    }

    /// The tasks that it finishes with.
    async fn group(&self, context: &Context<'_>) -> Result<Option<TaskGroup>, ApiError> {
        match self.0.group {
            Some(id) => Ok(Session::of(context)?.group(id).await?.map(TaskGroup)),
            None => Ok(None),
        }
    }

    /// What asked for it; null when a person did, and when the schedule is gone.
    async fn schedule(&self, context: &Context<'_>) -> Result<Option<Schedule>, ApiError> {
        match self.0.schedule {
            Some(id) => Ok(Session::of(context)?.schedule(id).await?.map(Schedule)),
            None => Ok(None),
        }
    }

    /// Why it waits; null when it does not.
    async fn waits_for(&self, context: &Context<'_>) -> Result<Option<TaskWait>, ApiError> {
        let session = Session::of(context)?;
        let pauses = session.pauses().await?;
        let wait = TaskWait::of(&self.0, &pauses, Utc::now());
        if !wait.as_ref().is_some_and(TaskWait::is_for_its_turn) {
            return Ok(wait);
        }
        let reached = session.limits_reached().await?;
        let limit = reached.of(&self.0.scan_type).cloned();
        Ok(limit.map(TaskWait::for_limit).or(wait))
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
        let asked = asked(first, after, last, before);
        let owner = Owner::Task(self.0.id);
        // boxed for the reason that `Batch::load` tells
        Box::pin(FindingConnection::of(session, owner, &asked, order_by, filter)).await
    }

    /// What it left: reports, outputs of tools, evidence. A task has few.
    async fn artifacts(&self, context: &Context<'_>) -> Result<Vec<Artifact>, ApiError> {
        let rows = Session::of(context)?.artifacts_of(self.0.id).await?;
        Ok(rows.iter().cloned().map(Artifact).collect())
    }

    /// The runs of its tools in its latest hundred attempts, oldest first. `node` finds those before, too.
    async fn tool_executions(&self, context: &Context<'_>) -> Result<Vec<ToolExecution>, ApiError> {
        let rows = Session::of(context)?.executions_of(self.0.id).await?;
        Ok(rows.iter().cloned().map(ToolExecution).collect())
    }

    /// What happened to it, oldest first.
    async fn events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Events at most, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "The last `seq` you saw; from the beginning if not said.")] after: Option<i32>,
    ) -> Result<Vec<TaskEvent>, ApiError> {
        let session = Session::of(context)?;
        let key = EventsKey {
            task: self.0.id,
            after: after.unwrap_or(0),
            rows_max: i64::from(limit(session, first)?.get()),
        };
        Ok(session.events_of(key).await?.to_vec())
    }

    /// What workers said while they worked on it, oldest first. It is kept for as long as the operator says, and
    /// comes a few seconds after the events.
    async fn log(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Lines of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
        #[graphql(desc = "Of this attempt only.")] attempt: Option<i32>,
    ) -> Result<TaskLogConnection, ApiError> {
        let session = Session::of(context)?;
        let asked = asked(first, after, last, before);
        Box::pin(TaskLogConnection::of(session, self.0.id, &asked, attempt)).await
    }

    /// The tries of workers at it, the latest hundred, oldest first.
    async fn attempts(&self, context: &Context<'_>) -> Result<Vec<TaskAttempt>, ApiError> {
        let rows = Session::of(context)?.attempts_of(self.0.id).await?;
        Ok(rows.iter().cloned().map(TaskAttempt).collect())
    }

    /// What its capture held; null for other tasks, and until its findings are stored.
    async fn pcap_session(&self, context: &Context<'_>) -> Result<Option<PcapSession>, ApiError> {
        Ok(Session::of(context)?
            .pcap_session_of(self.0.id)
            .await?
            .map(PcapSession))
    }

    /// What it came to; null until its findings are stored.
    async fn scan_result(&self, context: &Context<'_>) -> Result<Option<ScanResult>, ApiError> {
        Ok(Session::of(context)?.result_of(self.0.id).await?.map(ScanResult))
    }
}
