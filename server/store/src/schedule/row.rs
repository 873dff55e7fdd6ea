//! A schedule's columns, and the schedule that they are.

use chrono::{DateTime, Utc};
use tamiz_core::ScanType;
use uuid::Uuid;

use super::{Plan, Schedule};
use crate::error::{StoreError, word};
use crate::token::Role;

pub(super) struct ScheduleRow {
    pub(super) id: Uuid,
    pub(super) project_id: Uuid,
    pub(super) name: String,
    pub(super) cron: String,
    pub(super) time_zone: String,
    pub(super) overlap: String,
    pub(super) catch_up: String,
    pub(super) scan_type: String,
    pub(super) task_order: serde_json::Value,
    pub(super) token_id: Uuid,
    pub(super) role: String,
    pub(super) paused_at: Option<DateTime<Utc>>,
    pub(super) due_at: Option<DateTime<Utc>>,
    pub(super) last_due_at: Option<DateTime<Utc>>,
    pub(super) last_task_id: Option<Uuid>,
    pub(super) skipped: i32,
    pub(super) last_skipped_at: Option<DateTime<Utc>>,
    pub(super) failures: i32,
    pub(super) last_error_code: Option<String>,
    pub(super) last_error_message: Option<String>,
    pub(super) last_error_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
}

impl TryFrom<ScheduleRow> for Schedule {
    type Error = StoreError;

    fn try_from(row: ScheduleRow) -> Result<Self, StoreError> {
        let plan = Plan {
            overlap: word("schedule overlap", &row.overlap)?,
            catch_up: word("schedule catch-up", &row.catch_up)?,
            scan_type: ScanType::parse(&row.scan_type)
                .map_err(|_| StoreError::unreadable("schedule type", &row.scan_type))?,
            role: Role::parse(&row.role).ok_or_else(|| StoreError::unreadable("schedule role", &row.role))?,
            name: row.name,
            cron: row.cron,
            time_zone: row.time_zone,
            project_id: row.project_id.into(),
            order: row.task_order,
            token: row.token_id.into(),
        };
        Ok(Self {
            id: row.id.into(),
            plan,
            paused_at: row.paused_at,
            due_at: row.due_at,
            last_due_at: row.last_due_at,
            last_task: row.last_task_id.map(Into::into),
            skipped: row.skipped,
            last_skipped_at: row.last_skipped_at,
            failures: row.failures,
            last_error_code: row.last_error_code,
            last_error_message: row.last_error_message,
            last_error_at: row.last_error_at,
            created_at: row.created_at,
        })
    }
}
