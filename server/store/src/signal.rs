//! Wake-ups between processes: ids only, over Postgres NOTIFY.
//!
//! One sender per process coalesces what was announced while it was busy and notifies outside of
//! writing transactions, on the dispatcher's connection (NOTIFY inside them serialises commits). One
//! listener per process spreads what it hears. New tickets wake a few workers that have room ([`wake`]) and cancels
//! go at once; news of tasks are gathered for a moment, so that the traffic is bounded however many tasks
//! run. Signals are hints and may be lost: whoever waits for one also looks by itself now and then, and
//! re-reads through its own tenant scope.

mod line;
mod wake;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tamiz_core::{TaskId, TenantId, WorkerId};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::connect::Store;
use crate::error::StoreError;
use line::{Heard, Line};
pub(crate) use wake::Class;
use wake::{Directory, Needs, Posts};
pub use wake::{KEPT_TO, Serves, TicketBell};

/// Signals that a slow receiver may lag behind before it is told to re-read.
const BACKLOG: usize = 4_096;
/// Pause before listening again after the connection broke.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);
/// News of tasks are sent this often: nobody sees the difference, and 25 statements a second per process are
/// far from what Postgres can spread.
const TASKS_PAUSE: Duration = Duration::from_millis(40);
/// Tasks named in one statement; the rest goes with the next.
const TASKS_MAX: usize = 5_000;
/// Between two statements that wake workers: the first of a burst goes at once, the rest together.
const WAKES_PAUSE: Duration = Duration::from_millis(4);
/// How long a process that ends waits for its last hints to go out.
const FLUSH_MAX: Duration = Duration::from_secs(1);
/// What the sender takes from its queue before it sends.
const GATHERED_MAX: usize = 10_000;

/// What happened, without any of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// A task has new events.
    Task {
        /// Whose.
        tenant: TenantId,
        /// Which.
        task: TaskId,
    },
    /// Somebody wants a running task to stop.
    Cancel {
        /// Which.
        task: TaskId,
    },
    /// The line was cut for a while: anything may have happened.
    Gap,
}

/// What the sender is told.
#[derive(Debug)]
pub(crate) enum News {
    /// Tickets became ready; none says their class when they are of several.
    Tickets { class: Option<Class>, count: u32 },
    /// Tickets of the class that a limit held back may be claimed; whoever ended what held them back looks by itself.
    Opened { class: Class },
    /// A class that this process was asked about for the first time.
    Unknown { class: Class },
    /// A worker of this process was named by another and has no room, or cannot serve the class.
    Unwanted { worker: WorkerId, class: Option<Class> },
    /// A worker of this process has filled itself.
    Filled { worker: WorkerId },
    /// To watchers and holders of leases.
    Signal(Signal),
    /// Answered once all that was told before has gone out.
    Flush(oneshot::Sender<()>),
}

/// What went over the line of this process since it started.
#[derive(Debug, Default)]
struct Counts {
    statements: AtomicU64,
    payloads: AtomicU64,
    heard: AtomicU64,
    wakes: AtomicU64,
}

/// What went over the line of one process since it started.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignalCounts {
    /// Statements that notified.
    pub statements: u64,
    /// Notifications in them.
    pub payloads: u64,
    /// Notifications that came in, our own too.
    pub heard: u64,
    /// Wakes of workers of this process, from wherever.
    pub wakes: u64,
}

/// The line of one process.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    sender: mpsc::UnboundedSender<News>,
    heard: broadcast::Sender<Signal>,
    posts: Posts,
    /// As the directory has them.
    classes: Arc<Mutex<HashMap<Class, Needs>>>,
    counts: Arc<Counts>,
    tasks: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
}

impl Signals {
    pub(crate) async fn start(pool: PgPool) -> Result<Self, StoreError> {
        let (sender, queue) = mpsc::unbounded_channel();
        let (heard, _) = broadcast::channel(BACKLOG);
        let listener = line::listen(&pool).await?;
        let signals = Self {
            sender,
            heard,
            posts: Posts::default(),
            classes: Arc::default(),
            counts: Arc::default(),
            tasks: Arc::default(),
        };
        let sending = send_all(pool.clone(), queue, signals.clone());
        let hearing = hear_all(pool, listener, signals.clone());
        let handles = vec![
            tokio::spawn(sending).abort_handle(),
            tokio::spawn(hearing).abort_handle(),
        ];
        if let Ok(mut tasks) = signals.tasks.lock() {
            *tasks = handles;
        }
        Ok(signals)
    }

    /// Never waits; a process that is going down may drop it.
    pub(crate) fn tell(&self, news: News) {
        // the receiver lives as long as the process; its end means shutdown
        let _ = self.sender.send(news);
    }

    /// Wakes workers for `count` tickets.
    pub(crate) fn tickets(&self, class: Option<Class>, count: u32) {
        if count > 0 {
            self.tell(News::Tickets { class, count });
        }
    }

    /// Waits a moment for what was told to go out: a command that ends at once would take it along.
    pub(crate) async fn flush(&self) {
        let (sender, flushed) = oneshot::channel();
        self.tell(News::Flush(sender));
        // a hint that is lost costs time, not data
        let _ = timeout(FLUSH_MAX, flushed).await;
    }

    pub(crate) fn stop(&self) {
        if let Ok(tasks) = self.tasks.lock() {
            for task in tasks.iter() {
                task.abort();
            }
        }
    }
}

impl Store {
    /// Everything heard from now on. A receiver that lags gets `RecvError::Lagged`: treat it as
    /// [`Signal::Gap`].
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.heard.subscribe()
    }

    /// Lets tickets wake `worker`, which is in this process or stands behind it. Say its room first.
    pub fn ticket_bell(&self, worker: WorkerId, serves: Serves) -> TicketBell {
        TicketBell::hang(&self.signals, worker, serves)
    }

    /// What went over the line of this process since it started.
    #[cfg(test)]
    pub(crate) fn signal_counts(&self) -> SignalCounts {
        let counts = &self.signals.counts;
        SignalCounts {
            statements: counts.statements.load(Ordering::Relaxed),
            payloads: counts.payloads.load(Ordering::Relaxed),
            heard: counts.heard.load(Ordering::Relaxed),
            wakes: counts.wakes.load(Ordering::Relaxed),
        }
    }
}

/// What waits to be sent.
#[derive(Debug, Default)]
struct Outbox {
    tickets: HashMap<Option<Class>, u32>,
    opened: HashSet<Class>,
    unknown: HashSet<Class>,
    unwanted: Vec<(WorkerId, Option<Class>)>,
    filled: Vec<WorkerId>,
    cancels: HashSet<TaskId>,
    tasks: HashSet<(TenantId, TaskId)>,
    flushes: Vec<oneshot::Sender<()>>,
}

impl Outbox {
    fn add(&mut self, news: News) {
        match news {
            News::Tickets { class, count } => {
                let waiting = self.tickets.entry(class).or_default();
                *waiting = waiting.saturating_add(count);
            }
            News::Opened { class } => {
                self.opened.insert(class);
            }
            News::Unknown { class } => {
                self.unknown.insert(class);
            }
            News::Unwanted { worker, class } => self.unwanted.push((worker, class)),
            News::Filled { worker } => self.filled.push(worker),
            News::Signal(Signal::Cancel { task }) => {
                self.cancels.insert(task);
            }
            News::Signal(Signal::Task { tenant, task }) => {
                self.tasks.insert((tenant, task));
            }
            News::Signal(Signal::Gap) => {}
            News::Flush(flush) => self.flushes.push(flush),
        }
    }

    fn has_wakes(&self) -> bool {
        let is_empty = self.tickets.is_empty() && self.opened.is_empty() && self.unknown.is_empty();
        !(is_empty && self.unwanted.is_empty() && self.filled.is_empty())
    }

    /// Classes that it speaks of.
    fn classes(&self) -> Vec<Class> {
        let of_tickets = self.tickets.keys().filter_map(|class| *class);
        let of_unwanted = self.unwanted.iter().filter_map(|(_, class)| *class);
        let others = self.opened.iter().chain(&self.unknown).copied();
        of_tickets.chain(of_unwanted).chain(others).collect()
    }

    /// Up to [`TASKS_MAX`] of them.
    fn take_tasks(&mut self) -> Vec<(TenantId, TaskId)> {
        if self.tasks.len() <= TASKS_MAX {
            return self.tasks.drain().collect();
        }
        let taken: Vec<_> = self.tasks.iter().take(TASKS_MAX).copied().collect();
        for task in &taken {
            self.tasks.remove(task);
        }
        taken
    }
}

async fn send_all(pool: PgPool, mut queue: mpsc::UnboundedReceiver<News>, signals: Signals) {
    let (mut outbox, mut directory) = (Outbox::default(), Directory::default());
    let (mut tasks_at, mut wakes_at) = (Instant::now(), Instant::now());
    loop {
        tokio::select! {
            biased;
            news = queue.recv() => {
                let Some(news) = news else { return };
                outbox.add(news);
                for _ in 0..GATHERED_MAX {
                    let Ok(more) = queue.try_recv() else { break };
                    outbox.add(more);
                }
            }
            () = sleep_until(tasks_at), if !outbox.tasks.is_empty() => {}
            () = sleep_until(wakes_at), if outbox.has_wakes() => {}
        }
        let mut line = Line::default();
        line.cancels(outbox.cancels.drain());
        if outbox.has_wakes() && wakes_at <= Instant::now() {
            choose(&pool, &mut directory, &mut outbox, &signals, &mut line).await;
            wakes_at = Instant::now() + WAKES_PAUSE;
        }
        if !outbox.tasks.is_empty() && tasks_at <= Instant::now() {
            line.tasks(outbox.take_tasks().into_iter());
            tasks_at = Instant::now() + TASKS_PAUSE;
        }
        signals.put(&pool, line).await;
        if !outbox.has_wakes() && outbox.tasks.is_empty() {
            for flush in outbox.flushes.drain(..) {
                // whoever asked may have given up
                let _ = flush.send(());
            }
        }
    }
}

/// Wakes who is here and names others.
async fn choose(
    pool: &PgPool,
    directory: &mut Directory,
    outbox: &mut Outbox,
    signals: &Signals,
    line: &mut Line,
) {
    let here = signals.posts.workers();
    let draw = |length: usize| rand::random_range(0..length);
    if directory.refresh(pool, outbox.classes().into_iter()).await {
        signals.learn(&directory.classes);
    }
    if !outbox.unknown.is_empty() {
        outbox.unknown.clear();
        directory.forget_age();
    }
    for (class, count) in outbox.tickets.drain() {
        let needs = class.and_then(|class| directory.classes.get(&class));
        let left = signals.posts.wake_with_room(needs, count);
        if left < count {
            signals.counts.wakes.fetch_add(1, Ordering::Relaxed);
        }
        if left > 0 {
            line.wakes(directory.choose(class, left, &here, draw), class, Hop::First);
        }
    }
    for class in outbox.opened.drain() {
        let needs = directory.classes.get(&class);
        if !needs.is_some_and(|needs| signals.posts.serve(needs)) {
            line.wakes(
                directory.choose(Some(class), 1, &here, draw),
                Some(class),
                Hop::First,
            );
        }
    }
    for (worker, class) in outbox.unwanted.drain(..) {
        let mut but = here.clone();
        but.push(worker);
        line.wakes(directory.choose(class, 1, &but, draw), class, Hop::Last);
    }
    if !outbox.filled.is_empty() {
        outbox.filled.clear();
        // when all others are full they look by themselves as soon as they are not
        if signals.posts.wake_with_room(None, 1) > 0 && directory.knows_room_beside(&here) {
            line.wakes(directory.choose(None, 1, &here, draw), None, Hop::Last);
        }
    }
}

/// Whether a worker without room may pass a wake on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    First,
    Last,
}

impl Signals {
    async fn put(&self, pool: &PgPool, line: Line) {
        let (channels, payloads) = line.into_payloads();
        if channels.is_empty() {
            return;
        }
        let sent = sqlx::query!(
            "select pg_notify(x.channel, x.payload) from unnest($1::text[], $2::text[]) x(channel, payload)",
            &channels,
            &payloads
        )
        .execute(pool)
        .await;
        self.counts.statements.fetch_add(1, Ordering::Relaxed);
        self.counts
            .payloads
            .fetch_add(channels.len() as u64, Ordering::Relaxed);
        if let Err(error) = sent {
            // receivers poll as well, so a lost hint costs time, not data
            tracing::warn!(%error, "signals could not be sent");
        }
    }

    fn hear(&self, heard: Heard) {
        match heard {
            // no receiver is fine
            Heard::Signal(signal) => drop(self.heard.send(signal)),
            Heard::WakeAll => {
                self.counts.wakes.fetch_add(1, Ordering::Relaxed);
                self.posts.wake_all();
            }
            Heard::Wake { worker, class, hop } => {
                let needs = class.and_then(|class| self.needs(class));
                match self.posts.wake(worker, needs.as_ref()) {
                    Some(true) => {
                        self.counts.wakes.fetch_add(1, Ordering::Relaxed);
                    }
                    Some(false) if hop == Hop::First => self.tell(News::Unwanted { worker, class }),
                    Some(false) => {}
                    None => return,
                }
                if let (Some(class), None) = (class, needs) {
                    self.tell(News::Unknown { class });
                }
            }
        }
    }

    fn needs(&self, class: Class) -> Option<Needs> {
        let classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        classes.get(&class).cloned()
    }

    fn learn(&self, classes: &HashMap<Class, Needs>) {
        let mut known = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone_from(classes);
    }
}

async fn hear_all(pool: PgPool, mut listener: PgListener, signals: Signals) {
    loop {
        if let Ok(Some(notification)) = listener.try_recv().await {
            signals.counts.heard.fetch_add(1, Ordering::Relaxed);
            for heard in line::decode(notification.channel(), notification.payload()) {
                signals.hear(heard);
            }
        } else {
            listener = listen_again(&pool).await;
            signals.hear(Heard::Signal(Signal::Gap));
            signals.hear(Heard::WakeAll);
        }
    }
}

async fn listen_again(pool: &PgPool) -> PgListener {
    loop {
        match line::listen(pool).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%error, "the signal line is down");
                tokio::time::sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}
