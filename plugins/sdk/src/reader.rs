//! An input as a stream: [`std::io::Read`] and [`std::io::BufRead`] over the platform's chunks.

use std::io::{self, BufRead, Read};

use crate::host::Input;
use crate::limits::READ_BYTES;
use crate::model::IoError;

/// Reads an input chunk by chunk. At most one chunk is in memory.
pub struct InputReader<'input> {
    input: &'input mut dyn Input,
    chunk: Vec<u8>,
    position: usize,
    taken: u64,
    ended: bool,
}

impl<'input> InputReader<'input> {
    /// Nothing is read yet.
    pub fn new(input: &'input mut dyn Input) -> Self {
        Self {
            input,
            chunk: Vec::new(),
            position: 0,
            taken: 0,
            ended: false,
        }
    }

    /// The input's name.
    pub fn name(&self) -> String {
        self.input.name()
    }

    /// Bytes taken from the platform so far, since the start or the last rewind.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Appends the next chunk; no bytes mean the end, and the end stays the end.
    ///
    /// # Errors
    /// [`IoError`] when the platform cannot or will not read on.
    pub fn append_chunk(&mut self, target: &mut Vec<u8>) -> Result<usize, IoError> {
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
    /// [`IoError`] when the platform cannot or will not; the position is then unchanged.
    pub fn rewind(&mut self) -> Result<(), IoError> {
        self.input.rewind()?;
        self.chunk.clear();
        (self.position, self.taken, self.ended) = (0, 0, false);
        Ok(())
    }

    fn fetch(&mut self) -> Result<(), IoError> {
        if self.position == self.chunk.len() && !self.ended {
            self.chunk = self.input.read(READ_BYTES)?;
            self.position = 0;
            self.taken += self.chunk.len() as u64;
            self.ended = self.chunk.is_empty();
        }
        Ok(())
    }
}

impl BufRead for InputReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fetch().map_err(io_error)?;
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position = (self.position + amount).min(self.chunk.len());
    }
}

impl Read for InputReader<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let count = available.read(target)?;
        self.consume(count);
        Ok(count)
    }
}

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
