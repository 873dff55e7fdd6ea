//! Lets the registry follow the plugin folder of the server, once at its start.
//!
//! As in [`super::install_plugin`], bytes come before rows. A folder that holds nothing changes nothing: it
//! may be misconfigured, and what is registered still runs from the blob store.
//!
//! Not here: loading the folder (the host), and what taking an older one's place means
//! ([`tamiz_store::plugin::bundle`]).

use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;
use tamiz_core::plugin::ComponentDigest;
use tamiz_host::{Plugin, Registry};
use tamiz_store::Store;
use tamiz_store::plugin::bundle::{self, Followed};

use super::FlowError;
use super::install_plugin::Facts;
use crate::blob::{BlobKey, BlobStore};

/// Registers the plugins that were loaded from the folder, and retires those whose place they take.
///
/// # Errors
/// [`FlowError::Store`] and [`FlowError::Fault`]: the database or the blob store is away.
pub async fn bundle_plugins(store: &Store, blobs: &BlobStore, loaded: &Registry) -> Result<(), FlowError> {
    let mut components = Vec::with_capacity(loaded.files().len());
    for (path, plugin) in loaded.files() {
        let digest = digest(plugin)?;
        let stored = |error| FlowError::fault("storing a bundled plugin", error);
        let key = BlobKey::of_plugin(digest);
        if !blobs.has(&key, plugin.size_bytes()).await.map_err(stored)? {
            let Some(component) = read(path, digest).await? else {
                continue;
            };
            blobs.put_plugin(component).await.map_err(stored)?;
        }
        let file_name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        components.push((file_name, Facts::of(plugin, digest)));
    }
    let rows: Vec<_> = components
        .iter()
        .map(|(file_name, facts)| facts.row(None, file_name, None))
        .collect();
    let mut tx = store.begin_control().await?;
    let followed = bundle::follow(&mut tx, &rows).await?;
    tx.commit().await?;
    for (row, answer) in rows.iter().zip(followed) {
        let (name, version) = (row.name, row.version);
        match answer {
            Followed::AlreadyThere(_) => {}
            Followed::Arrived { id, retired } => {
                tracing::info!(name, version, %id, retired, "a bundled plugin serves");
            }
            Followed::VersionTaken(other) => tracing::error!(
                name,
                version,
                %other,
                "a bundled plugin does not serve: an operator installed other bytes of its name and version"
            ),
        }
    }
    Ok(())
}

fn digest(plugin: &Plugin) -> Result<ComponentDigest, FlowError> {
    plugin
        .sha256()
        .parse()
        .map_err(|error| FlowError::fault("reading a plugin's digest", error))
}

/// The component that was loaded; `None` for a file that has other bytes by now, or is gone.
async fn read(path: &Path, digest: ComponentDigest) -> Result<Option<Bytes>, FlowError> {
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok((ComponentDigest::of(&bytes) == digest).then(|| bytes.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FlowError::fault("reading a bundled plugin", error)),
    }
}
