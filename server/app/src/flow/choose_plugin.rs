//! Says which plugin serves a tenant's scan type from now on. Tasks that wait keep theirs.

use tamiz_core::plugin::PluginState;
use tamiz_core::{PluginId, Refusal, RefusalCode, ScanType};
use tamiz_store::plugin::{self, InstalledPlugin};
use tamiz_store::token::{Caller, Role};
use tamiz_store::{Store, TenantTx};

use super::{FlowError, require};

/// Lets `choice` serve `scan_type`, or with `None` whatever serves those who do not choose. Answers the
/// plugin that is asked first now, if there is any.
///
/// # Errors
/// Refused when the role is below admin, or the tenant has no such plugin, or it serves another scan type
/// or nothing.
pub async fn choose_plugin(
    store: &Store,
    caller: &Caller,
    scan_type: &str,
    choice: Option<PluginId>,
) -> Result<Option<InstalledPlugin>, FlowError> {
    require(caller, Role::Admin)?;
    let scan_type = ScanType::parse(scan_type).map_err(|error| Refusal::invalid("scanType", error))?;
    let mut tx = store.begin(&caller.scope).await?;
    if let Some(id) = choice {
        may_serve(&mut tx, &scan_type, id).await?;
    }
    if !plugin::choose(&mut tx, &scan_type, choice).await? {
        // it was switched off in this moment
        return Err(wrong_state(PluginState::Disabled).into());
    }
    let first = plugin::candidates(&mut tx, &scan_type).await?.into_iter().next();
    tx.commit().await?;
    Ok(first)
}

async fn may_serve(tx: &mut TenantTx, scan_type: &ScanType, id: PluginId) -> Result<(), FlowError> {
    let Some(found) = plugin::get(tx, id).await? else {
        return Err(Refusal::not_found("plugin", id).at(&["input", "pluginId"]).into());
    };
    if found.scan_type != *scan_type {
        let rule = format!("{} serves {}, not {scan_type}", found.name, found.scan_type);
        return Err(Refusal::invalid("pluginId", rule).into());
    }
    if found.state != PluginState::Active {
        return Err(wrong_state(found.state).into());
    }
    Ok(())
}

fn wrong_state(state: PluginState) -> Refusal {
    let message = format!("the plugin is {state}; only an active one can be chosen");
    Refusal::new(RefusalCode::WrongState, message).at(&["input", "pluginId"])
}
