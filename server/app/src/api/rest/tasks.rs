//! `GET /tasks/{id}`: how a task stands. `?wait=` seconds for its end, `?failOn=` asks for a verdict.

use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tamiz_core::gate::FailOn;
use tamiz_core::text::cut;
use tamiz_core::{Refusal, TaskId};

use super::fields::{Fields, invalid};
use super::told::Asked;
use super::{Rest, wait};
use crate::api::guard::bearer::Known;
use crate::api::refused::Refused;
use crate::api::schema::{Principal, TenantCaller};

/// What may be asked.
const KNOWN: &[&str] = &["failOn", "wait"];
/// Proxies between us and a client end what is silent for longer.
pub(super) const WAIT_SECONDS_MAX: u64 = 60;

pub(super) async fn show(
    State(rest): State<Rest>,
    known: Known<Principal>,
    TenantCaller(caller): TenantCaller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refused> {
    let fields = Fields::of(KNOWN, query.as_deref(), &HeaderMap::new())?;
    let asked = Asked {
        fail_on: fail_on(&fields)?,
        wait_seconds: wait_seconds(&fields, WAIT_SECONDS_MAX)?,
    };
    let absent = || not_found(&id);
    let task: TaskId = id.parse().map_err(|_| absent())?;
    let patience = Duration::from_secs(asked.wait_seconds.unwrap_or(0));
    let seen = wait::until_ended(&rest, &known, &caller, task, asked, patience).await?;
    Ok(seen.ok_or_else(absent)?.tell(asked).now())
}

/// The task that is not there, or is another tenant's.
pub(super) fn not_found(id: &str) -> Refused {
    let refusal = Refusal::not_found("task", cut(id, 100));
    Refused::from_refusal(StatusCode::NOT_FOUND, refusal)
}

/// What the verdict fails on. An empty variable of a pipeline is no word: it would let everything pass.
pub(super) fn fail_on(fields: &Fields) -> Result<Option<FailOn>, Refused> {
    let parse = |word: &str| word.parse().map_err(|error| invalid("failOn", error));
    fields.said("failOn").map(parse).transpose()
}

/// How long the client waits.
pub(super) fn wait_seconds(fields: &Fields, most: u64) -> Result<Option<u64>, Refused> {
    let rule = format!("must be 0 to {most} seconds");
    let seconds = fields.parsed::<u64>("wait", &rule)?;
    match seconds {
        Some(seconds) if seconds > most => Err(invalid("wait", rule)),
        seconds => Ok(seconds),
    }
}
