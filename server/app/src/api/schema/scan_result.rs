//! What a task came to.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tamiz_core::ScanResultId;
use tamiz_store::scan_result;

use super::answer_bytes::paid;
use super::id::id_of;
use super::scalars::Json;
use super::session::Session;
use super::task::Task;
use super::words::{CompletenessName, SeverityCounts};
use crate::api::errors::ApiError;

/// The totals of a task.
#[derive(Clone)]
pub(crate) struct ScanResult(pub(super) Arc<scan_result::ScanResult>);

/// What a reader of the task must know about its report.
#[derive(SimpleObject)]
pub(crate) struct Diagnostic {
    /// `debug`, `info`, `warn` or `error`.
    level: String,
    /// A stable word such as `record-unreadable`.
    code: String,
    /// What, where, why.
    message: String,
}

/// How a scan differs from the one before in its scopes.
#[derive(SimpleObject)]
pub(crate) struct ScanComparison {
    /// Alerts that nobody knew.
    new: u32,
    /// Alerts that are where they were, or moved.
    unchanged: u32,
    /// Of the unchanged ones, those at another place of the code.
    moved: u32,
    /// Alerts that are gone.
    fixed: u32,
    /// Alerts that came back.
    reopened: u32,
    /// Whether absence proved anything: a report that is whole, of a tool that looked at everything.
    closes: bool,
}

impl From<tamiz_core::scope::Comparison> for ScanComparison {
    fn from(comparison: tamiz_core::scope::Comparison) -> Self {
        Self {
            new: comparison.new,
            unchanged: comparison.unchanged,
            moved: comparison.moved,
            fixed: comparison.fixed,
            reopened: comparison.reopened,
            closes: comparison.closes,
        }
    }
}

/// The totals of a task.
#[Object]
impl ScanResult {
    /// Its id.
    pub(super) async fn id(&self) -> ID {
        id_of(ScanResultId::from(self.0.task_id.uuid()))
    }

    /// Of which task.
    async fn task(&self, context: &Context<'_>) -> Result<Option<Task>, ApiError> {
        Ok(Session::of(context)?.task(self.0.task_id).await?.map(Task))
    }

    /// Findings stored.
    async fn findings(&self) -> u32 {
        self.0.summary.findings
    }

    /// Further records that say what one of the findings says.
    async fn occurrences(&self) -> u32 {
        self.0.summary.occurrences
    }

    /// Records the reports held: findings, occurrences and the skipped ones together.
    async fn records(&self) -> u32 {
        self.0.summary.records
    }

    /// Records that could not be read.
    async fn skipped(&self) -> u32 {
        self.0.summary.skipped
    }

    /// How much was understood.
    async fn completeness(&self) -> CompletenessName {
        self.0.summary.completeness.into()
    }

    /// How its findings compare with those of the scan before; null where no scope could be compared.
    async fn comparison(&self) -> Option<ScanComparison> {
        self.0.summary.comparison.map(Into::into)
    }

    /// The recognised format of each report.
    fn formats(&self, context: &Context<'_>) -> Result<&[String], ApiError> {
        paid(context, &self.0.summary.formats[..])
    }

    /// Findings by severity.
    async fn by_severity(&self) -> SeverityCounts {
        let count = |severity: tamiz_core::Severity| {
            i64::from(
                self.0
                    .summary
                    .by_severity
                    .get(severity.as_str())
                    .copied()
                    .unwrap_or(0),
            )
        };
        tamiz_core::Severity::ALL.map(count).into()
    }

    /// Findings by rule, the first thousand rules; the rest under the empty key.
    fn by_rule(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        counts(context, &self.0.summary.by_rule)
    }

    /// Findings by file, the first thousand files; the rest under the empty key.
    fn by_file(&self, context: &Context<'_>) -> Result<Json, ApiError> {
        counts(context, &self.0.summary.by_file)
    }

    /// What the plugin and the host had to say, the first thousand.
    fn diagnostics(&self, context: &Context<'_>) -> Result<Vec<Diagnostic>, ApiError> {
        let notes = &self.0.summary.diagnostics;
        for note in notes {
            paid(context, &note.message)?;
        }
        let told = |note: &tamiz_core::Diagnostic| Diagnostic {
            level: format!("{:?}", note.level).to_lowercase(),
            code: note.code.clone(),
            message: note.message.clone(),
        };
        Ok(notes.iter().map(told).collect())
    }

    /// Diagnostics beyond the first thousand.
    async fn diagnostics_dropped(&self) -> u32 {
        self.0.summary.diagnostics_dropped
    }

    /// When it was stored.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}

fn counts(context: &Context<'_>, by: &BTreeMap<String, u32>) -> Result<Json, ApiError> {
    let counts = serde_json::to_value(by).map_err(|error| ApiError::fault(&error))?;
    paid(context, &counts)?;
    Ok(Json(counts))
}
