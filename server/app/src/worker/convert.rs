//! Turning reports into a spool of findings: the plugin runs, the host feeds this sink.

use std::any::Any;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tamiz_core::cvss::Scores;
use tamiz_core::occurrence::{Record, Records};
use tamiz_core::plugin::PluginLimit;
use tamiz_core::progress::Phase;
use tamiz_core::summary::{self, Summary};
use tamiz_core::{Diagnostic, Finding, FindingId, LogLevel, Refusal, RefusalCode};
use tamiz_host::{
    ArtifactHandle, ArtifactMeta, Completeness, ConvertFailure, ConvertRequest, ConvertSink, Converted,
    Coverage, Input, Progress, ScanRequest, SinkError, StoredArtifact,
};
use tamiz_store::finding::NewOccurrence;
use tamiz_store::pcap_session::NewPcapSession;
use tamiz_store::plugin::InstalledPlugin;

use super::attempt::{Bench, CAPTURE_KIND, Gaps, diagnostic};
use super::candidates;
use super::failure::Failure;
use super::grants;
use super::prepare::TREE;
use super::reporter::Reporter;
use super::scan::{Report, keep_file};
use super::session;
use super::source_lines::SourceLines;
use crate::flow::finish_attempt::AttemptResults;
use crate::plugins::fault::fault;
use crate::plugins::instances::{Owner, Place};
use crate::plugins::measures::{self, Run};
use crate::plugins::remembered;
use crate::services::{PluginServices, SourceTree};
use crate::spool::{Mark, SpoolWriter};

/// What is counted of a conversion that came to its end, beside the words of [`ConvertFailure::code`].
const COMPLETED: &str = "completed";

/// How long a report that needs no tool waits for a place in the worker's slot: most conversions end sooner.
const PATIENCE_OF_REPORTS: Duration = Duration::from_secs(1);

/// Converts the reports with the first plugin of the scan type that recognises them.
///
/// What was readable is in `bench.kept.results` even when this fails.
pub(crate) async fn convert(
    bench: &mut Bench,
    reports: &[Report],
    asked: &ScanRequest,
) -> Result<(), Failure> {
    let plugins = bench.candidates.plugins.clone();
    let mut unrecognized = Vec::new();
    for (index, plugin) in plugins.iter().enumerate() {
        let spool = bench.scratch.path(&format!("spool-{index}"));
        let converted = run(bench, plugin, reports, asked, spool.clone()).await?;
        if let Err(ConvertFailure::Unrecognized { message }) = &converted.outcome {
            unrecognized.push(format!("{}: {message}", plugin.name));
            continue;
        }
        return keep(bench, converted, spool, plugin).await;
    }
    if let Some(problem) = &bench.gaps.report_cut {
        return Err(cut(problem));
    }
    let message = format!("no plugin recognises the report: {}", unrecognized.join("; "));
    Err(Failure::refused(RefusalCode::ReportUnrecognized, message))
}

async fn run(
    bench: &Bench,
    installed: &InstalledPlugin,
    reports: &[Report],
    asked: &ScanRequest,
    spool: PathBuf,
) -> Result<Converted, Failure> {
    let plugin = candidates::load(bench, installed).await?;
    let limits = candidates::limits_of(bench, installed);
    // what only waits gives its slot to others; what has run tools already has something to lose
    let patience = if bench.kept.executions.is_empty() {
        PATIENCE_OF_REPORTS.min(limits.deadline)
    } else {
        limits.deadline
    };
    let _place = place(bench, installed, patience).await?;
    let mut inputs = Vec::new();
    for report in reports {
        let file = File::open(&report.path)?;
        let size_bytes = file.metadata()?.len();
        inputs.push(
            Input::seekable(&report.name, file)
                .with_media_type(&report.media_type)
                .with_size_bytes(size_bytes),
        );
    }
    let request = ConvertRequest {
        inputs,
        request: asked.clone(),
        grants: grants::of(bench, installed, asked).await?,
        limits,
        sink: Box::new(SpoolSink::create(spool, bench)?),
        services: Box::new(services(bench).await?),
        cancel: bench.stop.flag.clone(),
    };
    let (run, began_at) = (Run::begin(&installed.name), Instant::now());
    let converted = tokio::task::spawn_blocking(move || plugin.convert(request)).await?;
    let fault = converted.outcome.as_ref().err().map(fault);
    let limit = fault.and_then(|fault| fault.limit).map(|limit| limit.name);
    let outcome = converted
        .outcome
        .as_ref()
        .map_or_else(ConvertFailure::code, |_| COMPLETED);
    run.end(outcome, limit.as_deref(), began_at.elapsed());
    Ok(converted)
}

/// A place among the conversions of the plugin and of the tenant; whoever has none when `patience` ends lets
/// others have the slot.
async fn place(bench: &Bench, plugin: &InstalledPlugin, patience: Duration) -> Result<Place, Failure> {
    let instances = PluginLimit::InstancesMax;
    let (of_plugin, of_tenant) = (
        plugin.limits.get(instances),
        bench.candidates.plan().get(instances),
    );
    let owners = [
        (Owner::Plugin(plugin.id), of_plugin),
        (Owner::Tenant(bench.of.tenant), of_tenant),
    ];
    let place = tokio::select! {
        place = bench.plugins.instances().enter(&owners, patience) => place,
        () = bench.stop.token.cancelled() => return Err(Failure::Stopped),
    };
    place.ok_or_else(|| {
        measures::overstepped(&plugin.name, instances.as_str());
        Failure::NoPlace(no_place(&plugin.name, of_plugin, of_tenant))
    })
}

fn no_place(plugin: &str, of_plugin: Option<u64>, of_tenant: Option<u64>) -> String {
    let said = [(plugin, of_plugin), ("the tenant's plan", of_tenant)];
    let limits: Vec<String> = said
        .iter()
        .filter_map(|(whose, limit)| limit.map(|limit| format!("{limit} of {whose}")))
        .collect();
    let (limit, limits) = (PluginLimit::InstancesMax.as_str(), limits.join(", "));
    format!("no place for a conversion became free in this worker ({limit}: {limits})")
}

/// The tenant's key, and the upload that was unpacked for the tool, if it was.
async fn services(bench: &Bench) -> Result<PluginServices, Failure> {
    let key = bench.stop.unless_stopped(bench.desk.secret_key()).await?;
    Ok(PluginServices::new(
        &key,
        SourceTree::new(Some(bench.scratch.path(TREE))),
    ))
}

/// Takes over what the sink holds, then says how it ended.
async fn keep(
    bench: &mut Bench,
    converted: Converted,
    spool: PathBuf,
    plugin: &InstalledPlugin,
) -> Result<(), Failure> {
    let sink = (converted.sink as Box<dyn Any>)
        .downcast::<SpoolSink>()
        .map_err(|_| Failure::may_pass("converting", "the host gave back another sink"))?;
    let SpoolSink {
        writer,
        mut summary,
        finished,
        ..
    } = *sink;
    tokio::task::spawn_blocking(move || writer.finish()).await??;
    let session = keep_artifacts(bench, finished, &mut summary).await?;
    summary.plugin = Some(remembered(plugin));
    summary.diagnostics_dropped += converted.counts.diagnostics_dropped;
    let ended = match &converted.outcome {
        Ok(outcome) => {
            summary.records = outcome.records;
            summary.skipped = outcome.skipped;
            summary.formats.push(outcome.format.clone());
            summary.tool.clone_from(&outcome.tool);
            summary.coverage = match outcome.coverage {
                Coverage::Unknown => summary::Coverage::Unknown,
                Coverage::Whole => summary::Coverage::Whole,
                Coverage::Partial => summary::Coverage::Partial,
            };
            summary.completeness = match outcome.completeness {
                Completeness::Complete => summary::Completeness::Complete,
                Completeness::Truncated => summary::Completeness::Truncated,
                Completeness::Partial => summary::Completeness::Partial,
            };
            judge(&bench.gaps, &mut summary)
        }
        Err(failure) => {
            summary.completeness = summary::Completeness::Partial;
            summary.records = summary.findings + summary.occurrences;
            summary.note(Diagnostic {
                level: LogLevel::Error,
                code: failure.code().to_owned(),
                message: failure.to_string(),
                at: None,
            });
            Ok(())
        }
    };
    bench.kept.results = Some(AttemptResults {
        spool,
        summary,
        report_path: None,
        session,
    });
    ended?;
    match (converted.outcome, &bench.gaps.report_cut) {
        (Err(ConvertFailure::Corrupt { .. }), Some(problem)) => Err(cut(problem)),
        (outcome, _) => outcome.map(drop).map_err(Failure::from),
    }
}

/// Whether the task is as good as its summary says.
///
/// A report that its tool could not end is a part of one, and worth what was readable; the tool's own
/// problem outweighs the report's when that is nothing.
fn judge(gaps: &Gaps, summary: &mut Summary) -> Result<(), Failure> {
    if let Some(problem) = &gaps.report_cut {
        let nothing = summary.records == 0 && summary.completeness == summary::Completeness::Truncated;
        summary.completeness = summary::Completeness::Partial;
        return if nothing { Err(cut(problem)) } else { Ok(()) };
    }
    truncation(summary)?;
    if gaps.tool_failed {
        summary.completeness = summary::Completeness::Partial;
        return Ok(());
    }
    unreadable(summary)?;
    if gaps.ran_partly {
        summary.completeness = summary::Completeness::Partial;
    }
    Ok(())
}

fn cut(problem: &Refusal) -> Failure {
    if problem.code == RefusalCode::ToolTimeout.as_str() {
        Failure::TimedOut(problem.clone())
    } else {
        Failure::Refused(problem.clone())
    }
}

/// Keeps what the plugin finished, and answers the first session of a capture among it.
async fn keep_artifacts(
    bench: &mut Bench,
    finished: Vec<FinishedArtifact>,
    summary: &mut Summary,
) -> Result<Option<NewPcapSession>, Failure> {
    let mut first_session = None;
    for artifact in finished {
        let meta = artifact.meta;
        keep_file(bench, &meta.kind, meta.name, &meta.media_type, &artifact.path).await?;
        if meta.kind == session::KIND && first_session.is_none() {
            match session::read(&artifact.path) {
                Ok(session) => first_session = Some(session),
                Err(why) => summary.note(diagnostic(LogLevel::Warn, "session-unreadable", why)),
            }
        }
    }
    Ok(first_session.map(|session| {
        let artifacts = &bench.kept.artifacts;
        let of_kind = |kind: &str| artifacts.iter().find(|artifact| artifact.kind == kind);
        let capture = of_kind(CAPTURE_KIND).or_else(|| of_kind("report"));
        NewPcapSession {
            capture: capture.map(|artifact| artifact.id),
            ..session
        }
    }))
}

/// A report that ends too early is a failed task, with what was readable kept: its silence about the
/// rest must not look like a clean scan.
fn truncation(summary: &Summary) -> Result<(), Failure> {
    if summary.completeness != summary::Completeness::Truncated {
        return Ok(());
    }
    let detail = summary
        .diagnostics
        .iter()
        .rev()
        .find(|diagnostic| diagnostic.level == LogLevel::Error)
        .map_or_else(String::new, |diagnostic| format!(": {}", diagnostic.message));
    let message = format!(
        "the report ends too early{detail}; the {} findings before its end are kept",
        summary.findings
    );
    Err(Failure::refused(RefusalCode::ReportTruncated, message))
}

/// A report of which no record could be read is a failed task, not one without findings.
fn unreadable(summary: &Summary) -> Result<(), Failure> {
    let is_lost = summary.completeness == summary::Completeness::Partial
        && summary.findings == 0
        && summary.records > 0
        && summary.skipped == summary.records;
    if !is_lost {
        return Ok(());
    }
    let first = summary.diagnostics.first();
    let detail = first.map_or_else(String::new, |diagnostic| format!(": {}", diagnostic.message));
    let message = format!(
        "none of the report's {} records can be read{detail}",
        summary.records
    );
    Err(Failure::refused(RefusalCode::ReportCorrupt, message))
}

/// An artifact that the plugin finished.
struct FinishedArtifact {
    meta: ArtifactMeta,
    path: PathBuf,
}

struct OpenArtifact {
    meta: ArtifactMeta,
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    size_bytes: u64,
}

/// Tells findings from occurrences, writes both to the spool, counts them, gives findings their identity
/// and their score.
struct SpoolSink {
    writer: SpoolWriter,
    spool: PathBuf,
    records: Records<FindingId>,
    source: SourceLines,
    scores: Scores,
    summary: Summary,
    reporter: Reporter,
    open: HashMap<ArtifactHandle, OpenArtifact>,
    finished: Vec<FinishedArtifact>,
    plugin_log: tracing::Span,
}

impl SpoolSink {
    fn create(spool: PathBuf, bench: &Bench) -> Result<Self, Failure> {
        let mut summary = Summary::empty();
        for note in &bench.notes {
            summary.note(note.clone());
        }
        Ok(Self {
            writer: SpoolWriter::create(&spool)?,
            spool,
            records: Records::default(),
            source: SourceLines::new(SourceTree::new(Some(bench.scratch.path(TREE)))),
            scores: Scores::default(),
            summary,
            reporter: bench.reporter.clone(),
            open: HashMap::new(),
            finished: Vec::new(),
            plugin_log: tracing::info_span!("plugin", task = %bench.of.task),
        })
    }

    fn add(&mut self, mut finding: Finding) -> std::io::Result<()> {
        match self.records.add(&mut finding, FindingId::fresh)? {
            Record::Finding(id) => {
                let mark = Mark::of(&finding, self.records.content(), self.source.of(&finding));
                let (cvss_score, note) = self.scores.of(&finding);
                if let Some(note) = note {
                    self.summary.note(note);
                }
                self.summary.count(&finding);
                self.writer.finding(id, mark, cvss_score, self.records.said())
            }
            Record::Occurrence { of, ordinal } => {
                self.summary.occurrences += 1;
                self.writer.occurrence(NewOccurrence {
                    of,
                    ordinal,
                    locations: finding.locations,
                    origin: finding.origin,
                })
            }
        }
    }

    fn artifact(&mut self, handle: ArtifactHandle) -> Result<&mut OpenArtifact, SinkError> {
        self.open
            .get_mut(&handle)
            .ok_or_else(|| SinkError::new("unknown artifact handle"))
    }
}

impl ConvertSink for SpoolSink {
    fn findings(&mut self, batch: Vec<Finding>) -> Result<(), SinkError> {
        let mut batch = batch.into_iter();
        batch.try_for_each(|finding| self.add(finding).map_err(SinkError::new))
    }

    fn diagnostic(&mut self, diagnostic: Diagnostic) -> Result<(), SinkError> {
        self.summary.note(diagnostic);
        Ok(())
    }

    fn progress(&mut self, progress: Progress) {
        let message = format!("converting, {} findings so far", progress.findings);
        let (done, total) = (i64::from(progress.done), progress.total.map(i64::from));
        self.reporter.count(Phase::Converting, message, done, total);
    }

    fn log(&mut self, level: LogLevel, line: &str) {
        self.plugin_log
            .in_scope(|| tracing::debug!(?level, line, "plugin log"));
    }

    fn artifact_open(&mut self, handle: ArtifactHandle, meta: ArtifactMeta) -> Result<(), SinkError> {
        let path = self.spool.with_extension(format!("artifact-{}", handle.0));
        let file = BufWriter::new(File::create_new(&path).map_err(SinkError::new)?);
        let artifact = OpenArtifact {
            meta,
            path,
            file,
            hash: Sha256::new(),
            size_bytes: 0,
        };
        self.open.insert(handle, artifact);
        Ok(())
    }

    fn artifact_write(&mut self, handle: ArtifactHandle, chunk: &[u8]) -> Result<(), SinkError> {
        let artifact = self.artifact(handle)?;
        artifact.file.write_all(chunk).map_err(SinkError::new)?;
        artifact.hash.update(chunk);
        artifact.size_bytes += chunk.len() as u64;
        Ok(())
    }

    fn artifact_finish(&mut self, handle: ArtifactHandle) -> Result<StoredArtifact, SinkError> {
        self.artifact(handle)?.file.flush().map_err(SinkError::new)?;
        let Some(artifact) = self.open.remove(&handle) else {
            return Err(SinkError::new("unknown artifact handle"));
        };
        self.finished.push(FinishedArtifact {
            meta: artifact.meta,
            path: artifact.path,
        });
        Ok(StoredArtifact {
            sha256: hex::encode(artifact.hash.finalize()),
            size_bytes: artifact.size_bytes,
        })
    }

    fn artifact_drop(&mut self, handle: ArtifactHandle) {
        // the file goes with the scratch folder
        self.open.remove(&handle);
    }
}
