//! One try at one task, from the claimed ticket to its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tamiz_core::progress::Phase;
use tamiz_core::retry::Backoff;
use tamiz_core::{
    ArtifactId, Diagnostic, LogLevel, ProjectId, Refusal, RefusalCode, ScanType, TargetKind, TaskId,
    TaskStatus, TenantId, UploadId, WorkerId,
};
use tamiz_host::{PlanError, ScanRequest, ToolRun};
use tamiz_store::artifact::NewArtifact;
use tamiz_store::attempt::Begin;
use tamiz_store::task::{Source, Task};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::arrival::Badge;
use super::candidates::{self, Candidates};
use super::contact;
use super::convert::convert;
use super::desk::{Desk, DeskError, Lease, TaskDesk};
use super::end::{end, note_end};
use super::failure::Failure;
use super::grants;
use super::life::Life;
use super::logbook::Logbook;
use super::prepare::{self, Scratch, TREE};
use super::reporter::Reporter;
use super::scan::{self, Report, Target};
use super::stop::Stop;
use super::target;
use super::workplace::Workplace;
use crate::config::Config;
use crate::flow::finish_attempt::AttemptYield;
use crate::plugins::{Plugins, measures};
use crate::tool::Inventory;

/// The database may be away (a restart) when an attempt begins or ends; this long it is waited for.
const DATABASE_PATIENCE: Duration = Duration::from_mins(2);
/// The kind of artifact that a capture's own bytes are.
pub(crate) const CAPTURE_KIND: &str = "capture";
/// A pcap file without a packet. Suricata waits a minute for the first one, and fails.
const CAPTURE_HEAD_BYTES: u64 = 24;
/// Between two tries, if the server does not ask for another pause.
const DATABASE_PAUSE: Duration = Duration::from_millis(300);
/// The last progress is waited for before the end, but not for long: it is worth less than the end.
const LAST_PROGRESS_MAX: Duration = Duration::from_secs(10);

/// What all attempts of a worker share.
pub(crate) struct Shop {
    pub(crate) worker: WorkerId,
    pub(super) badge: Badge,
    pub(super) life: Arc<Life>,
    /// As the register has them.
    pub(super) capabilities: Value,
    pub(crate) desk: Desk,
    pub(crate) plugins: Plugins,
    pub(crate) config: Arc<Config>,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) rules: PathBuf,
    pub(super) workplace: Workplace,
    pub(crate) backoff: Backoff,
}

/// Whose attempt it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptName {
    pub(crate) tenant: TenantId,
    pub(crate) project: ProjectId,
    pub(crate) task: TaskId,
    pub(crate) attempt: i32,
}

/// What one attempt works with and what it has so far.
pub(crate) struct Bench {
    pub(crate) desk: TaskDesk,
    pub(crate) plugins: Plugins,
    pub(crate) config: Arc<Config>,
    pub(crate) inventory: Arc<Inventory>,
    pub(crate) of: AttemptName,
    pub(crate) scan_type: ScanType,
    pub(crate) candidates: Candidates,
    pub(crate) stop: Stop,
    pub(crate) reporter: Reporter,
    pub(crate) log: Logbook,
    pub(crate) scratch: Scratch,
    /// For the summary: what happened before the conversion.
    pub(crate) notes: Vec<Diagnostic>,
    /// What the reports lack.
    pub(crate) gaps: Gaps,
    pub(crate) kept: AttemptYield,
}

/// What the reports of an attempt lack: their silence proves nothing then.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// A planned tool brought no report, or looked at a part only.
    pub(crate) tool_failed: bool,
    /// A tool left something out, by its exit code; its report need not tell.
    pub(crate) ran_partly: bool,
    /// A tool was ended while it wrote, and why: its report may end anywhere.
    pub(crate) report_cut: Option<Refusal>,
}

pub(crate) fn diagnostic(level: LogLevel, code: &str, message: String) -> Diagnostic {
    Diagnostic {
        level,
        code: code.to_owned(),
        message,
        at: None,
    }
}

/// Works on a claimed ticket until its attempt has ended one way or another.
pub(crate) async fn work(shared: &Shop, lease: &Lease, stop: &Stop) {
    let claimed_at = Instant::now();
    let Some(task) = begin(shared, lease).await else {
        return;
    };
    let of = AttemptName {
        tenant: lease.claim.tenant,
        project: task.project_id,
        task: lease.claim.task,
        attempt: lease.claim.attempt,
    };
    let desk = &lease.desk;
    let limit = task
        .timeout
        .unwrap_or_else(|| shared.config.queue.task_timeouts.of(&task.scan_type));
    let running_out = stop.press_after(limit);
    let (reporter, told) = Reporter::start(desk.clone(), of.task, stop.clone());
    let (log, logged) = Logbook::start(desk.clone());
    log.begins(of.attempt, limit);
    let scratch = match Scratch::create(shared.workplace.path(), &of) {
        Ok(scratch) => scratch,
        Err(error) => {
            drop(reporter);
            last_progress(told).await;
            let nothing = AttemptYield::default();
            let ended = end(shared, desk, &of, &task, nothing, stop, Err(error.into())).await;
            note_end(shared, log, ended);
            let _ = logged.await;
            return;
        }
    };
    let mut bench = Bench {
        desk: desk.clone(),
        plugins: shared.plugins.clone(),
        config: shared.config.clone(),
        inventory: shared.inventory.clone(),
        of,
        scan_type: task.scan_type.clone(),
        candidates: Candidates::default(),
        stop: stop.clone(),
        reporter,
        log,
        scratch,
        notes: Vec::new(),
        gaps: Gaps::default(),
        kept: AttemptYield::default(),
    };
    let outcome = steps(shared, &mut bench, &task).await;
    // what is done needs only to be written down, which has a bound of its own
    drop(running_out);
    let Bench {
        reporter,
        log,
        scratch,
        kept,
        ..
    } = bench;
    let storing_at = Instant::now();
    drop(reporter);
    last_progress(told).await;
    let ended = end(shared, desk, &of, &task, kept, stop, outcome).await;
    phase_seconds("storing", storing_at);
    phase_seconds("whole", claimed_at);
    note_end(shared, log, ended);
    scratch.remove().await;
    let _ = logged.await;
}

/// Waits for the writing side of the reporter, so that the end is the last event.
async fn last_progress(mut told: JoinHandle<()>) {
    if timeout(LAST_PROGRESS_MAX, &mut told).await.is_err() {
        told.abort();
    }
}

/// `None` when there is nothing to do: it ended meanwhile, or the database stays away.
async fn begin(shop: &Shop, lease: &Lease) -> Option<Box<Task>> {
    let began_at = Instant::now();
    let begun = patiently(|| lease.desk.begin(shop.backoff.attempts_max)).await;
    phase_seconds("beginning", began_at);
    match begun {
        Ok(Begin::Run(task)) => Some(task),
        Ok(Begin::Cancelled) => counted(TaskStatus::Cancelled),
        Ok(Begin::Dead) => counted(TaskStatus::DeadLetter),
        Ok(Begin::Stale) => None,
        Err(error) => {
            // the lease runs out and another worker takes over
            tracing::error!(task = %lease.claim.task, error = &error as &dyn std::error::Error, "an attempt could not begin");
            None
        }
    }
}

fn counted<T>(status: TaskStatus) -> Option<T> {
    metrics::counter!("tamiz_attempts_total", "status" => status.as_str()).increment(1);
    None
}

async fn steps(shop: &Shop, bench: &mut Bench, task: &Task) -> Result<(), Failure> {
    bench.candidates = candidates::of_task(bench, task).await?;
    let reports = match &task.payload.source {
        Source::Tree { upload_id } => scan_tree(shop, bench, task, *upload_id).await?,
        Source::Capture { upload_id } => scan_capture(bench, task, *upload_id).await?,
        Source::Target { .. } => scan_target(bench, task).await?,
        Source::Report { upload_id } => vec![report(bench, *upload_id, "report").await?],
    };
    let converting_at = Instant::now();
    bench.reporter.phase(Phase::Converting, "reading the report");
    let options = Value::Object(task.payload.options.clone()).to_string();
    let asked = grants::asked(&task.payload.source, options);
    let ran_tools = !bench.kept.executions.is_empty();
    let converted = convert(bench, &reports, &asked).await.map_err(|failure| {
        let failure = if ran_tools { failure.after_tools() } else { failure };
        let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
        failure.about(&names.join(", "))
    });
    phase_seconds("converting", converting_at);
    bench.log.diagnostics(&bench.notes);
    if let Some(results) = &mut bench.kept.results {
        bench.log.summary(&results.summary);
        let report = bench
            .kept
            .artifacts
            .iter()
            .find(|artifact| artifact.kind == "report" || artifact.kind == CAPTURE_KIND);
        results.report_path = report.map(|artifact| artifact.blob.storage_path.clone());
        let findings = results.summary.findings;
        bench
            .reporter
            .phase(Phase::Storing, format!("storing {findings} findings"));
    }
    converted
}

async fn scan_tree(
    shop: &Shop,
    bench: &mut Bench,
    task: &Task,
    upload: UploadId,
) -> Result<Vec<Report>, Failure> {
    let preparing_at = Instant::now();
    let archive = bench.scratch.path("upload");
    let upload = prepare::fetch(&bench.desk, upload, &archive, &bench.stop).await?;
    let tree = bench.scratch.path(TREE);
    let limits = bench.config.archive;
    let files = prepare::unpack_tree(archive, tree.clone(), limits, bench.stop.token.clone())
        .await
        .map_err(|failure| failure.about(&upload.file_name))?;
    bench
        .reporter
        .phase(Phase::Preparing, format!("unpacked {files} files"));
    let (rules, rules_name) = match task.payload.rules_upload_id {
        None => (shop.rules.clone(), None),
        Some(id) => {
            let path = bench.scratch.path("rules.yml");
            let upload = prepare::fetch(&bench.desk, id, &path, &bench.stop).await?;
            prepare::check_rules(&path, &upload.file_name).await?;
            (path, Some(upload.file_name))
        }
    };
    let runs = plan(bench, task, TargetKind::Tree, String::new()).await?;
    phase_seconds("preparing", preparing_at);
    let scanning_at = Instant::now();
    let reports = scan::run_tools(
        bench,
        &runs,
        Target {
            files: Some(&tree),
            rules: Some(&rules),
            rules_name: rules_name.as_deref(),
            network: None,
        },
    )
    .await;
    phase_seconds("scanning", scanning_at);
    reports
}

/// A capture is read as it is; tools that are here read it, too.
async fn scan_capture(bench: &mut Bench, task: &Task, upload: UploadId) -> Result<Vec<Report>, Failure> {
    let capture = report(bench, upload, CAPTURE_KIND).await?;
    let runs = plan(bench, task, TargetKind::Capture, String::new()).await?;
    let runs = if std::fs::metadata(&capture.path)?.len() > CAPTURE_HEAD_BYTES {
        scan::those_here(bench, runs)
    } else {
        Vec::new()
    };
    let mut reports = vec![capture.clone()];
    if !runs.is_empty() {
        let target = Target {
            files: Some(&capture.path),
            ..Target::default()
        };
        match scan::run_tools(bench, &runs, target).await {
            Ok(more) => reports.extend(more),
            Err(Failure::Stopped) => return Err(Failure::Stopped),
            Err(failure) => {
                bench.gaps.tool_failed = true;
                let message = failure.to_string();
                bench
                    .notes
                    .push(diagnostic(LogLevel::Error, "tool-failed", message));
            }
        }
    }
    Ok(reports)
}

/// Something in the network: the pins are judged again, somebody must answer there, then tools go.
async fn scan_target(bench: &mut Bench, task: &Task) -> Result<Vec<Report>, Failure> {
    let preparing_at = Instant::now();
    let pinned = target::pinned(bench).await?;
    let runs = plan(bench, task, pinned.target.kind(), pinned.target.text()).await?;
    let message = format!("calling {}", pinned.target.text());
    bench.reporter.phase(Phase::Preparing, message);
    let resolvers = &bench.config.target.resolvers;
    let called = contact::prove(&pinned, resolvers, &bench.stop.token).await?;
    phase_seconds("preparing", preparing_at);
    let scanning_at = Instant::now();
    let target = Target {
        network: Some(&called),
        ..Target::default()
    };
    let reports = scan::run_tools(bench, &runs, target).await;
    phase_seconds("scanning", scanning_at);
    reports
}

/// An uploaded report: kept as an artifact by its upload's bytes, read as plain bytes.
async fn report(bench: &mut Bench, id: UploadId, kind: &str) -> Result<Report, Failure> {
    let preparing_at = Instant::now();
    let path = bench.scratch.path("report");
    let upload = prepare::fetch(&bench.desk, id, &path, &bench.stop).await?;
    bench.kept.artifacts.push(NewArtifact {
        id: ArtifactId::fresh(),
        kind: kind.to_owned(),
        name: upload.file_name.clone(),
        media_type: upload.media_type.clone(),
        blob: upload.blob,
    });
    let path = prepare::plain_report(path)
        .await
        .map_err(|failure| failure.about(&upload.file_name))?;
    phase_seconds("preparing", preparing_at);
    Ok(Report {
        name: upload.file_name,
        media_type: upload.media_type,
        path,
    })
}

/// The plan of the first candidate that can scan such a target: one that only reads reports leaves it to
/// the next.
async fn plan(bench: &Bench, task: &Task, kind: TargetKind, target: String) -> Result<Vec<ToolRun>, Failure> {
    let mut first_word = None;
    for candidate in &bench.candidates.plugins {
        let plugin = candidates::load(bench, candidate).await?;
        let request = ScanRequest {
            target_kind: kind.as_str().to_owned(),
            target: target.clone(),
            options: Value::Object(task.payload.options.clone()).to_string(),
        };
        let (name, limits) = (candidate.name.clone(), candidates::limits_of(bench, candidate));
        let planning = move || {
            let planned = plugin.plan(&request, &limits);
            planned.inspect_err(|error| measures::plan_failed(&name, error))
        };
        match tokio::task::spawn_blocking(planning).await? {
            Ok(runs) => return Ok(runs),
            Err(PlanError::BadOptions { message }) => {
                return Err(Failure::refused(RefusalCode::BadOptions, message));
            }
            Err(PlanError::Unsupported { message }) => _ = first_word.get_or_insert(message),
            Err(PlanError::Failed(failure)) => return Err(failure.into()),
        }
    }
    let message = first_word.unwrap_or_else(|| format!("no plugin serves {}", bench.scan_type));
    Err(Failure::refused(RefusalCode::UnsupportedScanType, message))
}

/// Tries again while the database is away, for a while.
pub(super) async fn patiently<T, F, Work>(work: Work) -> Result<T, DeskError>
where
    F: Future<Output = Result<T, DeskError>>,
    Work: Fn() -> F,
{
    let patience_ends = Instant::now() + DATABASE_PATIENCE;
    loop {
        match work().await {
            Err(error) if error.may_pass() && Instant::now() < patience_ends => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the database or the server is away; trying again"
                );
                sleep(error.pause().max(DATABASE_PAUSE)).await;
            }
            other => return other,
        }
    }
}

fn phase_seconds(phase: &'static str, since: Instant) {
    metrics::histogram!("tamiz_attempt_phase_seconds", "phase" => phase)
        .record(since.elapsed().as_secs_f64());
}
