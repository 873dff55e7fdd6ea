//! The walk through a table.

use std::borrow::Cow;

use csv_core::ReadRecordResult;

use crate::limits::{RECORD_BYTES, TABLE_COLUMNS};
use crate::reader::{ChunkReader, Source};

/// What a row's buffer begins with; it grows up to [`RECORD_BYTES`].
const ROW_BYTES: usize = 4096;

/// Why a table could not be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError<E> {
    /// The input ends inside a row.
    #[error("the input ends at byte {offset}, inside the row at line {line}")]
    Ended {
        /// Length of the input.
        offset: u64,
        /// The row's first line.
        line: u64,
    },
    /// The header has more columns than are read.
    #[error("the header has more than {TABLE_COLUMNS} columns or {RECORD_BYTES} bytes")]
    TooWide {},
    /// The platform could not, or would not, read on.
    #[error("the platform stopped the reading at byte {offset}: {source}")]
    Io {
        /// How far it came.
        offset: u64,
        /// Why.
        #[source]
        source: E,
    },
}

/// What comes next in a table.
pub enum Next<'reader, P> {
    /// A row.
    Row(Row<'reader, P>),
    /// A row that was passed over.
    TooLarge {
        /// Its first line.
        line: u64,
        /// Where it stood.
        span: P,
    },
}

/// Reads a table from an input.
pub struct TableReader<S: Source> {
    source: ChunkReader<S>,
    core: csv_core::Reader,
    chunk: Vec<u8>,
    position: usize,
    offset: u64,
    ended: bool,
    last_byte: u8,
    header: Vec<String>,
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// The row as it stands, if somebody wants it.
    whole: Option<Vec<u8>>,
}

/// How the reading of one row ended.
enum Ending {
    Row { fields: usize, line: u64, start: u64 },
    TooLarge { line: u64, start: u64 },
    Table,
}

impl<S: Source> TableReader<S> {
    /// Nothing is read yet; [`TableReader::start`] has to come first.
    pub fn new(source: S, separator: u8) -> Self {
        Self {
            source: ChunkReader::new(source),
            core: csv_core::ReaderBuilder::new().delimiter(separator).build(),
            chunk: Vec::new(),
            position: 0,
            offset: 0,
            ended: false,
            last_byte: b'\n',
            header: Vec::new(),
            fields: vec![0; ROW_BYTES],
            ends: vec![0; TABLE_COLUMNS],
            whole: None,
        }
    }

    /// Reads the header; an input without one is a table without rows.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn open(source: S, separator: u8) -> Result<Self, TableError<S::Error>> {
        let mut reader = Self::new(source, separator);
        reader.start()?;
        reader.read_header()?;
        Ok(reader)
    }

    /// Passes a byte-order mark. Without [`TableReader::read_header`] behind it, the first row is one like
    /// the others and the columns have no names.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn start(&mut self) -> Result<(), TableError<S::Error>> {
        while self.chunk.len() < 3 && !self.ended {
            self.more()?;
        }
        if self.chunk.starts_with(b"\xef\xbb\xbf") {
            (self.position, self.offset) = (3, 3);
        }
        Ok(())
    }

    /// Takes the next row as the columns' names.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn read_header(&mut self) -> Result<(), TableError<S::Error>> {
        match self.row()? {
            Ending::Row { fields, .. } => {
                let row = Fields {
                    bytes: &self.fields,
                    ends: &self.ends[..fields],
                };
                self.header = (0..fields)
                    .map(|index| row.text(index).trim().to_owned())
                    .collect();
                Ok(())
            }
            Ending::TooLarge { .. } => Err(TableError::TooWide {}),
            Ending::Table => Ok(()),
        }
    }

    /// Keeps each row as it stands from here on.
    pub fn keep_rows(&mut self) {
        self.whole = Some(Vec::new());
    }

    /// The source, wherever its reading stands.
    pub fn into_source(self) -> S {
        self.source.into_source()
    }

    /// The header's names.
    pub fn columns(&self) -> &[String] {
        &self.header
    }

    /// The offset of the next row.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next row; nothing at the table's end.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn next_row(&mut self) -> Result<Option<Next<'_, S::Place>>, TableError<S::Error>> {
        Ok(match self.row()? {
            Ending::Table => None,
            Ending::TooLarge { line, start } => Some(Next::TooLarge {
                line,
                span: S::place(start, self.offset),
            }),
            Ending::Row { fields, line, start } => Some(Next::Row(Row {
                header: &self.header,
                fields: Fields {
                    bytes: &self.fields,
                    ends: &self.ends[..fields],
                },
                whole: self.whole.as_deref().unwrap_or_default(),
                line,
                span: S::place(start, self.offset),
                ended: matches!(self.last_byte, b'\n' | b'\r'),
            })),
        })
    }

    fn row(&mut self) -> Result<Ending, TableError<S::Error>> {
        let (mut bytes, mut fields, mut quotes) = (0, 0, 0_usize);
        let mut too_large = false;
        let mut start = None;
        if let Some(whole) = &mut self.whole {
            whole.clear();
        }
        loop {
            if self.position == self.chunk.len() && !self.ended {
                self.more()?;
            }
            // Blank lines belong to no row.
            if start.is_none() {
                self.skip_blank();
                if self.position == self.chunk.len() && !self.ended {
                    continue;
                }
                start = Some((self.core.line(), self.offset));
            }
            let (line, first) = start.unwrap_or((0, self.offset));
            let (result, taken, written, ended) = self.core.read_record(
                &self.chunk[self.position..],
                &mut self.fields[bytes..],
                &mut self.ends[fields..],
            );
            let piece = &self.chunk[self.position..self.position + taken];
            quotes += memchr::memchr_iter(b'"', piece).count();
            if let Some(whole) = &mut self.whole
                && whole.len() < RECORD_BYTES
            {
                whole.extend_from_slice(piece);
            }
            if let Some(last) = piece.last() {
                self.last_byte = *last;
            }
            self.position += taken;
            self.offset += taken as u64;
            bytes += written;
            fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.fields.len() < RECORD_BYTES => {
                    self.fields.resize(self.fields.len() * 2, 0);
                }
                // Read over to its end, in what memory there is.
                ReadRecordResult::OutputFull => (too_large, bytes) = (true, 0),
                ReadRecordResult::OutputEndsFull => (too_large, fields) = (true, 0),
                ReadRecordResult::Record if too_large => return Ok(Ending::TooLarge { line, start: first }),
                ReadRecordResult::Record => {
                    let cut = self.ended
                        && self.position == self.chunk.len()
                        && !matches!(self.last_byte, b'\n' | b'\r');
                    if cut && (quotes % 2 == 1 || fields < self.header.len()) {
                        let offset = self.offset;
                        return Err(TableError::Ended { offset, line });
                    }
                    return Ok(Ending::Row {
                        fields,
                        line,
                        start: first,
                    });
                }
                ReadRecordResult::End => return Ok(Ending::Table),
            }
        }
    }

    /// Passes over line ends, as far as they have been read.
    fn skip_blank(&mut self) {
        let rest = &self.chunk[self.position..];
        let blank = rest
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let lines = memchr::memchr_iter(b'\n', &rest[..blank]).count();
        self.core.set_line(self.core.line() + lines as u64);
        self.position += blank;
        self.offset += blank as u64;
    }

    fn more(&mut self) -> Result<(), TableError<S::Error>> {
        self.chunk.drain(..self.position);
        self.position = 0;
        let offset = self.offset;
        let count = self
            .source
            .append_chunk(&mut self.chunk)
            .map_err(|source| TableError::Io { offset, source })?;
        self.ended = count == 0;
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Fields<'reader> {
    bytes: &'reader [u8],
    ends: &'reader [usize],
}

impl<'reader> Fields<'reader> {
    fn bytes(&self, index: usize) -> &'reader [u8] {
        let start = index
            .checked_sub(1)
            .map_or(Some(0), |before| self.ends.get(before).copied());
        let end = self.ends.get(index).copied();
        let range = start.zip(end).map_or(0..0, |(start, end)| start..end);
        self.bytes.get(range).unwrap_or_default()
    }

    fn text(&self, index: usize) -> Cow<'reader, str> {
        String::from_utf8_lossy(self.bytes(index))
    }
}

/// One row.
#[derive(Clone, Copy)]
pub struct Row<'reader, P> {
    header: &'reader [String],
    fields: Fields<'reader>,
    whole: &'reader [u8],
    line: u64,
    span: P,
    ended: bool,
}

impl<'reader, P: Copy> Row<'reader, P> {
    /// The field in a column; empty when the row or the table has none.
    pub fn get(&self, column: &str) -> Cow<'reader, str> {
        let index = self.header.iter().position(|name| name == column);
        index.map_or(Cow::Borrowed(""), |index| self.fields.text(index))
    }

    /// The field of a number, from 0; nothing when the row has fewer.
    pub fn field(&self, index: usize) -> Option<Cow<'reader, str>> {
        (index < self.fields.ends.len()).then(|| self.fields.text(index))
    }

    /// The row as it stands in the table, if the reader keeps rows (see [`TableReader::keep_rows`]).
    pub fn as_it_stands(&self) -> Cow<'reader, str> {
        String::from_utf8_lossy(self.whole)
    }

    /// All fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = Cow<'reader, str>> + use<'reader, P> {
        let fields = self.fields;
        (0..fields.ends.len()).map(move |index| fields.text(index))
    }

    /// Its first line, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Whether a line end stands behind it. The last row of a tool that always writes one is cut
    /// without it, though its last field may look whole.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether it has more or fewer fields than the header.
    pub fn is_uneven(&self) -> bool {
        self.fields.ends.len() != self.header.len()
    }

    /// Whether some of its bytes are not UTF-8; they read as U+FFFD.
    pub fn is_repaired(&self) -> bool {
        let length = self.fields.ends.last().copied().unwrap_or(0);
        str::from_utf8(self.fields.bytes.get(..length).unwrap_or_default()).is_err()
    }

    /// Where it stood.
    pub fn place(&self) -> P {
        self.span
    }
}

/// The separator that a header line uses most; the comma of equals.
pub fn separator(line: &str) -> u8 {
    let count = |separator: u8| line.bytes().filter(|byte| *byte == separator).count();
    let mut best = b',';
    for separator in [b';', b'\t'] {
        if count(separator) > count(best) {
            best = separator;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::separator;
    use crate::csv::{Next, TableError, TableReader};
    use crate::limits::RECORD_BYTES;
    use crate::memory::MemoryInput;

    fn read(text: &[u8], chunk_bytes: usize) -> (Vec<String>, Option<TableError>) {
        let mut input = MemoryInput::new("table", text).with_chunk_bytes(chunk_bytes);
        let line = String::from_utf8_lossy(text);
        let mut seen = Vec::new();
        let mut reader =
            match TableReader::open(&mut input, separator(line.lines().next().unwrap_or_default())) {
                Ok(reader) => reader,
                Err(error) => return (seen, Some(error)),
            };
        loop {
            match reader.next_row() {
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(error)),
                Ok(Some(Next::TooLarge { line, span })) => {
                    seen.push(format!("{line}: too large, {}", span.length));
                }
                Ok(Some(Next::Row(row))) => {
                    let odd = if row.is_uneven() || row.is_repaired() {
                        " odd"
                    } else {
                        ""
                    };
                    let place = row.place();
                    seen.push(format!(
                        "{}: {}|{} {}+{}{odd}",
                        row.line(),
                        row.get("id"),
                        row.get("text"),
                        place.offset,
                        place.length
                    ));
                }
            }
        }
    }

    #[track_caller]
    fn check(text: &[u8], expected: &[&str], error: Option<&str>) {
        for chunk_bytes in [1, 2, 5, 1 << 20] {
            let (seen, stopped) = read(text, chunk_bytes);
            assert_eq!(seen, expected, "in chunks of {chunk_bytes}");
            assert_eq!(
                stopped.map(|error| error.to_string()).as_deref(),
                error,
                "in chunks of {chunk_bytes}"
            );
        }
    }

    #[test]
    fn fields_are_found_by_name_whatever_separates_them() {
        check(
            b"id,text\n1,a\n2,\"b,\n\"\"c\"\n",
            &["2: 1|a 8+4", "3: 2|b,\n\"c 12+11"],
            None,
        );
        check(
            b"\xef\xbb\xbf\"id\";\"x\";\"text\"\r\n1;;a\r\n\r\n2;;b",
            &["2: 1|a 20+5", "4: 2|b 28+4"],
            None,
        );
        check(b"id\ttext\n1\ta,b;\n", &["2: 1|a,b; 8+7"], None);
        check(b"text\nx\n", &["2: |x 5+2"], None);
        check(b"", &[], None);
        check(b"id,text", &[], None);
    }

    #[test]
    fn odd_rows_are_handed_out_and_a_cut_one_is_told() {
        check(
            b"id,text\n1\n2,b,c\n3,\xff\n",
            &["2: 1| 8+2 odd", "3: 2|b 10+6 odd", "4: 3|\u{fffd} 16+4 odd"],
            None,
        );
        check(
            b"id,text\n1,a\n2",
            &["2: 1|a 8+4"],
            Some("the input ends at byte 13, inside the row at line 3"),
        );
        check(
            b"id,text\n1,\"a\nb",
            &[],
            Some("the input ends at byte 14, inside the row at line 2"),
        );
    }

    #[test]
    fn a_row_that_is_too_large_is_passed_over() {
        let text = format!(
            "id,text\n1,{}\n2,b\n{}\n3,c\n",
            "x".repeat(RECORD_BYTES + 1),
            ",".repeat(2000)
        );
        let (seen, error) = read(text.as_bytes(), 100_000);
        assert_eq!(error, None);
        assert_eq!(
            seen.len(),
            4,
            "{:?}",
            seen.iter().map(String::len).collect::<Vec<_>>()
        );
        assert!(seen[0].starts_with("2: too large") && seen[1].starts_with("3: 2|b"));
        assert!(seen[2].starts_with("4: too large") && seen[3].starts_with("5: 3|c"));
    }
}
