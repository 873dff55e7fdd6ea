//! How a worker comes into the register: announced at once, able to work when its plugins are loaded and its
//! tools tried.
//!
//! What takes long lies between the two, so that an operator sees a worker which is still on its way, or why it
//! never got further. Meanwhile it gives signs of life.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tamiz_core::retry::Backoff;
use tamiz_core::{ScanType, WorkerId};
use tamiz_host::WORLDS;
use tamiz_store::Store;
use tamiz_store::signal::KEPT_TO;
use tamiz_store::worker::{NewWorker, WorkerState};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::attempt::Shop;
use super::crew::{Worker, WorkerError};
use super::desk::remote::Client;
use super::desk::{Desk, DeskError};
use super::life::Life;
use super::name::Name;
use super::workplace::Workplace;
use crate::blob::BlobStore;
use crate::causes::chain;
use crate::config::Config;
use crate::plugins::Plugins;
use crate::tool::{Inventory, rules};

/// What the register is told of a worker, and is told again if it forgot.
#[derive(Debug)]
pub(crate) struct Badge {
    pub(crate) id: WorkerId,
    name: Name,
    host: String,
    slots: u32,
}

impl Badge {
    async fn take(config: &Config) -> Result<Self, WorkerError> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let (configured, data_dir) = (config.worker.name.clone(), config.data_dir.clone());
        let of_host = host.clone();
        let taking = move || Name::take(configured.as_deref(), &of_host, &data_dir);
        let name = tokio::task::spawn_blocking(taking).await;
        Ok(Self {
            id: WorkerId::fresh(),
            name: name
                .unwrap_or_else(|error| Err(error.into()))
                .map_err(WorkerError::Name)?,
            host,
            slots: u32::try_from(config.worker.slots).unwrap_or(u32::MAX),
        })
    }

    /// Shows it; answers how often the name was started before.
    pub(crate) async fn show(&self, desk: &Desk) -> Result<u32, DeskError> {
        let new = NewWorker {
            id: self.id,
            name: self.name.as_str(),
            host: &self.host,
            process_id: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            slots: self.slots,
        };
        desk.register(&new).await
    }
}

/// A worker that is known and cannot work yet.
#[derive(Debug)]
pub struct Arrival {
    desk: Desk,
    config: Arc<Config>,
    badge: Badge,
    life: Arc<Life>,
    beating: AbortOnDropHandle<()>,
}

impl Arrival {
    /// Announces a worker that has the database itself.
    ///
    /// # Errors
    /// [`WorkerError`] when the register does not take it.
    pub async fn of_seams(
        store: &Store,
        blobs: &BlobStore,
        config: Arc<Config>,
    ) -> Result<Self, WorkerError> {
        Self::announce(Desk::direct(store, blobs), config).await
    }

    /// Announces a worker that asks a server for everything. What holds for all workers is the server's word.
    ///
    /// # Errors
    /// [`WorkerError`] when the server is not there, or does not take it.
    pub async fn of_server(client: Client, config: &Config) -> Result<Self, WorkerError> {
        let terms = client.terms().await;
        let terms = terms.map_err(|error| WorkerError::Register(error.into()))?;
        let mut config = config.clone();
        let queue = &mut config.queue;
        queue.lease = Duration::from_millis(terms.lease);
        queue.heartbeat = Duration::from_millis(terms.heartbeat);
        queue.poll = Duration::from_millis(terms.poll.max(1));
        queue.retry_base = Duration::from_millis(terms.retry_base);
        queue.retry_max = Duration::from_millis(terms.retry_max);
        queue.attempts_max = terms.attempts_max;
        Self::announce(Desk::remote(client), Arc::new(config)).await
    }

    /// Announces a worker; it gives signs of life from now on.
    pub(crate) async fn announce(desk: Desk, config: Arc<Config>) -> Result<Self, WorkerError> {
        let badge = Badge::take(&config).await?;
        let restarts = badge.show(&desk).await.map_err(WorkerError::Register)?;
        tracing::info!(worker = %badge.id, name = badge.name.as_str(), restarts, "the worker is registered");
        let life = Arc::new(Life::default());
        let beating = beat(desk.clone(), badge.id, life.clone(), config.clone());
        Ok(Self {
            desk,
            config,
            badge,
            life,
            beating: AbortOnDropHandle::new(tokio::spawn(beating)),
        })
    }

    /// The worker has its plugins and knows its tools.
    ///
    /// # Errors
    /// [`WorkerError`] says what is missing; the register then has it, too.
    pub async fn ready(self, plugins: Plugins, inventory: Inventory) -> Result<Worker, WorkerError> {
        let (desk, id, life) = (self.desk.clone(), self.badge.id, self.life.clone());
        let worker = self.equip(plugins, inventory).await;
        if let Err(error) = &worker {
            sign_off(&desk, id, &life, chain(error)).await;
        }
        worker
    }

    /// It never gets further, as the register will say.
    pub async fn failed(self, why: String) {
        drop(self.beating);
        sign_off(&self.desk, self.badge.id, &self.life, why).await;
    }

    async fn equip(self, plugins: Plugins, inventory: Inventory) -> Result<Worker, WorkerError> {
        let config = self.config;
        let rules: PathBuf = rules::of_worker(config.worker.rules_path.as_deref(), &config.data_dir)
            .map_err(WorkerError::Rules)?;
        let workplace = open_workplace(&config.scratch_dir, self.badge.id).await?;
        let capabilities = capabilities(&served(&plugins, &config), &config.worker.scan_types, &inventory);
        // an answer that is lost is one less sign of what it does
        drop(self.beating);
        let told = self.desk.ready(self.badge.id, &capabilities).await;
        if !told.map_err(WorkerError::Register)? {
            self.badge.show(&self.desk).await.map_err(WorkerError::Register)?;
            let told = self.desk.ready(self.badge.id, &capabilities).await;
            told.map_err(WorkerError::Register)?;
        }
        tracing::info!(worker = %self.badge.id, %capabilities, "the worker is ready");
        let queue = &config.queue;
        let backoff = Backoff {
            base: queue.retry_base,
            max: queue.retry_max,
            attempts_max: i32::try_from(queue.attempts_max).unwrap_or(i32::MAX),
        };
        Ok(Worker::new(Shop {
            worker: self.badge.id,
            badge: self.badge,
            life: self.life,
            capabilities,
            desk: self.desk,
            plugins,
            config,
            inventory: Arc::new(inventory),
            rules,
            workplace,
            backoff,
        }))
    }
}

async fn sign_off(desk: &Desk, id: WorkerId, life: &Life, why: String) {
    life.failed_to_start(why);
    if let Err(error) = life.tell(desk, id, WorkerState::Offline, 0).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the register was not told why"
        );
    }
}

/// Signs of life until the worker is ready.
async fn beat(desk: Desk, id: WorkerId, life: Arc<Life>, config: Arc<Config>) {
    let mut beat = interval(config.queue.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if let Err(error) = life.tell(&desk, id, WorkerState::Initializing, 0).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the heartbeat failed");
        }
    }
}

async fn open_workplace(scratch: &Path, worker: WorkerId) -> Result<Workplace, WorkerError> {
    let root = scratch.to_owned();
    let opened = tokio::task::spawn_blocking(move || Workplace::open(&root, worker)).await;
    opened
        .unwrap_or_else(|error| Err(error.into()))
        .map_err(|source| WorkerError::Scratch {
            folder: scratch.display().to_string(),
            source,
        })
}

/// What it has plugins for, or of that what it is kept to.
fn served(plugins: &Plugins, config: &Config) -> Vec<ScanType> {
    let known = plugins.folder().plugins();
    let mut known: Vec<ScanType> = known
        .map(|plugin| plugin.description().scan_type.clone())
        .collect();
    known.sort();
    known.dedup();
    let only = &config.worker.scan_types;
    if only.is_empty() {
        return known;
    }
    for scan_type in only.iter().filter(|scan_type| !known.contains(scan_type)) {
        tracing::warn!(
            scan_type = scan_type.as_str(),
            "no plugin of the folder serves what this worker is kept to"
        );
    }
    only.clone()
}

/// What the register shows of this machine: what it serves (and so can import), what alone it claims (none is all),
/// what of that it has tools for, which tools, and which worlds of the plugins' contract it runs.
fn capabilities(scan_types: &[ScanType], kept_to: &[ScanType], inventory: &Inventory) -> Value {
    let tools: Vec<_> = inventory
        .available
        .iter()
        .map(|tool| json!({ "name": tool.entry.name, "version": tool.version }))
        .collect();
    let missing: Vec<_> = inventory
        .missing
        .iter()
        .map(|tool| json!({ "name": tool.name, "reason": tool.reason }))
        .collect();
    let scans = inventory.scan_types();
    let scans: Vec<_> = scan_types
        .iter()
        .filter(|scan_type| scans.contains(scan_type.as_str()))
        .collect();
    json!({
        "scanTypes": scan_types, KEPT_TO: kept_to, "scans": scans, "tools": tools, "missingTools": missing, "worlds": WORLDS,
    })
}
