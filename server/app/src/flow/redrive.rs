//! Sends many ended tasks back to the queue, in batches that are short transactions.

use tamiz_core::{Refusal, RefusalCode, TaskId};
use tamiz_store::quota::Meter;
use tamiz_store::task::{self, Task, TaskFilter};
use tamiz_store::token::{Caller, Role};
use tamiz_store::{Store, TenantScope};

use super::{FlowError, require, within};

/// Tasks of one transaction: it holds their rows and the tenant's lanes for some tens of milliseconds.
const BATCH: u32 = 100;
/// Tasks that one request may send back: its answer comes within seconds. Commands go on batch by batch.
pub const TASKS_MAX: u32 = 1_000;
/// Batches in a row that were gone between being found and being locked. Others who send back wait for the meter, so
/// this is for what is deleted.
const RACES_MAX: u32 = 10;
/// Tasks shown of a preview.
const SAMPLE: u32 = 10;

/// What a redrive sends back, or would.
#[derive(Debug)]
pub struct Redriven {
    /// So many tasks.
    pub count: i64,
    /// The latest of them.
    pub sample: Vec<Task>,
}

/// Only one state at a time is sent back, and it is said which: nobody sends everything back by mistake.
fn check(filter: &TaskFilter) -> Result<(), Refusal> {
    match filter.status {
        Some(status) if status.may_be_retried() => Ok(()),
        _ => Err(Refusal::new(
            RefusalCode::InvalidInput,
            "the filter must say a status, and one of failed, timeout, dead_letter and cancelled",
        )
        .at(&["input", "filter", "status"])),
    }
}

/// Counts what a redrive would send back, and shows some of it.
///
/// # Errors
/// Refused when the role is below analyst, or the filter says no state that can be sent back.
pub async fn preview(store: &Store, caller: &Caller, filter: &TaskFilter) -> Result<Redriven, FlowError> {
    require(caller, Role::Analyst)?;
    preview_of(store, &caller.scope, filter).await
}

/// The same for the operator.
///
/// # Errors
/// Refused when the filter says no state that can be sent back.
pub async fn preview_of(
    store: &Store,
    scope: &TenantScope,
    filter: &TaskFilter,
) -> Result<Redriven, FlowError> {
    check(filter)?;
    let mut tx = store.begin(scope).await?;
    let count = task::count(&mut tx, filter).await?;
    let sample = latest(&mut tx, filter, SAMPLE).await?;
    tx.commit().await?;
    Ok(Redriven { count, sample })
}

/// Sends back at most `first` tasks, the latest first; answers how many. Those that went back before a limit of the
/// tenant was reached stay there, and the limit is told only if there were none.
///
/// # Errors
/// Refused when the role is below analyst, the filter says no state that can be sent back, or nothing may be
/// asked for.
pub async fn redrive_tasks(
    store: &Store,
    caller: &Caller,
    filter: &TaskFilter,
    first: u32,
) -> Result<Redriven, FlowError> {
    require(caller, Role::Analyst)?;
    within("first", first, 1..=TASKS_MAX)?;
    let mut back = Vec::new();
    while back.len() < first as usize {
        let wanted = (first - back.len() as u32).min(BATCH);
        match redrive_batch(store, &caller.scope, filter, wanted).await {
            Ok(batch) if batch.is_empty() => break,
            Ok(batch) => back.extend(batch),
            Err(FlowError::Refused(_)) if !back.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    let latest: Vec<TaskId> = back.iter().copied().take(SAMPLE as usize).collect();
    let mut tx = store.begin(&caller.scope).await?;
    let mut sample = task::by_ids(&mut tx, &latest).await?;
    tx.commit().await?;
    sample.sort_by_key(|task| std::cmp::Reverse(task.id));
    Ok(Redriven {
        count: i64::try_from(back.len()).unwrap_or(i64::MAX),
        sample,
    })
}

/// Sends back one batch of at most `wanted` tasks; none when nothing is left. What others sent back meanwhile is
/// passed over.
///
/// # Errors
/// Refused when the filter says no state that can be sent back, or a limit of the tenant is reached.
pub async fn redrive_batch(
    store: &Store,
    scope: &TenantScope,
    filter: &TaskFilter,
    wanted: u32,
) -> Result<Vec<TaskId>, FlowError> {
    check(filter)?;
    for _ in 0..RACES_MAX {
        let mut tx = store.begin(scope).await?;
        // whoever else sends back tasks of this tenant waits, and then sees what is left
        let meter = Meter::lock(&mut tx).await?;
        let found = latest(&mut tx, filter, wanted.min(BATCH)).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<TaskId> = found.iter().map(|task| task.id).collect();
        let back = task::retry_all(&mut tx, &ids).await?;
        if !back.is_empty() {
            // for those that went back and no others; their priority was allowed when they were ordered
            meter.ask_written(&mut tx, back.len() as u32, 0).await?;
            tx.commit().await?;
            return Ok(back);
        }
    }
    Ok(Vec::new())
}

async fn latest(
    tx: &mut tamiz_store::TenantTx,
    filter: &TaskFilter,
    rows: u32,
) -> Result<Vec<Task>, FlowError> {
    let Some(limit) = tamiz_store::page::PageLimit::new(rows) else {
        return Ok(Vec::new());
    };
    Ok(task::page(tx, filter, tamiz_store::page::Window::first(limit))
        .await?
        .rows)
}
