//! Rows of a table.

use tamiz_sdk::csv::stream::{Next, TableError, TableReader};
use tamiz_sdk::limits::{RECORD_BYTES, TABLE_COLUMNS};

use crate::ByteSource;
use crate::row::{Ending, Row, Step};
use crate::values::Values;

/// What is wanted of a table.
pub(crate) struct Wanted {
    delimiter: u8,
    columns: Columns,
    /// No field was asked for.
    whole: bool,
}

enum Columns {
    /// By the header's names.
    Named(Vec<String>),
    /// From 0; nothing for a name that the header does not have.
    Numbered(Vec<Option<usize>>),
}

pub(crate) struct CsvRows<S: ByteSource> {
    reader: TableReader<S>,
    wanted: Wanted,
    begun: bool,
}

/// # Errors
/// A delimiter that is none, or a column without a name or number.
pub(crate) fn check(delimiter: char, header: bool, fields: &[String]) -> Result<Wanted, String> {
    let Some(byte) = u8::try_from(delimiter)
        .ok()
        .filter(|byte| byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0))
    else {
        return Err(format!("{delimiter:?} cannot stand between fields"));
    };
    let columns = if header {
        Columns::Named(fields.to_vec())
    } else {
        let number = |field: &String| {
            let number = field.parse().ok().filter(|number| *number < TABLE_COLUMNS);
            number.map(Some).ok_or_else(|| {
                format!(
                    "{field:?} is no number of a column from 0 to {}",
                    TABLE_COLUMNS - 1
                )
            })
        };
        Columns::Numbered(fields.iter().map(number).collect::<Result<_, _>>()?)
    };
    Ok(Wanted {
        delimiter: byte,
        columns,
        whole: fields.is_empty(),
    })
}

impl<S: ByteSource> CsvRows<S> {
    pub(crate) fn new(source: S, wanted: Wanted) -> Self {
        Self {
            reader: TableReader::new(source, wanted.delimiter),
            wanted,
            begun: false,
        }
    }

    pub(crate) fn into_source(self) -> S {
        self.reader.into_source()
    }

    pub(crate) fn next(&mut self) -> Result<Step, S::Error> {
        match self.step() {
            Ok(step) => Ok(step),
            Err(TableError::Io { source, .. }) => Err(source),
            Err(TableError::Ended { .. }) => Ok(Step::End(Ending::Truncated)),
            Err(TableError::TooWide {}) => Ok(Step::End(Ending::Malformed)),
        }
    }

    fn begin(&mut self) -> Result<(), TableError<S::Error>> {
        self.reader.start()?;
        if let Columns::Named(names) = &self.wanted.columns {
            self.reader.read_header()?;
            let header = self.reader.columns();
            let numbers = names.iter().map(|name| header.iter().position(|it| it == name));
            self.wanted.columns = Columns::Numbered(numbers.collect());
        }
        if self.wanted.whole {
            self.reader.keep_rows();
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Step, TableError<S::Error>> {
        if !self.begun {
            self.begun = true;
            self.begin()?;
        }
        let row = match self.reader.next_row()? {
            None => return Ok(Step::End(Ending::Whole)),
            Some(Next::TooLarge { span, .. }) => {
                let problem = format!("it has more than {TABLE_COLUMNS} fields or {RECORD_BYTES} bytes");
                return Ok(Step::Row(Row::unreadable(span, problem)));
            }
            Some(Next::Row(row)) => row,
        };
        let values = match &self.wanted.columns {
            _ if self.wanted.whole => {
                let mut values = Values::new(1);
                values.put(0, Some(row.as_it_stands().trim_end().into()));
                values
            }
            Columns::Numbered(numbers) => {
                let mut values = Values::new(numbers.len());
                for (field, number) in numbers.iter().enumerate() {
                    if values.is_over() {
                        break;
                    }
                    values.put(field, number.and_then(|number| row.field(number)));
                }
                values
            }
            Columns::Named(names) => Values::new(names.len()),
        };
        Ok(Step::Row(Row::of(row.place(), values.finish())))
    }
}
