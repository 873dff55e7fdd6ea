//! A task as these routes tell it: where it stands, what it came to, what changed, the verdict.

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tamiz_core::export::Format;
use tamiz_core::gate::{FailOn, SeverityCounts, Verdict};
use tamiz_core::scope::{Comparison, ScopeLabels};
use tamiz_core::summary::{Completeness, Summary};
use tamiz_core::{ProjectId, Severity, TaskId, TaskStatus};
use tamiz_store::event::{self, Event};
use tamiz_store::project::{self, Project};
use tamiz_store::scan_result;
use tamiz_store::task::{self, Task};
use tamiz_store::token::Caller;
use tamiz_store::{StoreError, alert};

use super::Rest;
use crate::api::alert_export;
use crate::api::refused::{Refused, unreached};
use crate::flow::start_scan::Started;

/// A task with what belongs to it, as it was at one moment.
pub(super) struct Seen {
    task: Task,
    project: Project,
    event: Option<Event>,
    summary: Option<Summary>,
    /// Counted only for a verdict that looks at it.
    new: Option<SeverityCounts>,
}

/// What a client wants to be told with it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pub(super) fail_on: Option<FailOn>,
    pub(super) wait_seconds: Option<u64>,
}

impl Asked {
    /// Where the same is told later.
    pub(super) fn address(self, task: TaskId) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(fail_on) = self.fail_on {
            query.append_pair("failOn", &fail_on.to_string());
        }
        if let Some(seconds) = self.wait_seconds {
            let seconds = seconds.min(super::tasks::WAIT_SECONDS_MAX);
            query.append_pair("wait", &seconds.to_string());
        }
        match query.finish().as_str() {
            "" => format!("/tasks/{task}"),
            query => format!("/tasks/{task}?{query}"),
        }
    }
}

/// A task as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskTold {
    id: TaskId,
    status: TaskStatus,
    phase: &'static str,
    scan_type: String,
    project: ProjectTold,
    scope: ScopeTold,
    commit: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    progress: Option<ProgressTold>,
    error: Option<ErrorTold>,
    totals: Option<TotalsTold>,
    difference: Option<DifferenceTold>,
    gate: Option<GateTold>,
    links: LinksTold,
    /// Of an answer to a request for a task: it was there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    existing: Option<bool>,
    /// Of a result: the task that it was handed in for.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_of: Option<TaskId>,
}

#[derive(Serialize)]
struct ProjectTold {
    id: ProjectId,
    name: String,
}

#[derive(Serialize)]
struct ScopeTold {
    branch: String,
    environment: String,
    category: String,
}

#[derive(Serialize)]
struct ProgressTold {
    message: String,
    done: Option<i64>,
    total: Option<i64>,
    at: DateTime<Utc>,
}

#[derive(Serialize)]
struct ErrorTold {
    code: String,
    message: String,
    reason: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TotalsTold {
    findings: u32,
    occurrences: u32,
    skipped: u32,
    completeness: Completeness,
    by_severity: SeverityCounts,
}

/// How the scan differs from the last one of the same scope.
#[derive(Serialize)]
struct DifferenceTold {
    opened: u32,
    reopened: u32,
    fixed: u32,
    unchanged: u32,
    moved: u32,
    closes: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GateTold {
    fail_on: String,
    passed: bool,
    reason: String,
    counts: SeverityCounts,
}

#[derive(Serialize)]
struct LinksTold {
    #[serde(rename = "self")]
    own: String,
    alerts: String,
    sarif: String,
}

impl Seen {
    /// Reads the task; `None` if the tenant has none of that id.
    pub(super) async fn read(
        rest: &Rest,
        caller: &Caller,
        id: TaskId,
        asked: Asked,
    ) -> Result<Option<Self>, Refused> {
        let looks_at_new = asked.fail_on.is_some_and(FailOn::looks_at_new);
        let read = async {
            let mut tx = rest.state.store.begin(&caller.scope).await?;
            let Some(task) = task::get(&mut tx, id).await? else {
                return Ok(None);
            };
            let Some(project) = project::get(&mut tx, task.project_id).await? else {
                return Ok(None);
            };
            let event = event::after(&mut tx, id, task.event_seq - 1, 1).await?.pop();
            let result = scan_result::of_tasks(&mut tx, &[id]).await?.pop();
            let new = if looks_at_new && task.status == TaskStatus::Completed {
                Some(alert::opened_by(&mut tx, id).await?)
            } else {
                None
            };
            tx.commit().await?;
            Ok(Some(Self {
                task,
                project,
                event,
                summary: result.map(|result| result.summary),
                new,
            }))
        };
        read.await.map_err(|error: StoreError| unreached(&error))
    }

    /// Nothing happens to it any more.
    pub(super) const fn has_ended(&self) -> bool {
        self.task.status.is_final()
    }

    /// As JSON.
    pub(super) fn tell(self, asked: Asked) -> TaskTold {
        let gate = asked.fail_on.filter(|_| self.has_ended());
        let gate = gate.map(|fail_on| self.gate(fail_on));
        let Self {
            task,
            project,
            event,
            summary,
            ..
        } = self;
        TaskTold {
            id: task.id,
            status: task.status,
            phase: task.phase.as_str(),
            scan_type: task.scan_type.as_str().to_owned(),
            scope: task.payload.labels.into(),
            commit: task.payload.commit,
            created_at: task.created_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
            progress: event.map(ProgressTold::from),
            error: task.error_code.map(|code| ErrorTold {
                code,
                message: task.error_message.unwrap_or_default(),
                reason: task.plugin_fault.map(|fault| fault.reason),
            }),
            difference: summary
                .as_ref()
                .and_then(|summary| summary.comparison)
                .map(Into::into),
            totals: summary.as_ref().map(TotalsTold::from),
            gate,
            links: LinksTold {
                own: asked.address(task.id),
                alerts: alert_export::path_of(project.id, Format::Ocsf),
                sarif: alert_export::path_of(project.id, Format::Sarif),
            },
            project: ProjectTold {
                id: project.id,
                name: project.name,
            },
            existing: None,
            result_of: None,
        }
    }

    /// The verdict on a task that has ended. One that did not complete found nothing that can be judged.
    fn gate(&self, fail_on: FailOn) -> GateTold {
        let counts = match fail_on {
            FailOn::New(_) => self.new.unwrap_or_default(),
            FailOn::Never | FailOn::Findings(_) => self.summary.as_ref().map(by_severity).unwrap_or_default(),
        };
        let verdict = match self.task.status {
            TaskStatus::Completed => fail_on.judge(&counts),
            status => {
                let code = self.task.error_code.as_deref().unwrap_or("no reason was noted");
                Verdict {
                    passed: false,
                    reason: format!("the task is {}: {code}", status.as_str()),
                }
            }
        };
        GateTold {
            fail_on: fail_on.to_string(),
            passed: verdict.passed,
            reason: verdict.reason,
            counts,
        }
    }
}

impl TaskTold {
    /// 200.
    pub(super) fn now(self) -> Response {
        Json(self).into_response()
    }

    /// 202, with the address to ask again.
    pub(super) fn later(self) -> Response {
        let location = HeaderValue::from_str(&self.links.own).ok();
        let mut response = (StatusCode::ACCEPTED, Json(self)).into_response();
        if let Some(location) = location {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    /// The same, with what is only known of an answer to a request for a task.
    pub(super) fn with(mut self, existing: bool, result_of: Option<TaskId>) -> Self {
        self.existing = Some(existing);
        self.result_of = result_of;
        self
    }
}

/// The answer to a request for a task: 202.
pub(super) async fn accepted(
    rest: &Rest,
    caller: &Caller,
    started: &Started,
    result_of: Option<TaskId>,
) -> Result<Response, Refused> {
    let (asked, id) = (Asked::default(), started.task.id);
    let seen = Seen::read(rest, caller, id, asked).await?;
    let seen = seen.ok_or_else(|| super::tasks::not_found(&id.to_string()))?;
    Ok(seen.tell(asked).with(started.existing, result_of).later())
}

fn by_severity(summary: &Summary) -> SeverityCounts {
    let count = |severity: Severity| {
        let count = summary.by_severity.get(severity.as_str());
        (severity, count.copied().unwrap_or(0))
    };
    Severity::ALL.into_iter().map(count).collect()
}

impl From<ScopeLabels> for ScopeTold {
    fn from(labels: ScopeLabels) -> Self {
        Self {
            branch: labels.branch,
            environment: labels.environment,
            category: labels.category,
        }
    }
}

impl From<Event> for ProgressTold {
    fn from(event: Event) -> Self {
        Self {
            message: event.message,
            done: event.done,
            total: event.total,
            at: event.created_at,
        }
    }
}

impl From<&Summary> for TotalsTold {
    fn from(summary: &Summary) -> Self {
        Self {
            findings: summary.findings,
            occurrences: summary.occurrences,
            skipped: summary.skipped,
            completeness: summary.completeness,
            by_severity: by_severity(summary),
        }
    }
}

impl From<Comparison> for DifferenceTold {
    fn from(comparison: Comparison) -> Self {
        Self {
            opened: comparison.new,
            reopened: comparison.reopened,
            fixed: comparison.fixed,
            unchanged: comparison.unchanged,
            moved: comparison.moved,
            closes: comparison.closes,
        }
    }
}
