//! A file that does not do what it should: one error for all that the author's commands read and write.

use std::io;
use std::path::{Path, PathBuf};

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", path.display())]
pub struct FileError {
    /// What was being done, such as `read`.
    what: &'static str,
    /// With which file.
    path: PathBuf,
    /// Why not.
    #[source]
    source: io::Error,
}

/// For `map_err`.
pub(super) fn cannot(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { what, path, source }
}
