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

mod bells;
mod body;
mod bytes;
mod door;
mod hand_in;
mod queue;
mod spools;
mod task;
mod turns;

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::routing::{get, post, put};
use tamiz_store::StoreError;
use tamiz_store::credential::LeaseKey;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};

use self::bells::Bells;
use self::spools::Spools;
use self::turns::OneEach;
use super::refused::{Refused, unreached};
use super::state::ApiState;
use super::transport::Draining;
use crate::config::QueueSettings;
use crate::wire;

/// Ends that are stored at once: each is a transaction of many rows.
const HAND_INS_AT_ONCE_MAX: usize = 8;
/// Artifacts that are taken at once; each holds up to three parts of 5 MiB.
const ARTIFACTS_AT_ONCE_MAX: usize = 16;

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
    /// Whoever waits for something is answered at once when it begins.
    draining: Draining,
}

struct Inner {
    key: OnceCell<LeaseKey>,
    bells: Bells,
    spools: Arc<Spools>,
    handing_in: OneEach,
    hand_ins: Semaphore,
    putting: OneEach,
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
}

/// Looks after the bells for as long as there is somebody to ring them, and first clears what a killed server
/// left on disk.
async fn look_after(inner: Weak<Inner>) {
    if let Some(inner) = inner.upgrade() {
        let spools = Arc::clone(&inner.spools);
        let cleared = tokio::task::spawn_blocking(move || spools.folder().map(drop)).await;
        if let Err(error) = cleared.unwrap_or_else(|error| Err(error.into())) {
            tracing::warn!(%error, "no folder for what workers will hand in");
        }
    }
    let mut ticks = tokio::time::interval(bells::SWEEP_EVERY);
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        inner.bells.sweep();
    }
}

/// The routes. They bring their own door.
pub fn routes(state: Arc<ApiState>, draining: Draining) -> Router {
    let inner = Arc::new(Inner {
        key: OnceCell::new(),
        bells: Bells::default(),
        spools: Arc::new(Spools::below(state.remote_workers.scratch_dir.clone())),
        handing_in: OneEach::default(),
        hand_ins: Semaphore::new(HAND_INS_AT_ONCE_MAX),
        putting: OneEach::default(),
        artifacts: Semaphore::new(ARTIFACTS_AT_ONCE_MAX),
    });
    // outside a runtime nothing is served
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(look_after(Arc::downgrade(&inner)));
    }
    let workers = Workers {
        state,
        inner,
        draining,
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
