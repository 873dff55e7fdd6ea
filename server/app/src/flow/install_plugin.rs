//! Installs a component: for everybody, or for one tenant.
//!
//! The order is that of the checks' cost: size, then the host (compiled in its child, described), then the
//! bytes into the blob store, then the row. A crash in between leaves bytes that no row names, never a row
//! without its bytes. The same component again answers the row that is there, and repairs its bytes.
//!
//! Not here: where the bytes come from and who signed them (the command line, `oci`), what an operator
//! grants (see [`tamiz_store::plugin::operate`]), and the plugins of the server's folder ([`super::bundle_plugins`]).

use bytes::Bytes;
use tamiz_core::plugin::ComponentDigest;
use tamiz_core::{PluginId, TenantId};
use tamiz_host::{Host, Plugin, PluginError};
use tamiz_store::plugin::operate::{self, Installed, NewPlugin};
use tamiz_store::plugin::{InstalledPlugin, PluginFormat};
use tamiz_store::{Store, StoreError};

use crate::blob::{BlobError, BlobStore};
use crate::oci::COMPONENT_BYTES_MAX;

/// A component that shall be installed.
#[derive(Debug, Clone)]
pub struct InstallOrder {
    /// Its bytes.
    pub component: Bytes,
    /// Whose it shall be; `None` is everybody's.
    pub tenant: Option<TenantId>,
    /// The file or reference that it came from.
    pub origin: String,
    /// The key that its signature was checked with.
    pub signed_by: Option<String>,
}

/// What installing came to.
#[derive(Debug, Clone)]
pub struct InstallAnswer {
    /// The row.
    pub plugin: InstalledPlugin,
    /// It was installed before.
    pub was_there: bool,
}

/// Why a component was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// More bytes than the host compiles.
    #[error("the component has {size_bytes} bytes, at most {COMPONENT_BYTES_MAX} can be installed")]
    TooLarge {
        /// How many.
        size_bytes: usize,
    },
    /// The host does not take it.
    #[error("the component is refused")]
    Refused(#[source] PluginError),
    /// Other bytes have its name and version.
    #[error(
        "{name} {version} is installed already with other bytes (plugin {other}, sha256 {digest}); give the \
         new component another version"
    )]
    VersionTaken {
        /// What it calls itself.
        name: String,
        /// Its version.
        version: String,
        /// The plugin that has them.
        other: PluginId,
        /// Its bytes.
        digest: ComponentDigest,
    },
    /// The bytes could not be stored.
    #[error("the component could not be stored")]
    Blob(#[from] BlobError),
    /// The database did not do its part.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A thread of ours died.
    #[error("the component could not be checked")]
    Check(#[source] tokio::task::JoinError),
    /// The row is gone again.
    #[error("the installed plugin is not found again")]
    Gone,
}

/// Checks the component, stores its bytes, commits its row.
///
/// # Errors
/// [`InstallError`]; then there is no new row.
pub async fn install_plugin(
    store: &Store,
    blobs: &BlobStore,
    host: &Host,
    order: InstallOrder,
) -> Result<InstallAnswer, InstallError> {
    let InstallOrder {
        component,
        tenant,
        origin,
        signed_by,
    } = order;
    let size_bytes = component.len();
    if size_bytes as u64 > COMPONENT_BYTES_MAX {
        return Err(InstallError::TooLarge { size_bytes });
    }
    let facts = check(host, component.clone()).await?;
    let row = facts.row(tenant, &origin, signed_by.as_deref());
    refuse_taken(store, &row).await?;
    // whatever lies there already: installing again is how damaged bytes are repaired
    blobs.put_plugin(component).await?;
    let mut tx = store.begin_control().await?;
    let (id, was_there) = match operate::install(&mut tx, &row).await? {
        Installed::Fresh(id) | Installed::Revived(id) => (id, false),
        Installed::AlreadyThere(id) => (id, true),
        Installed::VersionTaken(other) => {
            let holder = operate::by_id(&mut tx, other).await?;
            return Err(taken(&row, holder));
        }
    };
    let plugin = operate::by_id(&mut tx, id).await?;
    tx.commit().await?;
    Ok(InstallAnswer {
        plugin: plugin.ok_or(InstallError::Gone)?,
        was_there,
    })
}

/// What a checked component says about itself, as rows keep it.
pub(super) struct Facts {
    digest: ComponentDigest,
    size_bytes: u64,
    world: String,
    description: tamiz_host::Description,
    formats: Vec<PluginFormat>,
    wanted: Vec<String>,
}

impl Facts {
    pub(super) fn of(plugin: &Plugin, digest: ComponentDigest) -> Self {
        let description = plugin.description().clone();
        let formats = description.formats.iter().map(|format| PluginFormat {
            name: format.name.clone(),
            tools: format.tools.clone(),
        });
        let wanted = description
            .capabilities
            .iter()
            .map(|capability| capability.as_str().to_owned());
        Self {
            digest,
            size_bytes: plugin.size_bytes(),
            world: plugin.world().to_string(),
            formats: formats.collect(),
            wanted: wanted.collect(),
            description,
        }
    }

    pub(super) fn row<'a>(
        &'a self,
        tenant: Option<TenantId>,
        origin: &'a str,
        signed_by: Option<&'a str>,
    ) -> NewPlugin<'a> {
        NewPlugin {
            tenant,
            name: &self.description.name,
            version: &self.description.version,
            sha256: self.digest,
            size_bytes: self.size_bytes,
            world: &self.world,
            scan_type: &self.description.scan_type,
            formats: &self.formats,
            options_schema: &self.description.options_schema,
            wanted: &self.wanted,
            origin,
            signed_by,
        }
    }
}

async fn check(host: &Host, component: Bytes) -> Result<Facts, InstallError> {
    let host = host.clone();
    let checking = move || {
        let plugin = Plugin::from_bytes(&host, &component).map_err(InstallError::Refused)?;
        Ok(Facts::of(&plugin, ComponentDigest::of(&component)))
    };
    tokio::task::spawn_blocking(checking)
        .await
        .map_err(InstallError::Check)?
}

/// Before the bytes are stored, so that a refusal leaves nothing behind; the row's own check decides.
async fn refuse_taken(store: &Store, row: &NewPlugin<'_>) -> Result<(), InstallError> {
    let mut tx = store.begin_control().await?;
    let Some(other) = operate::with_version(&mut tx, row.tenant, row.name, row.version).await? else {
        return Ok(());
    };
    match operate::by_id(&mut tx, other).await? {
        Some(holder) if holder.sha256 == row.sha256 => Ok(()),
        holder => Err(taken(row, holder)),
    }
}

fn taken(row: &NewPlugin<'_>, holder: Option<InstalledPlugin>) -> InstallError {
    holder.map_or(InstallError::Gone, |holder| InstallError::VersionTaken {
        name: row.name.to_owned(),
        version: row.version.to_owned(),
        other: holder.id,
        digest: holder.sha256,
    })
}
