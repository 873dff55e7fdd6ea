//! The worker's life: register, claim as there is room, keep leases, drain.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tamiz_core::retry::Backoff;
use tamiz_core::{ScanType, WorkerId};
use tamiz_host::WORLDS;
use tamiz_store::queue::{Claim, ClaimRequest};
use tamiz_store::signal::Serves;
use tamiz_store::worker::{NewWorker, WorkerState};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attempt::{Shop, work};
use super::desk::{Desk, DeskError, Lease};
use super::leases::Leases;
use super::stop::{Stop, StopReason};
use super::workplace::Workplace;
use crate::platform::Platform;
use crate::tool::{Inventory, rules};

/// A stopped attempt has this long to kill its tool and write its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The bundled rules could not be written, or the configured ones are not there.
    #[error("the rules are not there")]
    Rules(#[source] std::io::Error),
    /// The scratch folder cannot be used.
    #[error("the scratch folder {folder} cannot be used")]
    Scratch {
        /// As configured.
        folder: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The register did not take it.
    #[error("the worker could not register")]
    Register(#[source] DeskError),
}

/// A worker that is registered and ready to run.
pub struct Worker {
    shop: Arc<Shop>,
    tools: Vec<String>,
    worlds: Vec<String>,
    leases: Arc<Leases>,
    slots: Arc<Semaphore>,
    slots_max: usize,
    room: Arc<Notify>,
    attempts: TaskTracker,
}

impl Worker {
    /// Registers with what this machine can do.
    ///
    /// # Errors
    /// [`WorkerError`] says what is missing.
    pub async fn register(platform: Platform, inventory: Inventory) -> Result<Self, WorkerError> {
        let config = platform.config.clone();
        let rules: PathBuf = rules::of_worker(config.worker.rules_path.as_deref(), &config.data_dir)
            .map_err(WorkerError::Rules)?;
        let mut scan_types: Vec<ScanType> = platform
            .plugins
            .folder()
            .plugins()
            .map(|plugin| plugin.description().scan_type.clone())
            .collect();
        scan_types.sort();
        scan_types.dedup();
        let worker = WorkerId::fresh();
        let workplace = open_workplace(&config.scratch_dir, worker).await?;
        let tools = inventory
            .available
            .iter()
            .map(|tool| tool.entry.name.clone())
            .collect();
        let capabilities = capabilities(&scan_types, &inventory);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let new = NewWorker {
            id: worker,
            host: &host,
            process_id: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            slots: u32::try_from(config.worker.slots).unwrap_or(u32::MAX),
            capabilities: &capabilities,
        };
        let desk = Desk::direct(&platform);
        desk.register(&new).await.map_err(WorkerError::Register)?;
        tracing::info!(%worker, %capabilities, "the worker is registered");
        let queue = &config.queue;
        let backoff = Backoff {
            base: queue.retry_base,
            max: queue.retry_max,
            attempts_max: i32::try_from(queue.attempts_max).unwrap_or(i32::MAX),
        };
        let shop = Shop {
            worker,
            desk,
            plugins: platform.plugins,
            config: config.clone(),
            inventory: Arc::new(inventory),
            rules,
            workplace,
            backoff,
        };
        Ok(Self {
            shop: Arc::new(shop),
            tools,
            worlds: WORLDS.map(str::to_owned).to_vec(),
            leases: Arc::default(),
            slots: Arc::new(Semaphore::new(config.worker.slots)),
            slots_max: config.worker.slots,
            room: Arc::default(),
            attempts: TaskTracker::new(),
        })
    }

    /// Works until `shutdown`, then drains: takes nothing new, gives what runs the configured grace,
    /// sends the rest back to the queue.
    pub async fn run(self, shutdown: CancellationToken) {
        let keeping = tokio::spawn(keep_leases(
            self.shop.clone(),
            self.leases.clone(),
            shutdown.clone(),
            self.attempts.clone(),
        ));
        self.claim_until(&shutdown).await;
        self.attempts.close();
        let grace = self.shop.config.shutdown_grace;
        if timeout(grace, self.attempts.wait()).await.is_err() {
            tracing::warn!("the grace is over: running tasks go back to the queue");
            self.leases.stop_all(StopReason::Shutdown);
            if timeout(LAST_WORDS, self.attempts.wait()).await.is_err() {
                tracing::error!("some attempts did not stop; their leases will run out");
            }
        }
        keeping.abort();
        let (desk, worker) = (&self.shop.desk, self.shop.worker);
        let gone = desk.heartbeat(worker, WorkerState::Offline).await;
        if let Err(error) = gone {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the worker could not sign off"
            );
        }
    }

    async fn claim_until(&self, shutdown: &CancellationToken) {
        let serves = Serves {
            scan_types: Vec::new(),
            tools: self.tools.clone(),
            worlds: Some(self.worlds.clone()),
        };
        let bell = self.shop.desk.bell(self.shop.worker, serves);
        let mut poll = interval(self.shop.config.queue.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shutdown.is_cancelled() {
            // before the claim: tickets that come while it looks ring for another one
            bell.room(self.free_slots());
            if self.claim_once().await {
                if self.free_slots() > 0 {
                    // there may be more
                    continue;
                }
                bell.pass_on();
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = bell.rings() => {}
                () = self.room.notified() => {}
                _ = poll.tick() => {}
            }
        }
    }

    fn free_slots(&self) -> u32 {
        u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX)
    }

    /// Fills the free slots. `true` when it got something and may get more.
    async fn claim_once(&self) -> bool {
        let free = self.free_slots();
        if free == 0 {
            return false;
        }
        let request = ClaimRequest {
            worker: self.shop.worker,
            scan_types: &[],
            tools: &self.tools,
            worlds: &self.worlds,
            slots: free,
            lease: self.shop.config.queue.lease,
        };
        match self.shop.desk.claim(&request).await {
            Ok(leases) => {
                let got = !leases.is_empty();
                for lease in leases {
                    self.start(lease);
                }
                got
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "claiming failed");
                false
            }
        }
    }

    fn start(&self, lease: Lease) {
        let Ok(slot) = self.slots.clone().try_acquire_owned() else {
            // only this loop takes slots, and it asked for no more than there are
            tracing::error!(task = %lease.claim.task, "claimed without a free slot; the lease will run out");
            return;
        };
        let stop = Stop::default();
        self.leases.add(lease.claim, stop.clone());
        let (shared, leases, room) = (self.shop.clone(), self.leases.clone(), self.room.clone());
        self.attempts.spawn(async move {
            let _done = Done {
                leases,
                room,
                claim: lease.claim,
                slot: Some(slot),
            };
            work(&shared, &lease, &stop).await;
        });
        metrics::gauge!("tamiz_worker_slots_free").set(self.slots.available_permits() as f64);
        metrics::gauge!("tamiz_worker_slots").set(self.slots_max as f64);
    }
}

/// Gives slot and lease free, even when the attempt panicked.
struct Done {
    leases: Arc<Leases>,
    room: Arc<Notify>,
    claim: Claim,
    slot: Option<OwnedSemaphorePermit>,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.leases.remove(self.claim);
        drop(self.slot.take());
        self.room.notify_one();
    }
}

/// Renews leases in time, and at once when one of ours is to be cancelled.
async fn keep_leases(
    shop: Arc<Shop>,
    leases: Arc<Leases>,
    shutdown: CancellationToken,
    attempts: TaskTracker,
) {
    let queue = &shop.config.queue;
    let mut ears = shop.desk.ears();
    let mut beat = interval(queue.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beat.tick() => {
                renew(&shop, &leases).await;
                let state = match (shutdown.is_cancelled(), attempts.is_empty()) {
                    (true, _) => WorkerState::Draining,
                    (false, true) => WorkerState::Idle,
                    (false, false) => WorkerState::Busy,
                };
                // what is owed to all workers is done by `upkeep`
                if let Err(error) = shop.desk.heartbeat(shop.worker, state).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the heartbeat failed");
                }
            }
            () = ears.cancelled(&leases) => renew(&shop, &leases).await,
        }
    }
}

async fn renew(shop: &Shop, leases: &Leases) {
    let lease = shop.config.queue.lease;
    let held = leases.all();
    if !held.is_empty() {
        // the lease counts from before the question
        let asked_at = Instant::now();
        match shop.desk.renew(shop.worker, &held, lease).await {
            Ok(answer) => leases.renewed(&held, &answer, asked_at),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "leases were not renewed"
            ),
        }
    }
    leases.stop_overdue(lease);
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

/// What the register shows of this machine: what it has plugins for (and so can import), what of that
/// it has tools for, and which tools.
fn capabilities(scan_types: &[ScanType], inventory: &Inventory) -> serde_json::Value {
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
    json!({ "scanTypes": scan_types, "scans": scans, "tools": tools, "missingTools": missing })
}
