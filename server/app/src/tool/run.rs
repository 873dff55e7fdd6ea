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

use chrono::{DateTime, Utc};
use rustix::fs::OFlags;
use tamiz_core::refusal::{Refusal, RefusalCode};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::arguments::{self, ArgumentError, Places};
use super::boxed::{self, BoxPlan, Bubblewrap};
use super::capture::capture;
use super::catalogue::{ExitCodes, Limits, is_word};
use super::probe::Tool;
use super::spawn::spawn;
use super::tree::{Sample, Tree};

/// Outputs of one run: one report, or a few of a tool that writes several.
const OUTPUTS_MAX: usize = 16;
/// Between two looks at a box's processes and memory.
const WATCH_MILLISECONDS: u64 = 100;
/// Between two looks for a box that is being made, which takes a few milliseconds.
const BIRTH_MILLISECONDS: u64 = 2;
/// For a killed tree to be gone; longer means that the kernel itself is stuck on it.
const DEATH_SECONDS_MAX: u32 = 10;
/// Signals of Linux; shells and bubblewrap report one as 128 plus its number.
const SIGNAL_MAX: i32 = 64;
/// Of a box's own complaint, which is one line.
const COMPLAINT_BYTES_MAX: usize = 500;

/// One run to be made.
#[derive(Debug, Clone, Copy)]
pub struct ToolRequest<'a> {
    /// The plugin's arguments, with placeholders.
    pub args: &'a [String],
    /// The files that the tool is to write.
    pub outputs: &'a [ToolOutput],
    /// The folder to scan.
    pub target: Option<&'a Path>,
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
    /// The NAME of `${out.NAME}`.
    pub name: String,
    /// As the plugin declares it.
    pub media_type: String,
}

/// What one run left behind.
#[derive(Debug, Clone)]
pub struct ToolOutcome {
    /// How it ended.
    pub end: ToolEnd,
    /// What that means by the catalogue.
    pub verdict: Verdict,
    /// The program and its arguments, with paths as they are inside the box.
    pub argv: Vec<String>,
    /// When the box was asked for.
    pub started_at: DateTime<Utc>,
    /// When the last process was gone.
    pub finished_at: DateTime<Utc>,
    /// Its stdout, which may be cut.
    pub stdout: Captured,
    /// Its stderr, which may be cut.
    pub stderr: Captured,
    /// The outputs that are there and not empty, in the order asked for.
    pub outputs: Vec<OutputFile>,
    /// The most memory that all its processes were seen to use at once; 0 if it was too quick to see.
    pub memory_bytes_peak: u64,
    /// Processor time as last seen, so a little less than the truth.
    pub cpu_seconds: f64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolEnd {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal, its own doing or that of a limit on address space, processor time or files.
    Killed(i32),
    /// At the limit on the clock on the wall.
    TimedOut {
        /// The limit.
        limit_seconds: u64,
    },
    /// It wrote more than it may.
    OutputLimit {
        /// Where.
        part: OutputPart,
        /// The limit.
        limit_bytes: u64,
    },
    /// It had too many processes.
    ProcessLimit {
        /// The limit.
        limit: u64,
    },
    /// All its processes together used too much memory.
    MemoryLimit {
        /// The limit.
        limit_bytes: u64,
    },
    /// The caller did not want it any more.
    Cancelled,
}

/// Something that a tool writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPart {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
    /// An output file, by its name.
    File(String),
}

/// Whether a tool did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did, and wrote all its outputs.
    Ran,
    /// It did some of it: what its report holds counts, what is absent proves nothing.
    RanPartly,
    /// It did not: nothing that it wrote is a result.
    Failed,
}

/// A captured stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The file.
    pub path: PathBuf,
    /// In the file.
    pub bytes: u64,
    /// Whether the tool wrote more than the limit.
    pub truncated: bool,
}

/// A file that the tool wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// The output's name.
    pub name: String,
    /// As the plugin declared it.
    pub media_type: String,
    /// A regular file in the scratch folder.
    pub path: PathBuf,
    /// Its size, never 0.
    pub bytes: u64,
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

impl ToolOutcome {
    /// Why this run has no full result, as a refusal for people and programs; `None` if it ran.
    pub fn problem(&self, tool: &str) -> Option<Refusal> {
        let code = match &self.end {
            _ if self.verdict == Verdict::Ran => return None,
            ToolEnd::TimedOut { .. } => RefusalCode::ToolTimeout,
            ToolEnd::OutputLimit { .. } | ToolEnd::ProcessLimit { .. } | ToolEnd::MemoryLimit { .. } => {
                RefusalCode::ToolLimit
            }
            ToolEnd::Exited(_) | ToolEnd::Killed(_) | ToolEnd::Cancelled => RefusalCode::ToolFailed,
        };
        let what = if self.verdict == Verdict::RanPartly {
            "did only a part of its work"
        } else {
            "did not do its work"
        };
        Some(Refusal::new(code, format!("{tool} {what}: {}", self.end)))
    }
}

impl std::fmt::Display for ToolEnd {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(0) => write!(
                formatter,
                "it ended with exit code 0 but did not write its report"
            ),
            Self::Exited(code) => write!(formatter, "it ended with exit code {code}"),
            Self::Killed(signal) => write!(formatter, "it was killed by signal {signal}"),
            Self::TimedOut { limit_seconds } => {
                write!(formatter, "it was ended after the limit of {limit_seconds} s")
            }
            Self::OutputLimit { part, limit_bytes } => {
                let part = match part {
                    OutputPart::Stdout => "stdout",
                    OutputPart::Stderr => "stderr",
                    OutputPart::File(name) => name,
                };
                write!(formatter, "it wrote more than {limit_bytes} bytes to {part}")
            }
            Self::ProcessLimit { limit } => write!(formatter, "it had more than {limit} processes"),
            Self::MemoryLimit { limit_bytes } => {
                write!(formatter, "it used more than {limit_bytes} bytes of memory")
            }
            Self::Cancelled => write!(formatter, "it was cancelled"),
        }
    }
}

/// Runs `tool` once.
///
/// # Errors
/// When no run could be made: arguments or outputs that are not allowed, no box, a scratch folder
/// that is not empty or cannot be written. How a run *ended* is in the outcome.
pub async fn run(tool: &Tool, request: ToolRequest<'_>) -> Result<ToolOutcome, ToolError> {
    let name = &tool.entry.name;
    let outputs = prepare_outputs(name, request).await?;
    let names: Vec<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
    let places = Places {
        target: request.target.is_some(),
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
        outputs: &outputs,
        network: tool.entry.network,
        limits: &tool.entry.limits,
    };
    let mut outcome = execute(name, &tool.boxed, &plan, request.scratch, request.cancel).await?;
    settle(tool, request.outputs, &outputs, &mut outcome)?;
    Ok(outcome)
}

/// Makes the empty files that the box mounts as outputs.
async fn prepare_outputs(tool: &str, request: ToolRequest<'_>) -> Result<Vec<(String, PathBuf)>, ToolError> {
    let system = |source| ToolError::System {
        tool: tool.to_owned(),
        doing: "making its output files",
        source,
    };
    let folder = request.scratch.join("out");
    tokio::fs::create_dir(&folder).await.map_err(system)?;
    let mut outputs: Vec<(String, PathBuf)> = Vec::with_capacity(request.outputs.len());
    for ToolOutput { name, .. } in request.outputs {
        if !is_word(name) || outputs.len() == OUTPUTS_MAX || outputs.iter().any(|(other, _)| other == name) {
            return Err(ToolError::Outputs {
                tool: tool.to_owned(),
                name: name.clone(),
            });
        }
        let path = folder.join(name);
        tokio::fs::File::create_new(&path).await.map_err(system)?;
        outputs.push((name.clone(), path));
    }
    Ok(outputs)
}

/// Runs `plan` to its end and captures its streams; the verdict is still `Failed`.
pub(super) async fn execute(
    tool: &str,
    boxed: &Bubblewrap,
    plan: &BoxPlan<'_>,
    scratch: &Path,
    cancel: &CancellationToken,
) -> Result<ToolOutcome, ToolError> {
    let system = |doing| {
        move |source| ToolError::System {
            tool: tool.to_owned(),
            doing,
            source,
        }
    };
    let limits = plan.limits;
    let started_at = Utc::now();
    let mut child = spawn(boxed.command(plan))
        .await
        .map_err(system("starting its box"))?;
    let (over, mut overflow) = mpsc::channel(2);
    let piped = || io::Error::other("a stream of the box is not piped");
    let stdout = child
        .stdout
        .take()
        .ok_or_else(piped)
        .map_err(system("reading its stdout"))?;
    let stderr = child
        .stderr
        .take()
        .ok_or_else(piped)
        .map_err(system("reading its stderr"))?;
    let streams = limits.stream_bytes;
    let file = |name: &str| scratch.join(name);
    let stdout = capture(
        stdout,
        file("stdout.txt"),
        streams,
        OutputPart::Stdout,
        over.clone(),
    );
    let stderr = capture(stderr, file("stderr.txt"), streams, OutputPart::Stderr, over);
    let stdout = AbortOnDropHandle::new(tokio::spawn(stdout));
    let stderr = AbortOnDropHandle::new(tokio::spawn(stderr));

    let mut watched = Watched::default();
    let outer = child.id().unwrap_or_default();
    let stopped = tokio::select! {
        () = cancel.cancelled() => Ok(ToolEnd::Cancelled),
        Some(part) = overflow.recv() => Ok(ToolEnd::OutputLimit { part, limit_bytes: streams }),
        () = sleep_until(Instant::now() + Duration::from_secs(limits.wall_seconds)) => {
            Ok(ToolEnd::TimedOut { limit_seconds: limits.wall_seconds })
        }
        end = watch(outer, limits, &mut watched) => Ok(end),
        status = child.wait() => status.map(ended_by_itself),
    };
    bury(tool, &mut child, watched.tree.as_ref()).await;
    let mut end = stopped.map_err(system("waiting for it"))?;
    let stdout = captured(stdout).await.map_err(system("keeping its stdout"))?;
    let stderr = captured(stderr).await.map_err(system("keeping its stderr"))?;
    for (stream, part) in [(&stdout, OutputPart::Stdout), (&stderr, OutputPart::Stderr)] {
        // The pipe that was closed on it may have ended it before the limit was noticed here.
        if stream.truncated && matches!(end, ToolEnd::Exited(_) | ToolEnd::Killed(_)) {
            end = ToolEnd::OutputLimit {
                part,
                limit_bytes: streams,
            };
        }
    }
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
        memory_bytes_peak: watched.peak.memory_bytes,
        cpu_seconds: watched.peak.cpu_seconds,
    })
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

async fn captured(stream: AbortOnDropHandle<io::Result<Captured>>) -> io::Result<Captured> {
    // All writers are gone, so the stream has ended; only its last bytes may still be on their way.
    match timeout(death_time(), stream).await {
        Ok(joined) => joined.map_err(io::Error::other)?,
        Err(late) => Err(io::Error::new(io::ErrorKind::TimedOut, late)),
    }
}

/// Bubblewrap and prlimit also end with code 1, before the tool has started.
async fn complaint_of_the_box(stderr: &Captured) -> Option<String> {
    let text = tokio::fs::read(&stderr.path).await.ok()?;
    let text = String::from_utf8_lossy(&text[..text.len().min(COMPLAINT_BYTES_MAX)]).into_owned();
    let first = text.lines().next()?;
    (first.starts_with("bwrap: ") || first.starts_with("prlimit: ")).then(|| first.to_owned())
}

/// Looks at the outputs and says what the run is worth.
fn settle(
    tool: &Tool,
    asked: &[ToolOutput],
    files: &[(String, PathBuf)],
    outcome: &mut ToolOutcome,
) -> Result<(), ToolError> {
    let limit_bytes = tool.entry.limits.file_bytes;
    for (output, (_, path)) in asked.iter().zip(files) {
        let bytes = regular_file_bytes(path).map_err(|source| ToolError::System {
            tool: tool.entry.name.clone(),
            doing: "looking at its outputs",
            source,
        })?;
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
                path: path.clone(),
                bytes,
            });
        }
    }
    let written = if asked.is_empty() {
        outcome.stdout.bytes > 0
    } else {
        outcome.outputs.len() == asked.len()
    };
    outcome.verdict = verdict(&tool.entry.exit_codes, &outcome.end, written);
    Ok(())
}

/// An output that was not written is not an empty result.
fn verdict(codes: &ExitCodes, end: &ToolEnd, written: bool) -> Verdict {
    match end {
        ToolEnd::Exited(code) if written && codes.ran.contains(code) => Verdict::Ran,
        ToolEnd::Exited(code) if written && codes.partly.contains(code) => Verdict::RanPartly,
        _ => Verdict::Failed,
    }
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
    fn an_exit_code_counts_only_with_a_report() {
        let codes = ExitCodes {
            ran: vec![0, 1],
            partly: vec![2],
        };
        for (end, written, expected) in [
            (ToolEnd::Exited(0), true, Verdict::Ran),
            (ToolEnd::Exited(1), true, Verdict::Ran),
            (ToolEnd::Exited(0), false, Verdict::Failed),
            (ToolEnd::Exited(2), true, Verdict::RanPartly),
            (ToolEnd::Exited(2), false, Verdict::Failed),
            (ToolEnd::Exited(7), true, Verdict::Failed),
            (ToolEnd::Killed(9), true, Verdict::Failed),
            (ToolEnd::TimedOut { limit_seconds: 1 }, true, Verdict::Failed),
        ] {
            assert_eq!(verdict(&codes, &end, written), expected, "{end:?} {written}");
        }
    }

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
