//! How each argument of the schema is filled: with one's own things, or with another tenant's.
//!
//! The table is the only thing about the schema that a person has to keep up: an argument that it
//! does not know fails the tests.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::schema::{Schema, TypeRef};

/// What an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Tenant,
    Token,
    Project,
    Upload,
    Task,
    Finding,
    Alert,
    AlertRule,
    Artifact,
    ToolExecution,
    ScanResult,
    Plugin,
    Group,
    Schedule,
    WebhookEndpoint,
    WebhookMessage,
}

/// What goes into an argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum Filling {
    /// The id of an existing thing of this kind.
    Id(Kind),
    /// The same where the schema lets it be left out, and nothing would be done without it.
    NeededId(Kind),
    /// The id of any existing thing.
    AnyId,
    /// Where a page ended.
    Cursor,
    /// A file that has findings, and so on.
    File,
    Rule,
    Tool,
    ProjectName,
    /// A number that names nothing.
    Number(i32),
    /// A word that all tenants share.
    Word(&'static str),
    /// Left out: it names nothing.
    Nothing,
    /// The caller's own new name or id for something that does not exist yet.
    Chosen,
}

use Filling::{AnyId, Chosen, Cursor, File, Id, NeededId, Nothing, Number, ProjectName, Rule, Tool, Word};

const FILLINGS: &[(&str, Filling)] = &[
    ("Alert.events.after", Cursor),
    ("Alert.events.before", Cursor),
    ("Alert.events.first", Number(20)),
    ("Alert.events.last", Nothing),
    ("Alert.exploitation.asOf", Nothing),
    ("Alert.occurrences.after", Cursor),
    ("Alert.occurrences.before", Cursor),
    ("Alert.occurrences.first", Number(3)),
    ("Alert.occurrences.last", Nothing),
    ("Alert.related.first", Number(3)),
    ("AlertActionDismissalInput.comment", Chosen),
    ("AlertActionDismissalInput.reason", Word("USED_IN_TESTS")),
    ("AlertActionDismissalInput.until", Nothing),
    ("AlertActionInput.severity", Nothing),
    ("AlertConditionsInput.cwe", Number(79)),
    ("AlertConditionsInput.paths", Nothing),
    ("AlertConditionsInput.rules", Nothing),
    ("AlertConditionsInput.severities", Nothing),
    ("AlertConditionsInput.targets", Nothing),
    ("AlertConditionsInput.tools", Nothing),
    ("AlertFilter.assignee", Nothing),
    ("AlertFilter.branch", Nothing),
    ("AlertFilter.category", Nothing),
    ("AlertFilter.cwe", Nothing),
    ("AlertFilter.environment", Nothing),
    ("AlertFilter.file", File),
    ("AlertFilter.overdue", Nothing),
    ("AlertFilter.rule", Rule),
    ("AlertFilter.severity", Nothing),
    ("AlertFilter.state", Nothing),
    ("AlertFilter.tool", Tool),
    ("AlertOrder.direction", Nothing),
    ("AlertOrder.field", Nothing),
    ("AlertSelection.ids", Nothing),
    ("ApplyAlertRuleInput.after", Nothing),
    ("ApplyAlertRuleInput.ruleId", Id(Kind::AlertRule)),
    ("AssignAlertsInput.alertIds", Id(Kind::Alert)),
    ("AssignAlertsInput.assignee", Chosen),
    ("AssignAlertsInput.dryRun", Nothing),
    ("AuditEventFilter.action", Nothing),
    ("AuditEventFilter.from", Nothing),
    ("AuditEventFilter.to", Nothing),
    ("CancelTaskInput.taskId", Id(Kind::Task)),
    ("CancelTasksInput.dryRun", Nothing),
    ("CancelTasksInput.first", Number(3)),
    ("ChoosePluginInput.pluginId", NeededId(Kind::Plugin)),
    ("ChoosePluginInput.scanType", Word("codeaudit")),
    ("CloseTaskGroupInput.groupId", Id(Kind::Group)),
    ("CommentAlertsInput.alertIds", Id(Kind::Alert)),
    ("CommentAlertsInput.comment", Chosen),
    ("CommentAlertsInput.dryRun", Nothing),
    ("CreateAlertRuleInput.applyToExisting", Nothing),
    ("CreateAlertRuleInput.enabled", Nothing),
    ("CreateAlertRuleInput.name", Chosen),
    ("CreateAlertRuleInput.position", Nothing),
    ("CreateAlertRuleInput.projectId", Id(Kind::Project)),
    ("CreateProjectInput.name", Chosen),
    ("CreateTaskGroupInput.close", Nothing),
    ("CreateTaskGroupInput.id", Chosen),
    ("CreateTaskGroupInput.name", Chosen),
    ("CreateTaskGroupInput.projectId", Id(Kind::Project)),
    ("CreateTokenInput.expiresAt", Nothing),
    ("CreateTokenInput.name", Chosen),
    ("CreateTokenInput.role", Word("VIEWER")),
    ("CreateWebhookEndpointInput.events", Word("ACCEPTANCE_EXPIRING")),
    ("CreateWebhookEndpointInput.projectIds", Id(Kind::Project)),
    ("CreateWebhookEndpointInput.url", Word("http://127.0.0.1:9/")),
    ("DeleteAlertRuleInput.ruleId", Id(Kind::AlertRule)),
    ("DismissAlertsInput.alertIds", Id(Kind::Alert)),
    ("DismissAlertsInput.comment", Nothing),
    ("DismissAlertsInput.dryRun", Nothing),
    ("DismissAlertsInput.reason", Word("WONT_FIX")),
    ("DismissAlertsInput.until", Nothing),
    ("EndpointInput.host", Nothing),
    ("EndpointInput.port", Nothing),
    ("Finding.exploitation.asOf", Nothing),
    ("Finding.occurrences.after", Cursor),
    ("Finding.occurrences.before", Cursor),
    ("Finding.occurrences.first", Number(3)),
    ("Finding.occurrences.last", Nothing),
    ("FindingFilter.file", File),
    ("FindingFilter.rule", Rule),
    ("FindingFilter.severity", Nothing),
    ("FindingFilter.tool", Tool),
    ("FindingOrder.direction", Nothing),
    ("FindingOrder.field", Nothing),
    ("GroupTaskInput.id", Nothing),
    ("GroupTaskInput.options", Nothing),
    ("GroupTaskInput.priority", Nothing),
    ("GroupTaskInput.profile", Nothing),
    ("GroupTaskInput.reportId", Id(Kind::Upload)),
    ("GroupTaskInput.rulesUploadId", Id(Kind::Upload)),
    ("GroupTaskInput.scanType", Word("codeaudit")),
    ("GroupTaskInput.timeoutSeconds", Nothing),
    ("GroupTaskInput.uploadId", NeededId(Kind::Upload)),
    ("ImportReportInput.id", Chosen),
    ("ImportReportInput.options", Nothing),
    ("ImportReportInput.priority", Nothing),
    ("ImportReportInput.projectId", Id(Kind::Project)),
    ("ImportReportInput.scanType", Word("codeaudit")),
    ("ImportReportInput.uploadId", Id(Kind::Upload)),
    ("ImportVexInput.dryRun", Nothing),
    ("ImportVexInput.projectId", Id(Kind::Project)),
    ("ImportVexInput.text", Nothing),
    ("ImportVexInput.uploadId", NeededId(Kind::Upload)),
    ("MatchingAlertsInput.expectedCount", Nothing),
    ("MatchingAlertsInput.projectId", Id(Kind::Project)),
    ("OsintTargetInput.type", Nothing),
    ("OsintTargetInput.value", Nothing),
    ("PauseQueueInput.reason", Nothing),
    ("PauseQueueInput.scanType", Nothing),
    ("PreviewAlertRuleInput.projectId", Id(Kind::Project)),
    ("Project.topRules.first", Number(10)),
    ("Project.trend.days", Number(30)),
    ("Project.alerts.after", Cursor),
    ("Project.alerts.before", Cursor),
    ("Project.alerts.first", Number(3)),
    ("Project.alerts.last", Nothing),
    ("Project.exportUrl.format", Word("CSV")),
    ("Project.findings.after", Cursor),
    ("Project.findings.before", Cursor),
    ("Project.findings.first", Number(3)),
    ("Project.findings.last", Nothing),
    ("Project.tasks.after", Cursor),
    ("Project.tasks.before", Cursor),
    ("Project.tasks.first", Number(3)),
    ("Project.tasks.last", Nothing),
    ("Project.uploads.after", Cursor),
    ("Project.uploads.before", Cursor),
    ("Project.uploads.first", Number(3)),
    ("Project.uploads.last", Nothing),
    ("ProjectFilter.name", ProjectName),
    ("ProjectTaskFilter.scanType", Nothing),
    ("ProjectTaskFilter.status", Nothing),
    ("Query.alert.id", Id(Kind::Alert)),
    ("Query.apiToken.id", Id(Kind::Token)),
    ("Query.apiTokens.after", Cursor),
    ("Query.apiTokens.before", Cursor),
    ("Query.apiTokens.first", Number(100)),
    ("Query.apiTokens.last", Nothing),
    ("Query.artifact.id", Id(Kind::Artifact)),
    ("Query.auditEvents.after", Cursor),
    ("Query.auditEvents.before", Cursor),
    ("Query.auditEvents.first", Number(100)),
    ("Query.auditEvents.last", Nothing),
    ("Query.finding.id", Id(Kind::Finding)),
    ("Query.findings.after", Cursor),
    ("Query.findings.before", Cursor),
    ("Query.findings.first", Number(100)),
    ("Query.findings.last", Nothing),
    ("Query.node.id", AnyId),
    ("Query.plugins.after", Cursor),
    ("Query.plugins.before", Cursor),
    ("Query.plugins.first", Number(50)),
    ("Query.plugins.last", Nothing),
    ("Query.plugins.scanType", Nothing),
    ("Query.project.id", Id(Kind::Project)),
    ("Query.projects.after", Cursor),
    ("Query.projects.before", Cursor),
    ("Query.projects.first", Number(100)),
    ("Query.projects.last", Nothing),
    ("Query.schedule.id", Id(Kind::Schedule)),
    ("Query.schedules.after", Cursor),
    ("Query.schedules.before", Cursor),
    ("Query.schedules.first", Number(100)),
    ("Query.schedules.last", Nothing),
    ("Query.task.id", Id(Kind::Task)),
    ("Query.taskGroup.id", Id(Kind::Group)),
    ("Query.taskGroups.after", Cursor),
    ("Query.taskGroups.before", Cursor),
    ("Query.taskGroups.first", Number(100)),
    ("Query.taskGroups.last", Nothing),
    ("Query.taskGroups.projectId", Id(Kind::Project)),
    ("Query.tasks.after", Cursor),
    ("Query.tasks.before", Cursor),
    ("Query.tasks.first", Number(100)),
    ("Query.tasks.last", Nothing),
    ("Query.upload.id", Id(Kind::Upload)),
    ("Query.uploads.after", Cursor),
    ("Query.uploads.before", Cursor),
    ("Query.uploads.first", Number(100)),
    ("Query.uploads.last", Nothing),
    ("Query.uploads.projectId", Id(Kind::Project)),
    ("Query.usage.bucket", Word("DAY")),
    ("Query.usage.from", Word("2026-01-01T00:00:00Z")),
    ("Query.usage.to", Word("2027-12-31T00:00:00Z")),
    ("Query.webhookEndpoint.id", Id(Kind::WebhookEndpoint)),
    ("RedriveTasksInput.dryRun", Nothing),
    ("RedriveTasksInput.first", Number(3)),
    ("ReopenAlertsInput.alertIds", Id(Kind::Alert)),
    ("ReopenAlertsInput.comment", Nothing),
    ("ReopenAlertsInput.dryRun", Nothing),
    ("ReplayFailedWebhooksInput.endpointId", Id(Kind::WebhookEndpoint)),
    ("ReplayFailedWebhooksInput.since", Word("2026-01-01T00:00:00Z")),
    ("ReplayWebhookMessageInput.endpointId", Id(Kind::WebhookEndpoint)),
    ("ReplayWebhookMessageInput.messageId", Id(Kind::WebhookMessage)),
    ("ResumeQueueInput.scanType", Nothing),
    ("RetryTaskInput.taskId", Id(Kind::Task)),
    ("RevokeTokenInput.tokenId", Id(Kind::Token)),
    ("Schedule.nextRuns.first", Number(3)),
    ("ScheduleIdInput.scheduleId", Id(Kind::Schedule)),
    ("ScheduleInput.catchUp", Nothing),
    ("ScheduleInput.cron", Word("0 3 * * *")),
    ("ScheduleInput.name", Chosen),
    ("ScheduleInput.options", Nothing),
    ("ScheduleInput.overlap", Nothing),
    ("ScheduleInput.priority", Nothing),
    ("ScheduleInput.profile", Nothing),
    ("ScheduleInput.projectId", Id(Kind::Project)),
    ("ScheduleInput.reportId", Id(Kind::Upload)),
    ("ScheduleInput.rulesUploadId", Id(Kind::Upload)),
    ("ScheduleInput.scanType", Word("codeaudit")),
    ("ScheduleInput.timeZone", Nothing),
    ("ScheduleInput.timeoutSeconds", Nothing),
    ("ScheduleInput.uploadId", NeededId(Kind::Upload)),
    ("ScopeInput.branch", Nothing),
    ("ScopeInput.category", Nothing),
    ("ScopeInput.environment", Nothing),
    ("SetAlertSeverityInput.alertIds", Id(Kind::Alert)),
    ("SetAlertSeverityInput.dryRun", Nothing),
    ("SetAlertSeverityInput.severity", Word("LOW")),
    ("SetAlertsDueInput.alertIds", Id(Kind::Alert)),
    ("SetAlertsDueInput.dryRun", Nothing),
    ("SetAlertsDueInput.dueOn", Nothing),
    ("SlaDaysInput.critical", Number(7)),
    ("SlaDaysInput.high", Nothing),
    ("SlaDaysInput.info", Nothing),
    ("SlaDaysInput.low", Nothing),
    ("SlaDaysInput.medium", Nothing),
    ("StartScanInput.groupId", Id(Kind::Group)),
    ("StartScanInput.id", Chosen),
    ("StartScanInput.options", Nothing),
    ("StartScanInput.priority", Nothing),
    ("StartScanInput.profile", Nothing),
    ("StartScanInput.projectId", Id(Kind::Project)),
    ("StartScanInput.rulesUploadId", Id(Kind::Upload)),
    ("StartScanInput.runAt", Nothing),
    ("StartScanInput.scanType", Word("codeaudit")),
    ("StartScanInput.timeoutSeconds", Nothing),
    ("StartScanInput.unique", Nothing),
    ("StartScanInput.uploadId", NeededId(Kind::Upload)),
    ("Subscription.projectAlerts.after", Cursor),
    ("Subscription.projectAlerts.projectId", Id(Kind::Project)),
    ("Subscription.projectTasks.after", Cursor),
    ("Subscription.projectTasks.projectId", Id(Kind::Project)),
    ("Subscription.taskEvents.after", Number(0)),
    ("Subscription.taskEvents.taskId", Id(Kind::Task)),
    ("Subscription.taskGroupChanges.groupId", Id(Kind::Group)),
    ("Subscription.usageChanges.bucket", Word("DAY")),
    ("TargetInput.domain", Nothing),
    ("TargetInput.url", Nothing),
    ("Task.events.after", Number(0)),
    ("Task.events.first", Number(20)),
    ("Task.findings.after", Cursor),
    ("Task.findings.before", Cursor),
    ("Task.findings.first", Number(3)),
    ("Task.findings.last", Nothing),
    ("Task.log.after", Cursor),
    ("Task.log.attempt", Nothing),
    ("Task.log.before", Cursor),
    ("Task.log.first", Number(3)),
    ("Task.log.last", Nothing),
    ("TaskFilter.projectId", Id(Kind::Project)),
    ("TaskFilter.scanType", Nothing),
    ("TaskFilter.status", Nothing),
    ("TaskGroup.tasks.after", Cursor),
    ("TaskGroup.tasks.before", Cursor),
    ("TaskGroup.tasks.first", Number(3)),
    ("TaskGroup.tasks.last", Nothing),
    ("Tenant.topRules.first", Number(10)),
    ("Tenant.trend.days", Number(30)),
    ("UpdateAlertRuleInput.applyToExisting", Nothing),
    ("UpdateAlertRuleInput.enabled", Nothing),
    ("UpdateAlertRuleInput.name", Chosen),
    ("UpdateAlertRuleInput.position", Nothing),
    ("UpdateAlertRuleInput.ruleId", Id(Kind::AlertRule)),
    ("UpdateProjectSlaInput.projectId", Id(Kind::Project)),
    ("UpdateScheduleInput.scheduleId", Id(Kind::Schedule)),
    ("UpdateWebhookEndpointInput.enabled", Nothing),
    ("UpdateWebhookEndpointInput.endpointId", Id(Kind::WebhookEndpoint)),
    ("UpdateWebhookEndpointInput.events", Word("ACCEPTANCE_EXPIRING")),
    ("UpdateWebhookEndpointInput.projectIds", Id(Kind::Project)),
    ("UpdateWebhookEndpointInput.url", Word("http://127.0.0.1:9/")),
    ("WebhookEndpoint.deliveries.after", Cursor),
    ("WebhookEndpoint.deliveries.before", Cursor),
    ("WebhookEndpoint.deliveries.first", Number(3)),
    ("WebhookEndpoint.deliveries.last", Nothing),
    ("WebhookEndpoint.deliveries.state", Nothing),
    ("WebhookEndpointIdInput.endpointId", Id(Kind::WebhookEndpoint)),
];

/// How the argument at `place` is filled.
pub(super) fn filling(place: &str) -> Filling {
    let teach = || panic!("teach isolation/filling.rs how to fill the new argument `{place}`");
    known_filling(place).unwrap_or_else(teach)
}

/// The same of a place that may be the operators'.
pub(super) fn known_filling(place: &str) -> Option<Filling> {
    let known = FILLINGS.iter().find(|(known, _)| *known == place);
    known.map(|(_, filling)| *filling)
}

/// Fails when the table and the schema have grown apart.
pub(super) fn check_table(schema: &Schema) {
    let places = schema.places();
    for place in &places {
        if !is_input_object_field(schema, place) {
            filling(place);
        }
    }
    for (place, _) in FILLINGS {
        assert!(
            places.iter().any(|known| known == place),
            "`{place}` is gone: take it out of isolation/filling.rs"
        );
    }
}

/// An input inside an input is filled by its own fields.
fn is_input_object_field(schema: &Schema, place: &str) -> bool {
    let (owner, name) = place.rsplit_once('.').expect("a place");
    !owner.contains('.')
        && schema
            .get(owner)
            .inputs
            .iter()
            .any(|input| input.name == name && schema.is_input_object(&input.of.name))
}

/// What a tenant has, in the words of arguments.
#[derive(Default)]
pub(super) struct Belongings {
    pub(super) ids: BTreeMap<Kind, Vec<String>>,
    pub(super) cursors: Vec<String>,
    pub(super) file: String,
    pub(super) rule: String,
    pub(super) tool: String,
    pub(super) project_name: String,
}

/// Something of another tenant, and beside it what looks alike and does not exist.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) real: String,
    pub(super) ghost: String,
}

impl Belongings {
    pub(super) fn all_ids(&self) -> Vec<&String> {
        self.ids.values().flatten().collect()
    }

    /// Those that say their type: a node is found by nothing else.
    fn node_ids(&self) -> Vec<&String> {
        self.all_ids().into_iter().filter(|id| bare(id) != *id).collect()
    }

    /// One's own value, the `round`th of several; `None` to leave the argument out.
    pub(super) fn own(&self, filling: Filling, round: usize) -> Option<Value> {
        let pick = |ids: &[&String]| json!(ids[round % ids.len()]);
        match filling {
            Id(kind) | NeededId(kind) => Some(pick(&self.ids[&kind].iter().collect::<Vec<_>>())),
            AnyId => Some(pick(&self.node_ids())),
            Number(number) => Some(json!(number)),
            Word(word) => Some(json!(word)),
            Cursor | File | Rule | Tool | ProjectName | Nothing | Chosen => None,
        }
    }

    /// How many rounds show all of one's own things.
    pub(super) fn rounds(&self, filling: Filling) -> usize {
        match filling {
            Id(kind) | NeededId(kind) => self.ids[&kind].len(),
            AnyId => self.node_ids().len(),
            _ => 1,
        }
    }

    /// All that another tenant may try in an argument.
    pub(super) fn candidates(&self, filling: Filling, word: &str) -> Vec<Candidate> {
        let texts: Vec<&String> = match filling {
            Id(_) | NeededId(_) | AnyId => self.all_ids(),
            Cursor => self.cursors.iter().collect(),
            File => vec![&self.file],
            Rule => vec![&self.rule],
            ProjectName => vec![&self.project_name],
            // the same for all tenants
            Tool | Number(_) | Word(_) | Nothing | Chosen => Vec::new(),
        };
        texts.into_iter().map(|text| self.candidate(text, word)).collect()
    }

    pub(super) fn candidate(&self, real: &str, word: &str) -> Candidate {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(real).ok();
        let cursor = decoded
            .filter(|_| self.cursors.iter().any(|cursor| cursor == real))
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let ghost = match cursor {
            Some(cursor) => BASE64_URL_SAFE_NO_PAD.encode(self.ghost(&cursor, word)),
            None => self.ghost(real, word),
        };
        assert_ne!(ghost, real, "a ghost differs");
        Candidate {
            real: real.to_owned(),
            ghost,
        }
    }

    /// `text` with all that exists replaced by what does not, equal in length and order.
    fn ghost(&self, text: &str, word: &str) -> String {
        let mut ghost = text.replace(word, &ghost_of(word));
        for id in self.all_ids() {
            let bare = bare(id);
            ghost = ghost.replace(bare, &ghost_of(bare));
        }
        ghost
    }
}

/// An id without the name of its type: cursors hold it so. Other texts stay as they are.
pub(super) fn bare(id: &str) -> &str {
    let parts = id.rsplit_once('_');
    let parts = parts.filter(|(_, bare)| uuid::Uuid::try_parse(bare).is_ok());
    parts.map_or(id, |(_, bare)| bare)
}

/// The same with another last character: nothing is called so.
pub(super) fn ghost_of(text: &str) -> String {
    let (start, last) = text.split_at(text.len() - 1);
    format!("{start}{}", if last == "7" { '8' } else { '7' })
}

/// A value in the shape that the argument takes.
pub(super) fn shaped(of: &TypeRef, value: Value) -> Value {
    if of.is_list { json!([value]) } else { value }
}
