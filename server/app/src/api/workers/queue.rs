//! What a worker asks by its token: register, claim, keep leases, wait for either.

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::{TaskId, WorkerId};
use tamiz_store::queue::{Claim, Held};
use tamiz_store::signal::{KEPT_TO, Serves, TicketBell};
use tamiz_store::worker::{Heartbeat, NewWorker, WorkerState};
use tamiz_store::worker_token::{Entered, WORKERS_PER_TOKEN_MAX};
use tokio::time::sleep;

use super::body::Asked;
use super::door::{Caller, ItsWorker};
use super::turns::detached;
use super::{Workers, unavailable};
use crate::api::refused::Refused;
use crate::flow;
use crate::flow::{serve_attempt, serve_worker};
use crate::wire::{
    Beat, Claimed, Given, Known, Rang, Ready, Register, Registered, Renew, Renewed, Room, Stands, Terms,
    WAIT_SECONDS_MAX, WORKER_UNKNOWN,
};

/// A credential lives so long beyond its lease: an answer is on its way, and servers' clocks differ.
const CREDENTIAL_GRACE: Duration = Duration::from_secs(10);
/// What a question that waits is answered after, so that its worker hears it before it gives up.
const WAIT_MAX: Duration = Duration::from_secs(WAIT_SECONDS_MAX - 2);
/// What a worker says that it can do, as JSON: some dozens of tools with their versions.
const CAPABILITIES_BYTES_MAX: u64 = 64 * 1024;
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
        slots: asked.slots.clamp(1, serve_worker::SLOTS_MAX),
    };
    let entered = workers
        .state
        .store
        .register_remote_worker(&new, caller.token.token)
        .await;
    match entered.map_err(unavailable)? {
        Entered::Now { restarts } => Ok(Json(Registered { restarts })),
        Entered::Foreign => Err(unknown()),
        Entered::Full => {
            let message = format!("a token has at most {WORKERS_PER_TOKEN_MAX} living workers");
            Err(Refused::new(StatusCode::FORBIDDEN, "TOO_MANY_WORKERS", message))
        }
    }
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
    Asked(mut asked): Asked<Ready>,
) -> Result<Json<Known>, Refused> {
    if !tamiz_core::text::is_storable_json(&asked.capabilities) {
        return Err(Refused::bad_request("the capabilities hold a NUL"));
    }
    if tamiz_core::budget::json_bytes(&asked.capabilities) > CAPABILITIES_BYTES_MAX {
        return Err(Refused::bad_request(format!(
            "the capabilities have more than {CAPABILITIES_BYTES_MAX} bytes"
        )));
    }
    keep_to_token(&caller, &mut asked.capabilities);
    let store = &workers.state.store;
    let known = store.worker_ready(caller.worker, &asked.capabilities).await;
    Ok(Json(Known {
        known: known.map_err(unavailable)?,
    }))
}

/// A token for some types narrows what the worker says that it claims; wakes go by that.
fn keep_to_token(caller: &Caller, capabilities: &mut Value) {
    let words = capabilities.get(KEPT_TO).and_then(Value::as_array);
    let words = words.into_iter().flatten().filter_map(Value::as_str);
    let kept_to = claimed_types(caller, words.map(str::to_owned).collect());
    if let Some(capabilities) = capabilities.as_object_mut() {
        capabilities.insert(KEPT_TO.to_owned(), kept_to.into());
    }
}

/// One that may claim nothing is never woken.
fn claimed_types(caller: &Caller, asked: Vec<String>) -> Vec<String> {
    serve_worker::allowed_types(&caller.token, asked).unwrap_or_else(|| vec![String::new()])
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
    match state {
        WorkerState::Draining | WorkerState::Error | WorkerState::Offline => {
            workers.inner.bells.take_down(caller.worker);
        }
        _ if asked.free_slots == 0 => workers.inner.bells.is_full(caller.worker),
        _ => {}
    }
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
    let (slots, worker) = (room.slots, caller.worker);
    let make = || hang(&workers, &caller, room);
    let bell = workers.inner.bells.listen(worker, slots, make);
    if bell.may_have_missed {
        return Ok(Json(Rang { rang: true }));
    }
    let mut draining = workers.draining.clone();
    let rang = tokio::select! {
        () = bell.rings() => true,
        () = sleep(WAIT_MAX) => false,
        () = draining.begun() => false,
    };
    Ok(Json(Rang { rang }))
}

fn hang(workers: &Workers, caller: &Caller, room: Room) -> TicketBell {
    let serves = serves(caller, room);
    workers.state.store.ticket_bell(caller.worker, serves)
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
        scan_types: claimed_types(caller, room.scan_types),
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
    let mut wanted = room.clone();
    let Some(scan_types) = serve_worker::allowed_types(&caller.token, wanted.scan_types) else {
        return Ok(Json(Claimed { leases: Vec::new() }));
    };
    wanted.scan_types = scan_types;
    let lease = workers.settings().queue.lease;
    let key = workers.key().await?;
    let (store, worker) = (workers.state.store.clone(), caller.worker);
    let claiming = async move {
        let claimed = serve_worker::claim(&store, worker, &wanted, lease).await;
        claimed.map_err(unavailable)
    };
    let claimed = detached(claiming).await?;
    let left = room
        .slots
        .saturating_sub(u32::try_from(claimed.len()).unwrap_or(u32::MAX));
    let make = || hang(&workers, &caller, room);
    workers.inner.bells.claimed(caller.worker, left, make);
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
        let tasks: HashSet<TaskId> = asked.held.iter().map(|claim| claim.task).collect();
        let patience = WAIT_MAX.min(workers.settings().queue.heartbeat);
        let mut draining = workers.draining.clone();
        // whatever it was, what stands now is answered
        tokio::select! {
            () = serve_attempt::cancelled(&mut signals, |task| tasks.contains(&task)) => {}
            () = sleep(patience) => {}
            () = draining.begun() => {}
        }
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
