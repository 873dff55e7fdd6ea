//! Second chances for a record that serde refused: text that is not quite Unicode.
//!
//! Tools copy what they find in source files into their reports. A Latin-1 byte or half a surrogate
//! pair in a snippet is no reason to lose the finding; it becomes U+FFFD.

use std::borrow::Cow;

/// The record with its damaged characters replaced, or nothing when there are none, so that what
/// serde refused must have another reason.
pub fn repair(record: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(record);
    let damaged_bytes = matches!(text, Cow::Owned(_));
    let mut bytes = text.into_owned().into_bytes();
    let damaged_escapes = replace_lone_surrogates(&mut bytes);
    (damaged_bytes || damaged_escapes).then_some(bytes)
}

/// Replaces each `\uD8xx` without its other half by `\uFFFD`, which has the same length.
fn replace_lone_surrogates(bytes: &mut [u8]) -> bool {
    let mut replaced = false;
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] != b'\\' {
            index += 1;
            continue;
        }
        match (surrogate(bytes, index), surrogate(bytes, index + 6)) {
            (Some(Half::High), Some(Half::Low)) => index += 12,
            (Some(_), _) => {
                bytes[index + 2..index + 6].copy_from_slice(b"fffd");
                replaced = true;
                index += 6;
            }
            // The escaped character is skipped with its backslash: it may be one itself.
            (None, _) => index += 2,
        }
    }
    replaced
}

enum Half {
    High,
    Low,
}

fn surrogate(bytes: &[u8], index: usize) -> Option<Half> {
    let escape = bytes.get(index..index + 6)?;
    if escape[0] != b'\\' || escape[1] != b'u' || !escape[2..].iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    match [escape[2].to_ascii_lowercase(), escape[3].to_ascii_lowercase()] {
        [b'd', b'8' | b'9' | b'a' | b'b'] => Some(Half::High),
        [b'd', b'c' | b'd' | b'e' | b'f'] => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::repair;

    #[track_caller]
    fn check(record: &[u8], expected: Option<&str>) {
        let repaired =
            repair(record).map(|bytes| serde_json::from_slice::<String>(&bytes).expect("repaired"));
        assert_eq!(repaired.as_deref(), expected);
    }

    #[test]
    fn damaged_characters_are_replaced_and_whole_ones_kept() {
        check(br#""bad \ud800 half""#, Some("bad \u{fffd} half"));
        check(br#""\uDC00\ud83d\ude00""#, Some("\u{fffd}\u{1f600}"));
        check(b"\"caf\xe9\"", Some("caf\u{fffd}"));
        check(br#""\\ud800""#, None);
        check(br#""\ud83d\ude00 \n""#, None);
        check(br#""\ud80"#, None);
    }
}
