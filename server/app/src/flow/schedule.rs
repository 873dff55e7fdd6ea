//! Schedules: made, changed, paused and ended by people. Their turns are made by [`super::fire_schedule`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tamiz_core::cron::{CatchUp, Cron, Overlap};
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::scope::ScopeLabels;
use tamiz_core::{Profile, ProjectId, Refusal, RefusalCode, ScheduleId, UploadId};
use tamiz_store::schedule::{self, Plan, SCHEDULES_MAX, Saved, Schedule};
use tamiz_store::token::{Caller, Role};
use tamiz_store::{Store, TenantTx};

use super::place_orders::uploads_checked;
use super::start_scan::{OrderTerms, Rules, ScanOrder, Subject, checked};
use super::{FlowError, known_project, label, require};

/// A schedule that is asked for, whole.
#[derive(Debug)]
pub struct ScheduleOrder {
    /// Unique in the tenant.
    pub name: String,
    /// Five fields.
    pub cron: String,
    /// A name of the time zone database.
    pub time_zone: String,
    /// What a turn does while an earlier task runs.
    pub overlap: Overlap,
    /// What becomes of missed turns.
    pub catch_up: CatchUp,
    /// What is asked for with each turn; its id and its time are the turn's.
    pub order: ScanOrder,
}

/// What a schedule asks for, as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct StoredOrder {
    /// What it is of; a target's addresses are looked up anew with each turn.
    pub subject: Subject,
    /// Rules instead of the bundled ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<UploadId>,
    /// What of it the scan looks at.
    #[serde(default, skip_serializing_if = "ScopeLabels::is_empty")]
    pub labels: ScopeLabels,
    /// For the plugin.
    pub options: Map<String, Value>,
    /// How thoroughly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Higher goes first.
    pub priority: i16,
    /// Of one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
}

impl StoredOrder {
    fn of(order: &ScanOrder) -> Self {
        Self {
            subject: order.subject.clone(),
            rules: order.rules,
            labels: order.labels.clone(),
            options: order.options.clone(),
            profile: order.profile,
            priority: order.priority,
            timeout_seconds: order.terms.timeout_seconds,
        }
    }

    /// The order of one turn, but for its id.
    pub(super) fn into_order(self, id: ScheduleId, project: ProjectId, scan_type: &str) -> ScanOrder {
        ScanOrder {
            id: None,
            project,
            scan_type: scan_type.to_owned(),
            subject: self.subject,
            labels: self.labels,
            commit: None,
            rules: self.rules,
            options: self.options,
            profile: self.profile,
            priority: self.priority,
            terms: OrderTerms {
                timeout_seconds: self.timeout_seconds,
                schedule: Some(id),
                ..OrderTerms::default()
            },
        }
    }
}

/// Makes a schedule. Its order is checked as if it were asked for now.
///
/// # Errors
/// Refused when the role is below analyst, the expression, the zone or the order is, the name is taken, or the
/// tenant has as many as it may.
pub async fn create_schedule(
    store: &Store,
    rules: Rules<'_>,
    caller: &Caller,
    order: ScheduleOrder,
) -> Result<Schedule, FlowError> {
    let (plan, cron, mut tx) = prepared(store, rules, caller, order).await?;
    let due_at = cron.next_after(schedule::now(&mut tx).await?);
    let saved = schedule::create(&mut tx, ScheduleId::fresh(), &plan, due_at).await?;
    let saved = saved_or_refused(saved, None)?;
    tx.commit().await?;
    Ok(saved)
}

/// Replaces what a schedule asks for and when. It has the right of whoever changed it last.
///
/// # Errors
/// As [`create_schedule`], and when it is not there.
pub async fn update_schedule(
    store: &Store,
    rules: Rules<'_>,
    caller: &Caller,
    id: ScheduleId,
    order: ScheduleOrder,
) -> Result<Schedule, FlowError> {
    let (plan, cron, mut tx) = prepared(store, rules, caller, order).await?;
    let due_at = cron.next_after(schedule::now(&mut tx).await?);
    let saved = schedule::update(&mut tx, id, &plan, due_at).await?;
    let saved = saved_or_refused(saved, Some(id))?;
    tx.commit().await?;
    Ok(saved)
}

/// Checks all that can be checked; answers an open transaction.
async fn prepared(
    store: &Store,
    rules: Rules<'_>,
    caller: &Caller,
    order: ScheduleOrder,
) -> Result<(Plan, Cron, TenantTx), FlowError> {
    require(caller, Role::Analyst)?;
    let name = label("name", &order.name, NAME_CHARACTERS_MAX)?.to_owned();
    let cron = parsed(&order.cron, &order.time_zone, Utc::now())?;
    let stored = StoredOrder::of(&order.order);
    let stored =
        serde_json::to_value(&stored).map_err(|error| FlowError::fault("storing an order", error))?;
    let project = order.order.project;
    let checked = checked(store, rules, &caller.scope, &caller.tenant_name, order.order).await?;
    let mut tx = store.begin(&caller.scope).await?;
    known_project(&mut tx, project).await?;
    uploads_checked(&mut tx, &checked).await?;
    let plan = Plan {
        name,
        cron: order.cron,
        time_zone: order.time_zone,
        overlap: order.overlap,
        catch_up: order.catch_up,
        project_id: project,
        scan_type: checked.scan_type,
        order: stored,
        token: caller.token,
        role: caller.role,
    };
    Ok((plan, cron, tx))
}

/// The times of a schedule.
pub(super) fn parsed(cron: &str, time_zone: &str, now: DateTime<Utc>) -> Result<Cron, Refusal> {
    use tamiz_core::cron::CronError;
    Cron::parse(cron, time_zone, now).map_err(|error| {
        let field = match error {
            CronError::Zone(_) => "timeZone",
            CronError::Expression(_) | CronError::Never(_) => "cron",
        };
        Refusal::invalid(field, error)
    })
}

/// Lets a schedule rest, or go on. Turns of its rest are left out.
///
/// # Errors
/// Refused when the role is below analyst or it is not there.
pub async fn set_schedule_paused(
    store: &Store,
    caller: &Caller,
    id: ScheduleId,
    paused: bool,
) -> Result<Schedule, FlowError> {
    require(caller, Role::Analyst)?;
    let mut tx = store.begin(&caller.scope).await?;
    // a sweep that makes its turn moves what is read here
    if !schedule::lock(&mut tx, id).await? {
        return Err(absent(id).into());
    }
    let Some(found) = schedule::by_ids(&mut tx, &[id]).await?.pop() else {
        return Err(absent(id).into());
    };
    let now = schedule::now(&mut tx).await?;
    let cron = parsed(&found.plan.cron, &found.plan.time_zone, now)?;
    // one that was not paused keeps its turn
    let due_at = if found.paused_at.is_some() {
        cron.next_after(now)
    } else {
        found.due_at
    };
    let saved = schedule::set_paused(&mut tx, id, paused, due_at).await?;
    let saved = saved_or_refused(saved, Some(id))?;
    tx.commit().await?;
    Ok(saved)
}

/// Ends a schedule; its tasks stay, and those that wait are carried out.
///
/// # Errors
/// Refused when the role is below analyst or it is not there.
pub async fn delete_schedule(
    store: &Store,
    caller: &Caller,
    id: ScheduleId,
) -> Result<ScheduleId, FlowError> {
    require(caller, Role::Analyst)?;
    let mut tx = store.begin(&caller.scope).await?;
    if !schedule::delete(&mut tx, id).await? {
        return Err(absent(id).into());
    }
    tx.commit().await?;
    Ok(id)
}

fn absent(id: ScheduleId) -> Refusal {
    Refusal::not_found("schedule", id).at(&["input", "scheduleId"])
}

fn saved_or_refused(saved: Saved, id: Option<ScheduleId>) -> Result<Schedule, Refusal> {
    match saved {
        Saved::Saved(schedule) => Ok(*schedule),
        Saved::NameTaken => {
            let message = "another schedule has this name";
            Err(Refusal::new(RefusalCode::AlreadyExists, message).at(&["input", "name"]))
        }
        Saved::TooMany => {
            let message = format!("there are {SCHEDULES_MAX} schedules already, which is the most");
            Err(Refusal::new(RefusalCode::WrongState, message))
        }
        Saved::Absent => Err(id.map_or_else(
            || Refusal::new(RefusalCode::NotFound, "the schedule is gone"),
            absent,
        )),
    }
}
