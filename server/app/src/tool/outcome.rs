//! What one run of a tool left behind, and what it is worth.
//!
//! Whether a tool did its work is the catalogue's word on its exit code *and* that it wrote what it
//! was asked to: no report is not an empty report.
//!
//! Not here: how a run comes to its end (`run`).

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use tamiz_core::refusal::{Refusal, RefusalCode};
use tamiz_core::text;

use super::catalogue::ExitCodes;
use super::door::Traffic;

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
    /// What went through its door, if it had one.
    pub traffic: Option<Traffic>,
    /// Whether the tree had more of its files than fit a command line.
    pub files_are_cut: bool,
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
    /// By itself, with this code, but without saying that it came to its end.
    Unfinished(i32),
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
    /// More went through its door than may.
    TrafficLimit {
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
    /// It did not, for it refuses its rules or the like: it will again.
    InputRefused,
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

impl ToolOutcome {
    /// Why this run has no full result, as a refusal for people and programs; `None` if it ran.
    pub fn problem(&self, tool: &str) -> Option<Refusal> {
        let code = match &self.end {
            _ if self.verdict == Verdict::Ran => return None,
            ToolEnd::TimedOut { .. } => RefusalCode::ToolTimeout,
            ToolEnd::OutputLimit { .. }
            | ToolEnd::ProcessLimit { .. }
            | ToolEnd::MemoryLimit { .. }
            | ToolEnd::TrafficLimit { .. } => RefusalCode::ToolLimit,
            ToolEnd::Exited(_) | ToolEnd::Unfinished(_) | ToolEnd::Killed(_) | ToolEnd::Cancelled => {
                RefusalCode::ToolFailed
            }
        };
        let what = if self.verdict == Verdict::RanPartly {
            "did only a part of its work"
        } else {
            "did not do its work"
        };
        Some(Refusal::new(code, format!("{tool} {what}: {}", self.end)))
    }
}

/// Of what a tool says: a line that people read.
const SAYING_BYTES_MAX: usize = 300;
/// Of a stream, looked through for that line.
const SAYING_WITHIN_BYTES: u64 = 16 * 1024;

impl Captured {
    /// The first line that says something, fit to be shown; `None` when there is none.
    pub fn first_line(&self) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(SAYING_WITHIN_BYTES).read_to_end(&mut bytes))
            .ok()?;
        let said = String::from_utf8_lossy(&bytes);
        said.lines()
            .map(|line| line.chars().filter(|char| !char.is_control()).collect::<String>())
            .map(|line| text::cut(line.trim(), SAYING_BYTES_MAX).to_owned())
            .find(|line| !line.is_empty())
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
            Self::Unfinished(code) => {
                write!(
                    formatter,
                    "it ended with exit code {code} and did not say that it completed its work"
                )
            }
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
            Self::TrafficLimit { limit_bytes } => {
                write!(
                    formatter,
                    "it and its target exchanged more than {limit_bytes} bytes"
                )
            }
            Self::Cancelled => write!(formatter, "it was cancelled"),
        }
    }
}

/// How much of what it was asked for a tool wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Nothing,
    Some,
    All,
}

/// An output that was not written is not an empty result. What a tool wrote until its time or its
/// traffic was used up is a part of one.
pub(super) fn verdict(codes: &ExitCodes, end: &ToolEnd, written: Written) -> Verdict {
    let all = written == Written::All;
    match end {
        ToolEnd::TimedOut { .. } | ToolEnd::TrafficLimit { .. } if written != Written::Nothing => {
            Verdict::RanPartly
        }
        ToolEnd::Exited(code) if all && codes.ran.contains(code) => Verdict::Ran,
        ToolEnd::Exited(code) if all && codes.partly.contains(code) => Verdict::RanPartly,
        ToolEnd::Exited(code) | ToolEnd::Unfinished(code) if codes.input.contains(code) => {
            Verdict::InputRefused
        }
        _ => Verdict::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_stream_is_fit_to_be_shown() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("stderr");
        let long = "x".repeat(SAYING_BYTES_MAX + 1);
        for (written, line) in [
            ("", None),
            ("\n \r\n", None),
            ("\n \x1b[31mno\x07 rules\nmore", Some("[31mno rules")),
            (long.as_str(), Some(&long[..SAYING_BYTES_MAX])),
        ] {
            std::fs::write(&path, written).expect("a stream");
            let stream = Captured {
                path: path.clone(),
                bytes: written.len() as u64,
                truncated: false,
            };
            assert_eq!(stream.first_line().as_deref(), line, "{written:?}");
        }
    }

    #[test]
    fn an_exit_code_counts_only_with_a_report() {
        let codes = ExitCodes {
            ran: vec![0, 1],
            partly: vec![2],
            input: vec![5],
        };
        for (end, written, expected) in [
            (ToolEnd::Exited(0), Written::All, Verdict::Ran),
            (ToolEnd::Exited(1), Written::All, Verdict::Ran),
            (ToolEnd::Exited(0), Written::Some, Verdict::Failed),
            (ToolEnd::Exited(2), Written::All, Verdict::RanPartly),
            (ToolEnd::Exited(2), Written::Some, Verdict::Failed),
            (ToolEnd::Exited(7), Written::All, Verdict::Failed),
            (ToolEnd::Unfinished(0), Written::All, Verdict::Failed),
            (ToolEnd::Killed(9), Written::All, Verdict::Failed),
            (
                ToolEnd::TimedOut { limit_seconds: 1 },
                Written::Nothing,
                Verdict::Failed,
            ),
            (
                ToolEnd::TimedOut { limit_seconds: 1 },
                Written::Some,
                Verdict::RanPartly,
            ),
            (
                ToolEnd::TrafficLimit { limit_bytes: 1 },
                Written::All,
                Verdict::RanPartly,
            ),
            (ToolEnd::Exited(5), Written::All, Verdict::InputRefused),
            (ToolEnd::Unfinished(5), Written::Nothing, Verdict::InputRefused),
        ] {
            assert_eq!(verdict(&codes, &end, written), expected, "{end:?} {written:?}");
        }
    }
}
