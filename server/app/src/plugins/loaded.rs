//! The plugins in memory, by digest: those used last, so many and no more.
//!
//! A slot is filled once, by whoever comes first, while the others wait for it. One that is dropped from
//! memory while it runs lives on until its last user is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tamiz_core::plugin::ComponentDigest;
use tamiz_host::{Plugin, PluginError};
use tokio::sync::OnceCell;

/// Plugins of third parties kept in memory: compiled code of a few MB each, of a scripting language 60.
const PLUGINS_MAX: usize = 32;

/// What is known of one component: it runs, or the host refuses it for good.
pub(super) type Slot = OnceCell<Result<Arc<Plugin>, Arc<PluginError>>>;

/// Slots by digest.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_digest: HashMap<ComponentDigest, (u64, Arc<Slot>)>,
    /// Of the last use; the smallest goes first.
    clock: u64,
}

impl Loaded {
    /// The slot of `digest`, which may be empty.
    pub(super) fn slot(&self, digest: ComponentDigest) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.clock += 1;
        let now = slots.clock;
        let (used_at, slot) = slots.by_digest.entry(digest).or_default();
        *used_at = now;
        let slot = Arc::clone(slot);
        if slots.by_digest.len() > PLUGINS_MAX {
            let oldest = slots.by_digest.iter().min_by_key(|(_, (used_at, _))| *used_at);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                slots.by_digest.remove(&oldest);
            }
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> ComponentDigest {
        ComponentDigest::of(&number.to_le_bytes())
    }

    #[test]
    fn what_was_used_last_is_kept() {
        let loaded = Loaded::default();
        let first = loaded.slot(digest(0));
        let second = loaded.slot(digest(1));
        for number in 2..=PLUGINS_MAX {
            assert!(Arc::ptr_eq(&first, &loaded.slot(digest(0))));
            loaded.slot(digest(number));
        }
        assert!(Arc::ptr_eq(&first, &loaded.slot(digest(0))));
        assert!(!Arc::ptr_eq(&second, &loaded.slot(digest(1))), "it went");
    }
}
