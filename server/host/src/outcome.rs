//! What a conversion answers: the plugin's last words beside the host's own counts.

use std::fmt;

use crate::bindings::v1::plugin as wit;
use crate::failure::ConvertFailure;
use crate::sink::{ConvertSink, Progress};
use crate::words::label;

/// How a conversion ended.
pub struct Converted {
    /// What the plugin says at its end, or why it has no end.
    pub outcome: Result<Outcome, ConvertFailure>,
    /// What was kept, as the host counted it, whatever the outcome.
    pub counts: Counts,
    /// Given back. `(sink as Box<dyn Any>).downcast::<S>()` has the caller's type.
    pub sink: Box<dyn ConvertSink>,
}

/// What went through the host in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Handed to the sink.
    pub findings: u32,
    /// Handed to the sink.
    pub diagnostics: u32,
    /// Beyond the limit.
    pub diagnostics_dropped: u32,
    /// Finished.
    pub artifacts: u32,
    /// Written, of dropped artifacts, too.
    pub artifact_bytes: u64,
    /// Read, by a second reading, too.
    pub input_bytes: u64,
    /// Handed to the sink.
    pub log_lines: u32,
    /// Beyond the limit.
    pub log_lines_dropped: u32,
    /// The last report.
    pub progress: Option<Progress>,
    /// The guest's memories at their largest: they never shrink.
    pub memory_bytes: u64,
}

/// How much of a report was readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// All.
    Complete,
    /// It ended too early.
    Truncated,
    /// Something in the middle was not readable, or a budget was used up.
    Partial,
}

impl Completeness {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Partial => "partial",
        }
    }
}

/// How much of its target the tool looked at, as it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// It does not tell, or the plugin is of world 0.1.
    Unknown,
    /// All.
    Whole,
    /// Time-outs, skipped files, rules that did not parse.
    Partial,
}

impl Coverage {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Whole => "whole",
            Self::Partial => "partial",
        }
    }
}

/// What a plugin says at the end of a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How much was readable.
    pub completeness: Completeness,
    /// How much of the target was looked at.
    pub coverage: Coverage,
    /// The format recognised.
    pub format: String,
    /// The producing tool.
    pub tool: Option<String>,
    /// Its version.
    pub tool_version: Option<String>,
    /// Seen in the report, as the plugin counts.
    pub records: u32,
    /// Kept, as the host counts.
    pub findings: u32,
    /// Not readable, as the plugin counts.
    pub skipped: u32,
}

impl Outcome {
    /// The plugin's last words, bounded, with the host's count of what was kept.
    pub(crate) fn checked(from: wit::Outcome, kept: u32, is_over_limit: bool) -> Self {
        Self {
            completeness: match from.completeness {
                wit::Completeness::Complete if is_over_limit => Completeness::Partial,
                wit::Completeness::Complete => Completeness::Complete,
                wit::Completeness::Truncated => Completeness::Truncated,
                wit::Completeness::Partial => Completeness::Partial,
            },
            coverage: match from.coverage {
                wit::Coverage::Unknown => Coverage::Unknown,
                wit::Coverage::Whole => Coverage::Whole,
                wit::Coverage::Partial => Coverage::Partial,
            },
            format: label(&from.format),
            tool: from.tool.as_deref().map(label),
            tool_version: from.tool_version.as_deref().map(label),
            records: from.records,
            findings: kept,
            skipped: from.skipped,
        }
    }
}

impl fmt::Debug for Converted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Converted")
            .field("outcome", &self.outcome)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
