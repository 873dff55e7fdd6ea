//! The leases this worker holds, and keeping them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tamiz_core::TaskId;
use tamiz_store::queue::Held;
use tokio::time::Instant;

use super::stop::{Stop, StopReason};

#[derive(Debug)]
struct Entry {
    attempt: i32,
    stop: Stop,
    renewed_at: Instant,
}

/// What runs here now.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<HashMap<TaskId, Entry>>,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Entry>> {
        // no code panics while it holds the lock; its map is whole in any case
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, task: TaskId, attempt: i32, stop: Stop) {
        let entry = Entry {
            attempt,
            stop,
            renewed_at: Instant::now(),
        };
        if let Some(earlier) = self.lock().insert(task, entry) {
            // we lost it, did not notice yet, and claimed it again
            earlier.stop.press(StopReason::LeaseLost);
        }
    }

    pub(crate) fn remove(&self, task: TaskId, attempt: i32) {
        let mut held = self.lock();
        if held.get(&task).is_some_and(|entry| entry.attempt == attempt) {
            held.remove(&task);
        }
    }

    pub(crate) fn holds(&self, task: TaskId) -> bool {
        self.lock().contains_key(&task)
    }

    pub(crate) fn all(&self) -> Vec<(TaskId, i32)> {
        self.lock()
            .iter()
            .map(|(task, entry)| (*task, entry.attempt))
            .collect()
    }

    /// After a renewal of `asked`: stops what is lost or no longer wanted.
    pub(crate) fn renewed(&self, asked: &[(TaskId, i32)], answer: &[Held], at: Instant) {
        let mut held = self.lock();
        for (task, attempt) in asked {
            let Some(entry) = held.get_mut(task).filter(|entry| entry.attempt == *attempt) else {
                continue;
            };
            match answer
                .iter()
                .find(|held| held.task == *task && held.attempt == *attempt)
            {
                None => entry.stop.press(StopReason::LeaseLost),
                Some(held) => {
                    entry.renewed_at = at;
                    if held.cancel_requested {
                        entry.stop.press(StopReason::Cancelled);
                    }
                }
            }
        }
    }

    /// Stops what could not be renewed for a whole lease: somebody else may have it by now.
    pub(crate) fn stop_overdue(&self, lease: std::time::Duration) {
        for entry in self
            .lock()
            .values()
            .filter(|entry| entry.renewed_at.elapsed() > lease)
        {
            entry.stop.press(StopReason::LeaseLost);
        }
    }

    pub(crate) fn stop_all(&self, reason: StopReason) {
        for entry in self.lock().values() {
            entry.stop.press(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lease_that_is_not_in_the_answer_is_lost() {
        let leases = Leases::default();
        let (kept, lost, unwanted) = (TaskId::fresh(), TaskId::fresh(), TaskId::fresh());
        let stops = [Stop::default(), Stop::default(), Stop::default()];
        for (task, stop) in [kept, lost, unwanted].into_iter().zip(&stops) {
            leases.add(task, 1, stop.clone());
        }
        let answer = [
            Held {
                task: kept,
                attempt: 1,
                cancel_requested: false,
            },
            Held {
                task: unwanted,
                attempt: 1,
                cancel_requested: true,
            },
        ];
        leases.renewed(&leases.all(), &answer, Instant::now());
        let reasons = stops.map(|stop| stop.reason());
        assert_eq!(
            reasons,
            [None, Some(StopReason::LeaseLost), Some(StopReason::Cancelled)]
        );
    }

    #[tokio::test]
    async fn an_older_attempt_cannot_remove_a_newer_one() {
        let leases = Leases::default();
        let task = TaskId::fresh();
        leases.add(task, 2, Stop::default());
        leases.remove(task, 1);
        assert!(leases.holds(task));
        leases.remove(task, 2);
        assert!(!leases.holds(task));
    }
}
