//! Finds the end of an object, array or string without looking at anything but its balance.
//!
//! Sixty-four bytes at a time, resumable at any byte: the state is the same however the input was
//! cut into chunks. Not here: whether the value is right; serde sees that.

use super::bitmasks::{BLOCK_BYTES, Bitmasks, bitmasks};

/// Progress through one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueEnd {
    depth: u32,
    depth_max: u32,
    too_deep: bool,
    in_string: bool,
    escaped: bool,
}

impl ValueEnd {
    /// Before the first byte of the value; deeper than `depth_max` levels is noted.
    pub(super) fn new(depth_max: u32) -> Self {
        Self {
            depth: 0,
            depth_max,
            too_deep: false,
            in_string: false,
            escaped: false,
        }
    }

    /// Behind the first byte of an object or an array.
    fn inside() -> Self {
        Self {
            depth: 1,
            ..Self::new(u32::MAX)
        }
    }

    /// Whether it went deeper than it may.
    pub(super) fn too_deep(&self) -> bool {
        self.too_deep
    }

    /// Looks at more bytes of the value: how many belong to it, when its end is among them.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        for (index, block) in blocks.iter().enumerate() {
            if let Some(end) = self.block(bitmasks(block)) {
                return Some(index * BLOCK_BYTES + end);
            }
        }
        let end = rest.iter().position(|&byte| self.byte(byte))?;
        Some(blocks.len() * BLOCK_BYTES + end + 1)
    }

    /// One byte; answers whether the value ends with it.
    fn byte(&mut self, byte: u8) -> bool {
        let escaped = std::mem::take(&mut self.escaped);
        match byte {
            b'"' if !escaped => {
                self.in_string = !self.in_string;
                !self.in_string && self.depth == 0
            }
            b'\\' if !escaped => {
                self.escaped = true;
                false
            }
            b'{' | b'[' if !self.in_string => {
                self.open();
                false
            }
            b'}' | b']' if !self.in_string => self.close(),
            _ => false,
        }
    }

    fn open(&mut self) {
        self.depth += 1;
        self.too_deep |= self.depth > self.depth_max;
    }

    fn close(&mut self) -> bool {
        self.depth = self.depth.saturating_sub(1);
        self.depth == 0
    }

    /// One block; answers where the value ends in it.
    fn block(&mut self, masks: Bitmasks) -> Option<usize> {
        let quotes = masks.quote & !self.escaped_bits(masks.backslash);
        let strings = prefix_xor(quotes) ^ if self.in_string { u64::MAX } else { 0 };
        let was_in_string = std::mem::replace(&mut self.in_string, strings >> 63 == 1);
        let (opens, closes) = (masks.open & !strings, masks.close & !strings);

        let (open_count, close_count) = (opens.count_ones(), closes.count_ones());
        if close_count < self.depth && self.depth + open_count <= self.depth_max {
            self.depth = self.depth + open_count - close_count;
            return None;
        }
        self.walk(
            opens,
            closes,
            if self.depth == 0 { quotes } else { 0 },
            was_in_string,
        )
    }

    /// Bit by bit: only where the value may end or be too deep. `quotes` matter for a value that is
    /// a string itself, which has no brackets before its end.
    fn walk(&mut self, opens: u64, closes: u64, quotes: u64, was_in_string: bool) -> Option<usize> {
        let mut in_string = was_in_string;
        let mut bits = opens | closes | quotes;
        while bits != 0 {
            let index = bits.trailing_zeros();
            let bit = 1_u64 << index;
            bits &= bits - 1;
            if opens & bit != 0 {
                self.open();
            } else if closes & bit != 0 {
                if self.close() {
                    return Some(index as usize + 1);
                }
            } else {
                in_string = !in_string;
                if !in_string && self.depth == 0 {
                    return Some(index as usize + 1);
                }
            }
        }
        None
    }

    /// The bytes that a backslash before them takes the meaning from.
    fn escaped_bits(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let carried = u64::from(std::mem::take(&mut self.escaped));
        if backslashes == 0 {
            return carried;
        }
        // A run of backslashes escapes its every second byte, and what follows if its length is odd.
        // Adding the start of a run to the run carries past its end; that shows the length's parity.
        let starts = backslashes & !carried;
        let follows = (starts << 1) | carried;
        let odd_starts = starts & !EVEN & !follows;
        let (carried_past, overflow) = odd_starts.overflowing_add(starts);
        self.escaped = overflow;
        (EVEN ^ (carried_past << 1)) & follows
    }
}

/// How many bytes the object, array or string has that the bytes begin with; nothing when it has no end
/// among them. It is balanced, and otherwise unchecked.
pub fn value_length(bytes: &[u8]) -> Option<usize> {
    ValueEnd::new(u32::MAX).advance(bytes)
}

/// How many bytes are left of the object or array that was entered before; otherwise as [`value_length`].
pub fn rest_length(bytes: &[u8]) -> Option<usize> {
    ValueEnd::inside().advance(bytes)
}

/// Bit `n` becomes the parity of the bits 0..=n: 1 from each opening quote up to its closing one.
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::ValueEnd;
    use crate::limits::JSON_DEPTH;

    /// A small generator, so that the test is the same every time.
    fn pseudo_random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    #[test]
    fn the_end_is_the_same_however_the_bytes_are_cut() {
        let alphabet = br#""\{}[]a, "#;
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..3000 {
            let length = 1 + pseudo_random(&mut state) as usize % 300;
            let bytes: Vec<u8> = std::iter::once(b'{')
                .chain((0..length).map(|_| alphabet[pseudo_random(&mut state) as usize % alphabet.len()]))
                .collect();
            let whole = ValueEnd::new(3).advance(&bytes);
            for cut in [1, 5, 64, 100] {
                let mut scan = ValueEnd::new(3);
                let mut seen = 0;
                let pieces = bytes.chunks(cut).find_map(|piece| {
                    let end = scan.advance(piece).map(|end| end + seen);
                    seen += piece.len();
                    end
                });
                assert_eq!(pieces, whole, "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[track_caller]
    fn check(text: &str, end: Option<usize>) {
        for padding in [0, 1, 30, 61, 62, 63, 64, 65] {
            let mut padded = text.to_owned();
            if end.is_some() {
                padded.push_str(&"}".repeat(padding));
            }
            assert_eq!(
                ValueEnd::new(JSON_DEPTH).advance(padded.as_bytes()),
                end,
                "{padded}"
            );
        }
    }

    #[test]
    fn brackets_and_quotes_in_strings_do_not_count() {
        check(r#"{"a":"}","b":[1,2]}"#, Some(19));
        check(r#"{"a\"}":"\\"}"#, Some(13));
        check(r#""a string""#, Some(10));
        check(r#""a \" [ string""#, Some(15));
        check(&format!(r#"["{}"]"#, "x".repeat(200)), Some(204));
        check(&format!(r#""{}""#, "\\\\".repeat(100)), Some(202));
        check(r#"{"a":"#, None);
        check(r#"["never ends]"#, None);
    }

    #[test]
    fn too_deep_is_noted_and_the_end_still_found() {
        let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let mut scan = ValueEnd::new(JSON_DEPTH);
        assert_eq!(scan.advance(text.as_bytes()), Some(200_000));
        assert!(scan.too_deep());
        let mut scan = ValueEnd::new(JSON_DEPTH);
        let text = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert_eq!(scan.advance(text.as_bytes()), Some(256));
        assert!(!scan.too_deep());
    }
}
