//! The input as one moving window: whole records are borrowed from it, nothing is copied per record.
//!
//! A record that straddles two chunks is moved to the window's front once. The window grows only as
//! far as the largest record that a reader asks for, and readers bound that.

use tamiz_sdk::InputReader;
use tamiz_sdk::model::IoError;

/// Bytes of an input around the place where a reader is.
pub(crate) struct Window<'input> {
    reader: InputReader<'input>,
    bytes: Vec<u8>,
    position: usize,
    /// Of the first byte in the window, in the input.
    start: u64,
}

impl<'input> Window<'input> {
    pub(crate) fn new(reader: InputReader<'input>) -> Self {
        Self {
            reader,
            bytes: Vec::new(),
            position: 0,
            start: 0,
        }
    }

    /// What is there from the place on; [`Window::need`] makes it long enough.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }

    /// Whether so many bytes are there; false means that the input ends before.
    ///
    /// # Errors
    /// [`IoError`] when the platform cannot or will not read on.
    #[inline]
    pub(crate) fn need(&mut self, count: usize) -> Result<bool, IoError> {
        if self.bytes.len() - self.position >= count {
            return Ok(true);
        }
        self.fill(count)
    }

    fn fill(&mut self, count: usize) -> Result<bool, IoError> {
        self.bytes.drain(..self.position);
        self.start += self.position as u64;
        self.position = 0;
        while self.bytes.len() < count {
            if self.reader.append_chunk(&mut self.bytes)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves on; not beyond what is there.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.position = self.position.saturating_add(count).min(self.bytes.len());
    }

    /// Moves on over bytes that need not be there yet; false means that the input ends before.
    ///
    /// # Errors
    /// [`IoError`] when the platform cannot or will not read on.
    pub(crate) fn skip(&mut self, mut count: u64) -> Result<bool, IoError> {
        loop {
            let here = (self.bytes.len() - self.position) as u64;
            self.consume(count.min(here) as usize);
            count = count.saturating_sub(here);
            if count == 0 {
                return Ok(true);
            }
            if !self.need(1)? {
                return Ok(false);
            }
        }
    }

    /// Where the place is in the input.
    pub(crate) fn offset(&self) -> u64 {
        self.start + self.position as u64
    }
}

#[cfg(test)]
mod tests {
    use tamiz_sdk::InputReader;
    use tamiz_sdk::memory::MemoryInput;

    use super::Window;

    #[test]
    fn a_window_reads_the_same_over_any_chunks() {
        let text: Vec<u8> = (0..200).collect();
        for chunk in [1, 3, 64, 1000] {
            let mut input = MemoryInput::new("capture", &text[..]).with_chunk_bytes(chunk);
            let mut window = Window::new(InputReader::new(&mut input));
            for start in (0..200_u8).step_by(10) {
                assert!(window.need(10).expect("memory"));
                assert_eq!(window.bytes()[0], start);
                assert_eq!(window.offset(), u64::from(start));
                window.consume(4);
                assert!(window.skip(6).expect("memory"));
            }
            assert!(!window.need(1).expect("memory"));
            assert!(!window.skip(5).expect("memory"));
        }
    }
}
