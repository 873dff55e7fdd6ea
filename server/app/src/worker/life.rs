//! What the register is told of this worker: what it does, what it did, and why it cannot work.
//!
//! A worker that cannot work (its scratch folder is gone or full, its tools are, its claims fail one after the
//! other) says so and claims nothing until it can again; what runs goes on. It is looked at with every
//! heartbeat.
//!
//! Not here: leases (`leases`), and what the register makes of it (`tamiz_store::worker`).

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tamiz_core::{TaskStatus, WorkerId};
use tamiz_store::worker::{Heartbeat, WorkerState};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, DeskError};
use super::workplace::Workplace;
use crate::causes::chain;
use crate::tool::Inventory;

/// Claims or heartbeats that fail in a row before the worker says that it cannot work: one may be a hiccup.
const FAILURES_MAX: u32 = 3;
/// Claims and heartbeats that the server refuses in a row because of who asks, before the worker ends: while
/// servers are exchanged one of another version may answer.
const DISMISSALS_MAX: u32 = 5;
/// Bytes that must fit into the scratch folder for a task to be worth beginning: less than any archive or
/// report needs, more than what a full disk leaves over.
const SCRATCH_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Written and read back by each look at the scratch folder.
const PROBE: &[u8] = b"tamiz was here\n";

/// One worker's own knowledge of itself.
#[derive(Debug, Default)]
pub(crate) struct Life {
    done: AtomicU64,
    failed: AtomicU64,
    failures: AtomicU32,
    /// Why nothing can be claimed, if so.
    trouble: Mutex<Option<String>>,
    /// The last answer that failed, until the register has it.
    untold: Mutex<Option<String>>,
    changed: Notify,
    dismissals: AtomicU32,
    /// Why it has to end, once that is certain.
    dismissal: OnceLock<String>,
    dismissed: CancellationToken,
}

impl Life {
    /// An attempt's end was written. What was cancelled, or put back without being anybody's fault, is neither
    /// done nor failed.
    pub(crate) fn ended(&self, status: TaskStatus, counts: bool) {
        let count = match status {
            TaskStatus::Completed => &self.done,
            TaskStatus::Failed | TaskStatus::Timeout | TaskStatus::DeadLetter => &self.failed,
            TaskStatus::Retrying if counts => &self.failed,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The server answered.
    pub(crate) fn answered(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.dismissals.store(0, Ordering::Relaxed);
    }

    /// The server did not answer as it should.
    pub(crate) fn unanswered(&self, error: &DeskError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let words = chain(error);
        *lock(&self.untold) = Some(words.clone());
        if error.is_dismissal() && self.dismissals.fetch_add(1, Ordering::Relaxed) + 1 >= DISMISSALS_MAX {
            self.dismissal.get_or_init(|| words);
            self.dismissed.cancel();
        }
    }

    /// Returns when the server has made plain that it does not take this worker any more.
    pub(crate) async fn dismissed(&self) {
        self.dismissed.cancelled().await;
    }

    /// Why it does not, if so.
    pub(crate) fn dismissal(&self) -> Option<&str> {
        self.dismissal.get().map(String::as_str)
    }

    /// Why nothing should be claimed now, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// It ends before it could begin.
    pub(crate) fn failed_to_start(&self, why: String) {
        *lock(&self.untold) = Some(why);
    }

    /// Returns when the worker has come into trouble or out of it.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes over what a look at this machine finds. Blocks for a moment.
    pub(crate) fn look(&self, workplace: &Workplace, inventory: &Inventory) {
        // a folder that somebody removed is made again, if that is all there is to it
        let _ = workplace.mend();
        let tools = inventory.available.iter().map(|tool| tool.binary.as_path());
        self.judge(unfit(workplace.path(), &tools.collect::<Vec<_>>()));
    }

    fn judge(&self, unfit: Option<String>) {
        let found = unfit.or_else(|| {
            let failures = self.failures.load(Ordering::Relaxed);
            (failures >= FAILURES_MAX).then(|| {
                let last = lock(&self.untold).clone().unwrap_or_default();
                format!("the server failed {failures} times in a row: {last}")
            })
        });
        let mut trouble = lock(&self.trouble);
        match (&*trouble, &found) {
            (None, Some(why)) => tracing::error!(why, "this worker cannot work"),
            (Some(_), None) => tracing::info!("this worker can work again"),
            _ => {}
        }
        metrics::gauge!("tamiz_worker_unfit").set(if found.is_some() { 1.0 } else { 0.0 });
        if trouble.is_some() != found.is_some() {
            self.changed.notify_one();
        }
        *trouble = found;
    }

    /// Says it all at the desk; `false` when the register does not have the worker. An error is said once.
    pub(crate) async fn tell(
        &self,
        desk: &Desk,
        worker: WorkerId,
        state: WorkerState,
        free_slots: usize,
    ) -> Result<bool, DeskError> {
        let trouble = self.trouble();
        let untold = lock(&self.untold).clone();
        let state = match state {
            WorkerState::Idle | WorkerState::Busy if trouble.is_some() => WorkerState::Error,
            state => state,
        };
        let beat = Heartbeat {
            state,
            free_slots: u32::try_from(free_slots).unwrap_or(u32::MAX),
            done: self.done.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            error: trouble.as_deref().or(untold.as_deref()),
        };
        let told = desk.heartbeat(worker, &beat).await;
        match &told {
            Ok(_) => {
                self.answered();
                *lock(&self.untold) = None;
            }
            Err(error) => self.unanswered(error),
        }
        told
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // no code panics while it holds the lock
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why this machine can do no task now, if so.
fn unfit(scratch: &Path, tools: &[&Path]) -> Option<String> {
    if let Err(error) = try_scratch(scratch) {
        return Some(format!(
            "the scratch folder {} cannot be used: {error}",
            scratch.display()
        ));
    }
    let are_gone = !tools.is_empty() && tools.iter().all(|tool| !tool.exists());
    are_gone.then(|| format!("all of its {} tools are gone from their places", tools.len()))
}

/// Writes a file there, as every attempt will.
fn try_scratch(scratch: &Path) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".probe-").tempfile_in(scratch)?;
    file.write_all(PROBE)?;
    file.flush()?;
    let place = rustix::fs::statvfs(scratch)?;
    let free = place.f_bavail.saturating_mul(place.f_frsize);
    if free < SCRATCH_BYTES_MIN {
        return Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("{free} bytes are free, fewer than {SCRATCH_BYTES_MIN}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::desk::remote::RemoteError;
    use reqwest::StatusCode;
    use tamiz_core::Refusal;

    fn refused(status: StatusCode) -> DeskError {
        DeskError::Remote(RemoteError::Refused {
            server: "https://tamiz.example".to_owned(),
            status,
            refusal: Box::new(Refusal {
                code: "UNAUTHENTICATED".into(),
                message: "the worker's token is not valid".to_owned(),
                path: Vec::new(),
                limit: None,
            }),
            retry_after: None,
        })
    }

    #[tokio::test]
    async fn a_worker_whose_token_ended_ends_after_a_few_tries() {
        let life = Life::default();
        for _ in 1..DISMISSALS_MAX {
            life.unanswered(&refused(StatusCode::UNAUTHORIZED));
        }
        life.answered();
        for _ in 1..DISMISSALS_MAX {
            life.unanswered(&refused(StatusCode::UNAUTHORIZED));
            life.unanswered(&refused(StatusCode::BAD_GATEWAY));
        }
        assert_eq!(life.dismissal(), None);
        life.unanswered(&refused(StatusCode::UPGRADE_REQUIRED));
        life.dismissed().await;
        assert!(life.dismissal().unwrap().contains("not valid"));
    }
}
