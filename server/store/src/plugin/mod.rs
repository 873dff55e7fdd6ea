//! Installed plugins: what a tenant sees of them, and which serves its scan types.
//!
//! A row without a tenant is everybody's, one with a tenant is that tenant's alone; row-level security
//! holds a [`TenantTx`] to those. It may write one thing: which plugin it chose for a scan type.
//! Installing, granting, limiting and switching off are the operator's (see [`operate`]), as is the folder
//! that comes with the server ([`bundle`]).
//!
//! Not here: the bytes (the app's blobs), and loading them (the host).

pub mod bundle;
mod choice;
pub mod operate;
mod row;

pub(crate) use row::LimitColumns;
pub use row::{InstalledPlugin, PluginFormat};

use tamiz_core::plugin::PluginState;
use tamiz_core::{PluginId, ScanType};
use uuid::Uuid;

use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;
use row::Wanted;

/// Plugins that serve one scan type of one tenant, or that one question reads: far more than anybody has.
pub const PLUGINS_READ_MAX: i64 = 1_000;

/// Which plugins to show; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct PluginFilter {
    /// Of this scan type.
    pub scan_type: Option<ScanType>,
    /// In this state.
    pub state: Option<PluginState>,
}

/// Which plugin was chosen for a scan type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginChoice {
    /// For this.
    pub scan_type: ScanType,
    /// This one.
    pub plugin: PluginId,
    /// By the tenant itself; else by the operator for everybody.
    pub own: bool,
}

/// One page of the plugins that the tenant sees, newest first.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn visible(
    tx: &mut TenantTx,
    filter: &PluginFilter,
    window: Window<PluginId>,
) -> Result<Page<InstalledPlugin>, StoreError> {
    let rows = read(
        tx,
        Wanted {
            scan_type: filter.scan_type.as_ref(),
            state: filter.state,
            older_than: window.after,
            newer_than: window.before,
            oldest_first: window.from_end,
            rows_max: window.limit.probe(),
            ..Wanted::default()
        },
    )
    .await?;
    Ok(Page::read(rows, &window))
}

/// How many plugins there are under the same filter as [`visible`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn count(tx: &mut TenantTx, filter: &PluginFilter) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from control.plugin
        where (tenant_id is null or tenant_id = $1)
          and ($2::text is null or scan_type = $2) and ($3::text is null or state = $3)
        "#,
        tx.tenant(),
        filter.scan_type.as_ref().map(ScanType::as_str),
        filter.state.map(PluginState::as_str)
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(count)
}

/// The plugins with these ids, in no order; unknown ids and those of other tenants are left out.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_ids(tx: &mut TenantTx, ids: &[PluginId]) -> Result<Vec<InstalledPlugin>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let wanted = Wanted {
        ids: Some(&ids),
        ..Wanted::default()
    };
    read(tx, wanted).await
}

/// The installed versions of these names that the tenant sees, newest first; at most [`PLUGINS_READ_MAX`].
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn by_names(tx: &mut TenantTx, names: &[String]) -> Result<Vec<InstalledPlugin>, StoreError> {
    let wanted = Wanted {
        names: Some(names),
        ..Wanted::default()
    };
    read(tx, wanted).await
}

/// One plugin; `None` for one of another tenant, too.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn get(tx: &mut TenantTx, id: PluginId) -> Result<Option<InstalledPlugin>, StoreError> {
    Ok(by_ids(tx, &[id]).await?.pop())
}

/// The active plugins of a scan type in the order in which they are asked: the tenant's choice, the
/// platform's choice, the bundled ones by name, the installed ones, longest installed first.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn candidates(tx: &mut TenantTx, scan_type: &ScanType) -> Result<Vec<InstalledPlugin>, StoreError> {
    let wanted = Wanted {
        scan_type: Some(scan_type),
        state: Some(PluginState::Active),
        ..Wanted::default()
    };
    let mut plugins = read(tx, wanted).await?;
    plugins.sort_by(InstalledPlugin::asked_before);
    Ok(plugins)
}

/// The scan types that some active plugin serves for this tenant, in alphabetic order.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn scan_types(tx: &mut TenantTx) -> Result<Vec<ScanType>, StoreError> {
    let words = sqlx::query_scalar!(
        "select distinct scan_type from control.plugin
         where (tenant_id is null or tenant_id = $1) and state = 'active' order by scan_type limit $2",
        tx.tenant(),
        PLUGINS_READ_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    words.iter().map(|word| row::scan_type(word)).collect()
}

/// What the tenant and the operator chose, by scan type; the tenant's own choice comes first.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn choices(tx: &mut TenantTx) -> Result<Vec<PluginChoice>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select scan_type, plugin_id, tenant_id is not null as "own!" from control.plugin_choice
        where tenant_id is null or tenant_id = $1 order by scan_type, tenant_id nulls last limit $2
        "#,
        tx.tenant(),
        PLUGINS_READ_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PluginChoice {
                scan_type: row::scan_type(&row.scan_type)?,
                plugin: row.plugin_id.into(),
                own: row.own,
            })
        })
        .collect()
}

/// Lets `plugin` serve the tenant's scan type from now on, or with `None` whatever the platform's choice
/// is; tasks that were started before stay with theirs. `false` when the tenant sees no active plugin of
/// that id and scan type.
///
/// # Errors
/// [`StoreError`] when the database does not take it.
pub async fn choose(
    tx: &mut TenantTx,
    scan_type: &ScanType,
    plugin: Option<PluginId>,
) -> Result<bool, StoreError> {
    let tenant = tx.tenant();
    choice::put(tx.connection(), Some(tenant), scan_type, plugin).await
}

async fn read(tx: &mut TenantTx, wanted: Wanted<'_>) -> Result<Vec<InstalledPlugin>, StoreError> {
    let tenant = tx.tenant();
    row::read(tx.connection(), Some(tenant), &wanted).await
}
