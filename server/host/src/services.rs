//! What a plugin may ask the platform for while it converts: identities of secrets, and the scanned
//! files.
//!
//! Not here: where files lie. A caller that has an unpacked upload implements [`ConvertServices`] over
//! it; paths that could leave it never reach the caller.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::input::Input;
use crate::limits::SOURCE_PATH_BYTES_MAX;

/// What the platform answers a plugin. Called on the thread that runs the guest; as for readers, what
/// it does must be bounded in time.
pub trait ConvertServices: Send {
    /// A keyed hash of a secret, in hex. The same secret has the same one within a tenant and another
    /// one elsewhere, so the key is the platform's and the tenant's.
    fn secret_identity(&mut self, value: &[u8]) -> String;

    /// A file of the scanned upload, for reading. The path is relative, `/` separates its parts, and
    /// none of them is empty, `.` or `..`; links are the implementation's business. `None` when there
    /// is no upload or no such file.
    fn open_source(&mut self, path: &str) -> Option<Input>;
}

/// Identities of secrets under a key.
#[derive(Clone)]
pub struct SecretKey(Hmac<Sha256>);

impl SecretKey {
    /// A key of any length; 32 random bytes are right.
    pub fn new(key: &[u8]) -> Self {
        // a block is what a longer key is hashed to and a shorter one is filled up to
        const BLOCK_BYTES: usize = 64;
        let mut block = [0; BLOCK_BYTES];
        if key.len() > BLOCK_BYTES {
            use sha2::Digest;
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        Self(Hmac::new(&block.into()))
    }

    /// HMAC-SHA-256 of a secret, in hex.
    pub fn identity(&self, value: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(value);
        hex::encode(mac.finalize().into_bytes())
    }
}

/// Services for a task without an unpacked upload.
pub struct NoSources(SecretKey);

impl NoSources {
    /// With the tenant's key.
    pub const fn new(key: SecretKey) -> Self {
        Self(key)
    }
}

impl ConvertServices for NoSources {
    fn secret_identity(&mut self, value: &[u8]) -> String {
        self.0.identity(value)
    }

    fn open_source(&mut self, _path: &str) -> Option<Input> {
        None
    }
}

/// For `describe` and `plan`, which have no tenant.
pub(crate) struct NoServices;

impl ConvertServices for NoServices {
    fn secret_identity(&mut self, _value: &[u8]) -> String {
        String::new()
    }

    fn open_source(&mut self, _path: &str) -> Option<Input> {
        None
    }
}

/// Whether a guest's path names something in a tree, whatever the tree.
pub(crate) fn stays_inside(path: &str) -> bool {
    path.len() <= SOURCE_PATH_BYTES_MAX
        && !path.contains(['\0', '\\'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::{SecretKey, stays_inside};

    #[test]
    fn only_plain_relative_paths_stay_inside() {
        for path in ["a", "src/app.py", "a b/…", "..a/b..", "C:/x"] {
            assert!(stays_inside(path), "{path}");
        }
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a/.",
            "a\\b",
            "a\0b",
        ] {
            assert!(!stays_inside(path), "{path}");
        }
        assert!(!stays_inside(&"x".repeat(5000)));
    }

    #[test]
    fn identities_need_the_key() {
        let (first, second) = (SecretKey::new(b"one"), SecretKey::new(b"two"));
        assert_eq!(first.identity(b"hunter2"), first.identity(b"hunter2"));
        assert_ne!(first.identity(b"hunter2"), second.identity(b"hunter2"));
        assert_ne!(first.identity(b"hunter2"), first.identity(b"hunter3"));
        // RFC 4231, test cases 2 and 6: a short key and one beyond the block
        assert_eq!(
            SecretKey::new(b"Jefe").identity(b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            SecretKey::new(&[0xaa; 131]).identity(b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
