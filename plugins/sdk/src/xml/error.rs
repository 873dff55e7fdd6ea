//! Why a document could not be read on, and where.

use crate::limits::{RECORD_BYTES, XML_ATTRIBUTES, XML_DEPTH};

/// What ended the reading of a document. Offsets count bytes of the input from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError<E> {
    /// Nothing at all, or only white space.
    #[error("the input has no content ({bytes} bytes of white space)")]
    Empty {
        /// Length of the input.
        bytes: u64,
    },
    /// An encoding that is not read.
    #[error("the input is {encoding}, not UTF-8")]
    Encoding {
        /// Its usual name, or the one that the declaration has.
        encoding: String,
    },
    /// Bytes outside of any record that are not of the document's encoding.
    #[error("bytes that are not UTF-8 at byte {offset}")]
    NotUnicode {
        /// Where.
        offset: u64,
    },
    /// The document declares entities, which is how small files become large and other files are read.
    #[error("the document declares entities in its DOCTYPE at byte {offset}, which no report needs")]
    EntityDeclaration {
        /// Where the DOCTYPE starts.
        offset: u64,
    },
    /// The input ends inside the document.
    #[error("the input ends at byte {offset}, inside the document")]
    Ended {
        /// Length of the input.
        offset: u64,
    },
    /// Not XML from here on.
    #[error("not XML at byte {offset}: {problem}")]
    Malformed {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// More levels than are read.
    #[error("nested deeper than {XML_DEPTH} levels at byte {offset}")]
    TooDeep {
        /// Where.
        offset: u64,
    },
    /// An element of the envelope with more attributes than are read.
    #[error("an element with more than {XML_ATTRIBUTES} attributes at byte {offset}")]
    TooManyAttributes {
        /// Where it starts.
        offset: u64,
    },
    /// A tag, comment or declaration that does not end.
    #[error("a tag, comment or declaration of more than {RECORD_BYTES} bytes at byte {offset}")]
    TooLong {
        /// Where it starts.
        offset: u64,
    },
    /// Something follows the document.
    #[error("the document ends before byte {offset}, but {what} follows")]
    Trailing {
        /// Where the rest starts.
        offset: u64,
        /// What it is.
        what: &'static str,
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

impl<E> XmlError<E> {
    /// Whether nobody can read the document, whatever its root is: its encoding or its entities.
    pub fn refuses_the_document(&self) -> bool {
        matches!(
            self,
            Self::Empty { .. }
                | Self::Encoding { .. }
                | Self::NotUnicode { .. }
                | Self::EntityDeclaration { .. }
        )
    }
}
