//! JSON reports as streams.
//!
//! [`JsonReader`] walks the outer levels of a document (the envelope) and hands out one record at
//! a time as bytes, for `serde_json::from_slice` into borrowed structs. The memory needed is that
//! of one chunk and one record, whatever the report's size. [`lenient`] has field types that take
//! a wrong type as "not there" instead of losing the record.
//!
//! [`stream`] has the same over any [`crate::Source`], which is how the platform reads for plugins in
//! other languages.
//!
//! What is skipped is checked for balance and depth only; what is handed out is checked by serde.

mod bitmasks;
mod error;
pub mod lenient;
#[cfg(feature = "guest")]
mod lines;
mod reader;
mod repair;
mod value_end;

/// The readers over any source of bytes.
pub mod stream {
    pub use super::error::JsonError;
    pub use super::reader::{JsonReader, Located, foreign_encoding, foreign_format};
    pub use super::value_end::{rest_length, value_length};
}

#[cfg(feature = "guest")]
pub use lines::{Line, each_line};
pub use reader::Kind;
pub use repair::repair;

/// What ended the reading of an input.
#[cfg(feature = "guest")]
pub type JsonError = stream::JsonError<crate::model::IoError>;
/// Reads one document from an input.
#[cfg(feature = "guest")]
pub type JsonReader<'input> = stream::JsonReader<&'input mut dyn crate::Input>;
/// A value that was taken out of an input.
#[cfg(feature = "guest")]
pub type Located<'reader> = stream::Located<'reader, crate::model::Span>;
