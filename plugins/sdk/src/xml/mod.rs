//! XML reports as streams.
//!
//! [`XmlReader`] walks the outer elements of a document (the envelope) and hands out one record
//! element at a time as a small tree of [`Node`]s. The memory needed is that of one chunk and one
//! record, whatever the report's size. A record that is malformed, too large or too deep costs itself:
//! the reading goes on at the next record of that name, or where the element around it ends.
//!
//! What is never done: no entity is expanded but the five predefined ones and character numbers, an
//! entity declaration refuses the document, and nothing outside of the document is looked at. A
//! `DOCTYPE` alone is passed over, because nmap and nikto write one. Text is UTF-8, or the one-byte
//! encoding that the declaration names (ISO-8859-1, windows-1252); another one is refused by name.

mod decode;
mod error;
mod reader;
mod tree;

/// The reader over any source of bytes.
pub mod stream {
    pub use super::error::XmlError;
    pub use super::reader::{Step, XmlReader};
}

pub use tree::Node;

/// What ended the reading of an input.
#[cfg(feature = "guest")]
pub type XmlError = stream::XmlError<crate::model::IoError>;
/// Reads one document from an input.
#[cfg(feature = "guest")]
pub type XmlReader<'input> = stream::XmlReader<&'input mut dyn crate::Input>;
/// What the walk through an input comes to next.
#[cfg(feature = "guest")]
pub type Step<'reader> = stream::Step<'reader, crate::model::Span>;
