//! Stops many tasks, one short transaction each: a task, its group and its ticket are taken in this order.

use tamiz_core::{Refusal, RefusalCode, TaskId};
use tamiz_store::Store;
use tamiz_store::page::{PageLimit, Window};
use tamiz_store::task::{self, Cancellation, TaskFilter};
use tamiz_store::token::{Caller, Role};

use super::{FlowError, require, within};

/// Tasks that one request may stop: its answer comes within seconds.
pub const TASKS_MAX: u32 = 1_000;
/// Tasks that are looked for at a time.
const BATCH: u32 = 100;

/// Stops at most `first` tasks, the latest first; answers how many, or how many it would if it is a dry run.
///
/// # Errors
/// Refused when the role is below analyst, or the filter says no state that can be left.
pub async fn cancel_tasks(
    store: &Store,
    caller: &Caller,
    filter: &TaskFilter,
    first: u32,
    dry_run: bool,
) -> Result<i64, FlowError> {
    require(caller, Role::Analyst)?;
    if filter.status.is_none_or(tamiz_core::TaskStatus::is_final) {
        let message = "the filter must say a status, and one of queued, retrying and running";
        return Err(Refusal::new(RefusalCode::InvalidInput, message)
            .at(&["input", "filter", "status"])
            .into());
    }
    within("first", first, 1..=TASKS_MAX)?;
    if dry_run {
        let mut tx = store.begin(&caller.scope).await?;
        let count = task::count(&mut tx, filter).await?;
        tx.commit().await?;
        return Ok(count.min(first.into()));
    }
    let (mut stopped, mut after, mut left) = (0, None, first);
    while left > 0 {
        let found = batch(store, caller, filter, after, left.min(BATCH)).await?;
        let Some(last) = found.last() else { break };
        after = Some(*last);
        left -= found.len() as u32;
        for id in found {
            let mut tx = store.begin(&caller.scope).await?;
            let wish = task::cancel(&mut tx, id).await?;
            tx.commit().await?;
            stopped += i64::from(matches!(wish, Cancellation::Cancelled | Cancellation::Requested));
        }
    }
    Ok(stopped)
}

/// A running task stays where it is for a moment, so the search goes on after it.
async fn batch(
    store: &Store,
    caller: &Caller,
    filter: &TaskFilter,
    after: Option<TaskId>,
    rows: u32,
) -> Result<Vec<TaskId>, FlowError> {
    let Some(limit) = PageLimit::new(rows) else {
        return Ok(Vec::new());
    };
    let mut tx = store.begin(&caller.scope).await?;
    let page = task::page(&mut tx, filter, Window::after(after, limit)).await?;
    tx.commit().await?;
    Ok(page.rows.into_iter().map(|task| task.id).collect())
}
