//! JSON lines: one document per line.

use std::io::{self, BufRead, Read};

use crate::limits::RECORD_BYTES;
use crate::model::Span;

/// One line that is not blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'lines> {
    /// Its bytes without the line end; cut when it is longer than [`RECORD_BYTES`], so that it
    /// cannot be read as JSON.
    pub bytes: &'lines [u8],
    /// Where it stood.
    pub span: Span,
}

/// Goes through the lines. Blank ones are passed over, and so is a byte-order mark.
///
/// # Errors
/// The reader's own.
pub fn each_line(source: &mut impl BufRead, mut handle: impl FnMut(Line<'_>)) -> io::Result<()> {
    let mut offset = 0_u64;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = source
            .by_ref()
            .take(RECORD_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        let mut skipped = 0;
        if line.last() != Some(&b'\n') && length > RECORD_BYTES {
            skipped = skip_line(source)?;
        }
        let without_mark = if offset == 0 {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line)
        } else {
            &line
        };
        let bytes = without_mark.trim_ascii_end();
        if !bytes.is_empty() {
            let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
            let span = Span::new(bounded(offset), bounded(length as u64 + skipped));
            handle(Line {
                bytes: &bytes[..bytes.len().min(RECORD_BYTES)],
                span,
            });
        }
        offset += length as u64 + skipped;
    }
}

/// Reads on to the line's end without keeping anything.
fn skip_line(source: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let available = source.fill_buf()?;
        let end = available.iter().position(|&byte| byte == b'\n');
        let count = end.map_or(available.len(), |end| end + 1);
        source.consume(count);
        skipped += count as u64;
        if end.is_some() || count == 0 {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::each_line;
    use crate::limits::RECORD_BYTES;

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_is_whole() {
        let text = format!("\u{feff}1\r\n\n {}\n3", "x".repeat(RECORD_BYTES * 2));
        let mut lines = Vec::new();
        each_line(&mut text.as_bytes(), |line| {
            lines.push((line.bytes.len(), line.span.offset));
        })
        .expect("memory");
        assert_eq!(lines, [(1, 0), (RECORD_BYTES, 7), (1, text.len() as u32 - 1)]);
    }
}
