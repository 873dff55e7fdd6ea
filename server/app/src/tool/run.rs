//! One run of one tool, from its arguments to what it left behind.
//!
//! The run ends when the tool does, or when it oversteps a limit, or when the caller cancels or drops
//! it; in every case the whole process tree is gone before the outcome is handed back (on drop it is
//! killed and the system cleans up). The scratch folder is the caller's, must be empty, and holds
//! `stdout.txt`, `stderr.txt` and `out/NAME` afterwards.
//!
//! Not here: the box itself (`boxed`), and what a report means (plugins).

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use rustix::fs::OFlags;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::arguments::{self, ArgumentError, Places};
use super::boxed::{self, BoxPlan, Bubblewrap};
use super::capture::Streams;
use super::catalogue::Limits;
use super::door::NetworkTarget;
use super::groundwork::{
    Door, OUTPUTS_MAX, STDOUT, find_files, open_door, prepare_masks, prepare_outputs, write_settings,
};
use super::outcome::{Captured, OutputFile, OutputPart, ToolEnd, ToolOutcome, Verdict, Written, verdict};
use super::probe::Tool;
use super::spawn::spawn;
use super::tree::{Sample, Tree};

/// Between two looks at a box's processes and memory.
const WATCH_MILLISECONDS: u64 = 100;
/// Between two looks for a box that is being made, which takes a few milliseconds.
const BIRTH_MILLISECONDS: u64 = 2;
/// For a killed tree to be gone; longer means that the kernel itself is stuck on it.
const DEATH_SECONDS_MAX: u32 = 10;
/// Signals of Linux; shells and bubblewrap report one as 128 plus its number.
const SIGNAL_MAX: i32 = 64;
/// Of a box's own complaint, which is one line.
const COMPLAINT_BYTES_MAX: u64 = 500;

/// One run to be made.
#[derive(Debug, Clone, Copy)]
pub struct ToolRequest<'a> {
    /// The plugin's arguments, with placeholders.
    pub args: &'a [String],
    /// The files that the tool is to write.
    pub outputs: &'a [ToolOutput],
    /// The folder to scan, or the one file.
    pub target: Option<&'a Path>,
    /// What to call, for tools that call their targets.
    pub network: Option<&'a NetworkTarget>,
    /// A file or folder of rules.
    pub rules: Option<&'a Path>,
    /// An empty folder for what the tool writes.
    pub scratch: &'a Path,
    /// Ends the run early.
    pub cancel: &'a CancellationToken,
}

/// A file that the tool is to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// The NAME of `${out.NAME}`; `stdout` is the tool's own stdout.
    pub name: String,
    /// As the plugin declares it.
    pub media_type: String,
}

/// No run was made, or nothing can be said about it.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The plugin's arguments are not allowed.
    #[error("arguments for {tool}: {source}")]
    Arguments {
        /// The tool.
        tool: String,
        /// The rule that they break.
        source: ArgumentError,
    },
    /// An output's name is not a plain word of its own, or there are too many.
    #[error("outputs for {tool}: {name:?} is not a plain word of its own, or one of more than {OUTPUTS_MAX}")]
    Outputs {
        /// The tool.
        tool: String,
        /// The name.
        name: String,
    },
    /// It calls its target, and the task has none.
    #[error("{tool} calls its target, and this task has none that can be called")]
    NoTarget {
        /// The tool.
        tool: String,
    },
    /// The tree holds no file that it reads.
    #[error("nothing in the upload is of a kind that {tool} reads ({wanted})")]
    NothingToRead {
        /// The tool.
        tool: String,
        /// The catalogue's globs.
        wanted: String,
    },
    /// The tree has more files that steer the tool than can be masked.
    #[error("the upload has too many files that would steer {tool}, more than can be kept from it")]
    TooManySettings {
        /// The tool.
        tool: String,
    },
    /// The box could not be made.
    #[error("the box for {tool} could not be made: {complaint}")]
    Box {
        /// The tool.
        tool: String,
        /// What bubblewrap said.
        complaint: String,
    },
    /// The scratch folder or the system failed.
    #[error("running {tool}: {doing}")]
    System {
        /// The tool.
        tool: String,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Runs `tool` once.
///
/// # Errors
/// When no run could be made: arguments or outputs that are not allowed, no box, a scratch folder
/// that is not empty or cannot be written. How a run *ended* is in the outcome.
pub async fn run(tool: &Tool, request: ToolRequest<'_>) -> Result<ToolOutcome, ToolError> {
    let name = &tool.entry.name;
    let found = find_files(tool, request).await?;
    let outputs = prepare_outputs(name, request).await?;
    let settings = write_settings(tool, request.scratch)?;
    let masks = prepare_masks(tool, request).await?;
    let door = open_door(tool, request)?;
    let names: Vec<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
    let places = Places {
        target: request
            .target
            .map(|target| if target.is_file() { boxed::CAPTURE } else { "." }),
        network: request.network.filter(|_| door.is_some()),
        files: &found.files,
        rules: request.rules.map(boxed::rules_place),
        outputs: &names,
    };
    let arguments =
        arguments::fill(&tool.entry, request.args, places).map_err(|source| ToolError::Arguments {
            tool: name.clone(),
            source,
        })?;
    let plan = BoxPlan {
        program: &tool.binary,
        arguments: &arguments,
        environment: &tool.environment(),
        read_only: &tool.read_only(),
        target: request.target,
        rules: request.rules,
        settings: settings.as_deref(),
        masks: &masks,
        outputs: &outputs,
        door: door.as_ref().map(|door| door.folder.as_path()),
        limits: &tool.entry.limits,
    };
    let stage = Stage {
        tool: name,
        boxed: &tool.boxed,
        scratch: request.scratch,
        cancel: request.cancel,
    };
    let mut outcome = execute(stage, &plan, door.as_ref()).await?;
    outcome.files_are_cut = found.is_cut;
    demand_completion(tool, &mut outcome).await?;
    settle(tool, request.outputs, &outputs, &mut outcome)?;
    Ok(outcome)
}

/// What every run needs besides its box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage<'a> {
    pub(super) tool: &'a str,
    pub(super) boxed: &'a Bubblewrap,
    pub(super) scratch: &'a Path,
    pub(super) cancel: &'a CancellationToken,
}

/// Runs `plan` to its end and captures its streams; the verdict is still `Failed`.
pub(super) async fn execute(
    stage: Stage<'_>,
    plan: &BoxPlan<'_>,
    door: Option<&Door>,
) -> Result<ToolOutcome, ToolError> {
    let Stage {
        tool,
        boxed,
        scratch,
        cancel,
    } = stage;
    let system = |doing| {
        move |source| ToolError::System {
            tool: tool.to_owned(),
            doing,
            source,
        }
    };
    let started_at = Utc::now();
    let command = match door {
        Some(door) => boxed.command_with_door(plan, &door.reach),
        None => Ok(boxed.command(plan)),
    };
    let child = spawn(command.map_err(system("making its door"))?).await;
    let mut child = child.map_err(system("starting its box"))?;
    let streams = Streams::listen(&mut child, scratch, plan.limits.stream_bytes);
    let mut streams = streams.map_err(system("reading its streams"))?;
    let mut watched = Watched::default();
    let stopped = tokio::select! {
        stopped = stop(&mut child, &mut streams, &mut watched, plan.limits, cancel) => stopped,
        limit_bytes = overflowed(door) => Ok(ToolEnd::TrafficLimit { limit_bytes }),
    };
    bury(tool, &mut child, watched.tree.as_ref()).await;
    let end = stopped.map_err(system("waiting for it"))?;
    // All writers are gone, so the streams have ended; only their last bytes may be on their way.
    let kept = timeout(death_time(), streams.kept()).await;
    let kept = kept.unwrap_or_else(|late| Err(io::Error::new(io::ErrorKind::TimedOut, late)));
    let (stdout, stderr) = kept.map_err(system("keeping its streams"))?;
    let end = overstepped(end, [&stdout, &stderr], plan.limits);
    if let (ToolEnd::Exited(1), Some(complaint)) = (&end, complaint_of_the_box(&stderr).await) {
        return Err(ToolError::Box {
            tool: tool.to_owned(),
            complaint,
        });
    }
    let program = plan.program.display().to_string();
    Ok(ToolOutcome {
        end,
        verdict: Verdict::Failed,
        argv: std::iter::once(program)
            .chain(plan.arguments.iter().cloned())
            .collect(),
        started_at,
        finished_at: Utc::now(),
        stdout,
        stderr,
        outputs: Vec::new(),
        traffic: door.map(|door| door.outside.traffic()),
        files_are_cut: false,
        memory_bytes_peak: watched.peak.memory_bytes,
        cpu_seconds: watched.peak.cpu_seconds,
    })
}

/// Waits for the first reason to end the run.
async fn stop(
    child: &mut Child,
    streams: &mut Streams,
    watched: &mut Watched,
    limits: &Limits,
    cancel: &CancellationToken,
) -> io::Result<ToolEnd> {
    let outer = child.id().unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(limits.wall_seconds);
    tokio::select! {
        () = cancel.cancelled() => Ok(ToolEnd::Cancelled),
        Some(part) = streams.overflow.recv() => {
            Ok(ToolEnd::OutputLimit { part, limit_bytes: limits.stream_bytes })
        }
        () = sleep_until(deadline) => Ok(ToolEnd::TimedOut { limit_seconds: limits.wall_seconds }),
        end = watch(outer, limits, watched) => Ok(end),
        status = child.wait() => status.map(ended_by_itself),
    }
}

/// Resolves when more than may went through the door; the limit.
async fn overflowed(door: Option<&Door>) -> u64 {
    match door {
        Some(door) => {
            door.outside.overflowed().await;
            door.outside.bytes_max()
        }
        None => std::future::pending().await,
    }
}

/// The pipe that was closed on a tool may have ended it before the limit was noticed.
fn overstepped(end: ToolEnd, [stdout, stderr]: [&Captured; 2], limits: &Limits) -> ToolEnd {
    let part = if stdout.truncated {
        OutputPart::Stdout
    } else if stderr.truncated {
        OutputPart::Stderr
    } else {
        return end;
    };
    match end {
        ToolEnd::Exited(_) | ToolEnd::Killed(_) => ToolEnd::OutputLimit {
            part,
            limit_bytes: limits.stream_bytes,
        },
        end => end,
    }
}

/// What was seen of a box while it ran.
#[derive(Debug, Default)]
struct Watched {
    tree: Option<Tree>,
    peak: Sample,
}

/// Looks at the box again and again; returns only when it oversteps a limit.
async fn watch(outer: u32, limits: &Limits, watched: &mut Watched) -> ToolEnd {
    loop {
        let Some(tree) = &watched.tree else {
            watched.tree = Tree::find(outer);
            sleep(Duration::from_millis(BIRTH_MILLISECONDS)).await;
            continue;
        };
        let sample = tree.sample(limits.processes);
        watched.peak.memory_bytes = watched.peak.memory_bytes.max(sample.memory_bytes);
        watched.peak.cpu_seconds = watched.peak.cpu_seconds.max(sample.cpu_seconds);
        if sample.processes > limits.processes {
            return ToolEnd::ProcessLimit {
                limit: limits.processes,
            };
        }
        if sample.memory_bytes > limits.memory_bytes {
            return ToolEnd::MemoryLimit {
                limit_bytes: limits.memory_bytes,
            };
        }
        sleep(Duration::from_millis(WATCH_MILLISECONDS)).await;
    }
}

/// Ends what is left of the box and waits until it is gone.
async fn bury(tool: &str, child: &mut Child, tree: Option<&Tree>) {
    let gone = match tree {
        Some(tree) => {
            tree.kill();
            tree.ended(i64::from(DEATH_SECONDS_MAX)).await
        }
        None => true,
    };
    // The process outside the box; fails only if it has been waited for already.
    let outside = timeout(death_time(), child.kill()).await;
    if !gone || outside.is_err() {
        tracing::error!(tool, "a killed tool is still there after {DEATH_SECONDS_MAX} s");
    }
}

fn death_time() -> Duration {
    Duration::from_secs(DEATH_SECONDS_MAX.into())
}

fn ended_by_itself(status: std::process::ExitStatus) -> ToolEnd {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    match code {
        Some(code) if (129..=128 + SIGNAL_MAX).contains(&code) => ToolEnd::Killed(code - 128),
        code => ToolEnd::Exited(code.unwrap_or(-1)),
    }
}

/// Bubblewrap and prlimit also end with code 1, before the tool has started.
async fn complaint_of_the_box(stderr: &Captured) -> Option<String> {
    let mut text = Vec::new();
    let file = tokio::fs::File::open(&stderr.path).await.ok()?;
    file.take(COMPLAINT_BYTES_MAX).read_to_end(&mut text).await.ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let first = text.lines().next()?;
    ["bwrap: ", "prlimit: ", "door: "]
        .iter()
        .any(|who| first.starts_with(who))
        .then(|| first.to_owned())
}

/// Some tools end with the same code when a rule was wrong and when their engine was killed, by the
/// scanned files perhaps; they are believed only if they say that they came to their end.
async fn demand_completion(tool: &Tool, outcome: &mut ToolOutcome) -> Result<(), ToolError> {
    let (Some(completion), ToolEnd::Exited(code)) = (&tool.entry.completion, &outcome.end) else {
        return Ok(());
    };
    let said = tokio::fs::read(&outcome.stderr.path)
        .await
        .map_err(|source| ToolError::System {
            tool: tool.entry.name.clone(),
            doing: "reading its stderr",
            source,
        })?;
    if !String::from_utf8_lossy(&said).contains(completion.as_str()) {
        outcome.end = ToolEnd::Unfinished(*code);
    }
    Ok(())
}

/// Looks at the outputs and says what the run is worth.
fn settle(
    tool: &Tool,
    asked: &[ToolOutput],
    files: &[(String, PathBuf)],
    outcome: &mut ToolOutcome,
) -> Result<(), ToolError> {
    let limit_bytes = tool.entry.limits.file_bytes;
    for output in asked {
        let (path, bytes) = if output.name == STDOUT {
            (outcome.stdout.path.clone(), outcome.stdout.bytes)
        } else {
            let Some((_, path)) = files.iter().find(|(name, _)| *name == output.name) else {
                continue;
            };
            let bytes = regular_file_bytes(path).map_err(|source| ToolError::System {
                tool: tool.entry.name.clone(),
                doing: "looking at its outputs",
                source,
            })?;
            (path.clone(), bytes)
        };
        if bytes >= limit_bytes {
            outcome.end = ToolEnd::OutputLimit {
                part: OutputPart::File(output.name.clone()),
                limit_bytes,
            };
        }
        if bytes > 0 {
            outcome.outputs.push(OutputFile {
                name: output.name.clone(),
                media_type: output.media_type.clone(),
                path,
                bytes,
            });
        }
    }
    let written = match outcome.outputs.len() {
        0 if asked.is_empty() && outcome.stdout.bytes > 0 => Written::All,
        0 => Written::Nothing,
        written if written == asked.len() => Written::All,
        _ => Written::Some,
    };
    outcome.verdict = verdict(&tool.entry.exit_codes, &outcome.end, written);
    Ok(())
}

/// The size of `path`, which must still be the regular file that was mounted into the box.
fn regular_file_bytes(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        Err(io::Error::other("an output is not a regular file any more"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_or_a_folder_is_not_an_output() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("file");
        let link = folder.path().join("link");
        std::fs::write(&file, "abc").expect("file");
        std::os::unix::fs::symlink(&file, &link).expect("link");
        assert_eq!(regular_file_bytes(&file).expect("file"), 3);
        assert!(regular_file_bytes(&link).is_err());
        assert!(regular_file_bytes(folder.path()).is_err());
    }
}
