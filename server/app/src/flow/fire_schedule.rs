//! Makes the turns of schedules that are due; any process may, at any time.
//!
//! A turn is made once: its task has an id of its own ([`task_of_turn`]), and the schedule moves on in the
//! transaction that creates it. What refuses a turn is noted on the schedule, which moves on all the same; a
//! fault of ours leaves the turn to whoever comes after this process's hold.

use std::slice;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use tamiz_core::cron::{Overlap, task_of_turn};
use tamiz_core::{Refusal, RefusalCode, TaskId};
use tamiz_store::schedule::{self, DueSchedule, Schedule, Turned};
use tamiz_store::token::{self, Role};
use tamiz_store::{Store, task, tenant};
use tokio::time::timeout;

use super::FlowError;
use super::note_refusal::note_refusal;
use super::place_orders::{CheckedOrder, place_orders};
use super::schedule::{StoredOrder, parsed};
use super::start_scan::{Rules, checked};

/// Schedules taken at a time.
const TAKEN_AT_ONCE: u32 = 32;
/// Of these so many of one tenant: its slow name servers and plugins hold up nobody else.
const OF_ONE_TENANT: u32 = 2;
/// Turns made at the same time, each with a connection now and then.
const FIRED_AT_ONCE: u32 = 8;
/// For one turn, which may ask a plugin and name servers; these have seconds.
const TURN_TIME_MAX: Duration = Duration::from_secs(20);
/// How long those that were taken are this process's.
const HOLD: Duration = Duration::from_mins(2);

/// All of them one after the other on each place are done within their hold, and before the next look would pass
/// for the first one after a downtime.
const _: () = {
    let longest = TURN_TIME_MAX.as_secs() * TAKEN_AT_ONCE.div_ceil(FIRED_AT_ONCE) as u64;
    assert!(longest < HOLD.as_secs() && longest < schedule::LATE_MAX.as_secs());
};

/// Makes the turns of some schedules that are due; answers how many were taken.
///
/// # Errors
/// [`FlowError::Store`] when it cannot be asked which are due.
pub async fn fire_due_schedules(store: &Store, rules: Rules<'_>) -> Result<u64, FlowError> {
    let due = store.due_schedules(TAKEN_AT_ONCE, OF_ONE_TENANT, HOLD).await?;
    let taken = due.len() as u64;
    let fire_one = |due: DueSchedule| async move {
        let made = timeout(TURN_TIME_MAX, fire(store, rules, &due)).await;
        let made = made.unwrap_or_else(|late| Err(FlowError::fault("making a turn in time", late)));
        if let Err(error) = made {
            tracing::warn!(
                schedule = %due.id,
                error = &error as &dyn std::error::Error,
                "a schedule's turn failed and is tried again"
            );
            metrics::counter!("tamiz_schedule_turns_total", "outcome" => "fault").increment(1);
        }
    };
    let turns = stream::iter(due).for_each_concurrent(FIRED_AT_ONCE as usize, fire_one);
    turns.await;
    Ok(taken)
}

/// A schedule that is due, and what its right comes from.
struct Known {
    schedule: Schedule,
    tenant_name: String,
    token_is_live: bool,
}

async fn known(store: &Store, due: &DueSchedule) -> Result<Option<Known>, FlowError> {
    let mut tx = store.begin(&due.scope).await?;
    let found = schedule::by_ids(&mut tx, slice::from_ref(&due.id)).await?.pop();
    let tenant_name = tenant::own_name(&mut tx).await?;
    let (Some(schedule), Some(tenant_name)) = (found, tenant_name) else {
        return Ok(None);
    };
    let token_is_live = token::is_live(&mut tx, schedule.plan.token).await?;
    tx.commit().await?;
    Ok(Some(Known {
        schedule,
        tenant_name,
        token_is_live,
    }))
}

async fn fire(store: &Store, rules: Rules<'_>, due: &DueSchedule) -> Result<(), FlowError> {
    let Some(known) = known(store, due).await? else {
        return Ok(());
    };
    let plan = &known.schedule.plan;
    let cron = match parsed(&plan.cron, &plan.time_zone, due.now) {
        Ok(cron) => cron,
        // a zone that this version does not know any more
        Err(refusal) => return note(store, due, Turned::Refused(&refusal), None).await,
    };
    let turn = cron.turn(due.due_at, due.now, due.watched_since, plan.catch_up);
    let Some(at) = turn.run else {
        return note(store, due, Turned::Missed, turn.next).await;
    };
    let made = match order(store, rules, due, &known, task_of_turn(due.id, at)).await {
        Ok(order) => make(store, due, plan.overlap, &order, at, turn.next).await,
        Err(error) => Err(error),
    };
    match made {
        Err(FlowError::Refused(refusal)) => {
            note_refusal(store, &due.scope, Some(plan.token), &refusal).await;
            note(store, due, Turned::Refused(&refusal), turn.next).await
        }
        other => other,
    }
}

/// The order of this turn, checked: plugins are asked and the target is looked up anew.
async fn order(
    store: &Store,
    rules: Rules<'_>,
    due: &DueSchedule,
    known: &Known,
    task: TaskId,
) -> Result<CheckedOrder, FlowError> {
    let plan = &known.schedule.plan;
    if !known.token_is_live {
        let message =
            "the token that made or last changed the schedule has ended; change it with another one";
        return Err(Refusal::new(RefusalCode::NotAllowed, message).into());
    }
    if plan.role < Role::Analyst {
        let message = "the schedule was made with a role that may not scan";
        return Err(Refusal::new(RefusalCode::NotAllowed, message).into());
    }
    let stored: StoredOrder = serde_json::from_value(plan.order.clone()).map_err(|_| {
        let message = "the schedule was stored by another version; change it to store it anew";
        Refusal::new(RefusalCode::InvalidInput, message)
    })?;
    let mut order = stored.into_order(due.id, plan.project_id, plan.scan_type.as_str());
    order.id = Some(task);
    checked(store, rules, &due.scope, &known.tenant_name, order).await
}

/// Creates the task and moves the schedule on, both or neither; then stops what it replaces, which goes on when there
/// is nothing to replace it.
async fn make(
    store: &Store,
    due: &DueSchedule,
    overlap: Overlap,
    order: &CheckedOrder,
    at: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
) -> Result<(), FlowError> {
    let mut tx = store.begin(&due.scope).await?;
    if !schedule::lock_due(&mut tx, due.id, due.due_at).await? {
        return Ok(());
    }
    let earlier = match overlap {
        Overlap::Allow => Vec::new(),
        Overlap::Forbid | Overlap::Replace => schedule::unfinished_tasks(&mut tx, due.id).await?,
    };
    let outcome = if overlap == Overlap::Forbid && !earlier.is_empty() {
        schedule::turn(&mut tx, due.id, Turned::Skipped, next).await?;
        "skipped"
    } else {
        // before the tickets, which hold the tenant's lanes
        schedule::turn(&mut tx, due.id, Turned::Fired(order.id, at), next).await?;
        let placed = place_orders(&mut tx, slice::from_ref(order)).await;
        placed.map_err(|(_, error)| error)?;
        "fired"
    };
    tx.commit().await?;
    metrics::counter!("tamiz_schedule_turns_total", "outcome" => outcome).increment(1);
    if overlap == Overlap::Replace
        && let Err(error) = cancel(store, due, &earlier).await
    {
        tracing::warn!(
            schedule = %due.id,
            error = &error as &dyn std::error::Error,
            "what a turn replaces was not cancelled; the next turn does it"
        );
    }
    Ok(())
}

/// Stops what earlier turns left running.
async fn cancel(store: &Store, due: &DueSchedule, earlier: &[TaskId]) -> Result<(), FlowError> {
    // one by one: each takes its task, its group and its ticket, in this order
    for earlier in earlier {
        let mut tx = store.begin(&due.scope).await?;
        task::cancel(&mut tx, *earlier).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn note(
    store: &Store,
    due: &DueSchedule,
    turned: Turned<'_>,
    next: Option<DateTime<Utc>>,
) -> Result<(), FlowError> {
    let mut tx = store.begin(&due.scope).await?;
    if schedule::lock_due(&mut tx, due.id, due.due_at).await? {
        schedule::turn(&mut tx, due.id, turned, next).await?;
        tx.commit().await?;
        let outcome = if matches!(turned, Turned::Missed) {
            "missed"
        } else {
            "refused"
        };
        metrics::counter!("tamiz_schedule_turns_total", "outcome" => outcome).increment(1);
    }
    Ok(())
}
