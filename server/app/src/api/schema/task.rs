//! Tasks and their pages.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tamiz_core::{ProjectId, Refusal, ScanType, TaskId, UploadId};
use tamiz_store::page::{Page, PageLimit};
use tamiz_store::task::{self, Source};
use uuid::Uuid;

use super::answer_bytes::paid;
use super::artifact::Artifact;
use super::connection::{Listed, connection, decode, encode, limit};
use super::finding::{FindingFilter, FindingOrder};
use super::finding_page::{FindingConnection, Owner};
use super::plugin::TaskPlugin;
use super::project::Project;
use super::scan_result::ScanResult;
use super::session::Session;
use super::target::{PcapSession, ScanTarget};
use super::task_error::TaskError;
use super::task_event::{EventsKey, TaskAttempt, TaskEvent};
use super::task_log::TaskLogConnection;
use super::tool_execution::ToolExecution;
use super::words::{TaskPhase, TaskStatus};
use crate::api::errors::ApiError;

const ORDER: &str = "tasks";

/// One scan asked for.
#[derive(Clone)]
pub(crate) struct Task(pub(super) Arc<task::Task>);

/// One scan asked for.
#[Object]
impl Task {
    /// Its id, a UUID.
    pub(super) async fn id(&self) -> ID {
        ID(self.0.id.to_string())
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
    async fn upload_id(&self) -> Option<Uuid> {
        self.0.payload.source.upload_id().map(UploadId::uuid)
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
    async fn rules_upload_id(&self) -> Option<Uuid> {
        self.0.payload.rules_upload_id.map(UploadId::uuid)
    }

    /// What the plugin was told.
    fn options(&self, context: &Context<'_>) -> Result<Value, ApiError> {
        let options = Value::Object(self.0.payload.options.clone());
        paid(context, &options)?;
        Ok(options)
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

    /// Its findings.
    async fn findings(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
        #[graphql(desc = "`SEVERITY_DESC` if not said.")] order_by: Option<FindingOrder>,
        filter: Option<FindingFilter>,
    ) -> Result<FindingConnection, ApiError> {
        let session = Session::of(context)?;
        FindingConnection::of(
            session,
            Owner::Task(self.0.id),
            first,
            after.as_deref(),
            order_by,
            filter,
        )
        .await
    }

    /// What it left: reports, outputs of tools, evidence. A task has few.
    async fn artifacts(&self, context: &Context<'_>) -> Result<Vec<Artifact>, ApiError> {
        let rows = Session::of(context)?.artifacts_of(self.0.id).await?;
        Ok(rows.iter().cloned().map(Artifact).collect())
    }

    /// The runs of its tools, oldest first.
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
        #[graphql(desc = "A cursor to continue after.")] after: Option<String>,
        #[graphql(desc = "Of this attempt only.")] attempt: Option<i32>,
    ) -> Result<TaskLogConnection, ApiError> {
        let session = Session::of(context)?;
        TaskLogConnection::of(session, self.0.id, first, after.as_deref(), attempt).await
    }

    /// The tries of workers at it, oldest first.
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

/// Which tasks.
#[derive(InputObject, Debug, Default)]
pub(crate) struct TaskFilter {
    /// Of this project.
    project_id: Option<Uuid>,
    /// In this state.
    status: Option<TaskStatus>,
    /// Of this type.
    scan_type: Option<String>,
}

/// Which tasks of a project.
#[derive(InputObject, Debug, Default)]
pub(crate) struct ProjectTaskFilter {
    /// In this state.
    status: Option<TaskStatus>,
    /// Of this type.
    scan_type: Option<String>,
}

impl TaskFilter {
    fn to_store(&self) -> Result<task::TaskFilter, Refusal> {
        let scan_type = self
            .scan_type
            .as_deref()
            .map(ScanType::parse)
            .transpose()
            .map_err(|error| Refusal::invalid("scanType", error).at(&["filter", "scanType"]))?;
        Ok(task::TaskFilter {
            project: self.project_id.map(ProjectId::from),
            status: self.status.map(Into::into),
            scan_type,
        })
    }
}

/// One page of one project's tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TaskPageKey {
    project: ProjectId,
    filter: task::TaskFilter,
    after: Option<TaskId>,
    limit: PageLimit,
}

/// The count of one project's tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TasksCountKey {
    project: ProjectId,
    filter: task::TaskFilter,
}

/// Shared rows of a page.
pub(super) type TaskPage = Page<Arc<task::Task>>;

/// How `totalCount` of tasks is found.
pub(super) enum TasksCount {
    All(task::TaskFilter),
    OfProject(TasksCountKey),
}

impl TasksCount {
    async fn count(&self, session: &Session) -> Result<i64, ApiError> {
        match self {
            Self::All(filter) => {
                let filter = filter.clone();
                session
                    .read(|tx| Box::pin(async move { task::count(tx, &filter).await }))
                    .await
            }
            Self::OfProject(key) => {
                let fetch = async |keys: Vec<TasksCountKey>| {
                    let mut counts = HashMap::new();
                    for (filter, projects) in by(keys, |key| (key.filter, key.project)) {
                        let wanted = filter.clone();
                        let found = session
                            .read(|tx| {
                                Box::pin(
                                    async move { task::counts_of_projects(tx, &projects, &wanted).await },
                                )
                            })
                            .await?;
                        counts.extend(found.into_iter().map(|(project, count)| {
                            (
                                TasksCountKey {
                                    project,
                                    filter: filter.clone(),
                                },
                                count,
                            )
                        }));
                    }
                    Ok(counts)
                };
                Ok(session.task_counts.load(key.clone(), fetch).await?.unwrap_or(0))
            }
        }
    }
}

connection!(
    /// A page of tasks.
    TaskConnection, TaskEdge, Task, TasksCount
);

impl TaskConnection {
    pub(super) async fn page(
        session: &Session,
        first: Option<i32>,
        after: Option<&str>,
        filter: Option<TaskFilter>,
    ) -> Result<Self, ApiError> {
        let limit = limit(session, first)?;
        let after: Option<TaskId> = after.map(|cursor| decode(ORDER, cursor)).transpose()?;
        let filter = filter.unwrap_or_default().to_store()?;
        let wanted = filter.clone();
        let page = session
            .read(|tx| Box::pin(async move { task::page(tx, &wanted, after, limit).await }))
            .await?;
        Ok(Self::listed(&shared(page), after, TasksCount::All(filter)))
    }

    pub(super) async fn of_project(
        session: &Session,
        project: ProjectId,
        first: Option<i32>,
        after: Option<&str>,
        filter: Option<ProjectTaskFilter>,
    ) -> Result<Self, ApiError> {
        let filter = filter.unwrap_or_default();
        let filter = TaskFilter {
            project_id: None,
            status: filter.status,
            scan_type: filter.scan_type,
        };
        let key = TaskPageKey {
            project,
            filter: filter.to_store()?,
            after: after.map(|cursor| decode(ORDER, cursor)).transpose()?,
            limit: limit(session, first)?,
        };
        let after = key.after;
        let counted = TasksCount::OfProject(TasksCountKey {
            project,
            filter: key.filter.clone(),
        });
        let page = session
            .task_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let none = || {
            Arc::new(Page {
                rows: Vec::new(),
                has_next: false,
            })
        };
        Ok(Self::listed(&page.unwrap_or_else(none), after, counted))
    }

    fn listed(page: &TaskPage, after: Option<TaskId>, counted: TasksCount) -> Self {
        let rows = page
            .rows
            .iter()
            .map(|row| (encode(ORDER, row.id), Task(Arc::clone(row))))
            .collect();
        Self {
            listed: Listed {
                rows,
                has_next: page.has_next,
                has_previous: after.is_some(),
            },
            counted,
        }
    }
}

async fn pages(
    session: &Session,
    keys: Vec<TaskPageKey>,
) -> Result<HashMap<TaskPageKey, Arc<TaskPage>>, ApiError> {
    let mut pages = HashMap::new();
    for ((filter, after, limit), projects) in
        by(keys, |key| ((key.filter, key.after, key.limit), key.project))
    {
        let wanted = filter.clone();
        let found = session
            .read(|tx| {
                Box::pin(async move { task::pages_of_projects(tx, &projects, &wanted, after, limit).await })
            })
            .await?;
        pages.extend(found.into_iter().map(|(project, page)| {
            (
                TaskPageKey {
                    project,
                    filter: filter.clone(),
                    after,
                    limit,
                },
                Arc::new(shared(page)),
            )
        }));
    }
    Ok(pages)
}

fn shared(page: Page<task::Task>) -> TaskPage {
    Page {
        rows: page.rows.into_iter().map(Arc::new).collect(),
        has_next: page.has_next,
    }
}

/// Groups keys by what they ask: one statement per distinct question of the query's text.
pub(super) fn by<Key, Group: Eq + std::hash::Hash, Part>(
    keys: Vec<Key>,
    split: impl Fn(Key) -> (Group, Part),
) -> HashMap<Group, Vec<Part>> {
    let mut groups: HashMap<Group, Vec<Part>> = HashMap::new();
    for (group, part) in keys.into_iter().map(split) {
        groups.entry(group).or_default().push(part);
    }
    groups
}
