//! Alerts: a scan's findings merged with what its scope holds, what people decide, and how all of it is read.
//!
//! Whoever writes alerts holds their project's row ([`hold_project`]), so that merges and decisions of one project take
//! turns; nobody else waits.

pub mod count;
pub mod merge;
pub mod scope;

use tamiz_core::ProjectId;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Waits for the project's turn and keeps it until the transaction ends. Foreign keys of others pass.
///
/// What is asked then goes by lists of keys, and tables grow from nothing to millions within one import: plans that
/// read whole tables are left to nobody from here on. (A table with row-level security may be read whole for each key all
/// the same, unless the key is looked up in a lateral query of its own.)
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn hold_project(tx: &mut TenantTx, project: ProjectId) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        select set_config('enable_seqscan', 'off', true) as "seqscan!",
               set_config('enable_hashjoin', 'off', true) as "hashjoin!",
               set_config('enable_mergejoin', 'off', true) as "mergejoin!",
               (select p.id from tenant.project p where p.tenant_id = $1 and p.id = $2 for no key update) as id
        "#,
        tx.tenant(),
        project.uuid()
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}
