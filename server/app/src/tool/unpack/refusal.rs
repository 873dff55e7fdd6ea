//! Why an archive is refused.

use std::io;

use tamiz_core::refusal::{Refusal, RefusalCode};
use zip::result::ZipError;

/// An archive that is not unpacked. All but `Storage` and `Cancelled` are about the archive itself,
/// have a stable code, and end the same way whenever they are tried again.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Another format, or cut short.
    #[error("the upload is not a zip archive: {reason}")]
    NotZip {
        /// What was missed.
        reason: String,
    },
    /// No file in it.
    #[error("the archive holds no file: nothing to scan")]
    Empty,
    /// An entry is locked with a password.
    #[error("entry {entry:?} is encrypted, and archives are unpacked without passwords")]
    Encrypted {
        /// Its name.
        entry: String,
    },
    /// An entry would be written outside the archive's folder.
    #[error("entry {entry:?} leads out of the archive: {rule}")]
    Escapes {
        /// Its name.
        entry: String,
        /// The rule.
        rule: &'static str,
    },
    /// An entry's name is none.
    #[error("entry {entry:?} has a bad name: {rule}")]
    BadName {
        /// Its name.
        entry: String,
        /// The rule.
        rule: &'static str,
    },
    /// An entry's name is too long.
    #[error("entry {entry:?} has a name of {bytes} bytes, at most {limit_bytes} are allowed")]
    NameTooLong {
        /// The beginning of its name.
        entry: String,
        /// Of the path or of one part of it.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// An entry lies below too many folders.
    #[error("entry {entry:?} lies below {depth} folders, at most {limit} are allowed")]
    TooDeep {
        /// Its name.
        entry: String,
        /// Folders above it.
        depth: usize,
        /// The limit.
        limit: usize,
    },
    /// Two entries have one name.
    #[error("entry {entry:?} is in the archive twice")]
    DuplicateName {
        /// The name.
        entry: String,
    },
    /// One name is a file's and a folder's.
    #[error("entry {entry:?} is a file as well as a folder")]
    FileAndFolder {
        /// The name.
        entry: String,
    },
    /// An entry is a symbolic link.
    #[error("entry {entry:?} is a link, and only files and folders are unpacked")]
    Link {
        /// Its name.
        entry: String,
    },
    /// An entry is a device, a pipe or a socket.
    #[error("entry {entry:?} is a special file, and only files and folders are unpacked")]
    SpecialFile {
        /// Its name.
        entry: String,
    },
    /// Too many entries.
    #[error("the archive lists {listed} entries, at most {limit} are allowed")]
    TooManyEntries {
        /// By its directory.
        listed: u64,
        /// The limit.
        limit: u64,
    },
    /// The entries name too many folders that are not listed.
    #[error("the archive makes more than {limit} files and folders")]
    TooManyNames {
        /// The limit.
        limit: u64,
    },
    /// A file is too large unpacked.
    #[error("entry {entry:?} has more than the {limit_bytes} bytes that one file may have")]
    FileTooLarge {
        /// Its name.
        entry: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// All files together are too large.
    #[error("the archive unpacks to more than the {limit_bytes} bytes that are allowed")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// A file grows too much.
    #[error("entry {entry:?} unpacks to more than {limit} times its packed size")]
    Ratio {
        /// The entry at which it was noticed.
        entry: String,
        /// The limit.
        limit: u64,
    },
    /// Two entries share packed bytes.
    #[error("entry {entry:?} shares its bytes with {other:?}")]
    Overlap {
        /// The later one.
        entry: String,
        /// The earlier one.
        other: String,
    },
    /// An entry's bytes are not what the archive says of them.
    #[error("entry {entry:?} is damaged: {reason}")]
    Damaged {
        /// Its name, or its position if it has none.
        entry: String,
        /// What is wrong.
        reason: String,
    },
    /// Neither stored nor deflated.
    #[error("entry {entry:?} is packed by the method {method}; stored and deflated are understood")]
    UnsupportedMethod {
        /// Its name.
        entry: String,
        /// The method.
        method: String,
    },
    /// The worker's disk failed; not the archive's fault.
    #[error("unpacking failed while {doing}")]
    Storage {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The caller did not want it any more.
    #[error("unpacking was cancelled")]
    Cancelled,
}

impl UnpackError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotZip { .. } => "ARCHIVE_NOT_ZIP",
            Self::Empty => "ARCHIVE_EMPTY",
            Self::Encrypted { .. } => "ARCHIVE_ENCRYPTED",
            Self::Escapes { .. } => "ARCHIVE_PATH_ESCAPES",
            Self::BadName { .. } => "ARCHIVE_BAD_NAME",
            Self::NameTooLong { .. } => "ARCHIVE_NAME_TOO_LONG",
            Self::TooDeep { .. } => "ARCHIVE_TOO_DEEP",
            Self::DuplicateName { .. } => "ARCHIVE_DUPLICATE_NAME",
            Self::FileAndFolder { .. } => "ARCHIVE_FILE_AND_FOLDER",
            Self::Link { .. } => "ARCHIVE_LINK",
            Self::SpecialFile { .. } => "ARCHIVE_SPECIAL_FILE",
            Self::TooManyEntries { .. } | Self::TooManyNames { .. } => "ARCHIVE_TOO_MANY_ENTRIES",
            Self::FileTooLarge { .. } => "ARCHIVE_FILE_TOO_LARGE",
            Self::TooLarge { .. } => "ARCHIVE_TOO_LARGE",
            Self::Ratio { .. } => "ARCHIVE_RATIO",
            Self::Overlap { .. } => "ARCHIVE_OVERLAP",
            Self::Damaged { .. } => "ARCHIVE_DAMAGED",
            Self::UnsupportedMethod { .. } => "ARCHIVE_UNSUPPORTED_METHOD",
            Self::Storage { .. } => "ARCHIVE_STORAGE",
            Self::Cancelled => "ARCHIVE_CANCELLED",
        }
    }

    /// What a client is told; `None` if it is not about the archive.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Storage { .. } | Self::Cancelled => None,
            _ => Some(Refusal::new(
                RefusalCode::ArchiveRefused,
                format!("{self} ({})", self.code()),
            )),
        }
    }
}

/// The archive's end or directory cannot be read.
pub(super) fn not_zip(error: &ZipError) -> UnpackError {
    UnpackError::NotZip {
        reason: error.to_string(),
    }
}

/// `entry` cannot be read. The system's own errors (a bad disk) are told from bad bytes.
pub(super) fn damaged(entry: &str, error: &ZipError) -> UnpackError {
    match error {
        ZipError::Io(io) if io.raw_os_error().is_some() => UnpackError::Storage {
            doing: "reading the archive",
            source: io::Error::new(io.kind(), io.to_string()),
        },
        error => UnpackError::Damaged {
            entry: entry.to_owned(),
            reason: error.to_string(),
        },
    }
}
