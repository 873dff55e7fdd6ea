//! Loading many things of one kind with one statement, within one request.
//!
//! Resolvers of sibling rows each ask for their own key. A key is noted, everything else of the
//! request gets its turn to note more, and then the first to continue fetches them all. Nothing is
//! spawned (as `async_graphql::dataloader` does): on a runtime with several threads a spawned batch
//! starts while siblings still ask, so the number of statements would depend on luck.
//!
//! A batch lives in a [`super::session::Session`]: what it remembers never outlives the request or
//! crosses a tenant.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;

use crate::api::errors::ApiError;

/// Keys of one statement; more are fetched in several.
const KEYS_PER_FETCH_MAX: usize = 1_000;
/// How often a key whose fetcher was dropped (a failed sibling cancelled it) is asked for again.
const TRIES_MAX: usize = 8;

/// Turns in a row without a new key after which none is expected any more.
const QUIET_TURNS: u32 = 2;
/// Turns after which the keys are fetched anyway.
const TURNS_MAX: u32 = 64;

/// Everything asked for and known of one kind.
#[derive(Debug)]
pub(super) struct Batch<K, V> {
    inner: Mutex<Inner<K, V>>,
}

type Waiting<V> = Vec<oneshot::Sender<Result<Option<V>, ApiError>>>;

#[derive(Debug)]
struct Inner<K, V> {
    known: HashMap<K, Option<V>>,
    waiting: HashMap<K, Waiting<V>>,
    /// How often a key was noted.
    noted: u64,
}

impl<K, V> Default for Batch<K, V> {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                known: HashMap::new(),
                waiting: HashMap::new(),
                noted: 0,
            }),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Batch<K, V> {
    /// The value of `key`, by `fetch` together with all other keys wanted now; `None` if `fetch`
    /// does not know it.
    ///
    /// Boxed, as [`super::session::Session::read`] is: the engine keeps one future for each field of each row, as large
    /// as the largest of the type's fields, and most fields load nothing.
    pub(super) fn load<'a, F, Fetching>(
        &'a self,
        key: K,
        fetch: F,
    ) -> Pin<Box<impl Future<Output = Result<Option<V>, ApiError>> + use<'a, K, V, F, Fetching>>>
    where
        F: Fn(Vec<K>) -> Fetching + 'a,
        Fetching: Future<Output = Result<HashMap<K, V>, ApiError>>,
    {
        Box::pin(async move {
            for _ in 0..TRIES_MAX {
                let mut answer = {
                    let mut inner = self.lock();
                    if let Some(value) = inner.known.get(&key) {
                        return Ok(value.clone());
                    }
                    let (sender, answer) = oneshot::channel();
                    inner.noted += 1;
                    inner.waiting.entry(key.clone()).or_default().push(sender);
                    answer
                };
                self.settled().await;
                if answer.is_empty() {
                    let waiting = std::mem::take(&mut self.lock().waiting);
                    if waiting.contains_key(&key) {
                        self.fetch(waiting, &fetch).await;
                    } else {
                        self.put_back(waiting);
                    }
                }
                // unconstrained: a budget would let some siblings continue later than others, and
                // their next keys would miss the batch
                if let Ok(result) = unconstrained(&mut answer).await {
                    return result;
                }
            }
            Err(ApiError::fault(&Abandoned))
        })
    }

    /// Returns when everything else that is ready has noted its keys. One turn is not enough: on a
    /// runtime with several threads another one may go on polling the siblings meanwhile.
    async fn settled(&self) {
        let (mut seen, mut quiet) = (self.lock().noted, 0);
        for _ in 0..TURNS_MAX {
            tokio::task::yield_now().await;
            let noted = self.lock().noted;
            quiet = if noted == seen { quiet + 1 } else { 0 };
            seen = noted;
            if quiet == QUIET_TURNS {
                return;
            }
        }
    }

    async fn fetch<F, Fetching>(&self, waiting: HashMap<K, Waiting<V>>, fetch: &F)
    where
        F: Fn(Vec<K>) -> Fetching,
        Fetching: Future<Output = Result<HashMap<K, V>, ApiError>>,
    {
        let keys: Vec<K> = waiting.keys().cloned().collect();
        let mut outcome = Ok(HashMap::new());
        for part in keys.chunks(KEYS_PER_FETCH_MAX) {
            match (&mut outcome, fetch(part.to_vec()).await) {
                (Ok(values), Ok(more)) => values.extend(more),
                (_, Err(error)) => outcome = Err(error),
                (Err(_), Ok(_)) => {}
            }
        }
        let mut inner = self.lock();
        for (key, senders) in waiting {
            let result = match &outcome {
                Ok(values) => {
                    let value = values.get(&key).cloned();
                    inner.known.insert(key, value.clone());
                    Ok(value)
                }
                Err(error) => Err(error.clone()),
            };
            for sender in senders {
                // whoever does not wait any more does not need it
                let _ = sender.send(result.clone());
            }
        }
    }

    fn put_back(&self, waiting: HashMap<K, Waiting<V>>) {
        let mut inner = self.lock();
        for (key, senders) in waiting {
            inner.waiting.entry(key).or_default().extend(senders);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a batch was abandoned again and again")]
struct Abandoned;

/// Rows by their key, in their order.
pub(super) fn grouped<K: Eq + Hash, Row>(
    rows: impl Iterator<Item = (K, Row)>,
) -> HashMap<K, Arc<Vec<Arc<Row>>>> {
    let mut groups: HashMap<K, Vec<Arc<Row>>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(Arc::new(row));
    }
    groups
        .into_iter()
        .map(|(key, rows)| (key, Arc::new(rows)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{join_all, select};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn siblings_of_two_levels_cost_two_fetches() {
        let fetches = AtomicUsize::new(0);
        let (outer, inner) = (Batch::<u32, u32>::default(), Batch::<u32, u32>::default());
        let fetch = |keys: Vec<u32>| {
            fetches.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                Ok(keys
                    .into_iter()
                    .filter(|key| key % 7 != 0)
                    .map(|key| (key, key * 10))
                    .collect())
            }
        };
        let (outer, inner, fetch) = (&outer, &inner, &fetch);
        let answers = join_all((1..=600_u32).map(|key| async move {
            let found = outer.load(key, fetch).await.unwrap();
            inner.load(found.unwrap_or(1) + 1, fetch).await.unwrap()
        }))
        .await;
        assert_eq!(answers.len(), 600);
        assert_eq!(answers[0], Some(110));
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
        assert_eq!(
            outer.load(7, fetch).await.unwrap(),
            None,
            "absent is remembered, too"
        );
        assert_eq!(fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_dropped_fetcher_does_not_leave_the_others_waiting() {
        let batch = Batch::<u32, u32>::default();
        let stuck = |_: Vec<u32>| std::future::pending();
        let quick = |keys: Vec<u32>| async move { Ok(keys.into_iter().map(|key| (key, key)).collect()) };
        let leader = Box::pin(batch.load(1, stuck));
        let follower = Box::pin(batch.load(2, quick));
        // the leader takes both keys and hangs; then it is dropped
        let follower = match select(
            leader,
            Box::pin(tokio::time::sleep(std::time::Duration::from_millis(5))),
        )
        .await
        {
            futures_util::future::Either::Right(((), leader)) => {
                drop(leader);
                follower
            }
            futures_util::future::Either::Left(_) => unreachable!("the leader hangs"),
        };
        assert_eq!(follower.await.unwrap(), Some(2));
    }
}
