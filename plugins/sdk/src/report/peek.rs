//! An input whose beginning was looked at and that is still read from its first byte.

use std::collections::VecDeque;

use crate::host::Input;
use crate::limits::READ_BYTES;
use crate::model::IoError;

/// Hands out the chunks that were taken for the look again, as they came, and then the rest.
pub(super) struct PeekedInput<'input> {
    input: &'input mut dyn Input,
    replayed: VecDeque<Vec<u8>>,
    ended: bool,
    taken: u64,
}

impl<'input> PeekedInput<'input> {
    pub(super) fn new(input: &'input mut dyn Input) -> Self {
        Self {
            input,
            replayed: VecDeque::new(),
            ended: false,
            taken: 0,
        }
    }

    /// The first `bytes` bytes, fewer only when there are no more, and whether that is all.
    pub(super) fn look(&mut self, bytes: usize) -> Result<(Vec<u8>, bool), IoError> {
        let mut start: Vec<u8> = Vec::new();
        while start.len() <= bytes && !self.ended {
            let chunk = self.input.read(READ_BYTES)?;
            self.ended = chunk.is_empty();
            start.extend_from_slice(&chunk);
            self.replayed.push_back(chunk);
        }
        let whole = start.len() <= bytes;
        start.truncate(bytes);
        Ok((start, whole))
    }

    /// Bytes handed out since the start or the last rewind.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }
}

impl Input for PeekedInput<'_> {
    fn name(&self) -> String {
        self.input.name()
    }

    fn media_type(&self) -> Option<String> {
        self.input.media_type()
    }

    fn size(&self) -> Option<u32> {
        self.input.size()
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError> {
        let chunk = match self.replayed.pop_front() {
            Some(mut chunk) if chunk.len() > max as usize => {
                self.replayed.push_front(chunk.split_off(max as usize));
                chunk
            }
            Some(chunk) => chunk,
            // The end stays the end: some platforms refuse a read behind it.
            None if self.ended => Vec::new(),
            None => self.input.read(max)?,
        };
        self.taken += chunk.len() as u64;
        Ok(chunk)
    }

    fn rewind(&mut self) -> Result<(), IoError> {
        self.input.rewind()?;
        self.replayed.clear();
        (self.ended, self.taken) = (false, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::PeekedInput;
    use crate::host::Input;
    use crate::memory::MemoryInput;

    fn all(input: &mut dyn Input) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let chunk = input.read(5).expect("memory");
            if chunk.is_empty() {
                return bytes;
            }
            bytes.extend(chunk);
        }
    }

    #[test]
    fn what_was_looked_at_is_read_again() {
        for chunk_bytes in [1, 3, 100] {
            let mut input =
                MemoryInput::new("report", &b"some bytes of it"[..]).with_chunk_bytes(chunk_bytes);
            let mut peeked = PeekedInput::new(&mut input);
            assert_eq!(peeked.look(4).expect("memory"), (b"some".to_vec(), false));
            assert_eq!(all(&mut peeked), b"some bytes of it");
            peeked.rewind().expect("memory can be read again");
            assert_eq!(all(&mut peeked), b"some bytes of it");
            assert_eq!(peeked.taken(), 16);
        }
        let mut input = MemoryInput::new("report", &b"short"[..]).without_rewind();
        let mut peeked = PeekedInput::new(&mut input);
        assert_eq!(peeked.look(100).expect("memory"), (b"short".to_vec(), true));
        assert_eq!(all(&mut peeked), b"short");
        assert!(peeked.rewind().is_err());
    }
}
