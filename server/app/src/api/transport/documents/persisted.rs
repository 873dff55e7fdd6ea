//! Documents that clients of tenants said before, in the memory of this server: the longest unused go first.

use std::sync::Arc;

use lru::LruCache;
use uuid::Uuid;

use super::Hash;

/// Documents of one tenant: a large console has some hundred.
const DOCUMENTS_MAX: usize = 1_000;
/// Their text: a document of a page has a few KiB.
const BYTES_MAX: usize = 512 * 1024;
/// The text of all tenants' documents.
const ALL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Of all tenants, each by itself.
pub(super) struct Persisted {
    of: LruCache<Uuid, OfTenant>,
    bytes: usize,
}

struct OfTenant {
    documents: LruCache<Hash, Arc<str>>,
    bytes: usize,
}

impl Default for Persisted {
    fn default() -> Self {
        Self {
            of: LruCache::unbounded(),
            bytes: 0,
        }
    }
}

impl Persisted {
    /// The tenant's own document of that hash.
    pub(super) fn get(&mut self, tenant: Uuid, hash: &Hash) -> Option<Arc<str>> {
        self.of.get_mut(&tenant)?.documents.get(hash).cloned()
    }

    /// Keeps it, and lets go what was unused for longest where there are too many.
    pub(super) fn put(&mut self, tenant: Uuid, hash: Hash, text: &str) {
        if text.len() > BYTES_MAX {
            return;
        }
        let own = self.of.get_or_insert_mut(tenant, || OfTenant {
            documents: LruCache::unbounded(),
            bytes: 0,
        });
        let before = own.bytes;
        if let Some(old) = own.documents.put(hash, text.into()) {
            own.bytes -= old.len();
        }
        own.bytes += text.len();
        while own.bytes > BYTES_MAX || own.documents.len() > DOCUMENTS_MAX {
            let Some((_, old)) = own.documents.pop_lru() else {
                break;
            };
            own.bytes -= old.len();
        }
        self.bytes = self.bytes + own.bytes - before;
        while self.bytes > ALL_BYTES_MAX {
            let Some((_, old)) = self.of.pop_lru() else { break };
            self.bytes -= old.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: Uuid = Uuid::from_u128(1);
    const GLOBEX: Uuid = Uuid::from_u128(2);

    #[test]
    fn the_longest_unused_document_goes_first_and_no_tenant_sees_those_of_others() {
        let mut persisted = Persisted::default();
        let kept = Hash::of("kept");
        persisted.put(ACME, kept, "kept");
        for number in 0..DOCUMENTS_MAX {
            persisted.put(ACME, Hash::of(&number.to_string()), "{ a }");
            assert!(persisted.get(ACME, &kept).is_some(), "used all the time");
        }
        assert_eq!(persisted.get(ACME, &Hash::of("0")), None);
        assert_eq!(persisted.get(GLOBEX, &kept), None);
    }

    #[test]
    fn the_bytes_of_a_tenant_and_of_all_are_bounded() {
        let mut persisted = Persisted::default();
        let text = "x".repeat(BYTES_MAX / 4);
        for tenant in 0..200 {
            for number in 0..5 {
                let hash = Hash::of(&number.to_string());
                persisted.put(Uuid::from_u128(tenant), hash, &text);
            }
        }
        assert!(persisted.bytes <= ALL_BYTES_MAX);
        let counted: usize = persisted.of.iter().map(|(_, own)| own.bytes).sum();
        assert_eq!(counted, persisted.bytes);
        let last = persisted.of.peek(&Uuid::from_u128(199)).unwrap();
        assert_eq!((last.documents.len(), last.bytes), (4, BYTES_MAX));
        persisted.put(ACME, Hash::of("large"), &"x".repeat(BYTES_MAX + 1));
        assert_eq!(persisted.get(ACME, &Hash::of("large")), None);
    }
}
