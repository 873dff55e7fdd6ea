//! What workers said of tasks, and pages of it: those of many tasks in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, Object};
use chrono::{DateTime, Utc};
use tamiz_core::{TaskId, WorkerId};
use tamiz_store::page::{Page, Window};
use tamiz_store::worker_log::{self, LineLevel};

use super::answer_bytes::paid;
use super::connection::{Asked, Listed, connection, decode_within, encode};
use super::id::Ref;
use super::session::Session;
use super::task_page::by;
use crate::api::errors::ApiError;

const ORDER: &str = "log";

/// How much a line of a log matters.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "LineLevel")]
pub(crate) enum LogLineLevel {
    /// A step.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
}

/// A line that a worker said while it worked on a task.
#[derive(Clone)]
pub(crate) struct TaskLogLine(Arc<worker_log::LogLine>);

/// A line that a worker said while it worked on a task.
#[Object]
impl TaskLogLine {
    /// Its number, from 1 over all attempts of the task.
    async fn seq(&self) -> i32 {
        self.0.seq
    }

    /// In which attempt.
    async fn attempt(&self) -> i32 {
        self.0.attempt
    }

    /// Which worker said it.
    async fn worker_id(&self) -> Ref<WorkerId> {
        self.0.worker_id.into()
    }

    /// How much it matters.
    async fn level(&self) -> LogLineLevel {
        self.0.level.into()
    }

    /// For people.
    fn message(&self, context: &Context<'_>) -> Result<&str, ApiError> {
        Ok(paid(context, &self.0.message)?)
    }

    /// When it was said.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// One page of one task's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LogPageKey {
    task: TaskId,
    attempt: Option<i32>,
    /// Between numbers.
    window: Window<i32>,
}

/// Shared lines of a page.
pub(super) type LogPage = Page<Arc<worker_log::LogLine>>;

/// How many lines a task's log has, or one attempt's part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LogCount {
    task: TaskId,
    attempt: Option<i32>,
}

impl LogCount {
    async fn count(self, session: &Session) -> Result<i64, ApiError> {
        let fetch = async |keys: Vec<Self>| {
            let mut counts = HashMap::new();
            for (attempt, tasks) in by(keys, |key| (key.attempt, key.task)) {
                let found = session
                    .read(|tx| Box::pin(async move { worker_log::counts(tx, &tasks, attempt).await }))
                    .await?;
                counts.extend(
                    found
                        .into_iter()
                        .map(|(task, lines)| (Self { task, attempt }, lines)),
                );
            }
            Ok(counts)
        };
        Ok(session.batches().log_counts.load(self, fetch).await?.unwrap_or(0))
    }
}

connection!(
    /// A page of a task's log, oldest line first.
    TaskLogConnection, TaskLogEdge, TaskLogLine,
    /// Bounded by what one task may write.
    LogCount
);

impl TaskLogConnection {
    pub(super) async fn of(
        session: &Session,
        task: TaskId,
        asked: &Asked,
        attempt: Option<i32>,
    ) -> Result<Self, ApiError> {
        let key = LogPageKey {
            task,
            attempt,
            window: asked.window(session, |cursor| decode_within(ORDER, &task, cursor))?,
        };
        let page = session
            .batches()
            .log_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        Ok(Self {
            listed: Listed::of(page, TaskLogLine, move |node: &TaskLogLine| {
                encode(ORDER, (task, node.0.seq))
            }),
            counted: LogCount { task, attempt },
        })
    }
}

async fn pages(
    session: &Session,
    keys: Vec<LogPageKey>,
) -> Result<HashMap<LogPageKey, Arc<LogPage>>, ApiError> {
    let mut pages = HashMap::new();
    for ((attempt, window), tasks) in by(keys, |key| ((key.attempt, key.window), key.task)) {
        let found = session
            .read(|tx| Box::pin(async move { worker_log::of_tasks(tx, &tasks, attempt, window).await }))
            .await?;
        pages.extend(found.into_iter().map(|(task, page)| {
            let key = LogPageKey {
                task,
                attempt,
                window,
            };
            (key, Arc::new(page.shared()))
        }));
    }
    Ok(pages)
}
