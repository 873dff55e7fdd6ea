//! The leases this worker holds, and keeping them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tamiz_core::{TaskId, TenantId};
use tamiz_store::queue::{Claim, Held};
use tokio::sync::Notify;
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
    held: Mutex<HashMap<(TenantId, TaskId), Entry>>,
    grown: Notify,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, TaskId), Entry>> {
        // no code panics while it holds the lock; its map is whole in any case
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, claim: Claim, stop: Stop) {
        let entry = Entry {
            attempt: claim.attempt,
            stop,
            renewed_at: Instant::now(),
        };
        if let Some(earlier) = self.lock().insert((claim.tenant, claim.task), entry) {
            // we lost it, did not notice yet, and claimed it again
            earlier.stop.press(StopReason::LeaseLost);
        }
        self.grown.notify_one();
    }

    /// Returns when one was added, if it was before the call.
    pub(crate) async fn grown(&self) {
        self.grown.notified().await;
    }

    pub(crate) fn remove(&self, claim: Claim) {
        let (mut held, key) = (self.lock(), (claim.tenant, claim.task));
        if held.get(&key).is_some_and(|entry| entry.attempt == claim.attempt) {
            held.remove(&key);
        }
    }

    /// Whether a task with this id runs here, of whatever tenant.
    pub(crate) fn holds(&self, task: TaskId) -> bool {
        self.lock().keys().any(|(_, held)| *held == task)
    }

    /// What is to be renewed: a stopped attempt still has to write its end.
    pub(crate) fn all(&self) -> Vec<Claim> {
        self.those(|_| true)
    }

    /// What somebody may still want to stop.
    pub(crate) fn unstopped(&self) -> Vec<Claim> {
        self.those(|entry| entry.stop.reason().is_none())
    }

    fn those(&self, are_meant: impl Fn(&Entry) -> bool) -> Vec<Claim> {
        let held = self.lock();
        let meant = held.iter().filter(|(_, entry)| are_meant(entry));
        let claims = meant.map(|((tenant, task), entry)| Claim {
            tenant: *tenant,
            task: *task,
            attempt: entry.attempt,
        });
        claims.collect()
    }

    /// After a renewal of `asked`: stops what is lost or no longer wanted.
    pub(crate) fn renewed(&self, asked: &[Claim], answer: &[Held], at: Instant) {
        let mut held = self.lock();
        for claim in asked {
            let entry = held.get_mut(&(claim.tenant, claim.task));
            let Some(entry) = entry.filter(|entry| entry.attempt == claim.attempt) else {
                continue;
            };
            match answer.iter().find(|held| held.claim == *claim) {
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

    fn claim(attempt: i32) -> Claim {
        Claim {
            tenant: TenantId::fresh(),
            task: TaskId::fresh(),
            attempt,
        }
    }

    #[tokio::test]
    async fn a_lease_that_is_not_in_the_answer_is_lost() {
        let leases = Leases::default();
        let (kept, lost, unwanted) = (claim(1), claim(1), claim(1));
        let stops = [Stop::default(), Stop::default(), Stop::default()];
        for (claim, stop) in [kept, lost, unwanted].into_iter().zip(&stops) {
            leases.add(claim, stop.clone());
        }
        let answer = [
            Held {
                claim: kept,
                cancel_requested: false,
            },
            Held {
                claim: unwanted,
                cancel_requested: true,
            },
        ];
        leases.renewed(&leases.all(), &answer, Instant::now());
        assert_eq!(leases.unstopped(), [kept]);
        assert_eq!(leases.all().len(), 3);
        let reasons = stops.map(|stop| stop.reason());
        assert_eq!(
            reasons,
            [None, Some(StopReason::LeaseLost), Some(StopReason::Cancelled)]
        );
    }

    #[tokio::test]
    async fn an_older_attempt_cannot_remove_a_newer_one() {
        let leases = Leases::default();
        let newer = claim(2);
        leases.add(newer, Stop::default());
        leases.remove(Claim { attempt: 1, ..newer });
        assert!(leases.holds(newer.task));
        leases.remove(newer);
        assert!(!leases.holds(newer.task));
    }

    #[tokio::test]
    async fn equal_ids_of_two_tenants_are_two_leases() {
        let leases = Leases::default();
        let first = claim(1);
        let second = Claim {
            tenant: TenantId::fresh(),
            ..first
        };
        let stops = [Stop::default(), Stop::default()];
        leases.add(first, stops[0].clone());
        leases.add(second, stops[1].clone());
        let answer = Held {
            claim: second,
            cancel_requested: false,
        };
        leases.renewed(&leases.all(), &[answer], Instant::now());
        assert_eq!(
            stops.map(|stop| stop.reason()),
            [Some(StopReason::LeaseLost), None]
        );
    }
}
