//! Stores what a spool holds and merges it with the project's alerts, in the transaction that ends the attempt.
//!
//! The spool is read once. What a finding says is read only if the project does not have it yet; the rest goes by
//! hashes. Findings are compared scope by scope when all of them are known, because numbers among equals go by place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tamiz_core::identity::ordinals::{self, Position};
use tamiz_core::identity::{Fingerprint, Kind, PartHash};
use tamiz_core::scope::{self, Comparison, ScanScope};
use tamiz_core::summary::Summary;
use tamiz_core::{FindingId, ProjectId, Target, TaskId};
use tamiz_store::alert::merge::{Arrival, Scan, Sighting, merge};
use tamiz_store::finding::{FindingMonth, NewFinding};
use tamiz_store::task::{self, Source, Task};
use tamiz_store::{Store, TenantScope, TenantTx, alert, finding, upload};

use super::finish_attempt::AttemptResults;
use super::store_contents::{Beside, read_ahead, store_contents, unreadable};
use super::{FlowError, apply_rules};
use crate::spool::Mark;

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
    store: &Store,
    scope: &TenantScope,
    tx: &mut TenantTx,
    scanned: &Scanned<'_>,
    results: &AttemptResults,
) -> Result<Comparison, FlowError> {
    alert::hold_project(tx, scanned.project).await?;
    alert::rehash::catch_up(tx, scanned.project).await?;
    let beside = Beside::begin(store, scope, scanned.project, results.spool.clone()).await;
    let Some(task) = task::get(tx, scanned.task).await? else {
        return Err(FlowError::fault("storing the findings", "the task is gone"));
    };
    let found = take_in(tx, scanned, results, beside.is_none()).await?;
    let arrival = beside.as_ref().map_or_else(Arrival::done, Beside::arrival);
    let mut findings: Vec<NewFinding> = Vec::with_capacity(found.len());
    let mut whole = Comparison::default();
    for (of, sightings) in scopes(tx, &task, scanned, &results.summary, found).await? {
        let scan = Scan {
            project: scanned.project,
            task: scanned.task,
            scope: &of,
            closes: results.summary.proves_absence() && !of.scan_type.is_of_a_moment(),
            contents: &arrival,
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
                tool: of.tool.clone(),
                severity: sighting.severity,
                fingerprint: sighting.fingerprint,
            });
        findings.extend(new);
    }
    findings.sort_by_key(|finding| finding.id);
    finding::insert(tx, scanned.project, scanned.task, scanned.month, &findings).await?;
    if let Some(beside) = beside {
        beside.end(tx).await?;
    }
    apply_rules::after_import(tx, scanned.project, scanned.task).await?;
    alert::due::set(tx, scanned.project, scanned.task).await?;
    Ok(whole)
}

/// A finding and the target that it speaks of.
type Found = (String, Sighting, String);

/// Stores occurrences and, unless that is done beside it, contents; answers the findings by tool and target, in the order
/// of the spool.
async fn take_in(
    tx: &mut TenantTx,
    scanned: &Scanned<'_>,
    results: &AttemptResults,
    with_contents: bool,
) -> Result<Vec<Found>, FlowError> {
    let mut batches = read_ahead(results.spool.clone());
    let mut marks: Vec<(FindingId, Mark)> = Vec::new();
    let mut occurrences = 0;
    while let Some(batch) = batches.recv().await {
        let batch = batch.map_err(unreadable)?;
        if with_contents {
            store_contents(tx, scanned.project, &batch.findings).await?;
        }
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
                traits: mark.traits(),
                lines: (!mark.lines.is_empty()).then_some(mark.lines),
                tool_id: is_own.then_some(mark.tool_id),
            };
            (mark.tool, sighting, mark.target)
        });
    found.collect()
}

/// The scopes that the task speaks of, each with its findings: of every tool that ran or is named, and for an imported
/// report of every target that it or a finding names. What a report about one target says without a place of its own is
/// about that.
async fn scopes(
    tx: &mut TenantTx,
    task: &Task,
    scanned: &Scanned<'_>,
    summary: &Summary,
    found: Vec<Found>,
) -> Result<Vec<(ScanScope, Vec<Sighting>)>, FlowError> {
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
    let named = if is_import {
        scope::targets_of_report(&summary.diagnostics)
    } else {
        BTreeSet::new()
    };
    let said = summary.tool.as_deref().map(str::to_lowercase);
    let tools = scanned.tools.iter().map(|tool| (*tool).to_owned()).chain(said);
    let members = members(found, own.as_deref(), &named, tools);
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

/// The findings by tool and target: `own` is the task's, `named` are those that an imported report says it is about. One of
/// the `tools` that found nothing has looked all the same, at each of these.
fn members(
    found: Vec<Found>,
    own: Option<&str>,
    named: &BTreeSet<String>,
    tools: impl Iterator<Item = String>,
) -> BTreeMap<(String, String), Vec<Sighting>> {
    let only = named.first().filter(|_| named.len() == 1);
    let placeless = own.or(only.map(String::as_str)).unwrap_or_default();
    let mut members: BTreeMap<(String, String), Vec<Sighting>> = BTreeMap::new();
    for (tool, sighting, target) in found {
        let target = match own {
            None if !target.is_empty() => target,
            _ => placeless.to_owned(),
        };
        members.entry((tool, target)).or_default().push(sighting);
    }
    let loud: BTreeSet<String> = members.keys().map(|(tool, _)| tool.clone()).collect();
    for tool in tools {
        if named.is_empty() && !loud.contains(&tool) {
            members.insert((tool.clone(), placeless.to_owned()), Vec::new());
        }
        for target in named {
            members.entry((tool.clone(), target.clone())).or_default();
        }
    }
    members
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
