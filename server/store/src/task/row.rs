//! A task's columns, and the task that they are.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tamiz_core::{PluginFault, ScanType};
use uuid::Uuid;

use super::{Payload, Task};
use crate::error::{StoreError, word};
use crate::unparsed::Unparsed;

/// The columns of a task as they come; one shape for all reads.
pub(crate) struct TaskRow {
    pub id: Uuid,
    pub project_id: Uuid,
    pub r#type: String,
    pub status: String,
    pub phase: String,
    pub payload: Unparsed<Payload>,
    pub retries: i32,
    pub attempt: i32,
    pub priority: i16,
    pub event_seq: i32,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub plugin_fault: Option<serde_json::Value>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub run_at: Option<DateTime<Utc>>,
    pub timeout_seconds: Option<i32>,
    pub group_id: Option<Uuid>,
    pub schedule_id: Option<Uuid>,
}

impl TryFrom<TaskRow> for Task {
    type Error = StoreError;

    fn try_from(row: TaskRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            project_id: row.project_id.into(),
            scan_type: ScanType::parse(&row.r#type)
                .map_err(|_| StoreError::unreadable("task type", &row.r#type))?,
            status: word("task status", &row.status)?,
            phase: word("task phase", &row.phase)?,
            payload: row.payload.parse()?,
            retries: row.retries,
            attempt: row.attempt,
            priority: row.priority,
            event_seq: row.event_seq,
            error_code: row.error_code,
            error_message: row.error_message,
            plugin_fault: row.plugin_fault.map(fault).transpose()?,
            cancel_requested_at: row.cancel_requested_at,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            run_at: row.run_at,
            timeout: row
                .timeout_seconds
                .map(|seconds| Duration::from_secs(seconds.unsigned_abs().into())),
            group: row.group_id.map(Into::into),
            schedule: row.schedule_id.map(Into::into),
        })
    }
}

/// What stands in a row about a plugin's fault.
pub(crate) fn fault(stored: serde_json::Value) -> Result<PluginFault, StoreError> {
    serde_json::from_value(stored).map_err(|error| StoreError::unreadable("plugin fault", &error.to_string()))
}
