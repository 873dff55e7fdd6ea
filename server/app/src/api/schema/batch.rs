//! Loading many things of one kind with one statement, within one request.
//!
//! Resolvers of sibling rows each ask for their own key. A key is noted, everything else of the request goes on until
//! it waits, too ([`Turns`]), and then whoever noted the first key fetches them all. Nothing is spawned (as
//! `async_graphql::dataloader` does): on a runtime with several threads a spawned batch starts while siblings still ask,
//! so the number of statements would depend on luck.
//!
//! A batch lives in a [`super::session::Session`]: what it remembers never outlives the request or
//! crosses a tenant.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;

use super::turns::Turns;
use crate::api::errors::ApiError;

/// Keys of one statement; more are fetched in several.
const KEYS_PER_FETCH_MAX: usize = 1_000;
/// How often a key is asked for again whose fetcher was dropped.
const TRIES_MAX: usize = 8;

/// Everything asked for and known of one kind.
#[derive(Debug)]
pub(super) struct Batch<K, V> {
    turns: Arc<Turns>,
    inner: Mutex<Inner<K, V>>,
}

type Waiting<V> = Vec<oneshot::Sender<Result<Option<V>, ApiError>>>;

#[derive(Debug)]
struct Inner<K, V> {
    known: HashMap<K, Option<V>>,
    waiting: HashMap<K, Waiting<V>>,
    /// Somebody is going to fetch what is waited for.
    is_led: bool,
}

impl<K, V> Inner<K, V> {
    /// What is waited for, by whoever fetches it.
    fn take(&mut self) -> HashMap<K, Waiting<V>> {
        self.is_led = false;
        std::mem::take(&mut self.waiting)
    }
}

impl<K, V> Batch<K, V> {
    /// Nothing known, nothing wanted, in a request with these turns.
    pub(super) fn new(turns: &Arc<Turns>) -> Self {
        Self {
            turns: Arc::clone(turns),
            inner: Mutex::new(Inner {
                known: HashMap::new(),
                waiting: HashMap::new(),
                is_led: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
                let (mut answer, leads) = {
                    let mut inner = self.lock();
                    if let Some(value) = inner.known.get(&key) {
                        return Ok(value.clone());
                    }
                    let (sender, answer) = oneshot::channel();
                    inner.waiting.entry(key.clone()).or_default().push(sender);
                    (answer, !std::mem::replace(&mut inner.is_led, true))
                };
                if leads {
                    let leader = Leader(Some(self));
                    self.turns.idle().await;
                    self.fetch(leader.take(), &fetch).await;
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
}

/// Who is going to fetch. Dropped before (a failed sibling cancelled it), the others ask again.
struct Leader<'a, K, V>(Option<&'a Batch<K, V>>);

impl<K, V> Leader<'_, K, V> {
    fn take(mut self) -> HashMap<K, Waiting<V>> {
        self.0.take().map(|batch| batch.lock().take()).unwrap_or_default()
    }
}

impl<K, V> Drop for Leader<'_, K, V> {
    fn drop(&mut self) {
        if let Some(batch) = self.0 {
            // apart from the lock, for who waited may go on at once
            let waiting = batch.lock().take();
            drop(waiting);
        }
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
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;
    use std::time::Duration;

    use futures_util::future::{join, join_all, join3};

    use super::*;

    /// More than thirty, so that they are joined in a queue, which gives up its turn where many of them are woken.
    const GROUPS: u32 = 40;
    const SIBLINGS: u32 = 50;

    #[tokio::test(flavor = "multi_thread")]
    async fn siblings_of_two_levels_cost_two_fetches() {
        let fetches = AtomicUsize::new(0);
        let turns = Arc::new(Turns::default());
        let outer = Batch::<u32, u32>::new(&turns);
        let inner = Batch::<u32, u32>::new(&turns);
        let fetch = |keys: Vec<u32>| {
            fetches.fetch_add(1, Ordering::SeqCst);
            let reading = turns.reading();
            async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                drop(reading);
                let found = keys.into_iter().filter(|key| key % 7 != 0);
                Ok(found.map(|key| (key, key * 10)).collect())
            }
        };
        let (outer, inner, fetch) = (&outer, &inner, &fetch);
        let sibling = async |key: u32| {
            for _ in 0..key % 5 {
                again().await;
            }
            let found = outer.load(key, fetch).await.unwrap();
            inner.load(found.unwrap_or(1) + 1, fetch).await.unwrap()
        };
        let group = |group: u32| join_all((1..=SIBLINGS).map(move |key| sibling(group * SIBLINGS + key)));
        let answers = Arc::clone(&turns).drive(join_all((0..GROUPS).map(group))).await;
        assert_eq!(answers.iter().flatten().count(), 2_000);
        assert_eq!(answers[0][0], Some(110));
        assert_eq!(
            fetches.load(Ordering::SeqCst),
            2 * 2,
            "two of at most a thousand keys for each level"
        );
        assert_eq!(
            outer.load(7, fetch).await.unwrap(),
            None,
            "absent is remembered, too"
        );
        assert_eq!(fetches.load(Ordering::SeqCst), 2 * 2);
    }

    /// Goes on in another turn.
    async fn again() {
        let mut is_first = true;
        poll_fn(|cx| {
            if std::mem::take(&mut is_first) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_dropped_fetcher_does_not_leave_the_others_waiting() {
        let turns = Arc::new(Turns::default());
        let batch = Batch::<u32, u32>::new(&turns);
        let stuck = |_: Vec<u32>| std::future::pending();
        let quick = |keys: Vec<u32>| async move { Ok(keys.into_iter().map(|key| (key, key)).collect()) };
        let request = async {
            // the first takes both keys and hangs, then it is dropped
            let given_up = tokio::time::timeout(Duration::from_millis(5), batch.load(1, stuck));
            join(given_up, batch.load(2, quick)).await
        };
        let (given_up, answer) = Arc::clone(&turns).drive(request).await;
        assert!(given_up.is_err());
        assert_eq!(answer.unwrap(), Some(2));
    }

    #[tokio::test]
    async fn who_is_dropped_before_its_turn_is_followed_by_the_next() {
        let turns = Arc::new(Turns::default());
        let batch = Batch::<u32, u32>::new(&turns);
        let fetch = |keys: Vec<u32>| async move { Ok(keys.into_iter().map(|key| (key, key)).collect()) };
        let reading = turns.reading();
        let request = async {
            let given_up = tokio::time::timeout(Duration::from_millis(5), batch.load(1, fetch));
            let reads = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                drop(reading);
            };
            let (given_up, answer, ()) = join3(given_up, batch.load(2, fetch), reads).await;
            (given_up.is_err(), answer.unwrap())
        };
        assert_eq!(Arc::clone(&turns).drive(request).await, (true, Some(2)));
    }

    #[tokio::test]
    async fn outside_of_a_request_a_key_is_fetched_at_once() {
        let batch = Batch::<u32, u32>::new(&Arc::default());
        let fetch = |keys: Vec<u32>| async move { Ok(keys.into_iter().map(|key| (key, key)).collect()) };
        assert_eq!(batch.load(3, fetch).await.unwrap(), Some(3));
    }
}
