//! Text from a report, made fit to be shown: no NUL, no terminal escapes, no direction overrides,
//! no more bytes than its field may have.
//!
//! Markup stays as it is: showing text as text is the reader's duty, and `<script>` in a message
//! about cross-site scripting is what the message is about.

/// A text after cleaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleaned {
    /// What is left.
    pub text: String,
    /// Whether the limit cut something off.
    pub cut: bool,
}

/// Cleans a text of several lines; line ends and tabs stay.
pub fn clean_text(text: &str, limit_bytes: usize) -> Cleaned {
    clean(text, limit_bytes, true)
}

/// Cleans a text that has to stay on one line: line ends and tabs become spaces.
pub fn clean_line(text: &str, limit_bytes: usize) -> Cleaned {
    clean(text, limit_bytes, false)
}

fn clean(text: &str, limit_bytes: usize, lines: bool) -> Cleaned {
    let bounded = &text[..floor_boundary(text, limit_bytes)];
    let cut = bounded.len() < text.len();
    if are_plain(bounded.as_bytes(), lines) {
        return Cleaned {
            text: bounded.to_owned(),
            cut,
        };
    }
    let mut kept = String::with_capacity(bounded.len());
    let mut rest = bounded.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\n' | '\t' if lines => kept.push(character),
            '\n' | '\t' => kept.push(' '),
            // A carriage return before a line end says nothing; alone it hides what stood before it.
            '\r' if rest.peek() == Some(&'\n') => {}
            '\r' => kept.push(if lines { '\n' } else { ' ' }),
            _ if character.is_control() || is_direction_override(character) => {}
            _ => kept.push(character),
        }
    }
    Cleaned { text: kept, cut }
}

/// Bytes looked at together.
const BLOCK_BYTES: usize = 16;

/// Whether no byte needs a second look: whole blocks, the last one over again or filled up, because
/// most texts are words.
fn are_plain(bytes: &[u8], lines: bool) -> bool {
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    if !blocks.iter().all(|block| is_block_plain(block, lines)) {
        return false;
    }
    match bytes.last_chunk() {
        _ if rest.is_empty() => true,
        Some(last) => is_block_plain(last, lines),
        None => rest.iter().all(|byte| is_plain(*byte, lines)),
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn is_block_plain(block: &[u8; BLOCK_BYTES], lines: bool) -> bool {
    use core::arch::wasm32::{
        u8x16_eq, u8x16_lt, u8x16_splat, u64x2, v128_and, v128_andnot, v128_any_true, v128_or,
    };

    let (words, _) = block.as_chunks::<8>();
    let bytes = u64x2(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
    let is = |byte| u8x16_eq(bytes, u8x16_splat(byte));
    let breaks = v128_and(
        v128_or(is(b'\n'), is(b'\t')),
        u8x16_splat(if lines { u8::MAX } else { 0 }),
    );
    let controls = v128_andnot(u8x16_lt(bytes, u8x16_splat(b' ')), breaks);
    let odd = v128_or(is(0x7f), v128_or(is(0xc2), is(0xe2)));
    !v128_any_true(v128_or(controls, odd))
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
fn is_block_plain(block: &[u8; BLOCK_BYTES], lines: bool) -> bool {
    let odd = block.map(|byte| u8::from(!is_plain(byte, lines)));
    odd.iter().fold(0, |any, odd| any | odd) == 0
}

/// Bytes that need no second look. The lead bytes 0xC2 and 0xE2 may start a C1 control or a
/// direction override, so they take the slow way.
const fn is_plain(byte: u8, lines: bool) -> bool {
    match byte {
        b'\n' | b'\t' => lines,
        0x7f | 0xc2 | 0xe2 => false,
        _ => byte >= 0x20,
    }
}

fn is_direction_override(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What follows an ESC: a control sequence, a string such as a window title, or one character.
fn skip_escape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_control_sequence(rest);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            rest.next();
            skip_control_string(rest);
        }
        Some(character) if character.is_ascii_graphic() => {
            rest.next();
        }
        _ => {}
    }
}

/// Parameters up to the final character. One that is not a control sequence after all loses nothing
/// but its introducer.
fn skip_control_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&character) = rest.peek() {
        match character {
            ' '..='?' => {
                rest.next();
            }
            '@'..='~' => {
                rest.next();
                return;
            }
            _ => return,
        }
    }
}

/// A string up to BEL or ST. An unfinished one ends at a line end, so that it cannot swallow the text.
fn skip_control_string(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(&character) = rest.peek() {
        match character {
            '\n' => return,
            '\u{7}' | '\u{9c}' => {
                rest.next();
                return;
            }
            '\u{1b}' => {
                rest.next();
                if rest.peek() == Some(&'\\') {
                    rest.next();
                }
                return;
            }
            _ => {
                rest.next();
            }
        }
    }
}

/// The largest character boundary that is not beyond `limit_bytes`.
fn floor_boundary(text: &str, limit_bytes: usize) -> usize {
    if text.len() <= limit_bytes {
        return text.len();
    }
    (0..=limit_bytes)
        .rev()
        .find(|&index| text.is_char_boundary(index))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{clean_line, clean_text};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(clean_text(text, 1000).text, expected);
    }

    #[test]
    fn plain_text_and_markup_stay_as_they_are() {
        check(
            "<script>alert(1)</script>\n\tcafé …",
            "<script>alert(1)</script>\n\tcafé …",
        );
    }

    #[test]
    fn terminal_escapes_nul_and_overrides_go() {
        check("\u{1b}[2J\u{1b}[31mred\u{1b}]0;title\u{7}", "red");
        check("user\u{202e}gnp.exe\u{0}end", "usergnp.exeend");
        check("\u{9b}31mred\u{85}", "red");
        check("a\u{1b}]0;never ended\nnext", "a\nnext");
        check("\u{1b}", "");
        check("\u{1b}[", "");
    }

    #[test]
    fn carriage_returns_become_line_ends() {
        check("one\r\ntwo\rthree", "one\ntwo\nthree");
        assert_eq!(clean_line("one\r\ntwo\tthree", 100).text, "one two three");
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        for limit in 0..8 {
            let cleaned = clean_text("aé…b", limit);
            assert!(cleaned.text.len() <= limit);
            assert_eq!(cleaned.cut, limit < 7);
        }
    }
}
