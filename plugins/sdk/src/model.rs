//! The shared model's types; the largest of them has a builder.
//!
//! The types are those of `wit/scanner.wit`; their documentation is there.

pub use crate::bindings::exports::tamiz::scanner::plugin::{
    Completeness, ConvertError, Corruption, Coverage, Description, Format, Outcome, PlanError, ScanRequest,
    ToolOutput, ToolRun,
};
pub use crate::bindings::tamiz::scanner::host::IoError;
pub use crate::bindings::tamiz::scanner::types::{
    ArtifactMeta, Confidence, Diagnostic, DomainName, FileLocation, Finding, FlowStep, Location, LogLevel,
    NetworkEndpoint, PacketFlow, Position, Severity, Span, Suppression, UrlLocation,
};
pub use crate::builder::{FindingBuilder, Labels};

impl Default for Outcome {
    /// Of a report without records that was read to its end.
    fn default() -> Self {
        Self {
            completeness: Completeness::Complete,
            coverage: Coverage::Unknown,
            format: String::new(),
            tool: None,
            tool_version: None,
            records: 0,
            findings: 0,
            skipped: 0,
        }
    }
}

impl Outcome {
    /// Whether nothing is missing: not in the report, and not in what its tool says that it looked at.
    pub fn is_whole(&self) -> bool {
        self.completeness == Completeness::Complete && self.coverage != Coverage::Partial
    }
}

impl Span {
    /// Bytes of the input that is being read; in a conversion of several, the report kit says of which.
    pub const fn new(offset: u32, length: u32) -> Self {
        Self {
            input: 0,
            offset,
            length,
        }
    }
}

impl ConvertError {
    /// The envelope could not be read; `so_far` counts what was emitted before.
    pub fn corrupt(message: impl Into<String>, so_far: Outcome) -> Self {
        Self::Corrupt(Corruption {
            message: message.into(),
            so_far,
        })
    }

    /// Why, for a person.
    pub fn message(&self) -> &str {
        match self {
            Self::Unrecognized(message) | Self::BadOptions(message) => message,
            Self::Corrupt(corruption) => &corruption.message,
        }
    }
}

impl ScanRequest {
    /// For a report that somebody uploaded: no target, only options, a JSON text.
    pub fn report(options: &str) -> Self {
        Self {
            target_kind: "report".to_owned(),
            target: String::new(),
            addresses: Vec::new(),
            options: options.to_owned(),
        }
    }
}

/// The largest line or column that means something; a tool that says more, less or 0 says nothing.
const POSITION_MAX: u32 = (1 << 31) - 1;

/// A line or column as a tool wrote it, or nothing when it is out of 1..2³¹.
pub fn position_number(number: i64) -> Option<u32> {
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=POSITION_MAX).contains(number))
}

/// A line and column as a tool wrote them; without a usable line there is no position.
pub fn position(line: Option<i64>, column: Option<i64>) -> Option<Position> {
    Some(Position {
        line: position_number(line?)?,
        column: column.and_then(position_number),
    })
}
