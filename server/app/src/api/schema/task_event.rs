//! What is told of a task's life: its events and its attempts.

use std::sync::Arc;

use async_graphql::{Context, Object};
use chrono::{DateTime, Utc};
use tamiz_core::{TaskId, WorkerId};
use tamiz_store::attempt::AttemptRow;
use tamiz_store::event::Event;

use super::answer_bytes::paid;
use super::id::Ref;
use super::session::Session;
use super::task::Task;
use super::task_error::TaskError;
use super::words::{BigInt, TaskPhase, TaskStatus};
use crate::api::errors::ApiError;

/// One thing that happened to a task.
#[derive(Clone)]
pub(crate) struct TaskEvent {
    pub(super) task: TaskId,
    pub(super) event: Event,
}

/// One thing that happened to a task.
#[Object]
impl TaskEvent {
    /// From 1, without gaps. Give the last one you saw as `after` to continue.
    async fn seq(&self) -> i32 {
        self.event.seq
    }

    /// The task's state from then on.
    async fn status(&self) -> TaskStatus {
        self.event.status.into()
    }

    /// What it does from then on.
    async fn phase(&self) -> TaskPhase {
        self.event.phase.into()
    }

    /// For people.
    fn message(&self, context: &Context<'_>) -> Result<&str, ApiError> {
        Ok(paid(context, &self.event.message)?)
    }

    /// Of `total`, in whatever the phase counts.
    async fn done(&self) -> Option<BigInt> {
        self.event.done.map(BigInt)
    }

    /// When known.
    async fn total(&self) -> Option<BigInt> {
        self.event.total.map(BigInt)
    }

    /// When it was written.
    async fn created_at(&self) -> DateTime<Utc> {
        self.event.created_at
    }

    /// The task as it is now.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        Ok(Session::of(context)?.task(self.task).await?.map(Task))
    }
}

/// Events of one task that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EventsKey {
    pub(super) task: TaskId,
    pub(super) after: i32,
    pub(super) rows_max: i64,
}

/// One try of a worker at a task.
#[derive(Clone)]
pub(crate) struct TaskAttempt(pub(super) Arc<AttemptRow>);

/// One try of a worker at a task.
#[Object]
impl TaskAttempt {
    /// From 1. A number is missing when a worker claimed the task and was lost before it began.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }

    /// Which worker tried.
    async fn worker_id(&self) -> Ref<WorkerId> {
        self.0.worker_id.into()
    }

    /// On which host; null for attempts from before it was noted.
    async fn worker_host(&self) -> Option<&str> {
        self.0.worker_host.as_deref()
    }

    /// The exit code of the tool that failed; null when none did, or when it was ended by force.
    async fn exit_code(&self) -> Option<i32> {
        self.0.exit_code
    }

    /// When it began.
    async fn started_at(&self) -> DateTime<Utc> {
        self.0.started_at
    }

    /// When it ended; null while it runs.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// How long it took; null while it runs.
    async fn duration_seconds(&self) -> Option<f64> {
        let took = self.0.finished_at? - self.0.started_at;
        Some(took.as_seconds_f64().max(0.0))
    }

    /// `completed`, `failed`, `retrying`, `timeout`, `cancelled`, `dead_letter`, or `lost` when its
    /// worker was silent for longer than its lease; null while it runs.
    async fn outcome(&self) -> Option<&str> {
        self.0.outcome.as_deref()
    }

    /// Why it ended badly.
    async fn error(&self) -> Option<TaskError> {
        TaskError::of(
            self.0.error_code.as_deref(),
            self.0.error_message.as_deref(),
            self.0.plugin_fault.as_ref(),
        )
    }
}
