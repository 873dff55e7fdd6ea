//! Ends an attempt: everything it brought and the task's new state in one fenced transaction.
//!
//! The fence comes first: it locks the task row and checks the attempt number, so that of several
//! workers that believe to hold the task at most one writes, once.

use std::path::PathBuf;

use tamiz_core::summary::Summary;
use tamiz_core::{ProjectId, Refusal, RefusalCode, TaskStatus};
use tamiz_store::artifact::NewArtifact;
use tamiz_store::attempt::{self, Ending, Fence};
use tamiz_store::credential::LeaseRight;
use tamiz_store::pcap_session::{self, NewPcapSession};
use tamiz_store::quota::storage;
use tamiz_store::tool_execution::ToolExecution;
use tamiz_store::{Store, StoreError, TenantTx, artifact, scan_result, tool_execution, usage};

use super::FlowError;
use super::name_bytes::are_there;
use super::note_refusal::noted;
use super::store_findings::{Scanned, store_findings};
use crate::blob::BlobStore;

/// Everything an attempt brought.
#[derive(Debug, Default)]
pub struct AttemptYield {
    /// Tools that ran.
    pub executions: Vec<ToolExecution>,
    /// Bytes worth keeping, already in the object store.
    pub artifacts: Vec<NewArtifact>,
    /// Findings and totals, when a report was read at all.
    pub results: Option<AttemptResults>,
}

/// Findings, still in a file, and their totals.
#[derive(Debug)]
pub struct AttemptResults {
    /// Written by [`crate::spool::SpoolWriter`].
    pub spool: PathBuf,
    /// The totals.
    pub summary: Summary,
    /// The first report's blob.
    pub report_path: Option<String>,
    /// What the capture held, if there was one.
    pub session: Option<NewPcapSession>,
}

/// Writes it all or nothing; answers how the attempt ended, `None` when it no longer may write. After
/// a commit whose answer was lost, the same call answers what that commit wrote.
///
/// Where bytes of it are gone, because nobody wanted them when they were put again, the task is tried again.
/// Where there is no room for the artifacts any more, because their reservation expired, the task fails with
/// that refusal and nothing else.
///
/// # Errors
/// A fault of the database or of the spool; nothing was written then.
pub async fn finish_attempt(
    store: &Store,
    blobs: &BlobStore,
    right: &LeaseRight,
    project: ProjectId,
    yielded: &AttemptYield,
    ending: &Ending,
) -> Result<Option<TaskStatus>, FlowError> {
    let mut written = write(store, right, project, yielded, ending).await;
    if let Err(FlowError::Store(StoreError::BeingDeleted)) = written {
        let stored = yielded.artifacts.iter().map(|artifact| artifact.blob.clone());
        let stored: Vec<_> = stored.collect();
        written = if are_there(store, blobs, &right.scope, &stored).await? {
            write(store, right, project, yielded, ending).await
        } else {
            write(store, right, project, &AttemptYield::default(), &without_bytes()).await
        };
    }
    match noted(store, &right.scope, None, written).await {
        Err(FlowError::Refused(refusal)) => {
            let nothing = AttemptYield::default();
            let failed = Ending {
                status: TaskStatus::Failed,
                message: refusal.message.clone(),
                refusal: Some(refusal),
                done: None,
                pause: None,
                ..ending.clone()
            };
            write(store, right, project, &nothing, &failed).await
        }
        done => done,
    }
}

/// The next attempt puts them again.
fn without_bytes() -> Ending {
    let message = "artifacts were deleted while the attempt put the same again";
    Ending {
        status: TaskStatus::Retrying,
        refusal: Some(Refusal::new(RefusalCode::Internal, message)),
        plugin_fault: None,
        message: message.to_owned(),
        done: None,
        pause: None,
        counts: true,
    }
}

async fn write(
    store: &Store,
    right: &LeaseRight,
    project: ProjectId,
    yielded: &AttemptYield,
    ending: &Ending,
) -> Result<Option<TaskStatus>, FlowError> {
    // before the transaction: it may have to make a partition
    let month = match &yielded.results {
        Some(_) => Some(store.finding_month(&right.scope).await?),
        None => None,
    };
    let mut tx = store.begin(&right.scope).await?;
    match attempt::fence(&mut tx, right.task, right.attempt).await? {
        Fence::Open => {}
        Fence::Ended(status) => return Ok(Some(status)),
        Fence::Closed => return Ok(None),
    }
    let mut summary = None;
    if let (Some(results), Some(month)) = (&yielded.results, month) {
        let scanned = Scanned {
            project,
            task: right.task,
            month,
            tools: yielded.executions.iter().map(|run| run.tool.as_str()).collect(),
        };
        let comparison = store_findings(store, &right.scope, &mut tx, &scanned, results).await?;
        let told = Summary {
            comparison: Some(comparison),
            ..results.summary.clone()
        };
        summary = Some((results, told, month));
    }
    // after the findings, because it locks the tenant's storage
    keep(&mut tx, right, yielded).await?;
    if let Some((results, summary, month)) = &summary {
        let report = results.report_path.as_deref();
        scan_result::create(&mut tx, right.task, summary, report, *month).await?;
        if let Some(session) = &results.session {
            pcap_session::create(&mut tx, right.task, session).await?;
        }
    }
    // before the ticket, which is locked last
    usage::add_compute(&mut tx, right.task, right.attempt).await?;
    let Some(ended) = attempt::end(&mut tx, right.task, right.attempt, ending).await? else {
        return Ok(None);
    };
    tx.commit().await?;
    Ok(Some(ended))
}

/// Artifacts, runs, and the end of what was reserved for them.
async fn keep(tx: &mut TenantTx, right: &LeaseRight, yielded: &AttemptYield) -> Result<(), FlowError> {
    // in the order of their keys: of two attempts with the same bytes none waits for the other and back
    let mut artifacts: Vec<&NewArtifact> = yielded.artifacts.iter().collect();
    artifacts.sort_by(|one, other| one.blob.storage_path.cmp(&other.blob.storage_path));
    let mut new_bytes = 0;
    for new in artifacts {
        new_bytes += artifact::create(tx, right.task, new).await?;
    }
    for run in &yielded.executions {
        tool_execution::create(tx, run).await?;
    }
    Ok(storage::settle_attempt(tx, right.task, right.attempt, new_bytes).await?)
}
