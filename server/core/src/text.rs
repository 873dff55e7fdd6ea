//! Bounding text that came from outside.

use serde_json::{Map, Value};

/// `text` cut to at most `bytes_max` bytes at a character border.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        text
    } else {
        &text[..text.floor_char_boundary(bytes_max)]
    }
}

/// `text` without control characters except tab and newline: Postgres refuses NUL, and a terminal
/// obeys escape sequences.
pub fn printable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.chars().any(forbidden) {
        text.chars()
            .filter(|character| !forbidden(*character))
            .collect::<String>()
            .into()
    } else {
        text.into()
    }
}

/// Whether Postgres can hold `text`: it refuses NUL, in texts as in JSON.
pub fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// The same of a whole value; its depth is bounded by whoever parsed it.
pub fn is_storable_json(value: &Value) -> bool {
    match value {
        Value::String(text) => is_storable(text),
        Value::Array(values) => values.iter().all(is_storable_json),
        Value::Object(fields) => is_storable_object(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The same of an object's names and values.
pub fn is_storable_object(fields: &Map<String, Value>) -> bool {
    fields
        .iter()
        .all(|(name, value)| is_storable(name) && is_storable_json(value))
}

fn forbidden(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character_border() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn only_nul_cannot_be_stored() {
        assert!(is_storable("a\u{1b}\n") && !is_storable("a\0"));
        for (json, holds) in [
            (r#"{"a":[1,"b"]}"#, true),
            (r#"{"a":["\u0000"]}"#, false),
            (r#"[{"\u0000":1}]"#, false),
        ] {
            let value = serde_json::from_str(json).unwrap();
            assert_eq!(is_storable_json(&value), holds, "{json}");
        }
    }

    #[test]
    fn escapes_and_nul_are_taken_out() {
        assert_eq!(printable("a\u{1b}[31m\0b\n"), "a[31mb\n");
    }
}
