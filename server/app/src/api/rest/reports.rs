//! `POST /v1/reports`: the one call of a pipeline. A report goes in; what changed since the last one of the same branch,
//! environment and category comes out, with a verdict.
//!
//! The answer waits for the import, but not for ever: after `wait` seconds it says where to ask again. The import goes on
//! then, as it does when the client hangs up.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use tamiz_core::gate::FailOn;
use tamiz_store::token::Caller;

use super::arrival::{Arrival, Envelope, Head};
use super::fields::{Fields, invalid};
use super::order::{Received, Wanted, of_file};
use super::repeat::Key;
use super::told::Asked;
use super::{Rest, tasks, wait};
use crate::api::guard::bearer::Known;
use crate::api::refused::Refused;
use crate::api::schema::{Principal, TenantCaller};

const ROUTE: &str = "/v1/reports";
/// Beside the report.
const KNOWN: &[&str] = &[
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
];
/// If nothing is said: most imports take seconds, and others wait before them.
const WAIT_SECONDS: u64 = 120;
/// Pipelines count their minutes.
const WAIT_SECONDS_MAX: u64 = 300;

pub(super) async fn hand_in(
    State(rest): State<Rest>,
    known: Known<Principal>,
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
        Some(Pipeline::read(arrival.fields(), &rest, &caller).await?)
    } else {
        None
    };
    let bytes = arrival.receive(&rest, &caller).await?;
    let pipeline = match early {
        Some(pipeline) => pipeline,
        None => Pipeline::read(arrival.fields(), &rest, &caller).await?,
    };
    let received = Received {
        bytes,
        file_name: arrival.file_name().to_owned(),
        media_type: arrival.media_type().to_owned(),
        is_report: true,
    };
    let started = of_file(&rest, &caller, key, pipeline.wanted, received).await?;
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

impl Pipeline {
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
