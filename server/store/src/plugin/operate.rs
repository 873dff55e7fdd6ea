//! What only the operator does with plugins: install, switch on and off, grant, limit, choose for others.
//!
//! A row is never deleted: tasks name the plugin that served them by its digest.
//!
//! Not here: checking the component and storing its bytes, which come before (see the app's
//! `install_plugin`), and what the folder of the server brings (see [`super::bundle`]).

use serde_json::Value;
use tamiz_core::plugin::{Capability, ComponentDigest, LimitSet, PluginSource, PluginState};
use tamiz_core::{PluginId, ScanType, TenantId};

use super::row::{self, InstalledPlugin, LimitColumns, Meant, Owner, PluginFormat, Wanted};
use super::{PLUGINS_READ_MAX, choice};
use crate::control_tx::ControlTx;
use crate::error::StoreError;

/// Installing, switching on and following the folder take turns, so that what one saw is still so when it
/// writes. Any number that no other lock of ours has.
const TURN: i64 = 0x7461_6d69_7a01;

/// A component whose bytes are stored.
#[derive(Debug, Clone)]
pub struct NewPlugin<'a> {
    /// Whose; `None` is everybody's.
    pub tenant: Option<TenantId>,
    /// What it calls itself.
    pub name: &'a str,
    /// Its version, as it says.
    pub version: &'a str,
    /// Its bytes.
    pub sha256: ComponentDigest,
    /// How many they are.
    pub size_bytes: u64,
    /// The contract's version.
    pub world: &'a str,
    /// What it scans.
    pub scan_type: &'a ScanType,
    /// What it reads.
    pub formats: &'a [PluginFormat],
    /// The JSON Schema of its options.
    pub options_schema: &'a Value,
    /// What it wants beyond conversion.
    pub wanted: &'a [String],
    /// The file or reference that it came from.
    pub origin: &'a str,
    /// The key that its signature was checked with.
    pub signed_by: Option<&'a str>,
}

/// How installing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// There is a new row.
    Fresh(PluginId),
    /// The same bytes were installed before; this is their row.
    AlreadyThere(PluginId),
    /// The same bytes were retired and serve again.
    Revived(PluginId),
    /// Other bytes of the same name and version are installed; nothing was written.
    VersionTaken(PluginId),
}

/// How a change of state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateChange {
    /// It has the state now.
    Done,
    /// There is no such plugin.
    Unknown,
    /// Another plugin of the same name and version is not retired, so this one cannot come back.
    VersionTaken(PluginId),
}

/// Which plugin serves a scan type of a tenant, or of everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceFor {
    /// Whose choice; `None` is the platform's.
    pub tenant: Option<TenantId>,
    /// For this.
    pub scan_type: ScanType,
    /// This one.
    pub plugin: PluginId,
}

/// Installs for a tenant or for everybody. Idempotent by owner and digest.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn install(tx: &mut ControlTx, new: &NewPlugin<'_>) -> Result<Installed, StoreError> {
    take_turn(tx).await?;
    let there = by_digest(tx, new.tenant, new.sha256).await?;
    if let Some(there) = &there
        && there.state != PluginState::Retired
    {
        if let Some(key) = new.signed_by {
            sqlx::query!(
                "update control.plugin set signed_by = $2 where id = $1",
                there.id.uuid(),
                key
            )
            .execute(tx.connection())
            .await?;
        }
        return Ok(Installed::AlreadyThere(there.id));
    }
    if let Some(other) = with_version(tx, new.tenant, new.name, new.version).await? {
        return Ok(Installed::VersionTaken(other));
    }
    if let Some(there) = there {
        revive(tx, there.id).await?;
        // what was known of the earlier bytes' way here says nothing about this one
        sqlx::query!(
            "update control.plugin set origin = $2, signed_by = $3 where id = $1",
            there.id.uuid(),
            new.origin,
            new.signed_by
        )
        .execute(tx.connection())
        .await?;
        return Ok(Installed::Revived(there.id));
    }
    let id = insert(
        tx,
        new,
        PluginSource::Installed,
        PluginState::Active,
        LimitSet::NONE,
    )
    .await?;
    Ok(Installed::Fresh(id))
}

/// All plugins, newest first, at most [`PLUGINS_READ_MAX`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn list(tx: &mut ControlTx) -> Result<Vec<InstalledPlugin>, StoreError> {
    row::read(tx.connection(), None, &Wanted::default()).await
}

/// The plugins that people may mean by `name`, which is `NAME` or `NAME@VERSION`, or by `prefix`, the
/// beginning of an id or digest in small letters; newest first, at most [`PLUGINS_READ_MAX`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn named(
    tx: &mut ControlTx,
    name: &str,
    prefix: Option<&str>,
) -> Result<Vec<InstalledPlugin>, StoreError> {
    let wanted = Wanted {
        meant: Some(Meant { name, prefix }),
        ..Wanted::default()
    };
    row::read(tx.connection(), None, &wanted).await
}

/// All choices, at most [`PLUGINS_READ_MAX`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn choices(tx: &mut ControlTx) -> Result<Vec<ChoiceFor>, StoreError> {
    let rows = sqlx::query!(
        "select tenant_id, scan_type, plugin_id from control.plugin_choice
         order by scan_type, tenant_id nulls first limit $1",
        PLUGINS_READ_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ChoiceFor {
                tenant: row.tenant_id.map(TenantId::from),
                scan_type: row::scan_type(&row.scan_type)?,
                plugin: row.plugin_id.into(),
            })
        })
        .collect()
}

/// Switches a plugin on or off for new tasks. One that was retired and is made active counts as installed
/// from then on: what the server's folder has no longer decides about it.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn set_state(
    tx: &mut ControlTx,
    id: PluginId,
    state: PluginState,
) -> Result<StateChange, StoreError> {
    take_turn(tx).await?;
    let Some(plugin) = by_id(tx, id).await? else {
        return Ok(StateChange::Unknown);
    };
    if plugin.state == PluginState::Retired && state != PluginState::Retired {
        if let Some(other) = with_version(tx, plugin.tenant, &plugin.name, &plugin.version).await? {
            return Ok(StateChange::VersionTaken(other));
        }
        revive(tx, id).await?;
    }
    sqlx::query!(
        "update control.plugin set state = $2 where id = $1",
        id.uuid(),
        state.as_str()
    )
    .execute(tx.connection())
    .await?;
    Ok(StateChange::Done)
}

/// Grants what the plugin wants; `false` when it does not want it or is not there.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn grant(tx: &mut ControlTx, id: PluginId, capability: Capability) -> Result<bool, StoreError> {
    let granted = sqlx::query!(
        r#"
        insert into control.plugin_grant (plugin_id, capability)
        select id, $2 from control.plugin where id = $1 and $2 = any(capabilities)
        on conflict (plugin_id, capability) do update set granted_at = plugin_grant.granted_at
        "#,
        id.uuid(),
        capability.as_str()
    )
    .execute(tx.connection())
    .await?;
    Ok(granted.rows_affected() == 1)
}

/// Takes a grant back; `false` when there was none.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn revoke(tx: &mut ControlTx, id: PluginId, capability: Capability) -> Result<bool, StoreError> {
    let revoked = sqlx::query!(
        "delete from control.plugin_grant where plugin_id = $1 and capability = $2",
        id.uuid(),
        capability.as_str()
    )
    .execute(tx.connection())
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Lets `plugin` serve a scan type of `tenant`, or of every tenant that chose nothing itself; with no
/// plugin the choice is taken back. `false` when no active plugin of that id and scan type is theirs.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn choose_for(
    tx: &mut ControlTx,
    tenant: Option<TenantId>,
    scan_type: &ScanType,
    plugin: Option<PluginId>,
) -> Result<bool, StoreError> {
    choice::put(tx.connection(), tenant.map(TenantId::uuid), scan_type, plugin).await
}

/// Gives a plugin its own limits, all at once; `false` when there is no such plugin.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn set_limits(tx: &mut ControlTx, id: PluginId, limits: LimitSet) -> Result<bool, StoreError> {
    let limits = LimitColumns::from(limits);
    let done = sqlx::query!(
        r#"
        update control.plugin set memory_bytes = $2, deadline_seconds = $3, findings_max = $4,
            finding_bytes_max = $5, artifact_bytes_max = $6, log_lines_max = $7, instances_max = $8
        where id = $1
        "#,
        id.uuid(),
        limits.memory_bytes,
        limits.deadline_seconds,
        limits.findings_max,
        limits.finding_bytes_max,
        limits.artifact_bytes_max,
        limits.log_lines_max,
        limits.instances_max
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn take_turn(tx: &mut ControlTx) -> Result<(), StoreError> {
    tx.take_turn(TURN).await
}

/// One plugin, whoever owns it.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_id(tx: &mut ControlTx, id: PluginId) -> Result<Option<InstalledPlugin>, StoreError> {
    let ids = [id.uuid()];
    let wanted = Wanted {
        ids: Some(&ids),
        ..Wanted::default()
    };
    Ok(row::read(tx.connection(), None, &wanted).await?.pop())
}

pub(super) async fn by_digest(
    tx: &mut ControlTx,
    tenant: Option<TenantId>,
    digest: ComponentDigest,
) -> Result<Option<InstalledPlugin>, StoreError> {
    let digests = [digest.bytes().to_vec()];
    let wanted = Wanted {
        owner: Owner::Only(tenant),
        digests: Some(&digests),
        ..Wanted::default()
    };
    Ok(row::read(tx.connection(), None, &wanted).await?.pop())
}

/// The plugin that holds a name and version; a retired one does not.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn with_version(
    tx: &mut ControlTx,
    tenant: Option<TenantId>,
    name: &str,
    version: &str,
) -> Result<Option<PluginId>, StoreError> {
    let id = sqlx::query_scalar!(
        "select id from control.plugin
         where tenant_id is not distinct from $1 and name = $2 and version = $3 and state <> 'retired'",
        tenant.map(TenantId::uuid),
        name,
        version
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(id.map(PluginId::from))
}

async fn revive(tx: &mut ControlTx, id: PluginId) -> Result<(), StoreError> {
    sqlx::query!(
        "update control.plugin set state = 'active', source = 'installed', installed_at = now() where id = $1",
        id.uuid()
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn insert(
    tx: &mut ControlTx,
    new: &NewPlugin<'_>,
    source: PluginSource,
    state: PluginState,
    limits: LimitSet,
) -> Result<PluginId, StoreError> {
    let id = PluginId::fresh();
    let formats = serde_json::to_value(new.formats)
        .map_err(|error| StoreError::unreadable("list of formats", &error.to_string()))?;
    sqlx::query!(
        r#"
        insert into control.plugin (id, tenant_id, name, version, sha256, size_bytes, world, scan_type,
            formats, options_schema, capabilities, source, origin, signed_by, state)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        "#,
        id.uuid(),
        new.tenant.map(TenantId::uuid),
        new.name,
        new.version,
        &new.sha256.bytes()[..],
        i64::try_from(new.size_bytes).unwrap_or(i64::MAX),
        new.world,
        new.scan_type.as_str(),
        formats,
        new.options_schema,
        new.wanted,
        source.as_str(),
        new.origin,
        new.signed_by,
        state.as_str()
    )
    .execute(tx.connection())
    .await?;
    if limits != LimitSet::NONE {
        set_limits(tx, id, limits).await?;
    }
    Ok(id)
}
