//! Holds back what waits of a tenant, and lets it go on. What runs goes on.

use tamiz_core::{Refusal, ScanType};
use tamiz_store::Store;
use tamiz_store::pause::{self, Pause, REASON_CHARACTERS_MAX};
use tamiz_store::token::{Caller, Role};

use super::{FlowError, label, require};

/// Holds back a scan type of the caller's tenant, or all of them; answers what is held back now. Pausing what is
/// paused is no error and keeps the first reason.
///
/// # Errors
/// Refused when the role is below admin, or an input breaks its rule.
pub async fn pause_queue(
    store: &Store,
    caller: &Caller,
    scan_type: Option<&str>,
    reason: Option<&str>,
) -> Result<Vec<Pause>, FlowError> {
    require(caller, Role::Admin)?;
    let scan_type = parsed(scan_type)?;
    let reason = match reason.map(str::trim) {
        None | Some("") => "",
        Some(reason) => label("reason", reason, REASON_CHARACTERS_MAX)?,
    };
    let mut tx = store.begin(&caller.scope).await?;
    pause::pause_own(&mut tx, scan_type.as_ref(), reason, &caller.token_name).await?;
    let held = pause::of_tenant(&mut tx).await?;
    tx.commit().await?;
    Ok(held)
}

/// Takes such a pause back; one of the operator, or of another width, stays. Answers what is still held back.
///
/// # Errors
/// As [`pause_queue`].
pub async fn resume_queue(
    store: &Store,
    caller: &Caller,
    scan_type: Option<&str>,
) -> Result<Vec<Pause>, FlowError> {
    require(caller, Role::Admin)?;
    let scan_type = parsed(scan_type)?;
    let mut tx = store.begin(&caller.scope).await?;
    pause::resume_own(&mut tx, scan_type.as_ref()).await?;
    let held = pause::of_tenant(&mut tx).await?;
    tx.commit().await?;
    Ok(held)
}

fn parsed(scan_type: Option<&str>) -> Result<Option<ScanType>, Refusal> {
    let parsed = scan_type.map(ScanType::parse).transpose();
    parsed.map_err(|error| Refusal::invalid("scanType", error))
}
