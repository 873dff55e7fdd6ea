//! Stops a task: at once when it waits, soon when it runs.

use tamiz_core::{Refusal, RefusalCode, TaskId};
use tamiz_store::Store;
use tamiz_store::task::{self, Cancellation, Task};
use tamiz_store::token::{Caller, Role};

use super::{FlowError, require};

/// Stops a task. Stopping one that is being stopped, or was, is no error.
///
/// # Errors
/// Refused when the role is below analyst, the task is not there, or it ended otherwise.
pub async fn cancel_task(store: &Store, caller: &Caller, id: TaskId) -> Result<Task, FlowError> {
    require(caller, Role::Analyst)?;
    let mut tx = store.begin(&caller.scope).await?;
    match task::cancel(&mut tx, id).await? {
        Cancellation::Absent => {
            return Err(Refusal::not_found("task", id).at(&["input", "taskId"]).into());
        }
        Cancellation::Ended(status) if status != tamiz_core::TaskStatus::Cancelled => {
            let message = format!("the task is {status}; only a task that waits or runs can be cancelled");
            return Err(Refusal::new(RefusalCode::WrongState, message)
                .at(&["input", "taskId"])
                .into());
        }
        Cancellation::Cancelled | Cancellation::Requested | Cancellation::Ended(_) => {}
    }
    let found = task::get(&mut tx, id).await?;
    tx.commit().await?;
    found.ok_or_else(|| Refusal::not_found("task", id).into())
}
