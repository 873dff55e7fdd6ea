//! Schedules: tasks that are asked for again and again.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::Refusal;
use tamiz_core::cron::{CatchUp, Cron, Overlap};
use tamiz_store::schedule;

use super::answer_bytes::paid;
use super::connection::{Asked, Listed, connection, decode, encode};
use super::id::id_of;
use super::project::Project;
use super::scalars::JsonOf;
use super::session::Session;
use super::task::Task;
use super::words::RoleName;
use crate::api::errors::ApiError;

const ORDER: &str = "schedules";
/// Times of a preview; each is searched for in the calendar.
const RUNS_MAX: i32 = 50;
/// Times of a preview if not said.
const RUNS_DEFAULT: i32 = 5;

/// What a turn does when an earlier task of its schedule has not ended.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Overlap")]
pub(crate) enum ScheduleOverlap {
    /// Both run.
    Allow,
    /// The turn is left out.
    Forbid,
    /// The earlier task is cancelled.
    Replace,
}

/// What becomes of turns that nobody was there to make.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "CatchUp")]
pub(crate) enum ScheduleCatchUp {
    /// They are left out.
    None,
    /// The last one is made up for, however many there were.
    One,
}

/// Why a turn made no task.
#[derive(SimpleObject)]
pub(crate) struct ScheduleError {
    /// A stable code.
    code: String,
    /// A sentence.
    message: String,
    /// When the turn was.
    at: Option<DateTime<Utc>>,
}

/// Tasks that are asked for again and again.
#[derive(Clone)]
pub(crate) struct Schedule(pub(super) Arc<schedule::Schedule>);

/// Tasks that are asked for again and again.
#[Object]
impl Schedule {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(self.0.id)
    }

    /// Unique in the tenant.
    async fn name(&self) -> &str {
        &self.0.plan.name
    }

    /// Minute, hour, day of month, month, day of week.
    async fn cron(&self) -> &str {
        &self.0.plan.cron
    }

    /// A name of the time zone database.
    async fn time_zone(&self) -> &str {
        &self.0.plan.time_zone
    }

    /// What a turn does when an earlier task has not ended.
    async fn overlap(&self) -> ScheduleOverlap {
        self.0.plan.overlap.into()
    }

    /// What becomes of missed turns.
    async fn catch_up(&self) -> ScheduleCatchUp {
        self.0.plan.catch_up.into()
    }

    /// Where its tasks belong; null when the project is gone.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>, ApiError> {
        let project = Session::of(context)?.project(self.0.plan.project_id).await?;
        Ok(project.map(Project))
    }

    /// Which plugin serves its tasks.
    async fn scan_type(&self) -> &str {
        self.0.plan.scan_type.as_str()
    }

    /// What each turn asks for: subject, options, priority.
    fn order(&self, context: &Context<'_>) -> Result<JsonOf<'_>, ApiError> {
        paid(context, &self.0.plan.order).map(JsonOf)
    }

    /// With whose right its tasks are asked for: the role of the token that made or changed it.
    async fn role(&self) -> RoleName {
        self.0.plan.role.into()
    }

    /// Since when it rests.
    async fn paused_at(&self) -> Option<DateTime<Utc>> {
        self.0.paused_at
    }

    /// Its next turns; none while it rests.
    fn next_runs(
        &self,
        #[graphql(desc = "At most 50, 5 if not said.")] first: Option<i32>,
    ) -> Result<Vec<DateTime<Utc>>, ApiError> {
        let count = runs(first)?;
        let Some(due_at) = self.0.due_at.filter(|_| self.0.paused_at.is_none()) else {
            return Ok(Vec::new());
        };
        let plan = &self.0.plan;
        let more = Cron::parse(&plan.cron, &plan.time_zone, due_at);
        let more = more.map_or_else(|_| Vec::new(), |cron| cron.upcoming(due_at, count - 1));
        Ok(std::iter::once(due_at).chain(more).collect())
    }

    /// When its last task was due.
    async fn last_run_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_due_at
    }

    /// Its last task.
    async fn last_task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        match self.0.last_task {
            Some(id) => Ok(Session::of(context)?.task(id).await?.map(Task)),
            None => Ok(None),
        }
    }

    /// Turns that were left out because an earlier task had not ended.
    async fn skipped(&self) -> i32 {
        self.0.skipped
    }

    /// When the last of them was.
    async fn last_skipped_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_skipped_at
    }

    /// Turns in a row that could make no task.
    async fn failures(&self) -> i32 {
        self.0.failures
    }

    /// Why the last of them could not; null once one could.
    async fn last_error(&self) -> Option<ScheduleError> {
        Some(ScheduleError {
            code: self.0.last_error_code.clone()?,
            message: self.0.last_error_message.clone().unwrap_or_default(),
            at: self.0.last_error_at,
        })
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

fn runs(first: Option<i32>) -> Result<usize, Refusal> {
    let first = first.unwrap_or(RUNS_DEFAULT);
    if !(1..=RUNS_MAX).contains(&first) {
        let rule = format_args!("must be 1 to {RUNS_MAX}, is {first}");
        return Err(Refusal::invalid("first", rule).at(&["first"]));
    }
    Ok(usize::try_from(first).unwrap_or(1))
}

/// How `totalCount` of schedules is found.
pub(super) struct SchedulesCount;

impl SchedulesCount {
    async fn count(&self, session: &Session) -> Result<i64, ApiError> {
        session.read(|tx| Box::pin(schedule::count(tx))).await
    }
}

connection!(
    /// A page of schedules.
    ScheduleConnection, ScheduleEdge, Schedule,
    /// Cheap: schedules are few.
    SchedulesCount
);

impl ScheduleConnection {
    pub(super) async fn page(session: &Session, asked: &Asked) -> Result<Self, ApiError> {
        let window = asked.window(session, |cursor| decode(ORDER, cursor))?;
        let page = session.read(|tx| Box::pin(schedule::page(tx, window))).await?;
        Ok(Self {
            listed: Listed::of(
                page,
                |row| Schedule(Arc::new(row)),
                |node: &Schedule| encode(ORDER, node.0.id),
            ),
            counted: SchedulesCount,
        })
    }
}
