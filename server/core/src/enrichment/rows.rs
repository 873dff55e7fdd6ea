//! Rows of separated values (RFC 4180), one at a time and bounded, each with the line it begins in.
//!
//! A field may be quoted and then hold commas, quotes (doubled) and line ends. A row that cannot be read is told, and
//! reading goes on behind it.

use std::io::{self, BufRead, Read};

use super::{EnrichmentError, RowFault, RowPlace};

/// A row in bytes: the longest of the public files have under 8 KiB.
const ROW_BYTES_MAX: usize = 64 * 1024;
/// Fields of one row; the public files have 3 and 11.
const FIELDS_MAX: usize = 64;
/// What editors put in front of UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The rows of a file.
#[derive(Debug)]
pub(super) struct Rows<R> {
    reader: R,
    /// Lines that were read.
    lines: u64,
    /// The row as it stands in the file.
    bytes: Vec<u8>,
    /// Its fields, one behind the other.
    text: String,
    /// Where each field ends.
    ends: Vec<usize>,
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// Where it begins.
    pub(super) at: RowPlace,
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> Row<'a> {
    /// A field by number, from 0; empty where the row ends before.
    pub(super) fn field(self, number: usize) -> &'a str {
        let Some(end) = self.ends.get(number) else {
            return "";
        };
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text[start..*end].trim()
    }

    pub(super) fn fields(self) -> impl Iterator<Item = &'a str> {
        (0..self.ends.len()).map(move |number| self.field(number))
    }

    /// Where a head has these columns, in any case and order.
    pub(super) fn columns<const N: usize>(
        self,
        names: [&'static str; N],
    ) -> Result<[usize; N], EnrichmentError> {
        let mut columns = [0; N];
        for (column, name) in columns.iter_mut().zip(names) {
            let found = self.fields().position(|field| field.eq_ignore_ascii_case(name));
            *column = found.ok_or(EnrichmentError::NoColumn {
                at: self.at,
                column: name,
            })?;
        }
        Ok(columns)
    }

    /// A fault of this row.
    pub(super) const fn fault(self, what: String) -> RowFault {
        RowFault { at: self.at, what }
    }
}

/// How reading a line ended.
enum Line {
    Whole,
    TooLong,
    End,
}

impl<R: BufRead> Rows<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self {
            reader,
            lines: 0,
            bytes: Vec::new(),
            text: String::new(),
            ends: Vec::new(),
        }
    }

    /// The next row that is not empty, or what is wrong with it; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Result<Row<'_>, RowFault>>, EnrichmentError> {
        let at = loop {
            self.bytes.clear();
            let at = RowPlace::Line(self.lines + 1);
            match self.record().map_err(EnrichmentError::Read)? {
                Ok(true) if self.bytes.iter().all(u8::is_ascii_whitespace) => {}
                Ok(true) => break at,
                Ok(false) => return Ok(None),
                Err(what) => {
                    let what = what.to_owned();
                    return Ok(Some(Err(RowFault { at, what })));
                }
            }
        };
        Ok(Some(match self.split() {
            Ok(()) => Ok(Row {
                at,
                text: &self.text,
                ends: &self.ends,
            }),
            Err(what) => Err(RowFault {
                at,
                what: what.to_owned(),
            }),
        }))
    }

    /// Reads the lines of one row into `bytes`; `Ok(Ok(false))` at the end, a text for a row that is to be left out.
    fn record(&mut self) -> io::Result<Result<bool, &'static str>> {
        let mut is_open = false;
        loop {
            let known = self.bytes.len();
            match self.line()? {
                Line::End if self.bytes.is_empty() => return Ok(Ok(false)),
                Line::End => return Ok(Err("a quote is not closed")),
                Line::TooLong => return Ok(Err("the row is too long")),
                Line::Whole => {}
            }
            if self.lines == 1 && self.bytes.starts_with(BYTE_ORDER_MARK) {
                self.bytes.drain(..BYTE_ORDER_MARK.len());
            }
            for byte in &self.bytes[known.min(self.bytes.len())..] {
                is_open ^= *byte == b'"';
            }
            if !is_open {
                return Ok(Ok(true));
            }
        }
    }

    fn line(&mut self) -> io::Result<Line> {
        let room = ROW_BYTES_MAX - self.bytes.len();
        let read = (&mut self.reader)
            .take(room as u64)
            .read_until(b'\n', &mut self.bytes)?;
        if read == 0 && room > 0 {
            return Ok(Line::End);
        }
        self.lines += 1;
        if read < room || (room > 0 && self.bytes.ends_with(b"\n")) {
            return Ok(Line::Whole);
        }
        loop {
            let chunk = self.reader.fill_buf()?;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let (used, is_over) = match end {
                Some(end) => (end + 1, true),
                None => (chunk.len(), chunk.is_empty()),
            };
            self.reader.consume(used);
            if is_over {
                return Ok(Line::TooLong);
            }
        }
    }

    /// Parts `bytes` into fields.
    fn split(&mut self) -> Result<(), &'static str> {
        let Ok(record) = std::str::from_utf8(&self.bytes) else {
            return Err("the row is not UTF-8");
        };
        let record = record.trim_end_matches(['\n', '\r']);
        self.text.clear();
        self.ends.clear();
        let mut is_quoted = false;
        let mut characters = record.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' if is_quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    self.text.push('"');
                }
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => self.ends.push(self.text.len()),
                other => self.text.push(other),
            }
            if self.ends.len() == FIELDS_MAX {
                return Err("the row has too many fields");
            }
        }
        self.ends.push(self.text.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row with its line, fields joined with `|`; faults with `!`.
    fn all(file: &[u8]) -> Vec<String> {
        let mut rows = Rows::new(io::BufReader::with_capacity(16, file));
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            found.push(match row {
                Ok(row) => format!("{} {}", row.at, row.fields().collect::<Vec<_>>().join("|")),
                Err(fault) => format!("! {fault}"),
            });
        }
        found
    }

    #[test]
    fn fields_may_be_quoted_and_hold_anything() {
        let file = b"\xef\xbb\xbfa,b , c\r\n\r\n\"x, \"\"y\"\"\nz\",,2\n\"\",\nlast";
        let expected = ["line 1 a|b|c", "line 3 x, \"y\"\nz||2", "line 5 |", "line 6 last"];
        assert_eq!(all(file), expected);
        assert_eq!(all(b""), Vec::<String>::new());
        assert_eq!(all(b"\n \n"), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_read_is_told_and_stepped_over() {
        let long = "x".repeat(ROW_BYTES_MAX);
        let fields = ",".repeat(FIELDS_MAX);
        let mut file = format!("a\n{long}\nb\n{fields}\n").into_bytes();
        file.extend(b"\xff\xfe\nc\n\"open\nd\n");
        let expected = [
            "line 1 a",
            "! line 2: the row is too long",
            "line 3 b",
            "! line 4: the row has too many fields",
            "! line 5: the row is not UTF-8",
            "line 6 c",
            "! line 7: a quote is not closed",
        ];
        assert_eq!(all(&file), expected);
        let fits = format!("{}\nb", "x".repeat(ROW_BYTES_MAX - 1));
        assert_eq!(all(fits.as_bytes()).len(), 2);
        let open = format!("\"{}\nb\nc", "x\n".repeat(ROW_BYTES_MAX / 2));
        assert_eq!(all(open.as_bytes())[0], "! line 1: the row is too long");
    }

    #[test]
    fn columns_are_found_by_name() {
        let mut rows = Rows::new(&b"B,more,\"a\"\n"[..]);
        let head = rows.next().unwrap().unwrap().unwrap();
        assert_eq!(head.columns(["a", "b"]).unwrap(), [2, 0]);
        let error = head.columns(["a", "c"]).unwrap_err().to_string();
        assert_eq!(error, "line 1 names no column `c`");
        assert_eq!(head.field(9), "");
    }
}
