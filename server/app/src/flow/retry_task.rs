//! Sends an ended task back to the queue.

use tamiz_core::{Refusal, RefusalCode, TaskId};
use tamiz_store::Store;
use tamiz_store::quota::Meter;
use tamiz_store::task::{self, Redrive, Task};
use tamiz_store::token::{Caller, Role};

use super::{FlowError, require};

/// Gives a failed, timed-out, cancelled or dead task fresh attempts.
///
/// # Errors
/// Refused when the role is below analyst, the task is not there, its state does not allow it, or the tenant may
/// not have one more.
pub async fn retry_task(store: &Store, caller: &Caller, id: TaskId) -> Result<Task, FlowError> {
    require(caller, Role::Analyst)?;
    let mut tx = store.begin(&caller.scope).await?;
    let meter = Meter::lock(&mut tx).await?;
    match task::retry(&mut tx, id).await? {
        Redrive::Queued(task) => {
            // its priority was allowed once
            meter.ask_written(&mut tx, 1, 0).await?;
            tx.commit().await?;
            Ok(*task)
        }
        Redrive::Refused(status) => {
            let message = format!(
                "the task is {status}; only a failed, timed-out, cancelled or dead-lettered task can be retried"
            );
            Err(Refusal::new(RefusalCode::WrongState, message)
                .at(&["input", "taskId"])
                .into())
        }
        Redrive::Absent => Err(Refusal::not_found("task", id).at(&["input", "taskId"]).into()),
    }
}
