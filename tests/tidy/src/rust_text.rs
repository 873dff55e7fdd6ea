//! Rust source without what is not code: comments and the insides of literals become spaces.
//!
//! Positions and lines stay as they are, so a place in the result is a place in the file.

/// `source` with comments and the contents of string and character literals blanked.
pub(crate) fn code_only(source: &str) -> String {
    blank(source, true)
}

/// `source` with only its comments blanked.
pub(crate) fn without_comments(source: &str) -> String {
    blank(source, false)
}

fn blank(source: &str, literals_too: bool) -> String {
    let bytes = source.as_bytes();
    let mut output = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                let end = line_end(bytes, at);
                wipe(&mut output, at, end);
                end
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let end = block_comment_end(bytes, at);
                wipe(&mut output, at, end);
                end
            }
            b'"' => literal(&mut output, at, string_end(bytes, at), 1, literals_too),
            b'r' if !is_word(bytes, at) && raw_hashes(bytes, at).is_some() => {
                let hashes = raw_hashes(bytes, at).unwrap_or_default();
                let end = raw_string_end(bytes, at, hashes);
                literal(&mut output, at + hashes + 1, end, 1 + hashes, literals_too)
            }
            b'\'' => match character_end(bytes, at) {
                Some(end) => literal(&mut output, at, end, 1, literals_too),
                None => at + 1,
            },
            _ => at + 1,
        };
        at = end;
    }
    String::from_utf8(output).unwrap_or_default()
}

/// Whether the byte before `at` belongs to the same word; `br"` is a raw string all the same.
fn is_word(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|place| bytes[place]);
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match before(1) {
        Some(b'b' | b'c') => before(2).is_some_and(word),
        Some(byte) => word(byte),
        None => false,
    }
}

fn literal(output: &mut [u8], start: usize, end: usize, edge: usize, wiped: bool) -> usize {
    if wiped && end > start + edge + 1 {
        wipe(output, start + 1, end - edge);
    }
    end
}

fn wipe(output: &mut [u8], start: usize, end: usize) {
    for byte in &mut output[start..end] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    let length = bytes[at..].iter().position(|byte| *byte == b'\n');
    length.map_or(bytes.len(), |length| at + length)
}

fn block_comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The number of `#` of a raw string that starts with the `r` at `at`.
fn raw_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn raw_string_end(bytes: &[u8], start: usize, hashes: usize) -> usize {
    let mut at = start + hashes + 2;
    while at < bytes.len() {
        let closes = bytes[at] == b'"'
            && bytes[at + 1..]
                .iter()
                .take(hashes)
                .filter(|byte| **byte == b'#')
                .count()
                == hashes;
        if closes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    bytes.len()
}

/// The end of a character literal; none for a lifetime or a label.
fn character_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start + 1) == Some(&b'\\') {
        let length = bytes[start + 3..]
            .iter()
            .take(12)
            .position(|byte| *byte == b'\'')?;
        return Some(start + 3 + length + 1);
    }
    let text = std::str::from_utf8(&bytes[start + 1..bytes.len().min(start + 5)]);
    let width = match text {
        Ok(text) => text.chars().next()?.len_utf8(),
        // Cut in a later character: the first one is whole.
        Err(error) => std::str::from_utf8(&bytes[start + 1..start + 1 + error.valid_up_to()])
            .ok()?
            .chars()
            .next()?
            .len_utf8(),
    };
    (bytes.get(start + 1 + width) == Some(&b'\'')).then_some(start + width + 2)
}

/// The line of a place, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where a word stands by itself in code.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = code.as_bytes();
        let before = at.checked_sub(1).and_then(|place| bytes.get(place));
        !part_of_word(before) && !part_of_word(bytes.get(at + word.len()))
    })
}

/// The end of the block that opens at or after `at`: behind its closing brace.
pub(crate) fn block_end(code: &str, at: usize) -> Option<usize> {
    let bytes = code.as_bytes();
    let mut depth = 0_usize;
    for (offset, byte) in bytes[at..].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The parts of a file that are only compiled for tests: `#[cfg(test)] mod … { … }`.
pub(crate) fn test_blocks(code: &str) -> Vec<std::ops::Range<usize>> {
    let starts = code.match_indices("#[cfg(test)]").map(|(at, _)| at);
    starts
        .filter_map(|start| {
            let open = start + code[start..].find(['{', ';'])?;
            let block = code.as_bytes()[open] == b'{';
            block
                .then(|| block_end(code, open))
                .flatten()
                .map(|end| start..end)
        })
        .collect()
}

#[test]
fn comments_and_literals_are_blanked_and_lifetimes_are_not() {
    let source = "a /* \" /* */ */ b // \"x\nc(\"{\\\"\", '{', r#\"}\"}\"#, b'\\'', 'ä')<'a> br\"{\" d";
    let code = code_only(source);
    assert_eq!(code.len(), source.len());
    assert!(!code.contains(['{', '}', 'x', 'ä']), "{code}");
    for kept in ["a ", " b ", "\nc(", "<'a>", " d"] {
        assert!(code.contains(kept), "{kept} in {code}");
    }
    assert!(without_comments("x(\"{\") // y").contains("\"{\""));
}

#[test]
fn a_block_ends_at_its_own_brace() {
    let code = "fn a() { if x { y } } fn b() {}";
    assert_eq!(&code[..block_end(code, 0).unwrap()], "fn a() { if x { y } }");
    assert_eq!(words("a ab a_ a", "a").collect::<Vec<_>>(), [0, 8]);
}
