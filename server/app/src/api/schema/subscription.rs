//! What happens to a task, live and from any point on; and how a group of tasks stands.
//!
//! Events are rows with a gapless number per task. A watcher first listens for signals, then reads
//! the rows after its cursor, then reads again whenever a signal says so, and now and then without
//! one. So nothing is lost however late it joins, and nothing is told twice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Subscription};
use futures_util::{Stream, stream};
use tamiz_core::{GroupId, Refusal, RefusalCode, TaskId, TaskStatus};
use tamiz_store::event::{self, Event};
use tamiz_store::group::Group;
use tamiz_store::signal::Signal;
use tamiz_store::task;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::group::TaskGroup;
use super::session::Session;
use super::task_event::TaskEvent;
use crate::api::errors::ApiError;

/// Events read at once; a task has some dozens.
const EVENTS_PER_READ: i64 = 200;
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
        task_id: Uuid,
        #[graphql(desc = "The last `seq` you saw; from the beginning if not said.")] after: Option<i32>,
    ) -> Result<impl Stream<Item = Result<TaskEvent, ApiError>> + use<>, ApiError> {
        let session = Arc::clone(Session::of(context)?);
        // listening begins before the first read: what happens in between is heard
        let signals = session.store().signals();
        let id = TaskId::from(task_id);
        let found = session.read(|tx| Box::pin(task::get(tx, id))).await?;
        session.rest().await;
        let task = found.ok_or_else(|| Refusal::not_found("task", id).at(&["taskId"]))?;
        let after = after.unwrap_or(0);
        if !(0..=task.event_seq).contains(&after) {
            let message = format!("`after` must be 0 to {}, is {after}", task.event_seq);
            return Err(Refusal::new(RefusalCode::InvalidInput, message)
                .at(&["after"])
                .into());
        }
        let watch = Watch {
            session,
            signals,
            task: id,
            last: after,
            waiting: VecDeque::new(),
        };
        Ok(stream::try_unfold(watch, |mut watch| async move {
            let next = watch.next().await;
            next.map(|next| next.map(|event| (event, watch)))
        }))
    }

    /// How a group stands now, and again whenever tasks enter or leave it or it is closed; ends when it has
    /// finished, which is told once.
    async fn task_group_changes(
        &self,
        context: &Context<'_>,
        group_id: Uuid,
    ) -> Result<impl Stream<Item = Result<TaskGroup, ApiError>> + use<>, ApiError> {
        let session = Arc::clone(Session::of(context)?);
        let signals = session.store().signals();
        let id = GroupId::from(group_id);
        let found = session.group(id).await?;
        session.rest().await;
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

struct Watch {
    session: Arc<Session>,
    signals: Receiver<Signal>,
    task: TaskId,
    /// Number of the last event that was told.
    last: i32,
    waiting: VecDeque<Event>,
}

impl Watch {
    /// The next event; `None` when the task has ended and all was told.
    async fn next(&mut self) -> Result<Option<TaskEvent>, ApiError> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.last = event.seq;
                return Ok(Some(TaskEvent {
                    task: self.task,
                    event,
                }));
            }
            let heard_until = Instant::now() + POLL;
            let (events, status) = self.read().await?;
            let ended = status.is_none_or(TaskStatus::is_final);
            let nothing_new = events.is_empty();
            self.waiting.extend(events);
            if nothing_new {
                if ended {
                    return Ok(None);
                }
                heard(&mut self.signals, self.task.uuid(), heard_until).await;
            }
        }
    }

    /// Events after the last one, and the state the task was in when they were read.
    async fn read(&self) -> Result<(Vec<Event>, Option<TaskStatus>), ApiError> {
        let (id, last) = (self.task, self.last);
        let read = self
            .session
            .read(|tx| {
                Box::pin(async move {
                    // the state first: were it read last, the final event could be missed
                    let status = task::get(tx, id).await?.map(|task| task.status);
                    Ok((event::after(tx, id, last, EVENTS_PER_READ).await?, status))
                })
            })
            .await;
        // no connection is held while the stream waits
        self.session.rest().await;
        read
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
