//! `POST /queue/result`: a scanner that ran elsewhere hands in its report, which becomes a task that imports it.
//!
//! With `task` the report belongs where that task does: its project, type, branch, environment and category. The task
//! itself keeps its state, for what a stranger hands in is nobody's attempt. The same bytes for the same task are
//! imported once a day, whether or not the scanner sends an `Idempotency-Key`.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use tamiz_core::TaskId;
use tamiz_store::project;
use tamiz_store::task::{self, Task};
use tamiz_store::token::Caller;

use super::arrival::{Arrival, Envelope, Head};
use super::fields::{Fields, invalid};
use super::order::{Received, Wanted, Wishes, of_file};
use super::repeat::Key;
use super::told::accepted;
use super::{Rest, tasks};
use crate::api::refused::{Refused, unreached};
use crate::api::schema::TenantCaller;

const ROUTE: &str = "/queue/result";
/// Beside the report.
const KNOWN: &[&str] = &[
    "task",
    "project",
    "createProject",
    "scanType",
    "branch",
    "environment",
    "category",
    "commit",
    "options",
    "priority",
    "fileName",
];
/// What a task says already.
const OF_TASK: &[&str] = &[
    "project",
    "createProject",
    "scanType",
    "branch",
    "environment",
    "category",
];

pub(super) async fn hand_in(
    State(rest): State<Rest>,
    TenantCaller(caller): TenantCaller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let key = Key::of(&headers, caller.scope.tenant_id(), ROUTE)?;
    let head = Head {
        known: KNOWN,
        query: query.as_deref(),
        headers: &headers,
        envelope: Envelope::Any,
    };
    let mut arrival = Arrival::open(&rest, &caller, head, body).await?;
    let early = if arrival.has_all_fields() {
        Some(wanted(arrival.fields(), &rest, &caller).await?)
    } else {
        None
    };
    let bytes = arrival.receive(&rest, &caller).await?;
    let (wanted, result_of) = match early {
        Some(wanted) => wanted,
        None => wanted(arrival.fields(), &rest, &caller).await?,
    };
    let key = match (key, result_of) {
        (None, Some(task)) => {
            let same = [task.uuid().as_bytes().as_slice(), &bytes.hash()].concat();
            Some(Key::made_of(
                caller.scope.tenant_id(),
                "/queue/result of a task",
                &same,
            ))
        }
        (key, _) => key,
    };
    let received = Received {
        bytes,
        file_name: arrival.file_name().to_owned(),
        media_type: arrival.media_type().to_owned(),
        is_report: true,
    };
    let started = of_file(&rest, &caller, key, wanted, received).await?;
    accepted(&rest, &caller, &started, result_of).await
}

/// What the report becomes, and the task that it is a result of.
async fn wanted(fields: &Fields, rest: &Rest, caller: &Caller) -> Result<(Wanted, Option<TaskId>), Refused> {
    let Some(said) = fields.text("task") else {
        let scan_type = fields.text("scanType");
        let scan_type =
            scan_type.ok_or_else(|| invalid("scanType", "say `task`, or `project` and `scanType`"))?;
        return Ok((Wanted::of(fields, scan_type, rest, caller).await?, None));
    };
    if let Some(twice) = OF_TASK.iter().find(|name| fields.said(name).is_some()) {
        return Err(invalid(twice, "the task says it already: leave it away"));
    }
    let absent = || tasks::not_found(said);
    let id: TaskId = said.parse().map_err(|_| absent())?;
    let fault = |error| unreached(&error);
    let mut tx = rest.state.store.begin(&caller.scope).await.map_err(fault)?;
    let task: Task = task::get(&mut tx, id).await.map_err(fault)?.ok_or_else(absent)?;
    let project = project::get(&mut tx, task.project_id).await.map_err(fault)?;
    tx.commit().await.map_err(fault)?;
    let mut wishes = Wishes::of(fields, task.scan_type.as_str())?;
    wishes.labels = task.payload.labels;
    wishes.commit = wishes.commit.or(task.payload.commit);
    let project = project.ok_or_else(absent)?;
    let wanted = Wanted { project, wishes };
    Ok((wanted, Some(id)))
}
