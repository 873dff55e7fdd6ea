//! One pass over the text of a document, before the parser sees it: how many tokens, how deep the
//! brackets. The parser recurses per bracket, so depth must be known before it starts.
//!
//! Not here: syntax errors. What is not GraphQL is counted somehow and left to the parser.

/// What the pass counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scan {
    /// Names, numbers, strings and signs.
    pub(super) tokens: usize,
    /// Most brackets open at once.
    pub(super) nesting: usize,
}

/// Counts tokens and nesting of `text`, in time linear in its length.
pub(super) fn scan(text: &str) -> Scan {
    let bytes = text.as_bytes();
    let mut counts = Scan::default();
    let mut open = 0_usize;
    let mut at = 0_usize;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b'#' => skip_while(bytes, at, |byte| byte != b'\n' && byte != b'\r'),
            b'"' => {
                counts.tokens += 1;
                string_end(bytes, at)
            }
            byte if is_word(byte) => {
                counts.tokens += 1;
                skip_while(bytes, at, is_word)
            }
            b' ' | b'\t' | b'\n' | b'\r' | b',' => at + 1,
            b'.' => {
                counts.tokens += 1;
                skip_while(bytes, at, |byte| byte == b'.')
            }
            other => {
                counts.tokens += 1;
                match other {
                    b'{' | b'[' | b'(' => {
                        open += 1;
                        counts.nesting = counts.nesting.max(open);
                    }
                    b'}' | b']' | b')' => open = open.saturating_sub(1),
                    _ => {}
                }
                at + 1
            }
        };
    }
    counts
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn skip_while(bytes: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes[from..]
        .iter()
        .position(|byte| !wanted(*byte))
        .map_or(bytes.len(), |length| from + length)
}

/// The first byte after the string that starts at `from`; the end of the text if it never ends.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let block = bytes[from..].starts_with(b"\"\"\"");
    let mut at = from + if block { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        if block && bytes[at..].starts_with(b"\\\"\"\"") {
            at += 4;
        } else if block && bytes[at..].starts_with(b"\"\"\"") {
            return at + 3;
        } else if !block && byte == b'\\' {
            at += 2;
        } else if !block && matches!(byte, b'"' | b'\n' | b'\r') {
            return at + 1;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let text = "{ a(b: \"[[[\\\"[\", c: \"\"\"{{{ \\\"\"\" {\"\"\") # {{{{\n { d } }";
        assert_eq!(
            scan(text),
            Scan {
                tokens: 14,
                nesting: 2
            }
        );
    }

    #[test]
    fn an_unfinished_string_ends_the_scan() {
        assert_eq!(scan("{ a(b: \"").nesting, 2);
        assert_eq!(scan("\"\"\"").tokens, 1);
        assert_eq!(scan("\"\\").tokens, 1);
    }
}
