//! How many conversions of one plugin, and of one tenant, run at a time in this process.
//!
//! A limit is said anew with every entry, so that what an operator changes holds for the next one. Whoever
//! finds no place waits for one, but not for ever.
//!
//! Not here: how many tasks the worker works on (its slots), and how many guests the engine holds (the host).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tamiz_core::{PluginId, TenantId};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Whose conversions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Plugin(PluginId),
    Tenant(TenantId),
}

/// The conversions that run now. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instances(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Owners without a conversion have no entry.
    running: Mutex<HashMap<Owner, u64>>,
    left: Notify,
}

/// The right to convert; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    instances: Instances,
    owners: Vec<Owner>,
}

impl Instances {
    /// A place with each of `owners`, of which each may have so many; `None` if `patience` ends before.
    pub(crate) async fn enter(&self, owners: &[(Owner, Option<u64>)], patience: Duration) -> Option<Place> {
        let waiting = async {
            loop {
                // asked for before looking, so that no leaving is missed
                let mut left = std::pin::pin!(self.0.left.notified());
                left.as_mut().enable();
                if let Some(place) = self.try_enter(owners) {
                    return place;
                }
                left.await;
            }
        };
        timeout(patience, waiting).await.ok()
    }

    fn try_enter(&self, owners: &[(Owner, Option<u64>)]) -> Option<Place> {
        let mut running = self.lock();
        let is_full = |(owner, limit): &(Owner, Option<u64>)| {
            let count = running.get(owner).copied().unwrap_or(0);
            limit.is_some_and(|limit| count >= limit)
        };
        if owners.iter().any(is_full) {
            return None;
        }
        for (owner, _) in owners {
            *running.entry(*owner).or_default() += 1;
        }
        Some(Place {
            instances: self.clone(),
            owners: owners.iter().map(|(owner, _)| *owner).collect(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, u64>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.instances.lock();
        for owner in &self.owners {
            if let Some(count) = running.get_mut(owner) {
                *count -= 1;
                if *count == 0 {
                    running.remove(owner);
                }
            }
        }
        drop(running);
        self.instances.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_PATIENCE: Duration = Duration::from_millis(20);
    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_plugin_at_its_limit_waits_and_goes_on_when_one_leaves() {
        let instances = Instances::default();
        let owners = [
            (Owner::Plugin(PluginId::fresh()), Some(1)),
            (Owner::Tenant(TenantId::fresh()), None),
        ];
        let first = instances.enter(&owners, NO_PATIENCE).await.unwrap();
        assert!(instances.enter(&owners, NO_PATIENCE).await.is_none());
        let (next, ()) = tokio::join!(instances.enter(&owners, PATIENCE), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        drop(next.unwrap());
        assert!(instances.lock().is_empty(), "nobody who left is remembered");
    }

    #[tokio::test]
    async fn a_tenant_at_its_limit_keeps_nobody_else_out() {
        let instances = Instances::default();
        let plugin = (Owner::Plugin(PluginId::fresh()), Some(2));
        let of = |tenant| [plugin, (Owner::Tenant(tenant), Some(1))];
        let (acme, other) = (TenantId::fresh(), TenantId::fresh());
        let _first = instances.enter(&of(acme), NO_PATIENCE).await.unwrap();
        assert!(instances.enter(&of(acme), NO_PATIENCE).await.is_none());
        let _second = instances.enter(&of(other), NO_PATIENCE).await.unwrap();
    }
}
