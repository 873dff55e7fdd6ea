//! Alerts: a scan's findings merged with what its scope holds, what people decide, and how all of it is read.
//!
//! Whoever writes alerts holds their project's row ([`hold_project`]), so that merges and decisions of one project take
//! turns; nobody else waits.

pub mod count;
pub mod export;
pub mod merge;
pub mod scope;

use tamiz_core::ProjectId;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Waits for the project's turn and keeps it until the transaction ends. Foreign keys of others pass.
///
/// # Errors
/// [`StoreError`] when the database cannot be asked.
pub async fn hold_project(tx: &mut TenantTx, project: ProjectId) -> Result<(), StoreError> {
    sqlx::query!(
        "select id from tenant.project where tenant_id = $1 and id = $2 for no key update",
        tx.tenant(),
        project.uuid()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(())
}
