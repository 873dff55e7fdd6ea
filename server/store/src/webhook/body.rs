//! What a message says: `{"type", "timestamp", "data"}`, as Standard Webhooks has it. Written once; every try sends the
//! same bytes.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tamiz_core::webhook::EventType;
use tamiz_core::{AlertId, AlertState, ProjectId, TaskId};
use uuid::Uuid;

use super::outbox::By;
use crate::alert::standing_of;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Of a title, a rule or a place, in characters: a hundred alerts stay far below what receivers take.
const TEXT_CHARACTERS_MAX: i32 = 300;

/// Alerts that changed in one way.
pub(super) struct Told<'a> {
    pub(super) project: ProjectId,
    pub(super) event: EventType,
    pub(super) by: &'a By,
    pub(super) count: u64,
    /// The worst of them, in this order.
    pub(super) alerts: &'a [AlertId],
}

#[derive(Serialize)]
struct Message<Data> {
    r#type: &'static str,
    timestamp: String,
    data: Data,
}

#[derive(Serialize)]
struct Named {
    id: Uuid,
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskName {
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    scan_type: Option<String>,
}

#[derive(Serialize)]
struct AlertsData {
    project: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    count: u64,
    alerts: Vec<ToldAlert>,
    /// Where all of this state are, when there are more than named here.
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldAlert {
    id: Uuid,
    title: String,
    rule: String,
    severity: &'static str,
    state: &'static str,
    tool: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<i32>,
    /// The place in one word, where it is no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dismissal: Option<ToldDismissal>,
}

#[derive(Serialize)]
struct ToldDismissal {
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct TaskData {
    project: Named,
    task: ToldTask,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldTask {
    id: Uuid,
    scan_type: String,
    status: String,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ToldError>,
    /// How many findings, and how they differ from the scan before.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ToldResult>,
}

#[derive(Serialize)]
struct ToldError {
    code: String,
    message: Option<String>,
}

#[derive(Serialize)]
struct ToldResult {
    findings: Option<serde_json::Value>,
    comparison: Option<serde_json::Value>,
}

fn message<Data: Serialize>(event: EventType, at: DateTime<Utc>, data: Data) -> Result<String, StoreError> {
    let message = Message {
        r#type: event.as_str(),
        timestamp: at.to_rfc3339_opts(SecondsFormat::Micros, true),
        data,
    };
    serde_json::to_string(&message).map_err(|error| StoreError::unreadable("webhook", &error.to_string()))
}

/// A message that says nothing: for trying an endpoint out.
pub(super) fn of_test(at: DateTime<Utc>) -> Result<String, StoreError> {
    message(EventType::Test, at, serde_json::json!({}))
}

/// What is told of alerts; `None` when the project is gone.
pub(super) async fn of_alerts(tx: &mut TenantTx, told: &Told<'_>) -> Result<Option<String>, StoreError> {
    let task = match told.by {
        By::Task(task) => Some(task.uuid()),
        _ => None,
    };
    let context = sqlx::query!(
        r#"
        select p.name, now() as "now!",
               (select t.type from tenant.task t where t.tenant_id = $1 and t.id = $3) as scan_type
        from tenant.project p where p.tenant_id = $1 and p.id = $2
        "#,
        tx.tenant(),
        told.project.uuid(),
        task
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(context) = context else {
        return Ok(None);
    };
    let data = AlertsData {
        project: Named {
            id: told.project.uuid(),
            name: context.name,
        },
        task: task.map(|id| TaskName {
            id,
            scan_type: context.scan_type,
        }),
        actor: match told.by {
            By::Actor(actor) => Some(actor.clone()),
            _ => None,
        },
        count: told.count,
        alerts: alerts(tx, told.alerts).await?,
        rest: (told.count > told.alerts.len() as u64).then(|| rest(told)),
    };
    message(told.event, context.now, data).map(Some)
}

/// Where all alerts of that state are.
fn rest(told: &Told<'_>) -> String {
    let state = match told.event {
        EventType::AlertFixed => AlertState::Fixed,
        EventType::AlertReopened => AlertState::Reopened,
        EventType::AlertDismissed | EventType::AcceptanceExpiring => AlertState::Dismissed,
        EventType::AlertOpened | EventType::TaskFinished | EventType::Test => AlertState::Open,
    };
    format!("/v1/projects/{}/alerts.csv?state={state}", told.project)
}

/// The alerts as they are now, in this order.
async fn alerts(tx: &mut TenantTx, ids: &[AlertId]) -> Result<Vec<ToldAlert>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select a.id, a.source_tool, a.state, a.severity, a.dismissed_reason, a.dismissed_until,
               left(c.title, $3) as "title!", left(c.rule_id, $3) as "rule!", left(c.file_path, $3) as file, c.line,
               left(c.location_label, $3) as label
        from unnest($2::uuid[]) with ordinality x(id, place)
        cross join lateral (select * from tenant.alert a where a.tenant_id = $1 and a.id = x.id limit 1) a
        cross join lateral (select * from tenant.finding_content c where c.tenant_id = $1
                            and c.project_id = a.project_id and c.id = a.content_id limit 1) c
        order by x.place
        "#,
        tx.tenant(),
        &ids,
        TEXT_CHARACTERS_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    let told = rows.into_iter().map(|row| {
        let (state, severity) = standing_of(row.state, row.severity)?;
        Ok(ToldAlert {
            id: row.id,
            title: row.title,
            rule: row.rule,
            severity: severity.as_str(),
            state: state.as_str(),
            tool: row.source_tool,
            label: if row.file.is_some() { None } else { row.label },
            file: row.file,
            line: row.line,
            dismissal: row.dismissed_reason.map(|reason| ToldDismissal {
                reason,
                until: row.dismissed_until,
            }),
        })
    });
    told.collect()
}

/// What is told of a task that has ended; `None` when it is gone.
pub(super) async fn of_task(
    tx: &mut TenantTx,
    project: ProjectId,
    task: TaskId,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query!(
        r#"
        select t.type, t.status, t.created_at, t.started_at, t.finished_at, t.error_code,
               left(t.error_message, $3) as error_message, p.name as project_name, now() as "now!",
               r.findings as "findings?", r.comparison as "comparison?"
        from tenant.task t
        cross join lateral (select p.name from tenant.project p where p.tenant_id = $1 and p.id = t.project_id) p
        left join lateral (select r.summary -> 'findings' as findings, r.summary -> 'comparison' as comparison
                           from tenant.scan_result r where r.tenant_id = $1 and r.task_id = t.id limit 1) r on true
        where t.tenant_id = $1 and t.id = $2
        "#,
        tx.tenant(),
        task.uuid(),
        TEXT_CHARACTERS_MAX
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let data = TaskData {
        project: Named {
            id: project.uuid(),
            name: row.project_name,
        },
        task: ToldTask {
            id: task.uuid(),
            scan_type: row.r#type,
            status: row.status,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            error: row.error_code.map(|code| ToldError {
                code,
                message: row.error_message,
            }),
            result: row.findings.is_some().then_some(ToldResult {
                findings: row.findings,
                comparison: row.comparison.filter(|comparison| !comparison.is_null()),
            }),
        },
    };
    message(EventType::TaskFinished, row.now, data).map(Some)
}
