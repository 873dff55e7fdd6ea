//! Lets the registry follow the plugin folder of the server, once at its start.
//!
//! As in [`super::install_plugin`], bytes come before rows. A folder that holds nothing changes nothing: it
//! may be misconfigured, and what is registered still runs from the blob store.
//!
//! Not here: loading the folder (the host), and what taking an older one's place means
//! ([`tamiz_store::plugin::bundle`]).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tamiz_core::plugin::ComponentDigest;
use tamiz_host::{Plugin, Registry};
use tamiz_store::Store;
use tamiz_store::plugin::bundle::{self, Followed};

use super::FlowError;
use super::install_plugin::{Facts, store_bytes};
use crate::blob::BlobStore;
use crate::oci::COMPONENT_BYTES_MAX;

/// Registers the plugins that were loaded from `folder`, and retires those whose place they take.
///
/// # Errors
/// [`FlowError::Store`] and [`FlowError::Fault`]: the database or the blob store is away.
pub async fn bundle_plugins(
    store: &Store,
    blobs: &BlobStore,
    folder: &Path,
    loaded: &Registry,
) -> Result<(), FlowError> {
    let mut components = Vec::with_capacity(loaded.plugins().len());
    for path in component_files(folder).await? {
        let Some(component) = read(&path).await? else {
            continue;
        };
        let digest = ComponentDigest::of(&component);
        // one that was refused, or that came after loading, is not registered
        let Some(plugin) = with_digest(loaded, digest) else {
            continue;
        };
        store_bytes(blobs, component, digest)
            .await
            .map_err(|error| FlowError::fault("storing a bundled plugin", error))?;
        let file_name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        components.push((file_name, Facts::of(&plugin, digest)));
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

fn with_digest(loaded: &Registry, digest: ComponentDigest) -> Option<Arc<Plugin>> {
    let digest = digest.to_string();
    let mut plugins = loaded.plugins().iter();
    plugins.find(|plugin| plugin.sha256() == digest).cloned()
}

/// One component; `None` for a file that is larger than any, and for one that is gone meanwhile.
async fn read(path: &Path) -> Result<Option<Bytes>, FlowError> {
    let failed = |error| FlowError::fault("reading a bundled plugin", error);
    match tokio::fs::metadata(path).await {
        Ok(metadata) if metadata.len() > COMPONENT_BYTES_MAX => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    Ok(Some(tokio::fs::read(path).await.map_err(failed)?.into()))
}

/// The components of the folder by name; how many there may be was checked when they were loaded.
async fn component_files(folder: &Path) -> Result<Vec<PathBuf>, FlowError> {
    let failed = |error| FlowError::fault("listing the plugin folder", error);
    let mut files = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await.map_err(failed)?;
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
