//! Plain HTTP for pipelines and for clients of systems that Tamiz replaces: the same flows as GraphQL, one call each.
//!
//! ```text
//! POST /v1/reports         a report in, what changed and a verdict out
//! POST /codeaudit/upload   a form with an archive: upload and scan
//! POST /scans/{type}       a scan of a target or an upload
//! POST /queue/result       a scanner hands in its report
//! GET  /tasks/{id}         how a task stands, at once or when it has ended
//! GET  /v1/openapi.json    all of it, for machines                              (no token)
//! ```
//!
//! There is no rule of the domain here. `docs/openapi.json` says what each route takes and answers; a test holds both
//! together.

mod arrival;
mod codeaudit;
mod fields;
mod form;
mod openapi;
mod order;
mod place;
mod repeat;
mod reports;
mod results;
mod scans;
mod tasks;
mod told;
mod wait;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tamiz_core::TenantId;
use tamiz_store::shares::Shares;
use tamiz_store::token::Caller;

use super::intake::{self, Intake};
use super::refused::Refused;
use super::state::ApiState;
use super::transport::Draining;
use crate::flow::FlowError;

/// What the routes share.
#[derive(Clone)]
struct Rest {
    state: Arc<ApiState>,
    intake: Intake,
    draining: Draining,
    /// Who waits for the end of a task.
    waiting: Shares<TenantId>,
}

/// The routes, to be put behind [`super::guard::around_callers`].
pub(super) fn routes(state: Arc<ApiState>, intake: Intake, draining: Draining) -> Router {
    let only_post = async || Refused::method("POST");
    let only_get = async || Refused::method("GET, HEAD");
    Router::new()
        .route("/v1/reports", post(reports::hand_in).fallback(only_post))
        .route("/codeaudit/upload", post(codeaudit::upload).fallback(only_post))
        .route("/scans/{type}", post(scans::start).fallback(only_post))
        .route("/queue/result", post(results::hand_in).fallback(only_post))
        .route("/tasks/{id}", get(tasks::show).fallback(only_get))
        .with_state(Rest {
            state,
            intake,
            draining,
            waiting: Shares::new(wait::WAITING_OF_ONE_TENANT_MAX),
        })
}

/// The description of the routes, which needs no token.
pub(super) use openapi::routes as description;

impl Rest {
    /// What a flow answered; a refusal is noted for the audit log and speaks of the fields of these routes.
    async fn noted<T>(&self, caller: &Caller, outcome: Result<T, FlowError>) -> Result<T, Refused> {
        let outcome = outcome.map_err(in_own_words);
        intake::noted(&self.state.store, caller, outcome).await
    }
}

/// Paths of GraphQL's inputs as the fields here are called.
fn in_own_words(error: FlowError) -> FlowError {
    let FlowError::Refused(mut refusal) = error else {
        return error;
    };
    if refusal.path.first().is_some_and(|first| first == "input") {
        refusal.path.remove(0);
    }
    if let Some(first) = refusal.path.first_mut() {
        let own = own_name(first).to_owned();
        let said = std::mem::replace(first, own);
        if let Some(rule) = refusal.message.strip_prefix(&format!("{said}: ")) {
            refusal.message = format!("{first}: {rule}");
        }
    }
    FlowError::Refused(refusal)
}

/// The field that says what GraphQL has in the input `name`.
fn own_name(name: &str) -> &str {
    match name {
        // a project that is not there is made by its name
        "projectId" | "name" => "project",
        _ => name.strip_prefix("scope.").unwrap_or(name),
    }
}

#[cfg(test)]
mod tests {
    use tamiz_core::Refusal;

    use super::*;

    #[test]
    fn a_refusal_speaks_of_the_fields_of_these_routes() {
        for (of_graphql, path, message) in [
            ("name", "project", "project: is long"),
            ("scope.branch", "branch", "branch: is long"),
            ("scanType", "scanType", "scanType: is long"),
        ] {
            let refusal = Refusal::invalid(of_graphql, "is long");
            let FlowError::Refused(refusal) = in_own_words(refusal.into()) else {
                panic!("it stays a refusal");
            };
            assert_eq!(refusal.path, [path]);
            assert_eq!(refusal.message, message);
        }
    }
}
