//! Where spools lie that are handed in, until they are stored.
//!
//! The server has one folder below the scratch folder for as long as it lives, held as workers' folders are
//! (`crate::scratch`). Each hand-in has a folder in it, and all together have a bound.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use crate::scratch::{hold, remove_unheld};

/// Spools on disk, of all hand-ins together: four of the largest.
const BYTES_MAX: u64 = 32 * 1024 * 1024 * 1024;

pub(super) struct Spools {
    root: PathBuf,
    own: Mutex<Option<Own>>,
    bytes: AtomicU64,
}

/// The server's folder.
struct Own {
    folder: TempDir,
    _lock: File,
}

impl Own {
    /// Blocks: large trees may have been left.
    fn open(root: &Path) -> io::Result<Self> {
        let (folder, lock) = hold(root, || {
            tempfile::Builder::new().prefix("hand-ins-").tempdir_in(root)
        })?;
        remove_unheld(root)?;
        Ok(Self { folder, _lock: lock })
    }
}

impl Spools {
    pub(super) fn below(root: PathBuf) -> Self {
        Self {
            root,
            own: Mutex::default(),
            bytes: AtomicU64::new(0),
        }
    }

    /// A folder for one hand-in. Makes the server's own first, and again if somebody removed it. Blocks.
    pub(super) fn folder(&self) -> io::Result<TempDir> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = own.as_ref().is_some_and(|own| own.folder.path().is_dir());
        if !is_there {
            *own = None;
        }
        let own = match &mut *own {
            Some(own) => own,
            none => none.insert(Own::open(&self.root)?),
        };
        tempfile::Builder::new()
            .prefix("hand-in-")
            .tempdir_in(own.folder.path())
    }

    /// A spool of no bytes yet.
    pub(super) fn part(self: &Arc<Self>) -> Part {
        Part {
            spools: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// What one spool has of the bound.
pub(super) struct Part {
    spools: Arc<Spools>,
    bytes: u64,
}

impl Part {
    /// Takes `more`; `false` when the disk is full of others.
    pub(super) fn take(&mut self, more: u64) -> bool {
        let before = self.spools.bytes.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        before + more <= BYTES_MAX
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.spools.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_killed_server_left_goes_and_what_a_living_one_holds_stays() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("scratch");
        fs::create_dir_all(root.join("hand-ins-dead/hand-in-1")).unwrap();
        let living = Spools::below(root.clone());
        let kept = living.folder().unwrap();
        assert!(!root.join("hand-ins-dead").exists());
        fs::write(kept.path().join("spool"), "x").unwrap();
        let other = Spools::below(root.clone());
        other.folder().unwrap();
        assert!(kept.path().join("spool").exists());
        fs::remove_dir_all(&root).unwrap();
        assert!(living.folder().unwrap().path().exists(), "it is made again");
    }

    #[test]
    fn spools_share_one_bound_and_give_their_part_back() {
        let spools = Arc::new(Spools::below(PathBuf::new()));
        let (mut one, mut other) = (spools.part(), spools.part());
        assert!(one.take(BYTES_MAX) && !other.take(1));
        drop((one, other));
        assert!(spools.part().take(BYTES_MAX));
    }
}
