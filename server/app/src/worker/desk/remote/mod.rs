//! The desk of a worker that has no database: a server, asked over HTTP.
//!
//! With its token the worker claims and keeps leases; each lease comes with a credential that opens its one
//! task, and is renewed with it. Every question carries the version of the protocol.
//!
//! Not here: the questions themselves (`crate::wire`).

mod access;
mod client;
mod refused;
mod task;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;
use tamiz_core::WorkerId;
use tamiz_store::queue::{Claim, ClaimRequest, Held};
use tamiz_store::signal::Serves;
use tamiz_store::worker::{Heartbeat, NewWorker};
use tokio::time::{Instant, sleep, sleep_until};

use super::{DeskError, Lease, TaskDesk};
use crate::wire::{Beat, Claimed, Known, Rang, Ready, Register, Registered, Renew, Renewed, Room};
use crate::worker::leases::Leases;

pub use access::{Access, AccessError};
pub use client::{Client, RemoteError};
pub(crate) use task::RemoteTask;

/// Before a question is put again that waits for something and failed: the server restarts.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// The same when the server said that it will not help.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// After an answer that said that something changed: what it changes here takes a moment, and until then each
/// question would be answered at once.
const CHANGED_PAUSE: Duration = Duration::from_millis(500);

/// The credential of one lease; a renewal changes it under those who hold it.
#[derive(Debug)]
pub(crate) struct Credential(RwLock<String>);

impl Credential {
    fn get(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, fresh: String) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    client: Client,
    /// By claim, for renewals; those that are renewed no more are forgotten.
    credentials: Arc<Mutex<HashMap<Claim, Arc<Credential>>>>,
}

impl Remote {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            credentials: Arc::default(),
        }
    }

    pub(super) async fn register(&self, new: &NewWorker<'_>) -> Result<u32, DeskError> {
        let asked = Register {
            name: new.name.to_owned(),
            host: new.host.to_owned(),
            process_id: new.process_id,
            version: new.version.to_owned(),
            slots: new.slots,
        };
        let answer: Registered = self.client.ask(new.id, "register", &asked).await?;
        Ok(answer.restarts)
    }

    pub(super) async fn ready(&self, worker: WorkerId, capabilities: &Value) -> Result<bool, DeskError> {
        let capabilities = capabilities.clone();
        is_known(self.client.ask(worker, "ready", &Ready { capabilities }).await)
    }

    pub(super) async fn heartbeat(&self, worker: WorkerId, beat: &Heartbeat<'_>) -> Result<bool, DeskError> {
        let asked = Beat {
            state: beat.state.as_str().to_owned(),
            free_slots: beat.free_slots,
            done: beat.done,
            failed: beat.failed,
            error: beat.error.map(str::to_owned),
        };
        is_known(self.client.ask(worker, "heartbeat", &asked).await)
    }

    pub(super) async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Vec<Lease>, DeskError> {
        let asked = Room {
            scan_types: request.scan_types.to_vec(),
            tools: request.tools.to_vec(),
            worlds: request.worlds.to_vec(),
            slots: request.slots,
        };
        let answer: Claimed = self.client.ask(request.worker, "claim", &asked).await?;
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        let with_desk = |given: crate::wire::Given| {
            let credential = Arc::new(Credential(RwLock::new(given.credential)));
            credentials.insert(given.claim, Arc::clone(&credential));
            Lease {
                claim: given.claim,
                desk: TaskDesk::Remote(RemoteTask::new(self.client.clone(), credential)),
            }
        };
        Ok(answer.leases.into_iter().map(with_desk).collect())
    }

    pub(super) async fn renew(&self, worker: WorkerId, held: &[Claim]) -> Result<Vec<Held>, DeskError> {
        Ok(self.renewed(worker, held, false).await?)
    }

    async fn renewed(&self, worker: WorkerId, held: &[Claim], wait: bool) -> Result<Vec<Held>, RemoteError> {
        let asked = Renew {
            held: held.to_vec(),
            wait,
        };
        let answer: Renewed = self.client.ask(worker, "renew", &asked).await?;
        let mut credentials = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        // only the table holds those whose attempt is over
        credentials.retain(|_, credential| Arc::strong_count(credential) > 1);
        let take = |stands: crate::wire::Stands| {
            if let Some(credential) = credentials.get(&stands.claim) {
                credential.set(stands.credential);
            }
            Held {
                claim: stands.claim,
                cancel_requested: stands.cancel_requested,
            }
        };
        Ok(answer.held.into_iter().map(take).collect())
    }

    pub(super) fn bell(&self, worker: WorkerId, serves: Serves) -> Bell {
        Bell {
            client: self.client.clone(),
            worker,
            serves,
            free: AtomicU32::new(0),
        }
    }

    pub(super) fn ears(&self, worker: WorkerId) -> Ears {
        Ears {
            remote: self.clone(),
            worker,
            quiet_until: Instant::now(),
        }
    }
}

/// A worker that the register forgot is told so like one that belongs to another token.
fn is_known(answer: Result<Known, RemoteError>) -> Result<bool, DeskError> {
    match answer {
        Ok(answer) => Ok(answer.known),
        Err(error) if error.is_worker_unknown() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Wakes for tickets, heard at the server.
#[derive(Debug)]
pub(crate) struct Bell {
    client: Client,
    worker: WorkerId,
    serves: Serves,
    free: AtomicU32,
}

impl Bell {
    /// Dropped while it waits, nothing is lost: the server remembers one wake.
    pub(super) async fn rings(&self) {
        let asked = Room {
            scan_types: self.serves.scan_types.clone(),
            tools: self.serves.tools.clone(),
            worlds: self.serves.worlds.clone().unwrap_or_default(),
            slots: self.free.load(Ordering::Relaxed),
        };
        loop {
            match self.client.wait::<_, Rang>(self.worker, "bell", &asked).await {
                Ok(answer) if answer.rang => return,
                Ok(_) => {}
                Err(error) => trouble(&error).await,
            }
        }
    }

    pub(super) fn room(&self, free: u32) {
        self.free.store(free, Ordering::Relaxed);
    }
}

async fn trouble(error: &RemoteError) {
    tracing::debug!(
        error = error as &dyn std::error::Error,
        "the server cannot be listened to"
    );
    let least = if error.may_pass() {
        TROUBLE_PAUSE
    } else {
        REFUSED_PAUSE
    };
    sleep(error.pause().max(least)).await;
}

/// Cancels, heard at the server.
#[derive(Debug)]
pub(crate) struct Ears {
    remote: Remote,
    worker: WorkerId,
    quiet_until: Instant,
}

impl Ears {
    pub(super) async fn cancelled(&mut self, leases: &Leases) {
        loop {
            sleep_until(self.quiet_until).await;
            // those that are stopped already would be answered at once, until they are given back
            let held = leases.unstopped();
            if held.is_empty() {
                leases.grown().await;
                continue;
            }
            tokio::select! {
                answer = self.remote.renewed(self.worker, &held, true) => match answer {
                    Ok(answer) => {
                        let is_as_it_was = answer.len() == held.len() && !answer.iter().any(|held| held.cancel_requested);
                        if !is_as_it_was {
                            self.quiet_until = Instant::now() + CHANGED_PAUSE;
                            return;
                        }
                    }
                    Err(error) => trouble(&error).await,
                },
                // the server does not watch over the new one yet
                () = leases.grown() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::stop::{Stop, StopReason};
    use axum::Json;
    use axum::extract::State;
    use axum::routing::post;
    use serde_json::json;
    use tamiz_core::worker_token::WorkerToken;
    use tamiz_core::{TaskId, TenantId};
    use tokio::time::timeout;

    /// A server that has lost every lease, and counts how often it is asked.
    async fn forgetful(asked: Arc<AtomicU32>) -> Remote {
        let answer = |State(asked): State<Arc<AtomicU32>>| async move {
            asked.fetch_add(1, Ordering::Relaxed);
            Json(json!({ "held": [] }))
        };
        let router = axum::Router::new()
            .route("/worker/v1/renew", post(answer))
            .with_state(asked);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let token = WorkerToken::from_random([1; 32]);
        Remote::new(Client::new(Access::new(&server, token.reveal(), false).unwrap()).unwrap())
    }

    #[tokio::test]
    async fn a_lease_that_is_over_is_not_asked_for_without_a_pause() {
        let asked = Arc::default();
        let mut ears = forgetful(Arc::clone(&asked)).await.ears(WorkerId::fresh());
        let (leases, stop) = (Leases::default(), Stop::default());
        let claim = Claim {
            tenant: TenantId::fresh(),
            task: TaskId::fresh(),
            attempt: 1,
        };
        leases.add(claim, stop.clone());
        ears.cancelled(&leases).await;
        let spinning = async {
            loop {
                ears.cancelled(&leases).await;
            }
        };
        let a_while = CHANGED_PAUSE * 3;
        assert!(timeout(a_while, spinning).await.is_err());
        // at the beginning, and at most after each pause; one more for the lease that was added
        assert!(asked.load(Ordering::Relaxed) <= 5, "{asked:?}");

        stop.press(StopReason::LeaseLost);
        let before = asked.load(Ordering::Relaxed);
        assert!(timeout(a_while, ears.cancelled(&leases)).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), before);
    }
}
