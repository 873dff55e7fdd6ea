//! The verbs: everything that writes. One verb, one file, its transactions.
//!
//! `api` and `worker` sit on these and never see each other. A flow checks its input, opens a short
//! transaction in the caller's scope, writes through `tamiz_store`, commits. What the asker can mend
//! is a [`Refusal`]; what it cannot is a fault and opaque.
//!
//! Not here: reads (the API reads through the store), and the work itself (see `worker`).

pub mod accept_upload;
pub mod alert_rule;
pub mod api_token;
pub(crate) mod apply_rules;
pub mod bundle_plugins;
pub mod cancel_task;
pub mod cancel_tasks;
pub mod choose_plugin;
pub mod create_project;
pub mod delete_trash;
pub mod finish_attempt;
pub mod fire_schedule;
pub mod idempotency;
pub mod import_enrichment;
pub mod import_vex;
pub mod install_plugin;
pub mod name_bytes;
pub mod note_refusal;
pub mod pause_queue;
mod place_orders;
mod plan_turn;
pub mod redrive;
pub mod reserve_storage;
pub mod retry_task;
pub mod schedule;
pub mod serve_attempt;
pub mod serve_worker;
pub mod start_scan;
mod store_contents;
mod store_findings;
pub(crate) mod take_in;
pub mod task_group;
pub mod triage;
pub mod update_project_sla;
pub mod webhook_endpoint;

use std::fmt::Display;
use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike as _, Utc};
use tamiz_core::{ProjectId, Refusal, RefusalCode};
use tamiz_store::quota::QuotaError;
use tamiz_store::token::{Caller, Role};
use tamiz_store::{StoreError, TenantTx, project};

/// Why a flow did not do it.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// The asker can mend it.
    #[error("{0}")]
    Refused(Refusal),
    /// The database did not do its part.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Something else of ours did not do its part.
    #[error("{doing} failed")]
    Fault {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<Refusal> for FlowError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<QuotaError> for FlowError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Refused(refused) => Self::Refused(refused.into()),
            QuotaError::Store(error) => Self::Store(error),
        }
    }
}

impl FlowError {
    pub(crate) fn fault(
        doing: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Fault {
            doing,
            source: source.into(),
        }
    }
}

/// Refuses a caller whose role is below `least`.
pub(crate) fn require(caller: &Caller, least: Role) -> Result<(), Refusal> {
    if caller.role >= least {
        return Ok(());
    }
    let (has, needs) = (caller.role.as_str(), least.as_str());
    Err(Refusal::new(
        RefusalCode::NotAllowed,
        format!("this token's role is {has}; {needs} or higher is needed"),
    ))
}

/// Refuses a project that is not there, as `projectId` of the input.
pub(crate) async fn known_project(tx: &mut TenantTx, id: ProjectId) -> Result<(), FlowError> {
    match project::get(tx, id).await? {
        Some(_) => Ok(()),
        None => Err(no_project(id).into()),
    }
}

/// The refusal of a project that is not there, as `projectId` of the input.
pub(crate) fn no_project(id: ProjectId) -> Refusal {
    Refusal::not_found("project", id).at(&["input", "projectId"])
}

/// `text` without surrounding space, if it is 1 to `characters_max` printable characters.
pub(crate) fn label<'a>(field: &str, text: &'a str, characters_max: usize) -> Result<&'a str, Refusal> {
    let text = text.trim();
    let count = text.chars().count();
    if count == 0 || count > characters_max {
        return Err(Refusal::invalid(
            field,
            format_args!("must have 1 to {characters_max} characters, has {count}"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::invalid(field, "must not have control characters"));
    }
    Ok(text)
}

/// Refuses a number outside of `range`.
pub(crate) fn within<Number: PartialOrd + Display>(
    field: &str,
    number: Number,
    range: RangeInclusive<Number>,
) -> Result<(), Refusal> {
    if range.contains(&number) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    let rule = format_args!("must be {least} to {most}, is {number}");
    Err(Refusal::invalid(field, rule))
}

/// Refuses a moment whose year RFC 3339 cannot write: what lies far beyond, no column holds.
pub(crate) fn in_the_calendar(field: &str, at: DateTime<Utc>) -> Result<(), Refusal> {
    if (0..=9999).contains(&at.year()) {
        return Ok(());
    }
    Err(Refusal::invalid(field, "must be in the years 0000 to 9999"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_trimmed_and_bounded() {
        assert_eq!(label("name", "  web shop ", 10), Ok("web shop"));
        for bad in ["", "   ", "a\u{1b}[31m", "12345678901"] {
            let refusal = label("name", bad, 10).unwrap_err();
            assert_eq!(refusal.path, ["input", "name"], "{bad:?}");
        }
    }
}
