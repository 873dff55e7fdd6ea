//! What happens in a project, live and from any point on.

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::{ProjectId, Refusal, RefusalCode, TaskId};
use tamiz_store::project_event::{self, KEPT_DAYS, ProjectEvent};

use super::connection::{decode_within, encode};
use super::feed::{Follower, Row, Told, Topic};
use super::id::Ref;
use super::session::Session;
use super::task::Task;
use super::words::{Severity, TaskPhase, TaskStatus};
use crate::api::errors::ApiError;

const ORDER: &str = "project-events";

/// One row of a project's feed.
#[derive(Clone)]
struct Change {
    project: ProjectId,
    event: ProjectEvent,
}

impl Change {
    fn cursor(&self) -> String {
        encode(ORDER, (self.project, self.event.seq))
    }

    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        match self.event.task {
            Some(task) => Ok(Session::of(context)?.task(task).await?.map(Task)),
            None => Ok(None),
        }
    }
}

/// A task of a project was queued or has another state.
pub(crate) struct ProjectTaskChange(Change);

/// A task of a project was queued or has another state.
#[Object]
impl ProjectTaskChange {
    /// Give it as `after` to continue after this change.
    async fn cursor(&self) -> String {
        self.0.cursor()
    }

    /// Which task.
    async fn task_id(&self) -> Option<Ref<TaskId>> {
        self.0.event.task.map(Ref)
    }

    /// The task as it is now; null once it is deleted.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        self.0.task(context).await
    }

    /// Its state from then on.
    async fn status(&self) -> Option<TaskStatus> {
        self.0.event.status.map(Into::into)
    }

    /// What it does from then on.
    async fn phase(&self) -> Option<TaskPhase> {
        self.0.event.phase.map(Into::into)
    }

    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.event.created_at
    }
}

/// Alerts of a project changed together: a scan was stored, or somebody decided.
pub(crate) struct ProjectAlertChange(Change);

/// Alerts of a project changed together: a scan was stored, or somebody decided.
#[Object]
impl ProjectAlertChange {
    /// Give it as `after` to continue after this change.
    async fn cursor(&self) -> String {
        self.0.cursor()
    }

    /// The task whose findings did it; null when a person, a rule or the clock did.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        self.0.task(context).await
    }

    /// How many, by severity; severities without changes are left out.
    async fn changes(&self) -> Vec<AlertsChanged> {
        self.0
            .event
            .alerts
            .iter()
            .copied()
            .map(AlertsChanged::from)
            .collect()
    }

    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.event.created_at
    }
}

/// How many alerts of a severity changed together.
#[derive(SimpleObject, Clone, Copy)]
pub(crate) struct AlertsChanged {
    /// Which severity.
    severity: Severity,
    /// Alerts that nobody knew.
    opened: i32,
    /// Alerts that are gone.
    fixed: i32,
    /// Alerts that came back, by themselves or because somebody wanted it.
    reopened: i32,
    /// Alerts that somebody decided not to act on.
    dismissed: i32,
}

impl From<project_event::AlertsChanged> for AlertsChanged {
    fn from(changed: project_event::AlertsChanged) -> Self {
        Self {
            severity: changed.severity.into(),
            opened: changed.opened,
            fixed: changed.fixed,
            reopened: changed.reopened,
            dismissed: changed.dismissed,
        }
    }
}

/// Follows a project after the cursor `after`, or from now on.
pub(super) struct ProjectFollower {
    project: ProjectId,
    follower: Follower,
}

impl ProjectFollower {
    pub(super) async fn of_tasks(
        session: &Arc<Session>,
        project: ProjectId,
        after: Option<&str>,
    ) -> Result<Self, ApiError> {
        Self::of(session, project, Topic::TasksOf(project.uuid()), after).await
    }

    pub(super) async fn of_alerts(
        session: &Arc<Session>,
        project: ProjectId,
        after: Option<&str>,
    ) -> Result<Self, ApiError> {
        Self::of(session, project, Topic::AlertsOf(project.uuid()), after).await
    }

    async fn of(
        session: &Arc<Session>,
        project: ProjectId,
        topic: Topic,
        after: Option<&str>,
    ) -> Result<Self, ApiError> {
        let found = session.project(project).await?;
        found.ok_or_else(|| Refusal::not_found("project", project).at(&["projectId"]))?;
        let begun = begin(session, project, after).await;
        session.rest().await;
        Ok(Self {
            project,
            follower: Follower::after(session, topic, begun?),
        })
    }

    pub(super) async fn next_of_tasks(&mut self) -> Result<Option<ProjectTaskChange>, ApiError> {
        Ok(self.next().await?.map(ProjectTaskChange))
    }

    pub(super) async fn next_of_alerts(&mut self) -> Result<Option<ProjectAlertChange>, ApiError> {
        Ok(self.next().await?.map(ProjectAlertChange))
    }

    async fn next(&mut self) -> Result<Option<Change>, ApiError> {
        let row = self.follower.next().await?;
        Ok(row.and_then(|row| self.change(&row)))
    }

    fn change(&self, row: &Row) -> Option<Change> {
        match &row.told {
            Told::Project(event) => Some(Change {
                project: self.project,
                event: event.clone(),
            }),
            Told::Task(_) => None,
        }
    }
}

/// The number after which is told.
async fn begin(session: &Session, project: ProjectId, after: Option<&str>) -> Result<i64, ApiError> {
    let after: Option<i64> = after
        .map(|cursor| decode_within(ORDER, &project, cursor))
        .transpose()?;
    // no connection is held beside the one that numbers
    session.rest().await;
    let numbered = session
        .store()
        .number_project_events(&session.caller.scope, project);
    let head = numbered.await.map_err(|error| ApiError::of_store(&error))?;
    let Some(after) = after else { return Ok(head) };
    let oldest = session
        .read(|tx| Box::pin(project_event::oldest(tx, project)))
        .await?;
    let is_whole = after == head || oldest.is_some_and(|oldest| oldest <= after + 1);
    if !(0..=head).contains(&after) || !is_whole {
        let message = format!(
            "what came after this cursor is no longer there, for it is kept for {KEPT_DAYS} days: subscribe without `after` and read the lists again"
        );
        return Err(Refusal::new(RefusalCode::CursorExpired, message)
            .at(&["after"])
            .into());
    }
    Ok(after)
}
