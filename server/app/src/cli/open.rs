//! Opening the seams that a command needs: the store, the blobs, the plugins.

use std::path::Path;
use std::sync::Arc;

use tamiz_host::{Host, HostConfig, Registry};
use tamiz_store::{Store, StoreConfig, StoreError};

use super::CliError;
use super::outage::outwait;
use crate::blob::BlobStore;
use crate::config::{Config, LOADS_AT_ONCE, PLANS_AT_ONCE};
use crate::platform::Platform;
use crate::plugins::Plugins;

/// Connections of one process for requests and results; Postgres allows 100 in all by default.
const CONNECTIONS_MAX: u32 = 16;
/// This program, even after it was replaced on disk.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The store, with the schema brought up to date if configured.
pub(super) async fn store(config: &Config, database_url: &str) -> Result<Store, CliError> {
    opened(config, database_url)
        .await
        .map_err(|error| CliError::unavailable(&error))
}

async fn opened(config: &Config, database_url: &str) -> Result<Store, StoreError> {
    if config.migrate_on_start {
        tamiz_store::migrate::run(database_url).await?;
    }
    let store = StoreConfig {
        database_url: database_url.to_owned(),
        connections_max: CONNECTIONS_MAX,
    };
    Store::open(&store).await
}

/// Everything that serving or working needs.
pub(super) async fn platform(config: Arc<Config>, database_url: &str) -> Result<Platform, CliError> {
    let (store, blobs) = seams(&config, database_url).await?;
    with_plugins(config, store, blobs).await
}

/// The store and the blobs, which take no time to open unless Postgres restarts just now.
pub(super) async fn seams(config: &Config, database_url: &str) -> Result<(Store, BlobStore), CliError> {
    let store = outwait(StoreError::is_outage, || opened(config, database_url)).await;
    let store = store.map_err(|error| CliError::unavailable(&error))?;
    let blobs = BlobStore::open(&config.blob_url).await;
    Ok((store, blobs.map_err(|error| CliError::unavailable(&error))?))
}

/// The plugins of the folder beside them, which are compiled if they are new.
pub(super) async fn with_plugins(
    config: Arc<Config>,
    store: Store,
    blobs: BlobStore,
) -> Result<Platform, CliError> {
    let (plugins, host) = loaded(&config).await?;
    if plugins.plugins().len() == 0 {
        let folder = config.plugin.dir.display();
        tracing::warn!(%folder, "no plugin is there: nothing can be scanned; run `make plugins` or set plugin_dir");
    }
    Ok(Platform {
        plugins: Plugins::new(host, plugins, Some(blobs.clone()), config.plugin.clone()),
        store,
        blobs,
        config,
    })
}

/// What a worker without the database runs plugins with; those that its folder does not have come with tasks.
pub(super) async fn plugins_alone(config: &Arc<Config>) -> Result<Plugins, CliError> {
    let (plugins, host) = loaded(config).await?;
    Ok(Plugins::new(host, plugins, None, config.plugin.clone()))
}

/// The plugins of the configured folder and what runs them, off the runtime's threads.
async fn loaded(config: &Arc<Config>) -> Result<(Registry, Host), CliError> {
    let config = config.clone();
    let loading = move || {
        let host = host(&config)?;
        Ok((folder(&config, &host)?, host))
    };
    tokio::task::spawn_blocking(loading)
        .await
        .map_err(|error| CliError::failed(&error))?
}

/// The plugin host of this process.
pub(super) fn host(config: &Config) -> Result<Host, CliError> {
    let slots = u32::try_from(config.worker.slots).unwrap_or(u32::MAX);
    let settings = HostConfig {
        // beside the worker's slots, the API has plugins check the options of new tasks, and each that
        // is loaded describes itself
        concurrency: slots.saturating_add(PLANS_AT_ONCE + LOADS_AT_ONCE),
        compiler: Path::new(THIS_PROGRAM).to_owned(),
        cache_folder: config.plugin.cache_dir.clone(),
    };
    Host::start(settings).map_err(|error| CliError::failed(&error))
}

/// The plugins of the configured folder. Blocks while new ones are compiled.
pub(super) fn plugins(config: &Config) -> Result<Registry, CliError> {
    folder(config, &host(config)?)
}

fn folder(config: &Config, host: &Host) -> Result<Registry, CliError> {
    Registry::load_folder(host, &config.plugin.dir).map_err(|error| CliError::failed(&error))
}
