//! What a worker asks by its token: register, claim, keep leases, wait for either.

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::{TaskId, WorkerId};
use tamiz_store::queue::{Claim, Held};
use tamiz_store::signal::{Serves, Signal};
use tamiz_store::worker::{Heartbeat, NewWorker, WorkerState};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::body::Asked;
use super::bytes::refused;
use super::door::{Caller, ItsWorker};
use super::{Workers, unavailable};
use crate::api::refused::Refused;
use crate::flow;
use crate::flow::serve_worker;
use crate::wire::{
    Beat, Claimed, Given, Known, Rang, Ready, Register, Registered, Renew, Renewed, Room, Stands, Terms,
    WAIT_SECONDS_MAX, WORKER_UNKNOWN,
};

/// A credential lives so long beyond its lease: an answer is on its way, and servers' clocks differ.
const CREDENTIAL_GRACE: Duration = Duration::from_secs(10);
/// Of what a worker says that it serves.
const WORDS_MAX: usize = 1_000;
/// Leases that one worker holds.
const HELD_MAX: usize = 10_000;

/// Words that a worker says about itself, for a column.
fn word(field: &str, text: &str) -> Result<String, Refused> {
    flow::label(field, text, NAME_CHARACTERS_MAX)
        .map(str::to_owned)
        .map_err(|refusal| Refused::bad_request(refusal.message))
}

pub(super) async fn register(
    State(workers): State<Workers>,
    caller: Caller,
    Asked(asked): Asked<Register>,
) -> Result<Json<Registered>, Refused> {
    let (name, host) = (word("name", &asked.name)?, word("host", &asked.host)?);
    let version = word("version", &asked.version)?;
    let new = NewWorker {
        id: caller.worker,
        name: &name,
        host: &host,
        process_id: asked.process_id,
        version: &version,
        slots: asked.slots.clamp(1, i32::MAX.cast_unsigned()),
    };
    let entered = serve_worker::register(&workers.state.store, &caller.token, &new).await;
    let restarts = entered.map_err(unavailable)?.ok_or_else(unknown)?;
    Ok(Json(Registered { restarts }))
}

pub(super) async fn terms(State(workers): State<Workers>, _: Caller) -> Json<Terms> {
    let queue = &workers.settings().queue;
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Json(Terms {
        lease: milliseconds(queue.lease),
        heartbeat: milliseconds(queue.heartbeat),
        poll: milliseconds(queue.poll),
        retry_base: milliseconds(queue.retry_base),
        retry_max: milliseconds(queue.retry_max),
        attempts_max: queue.attempts_max,
    })
}

fn unknown() -> Refused {
    let message = "a worker with this id belongs to somebody else";
    Refused::new(StatusCode::FORBIDDEN, WORKER_UNKNOWN, message)
}

pub(super) async fn ready(
    State(workers): State<Workers>,
    ItsWorker(caller): ItsWorker,
    Asked(asked): Asked<Ready>,
) -> Result<Json<Known>, Refused> {
    if !tamiz_core::text::is_storable_json(&asked.capabilities) {
        return Err(Refused::bad_request("the capabilities hold a NUL"));
    }
    let store = &workers.state.store;
    let known = store.worker_ready(caller.worker, &asked.capabilities).await;
    Ok(Json(Known {
        known: known.map_err(unavailable)?,
    }))
}

pub(super) async fn heartbeat(
    State(workers): State<Workers>,
    ItsWorker(caller): ItsWorker,
    Asked(asked): Asked<Beat>,
) -> Result<Json<Known>, Refused> {
    let state = WorkerState::parse(&asked.state)
        .ok_or_else(|| Refused::bad_request(format!("there is no state {}", asked.state)))?;
    let error = asked.error.as_deref().map(tamiz_core::text::printable);
    let beat = Heartbeat {
        state,
        free_slots: asked.free_slots,
        done: asked.done,
        failed: asked.failed,
        error: error.as_deref(),
    };
    let known = workers.state.store.worker_heartbeat(caller.worker, &beat).await;
    Ok(Json(Known {
        known: known.map_err(unavailable)?,
    }))
}

/// Answers when tickets may be ready for the worker.
pub(super) async fn bell(
    State(workers): State<Workers>,
    ItsWorker(caller): ItsWorker,
    Asked(room): Asked<Room>,
) -> Result<Json<Rang>, Refused> {
    check_room(&room)?;
    let slots = room.slots;
    let bell = workers.bell(caller.worker, || serves(&caller, room));
    bell.room(slots);
    let rang = timeout(Duration::from_secs(WAIT_SECONDS_MAX), bell.rings()).await;
    Ok(Json(Rang { rang: rang.is_ok() }))
}

fn check_room(room: &Room) -> Result<(), Refused> {
    let words = [&room.scan_types, &room.tools, &room.worlds];
    if words.iter().any(|words| words.len() > WORDS_MAX) {
        return Err(Refused::bad_request(format!(
            "a worker serves at most {WORDS_MAX} words"
        )));
    }
    Ok(())
}

fn serves(caller: &Caller, room: Room) -> Serves {
    Serves {
        // one that may claim nothing is never woken
        scan_types: serve_worker::allowed_types(&caller.token, room.scan_types)
            .unwrap_or_else(|| vec![String::new()]),
        tools: room.tools,
        worlds: Some(room.worlds),
    }
}

pub(super) async fn claim(
    State(workers): State<Workers>,
    ItsWorker(caller): ItsWorker,
    Asked(room): Asked<Room>,
) -> Result<Json<Claimed>, Refused> {
    check_room(&room)?;
    let Some(scan_types) = serve_worker::allowed_types(&caller.token, room.scan_types.clone()) else {
        return Ok(Json(Claimed { leases: Vec::new() }));
    };
    let lease = workers.settings().queue.lease;
    let key = workers.key().await?;
    let wanted = serve_worker::Room {
        worker: caller.worker,
        tools: room.tools.clone(),
        worlds: room.worlds.clone(),
        slots: room.slots,
    };
    let claimed = serve_worker::claim(&workers.state.store, wanted, scan_types, lease).await;
    let claimed = claimed.map_err(refused)?;
    let left = room
        .slots
        .saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
    let bell = workers.bell(caller.worker, || serves(&caller, room));
    if left == 0 {
        bell.pass_on();
    } else {
        bell.room(left);
    }
    let end = end_of(lease);
    let given = claimed.iter().map(|lease| {
        let claim = lease.claim();
        Given {
            claim,
            credential: key.sign(&claim, caller.worker, end),
        }
    });
    Ok(Json(Claimed {
        leases: given.collect(),
    }))
}

fn end_of(lease: Duration) -> DateTime<Utc> {
    let life = TimeDelta::from_std(lease + CREDENTIAL_GRACE).unwrap_or(TimeDelta::MAX);
    Utc::now()
        .checked_add_signed(life)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Renews leases, and if asked waits until one of them is to be cancelled or is lost.
pub(super) async fn renew(
    State(workers): State<Workers>,
    ItsWorker(caller): ItsWorker,
    Asked(asked): Asked<Renew>,
) -> Result<Json<Renewed>, Refused> {
    if asked.held.len() > HELD_MAX {
        return Err(Refused::bad_request(format!(
            "a worker holds at most {HELD_MAX} leases"
        )));
    }
    // heard from before the first look, so that no cancel falls between
    let mut signals = workers.state.store.signals();
    let mut held = renewed(&workers, caller.worker, &asked.held).await?;
    let is_as_it_was = held.len() == asked.held.len() && !held.iter().any(|held| held.cancel_requested);
    if asked.wait && is_as_it_was {
        let tasks = asked.held.iter().map(|claim| claim.task).collect();
        let patience = Duration::from_secs(WAIT_SECONDS_MAX).min(workers.settings().queue.heartbeat);
        // whether it was heard or not, what stands now is answered
        let _ = timeout(patience, cancelled(&mut signals, &tasks)).await;
        held = renewed(&workers, caller.worker, &asked.held).await?;
    }
    let (key, end) = (workers.key().await?, end_of(workers.settings().queue.lease));
    let stands = held.iter().map(|held| Stands {
        claim: held.claim,
        cancel_requested: held.cancel_requested,
        credential: key.sign(&held.claim, caller.worker, end),
    });
    Ok(Json(Renewed {
        held: stands.collect(),
    }))
}

async fn renewed(workers: &Workers, worker: WorkerId, held: &[Claim]) -> Result<Vec<Held>, Refused> {
    let lease = workers.settings().queue.lease;
    let stands = workers.state.store.renew(worker, held, lease).await;
    stands.map_err(unavailable)
}

async fn cancelled(signals: &mut Receiver<Signal>, tasks: &HashSet<TaskId>) {
    loop {
        match signals.recv().await {
            Ok(Signal::Cancel { task }) if tasks.contains(&task) => return,
            Ok(Signal::Gap) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
