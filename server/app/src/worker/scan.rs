//! Running the tools that a plugin planned, and keeping what they wrote.

use std::path::{Path, PathBuf};

use serde_json::json;
use tamiz_core::progress::Phase;
use tamiz_core::{ArtifactId, LogLevel, Refusal, RefusalCode, ToolExecutionId};
use tamiz_host::ToolRun;
use tamiz_store::artifact::NewArtifact;
use tamiz_store::tool_execution::ToolExecution;
use tamiz_store::worker_log::LineLevel;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::attempt::{Bench, diagnostic};
use super::failure::Failure;
use super::logbook::command_line;
use super::target::judge_again;
use crate::tool::{
    self, Captured, NetworkTarget, Tool, ToolEnd, ToolError, ToolOutcome, ToolOutput, ToolRequest, Traffic,
    Verdict,
};

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

/// What tools work on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Target<'a> {
    /// The unpacked upload, or the uploaded capture.
    pub(crate) files: Option<&'a Path>,
    /// The rules.
    pub(crate) rules: Option<&'a Path>,
    /// What their uploader calls them; none for the operator's.
    pub(crate) rules_name: Option<&'a str>,
    /// What is called.
    pub(crate) network: Option<&'a NetworkTarget>,
}

/// Runs the planned tools one after the other; answers their reports.
///
/// A tool that is not here, or fails, costs its own report only, as long as another one brings one;
/// what is missing then is told in `bench`.
pub(crate) async fn run_tools(
    bench: &mut Bench,
    runs: &[ToolRun],
    target: Target<'_>,
) -> Result<Vec<Report>, Failure> {
    let planned = available(bench, runs)?;
    let mut reports = Vec::new();
    let mut failures = Vec::new();
    for (index, (tool, run)) in planned.iter().enumerate() {
        let count = if planned.len() > 1 {
            format!(" ({} of {})", index + 1, planned.len())
        } else {
            String::new()
        };
        bench.reporter.phase(
            Phase::Scanning,
            format!("running {}{count}", named(&run.tool, tool)),
        );
        if let Some(called) = target.network {
            judge_again(bench, called).await?;
        }
        let scratch = bench.scratch.path(&format!("run-{index}"));
        std::fs::create_dir(&scratch)?;
        bench.log.info(format!(
            "starting {}",
            command_line(&named(&run.tool, tool), &run.args)
        ));
        let judged = match run_one(bench, tool, run, target, &scratch).await? {
            Ended::Ran(outcome) => {
                note_run(bench, &run.tool, &outcome);
                let kept = keep(bench, tool, &outcome).await?;
                judge(bench, &run.tool, &outcome, target.rules_name).map(|()| reports.extend(kept))
            }
            Ended::Nothing(message) => {
                bench
                    .notes
                    .push(diagnostic(LogLevel::Info, "tool-nothing-to-read", message));
                Ok(())
            }
            Ended::Failed(failure) => Err(failure),
        };
        match judged {
            Err(Failure::Stopped) => return Err(Failure::Stopped),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    if reports.is_empty() {
        let nothing = || Failure::refused(RefusalCode::ToolFailed, "no tool found anything to read");
        return Err(failures.into_iter().next().unwrap_or_else(nothing));
    }
    for failure in failures {
        bench.gaps.tool_failed = true;
        let level = LogLevel::Error;
        bench
            .notes
            .push(diagnostic(level, "tool-failed", failure.to_string()));
    }
    Ok(reports)
}

/// Says how a run ended, with the arguments as the tool got them.
fn note_run(bench: &Bench, name: &str, outcome: &ToolOutcome) {
    let lasted = (outcome.finished_at - outcome.started_at).as_seconds_f64();
    let program = outcome.argv.first().map_or(name, String::as_str);
    let ran = command_line(program, outcome.argv.get(1..).unwrap_or_default());
    let level = match outcome.verdict {
        Verdict::Ran => LineLevel::Info,
        Verdict::RanPartly => LineLevel::Warn,
        Verdict::InputRefused | Verdict::Failed => LineLevel::Error,
    };
    let said = outcome.stderr.bytes;
    let message = format!(
        "{name} ended after {lasted:.1} s: {}; it wrote {said} bytes to stderr; it ran as {ran}",
        outcome.end
    );
    bench.log.say(level, &message);
}

/// A tool's name and its version, if it tells one.
fn named(name: &str, tool: &Tool) -> String {
    let version = tool.version.iter().map(|version| format!(" {version}"));
    std::iter::once(name.to_owned()).chain(version).collect()
}

/// The planned runs whose tools are here. The others are told, or refused if there is none.
fn available<'a>(bench: &mut Bench, runs: &'a [ToolRun]) -> Result<Vec<(Tool, &'a ToolRun)>, Failure> {
    let mut planned = Vec::new();
    let mut missing = Vec::new();
    for run in runs {
        if let Some(tool) = bench.inventory.tool(&run.tool) {
            planned.push((tool.clone(), run));
        } else {
            missing.push(absence(bench, run));
        }
    }
    if planned.is_empty() {
        let message = if missing.is_empty() {
            "the plugin plans no tool for such a target".to_owned()
        } else {
            missing.join("; ")
        };
        return Err(Failure::refused(RefusalCode::ToolUnavailable, message));
    }
    for message in missing {
        bench
            .notes
            .push(diagnostic(LogLevel::Warn, "tool-unavailable", message));
    }
    Ok(planned)
}

fn absence(bench: &Bench, run: &ToolRun) -> String {
    let reason = bench.inventory.missing(&run.tool);
    let reason = reason.map_or("the catalogue does not have it", |tool| &tool.reason);
    format!("{} cannot run on this worker: {reason}", run.tool)
}

/// Of runs that only add to what is read anyway, those whose tools are here; the others are told.
pub(crate) fn those_here(bench: &mut Bench, mut runs: Vec<ToolRun>) -> Vec<ToolRun> {
    let mut missing = Vec::new();
    runs.retain(|run| {
        let is_here = bench.inventory.tool(&run.tool).is_some();
        if !is_here {
            missing.push(absence(bench, run));
        }
        is_here
    });
    for message in missing {
        bench
            .notes
            .push(diagnostic(LogLevel::Info, "tool-unavailable", message));
    }
    runs
}

/// What became of one planned run.
enum Ended {
    Ran(Box<ToolOutcome>),
    /// The upload holds nothing for this tool.
    Nothing(String),
    /// No run was made.
    Failed(Failure),
}

async fn run_one(
    bench: &Bench,
    tool: &Tool,
    run: &ToolRun,
    target: Target<'_>,
    scratch: &Path,
) -> Result<Ended, Failure> {
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
        target: target.files,
        network: target.network,
        rules: target.rules,
        scratch,
        cancel: &bench.stop.token,
    };
    let mut running = std::pin::pin!(tool::run(tool, request));
    let began = Instant::now();
    let mut ticks = interval_at(began + STILL_RUNNING_PAUSE, STILL_RUNNING_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            outcome = &mut running => return Ok(match outcome {
                Ok(outcome) => Ended::Ran(Box::new(outcome)),
                Err(error @ ToolError::NothingToRead { .. }) => Ended::Nothing(error.to_string()),
                Err(error) => Ended::Failed(wrong_run(&run.tool, error)),
            }),
            _ = ticks.tick() => {
                let seconds = began.elapsed().as_secs().cast_signed();
                let message = format!("{} has been running for {seconds} s", run.tool);
                bench.reporter.count(Phase::Scanning, message, seconds, None);
            }
        }
    }
}

fn wrong_run(name: &str, error: ToolError) -> Failure {
    match error {
        ToolError::Arguments { .. }
        | ToolError::Outputs { .. }
        | ToolError::NoTarget { .. }
        | ToolError::NothingToRead { .. } => Failure::refused(RefusalCode::PluginFailed, error.to_string()),
        ToolError::TooManySettings { .. } => Failure::refused(RefusalCode::ToolFailed, error.to_string()),
        ToolError::Box { .. } | ToolError::System { .. } => {
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
    if let Some(traffic) = &outcome.traffic {
        judge_traffic(bench, name, traffic)?;
    }
    if outcome.files_are_cut {
        bench.gaps.tool_failed = true;
        let message = format!("{name} was given only a part of the upload's files: there are too many");
        bench
            .notes
            .push(diagnostic(LogLevel::Warn, "files-left-out", message));
    }
    let Some(problem) = outcome.problem(name) else {
        return Ok(());
    };
    match (&outcome.verdict, &outcome.end) {
        (Verdict::RanPartly, ToolEnd::TimedOut { .. } | ToolEnd::TrafficLimit { .. }) => {
            let code = if matches!(outcome.end, ToolEnd::TimedOut { .. }) {
                "tool-timed-out"
            } else {
                "tool-traffic-limit"
            };
            bench
                .notes
                .push(diagnostic(LogLevel::Warn, code, problem.message.clone()));
            bench.gaps.report_cut.get_or_insert(problem);
            Ok(())
        }
        (Verdict::RanPartly | Verdict::Ran, _) => {
            bench.gaps.ran_partly = true;
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

/// A tool that heard nothing from its target found nothing out, whatever it reports.
fn judge_traffic(bench: &mut Bench, name: &str, traffic: &Traffic) -> Result<(), Failure> {
    if !traffic.refused.is_empty() {
        let times = |(what, count): (&String, &u64)| format!("{what} ({count} times)");
        let refused: Vec<String> = traffic.refused.iter().map(times).collect();
        let message = format!("{name} also asked for {} and did not get it", refused.join(", "));
        bench
            .notes
            .push(diagnostic(LogLevel::Info, "door-refused", message));
    }
    if traffic.bytes_received > 0 {
        return Ok(());
    }
    let why = traffic
        .first_failure
        .as_deref()
        .unwrap_or("it made no connection");
    let message = format!("{name} heard nothing from its target: {why}");
    Err(Failure::refused(RefusalCode::TargetUnreachable, message))
}

fn rules_refused(tool: &str, rules: &str, outcome: &ToolOutcome) -> Refusal {
    let said = outcome
        .stderr
        .first_line()
        .map_or_else(|| outcome.end.to_string(), |line| format!("it says {line:?}"));
    let message = format!("{rules:?}: {tool} cannot use these rules: {said}; its stderr has more");
    Refusal::new(RefusalCode::RulesInvalid, message)
}

/// Stores stdout, stderr and the reports, and notes the execution; answers the reports.
async fn keep(bench: &mut Bench, tool: &Tool, outcome: &ToolOutcome) -> Result<Vec<Report>, Failure> {
    let name = &tool.entry.name;
    let stdout_ref = keep_stream(bench, "stdout", name, &outcome.stdout).await?;
    let stderr_ref = keep_stream(bench, "stderr", name, &outcome.stderr).await?;
    let mut reports = Vec::new();
    for output in &outcome.outputs {
        let file_name = format!("{name}-{}.{}", output.name, extension(&output.media_type));
        let (media_type, path) = (&output.media_type, &output.path);
        match keep_file(bench, "report", file_name.clone(), media_type, path).await {
            // the run is noted all the same
            Err(Failure::Stopped) => break,
            kept => kept?,
        };
        reports.push(Report {
            name: file_name,
            media_type: output.media_type.clone(),
            path: output.path.clone(),
        });
    }
    let (exit_code, ended_by) = match outcome.end {
        ToolEnd::Exited(code) | ToolEnd::Unfinished(code) => (Some(code), "exited"),
        ToolEnd::Killed(_) => (None, "killed"),
        ToolEnd::TimedOut { .. } => (None, "timed_out"),
        ToolEnd::OutputLimit { .. } => (None, "output_limit"),
        ToolEnd::ProcessLimit { .. } => (None, "process_limit"),
        ToolEnd::MemoryLimit { .. } => (None, "memory_limit"),
        ToolEnd::TrafficLimit { .. } => (None, "traffic_limit"),
        ToolEnd::Cancelled => (None, "cancelled"),
    };
    let mut metrics = json!({
        "cpuSeconds": outcome.cpu_seconds,
        "memoryBytesPeak": outcome.memory_bytes_peak,
        "stdoutBytes": outcome.stdout.bytes,
        "stderrBytes": outcome.stderr.bytes,
    });
    if let Some(traffic) = &outcome.traffic {
        metrics["connections"] = traffic.connections.into();
        metrics["networkBytesSent"] = traffic.bytes_sent.into();
        metrics["networkBytesReceived"] = traffic.bytes_received.into();
    }
    bench.kept.executions.push(ToolExecution {
        id: ToolExecutionId::fresh(),
        task_id: bench.of.task,
        attempt: bench.of.attempt,
        tool: name.clone(),
        tool_version: tool.version.clone(),
        args: outcome.argv.clone(),
        exit_code,
        ended_by: ended_by.to_owned(),
        started_at: outcome.started_at,
        finished_at: outcome.finished_at,
        stdout_ref,
        stderr_ref,
        metrics,
    });
    Ok(reports)
}

/// What a file of this type is called.
fn extension(media_type: &str) -> &'static str {
    let words = [
        ("json", "json"),
        ("jsonl", "jsonl"),
        ("xml", "xml"),
        ("csv", "csv"),
        ("html", "html"),
    ];
    let known = words
        .into_iter()
        .rev()
        .find(|(word, _)| media_type.ends_with(word));
    known.map_or("out", |(_, extension)| extension)
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
    let (name, media_type) = (format!("{tool}-{kind}.txt"), "text/plain; charset=utf-8");
    match keep_file(bench, kind, name, media_type, &stream.path).await {
        // the run is noted all the same
        Err(Failure::Stopped) => Ok(None),
        kept => kept.map(Some),
    }
}

/// Puts a file into the object store and notes its row.
pub(crate) async fn keep_file(
    bench: &mut Bench,
    kind: &str,
    name: String,
    media_type: &str,
    path: &Path,
) -> Result<ArtifactId, Failure> {
    let putting = bench.desk.put_artifact(path, ARTIFACT_BYTES_MAX);
    let blob = bench.stop.unless_long_stopped(putting).await?;
    let id = ArtifactId::fresh();
    bench.kept.artifacts.push(NewArtifact {
        id,
        kind: kind.to_owned(),
        name,
        media_type: media_type.to_owned(),
        blob,
    });
    Ok(id)
}
