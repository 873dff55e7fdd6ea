//! The vocabulary of Tamiz and its pure rules: ids, the finding model, fingerprints, which records are one
//! finding and which findings are related, CVSS scores, names of weaknesses, what is known of advisories, alerts in the
//! formats of others, the task's state machine, retry arithmetic, schedules, targets and which of them are forbidden,
//! plugins, tokens, limits.
//!
//! No IO, no async, no clock: time and randomness are parameters. Every other crate sees this one,
//! and it sees nobody.

pub mod address;
pub mod advisory;
pub mod alert;
pub mod alert_rule;
pub mod aliases;
pub mod budget;
pub mod cron;
pub mod cvss;
pub mod enrichment;
pub mod export;
pub mod finding;
pub mod gate;
pub mod id;
pub mod identity;
pub mod limits;
pub mod location;
pub mod occurrence;
pub mod plugin;
pub mod plugin_fault;
pub mod progress;
pub mod quota;
pub mod rate;
pub mod refusal;
pub mod related;
pub mod retry;
pub mod scope;
pub mod severity;
pub mod sla;
pub mod summary;
pub mod suppression;
pub mod target;
pub mod target_text;
pub mod task;
pub mod text;
pub mod token;
pub mod weakness;
pub mod webhook;
mod words;
pub mod worker_token;

pub use alert::{AlertState, Dismissal, DismissalReason};
pub use finding::{Diagnostic, Finding, LogLevel, Span};
pub use id::{
    AlertId, AlertRuleId, ArtifactId, AuditEventId, FindingId, GlobalId, GroupId, IdError, PluginId,
    ProjectId, ScanResultId, ScheduleId, TaskId, TenantId, TokenId, ToolExecutionId, UploadId,
    WebhookEndpointId, WebhookMessageId, WorkerId, WorkerTokenId,
};
pub use location::{Location, Position};
pub use plugin_fault::{OversteppedLimit, PluginFault, PluginRef};
pub use refusal::{Refusal, RefusalCode};
pub use severity::{Confidence, Severity};
pub use sla::SlaDays;
pub use target::{PinnedTarget, Profile, Target, TargetKind};
pub use task::{ScanType, TaskStatus};
