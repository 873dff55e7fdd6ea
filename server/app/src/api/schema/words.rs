//! The enumerations and small objects of the schema, translated from the domain's.

use async_graphql::{Enum, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};
use tamiz_core::progress::Phase;
use tamiz_core::summary::Completeness;
use tamiz_store::StoreError;
use tamiz_store::token::Role;

use crate::api::errors::ApiError;

/// How bad a finding is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "tamiz_core::Severity")]
pub(crate) enum Severity {
    /// Worth knowing; also what an unknown word of a tool becomes.
    Info,
    /// Little harm, or hard to reach.
    Low,
    /// Harm under conditions.
    Medium,
    /// Harm likely.
    High,
    /// Act now.
    Critical,
}

impl Severity {
    /// As it is stored.
    pub(super) fn of_rank(rank: i16) -> Result<Self, ApiError> {
        let severity = tamiz_core::Severity::from_rank(rank);
        severity
            .map(Into::into)
            .ok_or_else(|| unreadable("severity", rank))
    }
}

/// How sure the tool is.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "tamiz_core::Confidence")]
pub(crate) enum Confidence {
    /// The tool does not say.
    Unknown,
    /// Often wrong.
    Low,
    /// Sometimes wrong.
    Medium,
    /// Rarely wrong.
    High,
}

impl Confidence {
    /// As it is stored.
    pub(super) fn of_rank(rank: i16) -> Result<Self, ApiError> {
        let confidence = tamiz_core::Confidence::from_rank(rank);
        confidence
            .map(Into::into)
            .ok_or_else(|| unreadable("confidence", rank))
    }
}

/// The fault of something stored that is no word of ours.
pub(super) fn unreadable(what: &'static str, found: impl ToString) -> ApiError {
    let found = found.to_string();
    ApiError::fault(&StoreError::Unreadable { what, found })
}

/// Where an alert stands.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "tamiz_core::AlertState", name = "AlertState")]
pub(crate) enum AlertStateName {
    /// There, and never known to be gone.
    Open,
    /// There again: after it was gone, or after somebody or the end of its acceptance took its dismissal back.
    Reopened,
    /// Somebody decided not to act on it.
    Dismissed,
    /// No longer there.
    Fixed,
}

/// Why somebody decided not to act.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "tamiz_core::DismissalReason", name = "DismissalReason")]
pub(crate) enum DismissalReasonName {
    /// The tool is wrong.
    FalsePositive,
    /// It is right, and the risk is taken; may expire.
    AcceptedRisk,
    /// It is right, and nobody will mend it.
    WontFix,
    /// It is in code that only tests run.
    UsedInTests,
}

/// Where a task is in its life.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "tamiz_core::TaskStatus")]
pub(crate) enum TaskStatus {
    /// Waits for a worker.
    Queued,
    /// A worker works on it.
    Running,
    /// Failed, waits for its next attempt.
    Retrying,
    /// Its tool ran out of time.
    Timeout,
    /// Its findings are stored.
    Completed,
    /// Its input is bad; trying again would not help.
    Failed,
    /// Its attempts are used up.
    DeadLetter,
    /// Somebody did not want it any more.
    Cancelled,
}

/// What a task is doing.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "Phase")]
pub(crate) enum TaskPhase {
    /// Waits for a worker.
    Queued,
    /// Bytes are fetched and unpacked.
    Preparing,
    /// A native tool runs.
    Scanning,
    /// A plugin reads the report.
    Converting,
    /// Findings go into the database.
    Storing,
    /// Nothing more to do.
    Done,
}

/// How thorough a scan is: it chooses tools and their flags.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "tamiz_core::Profile")]
pub(crate) enum ScanProfile {
    /// Minutes; what can be seen at once.
    Quick,
    /// What is worth it.
    Standard,
    /// Everything, however long it takes.
    Deep,
}

/// What the bearer of a token may do.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "Role", name = "Role")]
pub(crate) enum RoleName {
    /// Reads.
    Viewer,
    /// Also writes: makes projects, uploads, scans, cancels, retries.
    Analyst,
    /// Also chooses plugins.
    Admin,
    /// For now the same as `ADMIN`.
    Owner,
}

/// How much of a report was understood.
#[derive(Enum, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[graphql(remote = "Completeness", name = "Completeness")]
pub(crate) enum CompletenessName {
    /// All of it.
    Complete,
    /// It ended too early.
    Truncated,
    /// Something is missing, and a diagnostic says what: records, or a part that the tool did not look at.
    Partial,
}

/// Counts by severity.
#[derive(SimpleObject, Debug, Clone, Copy)]
pub(crate) struct SeverityCounts {
    /// Of severity `CRITICAL`.
    critical: i64,
    /// Of severity `HIGH`.
    high: i64,
    /// Of severity `MEDIUM`.
    medium: i64,
    /// Of severity `LOW`.
    low: i64,
    /// Of severity `INFO`.
    info: i64,
}

impl SeverityCounts {
    /// Of alerts by state and severity those that are open or open again.
    pub(super) fn of_open(
        alerts: impl Iterator<Item = (tamiz_core::AlertState, tamiz_core::Severity, i64)>,
    ) -> Self {
        let mut open = [0; 5];
        for (_, severity, alerts) in alerts.filter(|(state, _, _)| state.is_open()) {
            open[severity as usize] += alerts;
        }
        open.into()
    }
}

impl From<[i64; 5]> for SeverityCounts {
    fn from([info, low, medium, high, critical]: [i64; 5]) -> Self {
        Self {
            critical,
            high,
            medium,
            low,
            info,
        }
    }
}

/// A whole number beyond 32 bits, up to 2^53 in size: bytes, counts of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BigInt(pub(crate) i64);

/// A whole number beyond 32 bits, written as a JSON number.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259#section-6")]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number
                .as_i64()
                .map(Self)
                .ok_or_else(|| InputValueError::custom("not a whole number")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

impl From<u64> for BigInt {
    fn from(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
