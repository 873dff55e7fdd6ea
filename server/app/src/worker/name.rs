//! The name of a worker: the same at every start, and no other's on this machine.
//!
//! By itself it is the host's name and a few digits of the data folder's path. Workers that share a data folder
//! take numbers: each holds a lock on its name, which the system releases however it ends, so that the next
//! start takes the same one.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Workers that may share a data folder: more than one machine has cores.
const WORKERS_MAX: u32 = 256;
/// Below the data folder, one empty file per name.
const LOCKS: &str = "worker-names";
/// Hex digits of the path: two data folders of one machine should not meet.
const PATH_DIGITS: usize = 6;

/// A name that this process holds.
#[derive(Debug)]
pub(crate) struct Name {
    name: String,
    _lock: File,
}

impl Name {
    /// Takes `configured`, or this machine's own, with the first number that is free. Blocks for a moment.
    pub(crate) fn take(configured: Option<&str>, host: &str, data_dir: &Path) -> io::Result<Self> {
        let base = configured.map_or_else(|| by_itself(host, data_dir), str::to_owned);
        let folder = data_dir.join(LOCKS);
        fs::create_dir_all(&folder)?;
        for number in 1..=WORKERS_MAX {
            let name = if number == 1 {
                base.clone()
            } else {
                format!("{base}-{number}")
            };
            let lock = File::options()
                .create(true)
                .append(true)
                .open(folder.join(&name))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { name, _lock: lock }),
                Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        let message = format!("{WORKERS_MAX} workers hold {base} and its numbers already");
        Err(io::Error::other(message))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }
}

fn by_itself(host: &str, data_dir: &Path) -> String {
    let digest = hex::encode(Sha256::digest(data_dir.as_os_str().as_encoded_bytes()));
    // a host may call itself anything, a file's name has no slash
    let host: String = host
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_'))
        .take(64)
        .collect();
    format!("{host}-{}", &digest[..PATH_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_when_its_bearer_is_gone_and_living_ones_have_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let take = |configured| Name::take(configured, "build/7", folder.path()).unwrap();
        let first = take(None);
        assert!(first.as_str().starts_with("build7-"), "{first:?}");
        let second = take(None);
        assert_eq!(second.as_str(), format!("{}-2", first.as_str()));
        let name = first.as_str().to_owned();
        drop(first);
        assert_eq!(take(None).as_str(), name);
        assert_eq!(take(Some("gpu")).as_str(), "gpu");
    }
}
