//! Groups of tasks that finish together.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::{GroupId, ProjectId, TaskId};
use tamiz_store::group;
use tamiz_store::page::Window;
use tamiz_store::row_count::RowCount;
use tamiz_store::task;

use super::connection::{Asked, Listed, asked, connection, decode, encode};
use super::id::{Ref, id_of};
use super::project::Project;
use super::session::Session;
use super::task_page::{TaskConnection, TaskPage, by};
use super::words::TaskStatus;
use crate::api::errors::ApiError;

const ORDER: &str = "taskGroups";

/// Where a group is in its life.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskGroupStatus {
    /// It takes more tasks.
    Open,
    /// It takes no more; some of its tasks have not ended.
    Running,
    /// It took no more, and all had ended. It stays finished, even if one of them is tried again.
    Finished,
}

/// How many tasks are in a state.
#[derive(SimpleObject, Debug, Clone, Copy)]
pub(crate) struct TaskStatusCount {
    /// The status that is counted.
    status: TaskStatus,
    /// Tasks with this status.
    count: i64,
}

/// Tasks that finish together.
#[derive(Clone)]
pub(crate) struct TaskGroup(pub(super) Arc<group::Group>);

/// Tasks that finish together.
#[Object]
impl TaskGroup {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// For people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it belongs.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        Ok(Session::of(context)?
            .project(self.0.project_id)
            .await?
            .map(Project))
    }

    /// Where it is in its life.
    async fn status(&self) -> TaskGroupStatus {
        match (self.0.closed_at, self.0.finished_at) {
            (_, Some(_)) => TaskGroupStatus::Finished,
            (Some(_), None) => TaskGroupStatus::Running,
            (None, None) => TaskGroupStatus::Open,
        }
    }

    /// Tasks that have not ended; 0 once it is finished.
    async fn unfinished(&self) -> i32 {
        self.0.unfinished
    }

    /// How many of its tasks are in which state now; states without one are left out.
    async fn counts(&self, context: &Context<'_>) -> Result<Vec<TaskStatusCount>, ApiError> {
        let counts = Session::of(context)?.group_counts_of(self.0.id).await?;
        let counts = counts.iter().map(|(status, count)| TaskStatusCount {
            status: (*status).into(),
            count: *count,
        });
        Ok(counts.collect())
    }

    /// Its tasks, newest first.
    async fn tasks(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Rows of the page, 20 if not said.")] first: Option<i32>,
        #[graphql(desc = "A cursor: what comes after it.")] after: Option<String>,
        #[graphql(desc = "So many from the end of the list; instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "A cursor: what comes before it.")] before: Option<String>,
    ) -> Result<TaskConnection, ApiError> {
        let session = Session::of(context)?;
        let total = i64::from(self.0.tasks);
        TaskConnection::of_group(session, self.0.id, total, &asked(first, after, last, before)).await
    }

    /// Since when it takes no more tasks.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.0.closed_at
    }

    /// When it was closed and all its tasks had ended.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

/// How `totalCount` of groups is found.
pub(super) struct GroupsCount(Option<ProjectId>);

impl GroupsCount {
    async fn count(&self, session: &Session) -> Result<RowCount, ApiError> {
        let project = self.0;
        session.read(|tx| Box::pin(group::count(tx, project))).await
    }
}

connection!(
    /// A page of groups.
    TaskGroupConnection, TaskGroupEdge, TaskGroup,
    bounded GroupsCount
);

impl TaskGroupConnection {
    pub(super) async fn page(
        session: &Session,
        project: Option<Ref<ProjectId>>,
        asked: &Asked,
    ) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode(ORDER, cursor))?;
        let project = project.map(ProjectId::from);
        let page = session
            .read(|tx| Box::pin(group::page(tx, project, window)))
            .await?;
        Ok(Self {
            listed: Listed::of(
                page,
                |row| TaskGroup(Arc::new(row)),
                |node: &TaskGroup| encode(ORDER, node.0.id),
            ),
            counted: GroupsCount(project),
        })
    }
}

/// One page of one group's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct GroupPageKey {
    pub(super) group: GroupId,
    pub(super) window: Window<TaskId>,
}

pub(super) async fn pages(
    session: &Session,
    keys: Vec<GroupPageKey>,
) -> Result<HashMap<GroupPageKey, Arc<TaskPage>>, ApiError> {
    let mut pages = HashMap::new();
    for (window, groups) in by(keys, |key| (key.window, key.group)) {
        let found = session
            .read(|tx| Box::pin(async move { task::pages_of_groups(tx, &groups, window).await }))
            .await?;
        pages.extend(found.into_iter().map(|(group, page)| {
            let key = GroupPageKey { group, window };
            (key, Arc::new(page.shared()))
        }));
    }
    Ok(pages)
}
