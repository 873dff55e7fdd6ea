//! `POST /queue/result`: a scanner that ran elsewhere hands in its report, which becomes a task that imports it.
//!
//! With `task` the report belongs where that task does: its project, type, branch, environment and category. The task
//! itself keeps its state, for what a stranger hands in is nobody's attempt. The same bytes for the same task are
//! imported once a day, whether or not the scanner sends an `Idempotency-Key`.

use axum::extract::{Request, State};
use axum::response::Response;
use tamiz_core::TaskId;
use tamiz_store::project;
use tamiz_store::task::{self, Task};
use tamiz_store::token::Caller;

use super::arrival::{Arrived, Envelope, FileRoute, FromFields};
use super::fields::{Fields, invalid};
use super::order::{Wanted, Wishes, of_file};
use super::repeat::Key;
use super::told::accepted;
use super::{Rest, tasks};
use crate::api::refused::{Refused, unreached};
use crate::api::schema::TenantCaller;

const ROUTE: FileRoute = FileRoute {
    path: "/queue/result",
    fields: &[
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
    ],
    envelope: Envelope::Any,
    is_report: true,
};
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
    request: Request,
) -> Result<Response, Refused> {
    let Arrived { key, order, received } = ROUTE.receive::<HandedIn>(&rest, &caller, request).await?;
    let key = match (key, order.result_of) {
        (None, Some(task)) => {
            let same = [task.uuid().as_bytes().as_slice(), &received.bytes.hash()].concat();
            Some(Key::made_of(
                caller.scope.tenant_id(),
                "/queue/result of a task",
                &same,
            ))
        }
        (key, _) => key,
    };
    let started = of_file(&rest, &caller, key, order.wanted, received).await?;
    accepted(&rest, &caller, &started, order.result_of).await
}

/// What the report becomes.
struct HandedIn {
    wanted: Wanted,
    /// The task that it is a result of.
    result_of: Option<TaskId>,
}

impl FromFields for HandedIn {
    async fn read(fields: &Fields, rest: &Rest, caller: &Caller) -> Result<Self, Refused> {
        let Some(said) = fields.text("task") else {
            let scan_type = fields.text("scanType");
            let scan_type =
                scan_type.ok_or_else(|| invalid("scanType", "say `task`, or `project` and `scanType`"))?;
            return Ok(Self {
                wanted: Wanted::of(fields, scan_type, rest, caller).await?,
                result_of: None,
            });
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
        wishes.judge(rest, caller).await?;
        let project = project.ok_or_else(absent)?;
        Ok(Self {
            wanted: Wanted { project, wishes },
            result_of: Some(id),
        })
    }
}
