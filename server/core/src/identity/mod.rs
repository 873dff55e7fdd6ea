//! Which findings of different scans are the same flaw.
//!
//! Two layers, both without IO. A finding's [`Parts`] are what tells it from others by content alone: no line
//! numbers, no message. Their hash, with a number among equals, is its [`Fingerprint`], and two scans that have the
//! same fingerprint have the same flaw. What is left over on both sides goes to the [`matching`], which finds
//! out what moved, was renamed or was edited around; what is ambiguous stays new. The order of a report's records
//! changes nothing.
//!
//! Not here: what becomes of alerts (see the store's merge), and records that are equal in everything
//! ([`crate::occurrence`]).

pub mod fingerprint;
pub mod lines;
pub mod matching;
pub(crate) mod normal;
pub use normal::path;
pub mod ordinals;
mod parts;

pub use fingerprint::Fingerprint;
pub use lines::Lines;
pub(crate) use parts::package;
pub use parts::{Kind, Parts, line_and_column, place};

use sha2::{Digest, Sha256};

/// The first half of a SHA-256: whoever could find two equal ones could only confuse alerts of their own.
pub type PartHash = [u8; 16];

/// The hash of a list of texts, each with its length in front, so that borders cannot be moved.
pub(crate) fn part_hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> PartHash {
    let mut hash = Sha256::new();
    for text in texts {
        field(&mut hash, text.as_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    half
}

/// Adds bytes with their length in front.
pub(crate) fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}
