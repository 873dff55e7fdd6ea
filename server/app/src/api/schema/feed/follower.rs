//! One who follows a feed from a row on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tamiz_store::StoreError;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use super::topic::{Row, Stretch, Topic};
use super::{Feed, News};
use crate::api::errors::ApiError;
use crate::api::schema::session::Session;

/// How often a tenant's connections may be all in use before the follower gives up.
const TRIES_MAX: usize = 20;
/// The shortest pause before the next try.
const PAUSE: Duration = Duration::from_millis(200);

/// One who follows a feed.
pub(in crate::api::schema) struct Follower {
    session: Arc<Session>,
    topic: Topic,
    /// The number of the last row that was told.
    last: i64,
    news: Receiver<News>,
    /// Held, not used: the reader works for as long as somebody does.
    feed: Arc<Feed>,
    /// There may be rows that the reader does not bring.
    is_behind: bool,
    waiting: VecDeque<Arc<Row>>,
}

impl Follower {
    /// Listens from now on, and tells what came after `last`.
    pub(in crate::api::schema) fn after(session: &Arc<Session>, topic: Topic, last: i64) -> Self {
        let (feed, news) = session.feeds.join(&session.caller.scope, topic, last);
        Self {
            session: Arc::clone(session),
            topic,
            last,
            news,
            feed,
            is_behind: true,
            waiting: VecDeque::new(),
        }
    }

    /// The next row; `None` at the end.
    pub(in crate::api::schema) async fn next(&mut self) -> Result<Option<Arc<Row>>, ApiError> {
        loop {
            while let Some(row) = self.waiting.pop_front() {
                if row.seq > self.last {
                    self.last = row.seq;
                    return Ok(Some(row));
                }
            }
            if self.is_behind {
                // boxed, for a follower waits nearly always, and for news
                let stretch = Box::pin(self.read()).await?;
                self.is_behind = !stretch.rows.is_empty();
                if !self.is_behind && stretch.has_ended {
                    return Ok(None);
                }
                self.waiting.extend(stretch.rows.into_iter().map(Arc::new));
                continue;
            }
            match self.news.recv().await {
                Ok(News::Row(row)) => self.waiting.push_back(row),
                Ok(News::End(at)) if at == self.last => return Ok(None),
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                // it ended before what was told last, so it has begun again; or the reader is gone. Another one is
                // asked for, and what was missed is read
                Ok(News::End(_)) | Err(RecvError::Closed) => {
                    let session = Arc::clone(&self.session);
                    (self.feed, self.news) = session.feeds.join(&session.caller.scope, self.topic, self.last);
                    self.is_behind = true;
                }
            }
        }
    }

    async fn read(&self) -> Result<Stretch, ApiError> {
        // no connection is held beside the one that reads
        self.session.rest().await;
        let (store, scope) = (self.session.store(), &self.session.caller.scope);
        for _ in 1..TRIES_MAX {
            match self.topic.read(store, scope, self.last).await {
                // many who come back at once wait for their turn: a stream is not refused for that
                Err(StoreError::Busy) => sleep(PAUSE * rand::random_range(1..=4)).await,
                read => return read.map_err(|error| ApiError::of_store(&error)),
            }
        }
        let read = self.topic.read(store, scope, self.last).await;
        read.map_err(|error| ApiError::of_store(&error))
    }
}
