//! The content identity of a finding: what stays equal when lines move and messages are reworded.
//!
//! Version 2 is the SHA-256 of the kind's word and the parts that the kind needs, each with its length in front so
//! that no two lists of fields can collide, and of a number among equals. Version 1 had neither kinds nor context.

use sha2::{Digest, Sha256};

use super::{Kind, Parts, field};

/// Stored beside every fingerprint, so that a better rule can run over old rows.
pub const VERSION: i16 = 2;

/// A SHA-256 over the identity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Parts {
    /// The hash of the parts: findings that are alike have the same.
    pub fn base(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(VERSION.to_le_bytes());
        field(&mut hash, self.kind.as_str().as_bytes());
        field(&mut hash, self.tool.as_bytes());
        // an advisory is known by the name that its aliases share
        let rule = if self.kind == Kind::Package {
            ""
        } else {
            &self.rule
        };
        field(&mut hash, rule.as_bytes());
        field(&mut hash, self.target.as_bytes());
        field(
            &mut hash,
            self.detail.as_ref().map_or(&[][..], |detail| &detail[..]),
        );
        Fingerprint(hash.finalize().into())
    }
}

impl Fingerprint {
    /// Of the one with this number, from 0, among those whose parts have this hash.
    #[must_use]
    pub fn numbered(self, number: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(number.to_le_bytes());
        Self(hash.finalize().into())
    }
}
