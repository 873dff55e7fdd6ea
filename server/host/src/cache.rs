//! Compiled code on disk, by digest. The code is native and runs in this process, so a file is only
//! loaded when its MAC, made with a key that only this user can read, holds over the very bytes read.
//!
//! A file is named after the component's SHA-256 and everything that shapes its code; it is the code
//! followed by 32 bytes of HMAC-SHA-256 over name and code (in one file, so that code and MAC cannot
//! part). Whatever does not fit is compiled again and replaced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tempfile::TempDir;

use crate::compile::{CompileError, io};
use crate::compile_child::CODE_BYTES_MAX;

/// Of the MAC and of its key, in bytes.
const MAC_BYTES: usize = 32;
/// Compiled components kept; the oldest go first. Each is a few MB at most, `CPython` 60.
const FILES_MAX: usize = 256;
/// Extension of compiled code.
const EXTENSION: &str = "code";
/// Name of the key's file.
const KEY_FILE: &str = "key";

/// The folder of compiled code.
pub(crate) struct CodeCache {
    folder: PathBuf,
    key: [u8; MAC_BYTES],
    engine_id: String,
}

impl CodeCache {
    /// Makes the folder and the key (mode 0600) if they are not there; the folder gets mode 0700. What
    /// others put there before cannot be loaded: they do not have the key.
    ///
    /// # Errors
    /// [`CompileError::CacheFolder`] if another user owns either or may read the key.
    pub(crate) fn open(folder: &Path, engine_id: &str) -> Result<Self, CompileError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(io("make the cache folder"))?;
        let folder = fs::canonicalize(folder).map_err(io("find the cache folder"))?;
        let metadata = fs::metadata(&folder).map_err(io("look at the cache folder"))?;
        check_owner(&folder, &metadata)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
            .map_err(io("close the cache folder to other users"))?;
        let key = key(&folder)?;
        Ok(Self {
            folder,
            key,
            engine_id: engine_id.to_owned(),
        })
    }

    /// The code for the component `digest`, if it is there and this program wrote it.
    pub(crate) fn load(&self, digest: &str) -> Option<Vec<u8>> {
        let path = self.path(digest);
        match self.read_verified(&path) {
            Ok(code) => Some(code),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), "compiled plugin refused, compiling again: {error}");
                None
            }
        }
    }

    fn read_verified(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = open_no_link(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.uid() != own_uid() || metadata.mode() & 0o022 != 0 {
            return Err(refused("somebody else owns it or may write it"));
        }
        let mut code = Vec::with_capacity(metadata.len().min(CODE_BYTES_MAX) as usize);
        file.take(CODE_BYTES_MAX + MAC_BYTES as u64)
            .read_to_end(&mut code)?;
        let Some(length) = code.len().checked_sub(MAC_BYTES) else {
            return Err(refused("it is cut off"));
        };
        let mac = code.split_off(length);
        self.mac(path, &code)?
            .verify_slice(&mac)
            .map_err(|_| refused("its MAC does not hold"))?;
        Ok(code)
    }

    /// Keeps `code` for the component `digest`; whole or not at all.
    ///
    /// # Errors
    /// [`CompileError::Io`].
    pub(crate) fn store(&self, digest: &str, code: &[u8]) -> Result<(), CompileError> {
        let path = self.path(digest);
        self.write(&path, code)
            .map_err(io("write the cache of compiled plugins"))?;
        if let Err(error) = self.drop_oldest() {
            tracing::warn!("could not tidy the cache of compiled plugins: {error}");
        }
        Ok(())
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let mac = self.mac(path, code)?.finalize().into_bytes();
        // made with mode 0600
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(code)?;
        file.write_all(&mac)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// A private folder for one compilation, removed when dropped.
    pub(crate) fn job_folder(&self) -> Result<TempDir, CompileError> {
        tempfile::Builder::new()
            .prefix("compile-")
            .tempdir_in(&self.folder)
            .map_err(io("make a folder for the compiling process"))
    }

    fn drop_oldest(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push((entry.metadata()?.modified()?, path));
            }
        }
        let surplus = files.len().saturating_sub(FILES_MAX);
        files.sort_unstable();
        files
            .iter()
            .take(surplus)
            .try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder
            .join(format!("{digest}-{}.{EXTENSION}", self.engine_id))
    }

    fn mac(&self, path: &Path, code: &[u8]) -> io::Result<Hmac<Sha256>> {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(io::Error::other)?;
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name);
        mac.update(code);
        Ok(mac)
    }
}

/// The folder's key; made when missing. Two processes that start at once agree on one.
fn key(folder: &Path) -> Result<[u8; MAC_BYTES], CompileError> {
    let path = folder.join(KEY_FILE);
    if let Err(error) = make_key(folder, &path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(io("make the key of the cache")(error));
    }
    let mut file = open_no_link(&path).map_err(io("open the key of the cache"))?;
    let metadata = file.metadata().map_err(io("look at the key of the cache"))?;
    check_owner(&path, &metadata)?;
    if metadata.mode() & 0o077 != 0 {
        return Err(not_usable(&path, "other users could read the key; remove it"));
    }
    let mut key = [0; MAC_BYTES];
    file.read_exact(&mut key)
        .map_err(|_| not_usable(&path, "the key is cut off; remove it"))?;
    Ok(key)
}

fn make_key(folder: &Path, path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let mut key = [0; MAC_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), CompileError> {
    if metadata.uid() == own_uid() {
        return Ok(());
    }
    Err(not_usable(path, "another user owns it"))
}

fn not_usable(path: &Path, reason: &str) -> CompileError {
    CompileError::CacheFolder {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

fn open_no_link(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn refused(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, engine_id: &str) -> CodeCache {
        CodeCache::open(folder, engine_id).unwrap()
    }

    #[test]
    fn code_comes_back_to_the_same_engine_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache_of_one = cache(folder.path(), "one");
        cache_of_one.store("abc", b"native").unwrap();
        assert_eq!(
            cache(folder.path(), "one").load("abc").as_deref(),
            Some(&b"native"[..])
        );
        assert_eq!(cache(folder.path(), "two").load("abc"), None);
        assert_eq!(cache_of_one.load("abd"), None);
    }

    #[test]
    fn a_changed_byte_a_cut_and_a_swapped_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), "one");
        cache.store("abc", b"native").unwrap();
        let path = cache.path("abc");
        let good = fs::read(&path).unwrap();

        let mut changed = good.clone();
        changed[0] ^= 1;
        for bad in [&changed[..], &good[..good.len() - 1], b"", b"short"] {
            fs::write(&path, bad).unwrap();
            assert_eq!(cache.load("abc"), None);
        }
        fs::write(cache.path("other"), &good).unwrap();
        assert_eq!(cache.load("other"), None);
        fs::write(&path, &good).unwrap();
        assert!(cache.load("abc").is_some());
    }

    #[test]
    fn a_file_made_with_another_key_is_refused() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ours, theirs) = (cache(ours.path(), "one"), cache(theirs.path(), "one"));
        theirs.store("abc", b"evil").unwrap();
        fs::copy(theirs.path("abc"), ours.path("abc")).unwrap();
        assert_eq!(ours.load("abc"), None);
    }

    #[test]
    fn a_link_or_a_file_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), "one");
        cache.store("abc", b"native").unwrap();
        let path = cache.path("abc");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(cache.load("abc"), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(cache.load("abc").is_some());

        let elsewhere = folder.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(cache.load("abc"), None);
    }

    #[test]
    fn the_folder_is_closed_to_others_and_a_key_that_they_could_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        cache(folder.path(), "one");
        assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);

        let key = folder.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            CodeCache::open(folder.path(), "one"),
            Err(CompileError::CacheFolder { .. })
        ));
    }
}
