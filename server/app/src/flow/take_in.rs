//! Takes in the end of an attempt from a worker without the database.
//!
//! Such a worker is the operator's, but what it sends came over a network and is looked at again: counts,
//! sizes, texts that the database cannot hold, blobs that are not there, rows of somebody else's. What passes
//! goes the way of everybody's ([`finish_attempt`]), with the same fence.
//!
//! Not here: how the bytes came (API).

use std::collections::HashSet;
use std::path::PathBuf;

use tamiz_core::budget::json_bytes;
use tamiz_core::limits::{FINDINGS_PER_TASK_MAX, LABEL_BYTES_MAX, MESSAGE_BYTES_MAX, PLACE_BYTES_MAX};
use tamiz_core::text::{is_storable, is_storable_json, is_storable_object};
use tamiz_core::{ArtifactId, Refusal, RefusalCode, TaskStatus};
use tamiz_store::artifact::NewArtifact;
use tamiz_store::attempt::{self, Fence};
use tamiz_store::credential::LeaseRight;
use tamiz_store::pcap_session::NewPcapSession;
use tamiz_store::task::{self, Task};
use tamiz_store::tool_execution::ToolExecution;
use tamiz_store::{Store, StoreError};

use super::FlowError;
use super::finish_attempt::{AttemptResults, AttemptYield, finish_attempt};
use super::serve_attempt;
use crate::blob::{BlobKey, BlobKind, BlobStore};
use crate::spool;
use crate::spool::judge::SpoolFlaw;
use crate::wire::{HandIn, Results};

/// Runs of tools of one attempt: plans have a handful.
const EXECUTIONS_MAX: usize = 100;
/// Artifacts of one attempt: a thousand of the plugin's, and streams and reports of its tools.
const ARTIFACTS_MAX: usize = 2_000;
/// Arguments of one run of a tool.
const ARGUMENTS_MAX: usize = 1_000;
/// What is told of one run: a handful of numbers.
const METRICS_BYTES_MAX: u64 = 64 * 1024;
/// What a capture held; plugins' sessions have a megabyte as text, and this counts it as it lies in memory.
const SESSION_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The longest pause before another attempt that a worker may ask for, in seconds: a day.
const PAUSE_SECONDS_MAX: u64 = 86_400;

/// Checks what was handed in and ends the attempt with it; `spool` holds the findings and is the caller's to
/// remove. Answers as [`finish_attempt`] does.
///
/// # Errors
/// [`FlowError::Refused`] names what is wrong with it; a fault of database, blobs or spool.
pub(crate) async fn take_in(
    store: &Store,
    blobs: &BlobStore,
    right: &LeaseRight,
    handed_in: HandIn,
    spool: PathBuf,
) -> Result<Option<TaskStatus>, FlowError> {
    let task = match standing(store, right).await? {
        Standing::Runs(task) => task,
        Standing::Ended(status) => return Ok(Some(status)),
        Standing::Over => return Ok(None),
    };
    check_ending(&handed_in)?;
    check_rows(right, &handed_in)?;
    let uploads = uploads_of(store, right, &task).await?;
    for artifact in &handed_in.artifacts {
        check_blob(blobs, right, artifact, &uploads).await?;
    }
    let HandIn {
        executions,
        artifacts,
        results,
        ending,
    } = handed_in;
    let results = match results {
        None => None,
        Some(results) => Some(checked(results, spool, &artifacts).await?),
    };
    let yielded = AttemptYield {
        executions,
        artifacts,
        results,
    };
    finish_attempt(store, blobs, right, task.project_id, &yielded, &ending).await
}

/// Whether the attempt may still end, or did.
pub(crate) enum Standing {
    /// It may.
    Runs(Box<Task>),
    /// It did already: the answer was lost on the way.
    Ended(TaskStatus),
    /// It may not any more.
    Over,
}

/// Asks the fence, without a wish to write.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub(crate) async fn standing(store: &Store, right: &LeaseRight) -> Result<Standing, StoreError> {
    let mut tx = store.begin(&right.scope).await?;
    let standing = match attempt::fence(&mut tx, right.task, right.attempt).await? {
        Fence::Open => task::get(&mut tx, right.task)
            .await?
            .map_or(Standing::Over, |task| Standing::Runs(Box::new(task))),
        Fence::Ended(status) => Standing::Ended(status),
        Fence::Closed => Standing::Over,
    };
    tx.commit().await?;
    Ok(standing)
}

/// Where the bytes lie that the task was given.
async fn uploads_of(store: &Store, right: &LeaseRight, task: &Task) -> Result<Vec<String>, StoreError> {
    let ids = [task.payload.source.upload_id(), task.payload.rules_upload_id];
    let mut paths = Vec::new();
    for id in ids.into_iter().flatten() {
        let upload = serve_attempt::upload(store, right, id).await?;
        paths.extend(upload.map(|upload| upload.blob.storage_path));
    }
    Ok(paths)
}

fn wrong(what: impl Into<String>) -> FlowError {
    FlowError::Refused(Refusal::new(RefusalCode::InvalidInput, what))
}

fn check_ending(handed_in: &HandIn) -> Result<(), FlowError> {
    let ending = &handed_in.ending;
    if ending.status == TaskStatus::Completed && handed_in.results.is_none() {
        return Err(wrong("an attempt does not complete without results"));
    }
    if let Some(fault) = &ending.plugin_fault {
        let limit = fault.limit.as_ref().map(|limit| [&*limit.name, &*limit.unit]);
        let words = limit.into_iter().flatten().chain([&*fault.reason]);
        for word in words {
            check_text("the plugin's fault", word, LABEL_BYTES_MAX)?;
        }
    }
    if matches!(ending.status, TaskStatus::Queued | TaskStatus::Running) {
        return Err(wrong(format!("an attempt does not end as {}", ending.status)));
    }
    let reason = ending
        .refusal
        .as_ref()
        .map(|refusal| (&*refusal.code, &*refusal.message));
    let (code, reason) = reason.unwrap_or_default();
    for text in [code, reason, &ending.message] {
        check_text("the ending", text, MESSAGE_BYTES_MAX)?;
    }
    if ending
        .pause
        .is_some_and(|pause| pause.as_secs() > PAUSE_SECONDS_MAX)
    {
        return Err(wrong(format!("a pause has at most {PAUSE_SECONDS_MAX} seconds")));
    }
    Ok(())
}

fn check_text(of: &str, text: &str, bytes_max: usize) -> Result<(), FlowError> {
    if text.len() > bytes_max || !is_storable(text) {
        return Err(wrong(format!(
            "a text of {of} has more than {bytes_max} bytes or a NUL"
        )));
    }
    Ok(())
}

fn check_rows(right: &LeaseRight, handed_in: &HandIn) -> Result<(), FlowError> {
    let (executions, artifacts) = (&handed_in.executions, &handed_in.artifacts);
    if executions.len() > EXECUTIONS_MAX || artifacts.len() > ARTIFACTS_MAX {
        return Err(wrong(format!(
            "an attempt has at most {EXECUTIONS_MAX} runs of tools and {ARTIFACTS_MAX} artifacts"
        )));
    }
    for artifact in artifacts {
        for text in [&artifact.kind, &artifact.name, &artifact.media_type] {
            check_text("an artifact", text, PLACE_BYTES_MAX)?;
        }
    }
    let known: HashSet<ArtifactId> = artifacts.iter().map(|artifact| artifact.id).collect();
    executions
        .iter()
        .try_for_each(|run| check_run(right, run, &known))
}

fn check_run(right: &LeaseRight, run: &ToolExecution, known: &HashSet<ArtifactId>) -> Result<(), FlowError> {
    if run.task_id != right.task || run.attempt != right.attempt {
        return Err(wrong("a run of a tool is of another attempt"));
    }
    let streams = [run.stdout_ref, run.stderr_ref];
    if streams.iter().flatten().any(|id| !known.contains(id)) {
        return Err(wrong("a run of a tool names an artifact that was not handed in"));
    }
    let is_readable = is_storable_json(&run.metrics) && json_bytes(&run.metrics) <= METRICS_BYTES_MAX;
    if run.args.len() > ARGUMENTS_MAX || !is_readable {
        return Err(wrong(
            "a run of a tool has too many arguments or unreadable metrics",
        ));
    }
    let version = run.tool_version.as_deref().unwrap_or_default();
    let texts = [&*run.tool, version, &*run.ended_by];
    let mut texts = texts.into_iter().chain(run.args.iter().map(String::as_str));
    texts.try_for_each(|text| check_text("a run of a tool", text, MESSAGE_BYTES_MAX))
}

/// A row must not speak of bytes that are not there, nor of others than artifacts' and the task's `uploads`.
async fn check_blob(
    blobs: &BlobStore,
    right: &LeaseRight,
    artifact: &NewArtifact,
    uploads: &[String],
) -> Result<(), FlowError> {
    let stored = &artifact.blob;
    let as_artifact = BlobKey::new(&right.scope, BlobKind::Artifact, stored.hash);
    let is_its = as_artifact.to_string() == stored.storage_path || uploads.contains(&stored.storage_path);
    let key = BlobKey::from_storage_path(&right.scope, &stored.storage_path);
    let key = key.filter(|key| is_its && key.hash() == stored.hash);
    let is_there = match key {
        None => false,
        Some(key) => blobs
            .has(&key, stored.size_bytes)
            .await
            .map_err(|error| FlowError::fault("looking for an artifact's bytes", error))?,
    };
    if is_there {
        return Ok(());
    }
    Err(wrong(format!(
        "the bytes of the artifact {} were not put here",
        artifact.id
    )))
}

async fn checked(
    results: Results,
    spool: PathBuf,
    artifacts: &[NewArtifact],
) -> Result<AttemptResults, FlowError> {
    let Results {
        summary,
        report_path,
        session,
        ..
    } = results;
    let is_of_artifact = |path: &String| {
        artifacts
            .iter()
            .any(|artifact| artifact.blob.storage_path == *path)
    };
    if report_path.as_ref().is_some_and(|path| !is_of_artifact(path)) {
        return Err(wrong("the report is none of the artifacts"));
    }
    if let Some(session) = &session {
        check_session(session, artifacts)?;
    }
    let totals = serde_json::to_value(&summary).map_err(|error| FlowError::fault("reading totals", error))?;
    if summary.findings > FINDINGS_PER_TASK_MAX || !is_storable_json(&totals) {
        return Err(wrong(format!(
            "a task has at most {FINDINGS_PER_TASK_MAX} findings, and texts without a NUL"
        )));
    }
    let path = spool.clone();
    let counted = tokio::task::spawn_blocking(move || spool::judge::judge(&path))
        .await
        .map_err(|error| FlowError::fault("reading the findings", error))?
        .map_err(|flaw| match flaw {
            // our disk's fault, which may pass
            SpoolFlaw::File(error) => FlowError::fault("reading the findings", error),
            flaw => wrong(format!("the findings cannot be taken: {flaw}")),
        })?;
    if counted != (summary.findings, summary.occurrences) {
        return Err(wrong(format!(
            "{} findings and {} occurrences were handed in of {} and {}",
            counted.0, counted.1, summary.findings, summary.occurrences
        )));
    }
    Ok(AttemptResults {
        spool,
        summary,
        report_path,
        session,
    })
}

fn check_session(session: &NewPcapSession, artifacts: &[NewArtifact]) -> Result<(), FlowError> {
    let is_known = |id: &ArtifactId| artifacts.iter().any(|artifact| artifact.id == *id);
    let is_fine = session.capture.as_ref().is_none_or(is_known)
        && is_storable_object(&session.protocol_stats)
        && session.flows.iter().all(is_storable_json)
        && session
            .protocol_stats
            .values()
            .chain(&session.flows)
            .map(json_bytes)
            .sum::<u64>()
            <= SESSION_BYTES_MAX;
    if is_fine {
        Ok(())
    } else {
        Err(wrong("the session of the capture cannot be taken"))
    }
}
