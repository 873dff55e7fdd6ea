//! Writes about when tasks run, what they finish with, and how they come back: groups, schedules, pauses,
//! redrives. Each is one flow; a refusal is data in the payload's `errors`.

mod inputs;

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use tamiz_store::pause::Pause;
use tamiz_store::token::Role;

use super::group::TaskGroup;
use super::id::Ref;
use super::mutation::{UserError, payload, refused, rested, rules, shared};
use super::schedule::Schedule;
use super::task::Task;
use super::waiting::QueuePause;
use crate::api::errors::ApiError;
use crate::flow::cancel_tasks::cancel_tasks;
use crate::flow::pause_queue::{pause_queue, resume_queue};
use crate::flow::redrive::{preview, redrive_tasks};
use crate::flow::schedule::{create_schedule, delete_schedule, set_schedule_paused, update_schedule};
use crate::flow::task_group::{GroupOrder, close_task_group, create_task_group};
use crate::flow::{FlowError, require};
use tamiz_core::ScheduleId;

use inputs::{
    CancelTasksInput, CloseTaskGroupInput, CreateTaskGroupInput, PauseQueueInput, RedriveTasksInput,
    ResumeQueueInput, ScheduleIdInput, ScheduleInput, UpdateScheduleInput,
};

payload!(
    /// What became of `createTaskGroup`.
    CreateTaskGroupPayload {
        /// The group.
        group: TaskGroup
    }
);
payload!(
    /// What became of `closeTaskGroup`.
    CloseTaskGroupPayload {
        /// The group.
        group: TaskGroup
    }
);
payload!(
    /// What became of `createSchedule`.
    CreateSchedulePayload {
        /// The schedule.
        schedule: Schedule
    }
);
payload!(
    /// What became of `updateSchedule`.
    UpdateSchedulePayload {
        /// The schedule.
        schedule: Schedule
    }
);
payload!(
    /// What became of `pauseSchedule`.
    PauseSchedulePayload {
        /// The schedule.
        schedule: Schedule
    }
);
payload!(
    /// What became of `resumeSchedule`.
    ResumeSchedulePayload {
        /// The schedule.
        schedule: Schedule
    }
);
payload!(
    /// What became of `deleteSchedule`.
    DeleteSchedulePayload {
        /// The id of what is gone.
        schedule_id: Ref<ScheduleId>
    }
);

/// What became of `pauseQueue`.
#[derive(SimpleObject)]
pub(crate) struct PauseQueuePayload {
    /// What is held back now.
    pauses: Vec<QueuePause>,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

/// What became of `resumeQueue`.
#[derive(SimpleObject)]
pub(crate) struct ResumeQueuePayload {
    /// What is still held back: other pauses of yours, and those of the operator.
    pauses: Vec<QueuePause>,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

/// What became of `redriveTasks`.
#[derive(SimpleObject)]
pub(crate) struct RedriveTasksPayload {
    /// Tasks that went back to the queue; of a dry run, those that would.
    count: i64,
    /// Some of them, the latest first.
    sample: Vec<Task>,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

/// What became of `cancelTasks`.
#[derive(SimpleObject)]
pub(crate) struct CancelTasksPayload {
    /// Tasks that are cancelled, or will be soon; of a dry run, those that would be.
    count: i64,
    /// Why it was refused; empty when it was done.
    errors: Vec<UserError>,
}

/// The half of the root of writes that is about the queue.
pub(crate) struct QueueMutation;

/// The half of the root of writes that is about the queue.
#[Object]
impl QueueMutation {
    /// Makes a group of tasks, empty or with its tasks: all of them are queued or none.
    async fn create_task_group(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Its name and how many may fail.")] input: CreateTaskGroupInput,
    ) -> Result<CreateTaskGroupPayload, ApiError> {
        let session = rested(context).await?;
        if let Err(refusal) = require(&session.caller, Role::Analyst) {
            return CreateTaskGroupPayload::of(Err(refusal.into()));
        }
        let (project, mut orders) = (input.project_id.into(), Vec::with_capacity(input.tasks.len()));
        for (number, task) in input.tasks.into_iter().enumerate() {
            match task.order(project) {
                Ok(order) => orders.push(order),
                Err(refusal) => {
                    let number = number.to_string();
                    let mut path = vec!["input", "tasks", &number];
                    path.extend(refusal.path.iter().skip(1).map(String::as_str));
                    let refusal = refusal.clone().at(&path);
                    return CreateTaskGroupPayload::of(Err(refusal.into()));
                }
            }
        }
        let group = GroupOrder {
            id: input.id.map(Into::into),
            project,
            name: input.name,
            orders,
            close: input.close,
        };
        let caller = &session.caller;
        let made = create_task_group(session.store(), rules(session), caller, group).await;
        let made = session.noted(made).await;
        CreateTaskGroupPayload::of(made.map(|group| TaskGroup(Arc::new(group))))
    }

    /// Lets no more tasks into a group; it finishes when all that are in it have ended.
    async fn close_task_group(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which group.")] input: CloseTaskGroupInput,
    ) -> Result<CloseTaskGroupPayload, ApiError> {
        let session = rested(context).await?;
        let closed = close_task_group(session.store(), &session.caller, input.group_id.into()).await;
        CloseTaskGroupPayload::of(closed.map(|group| TaskGroup(Arc::new(group))))
    }

    /// Asks for a task again and again.
    async fn create_schedule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "When it is due, and what it asks for.")] input: ScheduleInput,
    ) -> Result<CreateSchedulePayload, ApiError> {
        let session = rested(context).await?;
        let made = async {
            require(&session.caller, Role::Analyst)?;
            create_schedule(session.store(), rules(session), &session.caller, input.order()?).await
        };
        CreateSchedulePayload::of(made.await.map(|row| Schedule(Arc::new(row))))
    }

    /// Replaces what a schedule asks for and when; it has the right of whoever changed it last.
    async fn update_schedule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which schedule, and all that it shall be.")] input: UpdateScheduleInput,
    ) -> Result<UpdateSchedulePayload, ApiError> {
        let session = rested(context).await?;
        let changed = async {
            require(&session.caller, Role::Analyst)?;
            let (id, order) = (input.schedule_id.into(), input.schedule.order()?);
            update_schedule(session.store(), rules(session), &session.caller, id, order).await
        };
        UpdateSchedulePayload::of(changed.await.map(|row| Schedule(Arc::new(row))))
    }

    /// Lets a schedule rest; the turns of its rest are left out.
    async fn pause_schedule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which schedule.")] input: ScheduleIdInput,
    ) -> Result<PauseSchedulePayload, ApiError> {
        let session = rested(context).await?;
        let id = input.schedule_id.into();
        let done = set_schedule_paused(session.store(), &session.caller, id, true).await;
        PauseSchedulePayload::of(done.map(|row| Schedule(Arc::new(row))))
    }

    /// Lets a schedule go on with its next turn.
    async fn resume_schedule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which schedule.")] input: ScheduleIdInput,
    ) -> Result<ResumeSchedulePayload, ApiError> {
        let session = rested(context).await?;
        let id = input.schedule_id.into();
        let done = set_schedule_paused(session.store(), &session.caller, id, false).await;
        ResumeSchedulePayload::of(done.map(|row| Schedule(Arc::new(row))))
    }

    /// Ends a schedule; its tasks stay.
    async fn delete_schedule(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which schedule.")] input: ScheduleIdInput,
    ) -> Result<DeleteSchedulePayload, ApiError> {
        let session = rested(context).await?;
        let gone = delete_schedule(session.store(), &session.caller, input.schedule_id.into()).await;
        DeleteSchedulePayload::of(gone.map(Into::into))
    }

    /// Holds back what waits of your tenant, of one scan type or of all; what runs goes on.
    async fn pause_queue(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which part of the queue, and why.")] input: PauseQueueInput,
    ) -> Result<PauseQueuePayload, ApiError> {
        let session = rested(context).await?;
        let (scan_type, reason) = (input.scan_type.as_deref(), input.reason.as_deref());
        let done = pause_queue(session.store(), &session.caller, scan_type, reason).await;
        let (pauses, errors) = held_back(done)?;
        Ok(PauseQueuePayload { pauses, errors })
    }

    /// Takes a pause of your tenant back; pauses of the operator stay.
    async fn resume_queue(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which part of the queue.")] input: ResumeQueueInput,
    ) -> Result<ResumeQueuePayload, ApiError> {
        let session = rested(context).await?;
        let done = resume_queue(session.store(), &session.caller, input.scan_type.as_deref()).await;
        let (pauses, errors) = held_back(done)?;
        Ok(ResumeQueuePayload { pauses, errors })
    }

    /// Sends many ended tasks back to the queue, each with fresh attempts.
    async fn redrive_tasks(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which tasks.")] input: RedriveTasksInput,
    ) -> Result<RedriveTasksPayload, ApiError> {
        let session = rested(context).await?;
        let (store, caller) = (session.store(), &session.caller);
        let done = async {
            let filter = input.filter.to_store()?;
            if input.dry_run {
                let preview = preview(store, caller, &filter).await?;
                return Ok((preview.count, preview.sample));
            }
            let back = redrive_tasks(store, caller, &filter, at_most(input.first)).await?;
            Ok((back.count, back.sample))
        };
        let done = session.noted(done.await).await;
        let (count, sample, errors) = match done {
            Ok((count, sample)) => (count, sample.into_iter().map(shared).collect(), Vec::new()),
            Err(error) => (0, Vec::new(), vec![refused(error)?]),
        };
        Ok(RedriveTasksPayload {
            count,
            sample,
            errors,
        })
    }

    /// Stops many tasks: those that wait at once, those that run soon.
    async fn cancel_tasks(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which tasks.")] input: CancelTasksInput,
    ) -> Result<CancelTasksPayload, ApiError> {
        let session = rested(context).await?;
        let done = async {
            let filter = input.filter.to_store()?;
            let first = at_most(input.first);
            cancel_tasks(session.store(), &session.caller, &filter, first, input.dry_run).await
        };
        let (count, errors) = match done.await {
            Ok(count) => (count, Vec::new()),
            Err(error) => (0, vec![refused(error)?]),
        };
        Ok(CancelTasksPayload { count, errors })
    }
}

/// Tasks of one request if it does not say how many.
const FIRST_DEFAULT: u32 = 100;

/// What is out of range is 0, and the flow says so.
fn at_most(first: Option<i32>) -> u32 {
    first.map_or(FIRST_DEFAULT, |first| u32::try_from(first).unwrap_or(0))
}

fn held_back(done: Result<Vec<Pause>, FlowError>) -> Result<(Vec<QueuePause>, Vec<UserError>), ApiError> {
    match done {
        Ok(pauses) => Ok((pauses.iter().map(QueuePause::from).collect(), Vec::new())),
        Err(error) => Ok((Vec::new(), vec![refused(error)?])),
    }
}
