//! The worker's work: claim as there is room, keep leases, drain.

use std::sync::Arc;
use std::time::Duration;

use tamiz_core::ScanType;
use tamiz_host::WORLDS;
use tamiz_store::queue::{Claim, ClaimRequest};
use tamiz_store::signal::Serves;
use tamiz_store::worker::WorkerState;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::attempt::{Shop, work};
use super::desk::{DeskError, Lease, in_time};
use super::leases::Leases;
use super::stop::{Stop, StopReason};

/// A stopped attempt has this long to kill its tool and write its end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Renewals and signs of life that fit into a lease: one that hangs on a dead connection leaves time for others.
const TRIES_PER_LEASE: u32 = 4;
/// A busy machine takes this long for an answer now and then.
const TRY_MIN: Duration = Duration::from_secs(1);
/// Before a renewal that failed is tried again, at most.
const RENEW_AGAIN_MAX: Duration = Duration::from_secs(1);
/// Looks per lease for those that could not be renewed.
const LOOKS_PER_LEASE: u32 = 20;

/// Why a worker cannot start, or had to end.
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
    /// No name could be taken.
    #[error("the worker has no name")]
    Name(#[source] std::io::Error),
    /// The register did not take it.
    #[error("the worker could not register")]
    Register(#[source] DeskError),
    /// The server does not take it any more.
    #[error(
        "the server does not take this worker any more, which needs a valid token (`tamiz worker token list` on the \
         server) and the server's version: {why}"
    )]
    Dismissed {
        /// What the server said.
        why: String,
    },
}

impl WorkerError {
    /// The database, which it has itself, is not there for the moment.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Register(DeskError::Store(error)) if error.is_outage())
    }
}

/// A worker that is registered and ready to run.
pub struct Worker {
    shop: Arc<Shop>,
    /// The only ones; none is all.
    scan_types: Vec<String>,
    tools: Vec<String>,
    worlds: Vec<String>,
    leases: Arc<Leases>,
    slots: Arc<Semaphore>,
    slots_max: usize,
    room: Arc<Notify>,
    attempts: TaskTracker,
}

impl Worker {
    pub(super) fn new(shop: Shop) -> Self {
        let slots = shop.config.worker.slots;
        let here = shop.inventory.available.iter();
        Self {
            scan_types: words(&shop.config.worker.scan_types),
            tools: here.map(|tool| tool.entry.name.clone()).collect(),
            worlds: WORLDS.map(str::to_owned).to_vec(),
            shop: Arc::new(shop),
            leases: Arc::default(),
            slots: Arc::new(Semaphore::new(slots)),
            slots_max: slots,
            room: Arc::default(),
            attempts: TaskTracker::new(),
        }
    }

    /// Works until `shutdown`, then drains: takes nothing new, gives what runs the configured grace or until
    /// `hurry`, sends the rest back to the queue.
    ///
    /// # Errors
    /// [`WorkerError::Dismissed`] when it ended because the server does not take it any more.
    pub async fn run(self, shutdown: CancellationToken, hurry: CancellationToken) -> Result<(), WorkerError> {
        let (shop, leases) = (&self.shop, &self.leases);
        // each by itself: one that hangs does not keep the others
        let beside = [
            tokio::spawn(look(shop.clone())),
            tokio::spawn(keep_leases(shop.clone(), leases.clone())),
            tokio::spawn(stop_overdue(shop.clone(), leases.clone())),
        ];
        let beside = beside.map(AbortOnDropHandle::new);
        let signs_end = CancellationToken::new();
        let signs = give_signs(
            shop.clone(),
            shutdown.clone(),
            signs_end.clone(),
            self.slots.clone(),
        );
        let signs = AbortOnDropHandle::new(tokio::spawn(signs));
        self.claim_until(&shutdown).await;
        self.attempts.close();
        let grace = self.shop.config.shutdown_grace;
        let (is_over, why) = tokio::select! {
            () = self.attempts.wait() => (true, ""),
            () = sleep(grace) => (false, "the grace is over"),
            () = hurry.cancelled() => (false, "it was asked to end once more"),
            () = shop.life.dismissed() => (false, "the server does not take this worker any more"),
        };
        if !is_over {
            tracing::warn!(why, "running tasks go back to the queue");
            self.leases.stop_all(StopReason::Shutdown);
            if timeout(LAST_WORDS, self.attempts.wait()).await.is_err() {
                tracing::error!("some attempts did not stop; their leases will run out");
            }
        }
        drop(beside);
        if let Some(why) = shop.life.dismissal() {
            let why = why.to_owned();
            return Err(WorkerError::Dismissed { why });
        }
        // a sign of life that is on its way must not come after the last one: the worker would look alive
        signs_end.cancel();
        if let Err(error) = signs.await {
            tracing::error!(%error, "the signs of life ended by themselves");
        }
        if let Err(error) = beat(&self.shop, WorkerState::Offline, 0).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the worker could not sign off"
            );
        }
        Ok(())
    }

    async fn claim_until(&self, shutdown: &CancellationToken) {
        let serves = Serves {
            scan_types: self.scan_types.clone(),
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
                () = self.shop.life.dismissed() => return,
                () = bell.rings() => {}
                () = self.room.notified() => {}
                _ = poll.tick() => {}
            }
        }
    }

    /// None while the worker cannot work.
    fn free_slots(&self) -> u32 {
        if self.shop.life.trouble().is_some() {
            return 0;
        }
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
            scan_types: &self.scan_types,
            tools: &self.tools,
            worlds: &self.worlds,
            slots: free,
            lease: self.shop.config.queue.lease,
        };
        match self.shop.desk.claim(&request).await {
            Ok(leases) => {
                self.shop.life.answered();
                let got = !leases.is_empty();
                for lease in leases {
                    self.start(lease);
                }
                got
            }
            Err(error) => {
                self.shop.life.unanswered(&error);
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
async fn keep_leases(shop: Arc<Shop>, leases: Arc<Leases>) {
    let mut ears = shop.desk.ears(shop.worker);
    let queue = &shop.config.queue;
    let mut pulse = interval(queue.heartbeat);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = pulse.tick() => {}
            () = ears.cancelled(&leases) => {}
        }
        if !renew(&shop, &leases).await {
            pulse.reset_after((queue.lease / LOOKS_PER_LEASE).min(RENEW_AGAIN_MAX));
        }
    }
}

/// Stops what could not be renewed, however long an answer takes.
async fn stop_overdue(shop: Arc<Shop>, leases: Arc<Leases>) {
    let lease = shop.config.queue.lease;
    let mut pause = interval(lease / LOOKS_PER_LEASE);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        leases.stop_overdue(lease);
    }
}

/// Gives signs of life until `end`, and at once when what they say changed. None is broken off on its way.
async fn give_signs(
    shop: Arc<Shop>,
    shutdown: CancellationToken,
    end: CancellationToken,
    slots: Arc<Semaphore>,
) {
    let mut pulse = interval(shop.config.queue.heartbeat);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_draining = false;
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            _ = pulse.tick() => {}
            () = shutdown.cancelled(), if !is_draining => is_draining = true,
            () = shop.life.changed() => {}
        }
        let free = slots.available_permits();
        let state = match (is_draining, free == shop.config.worker.slots) {
            (true, _) => WorkerState::Draining,
            (false, true) => WorkerState::Idle,
            (false, false) => WorkerState::Busy,
        };
        // what is owed to all workers is done by `upkeep`
        if let Err(error) = beat(&shop, state, free).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the heartbeat failed");
        }
    }
}

/// What one of the questions that keep a lease may take.
fn try_max(shop: &Shop) -> Duration {
    (shop.config.queue.lease / TRIES_PER_LEASE).max(TRY_MIN)
}

async fn beat(shop: &Shop, state: WorkerState, free_slots: usize) -> Result<(), DeskError> {
    let told = in_time(try_max(shop), tell(shop, state, free_slots)).await;
    if let Err(error @ DeskError::Late) = &told {
        // it ended before it could be counted
        shop.life.unanswered(error);
    }
    told
}

/// A sign of life. A register that forgot this worker, which was silent for days, is told again.
async fn tell(shop: &Shop, state: WorkerState, free_slots: usize) -> Result<(), DeskError> {
    let (desk, worker) = (&shop.desk, shop.worker);
    if shop.life.tell(desk, worker, state, free_slots).await? {
        return Ok(());
    }
    shop.badge.show(desk).await?;
    desk.ready(worker, &shop.capabilities).await?;
    shop.life.tell(desk, worker, state, free_slots).await.map(drop)
}

/// Looks now and then whether this machine can work at all. On its own, because a folder may hang.
async fn look(shop: Arc<Shop>) {
    let mut pause = interval(shop.config.queue.heartbeat);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let shop = shop.clone();
        let looking = move || shop.life.look(&shop.workplace, &shop.inventory);
        if let Err(error) = tokio::task::spawn_blocking(looking).await {
            tracing::error!(%error, "the worker could not look at itself");
        }
    }
}

/// `false` when there was no answer.
async fn renew(shop: &Shop, leases: &Leases) -> bool {
    let held = leases.all();
    if held.is_empty() {
        return true;
    }
    // the lease counts from before the question
    let asked_at = Instant::now();
    let renewing = shop.desk.renew(shop.worker, &held, shop.config.queue.lease);
    match in_time(try_max(shop), renewing).await {
        Ok(answer) => {
            leases.renewed(&held, &answer, asked_at);
            true
        }
        Err(error) => {
            let cause = &error as &dyn std::error::Error;
            tracing::warn!(error = cause, "leases were not renewed");
            false
        }
    }
}

fn words(scan_types: &[ScanType]) -> Vec<String> {
    let words = scan_types.iter();
    words.map(|scan_type| scan_type.as_str().to_owned()).collect()
}
