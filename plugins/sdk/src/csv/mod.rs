//! Tables with a header row as streams: comma, semicolon or tab between the fields, quotes around
//! fields that have separators or line ends in them.
//!
//! [`TableReader`] hands out one [`Row`] at a time, its fields by the header's names. The memory needed
//! is that of one chunk and one row. A row of another width than the header is handed out as it is.

mod reader;

/// The reader over any source of bytes.
pub mod stream {
    pub use super::reader::{Next, Row, TableError, TableReader};
}

pub use reader::separator;

/// Why an input's table could not be read on.
#[cfg(feature = "guest")]
pub type TableError = stream::TableError<crate::model::IoError>;
/// Reads a table from an input.
#[cfg(feature = "guest")]
pub type TableReader<'input> = stream::TableReader<&'input mut dyn crate::Input>;
/// What comes next in an input's table.
#[cfg(feature = "guest")]
pub type Next<'reader> = stream::Next<'reader, crate::model::Span>;
/// One row of an input's table.
#[cfg(feature = "guest")]
pub type Row<'reader> = stream::Row<'reader, crate::model::Span>;
