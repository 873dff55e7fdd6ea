//! `/worker/v1/…`: where workers without the database claim, read and hand in.
//!
//! ```text
//! terms register ready heartbeat bell claim renew    a worker's token (the operator's)
//! begin report log plugins target secret-key         a lease's credential: one attempt of one task
//! uploads/{id} uploads/{id}/bytes components/{hash} artifacts finish
//! ```
//!
//! A token opens nothing but the first row, a credential nothing but the second, and neither opens GraphQL.
//! Whatever is asked with a credential is refused once another attempt has begun or the task is over.
//!
//! Not here: what is said (`crate::wire`), and what is done about it (flow).

mod body;
mod bytes;
mod door;
mod hand_in;
mod queue;
mod task;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{get, post, put};
use tamiz_core::WorkerId;
use tamiz_store::StoreError;
use tamiz_store::credential::LeaseKey;
use tamiz_store::signal::{Serves, TicketBell};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

use super::refused::{Refused, unreached};
use super::state::ApiState;
use crate::config::QueueSettings;
use crate::wire;

/// Ends that are taken in at once: each has a spool on disk and a transaction of many rows.
const HAND_INS_AT_ONCE_MAX: usize = 8;
/// Artifacts that are taken at once; each holds up to three parts of 5 MiB.
const ARTIFACTS_AT_ONCE_MAX: usize = 16;
/// A bell that nobody listened to for so long is taken down: its worker is gone or has another server.
const BELL_SECONDS_MAX: u64 = 120;

/// What the server says about workers without the database.
#[derive(Debug, Clone)]
pub struct RemoteWorkers {
    /// Leases and pauses.
    pub queue: QueueSettings,
    /// Where spools lie until they are stored.
    pub scratch_dir: PathBuf,
}

#[derive(Clone)]
struct Workers {
    state: Arc<ApiState>,
    inner: Arc<Inner>,
}

struct Inner {
    key: OnceCell<LeaseKey>,
    bells: Mutex<HashMap<WorkerId, (Instant, Arc<TicketBell>)>>,
    hand_ins: Semaphore,
    artifacts: Semaphore,
}

impl Workers {
    fn settings(&self) -> &RemoteWorkers {
        &self.state.remote_workers
    }

    /// What signs credentials, on all servers of the platform.
    async fn key(&self) -> Result<&LeaseKey, Refused> {
        let fetch = || self.state.store.lease_key(rand::random());
        self.inner
            .key
            .get_or_try_init(fetch)
            .await
            .map_err(|error| unreached(&error))
    }

    /// The worker's bell, which hangs here between its questions so that no wake is lost.
    fn bell(&self, worker: WorkerId, serves: impl FnOnce() -> Serves) -> Arc<TicketBell> {
        let mut bells = self.inner.bells.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        bells.retain(|_, (heard_at, _)| now - *heard_at < Duration::from_secs(BELL_SECONDS_MAX));
        let hang = || (now, Arc::new(self.state.store.ticket_bell(worker, serves())));
        let (heard_at, bell) = bells.entry(worker).or_insert_with(hang);
        *heard_at = now;
        Arc::clone(bell)
    }
}

/// The routes. They bring their own door.
pub fn routes(state: Arc<ApiState>) -> Router {
    let workers = Workers {
        state,
        inner: Arc::new(Inner {
            key: OnceCell::new(),
            bells: Mutex::default(),
            hand_ins: Semaphore::new(HAND_INS_AT_ONCE_MAX),
            artifacts: Semaphore::new(ARTIFACTS_AT_ONCE_MAX),
        }),
    };
    let routes = Router::new()
        .route("/terms", get(queue::terms))
        .route("/register", post(queue::register))
        .route("/ready", post(queue::ready))
        .route("/heartbeat", post(queue::heartbeat))
        .route("/bell", post(queue::bell))
        .route("/claim", post(queue::claim))
        .route("/renew", post(queue::renew))
        .route("/begin", post(task::begin))
        .route("/report", post(task::report))
        .route("/log", post(task::log))
        .route("/plugins", post(task::plugins))
        .route("/target", post(task::target))
        .route("/secret-key", post(task::secret_key))
        .route("/uploads/{id}", get(bytes::upload))
        .route("/uploads/{id}/bytes", get(bytes::upload_bytes))
        .route("/components/{digest}", get(bytes::component))
        .route("/artifacts", put(bytes::artifact))
        .route("/finish", post(hand_in::finish))
        .fallback(|| async {
            Refused::new(
                StatusCode::NOT_FOUND,
                "NOT_FOUND",
                "there is nothing at this address for workers",
            )
        })
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(door::same_protocol))
        .with_state(workers);
    Router::new().nest(wire::ROOT, routes)
}

/// What every handler says when the attempt is not the task's any more.
fn stale() -> Refused {
    Refused::new(
        StatusCode::CONFLICT,
        wire::STALE_ATTEMPT,
        "the task is over, or another attempt has it",
    )
}

fn unavailable(error: StoreError) -> Refused {
    unreached(&error)
}
