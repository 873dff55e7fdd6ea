//! Makes the turns of schedules that are due; any process may, at any time.
//!
//! A turn is made once: its task has an id of its own ([`task_of_turn`]), and the schedule moves on in the
//! transaction that creates it. What refuses a turn is noted on the schedule, which moves on all the same; a
//! fault of ours leaves the turn to whoever comes after this process's hold.

use std::slice;

use chrono::{DateTime, Utc};
use tamiz_core::cron::{Overlap, task_of_turn};
use tamiz_core::{Refusal, RefusalCode, TaskId};
use tamiz_store::schedule::{self, DueSchedule, Schedule, Turned};
use tamiz_store::token::Role;
use tamiz_store::{Store, task, tenant};

use super::FlowError;
use super::note_refusal::note_refusal;
use super::place_orders::{CheckedOrder, place_orders};
use super::schedule::{HOLD, StoredOrder, parsed};
use super::start_scan::{Rules, checked};

/// Schedules taken at a time: each may ask a plugin and name servers, and all have to be done within [`HOLD`].
const TAKEN_AT_ONCE: u32 = 8;

/// Makes the turns of some schedules that are due; answers how many were taken.
///
/// # Errors
/// [`FlowError::Store`] when it cannot be asked which are due.
pub async fn fire_due_schedules(store: &Store, rules: Rules<'_>) -> Result<u64, FlowError> {
    let due = store.due_schedules(TAKEN_AT_ONCE, HOLD).await?;
    for due in &due {
        if let Err(error) = fire(store, rules, due).await {
            tracing::warn!(
                schedule = %due.id,
                error = &error as &dyn std::error::Error,
                "a schedule's turn failed and is tried again"
            );
            metrics::counter!("tamiz_schedule_turns_total", "outcome" => "fault").increment(1);
        }
    }
    Ok(due.len() as u64)
}

async fn fire(store: &Store, rules: Rules<'_>, due: &DueSchedule) -> Result<(), FlowError> {
    let mut tx = store.begin(&due.scope).await?;
    let found = schedule::by_ids(&mut tx, slice::from_ref(&due.id)).await?.pop();
    let tenant_name = tenant::own_name(&mut tx).await?;
    tx.commit().await?;
    let (Some(found), Some(tenant_name)) = (found, tenant_name) else {
        return Ok(());
    };
    let cron = match parsed(&found.plan.cron, &found.plan.time_zone, due.now) {
        Ok(cron) => cron,
        // a zone that this version does not know any more
        Err(refusal) => return note(store, due, Turned::Refused(&refusal), None).await,
    };
    let turn = cron.turn(due.due_at, due.now, found.plan.catch_up);
    let Some(at) = turn.run else {
        return note(store, due, Turned::Missed, turn.next).await;
    };
    if found.plan.overlap == Overlap::Replace {
        cancel_earlier(store, due).await?;
    }
    let made = match order(store, rules, due, &found, &tenant_name, task_of_turn(due.id, at)).await {
        Ok(order) => make(store, due, &found, &order, at, turn.next).await,
        Err(error) => Err(error),
    };
    match made {
        Err(FlowError::Refused(refusal)) => {
            note_refusal(store, &due.scope, Some(found.plan.token), &refusal).await;
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
    found: &Schedule,
    tenant_name: &str,
    task: TaskId,
) -> Result<CheckedOrder, FlowError> {
    let plan = &found.plan;
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
    checked(store, rules, &due.scope, tenant_name, order).await
}

/// Creates the task and moves the schedule on, both or neither.
async fn make(
    store: &Store,
    due: &DueSchedule,
    found: &Schedule,
    order: &CheckedOrder,
    at: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
) -> Result<(), FlowError> {
    let mut tx = store.begin(&due.scope).await?;
    if !schedule::lock_due(&mut tx, due.id, due.due_at).await? {
        return Ok(());
    }
    let runs = found.plan.overlap != Overlap::Forbid
        || schedule::unfinished_tasks(&mut tx, due.id).await?.is_empty();
    let outcome = if runs {
        // before the tickets, which hold the tenant's lanes
        schedule::turn(&mut tx, due.id, Turned::Fired(order.id, at), next).await?;
        let placed = place_orders(&mut tx, slice::from_ref(order)).await;
        placed.map_err(|(_, error)| error)?;
        "fired"
    } else {
        schedule::turn(&mut tx, due.id, Turned::Skipped, next).await?;
        "skipped"
    };
    tx.commit().await?;
    metrics::counter!("tamiz_schedule_turns_total", "outcome" => outcome).increment(1);
    Ok(())
}

/// Stops what earlier turns left running, as long as this turn is still to be made.
async fn cancel_earlier(store: &Store, due: &DueSchedule) -> Result<(), FlowError> {
    let mut tx = store.begin(&due.scope).await?;
    let earlier = schedule::unfinished_tasks(&mut tx, due.id).await?;
    tx.commit().await?;
    // one by one: each takes its task, its group and its ticket, in this order
    for earlier in earlier {
        let mut tx = store.begin(&due.scope).await?;
        if !schedule::lock_due(&mut tx, due.id, due.due_at).await? {
            return Ok(());
        }
        task::cancel(&mut tx, earlier).await?;
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
