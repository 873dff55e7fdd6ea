//! The GraphQL documents that a scan needs, and their answers as types.

use serde::Deserialize;
use serde_json::{Value, json};
use tamiz_core::RefusalCode;

use super::super::CliError;
use super::client::{self, Client, Repeat};
use super::report::{Finding, Report};
use super::scope::ScopeArgs;

/// Rows of one page of findings. Where findings are so long that a page does not fit into one answer,
/// fewer are asked for.
const PAGE_ROWS: usize = 100;
/// Pages read at most: the server keeps at most so many findings of one task, and no page is empty.
const PAGES_MAX: usize = tamiz_core::limits::FINDINGS_PER_TASK_MAX as usize + 1;

/// The events of one task after a sequence number.
pub(super) const TASK_EVENTS: &str = "\
subscription($id: ID!, $after: Int) {
  taskEvents(taskId: $id, after: $after) { seq status phase message done total createdAt }
}";

const LIMITS: &str = "{ viewer { limits { archiveEntriesMax } } }";

const PROJECTS: &str = "\
query($name: String!) { projects(first: 100, filter: { name: $name }) { nodes { id name } } }";

const CREATE_PROJECT: &str = "\
mutation($name: String!) {
  createProject(input: { name: $name }) { project { id name } errors { code message path } }
}";

const START_SCAN: &str = "\
mutation($input: StartScanInput!) {
  startScan(input: $input) { task { id status } errors { code message path } }
}";

const IMPORT_REPORT: &str = "\
mutation($input: ImportReportInput!) {
  importReport(input: $input) { task { id status } errors { code message path } }
}";

const CANCEL_TASK: &str = "\
mutation($id: ID!) { cancelTask(input: { taskId: $id }) { errors { code message path } } }";

const TASK_STATUS: &str = "query($id: ID!) { task(id: $id) { id status } }";

const FINDINGS: &str = "\
query($id: ID!, $first: Int!, $after: String, $whole: Boolean!) {
  task(id: $id) {
    status
    error { code message }
    findings(first: $first, after: $after) {
      nodes {
        id severity ruleId title message file line endLine location cwe cve cvssScore tool confidence
        fingerprint occurrenceCount
        ... @include(if: $whole) {
          ruleName severityRaw category cvssVector remediation toolFingerprint references tags locations extra
        }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}";

/// A project by its id.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli) struct Project {
    pub(in crate::cli) id: String,
    pub(in crate::cli) name: String,
}

/// A task by its id.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) status: String,
}

/// What a task works on.
#[derive(Debug)]
pub(super) enum Subject {
    /// An upload to be scanned, by its id.
    Upload(String),
    /// An uploaded report, by its id.
    Report(String),
    /// As `TargetInput`.
    Target(Value),
}

/// A task to be started.
#[derive(Debug)]
pub(super) struct TaskStart<'a> {
    pub(super) id: &'a str,
    pub(super) project: &'a str,
    pub(super) scan_type: &'a str,
    pub(super) subject: Subject,
    pub(super) rules: Option<&'a str>,
    /// As `ScanProfile`.
    pub(super) profile: Option<&'a str>,
    pub(super) scope: &'a ScopeArgs,
}

/// One event of a task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct TaskEvent {
    pub(super) seq: i64,
    pub(super) status: String,
    pub(super) phase: Option<String>,
    pub(super) message: Option<String>,
    pub(super) done: Option<i64>,
    pub(super) total: Option<i64>,
}

/// Why a mutation was refused.
#[derive(Debug, Deserialize)]
pub(super) struct UserError {
    #[serde(default)]
    code: String,
    message: String,
    #[serde(default)]
    path: Value,
}

impl UserError {
    /// The last part of the path: the field that is wrong.
    fn field(&self) -> Option<&str> {
        match &self.path {
            Value::Array(parts) => parts.last()?.as_str(),
            path => path.as_str(),
        }
    }
}

/// Refusals of a mutation, in one line.
pub(super) fn refused(what: &str, errors: &[UserError]) -> Result<(), CliError> {
    if errors.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = errors
        .iter()
        .map(|error| match error.field() {
            Some(field) if !error.message.starts_with(&format!("{field}:")) => {
                format!("{field}: {}", error.message)
            }
            _ => error.message.clone(),
        })
        .collect();
    Err(CliError::Failed(format!("{what}: {}", lines.join("; "))))
}

/// Files and folders that one archive may have.
pub(super) async fn archive_entries_max(client: &Client) -> Result<u64, CliError> {
    #[derive(Deserialize)]
    struct Found {
        viewer: Viewer,
    }
    #[derive(Deserialize)]
    struct Viewer {
        limits: Limits,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Limits {
        archive_entries_max: u64,
    }
    let found: Found = client.graphql(LIMITS, json!({}), Repeat::Always).await?;
    Ok(found.viewer.limits.archive_entries_max)
}

/// The project of that name, made when there is none.
pub(super) async fn ensure_project(client: &Client, name: &str) -> Result<Project, CliError> {
    #[derive(Deserialize)]
    struct Created {
        #[serde(rename = "createProject")]
        payload: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        project: Option<Project>,
        errors: Vec<UserError>,
    }
    if let Some(project) = find_project(client, name).await? {
        return Ok(project);
    }
    let created: Created = client
        .graphql(CREATE_PROJECT, json!({ "name": name }), Repeat::IfNotTaken)
        .await?;
    if let Some(project) = created.payload.project {
        return Ok(project);
    }
    // Another scan may have made it in between.
    if let Some(project) = find_project(client, name).await? {
        return Ok(project);
    }
    refused("the project cannot be made", &created.payload.errors)?;
    Err(CliError::Failed(
        "the project cannot be made: the server gives no reason".to_owned(),
    ))
}

/// The project of that name.
async fn find_project(client: &Client, name: &str) -> Result<Option<Project>, CliError> {
    #[derive(Deserialize)]
    struct Found {
        projects: Nodes,
    }
    #[derive(Deserialize)]
    struct Nodes {
        nodes: Vec<Project>,
    }
    let found: Found = client
        .graphql(PROJECTS, json!({ "name": name }), Repeat::Always)
        .await?;
    Ok(found
        .projects
        .nodes
        .into_iter()
        .find(|project| project.name == name))
}

/// The project of that name, which has to be there.
pub(super) async fn named_project(client: &Client, name: &str) -> Result<Project, CliError> {
    let project = find_project(client, name).await?;
    project.ok_or_else(|| CliError::Failed(format!("there is no project named {name}")))
}

/// Starts a scan, or the conversion of a report. The task's id is ours, so asking again after a lost
/// answer finds the task that was made.
pub(super) async fn start(client: &Client, order: TaskStart<'_>) -> Result<Task, CliError> {
    #[derive(Deserialize)]
    struct Started {
        #[serde(rename = "startScan", alias = "importReport")]
        payload: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        task: Option<Task>,
        errors: Vec<UserError>,
    }
    let mut input = json!({ "id": order.id, "projectId": order.project, "scanType": order.scan_type });
    let document = match order.subject {
        Subject::Upload(id) => {
            input["uploadId"] = json!(id);
            START_SCAN
        }
        Subject::Target(target) => {
            input["target"] = target;
            START_SCAN
        }
        Subject::Report(id) => {
            input["uploadId"] = json!(id);
            IMPORT_REPORT
        }
    };
    if let Some(rules) = order.rules {
        input["rulesUploadId"] = json!(rules);
    }
    if *order.scope != ScopeArgs::default() {
        input["scope"] = json!(order.scope);
    }
    // a finished report was made as thoroughly as it was
    if let Some(profile) = order.profile.filter(|_| document == START_SCAN) {
        input["profile"] = json!(profile);
    }
    let started: Started = client
        .graphql(document, json!({ "input": input }), Repeat::Always)
        .await?;
    refused("it is refused", &started.payload.errors)?;
    let missing = || CliError::Failed("it is refused: the server gives no reason".to_owned());
    started.payload.task.ok_or_else(missing)
}

/// Asks the server to end a task; `false` if it was never made.
pub(super) async fn cancel_task(client: &Client, task: &str) -> Result<bool, CliError> {
    #[derive(Deserialize)]
    struct Cancelled {
        #[serde(rename = "cancelTask")]
        payload: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        errors: Vec<UserError>,
    }
    let done: Cancelled = client
        .graphql(CANCEL_TASK, json!({ "id": task }), Repeat::Always)
        .await?;
    let errors = done.payload.errors;
    let absent = RefusalCode::NotFound.as_str();
    if errors.iter().any(|error| error.code == absent) {
        return Ok(false);
    }
    refused("the cancel is refused", &errors).map(|()| true)
}

/// What a task is at.
pub(super) async fn task_status(client: &Client, task: &str) -> Result<String, CliError> {
    #[derive(Deserialize)]
    struct Found {
        task: Option<Task>,
    }
    let found: Found = client
        .graphql(TASK_STATUS, json!({ "id": task }), Repeat::Always)
        .await?;
    found
        .task
        .map(|task| task.status.to_ascii_lowercase())
        .ok_or_else(|| vanished(task))
}

/// Whether nothing more happens to a task of that status.
pub(super) fn is_final(status: &str) -> bool {
    let known: Result<tamiz_core::task::TaskStatus, _> = status.to_ascii_lowercase().parse();
    known.is_ok_and(tamiz_core::task::TaskStatus::is_final)
}

/// Reads the end of the report's task with all its findings, and with all that they say if they are wanted whole.
pub(super) async fn read_report(
    client: &Client,
    mut report: Report,
    whole: bool,
) -> Result<Report, CliError> {
    let task = report.task.clone();
    let mut after: Option<String> = None;
    let mut rows = PAGE_ROWS;
    for _ in 0..PAGES_MAX {
        let variables = json!({ "id": task, "first": rows, "after": after, "whole": whole });
        let answer = client.answer(FINDINGS, variables, Repeat::Always).await?;
        if rows > 1 && client::is_too_large(&answer) {
            rows /= 2;
            continue;
        }
        let found: FindingsAnswer = client::data_of(answer)?;
        let page = found.task.ok_or_else(|| vanished(&task))?;
        report.status = page.status.to_ascii_lowercase();
        report.error = page.error.map(|error| error.message);
        report
            .findings
            .extend(page.findings.nodes.into_iter().map(Finding::clean));
        after = page.findings.page_info.end_cursor;
        if !page.findings.page_info.has_next_page || after.is_none() {
            break;
        }
    }
    report.sort();
    Ok(report)
}

fn vanished(task: &str) -> CliError {
    CliError::Failed(format!("the server knows no task {task} any more"))
}

#[derive(Debug, Deserialize)]
struct FindingsAnswer {
    task: Option<TaskPage>,
}

#[derive(Debug, Deserialize)]
struct TaskPage {
    status: String,
    error: Option<TaskError>,
    findings: FindingsPage,
}

#[derive(Debug, Deserialize)]
struct TaskError {
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FindingsPage {
    nodes: Vec<Finding>,
    page_info: PageInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

/// The event of a message of the stream.
pub(super) fn event_of(message: Value) -> Result<TaskEvent, CliError> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(rename = "taskEvents")]
        event: TaskEvent,
    }
    client::data_of::<Message>(message).map(|message| message.event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_statuses_are_recognised_in_every_spelling() {
        for done in ["COMPLETED", "failed", "DEAD_LETTER", "cancelled"] {
            assert!(is_final(done), "{done}");
        }
        for going in ["QUEUED", "running", "RETRYING", "unheard-of"] {
            assert!(!is_final(going), "{going}");
        }
    }

    #[test]
    fn an_event_is_read_and_an_error_is_not_taken_for_one() {
        let message = json!({"data": {"taskEvents": {
            "seq": 3, "status": "RUNNING", "phase": "SCANNING", "message": "running semgrep",
            "done": null, "total": null, "createdAt": "2026-01-01T00:00:00Z"
        }}});
        let event = event_of(message).unwrap();
        assert_eq!((event.seq, event.phase.as_deref()), (3, Some("SCANNING")));
        let error = event_of(json!({"errors": [{"message": "no such task"}]})).unwrap_err();
        assert!(error.to_string().contains("no such task"));
    }

    #[test]
    fn refusals_name_the_field_they_are_about() {
        for message in ["is too long", "name: is too long"] {
            let errors = [UserError {
                code: "INVALID_INPUT".to_owned(),
                message: message.to_owned(),
                path: json!(["input", "name"]),
            }];
            let error = refused("the project cannot be made", &errors).unwrap_err();
            assert_eq!(error.to_string(), "the project cannot be made: name: is too long");
        }
    }
}
