//! Alerts: a scan's findings merged with what its scope holds, what people decide, and how all of it is read.
//!
//! Whoever writes alerts holds their project's row ([`hold_project`]), so that merges and decisions of one project take
//! turns; nobody else waits.

pub mod count;
pub mod due;
mod event;
pub mod expiry;
pub mod export;
mod filter;
pub mod merge;
mod numbers;
mod occurrence;
mod opened;
mod page;
mod read;
pub mod recount;
pub mod rehash;
pub mod related;
pub mod rule;
pub(crate) mod rule_count;
pub mod scope;
mod totals;
pub mod triage;
mod under;
pub mod vex;

#[cfg(test)]
mod tests;

pub use event::{AlertEventRow, event_pages_of};
pub use filter::AlertFilter;
pub use occurrence::{AlertOccurrenceRow, occurrence_counts_of, occurrence_pages_of};
pub use opened::opened_by;
pub use page::{AlertOrder, AlertPosition, pages_of};
pub use read::{AlertRow, AlertScope, by_ids};
pub use rule_count::{RuleCount, TOP_RULES_MAX, top_rules, top_rules_of_tenant};
pub use totals::{
    AlertDay, TREND_DAYS_MAX, TenantAlertDay, counts, counts_of_tenant, trend, trend_of_tenant,
};
pub use under::{counts_under, ids_under};

use tamiz_core::identity::Fingerprint;
use tamiz_core::{AlertState, ProjectId, Severity};

use crate::error::{StoreError, ranked};
use crate::tenant_tx::TenantTx;

/// Rows of one statement: some megabytes at most.
const ROWS_AT_ONCE: usize = 5_000;

/// Waits for the project's turn and keeps it until the transaction ends. Foreign keys of others pass.
///
/// What is asked then goes by lists of keys, and tables grow from nothing to millions within one import: plans that
/// read whole tables are left to nobody from here on. That is not enough: of a tenant that came after the last ANALYZE
/// the planner believes that it has nothing, so that any index looks as good as the key and any order of a join as the
/// right one, and all that the tenant has is read for each key. Therefore
///
/// - a key is looked up in a lateral query of its own, as `id >= x.id and id <= x.id order by id limit 1`: only the key's
///   index has that order, and sorting is left to nobody;
/// - what is written is written where it was found (`ctid`; nobody else writes alerts of the project meanwhile), and there
///   the keys are compared with themselves twice (`coalesce(x.id, x.id) = x.id and greatest(x.id, x.id) = x.id`): that is
///   always so, and the planner takes it for one key instead of thousands, for which it would rather read the tenant.
///
/// The same statement learns what webhooks want to hear of the project.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn hold_project(tx: &mut TenantTx, project: ProjectId) -> Result<(), StoreError> {
    let held = sqlx::query!(
        r#"
        select set_config('enable_seqscan', 'off', true) as "seqscan!",
               set_config('enable_hashjoin', 'off', true) as "hashjoin!",
               set_config('enable_mergejoin', 'off', true) as "mergejoin!",
               set_config('enable_sort', 'off', true) as "sort!",
               (select p.id from tenant.project p where p.tenant_id = $1 and p.id = $2 for no key update) as id,
               array(select unnest(e.events) from tenant.webhook_endpoint e
                     where e.tenant_id = $1 and e.disabled_at is null
                       and (e.project_ids is null or $2 = any(e.project_ids))) as "wanted!"
        "#,
        tx.tenant(),
        project.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    tx.outbox.note_wanted(project, &held.wanted);
    Ok(())
}

/// State and severity as stored.
pub(crate) fn standing_of(state: i16, severity: i16) -> Result<(AlertState, Severity), StoreError> {
    Ok((
        ranked("alert state", state, AlertState::from_rank)?,
        ranked("severity", severity, Severity::from_rank)?,
    ))
}

/// A fingerprint as stored.
fn fingerprint_of(bytes: &[u8]) -> Result<Fingerprint, StoreError> {
    let hash = bytes.try_into().map(Fingerprint);
    hash.map_err(|_| StoreError::unreadable("fingerprint", &hex::encode(bytes)))
}
