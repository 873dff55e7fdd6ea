//! The desk of a worker that has the database and the blob store itself.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tamiz_core::{PinnedTarget, ProjectId, TaskStatus, UploadId, WorkerId};
use tamiz_store::Store;
use tamiz_store::attempt::{Begin, Ending};
use tamiz_store::credential::LeaseRight;
use tamiz_store::event::NewEvent;
use tamiz_store::queue::{Claim, ClaimRequest, Held};
use tamiz_store::secret_key::SECRET_KEY_BYTES;
use tamiz_store::signal::{Serves, Signal, TicketBell};
use tamiz_store::task::Task;
use tamiz_store::upload::{StoredBlob, Upload};
use tamiz_store::worker::{Heartbeat, NewWorker};
use tamiz_store::worker_log::{NewLine, Written};
use tokio::sync::broadcast::Receiver;

use super::{DeskError, Lease, TaskDesk};
use crate::blob::{BlobError, BlobKey, BlobKind, BlobStore};
use crate::flow::finish_attempt::{AttemptYield, finish_attempt};
use crate::flow::serve_attempt::{self, Serving};
use crate::flow::{name_bytes, reserve_storage};
use crate::worker::leases::Leases;

/// The database and the blobs.
#[derive(Debug, Clone)]
pub(crate) struct Direct {
    store: Store,
    blobs: BlobStore,
}

impl Direct {
    pub(super) fn new(store: &Store, blobs: &BlobStore) -> Self {
        Self {
            store: store.clone(),
            blobs: blobs.clone(),
        }
    }

    pub(super) async fn register(&self, new: &NewWorker<'_>) -> Result<u32, DeskError> {
        Ok(self.store.register_worker(new).await?)
    }

    pub(super) async fn ready(&self, worker: WorkerId, capabilities: &Value) -> Result<bool, DeskError> {
        Ok(self.store.worker_ready(worker, capabilities).await?)
    }

    pub(super) async fn heartbeat(&self, worker: WorkerId, beat: &Heartbeat<'_>) -> Result<bool, DeskError> {
        Ok(self.store.worker_heartbeat(worker, beat).await?)
    }

    pub(super) async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Vec<Lease>, DeskError> {
        let leases = self.store.claim(request).await?;
        let with_desk = |lease: tamiz_store::queue::Lease| Lease {
            claim: lease.claim(),
            desk: TaskDesk::Direct(DirectTask {
                desk: self.clone(),
                right: LeaseRight::of(&lease, request.worker),
            }),
        };
        Ok(leases.into_iter().map(with_desk).collect())
    }

    pub(super) async fn renew(
        &self,
        worker: WorkerId,
        held: &[Claim],
        lease: Duration,
    ) -> Result<Vec<Held>, DeskError> {
        Ok(self.store.renew(worker, held, lease).await?)
    }

    pub(super) fn bell(&self, worker: WorkerId, serves: Serves) -> TicketBell {
        self.store.ticket_bell(worker, serves)
    }

    pub(super) fn ears(&self) -> Ears {
        Ears(self.store.signals())
    }
}

/// What the database tells.
#[derive(Debug)]
pub(crate) struct Ears(Receiver<Signal>);

impl Ears {
    pub(super) async fn cancelled(&mut self, leases: &Leases) {
        serve_attempt::cancelled(&mut self.0, |task| leases.holds(task)).await;
    }
}

/// The same for one claimed ticket.
#[derive(Debug, Clone)]
pub(crate) struct DirectTask {
    desk: Direct,
    right: LeaseRight,
}

impl DirectTask {
    pub(super) async fn begin(&self, attempts_max: i32) -> Result<Begin, DeskError> {
        Ok(serve_attempt::begin(&self.desk.store, &self.right, attempts_max).await?)
    }

    pub(super) async fn report(&self, event: &NewEvent<'_>) -> Result<bool, DeskError> {
        Ok(serve_attempt::report(&self.desk.store, &self.right, event).await?)
    }

    pub(super) async fn log(&self, lines: &[NewLine]) -> Result<Written, DeskError> {
        Ok(serve_attempt::log(&self.desk.store, &self.right, lines).await?)
    }

    pub(super) async fn plugins(&self, task: &Task) -> Result<Serving, DeskError> {
        Ok(serve_attempt::plugins(&self.desk.store, &self.right, task).await?)
    }

    pub(super) async fn target(&self) -> Result<Option<(PinnedTarget, String)>, DeskError> {
        Ok(serve_attempt::target(&self.desk.store, &self.right).await?)
    }

    pub(super) async fn upload(&self, id: UploadId) -> Result<Option<Upload>, DeskError> {
        Ok(serve_attempt::upload(&self.desk.store, &self.right, id).await?)
    }

    pub(super) async fn fetch(&self, upload: &Upload, path: &Path) -> Result<(), DeskError> {
        let stored = &upload.blob;
        let key = BlobKey::from_storage_path(&self.right.scope, &stored.storage_path);
        let key = key.ok_or_else(|| BlobError::NotFound {
            key: stored.storage_path.clone(),
        })?;
        Ok(self.desk.blobs.fetch(&key, stored.size_bytes, path).await?)
    }

    pub(super) async fn secret_key(&self) -> Result<[u8; SECRET_KEY_BYTES], DeskError> {
        Ok(serve_attempt::secret_key(&self.desk.store, &self.right).await?)
    }

    pub(super) async fn put_artifact(&self, path: &Path, bytes_max: u64) -> Result<StoredBlob, DeskError> {
        let (blobs, scope) = (&self.desk.blobs, &self.right.scope);
        let bytes = tokio::fs::metadata(path).await.map_or(0, |found| found.len());
        reserve_storage::for_attempt(&self.desk.store, &self.right, bytes).await?;
        let blob = blobs.put_file(scope, BlobKind::Artifact, path, bytes_max).await?;
        let stored = blob.stored();
        name_bytes::note_put(&self.desk.store, scope, &stored).await?;
        Ok(stored)
    }

    pub(super) async fn finish(
        &self,
        project: ProjectId,
        yielded: &AttemptYield,
        ending: &Ending,
    ) -> Result<Option<TaskStatus>, DeskError> {
        let (store, blobs) = (&self.desk.store, &self.desk.blobs);
        Ok(finish_attempt(store, blobs, &self.right, project, yielded, ending).await?)
    }
}
