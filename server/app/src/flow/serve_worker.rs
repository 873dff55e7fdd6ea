//! What a worker without the database may claim, by its token.
//!
//! A token may be held to some scan types; a worker is the token's that it registered with.
//!
//! Not here: what it asks for one task (`serve_attempt`, `take_in`), and how the question comes (API).

use std::time::Duration;

use tamiz_core::{TaskStatus, WorkerId};
use tamiz_store::credential::LeaseRight;
use tamiz_store::queue::{ClaimRequest, Lease};
use tamiz_store::task::{self, Task};
use tamiz_store::worker_token::WorkerCaller;
use tamiz_store::{Store, StoreError};

use crate::wire::Room;

/// What one worker has, whatever it says: a machine of that many cores would be large.
pub(crate) const SLOTS_MAX: u32 = 1_000;

/// What the worker of `caller` may claim of the types that it asks for, where none asked for is all; `None`
/// when that is nothing.
pub fn allowed_types(caller: &WorkerCaller, asked: Vec<String>) -> Option<Vec<String>> {
    let Some(allowed) = &caller.scan_types else {
        return Some(asked);
    };
    if asked.is_empty() {
        return Some(allowed.clone());
    }
    let both: Vec<String> = asked.into_iter().filter(|word| allowed.contains(word)).collect();
    (!both.is_empty()).then_some(both)
}

/// Claims for the worker, no more than it has slots beside what it holds; the types of its room are those of
/// [`allowed_types`].
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub(crate) async fn claim(
    store: &Store,
    worker: WorkerId,
    room: &Room,
    lease: Duration,
) -> Result<Vec<Lease>, StoreError> {
    let slots = room.slots.min(store.free_slots_of(worker).await?);
    if slots == 0 {
        return Ok(Vec::new());
    }
    let request = ClaimRequest {
        worker,
        scan_types: &room.scan_types,
        tools: &room.tools,
        worlds: &room.worlds,
        slots: slots.min(SLOTS_MAX),
        lease,
    };
    store.claim(&request).await
}

/// The task of `right`, if its attempt is the one that runs.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn running_task(store: &Store, right: &LeaseRight) -> Result<Option<Task>, StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let found = task::get(&mut tx, right.task).await?;
    tx.commit().await?;
    Ok(found.filter(|task| task.attempt == right.attempt && task.status == TaskStatus::Running))
}

#[cfg(test)]
mod tests {
    use tamiz_core::WorkerTokenId;

    use super::*;

    fn allowed(of_token: Option<&[&str]>, asked: &[&str]) -> Option<Vec<String>> {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let caller = WorkerCaller {
            token: WorkerTokenId::fresh(),
            scan_types: of_token.map(words),
            is_its_worker: true,
        };
        allowed_types(&caller, words(asked))
    }

    #[test]
    fn a_token_for_some_types_claims_no_others_and_never_all() {
        let of = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect());
        assert_eq!(allowed(None, &[]), of(&[]));
        assert_eq!(allowed(None, &["web"]), of(&["web"]));
        assert_eq!(allowed(Some(&["web", "ssl"]), &[]), of(&["web", "ssl"]));
        assert_eq!(allowed(Some(&["web", "ssl"]), &["ssl", "pcap"]), of(&["ssl"]));
        assert_eq!(allowed(Some(&["web"]), &["pcap"]), None);
    }
}
