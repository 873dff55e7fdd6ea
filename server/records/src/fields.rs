//! The words in which fields are asked for.

/// Levels of a path; documents that are nested deeper are not read.
const LEVELS_MAX: usize = tamiz_sdk::limits::JSON_DEPTH as usize;

/// The tokens of a JSON Pointer (RFC 6901).
pub(crate) fn pointer(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = text.strip_prefix('/') else {
        return Err(format!("the JSON Pointer {text:?} does not begin with `/`"));
    };
    let tokens: Vec<String> = rest
        .split('/')
        .map(unescape)
        .collect::<Option<_>>()
        .ok_or_else(|| {
            format!("in the JSON Pointer {text:?} a `~` is followed by something else than 0 or 1")
        })?;
    if tokens.len() > LEVELS_MAX {
        return Err(format!("a JSON Pointer of more than {LEVELS_MAX} levels"));
    }
    Ok(tokens)
}

fn unescape(token: &str) -> Option<String> {
    let mut pieces = token.split('~');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push(match piece.as_bytes().first() {
            Some(b'0') => '~',
            Some(b'1') => '/',
            _ => return None,
        });
        text.push_str(&piece[1..]);
    }
    Some(text)
}

/// The element of an array that a pointer's token names.
pub(crate) fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0" || !token.starts_with(['0', '+']);
    token.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::{index, pointer};

    #[test]
    fn pointers_are_read_as_the_standard_says() {
        for (text, tokens) in [
            ("", &[][..]),
            ("/", &[""]),
            ("/foo/0", &["foo", "0"]),
            ("/a~1b", &["a/b"]),
            ("/m~0n", &["m~n"]),
            ("/~01", &["~1"]),
            ("/ //é", &[" ", "", "é"]),
        ] {
            assert_eq!(pointer(text).unwrap(), tokens, "{text}");
        }
        for text in ["a", "/~", "/~2", "/a~é", &"/x".repeat(200)] {
            assert!(pointer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_index_has_no_leading_zero_and_no_sign() {
        assert_eq!((index("0"), index("10")), (Some(0), Some(10)));
        for text in ["", "-", "-1", "+1", "01", "1e1", "99999999999999999999999"] {
            assert_eq!(index(text), None, "{text}");
        }
    }
}
