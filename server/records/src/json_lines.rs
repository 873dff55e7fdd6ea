//! One JSON value in each line.

use tamiz_sdk::ChunkReader;
use tamiz_sdk::json::stream::{foreign_encoding, foreign_format};
use tamiz_sdk::limits::RECORD_BYTES;

use crate::ByteSource;
use crate::pick::Picker;
use crate::row::{Ending, Row, Step};

/// What the first bytes give away.
const HEAD_BYTES: usize = 4;

pub(crate) struct JsonLines<S: ByteSource> {
    source: ChunkReader<S>,
    picker: Picker,
    window: Vec<u8>,
    position: usize,
    /// The input's offset of the window's first byte.
    window_offset: u64,
    begun: bool,
    ended: bool,
}

/// A line in the window, or one that was passed over.
enum Line {
    /// From `position`, without its line end.
    Whole {
        length: usize,
        has_end: bool,
    },
    TooLong,
}

impl<S: ByteSource> JsonLines<S> {
    pub(crate) fn new(source: S, picker: Picker) -> Self {
        Self {
            source: ChunkReader::new(source),
            picker,
            window: Vec::new(),
            position: 0,
            window_offset: 0,
            begun: false,
            ended: false,
        }
    }

    pub(crate) fn into_source(self) -> S {
        self.source.into_source()
    }

    pub(crate) fn next(&mut self) -> Result<Step, S::Error> {
        if !self.begun {
            self.begun = true;
            while self.window.len() < HEAD_BYTES && self.more()? {}
            if foreign_format(&self.window).is_some() || foreign_encoding(&self.window).is_some() {
                return Ok(Step::End(Ending::Malformed));
            }
            if self.window.starts_with(b"\xef\xbb\xbf") {
                self.position = 3;
            }
        }
        loop {
            let start = self.offset();
            let Some(line) = self.line()? else {
                return Ok(Step::End(Ending::Whole));
            };
            let (length, has_end) = match line {
                Line::Whole { length, has_end } => (length, has_end),
                Line::TooLong => {
                    let problem =
                        format!("it has more than {RECORD_BYTES} bytes, which is all that is read of one");
                    return Ok(Step::Row(Row::unreadable((start, self.offset()), problem)));
                }
            };
            let line = &self.window[self.position..self.position + length];
            let bytes = line.trim_ascii();
            let first = start + (line.len() - line.trim_ascii_start().len()) as u64;
            let place = (first, first + bytes.len() as u64);
            self.position += length + usize::from(has_end);
            if bytes.is_empty() {
                continue;
            }
            let picked = self.picker.pick(bytes);
            return Ok(match picked {
                Err(problem) if !has_end && problem.is_cut => Step::End(Ending::Truncated),
                picked => Step::Row(Row::of(place, picked)),
            });
        }
    }

    fn offset(&self) -> u64 {
        self.window_offset + self.position as u64
    }

    /// The next line; one beyond the limit is passed over.
    fn line(&mut self) -> Result<Option<Line>, S::Error> {
        let mut seen = 0;
        loop {
            let rest = &self.window[self.position..];
            if let Some(place) = memchr::memchr(b'\n', &rest[seen..]) {
                let length = seen + place;
                if length > RECORD_BYTES {
                    self.position += length + 1;
                    return Ok(Some(Line::TooLong));
                }
                return Ok(Some(Line::Whole {
                    length,
                    has_end: true,
                }));
            }
            seen = rest.len();
            if seen > RECORD_BYTES {
                self.skip_line()?;
                return Ok(Some(Line::TooLong));
            }
            if !self.more()? {
                let length = seen;
                return Ok((length > 0).then_some(Line::Whole {
                    length,
                    has_end: false,
                }));
            }
        }
    }

    /// Goes behind the line's end without keeping anything.
    fn skip_line(&mut self) -> Result<(), S::Error> {
        loop {
            let rest = &self.window[self.position..];
            if let Some(place) = memchr::memchr(b'\n', rest) {
                self.position += place + 1;
                return Ok(());
            }
            self.position = self.window.len();
            if !self.more()? {
                return Ok(());
            }
        }
    }

    /// Reads another chunk behind what is still needed; whether there was one.
    fn more(&mut self) -> Result<bool, S::Error> {
        if self.ended {
            return Ok(false);
        }
        self.window.drain(..self.position);
        self.window_offset += self.position as u64;
        self.position = 0;
        self.ended = self.source.append_chunk(&mut self.window)? == 0;
        Ok(!self.ended)
    }
}
