//! What one request has loaded, kind by kind. Loading itself: `batch`; who loads what: `session` and the nouns.

use std::sync::Arc;

use tamiz_core::advisory::Advisory;
use tamiz_core::plugin::LimitSet;
use tamiz_core::{
    AlertId, AlertState, ArtifactId, FindingId, GroupId, PluginId, ProjectId, ScheduleId, Severity, TaskId,
    TaskStatus, TokenId, UploadId,
};
use tamiz_store::alert::AlertRow;
use tamiz_store::artifact::Artifact;
use tamiz_store::attempt::AttemptRow;
use tamiz_store::enrichment::Known;
use tamiz_store::group::Group;
use tamiz_store::pause::Pause;
use tamiz_store::pcap_session::PcapSession;
use tamiz_store::plugin::InstalledPlugin;
use tamiz_store::project::Project;
use tamiz_store::queue_view::Reached;
use tamiz_store::row_count::RowCount;
use tamiz_store::scan_result::ScanResult;
use tamiz_store::schedule::Schedule;
use tamiz_store::target::TaskTarget;
use tamiz_store::task::Task;
use tamiz_store::tenant::Tenant;
use tamiz_store::token::own::OwnToken;
use tamiz_store::tool_execution::ToolExecution;
use tamiz_store::upload::Upload;

use super::alert_event::{AlertEventPage, AlertEventPageKey};
use super::alert_occurrence::{AlertOccurrencePage, AlertOccurrencePageKey};
use super::alert_page::{AlertCount, AlertDay, AlertPage, AlertPageKey, AlertsCountKey};
use super::alert_rule::AlertRule;
use super::batch::Batch;
use super::exploitation::KnownKey;
use super::finding_page::{FindingPage, FindingPageKey, FindingsCountKey};
use super::group::GroupPageKey;
use super::occurrence::{OccurrencePage, OccurrencePageKey};
use super::related::{RelatedAlerts, RelatedKey};
use super::task_event::{EventsKey, TaskEvent};
use super::task_log::{LogCount, LogPage, LogPageKey};
use super::task_page::{TaskPage, TaskPageKey, TasksCountKey};
use super::top_rule::TopRule;
use super::turns::Turns;
use super::upload::{UploadPage, UploadPageKey};

/// Alerts by state and severity.
pub(super) type TenantCounts = Vec<(AlertState, Severity, i64)>;

macro_rules! batches {
    ($($(#[$doc:meta])* $name:ident: $batch:ty,)+) => {
        /// One batch for each kind of thing.
        pub(super) struct Batches {
            $($(#[$doc])* pub(super) $name: $batch,)+
        }

        impl Batches {
            /// Nothing loaded yet, in a request with these turns.
            pub(super) fn new(turns: &Arc<Turns>) -> Self {
                Self {
                    $($name: <$batch>::new(turns),)+
                }
            }
        }
    };
}

batches! {
    projects: Batch<ProjectId, Arc<Project>>,
    tasks: Batch<TaskId, Arc<Task>>,
    alerts: Batch<AlertId, Arc<AlertRow>>,
    artifacts: Batch<ArtifactId, Arc<Artifact>>,
    artifacts_of: Batch<TaskId, Arc<Vec<Arc<Artifact>>>>,
    executions_of: Batch<TaskId, Arc<Vec<Arc<ToolExecution>>>>,
    results_of: Batch<TaskId, Arc<ScanResult>>,
    targets_of: Batch<TaskId, Arc<TaskTarget>>,
    pcap_sessions_of: Batch<TaskId, Arc<PcapSession>>,
    attempts_of: Batch<TaskId, Arc<Vec<Arc<AttemptRow>>>>,
    events_of: Batch<EventsKey, Arc<Vec<TaskEvent>>>,
    severities_of: Batch<ProjectId, [i64; 5]>,
    plugins: Batch<PluginId, Arc<InstalledPlugin>>,
    plugin_versions: Batch<String, Arc<Vec<Arc<InstalledPlugin>>>>,
    groups: Batch<GroupId, Arc<Group>>,
    group_counts_of: Batch<GroupId, Arc<Vec<(TaskStatus, i64)>>>,
    schedules: Batch<ScheduleId, Arc<Schedule>>,
    /// What holds back the caller's tasks is one list.
    pauses: Batch<(), Arc<Vec<Pause>>>,
    limits_reached: Batch<(), Arc<Reached>>,
    /// The caller has one plan.
    plan_limits: Batch<(), LimitSet>,
    known_cves: Batch<KnownKey, Arc<Known>>,
    finding_pages: Batch<FindingPageKey, Arc<FindingPage>>,
    finding_counts: Batch<FindingsCountKey, RowCount>,
    occurrence_pages: Batch<OccurrencePageKey, Arc<OccurrencePage>>,
    occurrence_counts: Batch<FindingId, i64>,
    alert_pages: Batch<AlertPageKey, Arc<AlertPage>>,
    alert_counts_under: Batch<AlertsCountKey, RowCount>,
    alert_counts_of: Batch<ProjectId, Vec<AlertCount>>,
    alert_rules_of: Batch<ProjectId, Vec<AlertRule>>,
    top_rules_of: Batch<(ProjectId, u32), Vec<TopRule>>,
    alert_trends_of: Batch<(ProjectId, u16), Vec<AlertDay>>,
    alert_occurrence_pages: Batch<AlertOccurrencePageKey, Arc<AlertOccurrencePage>>,
    alert_occurrence_counts: Batch<AlertId, i64>,
    alert_event_pages: Batch<AlertEventPageKey, Arc<AlertEventPage>>,
    related_alerts: Batch<RelatedKey, RelatedAlerts>,
    cves_by_alias: Batch<(ProjectId, Advisory), String>,
    log_pages: Batch<LogPageKey, Arc<LogPage>>,
    log_counts: Batch<LogCount, i64>,
    task_pages: Batch<TaskPageKey, Arc<TaskPage>>,
    task_counts: Batch<TasksCountKey, RowCount>,
    group_pages: Batch<GroupPageKey, Arc<TaskPage>>,
    uploads: Batch<UploadId, Arc<Upload>>,
    upload_pages: Batch<UploadPageKey, Arc<UploadPage>>,
    tokens: Batch<TokenId, Arc<OwnToken>>,
    /// The caller has one tenant.
    own_tenant: Batch<(), Arc<Tenant>>,
    alert_counts_of_tenant: Batch<(), Arc<TenantCounts>>,
}
