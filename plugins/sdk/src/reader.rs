//! Bytes in chunks: what the splitters read from, and an input as [`std::io::Read`] and
//! [`std::io::BufRead`].

#[cfg(feature = "guest")]
use std::io::{self, BufRead, Read};

#[cfg(feature = "guest")]
use crate::host::Input;
use crate::limits::READ_BYTES;
#[cfg(feature = "guest")]
use crate::model::{IoError, Span};

/// Where the splitters' bytes come from: an [`Input`] in a plugin, the platform's own reader in the host.
pub trait Source {
    /// Why no more can be read.
    type Error: std::error::Error + Clone + PartialEq + Eq + 'static;
    /// Names bytes of it.
    type Place: std::fmt::Debug + Clone + Copy + PartialEq + Eq;

    /// At most `max` bytes; empty is the end.
    ///
    /// # Errors
    /// When nobody can or will read on.
    fn read(&mut self, max: u32) -> Result<Vec<u8>, Self::Error>;

    /// Starts again at the first byte.
    ///
    /// # Errors
    /// When nobody can or will.
    fn rewind(&mut self) -> Result<(), Self::Error>;

    /// The bytes between two offsets.
    fn place(start: u64, end: u64) -> Self::Place;
}

#[cfg(feature = "guest")]
impl Source for &mut dyn Input {
    type Error = IoError;
    type Place = Span;

    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError> {
        (**self).read(max)
    }

    fn rewind(&mut self) -> Result<(), IoError> {
        (**self).rewind()
    }

    fn place(start: u64, end: u64) -> Span {
        crate::report::span(start, end)
    }
}

/// Reads an input chunk by chunk. At most one chunk is in memory.
#[cfg(feature = "guest")]
pub type InputReader<'input> = ChunkReader<&'input mut dyn Input>;

/// Reads a source chunk by chunk. At most one chunk is in memory.
pub struct ChunkReader<S> {
    source: S,
    chunk: Vec<u8>,
    position: usize,
    taken: u64,
    ended: bool,
}

#[cfg(feature = "guest")]
impl InputReader<'_> {
    /// The input's name.
    pub fn name(&self) -> String {
        self.source.name()
    }
}

impl<S: Source> ChunkReader<S> {
    /// Nothing is read yet.
    pub fn new(source: S) -> Self {
        Self {
            source,
            chunk: Vec::new(),
            position: 0,
            taken: 0,
            ended: false,
        }
    }

    /// The source, wherever its reading stands.
    pub fn into_source(self) -> S {
        self.source
    }

    /// Bytes taken from the platform so far, since the start or the last rewind.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Appends the next chunk; no bytes mean the end, and the end stays the end.
    ///
    /// # Errors
    /// The source's own.
    pub fn append_chunk(&mut self, target: &mut Vec<u8>) -> Result<usize, S::Error> {
        self.fetch()?;
        let rest = &self.chunk[self.position..];
        target.extend_from_slice(rest);
        let count = rest.len();
        self.position = self.chunk.len();
        Ok(count)
    }

    /// Starts again at the first byte.
    ///
    /// # Errors
    /// The source's own; the position is then unchanged.
    pub fn rewind(&mut self) -> Result<(), S::Error> {
        self.source.rewind()?;
        self.chunk.clear();
        (self.position, self.taken, self.ended) = (0, 0, false);
        Ok(())
    }

    fn fetch(&mut self) -> Result<(), S::Error> {
        if self.position == self.chunk.len() && !self.ended {
            self.chunk = self.source.read(READ_BYTES)?;
            self.position = 0;
            self.taken += self.chunk.len() as u64;
            self.ended = self.chunk.is_empty();
        }
        Ok(())
    }
}

#[cfg(feature = "guest")]
impl BufRead for InputReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fetch().map_err(io_error)?;
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position = (self.position + amount).min(self.chunk.len());
    }
}

#[cfg(feature = "guest")]
impl Read for InputReader<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(target)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(feature = "guest")]
fn io_error(error: IoError) -> io::Error {
    let kind = match error {
        IoError::Closed => io::ErrorKind::BrokenPipe,
        IoError::OverLimit => io::ErrorKind::QuotaExceeded,
        IoError::Unavailable => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, Read};

    use super::InputReader;
    use crate::memory::MemoryInput;

    #[test]
    fn lines_and_bytes_do_not_care_about_chunks() {
        let text = "one\ntwo\n\nthree".repeat(50);
        for chunk in [1, 7, 64, 100_000] {
            let mut input = MemoryInput::new("report", text.as_bytes()).with_chunk_bytes(chunk);
            let lines: Vec<String> = InputReader::new(&mut input)
                .lines()
                .map(|line| line.expect("memory"))
                .collect();
            assert_eq!(lines.join("\n"), text);
        }
    }

    #[test]
    fn a_rewound_input_reads_the_same_again() {
        let mut input = MemoryInput::new("report", &b"some bytes"[..]).with_chunk_bytes(4);
        let mut reader = InputReader::new(&mut input);
        let (mut first, mut second) = (String::new(), String::new());
        reader.read_to_string(&mut first).expect("memory");
        reader.rewind().expect("memory can be read again");
        assert_eq!(reader.taken(), 0);
        reader.read_to_string(&mut second).expect("memory");
        assert_eq!(first, second);
    }
}
