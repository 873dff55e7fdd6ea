//! `POST /v1/reports`: the one call of a pipeline. A report goes in; what changed since the last one of the same branch,
//! environment and category comes out, with a verdict.
//!
//! The answer waits for the import, but not for ever: after `wait` seconds it says where to ask again. The import goes on
//! then, as it does when the client hangs up.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use tamiz_core::gate::FailOn;
use tamiz_store::token::Caller;

use super::arrival::{Envelope, FileRoute, FromFields};
use super::fields::{Fields, invalid};
use super::order::{Wanted, of_file};
use super::told::Asked;
use super::{Rest, tasks, wait};
use crate::api::guard::bearer::Known;
use crate::api::refused::Refused;
use crate::api::schema::{Principal, TenantCaller};

const ROUTE: FileRoute = FileRoute {
    path: "/v1/reports",
    fields: &[
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
        "failOn",
        "wait",
    ],
    envelope: Envelope::Any,
    is_report: true,
};
/// If nothing is said: most imports take seconds, and others wait before them.
const WAIT_SECONDS: u64 = 120;
/// Pipelines count their minutes.
const WAIT_SECONDS_MAX: u64 = 300;

pub(super) async fn hand_in(
    State(rest): State<Rest>,
    known: Known<Principal>,
    TenantCaller(caller): TenantCaller,
    request: Request,
) -> Result<Response, Refused> {
    let arrived = ROUTE.receive::<Pipeline>(&rest, &caller, request).await?;
    let pipeline = arrived.order;
    let started = of_file(&rest, &caller, arrived.key, pipeline.wanted, arrived.received).await?;
    let (asked, id) = (pipeline.asked, started.task.id);
    let seen = wait::until_ended(&rest, &known, &caller, id, asked, pipeline.patience).await?;
    let seen = seen.ok_or_else(|| tasks::not_found(&id.to_string()))?;
    let has_ended = seen.has_ended();
    let told = seen.tell(asked).with(started.existing, None);
    Ok(if has_ended { told.now() } else { told.later() })
}

/// What a pipeline says.
struct Pipeline {
    wanted: Wanted,
    asked: Asked,
    patience: Duration,
}

impl FromFields for Pipeline {
    async fn read(fields: &Fields, rest: &Rest, caller: &Caller) -> Result<Self, Refused> {
        let fail_on = tasks::fail_on(fields)?.unwrap_or(FailOn::Never);
        let seconds = tasks::wait_seconds(fields, WAIT_SECONDS_MAX)?.unwrap_or(WAIT_SECONDS);
        let scan_type = fields.text("scanType");
        let scan_type =
            scan_type.ok_or_else(|| invalid("scanType", "say which type of scan made the report"))?;
        Ok(Self {
            asked: Asked {
                fail_on: Some(fail_on),
                wait_seconds: Some(seconds),
            },
            patience: Duration::from_secs(seconds),
            wanted: Wanted::of(fields, scan_type, rest, caller).await?,
        })
    }
}
