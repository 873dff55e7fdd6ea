//! Writes about when tasks run, what they finish with, and how they come back: groups, schedules, pauses,
//! redrives. Each is one flow; a refusal is data in the payload's `errors`.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use serde_json::Value;
use tamiz_core::Refusal;
use tamiz_core::cron::{CatchUp, Overlap};
use tamiz_store::pause::Pause;
use uuid::Uuid;

use super::group::TaskGroup;
use super::mutation::{Asked, UserError, order, payload, refused, rested, shared, subject};
use super::schedule::{Schedule, ScheduleCatchUp, ScheduleOverlap};
use super::session::Session;
use super::target::TargetInput;
use super::task::Task;
use super::task_page::TaskFilter;
use super::waiting::QueuePause;
use super::words::ScanProfile;
use crate::api::errors::ApiError;
use crate::flow::cancel_tasks::cancel_tasks;
use crate::flow::pause_queue::{pause_queue, resume_queue};
use crate::flow::redrive::{preview, redrive_tasks};
use crate::flow::schedule::{
    ScheduleOrder, create_schedule, delete_schedule, set_schedule_paused, update_schedule,
};
use crate::flow::start_scan::{OrderTerms, Rules, ScanOrder};
use crate::flow::task_group::{GroupOrder, close_task_group, create_task_group};
use crate::flow::{FlowError, require};

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
        schedule_id: Uuid
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

/// One task of a group that is made: exactly one of `uploadId`, `reportId` and `target`.
#[derive(InputObject)]
pub(crate) struct GroupTaskInput {
    /// Your own UUID for the task.
    id: Option<Uuid>,
    /// `codeaudit`, `web`, `ssl`, `osint`, `pcap` or a plugin's word.
    scan_type: String,
    /// An archive or capture, an upload of the same project.
    upload_id: Option<Uuid>,
    /// A finished report to convert, an upload of the same project.
    report_id: Option<Uuid>,
    /// What to scan over the network.
    target: Option<TargetInput>,
    /// How thoroughly; the plugin's own choice if not said.
    profile: Option<ScanProfile>,
    /// An upload with rules to use instead of the bundled ones.
    rules_upload_id: Option<Uuid>,
    /// For the plugin: an object that fits its schema.
    options: Option<Value>,
    /// 0 to 100, 0 if not said; higher goes first.
    priority: Option<i32>,
    /// How long one attempt may take; the operator's time for the scan type if not said.
    timeout_seconds: Option<i32>,
}

/// A group to be made.
#[derive(InputObject)]
pub(crate) struct CreateTaskGroupInput {
    /// Your own UUID for the group: asking twice with the same one makes one group.
    id: Option<Uuid>,
    /// Where it and its tasks belong.
    project_id: Uuid,
    /// For people, 1 to 200 characters.
    name: String,
    /// Its first tasks, at most 100; all of them are queued or none.
    #[graphql(default)]
    tasks: Vec<GroupTaskInput>,
    /// Whether it takes no others; otherwise `startScan` may add some until `closeTaskGroup`.
    #[graphql(default)]
    close: bool,
}

/// A group that shall take no more tasks.
#[derive(InputObject)]
pub(crate) struct CloseTaskGroupInput {
    group_id: Uuid,
}

/// A schedule: when, and what each turn asks for; exactly one of `uploadId`, `reportId` and `target`.
#[derive(InputObject)]
pub(crate) struct ScheduleInput {
    /// Unique in the tenant, 1 to 200 characters.
    name: String,
    /// Minute, hour, day of month, month, day of week, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    cron: String,
    /// A name of the time zone database.
    #[graphql(default_with = "String::from(\"UTC\")")]
    time_zone: String,
    /// What a turn does when an earlier task has not ended; `FORBID` if not said.
    overlap: Option<ScheduleOverlap>,
    /// What becomes of turns that nobody was there to make; `ONE` if not said.
    catch_up: Option<ScheduleCatchUp>,
    /// Where its tasks belong.
    project_id: Uuid,
    /// `codeaudit`, `web`, `ssl`, `osint`, `pcap` or a plugin's word.
    scan_type: String,
    /// An archive or capture, an upload of the same project.
    upload_id: Option<Uuid>,
    /// A finished report to convert, an upload of the same project.
    report_id: Option<Uuid>,
    /// What to scan over the network; its addresses are looked up and judged anew with each turn.
    target: Option<TargetInput>,
    /// How thoroughly; the plugin's own choice if not said.
    profile: Option<ScanProfile>,
    /// An upload with rules to use instead of the bundled ones.
    rules_upload_id: Option<Uuid>,
    /// For the plugin: an object that fits its schema.
    options: Option<Value>,
    /// 0 to 100, 0 if not said; higher goes first.
    priority: Option<i32>,
    /// How long one attempt may take; the operator's time for the scan type if not said.
    timeout_seconds: Option<i32>,
}

/// A schedule to be replaced, whole.
#[derive(InputObject)]
pub(crate) struct UpdateScheduleInput {
    schedule_id: Uuid,
    schedule: ScheduleInput,
}

/// A schedule that is there.
#[derive(InputObject)]
pub(crate) struct ScheduleIdInput {
    schedule_id: Uuid,
}

/// What of your queue shall be held back.
#[derive(InputObject)]
pub(crate) struct PauseQueueInput {
    /// Of this scan type; of all if not said.
    scan_type: Option<String>,
    /// For people, at most 500 characters.
    reason: Option<String>,
}

/// What of your queue shall go on.
#[derive(InputObject)]
pub(crate) struct ResumeQueueInput {
    /// As it was paused: a pause of all types is not taken back for one of them.
    scan_type: Option<String>,
}

/// Ended tasks that shall be tried again.
#[derive(InputObject)]
pub(crate) struct RedriveTasksInput {
    /// Which; its status is one of `DEAD_LETTER`, `FAILED`, `TIMEOUT` and `CANCELLED`.
    filter: TaskFilter,
    /// At most so many, the latest first: 1 to 1,000, 100 if not said.
    first: Option<i32>,
    /// Only count them and show some.
    #[graphql(default)]
    dry_run: bool,
}

/// Tasks that shall be stopped.
#[derive(InputObject)]
pub(crate) struct CancelTasksInput {
    /// Which; its status is one of `QUEUED`, `RETRYING` and `RUNNING`.
    filter: TaskFilter,
    /// At most so many, the latest first: 1 to 1,000, 100 if not said.
    first: Option<i32>,
    /// Only count them.
    #[graphql(default)]
    dry_run: bool,
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
        input: CreateTaskGroupInput,
    ) -> Result<CreateTaskGroupPayload, ApiError> {
        let session = rested(context).await?;
        let (project, mut orders) = (input.project_id, Vec::with_capacity(input.tasks.len()));
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
            project: project.into(),
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
        input: CloseTaskGroupInput,
    ) -> Result<CloseTaskGroupPayload, ApiError> {
        let session = rested(context).await?;
        let closed = close_task_group(session.store(), &session.caller, input.group_id.into()).await;
        CloseTaskGroupPayload::of(closed.map(|group| TaskGroup(Arc::new(group))))
    }

    /// Asks for a task again and again.
    async fn create_schedule(
        &self,
        context: &Context<'_>,
        input: ScheduleInput,
    ) -> Result<CreateSchedulePayload, ApiError> {
        let session = rested(context).await?;
        let made = async {
            require(&session.caller, tamiz_store::token::Role::Analyst)?;
            create_schedule(session.store(), rules(session), &session.caller, input.order()?).await
        };
        CreateSchedulePayload::of(made.await.map(|row| Schedule(Arc::new(row))))
    }

    /// Replaces what a schedule asks for and when; it has the right of whoever changed it last.
    async fn update_schedule(
        &self,
        context: &Context<'_>,
        input: UpdateScheduleInput,
    ) -> Result<UpdateSchedulePayload, ApiError> {
        let session = rested(context).await?;
        let changed = async {
            require(&session.caller, tamiz_store::token::Role::Analyst)?;
            let (id, order) = (input.schedule_id.into(), input.schedule.order()?);
            update_schedule(session.store(), rules(session), &session.caller, id, order).await
        };
        UpdateSchedulePayload::of(changed.await.map(|row| Schedule(Arc::new(row))))
    }

    /// Lets a schedule rest; the turns of its rest are left out.
    async fn pause_schedule(
        &self,
        context: &Context<'_>,
        input: ScheduleIdInput,
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
        input: ScheduleIdInput,
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
        input: ScheduleIdInput,
    ) -> Result<DeleteSchedulePayload, ApiError> {
        let session = rested(context).await?;
        let gone = delete_schedule(session.store(), &session.caller, input.schedule_id.into()).await;
        DeleteSchedulePayload::of(gone.map(Into::into))
    }

    /// Holds back what waits of your tenant, of one scan type or of all; what runs goes on.
    async fn pause_queue(
        &self,
        context: &Context<'_>,
        input: PauseQueueInput,
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
        input: ResumeQueueInput,
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
        input: RedriveTasksInput,
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
        input: CancelTasksInput,
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

fn rules(session: &Session) -> Rules<'_> {
    Rules {
        plugins: &session.state.plugins,
        targets: &session.state.targets,
    }
}

fn terms(timeout_seconds: Option<i32>) -> OrderTerms {
    OrderTerms {
        timeout_seconds: timeout_seconds.map(|seconds| u32::try_from(seconds).unwrap_or(0)),
        ..OrderTerms::default()
    }
}

impl GroupTaskInput {
    fn order(self, project_id: Uuid) -> Result<ScanOrder, Refusal> {
        let subject = subject(self.upload_id, self.report_id, self.target.as_ref());
        let asked = Asked {
            id: self.id,
            project_id,
            scan_type: self.scan_type,
            rules_upload_id: self.rules_upload_id,
            options: self.options,
            profile: self.profile,
            priority: self.priority,
            terms: terms(self.timeout_seconds),
        };
        order(asked, subject)
    }
}

impl ScheduleInput {
    fn order(self) -> Result<ScheduleOrder, Refusal> {
        let subject = subject(self.upload_id, self.report_id, self.target.as_ref());
        let asked = Asked {
            id: None,
            project_id: self.project_id,
            scan_type: self.scan_type,
            rules_upload_id: self.rules_upload_id,
            options: self.options,
            profile: self.profile,
            priority: self.priority,
            terms: terms(self.timeout_seconds),
        };
        Ok(ScheduleOrder {
            name: self.name,
            cron: self.cron,
            time_zone: self.time_zone,
            overlap: self.overlap.map_or(Overlap::Forbid, Into::into),
            catch_up: self.catch_up.map_or(CatchUp::One, Into::into),
            order: order(asked, subject)?,
        })
    }
}
