//! Everything that a worker asks of its server, behind one seam.
//!
//! A [`Desk`] is the worker's: register, claim, keep leases, hear what happens. A [`TaskDesk`] is one
//! claimed ticket's: its rows, its bytes, its end. Behind them is the database itself, or a server that
//! has it.
//!
//! Not here: what is done with the answers.

mod direct;
pub(super) mod remote;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tamiz_core::plugin::ComponentDigest;
use tamiz_core::{PinnedTarget, ProjectId, Refusal, TaskStatus, UploadId, WorkerId};
use tamiz_host::Plugin;
use tamiz_store::attempt::{Begin, Ending};
use tamiz_store::event::NewEvent;
use tamiz_store::queue::{Claim, ClaimRequest, Held};
use tamiz_store::secret_key::SECRET_KEY_BYTES;
use tamiz_store::signal::{Serves, TicketBell};
use tamiz_store::task::Task;
use tamiz_store::upload::{StoredBlob, Upload};
use tamiz_store::worker::{Heartbeat, NewWorker};
use tamiz_store::worker_log::{NewLine, Written};
use tamiz_store::{Store, StoreError};
use tokio::time::timeout;

use super::leases::Leases;
use crate::blob::{BlobError, BlobStore};
use crate::flow::FlowError;
use crate::flow::finish_attempt::AttemptYield;
use crate::flow::serve_attempt::Serving;
use crate::plugins::{LoadError, Plugins};

use direct::{Direct, DirectTask};
use remote::{Client, Remote, RemoteError, RemoteTask};

/// Why the server did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The database did not.
    #[error("the database failed")]
    Store(#[from] StoreError),
    /// The object store did not.
    #[error("the blob store failed")]
    Blob(#[from] BlobError),
    /// The attempt's end was not written.
    #[error("the end could not be written")]
    Flow(#[from] FlowError),
    /// The server did not.
    #[error("the server failed")]
    Remote(#[from] RemoteError),
    /// Nobody did as long as the answer was worth something.
    #[error("there was no answer in time")]
    Late,
}

impl DeskError {
    /// Whether asking again may help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) | Self::Flow(FlowError::Store(error)) => error.may_pass(),
            Self::Blob(_) | Self::Flow(_) => false,
            Self::Remote(error) => error.may_pass(),
            Self::Late => true,
        }
    }

    /// What is to be waited before asking again, as far as the server said it.
    pub(crate) fn pause(&self) -> Duration {
        match self {
            Self::Remote(error) => error.pause(),
            _ => Duration::ZERO,
        }
    }

    /// The server does not take this worker: its token ended, or it speaks another version.
    pub(crate) fn is_dismissal(&self) -> bool {
        matches!(self, Self::Remote(error) if error.is_dismissal())
    }

    /// What was refused of the task itself, if it was.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Flow(FlowError::Refused(refusal)) => Some(refusal.clone()),
            Self::Remote(error) => error.refusal(),
            _ => None,
        }
    }

    /// What is wrong with what was handed in, if it will never be taken.
    pub(crate) fn refused_hand_in(&self) -> Option<Refusal> {
        match self {
            Self::Remote(error) => error.refused_hand_in(),
            other => other.refusal(),
        }
    }
}

/// The answer, if it comes within `limit`: a connection may be dead without anybody noticing.
pub(crate) async fn in_time<T>(
    limit: Duration,
    asking: impl Future<Output = Result<T, DeskError>>,
) -> Result<T, DeskError> {
    timeout(limit, asking).await.unwrap_or(Err(DeskError::Late))
}

/// A claimed ticket.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) claim: Claim,
    pub(crate) desk: TaskDesk,
}

/// The worker's own desk.
#[derive(Debug, Clone)]
pub(crate) enum Desk {
    /// The database and the blobs themselves.
    Direct(Direct),
    /// A server.
    Remote(Remote),
}

/// Wakes a worker for tickets.
#[derive(Debug)]
pub(crate) enum Bell {
    Direct(TicketBell),
    Remote(remote::Bell),
}

impl Bell {
    /// Returns when tickets may be ready.
    pub(crate) async fn rings(&self) {
        match self {
            Self::Direct(bell) => bell.rings().await,
            Self::Remote(bell) => bell.rings().await,
        }
    }

    /// How many more tickets the worker takes from now on.
    pub(crate) fn room(&self, free: u32) {
        match self {
            Self::Direct(bell) => bell.room(free),
            Self::Remote(bell) => bell.room(free),
        }
    }

    /// The worker has filled itself and there may be more.
    pub(crate) fn pass_on(&self) {
        match self {
            Self::Direct(bell) => bell.pass_on(),
            // the server saw the claim
            Self::Remote(bell) => bell.room(0),
        }
    }
}

/// What happened meanwhile.
#[derive(Debug)]
pub(crate) enum Ears {
    Direct(direct::Ears),
    Remote(remote::Ears),
}

impl Ears {
    /// Returns when one of `leases` is to be cancelled, or may be.
    pub(crate) async fn cancelled(&mut self, leases: &Leases) {
        match self {
            Self::Direct(ears) => ears.cancelled(leases).await,
            Self::Remote(ears) => ears.cancelled(leases).await,
        }
    }
}

impl Desk {
    pub(crate) fn direct(store: &Store, blobs: &BlobStore) -> Self {
        Self::Direct(Direct::new(store, blobs))
    }

    pub(crate) fn remote(client: Client) -> Self {
        Self::Remote(Remote::new(client))
    }

    /// Enters the worker, which then finds out what it can do; answers how often its name was started before.
    pub(crate) async fn register(&self, new: &NewWorker<'_>) -> Result<u32, DeskError> {
        match self {
            Self::Direct(desk) => desk.register(new).await,
            Self::Remote(desk) => desk.register(new).await,
        }
    }

    /// It knows what it can do. `false` when nobody knows the worker.
    pub(crate) async fn ready(&self, worker: WorkerId, capabilities: &Value) -> Result<bool, DeskError> {
        match self {
            Self::Direct(desk) => desk.ready(worker, capabilities).await,
            Self::Remote(desk) => desk.ready(worker, capabilities).await,
        }
    }

    /// A sign of life. `false` when nobody knows the worker (any more).
    pub(crate) async fn heartbeat(&self, worker: WorkerId, beat: &Heartbeat<'_>) -> Result<bool, DeskError> {
        match self {
            Self::Direct(desk) => desk.heartbeat(worker, beat).await,
            Self::Remote(desk) => desk.heartbeat(worker, beat).await,
        }
    }

    /// Up to as many tickets as there are slots.
    pub(crate) async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Vec<Lease>, DeskError> {
        match self {
            Self::Direct(desk) => desk.claim(request).await,
            Self::Remote(desk) => desk.claim(request).await,
        }
    }

    /// The leases of `held` that still stand.
    pub(crate) async fn renew(
        &self,
        worker: WorkerId,
        held: &[Claim],
        lease: Duration,
    ) -> Result<Vec<Held>, DeskError> {
        match self {
            Self::Direct(desk) => desk.renew(worker, held, lease).await,
            // a lease is as long as the server says
            Self::Remote(desk) => desk.renew(worker, held).await,
        }
    }

    /// Lets tickets wake `worker`.
    pub(crate) fn bell(&self, worker: WorkerId, serves: Serves) -> Bell {
        match self {
            Self::Direct(desk) => Bell::Direct(desk.bell(worker, serves)),
            Self::Remote(desk) => Bell::Remote(desk.bell(worker, serves)),
        }
    }

    pub(crate) fn ears(&self, worker: WorkerId) -> Ears {
        match self {
            Self::Direct(desk) => Ears::Direct(desk.ears()),
            Self::Remote(desk) => Ears::Remote(desk.ears(worker)),
        }
    }
}

/// The desk of one claimed ticket.
#[derive(Debug, Clone)]
pub(crate) enum TaskDesk {
    Direct(DirectTask),
    Remote(RemoteTask),
}

impl TaskDesk {
    pub(crate) async fn begin(&self, attempts_max: i32) -> Result<Begin, DeskError> {
        match self {
            Self::Direct(desk) => desk.begin(attempts_max).await,
            // the server knows how often
            Self::Remote(desk) => desk.begin().await,
        }
    }

    /// Tells the task's watchers. `false` when the attempt no longer may.
    pub(crate) async fn report(&self, event: &NewEvent<'_>) -> Result<bool, DeskError> {
        match self {
            Self::Direct(desk) => desk.report(event).await,
            Self::Remote(desk) => desk.report(event).await,
        }
    }

    /// Keeps what was said; at most `worker_log::LINES_AT_ONCE_MAX` lines.
    pub(crate) async fn log(&self, lines: &[NewLine]) -> Result<Written, DeskError> {
        match self {
            Self::Direct(desk) => desk.log(lines).await,
            Self::Remote(desk) => desk.log(lines).await,
        }
    }

    /// What may serve `task`, disabled plugins among it.
    pub(crate) async fn plugins(&self, task: &Task) -> Result<Serving, DeskError> {
        match self {
            Self::Direct(desk) => desk.plugins(task).await,
            Self::Remote(desk) => desk.plugins().await,
        }
    }

    /// The component `digest`, loaded.
    pub(crate) async fn load(
        &self,
        plugins: &Plugins,
        digest: ComponentDigest,
        size_bytes: u64,
    ) -> Result<Arc<Plugin>, LoadError> {
        match self {
            Self::Direct(_) => plugins.load(digest, size_bytes).await,
            Self::Remote(desk) => desk.load(plugins, digest, size_bytes).await,
        }
    }

    /// Where the task goes, and its tenant's name.
    pub(crate) async fn target(&self) -> Result<Option<(PinnedTarget, String)>, DeskError> {
        match self {
            Self::Direct(desk) => desk.target().await,
            Self::Remote(desk) => desk.target().await,
        }
    }

    /// An upload that the task names.
    pub(crate) async fn upload(&self, id: UploadId) -> Result<Option<Upload>, DeskError> {
        match self {
            Self::Direct(desk) => desk.upload(id).await,
            Self::Remote(desk) => desk.upload(id).await,
        }
    }

    /// Copies its bytes to a new file, checked against their hash.
    pub(crate) async fn fetch(&self, upload: &Upload, path: &Path) -> Result<(), DeskError> {
        match self {
            Self::Direct(desk) => desk.fetch(upload, path).await,
            Self::Remote(desk) => desk.fetch(upload, path).await,
        }
    }

    /// The key that the tenant's found secrets are hashed with.
    pub(crate) async fn secret_key(&self) -> Result<[u8; SECRET_KEY_BYTES], DeskError> {
        match self {
            Self::Direct(desk) => desk.secret_key().await,
            Self::Remote(desk) => desk.secret_key().await,
        }
    }

    /// Keeps a file of at most `bytes_max` bytes as an artifact's bytes.
    pub(crate) async fn put_artifact(&self, path: &Path, bytes_max: u64) -> Result<StoredBlob, DeskError> {
        match self {
            Self::Direct(desk) => desk.put_artifact(path, bytes_max).await,
            Self::Remote(desk) => desk.put_artifact(path, bytes_max).await,
        }
    }

    /// Ends the attempt with all that it brought; `None` when it no longer may.
    pub(crate) async fn finish(
        &self,
        project: ProjectId,
        yielded: &AttemptYield,
        ending: &Ending,
    ) -> Result<Option<TaskStatus>, DeskError> {
        match self {
            Self::Direct(desk) => desk.finish(project, yielded, ending).await,
            Self::Remote(desk) => desk.finish(yielded, ending).await,
        }
    }
}
