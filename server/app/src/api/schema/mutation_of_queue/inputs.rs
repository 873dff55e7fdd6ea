//! What the writes about the queue are given, and the orders that it means.

use async_graphql::InputObject;
use serde_json::Value;
use tamiz_core::cron::{CatchUp, Overlap};
use tamiz_core::{GroupId, ProjectId, Refusal, ScheduleId, UploadId};
use uuid::Uuid;

use crate::api::schema::id::Ref;
use crate::api::schema::mutation::{Asked, ScopeInput, order, subject, whole_seconds};
use crate::api::schema::schedule::{ScheduleCatchUp, ScheduleOverlap};
use crate::api::schema::target::TargetInput;
use crate::api::schema::task_page::TaskFilter;
use crate::api::schema::words::ScanProfile;
use crate::flow::schedule::ScheduleOrder;
use crate::flow::start_scan::{OrderTerms, ScanOrder};

/// One task of a group that is made: exactly one of `uploadId`, `reportId` and `target`.
#[derive(InputObject)]
pub(crate) struct GroupTaskInput {
    /// Your own UUID for the task.
    pub(super) id: Option<Uuid>,
    /// `codeaudit`, `web`, `ssl`, `osint`, `pcap` or a plugin's word.
    pub(super) scan_type: String,
    /// What part of the target it looks at; a later scan of the same part says what is fixed.
    #[graphql(default)]
    pub(super) scope: ScopeInput,
    /// An archive or capture, an upload of the same project.
    pub(super) upload_id: Option<Ref<UploadId>>,
    /// A finished report to convert, an upload of the same project.
    pub(super) report_id: Option<Ref<UploadId>>,
    /// What to scan over the network.
    pub(super) target: Option<TargetInput>,
    /// How thoroughly; the plugin's own choice if not said.
    pub(super) profile: Option<ScanProfile>,
    /// An upload with rules to use instead of the bundled ones.
    pub(super) rules_upload_id: Option<Ref<UploadId>>,
    /// For the plugin: an object that fits its schema.
    pub(super) options: Option<Value>,
    /// 0 to 100, 0 if not said; higher goes first.
    pub(super) priority: Option<i32>,
    /// How long one attempt may take; the operator's time for the scan type if not said.
    pub(super) timeout_seconds: Option<i32>,
}

/// A group to be made.
#[derive(InputObject)]
pub(crate) struct CreateTaskGroupInput {
    /// Your own UUID for the group: asking twice with the same one makes one group.
    pub(super) id: Option<Uuid>,
    /// Where it and its tasks belong.
    pub(super) project_id: Ref<ProjectId>,
    /// For people, 1 to 200 characters.
    pub(super) name: String,
    /// Its first tasks, at most 100; all of them are queued or none.
    #[graphql(default)]
    pub(super) tasks: Vec<GroupTaskInput>,
    /// Whether it takes no others; otherwise `startScan` may add some until `closeTaskGroup`.
    #[graphql(default)]
    pub(super) close: bool,
}

/// A group that shall take no more tasks.
#[derive(InputObject)]
pub(crate) struct CloseTaskGroupInput {
    /// The group.
    pub(super) group_id: Ref<GroupId>,
}

/// A schedule: when, and what each turn asks for; exactly one of `uploadId`, `reportId` and `target`.
#[derive(InputObject)]
pub(crate) struct ScheduleInput {
    /// Unique in the tenant, 1 to 200 characters.
    pub(super) name: String,
    /// Minute, hour, day of month, month, day of week, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    pub(super) cron: String,
    /// A name of the time zone database.
    #[graphql(default_with = "String::from(\"UTC\")")]
    pub(super) time_zone: String,
    /// What a turn does when an earlier task has not ended; `FORBID` if not said.
    pub(super) overlap: Option<ScheduleOverlap>,
    /// What becomes of turns that nobody was there to make; `ONE` if not said.
    pub(super) catch_up: Option<ScheduleCatchUp>,
    /// Where its tasks belong.
    pub(super) project_id: Ref<ProjectId>,
    /// `codeaudit`, `web`, `ssl`, `osint`, `pcap` or a plugin's word.
    pub(super) scan_type: String,
    /// What part of the target it looks at; a later scan of the same part says what is fixed.
    #[graphql(default)]
    pub(super) scope: ScopeInput,
    /// An archive or capture, an upload of the same project.
    pub(super) upload_id: Option<Ref<UploadId>>,
    /// A finished report to convert, an upload of the same project.
    pub(super) report_id: Option<Ref<UploadId>>,
    /// What to scan over the network; its addresses are looked up and judged anew with each turn.
    pub(super) target: Option<TargetInput>,
    /// How thoroughly; the plugin's own choice if not said.
    pub(super) profile: Option<ScanProfile>,
    /// An upload with rules to use instead of the bundled ones.
    pub(super) rules_upload_id: Option<Ref<UploadId>>,
    /// For the plugin: an object that fits its schema.
    pub(super) options: Option<Value>,
    /// 0 to 100, 0 if not said; higher goes first.
    pub(super) priority: Option<i32>,
    /// How long one attempt may take; the operator's time for the scan type if not said.
    pub(super) timeout_seconds: Option<i32>,
}

/// A schedule to be replaced, whole.
#[derive(InputObject)]
pub(crate) struct UpdateScheduleInput {
    /// The schedule.
    pub(super) schedule_id: Ref<ScheduleId>,
    /// What it is from now on, whole.
    pub(super) schedule: ScheduleInput,
}

/// A schedule that is there.
#[derive(InputObject)]
pub(crate) struct ScheduleIdInput {
    /// The schedule.
    pub(super) schedule_id: Ref<ScheduleId>,
}

/// What of your queue shall be held back.
#[derive(InputObject)]
pub(crate) struct PauseQueueInput {
    /// Of this scan type; of all if not said.
    pub(super) scan_type: Option<String>,
    /// For people, at most 500 characters.
    pub(super) reason: Option<String>,
}

/// What of your queue shall go on.
#[derive(InputObject)]
pub(crate) struct ResumeQueueInput {
    /// As it was paused: a pause of all types is not taken back for one of them.
    pub(super) scan_type: Option<String>,
}

/// Ended tasks that shall be tried again.
#[derive(InputObject)]
pub(crate) struct RedriveTasksInput {
    /// Which; its status is one of `DEAD_LETTER`, `FAILED`, `TIMEOUT` and `CANCELLED`.
    pub(super) filter: TaskFilter,
    /// At most so many, the latest first: 1 to 1,000, 100 if not said.
    pub(super) first: Option<i32>,
    /// Only count them and show some.
    #[graphql(default)]
    pub(super) dry_run: bool,
}

/// Tasks that shall be stopped.
#[derive(InputObject)]
pub(crate) struct CancelTasksInput {
    /// Which; its status is one of `QUEUED`, `RETRYING` and `RUNNING`.
    pub(super) filter: TaskFilter,
    /// At most so many, the latest first: 1 to 1,000, 100 if not said.
    pub(super) first: Option<i32>,
    /// Only count them.
    #[graphql(default)]
    pub(super) dry_run: bool,
}

fn terms(timeout_seconds: Option<i32>) -> OrderTerms {
    OrderTerms {
        timeout_seconds: timeout_seconds.map(whole_seconds),
        ..OrderTerms::default()
    }
}

impl GroupTaskInput {
    pub(super) fn order(self, project_id: ProjectId) -> Result<ScanOrder, Refusal> {
        let subject = subject(self.upload_id, self.report_id, self.target.as_ref());
        let asked = Asked {
            id: self.id,
            project_id,
            scan_type: self.scan_type,
            scope: self.scope,
            rules_upload_id: self.rules_upload_id.map(Into::into),
            options: self.options,
            profile: self.profile,
            priority: self.priority,
            terms: terms(self.timeout_seconds),
        };
        order(asked, subject)
    }
}

impl ScheduleInput {
    pub(super) fn order(self) -> Result<ScheduleOrder, Refusal> {
        let subject = subject(self.upload_id, self.report_id, self.target.as_ref());
        let asked = Asked {
            id: None,
            project_id: self.project_id.into(),
            scan_type: self.scan_type,
            scope: self.scope,
            rules_upload_id: self.rules_upload_id.map(Into::into),
            options: self.options,
            profile: self.profile,
            priority: self.priority,
            terms: terms(self.timeout_seconds),
        };
        Ok(ScheduleOrder {
            name: self.name,
            cron: self.cron,
            time_zone: self.time_zone,
            overlap: self.overlap.map_or(Overlap::Forbid, Into::into),
            catch_up: self.catch_up.map_or(CatchUp::One, Into::into),
            order: order(asked, subject)?,
        })
    }
}
