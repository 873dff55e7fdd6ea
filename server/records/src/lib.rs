//! Records of a report, told apart and picked apart by the platform: for plugins in languages that read
//! bytes slowly.
//!
//! ```text
//! Records::open(source, layout, fields)   checks layout and fields; reads nothing
//!   next(rows, bytes) -> rows             again and again; no rows are the end
//!   ending()                              how the document ended
//! into_source()                           gives the source back
//! ```
//!
//! What a caller must know: this reads hostile bytes. A record costs at most [`RECORD_BYTES`] and what
//! its parts weigh, and its row as much again, however often a field is asked for; one that cannot be
//! read is a row with a problem; nothing recurses on the input's depth. The time is the source's business: it is asked for every 256 KiB and may refuse.
//!
//! The borders of records are found by the splitters of the SDK, which plugins in Rust read with
//! themselves. Not here: what may be asked for how often (the host), and what any record means.

mod csv_rows;
mod fields;
mod json_array;
mod json_lines;
mod pick;
mod row;
mod scan;
mod values;
mod xml_elements;

pub use row::{Ending, Layout, OpenError, Row};
pub use tamiz_sdk::Source;
pub use tamiz_sdk::limits::RECORD_BYTES;

use csv_rows::CsvRows;
use json_array::JsonArray;
use json_lines::JsonLines;
use row::Step;
use xml_elements::XmlElements;

/// Fields picked of one record: more than any table has, and few enough that looking each up stays cheap.
const FIELDS_MAX: usize = 100;
/// One field's text, in bytes: a path through a deep document.
const FIELD_BYTES_MAX: usize = 1024;

/// Where the bytes come from; its places are offsets, from and to.
pub trait ByteSource: Source<Place = (u64, u64)> {}

impl<S: Source<Place = (u64, u64)>> ByteSource for S {}

/// Reads the records of one document.
pub struct Records<S: ByteSource> {
    walk: Walk<S>,
    ending: Option<Ending>,
}

/// One of the layouts while it is read.
enum Walk<S: ByteSource> {
    Array(JsonArray<S>),
    Lines(JsonLines<S>),
    Elements(Box<XmlElements<S>>),
    Table(Box<CsvRows<S>>),
}

impl<S: ByteSource> Records<S> {
    /// Checks the layout and the fields; nothing is read yet.
    ///
    /// # Errors
    /// [`OpenError`] says what cannot be, and has the source.
    pub fn open(source: S, layout: &Layout, fields: &[String]) -> Result<Self, OpenError<S>> {
        if let Err(message) = check_fields(fields) {
            return Err(OpenError { source, message });
        }
        let checked = match layout {
            Layout::JsonArray(pointer) => fields::pointer(pointer)
                .and_then(|tokens| Ok((tokens, pick::Picker::new(fields)?)))
                .map(|(tokens, picker)| Checked::Array(tokens, picker)),
            Layout::JsonLines => pick::Picker::new(fields).map(Checked::Lines),
            Layout::XmlElements(name) => xml_elements::check(name, fields).map(Checked::Elements),
            Layout::Csv { delimiter, header } => {
                csv_rows::check(*delimiter, *header, fields).map(Checked::Table)
            }
        };
        let walk = match checked {
            Ok(Checked::Array(tokens, picker)) => Walk::Array(JsonArray::new(source, tokens, picker)),
            Ok(Checked::Lines(picker)) => Walk::Lines(JsonLines::new(source, picker)),
            Ok(Checked::Elements(wanted)) => Walk::Elements(Box::new(XmlElements::new(source, wanted))),
            Ok(Checked::Table(wanted)) => Walk::Table(Box::new(CsvRows::new(source, wanted))),
            Err(message) => return Err(OpenError { source, message }),
        };
        Ok(Self { walk, ending: None })
    }

    /// The next rows: at most `rows_max`, and no more once they have `bytes_max` bytes of text; at least
    /// one unless the document has ended.
    ///
    /// # Errors
    /// The source's own. The rows that were read before it are lost.
    pub fn next(&mut self, rows_max: usize, bytes_max: usize) -> Result<Vec<Row>, S::Error> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        while self.ending.is_none() && rows.len() < rows_max && bytes < bytes_max {
            let step = match &mut self.walk {
                Walk::Array(walk) => walk.next()?,
                Walk::Lines(walk) => walk.next()?,
                Walk::Elements(walk) => walk.next()?,
                Walk::Table(walk) => walk.next()?,
            };
            match step {
                Step::Row(row) => {
                    bytes += row.bytes();
                    rows.push(row);
                }
                Step::End(ending) => self.ending = Some(ending),
            }
        }
        Ok(rows)
    }

    /// How the document ended; nothing before its end was reached.
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The source, wherever its reading stands.
    pub fn into_source(self) -> S {
        match self.walk {
            Walk::Array(walk) => walk.into_source(),
            Walk::Lines(walk) => walk.into_source(),
            Walk::Elements(walk) => walk.into_source(),
            Walk::Table(walk) => walk.into_source(),
        }
    }
}

/// A layout whose words were understood.
enum Checked {
    Array(Vec<String>, pick::Picker),
    Lines(pick::Picker),
    Elements(xml_elements::Wanted),
    Table(csv_rows::Wanted),
}

fn check_fields(fields: &[String]) -> Result<(), String> {
    if fields.len() > FIELDS_MAX {
        return Err(format!(
            "{} fields are asked for, at most {FIELDS_MAX} are picked",
            fields.len()
        ));
    }
    match fields.iter().find(|field| field.len() > FIELD_BYTES_MAX) {
        Some(field) => Err(format!(
            "a field of {} bytes is asked for, at most {FIELD_BYTES_MAX} are read",
            field.len()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
