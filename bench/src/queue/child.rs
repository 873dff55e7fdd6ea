//! One process of Tamiz's queue, as `bench/peers/peer.mjs` is one of a peer's: says "ready", waits for "go" on
//! standard input, works until it is through or reads "stop", and tells what it did in one line of JSON.
//!
//! It uses the store as the server and its workers do: claims with all limits, fenced finishes, the bell that
//! wakes it. Tickets have no task behind them, as the peers' no-op jobs have nothing, unless `whole` says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tamiz_core::{ScanType, TaskId, TenantId, WorkerId};
use tamiz_store::queue::{Claim, ClaimRequest, Lease, NewTickets};
use tamiz_store::signal::Serves;
use tamiz_store::{Store, StoreConfig};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use super::whole::{self, Projects};
use crate::Outcome;

/// A worker that nobody woke looks by itself, as the server's `poll_seconds` has it.
const POLL: Duration = Duration::from_secs(5);
/// As upkeep does in every server and worker.
const UPKEEP_PAUSE: Duration = Duration::from_millis(500);
/// How often the parent hears how far it is.
const TELL_PAUSE: Duration = Duration::from_millis(20);
const LEASE: Duration = Duration::from_secs(30);
/// Tickets end in batches; whole tasks end each on its own.
const CONNECTIONS: u32 = 4;
const CONNECTIONS_WHOLE: u32 = 10;
/// A server goes on after it answered; what it tells workers last is told by then.
const LINGER: Duration = Duration::from_millis(100);
/// The name of all tickets' scan type.
pub(crate) const SCAN_TYPE: &str = "noop";
/// Tenants are numbered from here, so that the bench can name them without asking.
const TENANT_BASE: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;
/// Tasks are numbered from here.
const TASK_BASE: u128 = 0x0190_0000_0001_7000_8000_0000_0000_0000;

/// What a child is to do; each role reads its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    pub(crate) url: String,
    /// Tickets to make, numbered from `first` on.
    pub(crate) count: u64,
    pub(crate) first: u64,
    /// So many in one call, all of one tenant…
    pub(crate) bulk: u64,
    /// …and so many calls under way.
    pub(crate) at_once: u64,
    /// Tenants that take turns.
    pub(crate) tenants: u64,
    pub(crate) per_second: u64,
    pub(crate) seconds: u64,
    /// Tickets that a worker holds at most…
    pub(crate) slots: u32,
    /// …shared by so many loops of claim and finish.
    pub(crate) loops: u32,
    /// Whether to tell when each ticket was started.
    pub(crate) times: bool,
    /// Whether tickets have tasks behind them (see `whole`).
    pub(crate) whole: bool,
    /// What a peer's batching mode is, for peers.
    pub(crate) batching: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    role: String,
    options: String,
}

pub(crate) fn tenant(number: u64) -> TenantId {
    Uuid::from_u128(TENANT_BASE + u128::from(number)).into()
}

fn task(seq: u64) -> TaskId {
    Uuid::from_u128(TASK_BASE + u128::from(seq)).into()
}

fn seq_of(task: TaskId) -> u64 {
    (task.uuid().as_u128() - TASK_BASE) as u64
}

fn microseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_micros() as u64
}

fn say(value: &Value) {
    println!("{value}");
}

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let options: Options = serde_json::from_str(&args.options)?;
    let store = Store::open(&StoreConfig {
        database_url: options.url.clone(),
        connections_max: if options.whole {
            CONNECTIONS_WHOLE
        } else {
            CONNECTIONS
        },
    })
    .await?;
    let scan_type = ScanType::parse(SCAN_TYPE).map_err(|error| error.to_string())?;
    let projects = if options.whole && args.role != "work" {
        let name = format!("from {}", options.first);
        Some(Projects::make(&store, options.tenants, &name, &scan_type).await?)
    } else {
        None
    };
    let child = Child {
        store,
        scan_type,
        projects,
        options,
        ears: Mutex::new(BufReader::new(tokio::io::stdin()).lines()),
    };
    let told = match args.role.as_str() {
        "enqueue" => Arc::new(child).enqueue().await?,
        "pace" => Arc::new(child).pace().await?,
        "work" => Arc::new(child).work().await?,
        "join" => child.join().await?,
        role => return Err(format!("no role {role}").into()),
    };
    say(&told);
    Ok(())
}

struct Child {
    store: Store,
    scan_type: ScanType,
    /// Where whole tasks go.
    projects: Option<Projects>,
    options: Options,
    ears: Mutex<Lines<BufReader<Stdin>>>,
}

/// What the loops of a worker did.
#[derive(Default)]
struct Tally {
    done: AtomicU64,
    last_us: AtomicU64,
    claims: std::sync::Mutex<Vec<f64>>,
    times: std::sync::Mutex<Vec<(u64, u64)>>,
}

impl Child {
    async fn ready(&self) -> Outcome<()> {
        // the first statement of a connection is prepared before it counts
        self.store.queue_depth().await?;
        say(&json!("ready"));
        self.hear("go").await
    }

    async fn hear(&self, word: &str) -> Outcome<()> {
        let line = self.ears.lock().await.next_line().await?;
        match line {
            Some(line) if line.trim() == word => Ok(()),
            other => Err(format!("heard {other:?} instead of {word}").into()),
        }
    }

    async fn make(&self, tenant_number: u64, first: u64, count: u64) -> Outcome<()> {
        let tasks: Vec<TaskId> = (first..first + count).map(task).collect();
        if let Some(projects) = &self.projects {
            return projects.ask(&self.store, tenant_number, &tasks).await;
        }
        let new = NewTickets {
            tenant: tenant(tenant_number),
            scan_type: &self.scan_type,
            tools: &[],
            worlds: &[],
            priority: 0,
            run_at: None,
            tasks: &tasks,
        };
        self.store.enqueue_tickets(&new).await?;
        Ok(())
    }

    async fn enqueue(self: Arc<Self>) -> Outcome<Value> {
        self.ready().await?;
        let began = microseconds();
        let next = Arc::new(AtomicU64::new(0));
        let mut producers = tokio::task::JoinSet::new();
        for _ in 0..self.options.at_once {
            let (child, next) = (Arc::clone(&self), Arc::clone(&next));
            producers.spawn(async move {
                let Options {
                    count,
                    first,
                    bulk,
                    tenants,
                    ..
                } = child.options;
                loop {
                    let at = next.fetch_add(bulk, Ordering::Relaxed);
                    if at >= count {
                        return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(());
                    }
                    child
                        .make((at / bulk) % tenants, first + at, bulk.min(count - at))
                        .await?;
                }
            });
        }
        while let Some(producer) = producers.join_next().await {
            producer??;
        }
        Ok(json!({ "done": self.options.count, "began_us": began, "last_us": microseconds() }))
    }

    async fn pace(self: Arc<Self>) -> Outcome<Value> {
        self.ready().await?;
        let Options {
            per_second,
            seconds,
            tenants,
            first,
            ..
        } = self.options;
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second as u32);
        let mut calls = tokio::task::JoinSet::new();
        for seq in 0..per_second * seconds {
            ticks.tick().await;
            let child = Arc::clone(&self);
            calls.spawn(async move {
                child.make(seq % tenants, first + seq, 1).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>((first + seq, microseconds()))
            });
        }
        let mut times = Vec::new();
        while let Some(call) = calls.join_next().await {
            times.push(call??);
        }
        tokio::time::sleep(LINGER).await;
        Ok(json!({ "times": times }))
    }

    async fn work(self: Arc<Self>) -> Outcome<Value> {
        let worker = WorkerId::fresh();
        let tally = Arc::new(Tally::default());
        let (stop, stopped) = watch::channel(false);
        self.ready().await?;
        let began = microseconds();
        let mut loops = tokio::task::JoinSet::new();
        let share = self.options.slots / self.options.loops;
        for _ in 0..self.options.loops {
            let (child, tally, stopped) = (Arc::clone(&self), Arc::clone(&tally), stopped.clone());
            loops.spawn(async move { child.claim_and_finish(worker, share, &tally, stopped).await });
        }
        let upkeep = tokio::spawn(Arc::clone(&self).keep_up());
        let teller = tokio::spawn(tell(Arc::clone(&tally)));
        let heard = self.hear("stop").await;
        let _ = stop.send(true);
        while let Some(ended) = loops.join_next().await {
            ended??;
        }
        teller.abort();
        upkeep.abort();
        heard?;
        let claims = std::mem::take(&mut *tally.claims.lock().map_err(|_| "a loop panicked")?);
        let times = std::mem::take(&mut *tally.times.lock().map_err(|_| "a loop panicked")?);
        Ok(json!({
            "done": tally.done.load(Ordering::Relaxed), "began_us": began,
            "last_us": tally.last_us.load(Ordering::Relaxed), "claims": claims, "times": times,
        }))
    }

    async fn keep_up(self: Arc<Self>) {
        loop {
            tokio::time::sleep(UPKEEP_PAUSE).await;
            // what fails now is done by the next turn
            let _ = self.store.tick_queue().await;
            let _ = self.store.promote_due().await;
        }
    }

    async fn claim(&self, worker: WorkerId, slots: u32) -> Outcome<Vec<Lease>> {
        let request = ClaimRequest {
            worker,
            scan_types: &[],
            tools: &[],
            worlds: &[],
            slots,
            lease: LEASE,
        };
        Ok(self.store.claim(&request).await?)
    }

    async fn finish(&self, worker: WorkerId, leases: Vec<Lease>) -> Outcome<()> {
        if self.options.whole {
            return whole::work_off(&self.store, worker, leases).await;
        }
        let claims: Vec<Claim> = leases.iter().map(Lease::claim).collect();
        if self.store.finish_tickets(&claims).await?.len() == claims.len() {
            Ok(())
        } else {
            Err("a lease of a live worker was lost".into())
        }
    }

    async fn claim_and_finish(
        &self,
        worker: WorkerId,
        slots: u32,
        tally: &Tally,
        mut stopped: watch::Receiver<bool>,
    ) -> Outcome<()> {
        let bell = self.store.ticket_bell(worker, Serves::default());
        while !*stopped.borrow() {
            bell.room(slots);
            let asked = Instant::now();
            let leases = self.claim(worker, slots).await?;
            let now = microseconds();
            let count = leases.len() as u32;
            if count == 0 {
                tokio::select! {
                    () = bell.rings() => {}
                    () = tokio::time::sleep(POLL) => {}
                    _ = stopped.changed() => {}
                }
                continue;
            }
            if let Ok(mut all) = tally.claims.lock() {
                all.push(asked.elapsed().as_secs_f64() * 1000.0);
            }
            if let (true, Ok(mut all)) = (self.options.times, tally.times.lock()) {
                all.extend(leases.iter().map(|lease| (seq_of(lease.task), now)));
            }
            bell.room(slots - count.min(slots));
            self.finish(worker, leases).await?;
            tally.done.fetch_add(u64::from(count), Ordering::Relaxed);
            tally.last_us.fetch_max(microseconds(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// A tenant that has nothing adds one ticket while the others' are claimed as slots get free: how many
    /// rounds of all slots and how long until it is claimed, `count` times.
    async fn join(&self) -> Outcome<Value> {
        self.ready().await?;
        let worker = WorkerId::fresh();
        let mut times = Vec::new();
        for number in 0..self.options.count {
            for _ in 0..=number % 5 {
                let leases = self.claim(worker, self.options.slots).await?;
                self.finish(worker, leases).await?;
            }
            let newcomer = tenant(self.options.tenants + number);
            self.make(self.options.tenants + number, self.options.first + number, 1)
                .await?;
            let asked = Instant::now();
            let mut rounds = 0;
            loop {
                rounds += 1;
                if rounds > 1_000 {
                    return Err("a tenant's only ticket was not claimed in 1,000 rounds".into());
                }
                let leases = self.claim(worker, self.options.slots).await?;
                let took = asked.elapsed();
                let came = leases.iter().any(|lease| lease.scope.tenant_id() == newcomer);
                self.finish(worker, leases).await?;
                if came {
                    times.push((rounds, took.as_micros() as u64));
                    break;
                }
            }
        }
        Ok(json!({ "times": times }))
    }
}

async fn tell(tally: Arc<Tally>) {
    let mut told = 0;
    loop {
        tokio::time::sleep(TELL_PAUSE).await;
        let done = tally.done.load(Ordering::Relaxed);
        if done != told {
            say(&json!({ "done": done, "last_us": tally.last_us.load(Ordering::Relaxed) }));
            told = done;
        }
    }
}
