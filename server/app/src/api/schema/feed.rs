//! One reader for all who follow the same thing.
//!
//! A feed is a list that only grows: the events of a task, what happens to the tasks of a project or to its alerts.
//! However many follow it, one reader per process hears that there is more, reads it once and hands the rows to all.
//! A follower listens first, then reads what came after its cursor by itself, then takes what the reader brings and
//! leaves out what it has: so nothing is lost however late it joins, and nothing is told twice. One that is too slow
//! for the reader's memory of [`ROWS_KEPT`] rows reads on by itself; nobody waits for it.
//!
//! Signals are hints: a reader also looks now and then without one.

mod follower;
mod topic;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tamiz_core::TenantId;
use tamiz_store::signal::Signal;
use tamiz_store::{Store, TenantScope};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use uuid::Uuid;

pub(super) use follower::Follower;
pub(super) use topic::{Row, Told, Topic};

/// Without a signal the rows are read this often.
const POLL: Duration = Duration::from_secs(5);
/// Rows of a feed that wait for slow followers.
const ROWS_KEPT: usize = 64;

/// What a reader says.
#[derive(Debug, Clone)]
enum News {
    /// One more row.
    Row(Arc<Row>),
    /// There will be none after the one with this number.
    End(i64),
}

/// What followers of one thing share.
#[derive(Debug)]
struct Feed {
    news: broadcast::Sender<News>,
}

#[derive(Debug)]
struct Known {
    feed: Weak<Feed>,
    /// Rung when there may be more to read.
    bell: Arc<Notify>,
}

type Topics = Arc<Mutex<HashMap<(TenantId, Topic), Known>>>;

/// All feeds that somebody follows.
pub(super) struct Feeds {
    store: Store,
    topics: Topics,
    listening: AbortHandle,
}

impl Drop for Feeds {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Feeds {
    /// Listens from now on.
    pub(super) fn start(store: Store) -> Self {
        let topics = Topics::default();
        let signals = store.signals();
        let listening = tokio::spawn(listen(signals, Arc::clone(&topics))).abort_handle();
        Self {
            store,
            topics,
            listening,
        }
    }

    /// The feed of `topic`, and what its reader says from now on. A new reader begins after `after`.
    fn join(&self, scope: &TenantScope, topic: Topic, after: i64) -> (Arc<Feed>, broadcast::Receiver<News>) {
        let key = (scope.tenant_id(), topic);
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = topics.get(&key).and_then(|known| known.feed.upgrade()) {
            let news = feed.news.subscribe();
            return (feed, news);
        }
        let (sender, news) = broadcast::channel(ROWS_KEPT);
        let feed = Arc::new(Feed { news: sender });
        let bell = Arc::new(Notify::new());
        let reader = Reader {
            store: self.store.clone(),
            scope: *scope,
            topic,
            last: after,
            feed: Arc::downgrade(&feed),
            bell: Arc::clone(&bell),
        };
        let known = Known {
            feed: Arc::downgrade(&feed),
            bell,
        };
        topics.insert(key, known);
        tokio::spawn(reader.run(Arc::clone(&self.topics)));
        (feed, news)
    }
}

/// Rings for what has news, until the line is closed.
async fn listen(mut signals: broadcast::Receiver<Signal>, topics: Topics) {
    loop {
        let heard = signals.recv().await;
        let topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
        match heard {
            Ok(Signal::Cancel { .. }) => {}
            Ok(Signal::Task { tenant, task }) => {
                // ids are unique over all kinds: news of projects come on the same line
                for topic in Topic::all_with(task.uuid()) {
                    if let Some(known) = topics.get(&(tenant, topic)) {
                        known.bell.notify_one();
                    }
                }
            }
            Ok(Signal::Gap) | Err(RecvError::Lagged(_)) => {
                for known in topics.values() {
                    known.bell.notify_one();
                }
            }
            // only the clock is left
            Err(RecvError::Closed) => return,
        }
    }
}

struct Reader {
    store: Store,
    scope: TenantScope,
    topic: Topic,
    last: i64,
    feed: Weak<Feed>,
    bell: Arc<Notify>,
}

impl Reader {
    /// Reads as long as somebody follows and there may be more.
    async fn run(mut self, topics: Topics) {
        while let Some(feed) = self.feed.upgrade() {
            match self.read_on(&feed).await {
                Ok(true) => {
                    // whoever comes from now on asks for another reader: the thing may begin again
                    self.leave(&topics);
                    let _ = feed.news.send(News::End(self.last));
                    return;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(
                        tenant = %self.scope.tenant_id(),
                        error = &error as &dyn std::error::Error,
                        "a feed could not be read and will be tried again"
                    );
                }
            }
            drop(feed);
            // whichever comes first
            let _ = timeout(POLL, self.bell.notified()).await;
        }
        self.leave(&topics);
    }

    fn leave(&self, topics: &Topics) {
        let mut topics = topics.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.scope.tenant_id(), self.topic);
        // another reader may have taken over
        let is_own = |known: &Known| Weak::ptr_eq(&known.feed, &self.feed);
        if topics.get(&key).is_some_and(is_own) {
            topics.remove(&key);
        }
    }

    /// Hands on what is new; whether there will be nothing more.
    async fn read_on(&mut self, feed: &Feed) -> Result<bool, tamiz_store::StoreError> {
        loop {
            let stretch = self.topic.read(&self.store, &self.scope, self.last).await?;
            if stretch.rows.is_empty() {
                return Ok(stretch.has_ended);
            }
            for row in stretch.rows {
                self.last = row.seq;
                // nobody may be there any more
                let _ = feed.news.send(News::Row(Arc::new(row)));
            }
        }
    }
}

impl Topic {
    /// Whatever may have this id.
    const fn all_with(id: Uuid) -> [Self; 3] {
        [Self::Task(id), Self::TasksOf(id), Self::AlertsOf(id)]
    }
}
