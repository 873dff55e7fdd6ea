//! Waiting for the end of a task: by the signals that watchers hear, and by the clock where one was lost.
//!
//! No connection to the database is held meanwhile. The wait is over early when the server goes away, and nobody is told
//! anything whose token ended meanwhile.

use std::time::Duration;

use tamiz_core::TaskId;
use tamiz_store::task;
use tamiz_store::token::Caller;
use tokio::time::Instant;

use super::Rest;
use super::told::{Asked, Seen};
use crate::api::guard::bearer::{AuthError, Known, refused};
use crate::api::refused::{Refused, unreached};
use crate::api::schema::{Principal, heard};

/// Requests of one tenant that wait at once on one server; who comes after them is told how things stand.
pub(super) const WAITING_OF_ONE_TENANT_MAX: usize = 64;
/// Without a signal the task is read this often: signals are hints and may be lost.
const POLL: Duration = Duration::from_secs(5);

/// How the task stands when it has ended, or after `patience`.
pub(super) async fn until_ended(
    rest: &Rest,
    known: &Known<Principal>,
    caller: &Caller,
    id: TaskId,
    asked: Asked,
    patience: Duration,
) -> Result<Option<Seen>, Refused> {
    let place = rest.waiting.take(caller.scope.tenant_id());
    if patience.is_zero() || place.is_none() {
        return Seen::read(rest, caller, id, asked).await;
    }
    let waited = watch(rest, caller, id, Instant::now() + patience).await?;
    if waited && !is_known(rest, known).await? {
        return Err(refused(&AuthError::Refused));
    }
    Seen::read(rest, caller, id, asked).await
}

/// Until the task has ended or is gone; answers whether that took time.
async fn watch(rest: &Rest, caller: &Caller, id: TaskId, deadline: Instant) -> Result<bool, Refused> {
    let mut draining = rest.draining.clone();
    let mut waited = false;
    // listening begins before the first read: what happens in between is heard
    let mut signals = rest.state.store.signals();
    loop {
        let next = deadline.min(Instant::now() + POLL);
        if has_ended(rest, caller, id).await? || Instant::now() >= deadline {
            return Ok(waited);
        }
        waited = true;
        tokio::select! {
            () = heard(&mut signals, id.uuid(), next) => {}
            () = draining.begun() => return Ok(waited),
        }
    }
}

async fn has_ended(rest: &Rest, caller: &Caller, id: TaskId) -> Result<bool, Refused> {
    let fault = |error| unreached(&error);
    let mut tx = rest.state.store.begin(&caller.scope).await.map_err(fault)?;
    let task = task::get(&mut tx, id).await.map_err(fault)?;
    tx.commit().await.map_err(fault)?;
    Ok(task.is_none_or(|task| task.status.is_final()))
}

/// Whether the token that the request came with is still one.
async fn is_known(rest: &Rest, known: &Known<Principal>) -> Result<bool, Refused> {
    let caller = rest.state.store.authenticate(&known.token).await;
    caller
        .map(|caller| caller.is_some())
        .map_err(|error| unreached(&error))
}
