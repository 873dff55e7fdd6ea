//! Promises other days until alerts are due.

use tamiz_core::sla::SLA_DAYS_MAX;
use tamiz_core::{ProjectId, Severity, SlaDays};
use tamiz_store::Store;
use tamiz_store::project::{self, Project};
use tamiz_store::token::{Caller, Role};

use super::{FlowError, no_project, within};

/// Promises these days for alerts that open, reopen or change their severity from now on; what is open keeps its day.
///
/// # Errors
/// Refused when the role is below admin, the project is not there, or a number of days is out of range.
pub async fn update_project_sla(
    store: &Store,
    caller: &Caller,
    id: ProjectId,
    sla: SlaDays,
) -> Result<Project, FlowError> {
    super::require(caller, Role::Admin)?;
    for severity in Severity::ALL {
        if let Some(days) = sla.of(severity) {
            within(severity.as_str(), days, 1..=SLA_DAYS_MAX)
                .map_err(|refusal| refusal.at(&["input", "slaDays", severity.as_str()]))?;
        }
    }
    let mut tx = store.begin(&caller.scope).await?;
    let updated = project::set_sla(&mut tx, id, sla).await?;
    tx.commit().await?;
    updated.ok_or_else(|| no_project(id).into())
}
