//! Places that are shared out by key, so that nobody takes all of what everybody needs.
//!
//! Each key has the same number of places. A key that holds none costs nothing: it is forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Keys remembered before the idle ones are forgotten for the first time.
const KEYS_MIN: usize = 64;

/// A place that is taken until this is dropped.
#[must_use]
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Places per key. Clones share them.
#[derive(Debug, Clone)]
pub struct Shares<Key> {
    places: usize,
    known: Arc<Mutex<Known<Key>>>,
}

#[derive(Debug)]
struct Known<Key> {
    // a permit keeps its semaphore alive, so a dead one is a key without places taken
    of: HashMap<Key, Weak<Semaphore>>,
    sweep_at: usize,
}

impl<Key: Eq + Hash> Shares<Key> {
    /// `places` for each key.
    pub fn new(places: usize) -> Self {
        let known = Known {
            of: HashMap::new(),
            sweep_at: KEYS_MIN,
        };
        Self {
            places,
            known: Arc::new(Mutex::new(known)),
        }
    }

    /// How many each key has.
    pub const fn places(&self) -> usize {
        self.places
    }

    /// A place of `key`, if one is free.
    pub fn take(&self, key: Key) -> Option<Place> {
        let permit = self.of(key).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }

    /// A place of `key`, as soon as one is free; whoever came first is first. `None` if none is within
    /// `patience`.
    pub async fn wait(&self, key: Key, patience: Duration) -> Option<Place> {
        let permit = timeout(patience, self.of(key).acquire_owned()).await.ok()?.ok()?;
        Some(Place { _permit: permit })
    }

    fn of(&self, key: Key) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = known.of.get(&key).and_then(Weak::upgrade) {
            return semaphore;
        }
        if known.of.len() >= known.sweep_at {
            known.of.retain(|_, semaphore| semaphore.strong_count() > 0);
            known.sweep_at = KEYS_MIN.max(2 * known.of.len());
        }
        let semaphore = Arc::new(Semaphore::new(self.places));
        known.of.insert(key, Arc::downgrade(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_key_that_has_taken_its_places_does_not_hold_up_another() {
        let shares = Shares::new(2);
        let held: Vec<Place> = (0..2).filter_map(|_| shares.take("acme")).collect();
        assert_eq!(held.len(), 2);
        assert!(shares.take("acme").is_none());
        assert!(shares.wait("acme", SOON).await.is_none());
        assert!(shares.take("globex").is_some());
        drop(held);
        assert!(shares.wait("acme", SOON).await.is_some());
    }

    #[test]
    fn keys_without_places_are_forgotten() {
        let shares = Shares::new(1);
        let kept = shares.take(0);
        for key in 1..100 * KEYS_MIN {
            let _ = shares.take(key);
        }
        assert!(shares.take(0).is_none(), "{kept:?} is taken");
        let known = shares.known.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(known.of.len() <= KEYS_MIN);
    }
}
