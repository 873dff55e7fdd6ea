//! A worker's own folder below the scratch folder; what dead workers left there goes first.
//!
//! Workers of one machine may share a scratch folder.
//!
//! Not here: how it is held (`crate::scratch`), and the folders of attempts (`prepare`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tamiz_core::WorkerId;

use crate::scratch::{hold, remove_unheld};

/// The folder; removed with its value if it is empty, by the next worker otherwise.
pub(super) struct Workplace {
    root: PathBuf,
    folder: PathBuf,
    lock: Mutex<File>,
}

impl Workplace {
    /// Makes the folder of `worker` below `root`, which is made if need be, and cleans up.
    ///
    /// Blocks: large trees may have been left.
    pub(super) fn open(root: &Path, worker: WorkerId) -> io::Result<Self> {
        let folder = root.join(worker.to_string());
        let (_, lock) = hold(root, || fs::create_dir(&folder).map(|()| &folder))?;
        remove_unheld(root)?;
        Ok(Self {
            root: root.to_owned(),
            folder,
            lock: Mutex::new(lock),
        })
    }

    /// Makes the folder again if somebody removed it.
    ///
    /// # Errors
    /// What the system says; a folder that is there is none.
    pub(super) fn mend(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        let (_, lock) = hold(&self.root, || fs::create_dir(&self.folder).map(|()| &self.folder))?;
        // no code panics while it holds the lock
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // what is in it is the next worker's to remove
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_workers_left_is_removed_and_what_others_hold_is_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("scratch");
        let living = Workplace::open(&root, WorkerId::fresh()).unwrap();
        fs::write(living.path().join("tree"), "").unwrap();
        let dead = Workplace::open(&root, WorkerId::fresh()).unwrap();
        let left = dead.path().join("tree");
        fs::create_dir(&left).unwrap();
        drop(dead);
        assert!(left.exists(), "only an empty folder goes at once");

        let next = Workplace::open(&root, WorkerId::fresh()).unwrap();
        assert!(!left.exists() && next.path().exists());
        assert!(living.path().join("tree").exists());
        let folder = next.path().to_owned();
        fs::remove_dir_all(&root).unwrap();
        next.mend().unwrap();
        next.mend().unwrap();
        drop(Workplace::open(&root, WorkerId::fresh()).unwrap());
        assert!(folder.exists(), "it is held again");
        drop(next);
        assert!(!folder.exists());
    }
}
