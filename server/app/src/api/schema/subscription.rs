//! The root of streams.
//!
//! What happened comes from feeds ([`super::feed`]), which lose nothing and tell nothing twice. How something stands is
//! read now and then, and told when it differs.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Subscription};
use futures_util::{Stream, stream};
use tamiz_core::{GroupId, ProjectId, Refusal, RefusalCode, TaskId};
use tamiz_store::group::Group;
use tamiz_store::signal::Signal;
use tamiz_store::task;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::feed::{Follower, Told, Topic};
use super::group::TaskGroup;
use super::id::Ref;
use super::project_change::{ProjectAlertChange, ProjectFollower, ProjectTaskChange};
use super::queue::{Queue, QueueWatch};
use super::session::Session;
use super::task_event::TaskEvent;
use super::usage::{Usage, UsageBucket, UsageWatch};
use crate::api::errors::ApiError;

/// Without a signal the rows are read this often: signals are hints and may be lost.
const POLL: Duration = Duration::from_secs(5);

/// The root of streams.
pub(crate) struct Events;

/// The root of streams.
#[Subscription(name = "Subscription")]
impl Events {
    /// What happens to a task, from its first event or after `after`; ends with the task.
    async fn task_events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Of which task.")] task_id: Ref<TaskId>,
        #[graphql(desc = "The last `seq` you saw; from the beginning if not said.")] after: Option<i32>,
    ) -> Result<impl Stream<Item = Result<TaskEvent, ApiError>> + use<>, ApiError> {
        let session = Arc::clone(Session::of(context)?);
        let id = TaskId::from(task_id);
        // what is held while it waits is held as long as the stream
        let found = session.read(|tx| Box::pin(task::get(tx, id))).await?;
        let last = found.map(|task| task.event_seq);
        Box::pin(session.rest()).await;
        let last = last.ok_or_else(|| Refusal::not_found("task", id).at(&["taskId"]))?;
        let after = after.unwrap_or(0);
        if !(0..=last).contains(&after) {
            let message = format!("`after` must be 0 to {last}, is {after}");
            return Err(Refusal::new(RefusalCode::InvalidInput, message)
                .at(&["after"])
                .into());
        }
        let follower = Follower::after(&session, Topic::Task(id.uuid()), after.into());
        Ok(stream::try_unfold(follower, move |mut follower| async move {
            let Some(row) = follower.next().await? else {
                return Ok(None);
            };
            let Told::Task(event) = &row.told else {
                return Ok(None);
            };
            let event = TaskEvent {
                task: id,
                event: event.clone(),
            };
            Ok(Some((event, follower)))
        }))
    }

    /// Tasks of a project that are queued or have another state, from now on or after `after`.
    async fn project_tasks(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Of which project.")] project_id: Ref<ProjectId>,
        #[graphql(desc = "The last `cursor` you saw, at most 7 days old; from now on if not said.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = Result<ProjectTaskChange, ApiError>> + use<>, ApiError> {
        let session = Arc::clone(Session::of(context)?);
        let following = ProjectFollower::of_tasks(&session, project_id.into(), after.as_deref());
        let follower = Box::pin(following).await?;
        Ok(stream::try_unfold(follower, |mut follower| async move {
            let next = follower.next_of_tasks().await;
            next.map(|next| next.map(|change| (change, follower)))
        }))
    }

    /// What changes a project's alerts, from now on or after `after`: one event for all that a scan or a decision
    /// changed together.
    async fn project_alerts(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Of which project.")] project_id: Ref<ProjectId>,
        #[graphql(desc = "The last `cursor` you saw, at most 7 days old; from now on if not said.")]
        after: Option<String>,
    ) -> Result<impl Stream<Item = Result<ProjectAlertChange, ApiError>> + use<>, ApiError> {
        let session = Arc::clone(Session::of(context)?);
        let following = ProjectFollower::of_alerts(&session, project_id.into(), after.as_deref());
        let follower = Box::pin(following).await?;
        Ok(stream::try_unfold(follower, |mut follower| async move {
            let next = follower.next_of_alerts().await;
            next.map(|next| next.map(|change| (change, follower)))
        }))
    }

    /// What your tenant has used in the window that is open now, and again whenever it has changed. It says how things
    /// stand, so there is nothing to resume.
    #[expect(
        clippy::unused_async,
        reason = "the macro takes async functions; this one awaits nothing"
    )]
    async fn usage_changes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How long the window is.")] bucket: UsageBucket,
    ) -> Result<impl Stream<Item = Result<Usage, ApiError>> + use<>, ApiError> {
        let watch = UsageWatch::new(Session::of(context)?, bucket.into());
        Ok(stream::try_unfold(watch, |mut watch| async move {
            let next = watch.next().await;
            next.map(|usage| Some((usage, watch)))
        }))
    }

    /// What waits and runs now, and again whenever it has changed: of your tenant, or of all for an operator's token. It
    /// says how things stand, so there is nothing to resume.
    #[expect(
        clippy::unused_async,
        reason = "the macro takes async functions; this one awaits nothing"
    )]
    async fn queue_changes(
        &self,
        context: &Context<'_>,
    ) -> Result<impl Stream<Item = Result<Queue, ApiError>> + use<>, ApiError> {
        let watch = QueueWatch::new(context)?;
        Ok(stream::try_unfold(watch, |mut watch| async move {
            let next = watch.next().await;
            next.map(|()| Some((Queue, watch)))
        }))
    }

    /// How a group stands now, and again whenever tasks enter or leave it or it is closed; ends when it has
    /// finished, which is told once.
    async fn task_group_changes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which group.")] group_id: Ref<GroupId>,
    ) -> Result<impl Stream<Item = Result<TaskGroup, ApiError>> + use<>, ApiError> {
        let session = Arc::clone(Session::of(context)?);
        let signals = session.store().signals();
        let id = GroupId::from(group_id);
        let found = session.group(id).await?.map(drop);
        Box::pin(session.rest()).await;
        found.ok_or_else(|| Refusal::not_found("group", id).at(&["groupId"]))?;
        let watch = GroupWatch {
            session,
            signals,
            id,
            told: None,
        };
        Ok(stream::try_unfold(watch, |mut watch| async move {
            let next = watch.next().await;
            next.map(|next| next.map(|group| (group, watch)))
        }))
    }
}

/// Watches one group: tells how it stands now, then whenever its numbers have changed; ends when it has finished.
struct GroupWatch {
    session: Arc<Session>,
    signals: Receiver<Signal>,
    id: GroupId,
    told: Option<Arc<Group>>,
}

impl GroupWatch {
    async fn next(&mut self) -> Result<Option<TaskGroup>, ApiError> {
        loop {
            if self.told.as_ref().is_some_and(|told| told.finished_at.is_some()) {
                return Ok(None);
            }
            let heard_until = Instant::now() + POLL;
            let found = self.session.group(self.id).await?;
            // no connection is held while the stream waits
            self.session.rest().await;
            let Some(found) = found else {
                return Ok(None);
            };
            if self.told.as_ref() != Some(&found) {
                self.told = Some(Arc::clone(&found));
                return Ok(Some(TaskGroup(found)));
            }
            // news of groups come under their ids on the line of tasks
            heard(&mut self.signals, self.id.uuid(), heard_until).await;
        }
    }
}

/// Until something may have happened to what has this id, at most until `deadline`.
pub(in crate::api) async fn heard(signals: &mut Receiver<Signal>, id: Uuid, deadline: Instant) {
    while let Ok(heard) = timeout_at(deadline, signals.recv()).await {
        match heard {
            Ok(Signal::Cancel { .. }) => {}
            Ok(Signal::Task { task, .. }) => {
                if task.uuid() == id {
                    return;
                }
            }
            Ok(Signal::Gap) | Err(RecvError::Lagged(_)) => return,
            // the line is closed: only the clock is left
            Err(RecvError::Closed) => tokio::time::sleep_until(deadline).await,
        }
    }
}
