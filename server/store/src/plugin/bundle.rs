//! The plugins that come with the server: their rows follow its folder at each start.
//!
//! A newer one of the same name takes the older one's place, with what the operator decided about it:
//! choices, limits, and whether it is switched off. Grants do not move: they are for bytes that somebody
//! looked at. The older one is retired, and still runs for tasks that were planned with it. One whose file
//! is gone without a successor stays as it is; `tamiz plugin disable` ends it.

use tamiz_core::PluginId;
use tamiz_core::plugin::{ComponentDigest, LimitSet, PluginSource, PluginState};
use uuid::Uuid;

use super::operate::{self, NewPlugin};
use super::row::{InstalledPlugin, Owner, Wanted};
use crate::control_tx::ControlTx;
use crate::error::StoreError;

/// What one component of the folder came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It was there already.
    AlreadyThere(PluginId),
    /// It is there now; so many older ones of its name were retired.
    Arrived {
        /// Its row.
        id: PluginId,
        /// How many.
        retired: usize,
    },
    /// An operator installed other bytes of the same name and version, which stay; this one does not serve.
    VersionTaken(PluginId),
}

/// Lets the rows follow the components of the folder, which have different names and no tenant. Answers
/// in their order.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn follow(tx: &mut ControlTx, folder: &[NewPlugin<'_>]) -> Result<Vec<Followed>, StoreError> {
    operate::take_turn(tx).await?;
    let mut answers = Vec::with_capacity(folder.len());
    for component in folder {
        answers.push(follow_one(tx, component).await?);
    }
    Ok(answers)
}

async fn follow_one(tx: &mut ControlTx, component: &NewPlugin<'_>) -> Result<Followed, StoreError> {
    let there = operate::by_digest(tx, None, component.sha256).await?;
    let predecessors = predecessors(tx, component.name, component.sha256).await?;
    if let Some(there) = &there
        && there.state != PluginState::Retired
        && there.source == PluginSource::Bundled
        && predecessors.is_empty()
    {
        return Ok(Followed::AlreadyThere(there.id));
    }
    let taken = operate::with_version(tx, None, component.name, component.version).await?;
    let ours = |id: PluginId| {
        there.as_ref().is_some_and(|there| there.id == id) || predecessors.iter().any(|older| older.id == id)
    };
    if let Some(other) = taken.filter(|id| !ours(*id)) {
        return Ok(Followed::VersionTaken(other));
    }
    let older: Vec<Uuid> = predecessors.iter().map(|older| older.id.uuid()).collect();
    sqlx::query!(
        "update control.plugin set state = 'retired' where id = any($1)",
        &older
    )
    .execute(tx.connection())
    .await?;
    let id = take_place(tx, component, there.as_ref(), predecessors.first()).await?;
    sqlx::query!(
        "update control.plugin_choice set plugin_id = $1 where plugin_id = any($2) and scan_type = $3",
        id.uuid(),
        &older,
        component.scan_type.as_str()
    )
    .execute(tx.connection())
    .await?;
    Ok(Followed::Arrived {
        id,
        retired: older.len(),
    })
}

/// The component's row, as the newest of its predecessors was.
async fn take_place(
    tx: &mut ControlTx,
    component: &NewPlugin<'_>,
    there: Option<&InstalledPlugin>,
    predecessor: Option<&InstalledPlugin>,
) -> Result<PluginId, StoreError> {
    let as_it_was = there
        .filter(|there| there.state != PluginState::Retired)
        .or(predecessor);
    let state = as_it_was.map_or(PluginState::Active, |older| older.state);
    let limits = as_it_was.or(there).map_or(LimitSet::NONE, |older| older.limits);
    let Some(there) = there else {
        return operate::insert(tx, component, PluginSource::Bundled, state, limits).await;
    };
    sqlx::query!(
        "update control.plugin set state = $2, source = 'bundled', origin = $3 where id = $1",
        there.id.uuid(),
        state.as_str(),
        component.origin
    )
    .execute(tx.connection())
    .await?;
    operate::set_limits(tx, there.id, limits).await?;
    Ok(there.id)
}

/// Bundled plugins of that name with other bytes that are not retired, newest first.
async fn predecessors(
    tx: &mut ControlTx,
    name: &str,
    digest: ComponentDigest,
) -> Result<Vec<InstalledPlugin>, StoreError> {
    let wanted = Wanted {
        owner: Owner::Only(None),
        name: Some(name),
        source: Some(PluginSource::Bundled),
        not_retired: true,
        ..Wanted::default()
    };
    let mut older = super::row::read(tx.connection(), None, &wanted).await?;
    older.retain(|plugin| plugin.sha256 != digest);
    Ok(older)
}
