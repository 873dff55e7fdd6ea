//! The plugins that this process can run: those of its folder, and any other by its digest.
//!
//! ```text
//! digest -> the folder's (loaded at start) -> those in memory -> blob store, hash checked -> host
//! ```
//!
//! Which plugin serves a task is the registry's word (see [`tamiz_store::plugin`]), what it may use up is
//! [`limits`], and how many run at a time is [`instances`]. A component that cannot be loaded is a typed
//! [`LoadError`]: it fails the one task that wants it.
//!
//! Not here: installing (flow), and running (worker).

pub(crate) mod fault;
pub(crate) mod instances;
pub(crate) mod limits;
mod loaded;
pub(crate) mod measures;
mod passing;

use std::sync::Arc;

use futures_util::StreamExt as _;
use tamiz_core::PluginRef;
use tamiz_core::plugin::{ComponentDigest, LimitSet};
use tamiz_host::{Host, Plugin, PluginError, Registry, RunLimits};
use tamiz_store::plugin::InstalledPlugin;
use tokio::sync::Semaphore;

use crate::blob::{BlobError, BlobKey, BlobStore};
use crate::config::{LOADS_AT_ONCE, PluginSettings};
use instances::Instances;
use loaded::Loaded;

/// Why a component cannot be run.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// It is neither in the folder nor in the blob store.
    #[error("its component is not there any more")]
    Missing,
    /// The blob store has other bytes under its name.
    #[error("its component is damaged: {message}")]
    Damaged {
        /// How.
        message: String,
    },
    /// The host does not take it.
    #[error("its component is refused: {0}")]
    Refused(Arc<PluginError>),
    /// Something that may pass: the blob store is away, the compiler could not be started.
    #[error("its component could not be loaded")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl LoadError {
    /// A stable word for the API; none when trying again later may help.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("plugin-missing"),
            Self::Damaged { .. } => Some("plugin-damaged"),
            Self::Refused(_) => Some("plugin-refused"),
            Self::Unavailable(_) => None,
        }
    }
}

/// The plugins of this process. Clones share what is loaded.
#[derive(Debug, Clone)]
pub struct Plugins {
    inner: Arc<Inner>,
    instances: Instances,
}

#[derive(Debug)]
struct Inner {
    host: Host,
    folder: Registry,
    /// None in a worker that has none; its components come with their tasks.
    blobs: Option<BlobStore>,
    settings: PluginSettings,
    loaded: Loaded,
    turns: Semaphore,
}

impl Plugins {
    /// With what was loaded from the plugin folder; the rest comes from `blobs`, or for a worker without
    /// them by [`Plugins::load_from`]. No run gets more than `settings` allow.
    pub fn new(host: Host, folder: Registry, blobs: Option<BlobStore>, settings: PluginSettings) -> Self {
        let inner = Inner {
            host,
            folder,
            blobs,
            settings,
            loaded: Loaded::default(),
            turns: Semaphore::new(LOADS_AT_ONCE as usize),
        };
        Self {
            inner: Arc::new(inner),
            instances: Instances::default(),
        }
    }

    /// Those of the plugin folder.
    pub fn folder(&self) -> &Registry {
        &self.inner.folder
    }

    /// The conversions that run now.
    pub(crate) const fn instances(&self) -> &Instances {
        &self.instances
    }

    /// What a call of `plugin` may use up for a tenant whose plan says `plan`.
    pub(crate) fn limits(&self, plan: LimitSet, plugin: &InstalledPlugin) -> RunLimits {
        let settings = &self.inner.settings;
        let allowed = limits::of_platform(settings)
            .tightest(plan)
            .tightest(plugin.limits);
        limits::of_run(settings, &allowed)
    }

    /// The plugin with the component `digest` of `size_bytes`.
    ///
    /// However many ask at once, it is loaded once, on a blocking thread; who gives up waiting does not
    /// stop it.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load(&self, digest: ComponentDigest, size_bytes: u64) -> Result<Arc<Plugin>, LoadError> {
        let inner = Arc::clone(&self.inner);
        self.load_from(digest, async move { inner.component(digest, size_bytes).await })
            .await
    }

    /// The same with the component's bytes from elsewhere, which are asked for when they are needed.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) async fn load_from(
        &self,
        digest: ComponentDigest,
        bytes: impl Future<Output = Result<Vec<u8>, LoadError>> + Send + 'static,
    ) -> Result<Arc<Plugin>, LoadError> {
        if let Some(plugin) = self.inner.of_folder(digest) {
            return Ok(plugin);
        }
        let slot = self.inner.loaded.slot(digest);
        if let Some(known) = slot.get() {
            return known.clone().map_err(LoadError::Refused);
        }
        let inner = Arc::clone(&self.inner);
        let loading = async move {
            let loaded = slot.get_or_try_init(|| inner.fetch(digest, bytes)).await?;
            loaded.clone().map_err(LoadError::Refused)
        };
        tokio::spawn(loading)
            .await
            .unwrap_or_else(|panic| Err(unavailable(panic)))
    }
}

impl Inner {
    fn of_folder(&self, digest: ComponentDigest) -> Option<Arc<Plugin>> {
        let wanted = digest.to_string();
        let mut plugins = self.folder.plugins();
        plugins.find(|plugin| plugin.sha256() == wanted).cloned()
    }

    /// From the blob store through the host. What the host refuses it will refuse again, so that is kept;
    /// a blob that is missing may come back.
    async fn fetch(
        &self,
        digest: ComponentDigest,
        bytes: impl Future<Output = Result<Vec<u8>, LoadError>>,
    ) -> Result<Result<Arc<Plugin>, Arc<PluginError>>, LoadError> {
        let _turn = self.turns.acquire().await.map_err(unavailable)?;
        let bytes = bytes.await?;
        let host = self.host.clone();
        let loading = move || Plugin::from_bytes(&host, &bytes);
        match tokio::task::spawn_blocking(loading).await.map_err(unavailable)? {
            Ok(plugin) => {
                tracing::info!(%digest, name = plugin.description().name, "a plugin is loaded");
                Ok(Ok(Arc::new(plugin)))
            }
            Err(error) if passing::passes(&error) => Err(unavailable(error)),
            Err(error) => {
                tracing::error!(%digest, error = &error as &dyn std::error::Error, "plugin refused");
                Ok(Err(Arc::new(error)))
            }
        }
    }

    async fn component(&self, digest: ComponentDigest, size_bytes: u64) -> Result<Vec<u8>, LoadError> {
        let Some(blobs) = &self.blobs else {
            return Err(LoadError::Missing);
        };
        let read = async {
            let mut pieces = blobs.read(&BlobKey::of_plugin(digest), size_bytes).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.next().await {
                bytes.extend_from_slice(&piece?);
            }
            Ok(bytes)
        };
        read.await.map_err(|error| match error {
            BlobError::NotFound { .. } => LoadError::Missing,
            BlobError::Damaged { what, .. } => LoadError::Damaged { message: what },
            other => unavailable(other),
        })
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> LoadError {
    LoadError::Unavailable(Arc::new(error))
}

/// What a task remembers of a plugin.
pub(crate) fn remembered(plugin: &InstalledPlugin) -> PluginRef {
    PluginRef {
        id: plugin.id,
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        sha256: plugin.sha256,
        world: plugin.world.clone(),
    }
}
