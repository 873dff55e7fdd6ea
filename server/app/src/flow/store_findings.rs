//! Stores what a spool holds and merges it with the project's alerts, in the transaction that ends the attempt.
//!
//! The spool is read once. What a finding says is read only if the project does not have it yet; the rest goes by
//! hashes. Findings are compared scope by scope when all of them are known, because numbers among equals go by place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use tamiz_core::identity::ordinals::{self, Position};
use tamiz_core::identity::{Fingerprint, Kind, PartHash};
use tamiz_core::scope::{self, Comparison, ScanScope};
use tamiz_core::summary::Summary;
use tamiz_core::{FindingId, ProjectId, Target, TaskId};
use tamiz_store::alert::merge::{Scan, Sighting, merge};
use tamiz_store::finding::{CONTENTS_PER_INSERT, FindingMonth, NewContent, NewFinding};
use tamiz_store::task::{self, Source, Task};
use tamiz_store::{TenantTx, alert, finding, upload};
use tokio::sync::mpsc;

use super::finish_attempt::AttemptResults;
use super::{FlowError, apply_rules};
use crate::spool::{self, Batch, Mark, Spooled};

/// Batches read ahead of the database: enough to keep it busy, little enough to stay small.
const BATCHES_AHEAD: usize = 2;

/// What the comparison goes by, beside the findings.
pub(super) struct Scanned<'a> {
    pub(super) project: ProjectId,
    pub(super) task: TaskId,
    /// When the findings go.
    pub(super) month: FindingMonth,
    /// Tools that ran; none for an imported report.
    pub(super) tools: BTreeSet<&'a str>,
}

/// Stores all findings and occurrences of the spool; answers how the scan differs from the one before.
pub(super) async fn store_findings(
    tx: &mut TenantTx,
    scanned: &Scanned<'_>,
    results: &AttemptResults,
) -> Result<Comparison, FlowError> {
    alert::hold_project(tx, scanned.project).await?;
    let Some(task) = task::get(tx, scanned.task).await? else {
        return Err(FlowError::fault("storing the findings", "the task is gone"));
    };
    let found = take_in(tx, scanned, results).await?;
    let scopes = scopes(tx, &task, scanned, &results.summary, &found).await?;
    let mut whole = Comparison::default();
    let mut findings: Vec<NewFinding> = Vec::with_capacity(found.len());
    for (scope, members) in scopes {
        let sightings: Vec<Sighting> = members.iter().map(|at| found[*at].1.clone()).collect();
        let scan = Scan {
            project: scanned.project,
            task: scanned.task,
            scope: &scope,
            closes: results.summary.proves_absence(),
        };
        let (alerts, comparison) = merge(tx, scan, &sightings).await?;
        whole = whole.plus(comparison);
        let new = sightings
            .into_iter()
            .zip(alerts)
            .map(|(sighting, alert)| NewFinding {
                id: sighting.finding,
                alert: Some(alert),
                content: sighting.content,
                tool: scope.tool.clone(),
                severity: sighting.severity,
                fingerprint: sighting.fingerprint,
            });
        findings.extend(new);
    }
    findings.sort_by_key(|finding| finding.id);
    finding::insert(tx, scanned.project, scanned.task, scanned.month, &findings).await?;
    apply_rules::after_import(tx, scanned.project, scanned.task).await?;
    alert::due::set(tx, scanned.project, scanned.task).await?;
    Ok(whole)
}

/// A finding and the target that it speaks of.
type Found = (String, Sighting, String);

/// Stores contents and occurrences, and answers the findings by tool and target, in the order of the spool.
async fn take_in(
    tx: &mut TenantTx,
    scanned: &Scanned<'_>,
    results: &AttemptResults,
) -> Result<Vec<Found>, FlowError> {
    let mut batches = read_ahead(results.spool.clone());
    let mut marks: Vec<(FindingId, Mark)> = Vec::new();
    let mut occurrences = 0;
    while let Some(batch) = batches.recv().await {
        let batch = batch.map_err(|error| FlowError::fault("reading the findings back", error))?;
        store_contents(tx, scanned.project, &batch.findings).await?;
        if !batch.occurrences.is_empty() {
            occurrences += finding::insert_occurrences(tx, scanned.month, &batch.occurrences).await?;
        }
        marks.extend(
            batch
                .findings
                .into_iter()
                .map(|finding| (finding.id, finding.mark)),
        );
    }
    check_stored((marks.len() as u64, occurrences), &results.summary)?;
    Ok(numbered(marks))
}

async fn store_contents(
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
        let finding = spooled
            .finding()
            .map_err(|error| FlowError::fault("reading the findings back", error))?;
        contents.push(NewContent {
            id: spooled.mark.content,
            cvss_score: spooled.cvss_score,
            finding,
        });
    }
    if !contents.is_empty() {
        finding::insert_contents(tx, project, contents).await?;
    }
    Ok(())
}

/// Gives findings their numbers among equals, and takes away tools' ids that stand for several of them.
fn numbered(marks: Vec<(FindingId, Mark)>) -> Vec<Found> {
    let places: Vec<(Kind, Fingerprint, Position)> = marks
        .iter()
        .map(|(_, mark)| (mark.kind, mark.base(), (mark.at.0, mark.at.1, mark.content)))
        .collect();
    let fingerprints = ordinals::fingerprints(&places);
    let mut ids: HashMap<PartHash, u32> = HashMap::new();
    for (_, mark) in &marks {
        *ids.entry(mark.tool_id).or_default() += 1;
    }
    let found = marks
        .into_iter()
        .zip(fingerprints)
        .map(|((finding, mark), fingerprint)| {
            let is_own = mark.tool_id != PartHash::default() && ids[&mark.tool_id] == 1;
            let sighting = Sighting {
                finding,
                content: mark.content,
                kind: mark.kind,
                base: mark.base(),
                fingerprint,
                place: mark.place,
                severity: mark.severity,
                at: mark.at,
                lines: (!mark.lines.is_empty()).then_some(mark.lines),
                tool_id: is_own.then_some(mark.tool_id),
            };
            (mark.tool, sighting, mark.target)
        });
    found.collect()
}

/// The scopes that the task speaks of, each with its findings: of every tool that ran or is named, and for an imported
/// report of every target that a finding names.
async fn scopes(
    tx: &mut TenantTx,
    task: &Task,
    scanned: &Scanned<'_>,
    summary: &Summary,
    found: &[Found],
) -> Result<Vec<(ScanScope, Vec<usize>)>, FlowError> {
    let is_import = matches!(task.payload.source, Source::Report { .. });
    let configuration = if is_import {
        String::new()
    } else {
        let rules = match task.payload.rules_upload_id {
            Some(id) => upload::get(tx, id)
                .await?
                .map(|upload| hex::encode(upload.blob.hash)),
            None => None,
        };
        scope::configuration(&task.payload.options, rules.as_deref())
    };
    let own = match &task.payload.source {
        Source::Target { target } => Some(label(target)),
        Source::Tree { .. } | Source::Capture { .. } => Some(String::new()),
        Source::Report { .. } => None,
    };
    let mut members: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    // a tool that found nothing has looked all the same
    let said = summary.tool.as_deref().map(str::to_lowercase);
    let silent = scanned.tools.iter().map(|tool| (*tool).to_owned()).chain(said);
    for tool in silent.filter(|tool| found.iter().all(|(of, ..)| of != tool)) {
        members.insert((tool, own.clone().unwrap_or_default()), Vec::new());
    }
    for (at, (tool, _, target)) in found.iter().enumerate() {
        let target = own.clone().unwrap_or_else(|| target.clone());
        members.entry((tool.clone(), target)).or_default().push(at);
    }
    let scopes = members.into_iter().map(|((tool, target), members)| {
        let scope = ScanScope {
            scan_type: task.scan_type.clone(),
            tool,
            target,
            labels: task.payload.labels.clone(),
            configuration: configuration.clone(),
        };
        (scope, members)
    });
    Ok(scopes.collect())
}

/// What a scan of a target in the network is the scope of.
fn label(target: &Target) -> String {
    match target {
        Target::Url { url, .. } => url.clone(),
        Target::Endpoint { host, port } => format!("{host}:{port}"),
        Target::Domain { name: text } | Target::Email { address: text } | Target::Username { name: text } => {
            text.clone()
        }
    }
}

/// All that the totals speak of must be there.
fn check_stored((findings, occurrences): (u64, u64), summary: &Summary) -> Result<(), FlowError> {
    let told = (u64::from(summary.findings), u64::from(summary.occurrences));
    if (findings, occurrences) == told {
        return Ok(());
    }
    let message = format!(
        "{findings} findings and {occurrences} occurrences were stored of {} and {}",
        told.0, told.1
    );
    Err(FlowError::fault("storing the findings", message))
}

/// Reads the spool on a blocking thread, a few batches ahead of the database.
fn read_ahead(path: PathBuf) -> mpsc::Receiver<std::io::Result<Batch>> {
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
