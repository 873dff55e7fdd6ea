//! A worker's own folder below the scratch folder; what dead workers left there goes first.
//!
//! A worker that is killed removes nothing. So each holds a lock on its folder, which the system
//! releases however the worker ends, and whoever comes next removes the folders that nobody holds.
//! Workers of one machine may share a scratch folder.
//!
//! Not here: the folders of attempts (`prepare`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tamiz_core::WorkerId;

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
        fs::create_dir_all(root)?;
        // nobody sees the folder before it is locked
        let all = File::open(root)?;
        all.lock()?;
        let folder = root.join(worker.to_string());
        fs::create_dir(&folder)?;
        let lock = File::open(&folder)?;
        lock.lock()?;
        let dead: Vec<(PathBuf, File)> = fs::read_dir(root)?
            .flatten()
            .filter_map(|entry| {
                let path = entry.path();
                let held = File::open(&path).ok()?;
                (path.is_dir() && held.try_lock().is_ok()).then_some((path, held))
            })
            .collect();
        drop(all);
        for (path, _held) in dead {
            tracing::info!(folder = %path.display(), "removing what a dead worker left");
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(folder = %path.display(), %error, "it could not be removed");
            }
        }
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
        fs::create_dir_all(&self.root)?;
        let all = File::open(&self.root)?;
        all.lock()?;
        fs::create_dir(&self.folder)?;
        let lock = File::open(&self.folder)?;
        lock.lock()?;
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
