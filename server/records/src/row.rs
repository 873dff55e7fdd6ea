//! What is asked for, and what comes back.

use std::fmt::Display;

use crate::ByteSource;

/// Where the records are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// The elements of the array at this JSON Pointer.
    JsonArray(String),
    /// One JSON value in each line.
    JsonLines,
    /// The elements of this name, the outermost when they nest.
    XmlElements(String),
    /// Rows of a table.
    Csv {
        /// Between the fields.
        delimiter: char,
        /// Whether the first row names the columns.
        header: bool,
    },
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its first byte and the one behind it, from 0.
    pub place: (u64, u64),
    /// One for each field.
    pub values: Vec<Option<String>>,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

impl Row {
    pub(crate) fn unreadable(place: (u64, u64), problem: impl Into<String>) -> Self {
        Self {
            place,
            values: Vec::new(),
            problem: Some(problem.into()),
        }
    }

    /// What came of picking the record at `place`.
    pub(crate) fn of(place: (u64, u64), picked: Result<Vec<Option<String>>, impl Display>) -> Self {
        match picked {
            Ok(values) => Self {
                place,
                values,
                problem: None,
            },
            Err(problem) => Self::unreadable(place, problem.to_string()),
        }
    }

    /// All its texts.
    pub(crate) fn bytes(&self) -> usize {
        let values = self.values.iter().flatten().chain(&self.problem);
        values.map(String::len).sum()
    }
}

/// How the document ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Where it should.
    Whole,
    /// Too early.
    Truncated,
    /// What stands around the records is not of this layout.
    Malformed,
}

/// The layout or a field of it cannot be.
pub struct OpenError<S: ByteSource> {
    /// Given back.
    pub source: S,
    /// What cannot be.
    pub message: String,
}

/// What a walk comes to.
pub(crate) enum Step {
    Row(Row),
    End(Ending),
}
