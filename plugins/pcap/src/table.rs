//! A table of bounded size that forgets what was used longest ago.
//!
//! Keys come from a capture, so whoever made it chooses them. Each key has eight places, and no
//! choice of keys makes a look-up longer than those: a full set of places gives up its oldest entry.
//! Memory grows with the entries up to the capacity and is not given back.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

/// Places per set.
const WAYS: usize = 8;

/// All that a look-up needs before it is sure: entries lie elsewhere, and each would be a cache miss.
#[derive(Clone, Copy, Default)]
struct Way {
    tag: u32,
    /// Index and one; 0 is a free place.
    slot: u32,
    used: u32,
}

struct Slot<K, V> {
    key: K,
    value: V,
}

/// See the module's description.
pub(crate) struct Table<K, V> {
    sets: Vec<[Way; WAYS]>,
    slots: Vec<Slot<K, V>>,
    evicted: u64,
}

/// Where a key is.
pub(crate) struct Found<K, V> {
    /// For [`Table::at`], until the next call of [`Table::find`].
    pub(crate) slot: usize,
    /// It was not there before.
    pub(crate) is_new: bool,
    /// What had to go for it.
    pub(crate) evicted: Option<(K, V)>,
}

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    /// A table for so many entries, rounded up to a power of two.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            sets: vec![[Way::default(); WAYS]; capacity.div_ceil(WAYS).next_power_of_two()],
            slots: Vec::new(),
            evicted: 0,
        }
    }

    /// Finds a key or makes room for it. `now` must not fall.
    pub(crate) fn find(&mut self, key: K, now: u32, make: impl FnOnce() -> V) -> Found<K, V> {
        let mut hasher = FxHasher::default();
        key.hash(&mut hasher);
        let hash = hasher.finish();
        let tag = (hash >> 32) as u32;
        let mask = self.sets.len() - 1;
        let set = &mut self.sets[hash as usize & mask];
        let mut oldest = (u32::MAX, 0);
        let mut free = None;
        for (index, way) in set.iter_mut().enumerate() {
            let Some(at) = (way.slot as usize).checked_sub(1) else {
                free = free.or(Some(index));
                continue;
            };
            if way.tag == tag && self.slots[at].key == key {
                way.used = now;
                return Found {
                    slot: at,
                    is_new: false,
                    evicted: None,
                };
            }
            if way.used < oldest.0 {
                oldest = (way.used, index);
            }
        }
        let entry = Slot { key, value: make() };
        if let Some(way) = free.and_then(|index| set.get_mut(index)) {
            self.slots.push(entry);
            let slot = self.slots.len();
            *way = Way {
                tag,
                slot: slot as u32,
                used: now,
            };
            return Found {
                slot: slot - 1,
                is_new: true,
                evicted: None,
            };
        }
        self.evicted += 1;
        let way = &mut set[oldest.1];
        (way.tag, way.used) = (tag, now);
        let at = way.slot as usize - 1;
        let old = std::mem::replace(&mut self.slots[at], entry);
        Found {
            slot: at,
            is_new: true,
            evicted: Some((old.key, old.value)),
        }
    }

    /// The value that [`Table::find`] found.
    pub(crate) fn at(&mut self, slot: usize) -> &mut V {
        &mut self.slots[slot].value
    }

    /// How many entries had to go.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// All entries, in an order that depends on nothing but what was put in.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        self.slots.into_iter().map(|slot| (slot.key, slot.value))
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut table = Table::new(8);
        for key in 0..8_u32 {
            table.find(key, key, || key * 10);
        }
        assert!(!table.find(0, 8, || 0).is_new);
        let found = table.find(100, 9, || 7);
        assert!(found.is_new);
        assert_eq!(found.evicted, Some((1, 10)));
        assert_eq!(*table.at(found.slot), 7);
        assert_eq!((table.evicted(), table.into_entries().count()), (1, 8));
    }

    #[test]
    fn entries_never_outgrow_the_capacity() {
        let mut table = Table::new(64);
        for key in 0..10_000_u32 {
            table.find(key, key, || ());
        }
        assert_eq!(table.evicted() as usize + table.into_entries().count(), 10_000);
    }
}
