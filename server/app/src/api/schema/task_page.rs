//! Pages of tasks: of the tenant, of a project, of a group.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::InputObject;
use tamiz_core::{GroupId, ProjectId, Refusal, ScanType, TaskId};
use tamiz_store::page::{Page, Window};
use tamiz_store::row_count::RowCount;
use tamiz_store::task;

use super::connection::{Asked, Listed, connection, decode, encode};
use super::group::{self, GroupPageKey};
use super::id::Ref;
use super::session::Session;
use super::task::Task;
use super::words::TaskStatus;
use crate::api::errors::ApiError;

const ORDER: &str = "tasks";

/// Which tasks.
#[derive(InputObject, Debug, Default)]
pub(crate) struct TaskFilter {
    /// Of this project.
    project_id: Option<Ref<ProjectId>>,
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
    pub(super) fn to_store(&self) -> Result<task::TaskFilter, Refusal> {
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
    window: Window<TaskId>,
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
    Known(i64),
}

impl TasksCount {
    async fn count(&self, session: &Session) -> Result<RowCount, ApiError> {
        match self {
            Self::All(filter) => {
                let filter = filter.clone();
                session
                    .read(|tx| Box::pin(async move { task::counted(tx, &filter).await }))
                    .await
            }
            Self::Known(count) => Ok(RowCount::exactly(*count)),
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
                Ok(session
                    .batches()
                    .task_counts
                    .load(key.clone(), fetch)
                    .await?
                    .unwrap_or(RowCount::NONE))
            }
        }
    }
}

connection!(
    /// A page of tasks.
    TaskConnection, TaskEdge, Task,
    bounded TasksCount
);

impl TaskConnection {
    pub(super) async fn page(
        session: &Session,
        asked: &Asked,
        filter: Option<TaskFilter>,
    ) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode(ORDER, cursor))?;
        let filter = filter.unwrap_or_default().to_store()?;
        let wanted = filter.clone();
        let page = session
            .read(|tx| Box::pin(async move { task::page(tx, &wanted, window).await }))
            .await?;
        Ok(Self::listed(page.shared(), TasksCount::All(filter)))
    }

    pub(super) async fn of_project(
        session: &Session,
        project: ProjectId,
        asked: &Asked,
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
            window: asked.window(session, |cursor| decode(ORDER, cursor))?,
        };
        let counted = TasksCount::OfProject(TasksCountKey {
            project,
            filter: key.filter.clone(),
        });
        let page = session
            .batches()
            .task_pages
            .load(key, async |keys| pages(session, keys).await)
            .await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        Ok(Self::listed(page, counted))
    }

    /// `total` is what the group counted.
    pub(super) async fn of_group(
        session: &Session,
        group: GroupId,
        total: i64,
        asked: &Asked,
    ) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode(ORDER, cursor))?;
        let page = session
            .batches()
            .group_pages
            .load(GroupPageKey { group, window }, async |keys| {
                group::pages(session, keys).await
            })
            .await?;
        let page = Arc::unwrap_or_clone(page.unwrap_or_default());
        Ok(Self::listed(page, TasksCount::Known(total)))
    }

    fn listed(page: TaskPage, counted: TasksCount) -> Self {
        Self {
            listed: Listed::of(page, Task, |node: &Task| encode(ORDER, node.0.id)),
            counted,
        }
    }
}

async fn pages(
    session: &Session,
    keys: Vec<TaskPageKey>,
) -> Result<HashMap<TaskPageKey, Arc<TaskPage>>, ApiError> {
    let mut pages = HashMap::new();
    for ((filter, window), projects) in by(keys, |key| ((key.filter, key.window), key.project)) {
        let wanted = filter.clone();
        let found = session
            .read(|tx| Box::pin(async move { task::pages_of_projects(tx, &projects, &wanted, window).await }))
            .await?;
        pages.extend(found.into_iter().map(|(project, page)| {
            let filter = filter.clone();
            let key = TaskPageKey {
                project,
                filter,
                window,
            };
            (key, Arc::new(page.shared()))
        }));
    }
    Ok(pages)
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
