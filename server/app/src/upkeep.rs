//! What has to be done now and then on behalf of everybody: leases that ran out, tickets that fell due,
//! workers that went silent, rows that are kept long enough.
//!
//! Every process that has the database runs all sweeps; there is no leader. So a sweep takes rows with SKIP
//! LOCKED or is idempotent, does a bounded batch, and answers how many rows it moved: it is run again at once
//! while it still moves some. To add one, write one line in [`sweeps`].
//!
//! Not here: what only one worker knows, its heartbeat and its leases (see `worker`).

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tamiz_store::{Store, StoreError, usage};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::flow::delete_trash::delete_trash;
use crate::flow::fire_schedule::fire_due_schedules;
use crate::flow::start_scan::Rules;
use crate::platform::Platform;
use crate::webhook;

/// Batches of one sweep in a row; the rest waits for the next turn, so that a large backlog of one kind
/// does not keep a connection busy for ever.
const BATCHES_MAX: u32 = 50;
/// One batch takes milliseconds. One that takes this long hangs; it is dropped, and its connection with it.
const BATCH_TIME_MAX: Duration = Duration::from_mins(2);

/// A ticket of later is at most so much later; looking costs one index entry.
const DUE_TICKETS_EVERY: Duration = Duration::from_secs(1);
/// A tenant at its limit of starts goes on so soon after it has room again.
const LANES_EVERY: Duration = Duration::from_secs(1);

/// What a killed process may lose of the queue's pace.
const PACE_EVERY: Duration = Duration::from_secs(2);
const OLD_PACE_EVERY: Duration = Duration::from_mins(1);

/// Sweeps rest at least so long, however often the queue is polled.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A month of logs is made long before it begins; whoever was down for longer misses the lines of so long.
const WORKER_LOG_EVERY: Duration = Duration::from_mins(10);

/// How late the audit log tells of the refusals that ended a flood, and a little more.
const REFUSALS_EVERY: Duration = Duration::from_secs(10);

/// A turn is at most so much late; looking costs one index entry.
const SCHEDULES_EVERY: Duration = Duration::from_secs(2);

/// A batch that was dropped.
#[derive(Debug, thiserror::Error)]
#[error("a batch was tried for {} seconds and did not end", .time_max.as_secs_f64())]
struct Hung {
    time_max: Duration,
}

type Failure = Box<dyn Error + Send + Sync>;
/// Moves a bounded batch of rows and answers how many.
type Work = Arc<dyn Fn() -> BoxFuture<'static, Result<u64, Failure>> + Send + Sync>;

/// One kind of upkeep.
#[derive(Clone)]
pub struct Sweep {
    name: &'static str,
    every: Duration,
    work: Work,
}

impl Sweep {
    /// `work` is done about `every` so often; `name` is what logs and metrics call it.
    pub fn new<Doing, Reason>(
        name: &'static str,
        every: Duration,
        work: impl Fn() -> Doing + Send + Sync + 'static,
    ) -> Self
    where
        Doing: Future<Output = Result<u64, Reason>> + Send + 'static,
        Reason: Into<Failure> + 'static,
    {
        Self {
            name,
            every,
            work: Arc::new(move || work().map(|moved| moved.map_err(Into::into)).boxed()),
        }
    }

    /// The same for what only needs the database.
    pub fn of<Doing>(
        store: &Store,
        name: &'static str,
        every: Duration,
        work: impl Fn(Store) -> Doing + Send + Sync + 'static,
    ) -> Self
    where
        Doing: Future<Output = Result<u64, StoreError>> + Send + 'static,
    {
        let store = store.clone();
        Self::new(name, every, move || work(store.clone()))
    }
}

/// How soon bytes that a dead process reserved are free again after they expired, and trash is deleted.
const STORAGE_PAUSE: Duration = Duration::from_secs(30);
/// Retention is said in days.
const RETENTION_PAUSE: Duration = Duration::from_mins(10);

/// An accepted risk opens again at most so much late; looking costs one index entry per tenant.
const ACCEPTANCES_PAUSE: Duration = Duration::from_mins(5);

/// All sweeps of a process.
pub fn sweeps(platform: &Platform) -> Vec<Sweep> {
    let queue = &platform.config.queue;
    let (silence, keep_days) = (queue.silence_max(), platform.config.log_retention_days);
    let store = &platform.store;
    let (trashed, blobs) = (store.clone(), platform.blobs.clone());
    let mut sweeps = old_rows(store);
    sweeps.extend([
        Sweep::of(store, "reservations", STORAGE_PAUSE, |store| async move {
            store.expire_reservations().await
        }),
        Sweep::of(store, "retention", RETENTION_PAUSE, |store| async move {
            store.delete_expired_tasks().await
        }),
        Sweep::of(store, "finding-months", RETENTION_PAUSE, |store| async move {
            store.drop_finding_months().await
        }),
        Sweep::of(store, "contents", RETENTION_PAUSE, |store| async move {
            store.sweep_contents().await
        }),
        Sweep::of(store, "acceptances", ACCEPTANCES_PAUSE, |store| async move {
            store.expire_acceptances().await
        }),
        Sweep::of(
            store,
            "expiring_acceptances",
            ACCEPTANCES_PAUSE,
            |store| async move { store.tell_expiring_acceptances().await },
        ),
        Sweep::of(store, "refusals", REFUSALS_EVERY, |store| async move {
            store.tell_late_refusals().await
        }),
        Sweep::of(store, "usage", RETENTION_PAUSE, |store| async move {
            usage::delete_old(&store).await
        }),
        Sweep::new("trash", STORAGE_PAUSE, move || {
            let (store, blobs) = (trashed.clone(), blobs.clone());
            async move { delete_trash(&store, &blobs).await }
        }),
        schedules(platform),
        Sweep::of(store, "leases", queue.look_pause(), |store| async move {
            store.expire_leases().await
        }),
        Sweep::of(store, "due_tickets", DUE_TICKETS_EVERY, |store| async move {
            store.promote_due().await
        }),
        Sweep::of(store, "lanes", LANES_EVERY, |store| async move {
            store.tick_queue().await
        }),
        Sweep::of(store, "pace", PACE_EVERY, |store| async move {
            store.flush_pace().await
        }),
        Sweep::of(store, "old_pace", OLD_PACE_EVERY, |store| async move {
            store.forget_pace().await
        }),
        Sweep::of(store, "old_starts", OLD_PACE_EVERY, |store| async move {
            store.forget_starts().await
        }),
        silent_workers(store, silence, queue.look_pause()),
        Sweep::of(store, "worker_log", WORKER_LOG_EVERY, move |store| async move {
            store.keep_worker_log(keep_days).await
        }),
    ]);
    sweeps
}

/// Rows that are kept for a while, and then not.
fn old_rows(store: &Store) -> Vec<Sweep> {
    vec![
        Sweep::of(store, "old_webhooks", RETENTION_PAUSE, |store| async move {
            store.delete_old_webhooks().await
        }),
        Sweep::of(store, "project_events", RETENTION_PAUSE, |store| async move {
            store.delete_old_project_events().await
        }),
        Sweep::of(store, "idempotency_keys", RETENTION_PAUSE, |store| async move {
            store.delete_old_idempotency_keys().await
        }),
    ]
}

/// Turns of schedules that are due.
fn schedules(platform: &Platform) -> Sweep {
    let platform = platform.clone();
    Sweep::new("schedules", SCHEDULES_EVERY, move || {
        let platform = platform.clone();
        async move {
            let rules = Rules {
                plugins: &platform.plugins,
                targets: &platform.config.target,
            };
            fire_due_schedules(&platform.store, rules).await
        }
    })
}

/// Workers that went silent, once this process has heard the database for as long as they must have been: when
/// it was away, nobody could give it a sign of life.
fn silent_workers(store: &Store, silence: Duration, every: Duration) -> Sweep {
    let watch = Arc::new(Mutex::new(Watch::new(silence)));
    Sweep::of(store, "silent_workers", every, move |store| {
        let watch = watch.clone();
        async move {
            let now = |answers| {
                let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
                watch.is_long_enough(Instant::now(), answers)
            };
            if let Err(error) = store.ping().await {
                now(false);
                return Err(error);
            }
            if !now(true) {
                return Ok(0);
            }
            let buried = store.bury_silent_workers(silence).await;
            if buried.is_err() {
                now(false);
            }
            buried
        }
    })
}

/// Since when the database has been answering without a gap.
struct Watch {
    silence: Duration,
    /// The first and the last answer.
    heard: Option<(Instant, Instant)>,
}

impl Watch {
    const fn new(silence: Duration) -> Self {
        Self { silence, heard: None }
    }

    /// A look at `now`: whether silence since then says something about who was silent. With half of it between
    /// two answers the database may have been away, or this process stopped.
    fn is_long_enough(&mut self, now: Instant, answers: bool) -> bool {
        let since = match self.heard {
            Some((since, last)) if now - last < self.silence / 2 => since,
            _ => now,
        };
        self.heard = answers.then_some((since, now));
        answers && now - since >= self.silence
    }
}

/// Runs all sweeps and sends webhooks, until `shutdown`.
pub async fn all(platform: Platform, shutdown: CancellationToken) {
    let sweeps = sweeps(&platform);
    tokio::join!(
        run(sweeps, shutdown.clone()),
        webhook::run(platform, shutdown.clone())
    );
}

/// Runs `sweeps`, each at its own pace, until `shutdown`. One that fails or hangs holds up no other.
pub async fn run(sweeps: Vec<Sweep>, shutdown: CancellationToken) {
    let mut running = JoinSet::new();
    for sweep in sweeps {
        let shutdown = shutdown.clone();
        running.spawn(async move { shutdown.run_until_cancelled(repeat(&sweep)).await });
    }
    while running.join_next().await.is_some() {}
}

async fn repeat(sweep: &Sweep) {
    let name = sweep.name;
    loop {
        sleep(jittered(sweep.every.max(PAUSE_MIN))).await;
        match once(sweep, BATCH_TIME_MAX).await {
            Ok(0) => {}
            Ok(moved) => {
                metrics::counter!("tamiz_upkeep_rows_total", "sweep" => name).increment(moved);
                tracing::debug!(sweep = name, moved, "upkeep moved rows");
            }
            Err(error) => {
                metrics::counter!("tamiz_upkeep_failures_total", "sweep" => name).increment(1);
                tracing::warn!(
                    sweep = name,
                    error = &*error as &dyn Error,
                    "upkeep failed and is tried again"
                );
            }
        }
    }
}

async fn once(sweep: &Sweep, time_max: Duration) -> Result<u64, Failure> {
    let mut moved = 0;
    for _ in 0..BATCHES_MAX {
        let turn = timeout(time_max, (sweep.work)()).await;
        match turn.map_err(|_| Hung { time_max })?? {
            0 => break,
            more => moved += more,
        }
    }
    Ok(moved)
}

/// Between half of `pause` and one and a half, so that processes started together drift apart.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sweep_goes_on_while_it_moves_rows_and_after_it_failed() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let left = Arc::new(AtomicU64::new(3));
        let turns = left.clone();
        let shutdown = CancellationToken::new();
        let done = shutdown.clone();
        let counting = Sweep::new("counting", Duration::from_millis(5), move || {
            let before = turns.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if before == Err(0) {
                done.cancel();
            }
            async move { Ok::<_, std::io::Error>(u64::from(before.is_ok())) }
        });
        let failing = Sweep::new("failing", Duration::ZERO, || async {
            Err(std::io::Error::other("no"))
        });
        timeout(Duration::from_secs(30), run(vec![failing, counting], shutdown))
            .await
            .unwrap();
        assert_eq!(left.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_batch_that_hangs_fails_and_says_for_how_long_it_was_tried() {
        let hanging = Sweep::new(
            "hanging",
            Duration::ZERO,
            std::future::pending::<Result<u64, Failure>>,
        );
        let failure = once(&hanging, Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "a batch was tried for 0.02 seconds and did not end"
        );
    }

    #[test]
    fn silence_says_nothing_until_the_database_was_heard_for_as_long() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut watch = Watch::new(10 * second);
        let mut look = |at: u32, answers| watch.is_long_enough(start + at * second, answers);
        assert!((0..10).all(|at| !look(at, true)));
        assert!(look(10, true));
        // it was away
        assert!(!look(11, false));
        assert!((12..22).all(|at| !look(at, true)));
        assert!(look(22, true));
        // this process was stopped
        assert!(!look(27, true));
        assert!(!look(28, true));
    }

    #[test]
    fn the_pause_is_spread_around_what_was_asked_for() {
        let pause = Duration::from_secs(10);
        let drawn: Vec<Duration> = (0..200).map(|_| jittered(pause)).collect();
        assert!(
            drawn
                .iter()
                .all(|drawn| *drawn >= pause / 2 && *drawn <= pause * 3 / 2)
        );
        assert!(drawn.iter().any(|other| *other != drawn[0]));
    }
}
