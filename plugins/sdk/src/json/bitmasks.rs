//! Where the four bytes that matter for balance stand in a block of 64 bytes.
//!
//! One form for wasm's 16-byte vectors, whose intrinsics are safe, and one with plain words for the
//! native side, where the intrinsics would need `unsafe` to gain what only tests and benches see.

/// Bytes looked at together: one bit each in a `u64`.
pub(super) const BLOCK_BYTES: usize = 64;

/// Bit `n` speaks of byte `n`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bitmasks {
    pub(super) quote: u64,
    pub(super) backslash: u64,
    /// `{` and `[`
    pub(super) open: u64,
    /// `}` and `]`
    pub(super) close: u64,
}

/// `[` and `{` differ in this bit only, and so do `]` and `}`.
const BRACKET_FOLD: u8 = 0x20;

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) fn bitmasks(block: &[u8; BLOCK_BYTES]) -> Bitmasks {
    use core::arch::wasm32::{u8x16_bitmask, u8x16_eq, u8x16_splat, u64x2, v128_or};

    let mut masks = Bitmasks::default();
    for (index, lane) in block.as_chunks::<16>().0.iter().enumerate() {
        let (words, _) = lane.as_chunks::<8>();
        let bytes = u64x2(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
        let folded = v128_or(bytes, u8x16_splat(BRACKET_FOLD));
        let mask =
            |bytes, wanted| u64::from(u8x16_bitmask(u8x16_eq(bytes, u8x16_splat(wanted)))) << (index * 16);
        masks.quote |= mask(bytes, b'"');
        masks.backslash |= mask(bytes, b'\\');
        masks.open |= mask(folded, b'{');
        masks.close |= mask(folded, b'}');
    }
    masks
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(super) use by_words as bitmasks;

/// Eight bytes at a time in an ordinary register.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(super) fn by_words(block: &[u8; BLOCK_BYTES]) -> Bitmasks {
    const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const ONES: u64 = 0x0101_0101_0101_0101;
    /// Gathers the lowest bit of each byte into the top byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;

    let mut masks = Bitmasks::default();
    for (index, word) in block.as_chunks::<8>().0.iter().enumerate() {
        let bytes = u64::from_le_bytes(*word);
        let folded = bytes | (ONES * u64::from(BRACKET_FOLD));
        let mask = |bytes: u64, wanted: u8| {
            let difference = bytes ^ (ONES * u64::from(wanted));
            let equal = !(((difference & LOW_SEVEN) + LOW_SEVEN) | difference | LOW_SEVEN);
            (((equal >> 7).wrapping_mul(GATHER)) >> 56) << (index * 8)
        };
        masks.quote |= mask(bytes, b'"');
        masks.backslash |= mask(bytes, b'\\');
        masks.open |= mask(folded, b'{');
        masks.close |= mask(folded, b'}');
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, Bitmasks, bitmasks};

    fn byte_by_byte(block: &[u8; BLOCK_BYTES]) -> Bitmasks {
        let mut masks = Bitmasks::default();
        for (index, byte) in block.iter().enumerate() {
            let bit = 1_u64 << index;
            match byte {
                b'"' => masks.quote |= bit,
                b'\\' => masks.backslash |= bit,
                b'{' | b'[' => masks.open |= bit,
                b'}' | b']' => masks.close |= bit,
                _ => {}
            }
        }
        masks
    }

    #[test]
    fn every_byte_is_told_apart_in_every_place() {
        for place in 0..BLOCK_BYTES {
            for byte in 0..=u8::MAX {
                let mut block = [b'"'; BLOCK_BYTES];
                block[place] = byte;
                block[(place + 1) % BLOCK_BYTES] = byte.wrapping_add(1);
                assert_eq!(bitmasks(&block), byte_by_byte(&block), "byte {byte} at {place}");
            }
        }
    }
}
