//! Running the tools that a plugin planned, and keeping what they wrote.

use std::path::{Path, PathBuf};

use serde_json::json;
use tamiz_core::progress::Phase;
use tamiz_core::{ArtifactId, LogLevel, Refusal, RefusalCode, ToolExecutionId};
use tamiz_host::ToolRun;
use tamiz_store::artifact::NewArtifact;
use tamiz_store::tool_execution::ToolExecution;
use tamiz_store::upload::StoredBlob;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::attempt::{Bench, diagnostic};
use super::failure::Failure;
use crate::blob::{Blob, BlobKind};
use crate::tool::{self, Captured, Tool, ToolEnd, ToolOutcome, ToolOutput, ToolRequest, Verdict};

/// How often watchers hear that a tool is still running.
const STILL_RUNNING_PAUSE: std::time::Duration = std::time::Duration::from_secs(2);
/// Captured output is bounded by the tool's own limits; this is the last line.
const ARTIFACT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// A report that a tool wrote.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) media_type: String,
    pub(crate) path: PathBuf,
}

/// Where tools find what they work on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The unpacked upload.
    pub(crate) tree: &'a Path,
    /// The rules.
    pub(crate) rules: &'a Path,
    /// What their uploader calls them; none for the operator's.
    pub(crate) rules_name: Option<&'a str>,
}

/// Runs the planned tools one after the other; answers their reports.
pub(crate) async fn run_tools(
    bench: &mut Bench,
    runs: &[ToolRun],
    target: Target<'_>,
) -> Result<Vec<Report>, Failure> {
    let mut reports = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let tool = find(bench, &run.tool)?;
        bench
            .reporter
            .phase(Phase::Scanning, format!("running {} {}", run.tool, tool.version));
        let scratch = bench.scratch.path(&format!("run-{index}"));
        std::fs::create_dir(&scratch)?;
        let outcome = run_one(bench, &tool, run, target, &scratch).await?;
        keep(bench, &tool, &outcome).await?;
        judge(bench, &run.tool, &outcome, target.rules_name)?;
        reports.extend(outcome.outputs.iter().map(|output| Report {
            name: output.name.clone(),
            media_type: output.media_type.clone(),
            path: output.path.clone(),
        }));
    }
    Ok(reports)
}

fn find(bench: &Bench, name: &str) -> Result<Tool, Failure> {
    let inventory = &bench.inventory;
    inventory.tool(name).cloned().ok_or_else(|| {
        let reason = inventory
            .missing(name)
            .map_or("the catalogue does not have it", |tool| &tool.reason);
        Failure::refused(
            RefusalCode::ToolUnavailable,
            format!("{name} cannot run on this worker: {reason}"),
        )
    })
}

async fn run_one(
    bench: &Bench,
    tool: &Tool,
    run: &ToolRun,
    target: Target<'_>,
    scratch: &Path,
) -> Result<ToolOutcome, Failure> {
    let outputs: Vec<_> = run
        .outputs
        .iter()
        .map(|output| ToolOutput {
            name: output.name.clone(),
            media_type: output.media_type.clone(),
        })
        .collect();
    let request = ToolRequest {
        args: &run.args,
        outputs: &outputs,
        target: Some(target.tree),
        rules: Some(target.rules),
        scratch,
        cancel: &bench.stop.token,
    };
    let mut running = std::pin::pin!(tool::run(tool, request));
    let began = Instant::now();
    let mut ticks = interval_at(began + STILL_RUNNING_PAUSE, STILL_RUNNING_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            outcome = &mut running => return outcome.map_err(|error| wrong_run(&run.tool, error)),
            _ = ticks.tick() => {
                let seconds = began.elapsed().as_secs().cast_signed();
                let message = format!("{} has been running for {seconds} s", run.tool);
                bench.reporter.count(Phase::Scanning, message, seconds, None);
            }
        }
    }
}

fn wrong_run(name: &str, error: tool::ToolError) -> Failure {
    match error {
        tool::ToolError::Arguments { .. } | tool::ToolError::Outputs { .. } => {
            Failure::refused(RefusalCode::PluginFailed, error.to_string())
        }
        tool::ToolError::Box { .. } | tool::ToolError::System { .. } => {
            tracing::error!(
                tool = name,
                error = &error as &dyn std::error::Error,
                "a tool could not be run"
            );
            Failure::may_pass("running a tool", error)
        }
    }
}

/// What the end of the run means for the task.
fn judge(
    bench: &mut Bench,
    name: &str,
    outcome: &ToolOutcome,
    rules_name: Option<&str>,
) -> Result<(), Failure> {
    if matches!(outcome.end, ToolEnd::Cancelled) {
        return Err(Failure::Stopped);
    }
    let Some(problem) = outcome.problem(name) else {
        return Ok(());
    };
    match (&outcome.verdict, &outcome.end) {
        (Verdict::RanPartly | Verdict::Ran, _) => {
            bench
                .notes
                .push(diagnostic(LogLevel::Warn, "tool-ran-partly", problem.message));
            Ok(())
        }
        (Verdict::Failed, ToolEnd::TimedOut { .. }) => Err(Failure::TimedOut(problem)),
        // a crash may be the machine's fault; a bad exit code will come again
        (Verdict::Failed, ToolEnd::Killed(_)) => Err(Failure::may_pass("running a tool", problem)),
        (Verdict::InputRefused, _) => Err(Failure::Refused(match rules_name {
            Some(rules) => rules_refused(name, rules, outcome),
            None => problem,
        })),
        (Verdict::Failed, _) => Err(Failure::Refused(problem)),
    }
}

fn rules_refused(tool: &str, rules: &str, outcome: &ToolOutcome) -> Refusal {
    let said = outcome
        .stderr
        .first_line()
        .map_or_else(|| outcome.end.to_string(), |line| format!("it says {line:?}"));
    let message = format!("{rules:?}: {tool} cannot use these rules: {said}; its stderr has more");
    Refusal::new(RefusalCode::RulesInvalid, message)
}

/// Stores stdout, stderr and the reports, and notes the execution.
async fn keep(bench: &mut Bench, tool: &Tool, outcome: &ToolOutcome) -> Result<(), Failure> {
    let name = &tool.entry.name;
    let stdout_ref = keep_stream(bench, "stdout", name, &outcome.stdout).await?;
    let stderr_ref = keep_stream(bench, "stderr", name, &outcome.stderr).await?;
    for output in &outcome.outputs {
        let extension = if output.media_type.ends_with("json") {
            "json"
        } else {
            "out"
        };
        let file_name = format!("{name}-{}.{extension}", output.name);
        keep_file(bench, "report", file_name, &output.media_type, &output.path).await?;
    }
    let (exit_code, ended_by) = match outcome.end {
        ToolEnd::Exited(code) | ToolEnd::Unfinished(code) => (Some(code), "exited"),
        ToolEnd::Killed(_) => (None, "killed"),
        ToolEnd::TimedOut { .. } => (None, "timed_out"),
        ToolEnd::OutputLimit { .. } => (None, "output_limit"),
        ToolEnd::ProcessLimit { .. } => (None, "process_limit"),
        ToolEnd::MemoryLimit { .. } => (None, "memory_limit"),
        ToolEnd::Cancelled => (None, "cancelled"),
    };
    bench.kept.executions.push(ToolExecution {
        id: ToolExecutionId::fresh(),
        task_id: bench.of.task,
        attempt: bench.of.attempt,
        tool: name.clone(),
        tool_version: Some(tool.version.clone()),
        args: outcome.argv.clone(),
        exit_code,
        ended_by: ended_by.to_owned(),
        started_at: outcome.started_at,
        finished_at: outcome.finished_at,
        stdout_ref,
        stderr_ref,
        metrics: json!({
            "cpuSeconds": outcome.cpu_seconds,
            "memoryBytesPeak": outcome.memory_bytes_peak,
            "stdoutBytes": outcome.stdout.bytes,
            "stderrBytes": outcome.stderr.bytes,
        }),
    });
    Ok(())
}

async fn keep_stream(
    bench: &mut Bench,
    kind: &str,
    tool: &str,
    stream: &Captured,
) -> Result<Option<ArtifactId>, Failure> {
    if stream.bytes == 0 {
        return Ok(None);
    }
    let id = keep_file(
        bench,
        kind,
        format!("{tool}-{kind}.txt"),
        "text/plain; charset=utf-8",
        &stream.path,
    )
    .await?;
    Ok(Some(id))
}

/// Puts a file into the object store and notes its row.
pub(crate) async fn keep_file(
    bench: &mut Bench,
    kind: &str,
    name: String,
    media_type: &str,
    path: &Path,
) -> Result<ArtifactId, Failure> {
    let blob = bench
        .platform
        .blobs
        .put_file(&bench.of.scope, BlobKind::Artifact, path, ARTIFACT_BYTES_MAX)
        .await?;
    let id = ArtifactId::fresh();
    bench.kept.artifacts.push(NewArtifact {
        id,
        kind: kind.to_owned(),
        name,
        media_type: media_type.to_owned(),
        blob: stored(&blob),
    });
    Ok(id)
}

pub(crate) fn stored(blob: &Blob) -> StoredBlob {
    StoredBlob {
        storage_path: blob.key.to_string(),
        hash: blob.key.hash(),
        size_bytes: blob.size_bytes,
    }
}
