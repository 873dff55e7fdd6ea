//! Rows of separated values (RFC 4180), one at a time and bounded, each with the line it begins in.
//!
//! A field may be quoted and then hold commas, quotes (doubled) and line ends. A row that cannot be read is told, and
//! reading goes on behind it. Lines are read here, because a row's length is bounded and its place is told; what they say
//! `csv-core` parts.

use std::io::{self, BufRead, Read};

use csv_core::{ReadRecordResult, Terminator};

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
    parser: csv_core::Reader,
    /// Its fields, one behind the other, and how many bytes they are.
    text: Vec<u8>,
    written: usize,
    /// Where each field ends, and how many there are.
    ends: [usize; FIELDS_MAX],
    count: usize,
    has_too_many: bool,
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
    pub(super) fn new(reader: R) -> Self {
        // a carriage return ends no row: in front of a line's end it is trimmed off the last field
        let parser = csv_core::ReaderBuilder::new()
            .terminator(Terminator::Any(b'\n'))
            .build();
        Self {
            reader,
            lines: 0,
            bytes: Vec::new(),
            parser,
            // one more than a row has: the parser takes nothing when it has no room
            text: vec![0; ROW_BYTES_MAX + 1],
            written: 0,
            ends: [0; FIELDS_MAX],
            count: 0,
            has_too_many: false,
        }
    }

    /// The next row that is not empty, or what is wrong with it; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Result<Row<'_>, RowFault>>, EnrichmentError> {
        let fault = |at, what: &str| {
            let what = what.to_owned();
            Ok(Some(Err(RowFault { at, what })))
        };
        let at = loop {
            let at = RowPlace::Line(self.lines + 1);
            match self.record().map_err(EnrichmentError::Read)? {
                Ok(true) if self.bytes.iter().all(u8::is_ascii_whitespace) => {}
                Ok(true) => break at,
                Ok(false) => return Ok(None),
                Err(what) => return fault(at, what),
            }
        };
        if self.has_too_many {
            return fault(at, "the row has too many fields");
        }
        match std::str::from_utf8(&self.text[..self.written]) {
            Ok(text) => Ok(Some(Ok(Row {
                at,
                text,
                ends: &self.ends[..self.count],
            }))),
            Err(_) => fault(at, "the row is not UTF-8"),
        }
    }

    /// Reads the lines of one row and parts them into fields; `Ok(Ok(false))` at the end, a text for a row that is to be
    /// left out.
    fn record(&mut self) -> io::Result<Result<bool, &'static str>> {
        self.bytes.clear();
        self.parser.reset();
        (self.written, self.count, self.has_too_many) = (0, 0, false);
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
            // the parser would look for the row behind it
            let is_empty = known == 0 && self.bytes.iter().all(u8::is_ascii_whitespace);
            let is_last = !self.bytes.ends_with(b"\n");
            if is_empty || self.parse(known) || is_last && self.parse_end() {
                return Ok(Ok(true));
            }
        }
    }

    /// Hands the bytes from here on to the parser; whether they end the row.
    ///
    /// It is never given an empty slice: that tells it that there is no more, and it answers to it for ever without taking
    /// anything.
    fn parse(&mut self, from: usize) -> bool {
        let mut rest = self.bytes.get(from..).unwrap_or_default();
        while !rest.is_empty() {
            let (text, ends) = (&mut self.text[self.written..], &mut self.ends[self.count..]);
            let (result, read, written, ended) = self.parser.read_record(rest, text, ends);
            rest = &rest[read..];
            self.written += written;
            self.count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputEndsFull => (self.count, self.has_too_many) = (0, true),
                // there is room for the text: it is never longer than its row
                ReadRecordResult::Record | ReadRecordResult::End | ReadRecordResult::OutputFull => {
                    return true;
                }
            }
        }
        false
    }

    /// Ends the last line, which the file does not.
    fn parse_end(&mut self) -> bool {
        let from = self.bytes.len();
        self.bytes.push(b'\n');
        self.parse(from)
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
        let most = ",".repeat(FIELDS_MAX - 1);
        assert_eq!(all(most.as_bytes()).len(), 1);
        assert!(
            all(most.as_bytes())[0].starts_with("line 1 |"),
            "as many as there may be"
        );
        let last = all(b"a\n\"open");
        assert_eq!(last, ["line 1 a", "! line 2: a quote is not closed"]);
    }

    #[test]
    fn a_quote_within_a_field_and_a_lone_carriage_return_are_text() {
        assert_eq!(all(b"5\" disk,b\nc\rd,e"), ["line 1 5\" disk|b", "line 2 c\rd|e"]);
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
