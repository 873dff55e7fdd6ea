//! Why a document could not be read on, and where.

use crate::limits::{JSON_DEPTH, KEY_BYTES};

/// What ended the reading of a document. Offsets count bytes of the input from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError<E> {
    /// Nothing at all, or only white space.
    #[error("the input has no content ({bytes} bytes of white space)")]
    Empty {
        /// Length of the input.
        bytes: u64,
    },
    /// Another encoding than UTF-8.
    #[error("the input is {encoding}, not UTF-8")]
    Encoding {
        /// Its usual name.
        encoding: &'static str,
    },
    /// Something else than text.
    #[error("the input is {what}, not JSON")]
    Foreign {
        /// What its first bytes say, with its article.
        what: &'static str,
    },
    /// The input ends inside the document.
    #[error("the input ends at byte {offset}, inside the document")]
    Ended {
        /// Length of the input.
        offset: u64,
    },
    /// Not JSON from here on.
    #[error("not JSON at byte {offset}: expected {expected}, found {found}")]
    Syntax {
        /// Where.
        offset: u64,
        /// What would have been right.
        expected: &'static str,
        /// What stands there, shortened and printable.
        found: String,
    },
    /// More levels than are read.
    #[error("nested deeper than {JSON_DEPTH} levels in the value at byte {offset}")]
    TooDeep {
        /// Where the value starts.
        offset: u64,
    },
    /// A key or a bare word that does not end.
    #[error("a key or word of more than {KEY_BYTES} bytes at byte {offset}")]
    TooLong {
        /// Where it starts.
        offset: u64,
    },
    /// Something follows the document.
    #[error("the document ends at byte {offset}, but {found} follows")]
    Trailing {
        /// Where the rest starts.
        offset: u64,
        /// What it looks like.
        found: String,
    },
    /// The platform could not, or would not, read on.
    #[error("the platform stopped the reading at byte {offset}: {source}")]
    Io {
        /// How far it came.
        offset: u64,
        /// Why.
        #[source]
        source: E,
    },
}

impl<E> JsonError<E> {
    /// Where the reading ended.
    pub fn offset(&self) -> u64 {
        match self {
            Self::Empty { bytes } => *bytes,
            Self::Encoding { .. } | Self::Foreign { .. } => 0,
            Self::Ended { offset }
            | Self::Syntax { offset, .. }
            | Self::TooDeep { offset }
            | Self::TooLong { offset }
            | Self::Trailing { offset, .. }
            | Self::Io { offset, .. } => *offset,
        }
    }
}
