//! Records of a table.

use super::record::Record;
use super::session::{Session, Stop};
use crate::csv::{Next, Row, TableError, TableReader};
use crate::limits::RECORD_BYTES;
use crate::model::{LogLevel, Span};

impl Record for Row<'_> {
    fn name(&self) -> String {
        format!("line {}", self.line())
    }

    fn span(&self) -> Span {
        self.place()
    }
}

impl From<TableError> for Stop {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Ended { .. } => Self::Ended(error.to_string()),
            TableError::Io { .. } => Self::Refused(error.to_string()),
            TableError::TooWide { .. } => Self::Broken(error.to_string()),
        }
    }
}

/// Goes through the rows of a table. A row of another width than the header is told and still handed
/// out: what it lacks reads as empty. One that is too large is lost.
///
/// # Errors
/// [`Stop`] of the reading, or of `handle`.
pub fn rows(
    table: &mut TableReader<'_>,
    session: &mut Session<'_>,
    mut handle: impl FnMut(&mut Session<'_>, Row<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    loop {
        match table.next_row()? {
            None => return Ok(()),
            Some(Next::TooLarge { line, span }) => {
                let message =
                    format!("line {line} has a row of more than {RECORD_BYTES} bytes or too many fields");
                session.lose("record-too-large", &message, span);
            }
            Some(Next::Row(row)) => {
                if row.is_uneven() {
                    let message = "the row has not as many fields as the header";
                    session.note(LogLevel::Warn, "row-uneven", &row, message);
                }
                if row.is_repaired() {
                    session.partial = true;
                    let message = "characters that are not Unicode were replaced";
                    session.note(LogLevel::Warn, "text-not-unicode", &row, message);
                }
                handle(session, row)?;
            }
        }
        session.advance(table.offset());
    }
}
