//! Runs of native tools.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};
use tamiz_core::ArtifactId;
use tamiz_store::tool_execution;

use super::answer_bytes::paid;
use super::artifact::Artifact;
use super::id::id_of;
use super::scalars::{Duration, JsonOf};
use super::session::Session;
use super::task::Task;
use crate::api::errors::ApiError;

/// One run of a tool.
#[derive(Clone)]
pub(crate) struct ToolExecution(pub(super) Arc<tool_execution::ToolExecution>);

/// One run of a tool.
#[Object]
impl ToolExecution {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// For which task.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        Ok(Session::of(context)?.task(self.0.task_id).await?.map(Task))
    }

    /// In which attempt.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }

    /// The tool's name in the catalogue.
    async fn tool(&self) -> &str {
        &self.0.tool
    }

    /// As the tool told it.
    async fn tool_version(&self) -> Option<&str> {
        self.0.tool_version.as_deref()
    }

    /// The arguments as the tool got them.
    fn args(&self, context: &Context<'_>) -> Result<&[String], ApiError> {
        paid(context, &self.0.args[..])
    }

    /// Null when a signal ended it.
    async fn exit_code(&self) -> Option<i32> {
        self.0.exit_code
    }

    /// By itself: `exited`. By a signal: `killed`. At one of its limits: `timed_out`, `output_limit`,
    /// `memory_limit`, `process_limit`, `traffic_limit` (bytes exchanged with its target). With its task:
    /// `cancelled`.
    async fn ended_by(&self) -> &str {
        &self.0.ended_by
    }

    /// When it began.
    async fn started_at(&self) -> DateTime<Utc> {
        self.0.started_at
    }

    /// When it ended.
    async fn finished_at(&self) -> DateTime<Utc> {
        self.0.finished_at
    }

    /// How long it ran, in milliseconds.
    async fn duration_ms(&self) -> i32 {
        let ran = self.0.finished_at - self.0.started_at;
        i32::try_from(ran.num_milliseconds()).unwrap_or(i32::MAX)
    }

    /// How long it ran.
    async fn duration(&self) -> Duration {
        Duration(self.0.finished_at - self.0.started_at)
    }

    /// CPU seconds, peak memory, bytes written.
    fn metrics(&self, context: &Context<'_>) -> Result<JsonOf<'_>, ApiError> {
        paid(context, &self.0.metrics).map(JsonOf)
    }

    /// What it wrote to stdout.
    async fn stdout(&self, context: &Context<'_>) -> Result<Option<Artifact>, ApiError> {
        named(context, self.0.stdout_ref).await
    }

    /// What it wrote to stderr.
    async fn stderr(&self, context: &Context<'_>) -> Result<Option<Artifact>, ApiError> {
        named(context, self.0.stderr_ref).await
    }
}

async fn named(context: &Context<'_>, id: Option<ArtifactId>) -> Result<Option<Artifact>, ApiError> {
    match id {
        Some(id) => Ok(Session::of(context)?.artifact(id).await?.map(Artifact)),
        None => Ok(None),
    }
}
