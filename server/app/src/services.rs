//! What plugins may ask for while they convert: identities of secrets, and the scanned files.

use std::fs::File;
use std::path::PathBuf;

use tamiz_host::{ConvertServices, Input, SecretKey};

/// The scanned folder; without one it has no files.
#[derive(Debug, Clone, Default)]
pub(crate) struct SourceTree(Option<PathBuf>);

impl SourceTree {
    /// `root` is the scanned folder; none, or one that is not there, has no files.
    pub(crate) fn new(root: Option<PathBuf>) -> Self {
        Self(root.and_then(|root| root.canonicalize().ok()))
    }

    /// A file of it, and its size in bytes.
    pub(crate) fn open(&self, path: &str) -> Option<(File, u64)> {
        let root = self.0.as_ref()?;
        // a link in the folder may lead anywhere
        let file = root.join(path).canonicalize().ok()?;
        if !file.starts_with(root) || !file.is_file() {
            return None;
        }
        let opened = File::open(&file).ok()?;
        let size_bytes = opened.metadata().ok()?.len();
        Some((opened, size_bytes))
    }
}

/// A tenant's key, and the unpacked upload when there is one.
pub(crate) struct PluginServices {
    key: SecretKey,
    tree: SourceTree,
}

impl PluginServices {
    pub(crate) fn new(key: &[u8], tree: SourceTree) -> Self {
        Self {
            key: SecretKey::new(key),
            tree,
        }
    }
}

impl ConvertServices for PluginServices {
    fn secret_identity(&mut self, value: &[u8]) -> String {
        self.key.identity(value)
    }

    fn open_source(&mut self, path: &str) -> Option<Input> {
        let (opened, size_bytes) = self.tree.open(path)?;
        Some(Input::seekable(path, opened).with_size_bytes(size_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a.py"), "import os\n").unwrap();
        std::fs::write(folder.path().join("secret"), "no").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).unwrap();
        let mut services = PluginServices::new(b"key", SourceTree::new(Some(root)));
        assert!(services.open_source("a.py").is_some());
        for path in ["link", "missing.py", "../secret", ""] {
            assert!(services.open_source(path).is_none(), "{path}");
        }
        assert!(
            PluginServices::new(b"key", SourceTree::default())
                .open_source("a.py")
                .is_none()
        );
    }

    #[test]
    fn a_secret_has_one_identity_per_key() {
        let mut first = PluginServices::new(b"one", SourceTree::default());
        let mut second = PluginServices::new(b"two", SourceTree::default());
        assert_eq!(first.secret_identity(b"s"), first.secret_identity(b"s"));
        assert_ne!(first.secret_identity(b"s"), second.secret_identity(b"s"));
    }
}
