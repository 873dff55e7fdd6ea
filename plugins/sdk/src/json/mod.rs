//! JSON reports as streams.
//!
//! [`JsonReader`] walks the outer levels of a document (the envelope) and hands out one record at
//! a time as bytes, for `serde_json::from_slice` into borrowed structs. The memory needed is that
//! of one chunk and one record, whatever the report's size. [`lenient`] has field types that take
//! a wrong type as "not there" instead of losing the record.
//!
//! What is skipped is checked for balance and depth only; what is handed out is checked by serde.

mod bitmasks;
mod error;
pub mod lenient;
mod lines;
mod reader;
mod repair;
mod value_end;

pub use error::JsonError;
pub use lines::{Line, each_line};
pub use reader::{JsonReader, Kind, Located};
pub(crate) use reader::{foreign_encoding, foreign_format};
pub use repair::repair;
