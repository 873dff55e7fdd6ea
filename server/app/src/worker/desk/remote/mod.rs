//! The desk of a worker that has no database: a server, asked over HTTP.
//!
//! With its token the worker claims and keeps leases; each lease comes with a credential that opens its one
//! task, and is renewed with it. Every question carries the version of the protocol.
//!
//! Not here: the questions themselves (`crate::wire`).

mod access;
mod client;
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
use tokio::time::sleep;

use super::{DeskError, Lease, TaskDesk};
use crate::wire::{Beat, Claimed, Known, Rang, Ready, Register, Registered, Renew, Renewed, Room};
use crate::worker::leases::Leases;

pub use access::{Access, AccessError};
pub use client::{Client, RemoteError};
pub(crate) use task::RemoteTask;

/// Before a question is put again that waits for something and failed: the server restarts.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

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
        self.is_known(self.client.ask(worker, "ready", &Ready { capabilities }).await)
    }

    pub(super) async fn heartbeat(&self, worker: WorkerId, beat: &Heartbeat<'_>) -> Result<bool, DeskError> {
        let asked = Beat {
            state: beat.state.as_str().to_owned(),
            free_slots: beat.free_slots,
            done: beat.done,
            failed: beat.failed,
            error: beat.error.map(str::to_owned),
        };
        self.is_known(self.client.ask(worker, "heartbeat", &asked).await)
    }

    /// A worker that the register forgot is told so like one that belongs to another token.
    #[expect(clippy::unused_self, reason = "reads as what it is about")]
    fn is_known(&self, answer: Result<Known, RemoteError>) -> Result<bool, DeskError> {
        match answer {
            Ok(answer) => Ok(answer.known),
            Err(error) if error.is_worker_unknown() => Ok(false),
            Err(error) => Err(error.into()),
        }
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
        }
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
    sleep(TROUBLE_PAUSE).await;
}

/// Cancels, heard at the server.
#[derive(Debug)]
pub(crate) struct Ears {
    remote: Remote,
    worker: WorkerId,
}

impl Ears {
    pub(super) async fn cancelled(&mut self, leases: &Leases) {
        loop {
            let held = leases.all();
            if held.is_empty() {
                leases.grown().await;
                continue;
            }
            tokio::select! {
                answer = self.remote.renewed(self.worker, &held, true) => match answer {
                    Ok(answer) => {
                        let is_as_it_was = answer.len() == held.len() && !answer.iter().any(|held| held.cancel_requested);
                        if !is_as_it_was {
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
