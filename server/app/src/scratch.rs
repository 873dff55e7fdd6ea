//! Folders below the scratch folder that a process holds for as long as it lives; what dead processes left there
//! is removed.
//!
//! A process that is killed removes nothing. So workers and servers hold a lock on their folders, which the system
//! releases however they end, and whoever comes next removes the folders that nobody holds. Processes of one
//! machine may share a scratch folder.
//!
//! Not here: what lies in such a folder (`worker` for attempts, `api` for spools that are handed in).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Lets `make` make a folder below `root`, which is made if need be; it is held as long as the file is open.
pub(crate) fn hold<Folder: AsRef<Path>>(
    root: &Path,
    make: impl FnOnce() -> io::Result<Folder>,
) -> io::Result<(Folder, File)> {
    fs::create_dir_all(root)?;
    // nobody sees the folder before it is locked
    let _all = locked(root)?;
    let folder = make()?;
    let lock = locked(folder.as_ref())?;
    Ok((folder, lock))
}

/// Removes the folders below `root` that nobody holds. Blocks: large trees may have been left.
pub(crate) fn remove_unheld(root: &Path) -> io::Result<()> {
    let all = locked(root)?;
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
        tracing::info!(folder = %path.display(), "removing what a dead process left");
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!(folder = %path.display(), %error, "it could not be removed");
        }
    }
    Ok(())
}

fn locked(folder: &Path) -> io::Result<File> {
    let lock = File::open(folder)?;
    lock.lock()?;
    Ok(lock)
}
