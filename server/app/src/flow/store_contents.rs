//! Stores what findings say, where there is room for it in a transaction beside the one that names them.
//!
//! Until a finding or an alert names a content, nobody sees it. So the two go at the same time: one connection writes
//! texts, the other merges hashes. The project is held by the attempt's own transaction before the first content is looked
//! for and until the last is named, so that none is swept in between. A crash between the two commits leaves contents
//! that nobody names, which are swept later.

use std::path::PathBuf;

use tamiz_core::ProjectId;
use tamiz_core::identity::PartHash;
use tamiz_store::alert::merge::Arrival;
use tamiz_store::finding::{self, CONTENTS_PER_INSERT, NewContent};
use tamiz_store::{Store, TenantScope, TenantTx};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::FlowError;
use crate::spool::{self, Batch, Spooled};

/// Attempts of one process that have a second connection. Few: a machine has few processors, and of the connections most
/// are the attempts' own, so that those which wait for a second one are never all that hold a first.
static BESIDE: Semaphore = Semaphore::const_new(2);

/// Batches read ahead of the database: enough to keep it busy, little enough to stay small.
const BATCHES_AHEAD: usize = 2;

/// Contents on their way; given up when this is dropped.
pub(super) struct Beside {
    storing: JoinHandle<Result<(), FlowError>>,
    arrival: Arrival,
    _turn: SemaphorePermit<'static>,
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.storing.abort();
    }
}

impl Beside {
    /// Begins, if there is a connection that nobody needs. The project is held.
    pub(super) async fn begin(
        store: &Store,
        scope: &TenantScope,
        project: ProjectId,
        spool: PathBuf,
    ) -> Option<Self> {
        let turn = BESIDE.try_acquire().ok()?;
        let mut tx = store.begin_if_free(scope).await?;
        let (arrived, told) = tokio::sync::oneshot::channel();
        let storing = tokio::spawn(async move {
            let mut batches = read_ahead(spool);
            while let Some(batch) = batches.recv().await {
                let batch = batch.map_err(unreadable)?;
                store_contents(&mut tx, project, &batch.findings).await?;
            }
            tx.commit().await?;
            // nobody listens any more when the attempt was given up
            let _ = arrived.send(());
            Ok(())
        });
        Some(Self {
            storing,
            arrival: Arrival::of(async { told.await.is_ok() }),
            _turn: turn,
        })
    }

    /// Tells when they are all there.
    pub(super) fn arrival(&self) -> Arrival {
        self.arrival.clone()
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Why they could not be stored.
    pub(super) async fn end(mut self, tx: &mut TenantTx) -> Result<(), FlowError> {
        match self.arrival.wait(tx).await {
            Ok(()) => Ok(()),
            Err(error) => match (&mut self.storing).await {
                Ok(Err(cause)) => Err(cause),
                _ => Err(error.into()),
            },
        }
    }
}

/// Stores those contents of a batch that the project does not have.
pub(super) async fn store_contents(
    tx: &mut TenantTx,
    project: ProjectId,
    findings: &[Spooled],
) -> Result<(), FlowError> {
    let ids: Vec<PartHash> = findings.iter().map(|finding| finding.mark.content).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let missing = finding::missing_contents(tx, project, &ids).await?;
    let mut contents = Vec::with_capacity(missing.len());
    for spooled in findings.iter().filter(|one| missing.contains(&one.mark.content)) {
        contents.push(NewContent {
            id: spooled.mark.content,
            cvss_score: spooled.cvss_score,
            finding: spooled.finding().map_err(unreadable)?,
        });
    }
    if !contents.is_empty() {
        finding::insert_contents(tx, project, contents).await?;
    }
    Ok(())
}

/// Reads the spool on a blocking thread, a few batches ahead of the database.
pub(super) fn read_ahead(path: PathBuf) -> mpsc::Receiver<std::io::Result<Batch>> {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let batches = match spool::read(&path, CONTENTS_PER_INSERT) {
            Ok(batches) => batches,
            Err(error) => {
                // a closed channel means that the transaction was given up
                let _ = sender.blocking_send(Err(error));
                return;
            }
        };
        for batch in batches {
            if sender.blocking_send(batch).is_err() {
                return;
            }
        }
    });
    receiver
}

pub(super) fn unreadable(error: std::io::Error) -> FlowError {
    FlowError::fault("reading the findings back", error)
}
