//! Reports of lines: JSON lines, and text.

use std::io::BufRead;

use serde::de::IgnoredAny;

use super::Shape;
use super::format::Source;
use super::record::{Element, Record, each, span};
use super::session::{Session, Stop};
use crate::json::{JsonError, Located};
use crate::limits::{JSON_DEPTH, RECORD_BYTES};
use crate::model::{LogLevel, Span};
use crate::reader::InputReader;

/// One line that is not blank.
#[derive(Debug, Clone, Copy)]
pub struct TextLine<'lines> {
    /// Counted from 1.
    pub number: u64,
    /// Without the line end.
    pub bytes: &'lines [u8],
    /// Whether it has a line end: the last one may be cut.
    pub ended: bool,
    span: Span,
}

impl Record for TextLine<'_> {
    fn name(&self) -> String {
        format!("line {}", self.number)
    }

    fn span(&self) -> Span {
        self.span
    }
}

impl TextLine<'_> {
    /// As text; damaged characters read as U+FFFD.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.bytes)
    }
}

/// Goes through lines of text. Blank ones are passed over, those beyond [`RECORD_BYTES`] are lost.
///
/// # Errors
/// [`Stop`] of the reading, or of `handle`.
pub fn lines(
    source: Source<'_>,
    session: &mut Session<'_>,
    mut handle: impl FnMut(&mut Session<'_>, TextLine<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut reader = source.bytes();
    let mut line = Vec::new();
    let (mut offset, mut number) = (0_u64, 0_u64);
    loop {
        line.clear();
        let length = read_line(&mut reader, &mut line)? as u64;
        if length == 0 {
            return Ok(());
        }
        number += 1;
        let start = offset;
        offset += length;
        let ended = line.last() == Some(&b'\n');
        if !ended && length > RECORD_BYTES as u64 {
            offset += skip_line(&mut reader)?;
            let message =
                format!("line {number} has more than {RECORD_BYTES} bytes, which is all that is read of one");
            session.lose("record-too-large", &message, span(start, offset));
            continue;
        }
        let text = line
            .strip_prefix(b"\xef\xbb\xbf")
            .filter(|_| start == 0)
            .unwrap_or(&line);
        let bytes = text.trim_ascii_end();
        if !bytes.is_empty() {
            let span = span(start, offset);
            handle(
                session,
                TextLine {
                    number,
                    bytes,
                    ended,
                    span,
                },
            )?;
        }
        session.advance(offset);
    }
}

/// Appends what comes up to the next line end, which is part of it, or one byte more than a record may
/// have; answers how much.
fn read_line(reader: &mut InputReader<'_>, line: &mut Vec<u8>) -> Result<usize, Stop> {
    while line.len() <= RECORD_BYTES {
        let available = reader.fill_buf()?;
        let room = available.len().min(RECORD_BYTES + 1 - line.len());
        let end = memchr::memchr(b'\n', &available[..room]).map(|end| end + 1);
        let count = end.unwrap_or(room);
        line.extend_from_slice(&available[..count]);
        reader.consume(count);
        if end.is_some() || count == 0 {
            break;
        }
    }
    Ok(line.len())
}

/// Reads on to the line's end without keeping anything.
fn skip_line(reader: &mut InputReader<'_>) -> Result<u64, Stop> {
    let mut skipped = 0;
    loop {
        let available = reader.fill_buf()?;
        let end = memchr::memchr(b'\n', available);
        let count = end.map_or(available.len(), |end| end + 1);
        reader.consume(count);
        skipped += count as u64;
        if end.is_some() || count == 0 {
            return Ok(skipped);
        }
    }
}

/// Goes through JSON records however the tool laid them out: a line each, one after the other on
/// several lines, or as the elements of an array.
///
/// Between lines there may be lines of a log, which are no records and are told once each
/// (`line-not-json`). A line that begins as a record and is none is lost, and only that line.
///
/// # Errors
/// [`Stop`] of the reading, or of `handle`.
pub fn json_lines(
    source: Source<'_>,
    session: &mut Session<'_>,
    mut handle: impl FnMut(&mut Session<'_>, Element<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if source.head().shape() == Shape::Array {
        let mut reader = source.json()?;
        each(&mut reader, session, "", handle)?;
        return Ok(reader.finish()?);
    }
    if source.head().shape() == Shape::Object && !source.head().is_one_line() {
        return documents(source, session, handle);
    }
    lines(source, session, |session, line| {
        if !line.bytes.trim_ascii_start().starts_with(b"{") {
            let message = "it is no JSON object; it is passed over";
            session.note(LogLevel::Info, "line-not-json", &line, message);
            return Ok(());
        }
        if !line.ended && is_cut(line.bytes) {
            let end = u64::from(line.span.offset) + u64::from(line.span.length);
            return Err(Stop::Ended(format!(
                "the input ends at byte {end}, inside line {}",
                line.number
            )));
        }
        handle(session, Element::line(line.number, line.bytes, line.span))
    })
}

fn is_cut(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_err_and(|error| error.is_eof())
}

/// Documents one after the other, on as many lines as each wants.
fn documents(
    source: Source<'_>,
    session: &mut Session<'_>,
    mut handle: impl FnMut(&mut Session<'_>, Element<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut reader = source.json()?;
    let mut number = 0_u32;
    loop {
        let name = format!("document {number}");
        match reader.value(RECORD_BYTES)? {
            Located::Whole { bytes, span } => handle(session, Element::named(&name, bytes, span))?,
            Located::TooLarge { span } => {
                let message = format!(
                    "{name} has {} bytes, at most {RECORD_BYTES} are read",
                    span.length
                );
                session.lose("record-too-large", &message, span);
            }
            Located::TooDeep { span } => {
                let message = format!("{name} is nested deeper than {JSON_DEPTH} levels");
                session.lose("record-too-deep", &message, span);
            }
        }
        number = number.saturating_add(1);
        session.advance(reader.offset());
        match reader.finish() {
            Ok(()) => return Ok(()),
            Err(JsonError::Trailing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
