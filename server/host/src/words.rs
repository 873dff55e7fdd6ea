//! Bounding what a guest says: plain words, labels, file names, messages, JSON.

use serde_json::Value;
use tamiz_core::limits::{FILE_NAME_BYTES_MAX, LABEL_BYTES_MAX};
use tamiz_core::text;

use crate::limits::VERDICT_BYTES_MAX;

/// A name of a plugin, format, tool or output, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// Whether `text` is lower-case letters, digits, `-`, `_`, `.`, and cannot be a flag or a path.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= WORD_BYTES_MAX
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        })
}

/// The common case, decided bytewise: nothing for `printable` to take out. Without a branch for each
/// byte, so that many are looked at together.
pub(crate) fn is_plain(text: &str) -> bool {
    none(text, |byte| !matches!(byte, b' '..=b'~' | b'\n' | b'\t'))
}

/// Whether a text stands on one line: nothing that would have to become a space.
pub(crate) fn is_line(text: &str) -> bool {
    none(text, |byte| matches!(byte, b'\n' | b'\t'))
}

fn none(text: &str, odd: impl Fn(u8) -> bool) -> bool {
    let (blocks, rest) = text.as_bytes().as_chunks::<32>();
    let any = |block: &[u8]| block.iter().fold(false, |any, byte| any | odd(*byte));
    !blocks.iter().any(|block| any(block)) && !any(rest)
}

/// JSON whose strings are printable.
pub(crate) fn printable_value(value: Value) -> Value {
    match value {
        Value::String(string) if !is_plain(&string) => Value::String(text::printable(&string).into_owned()),
        Value::Array(items) => items.into_iter().map(printable_value).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (text::printable(&key).into_owned(), printable_value(value)))
            .collect(),
        other => other,
    }
}

/// A short label of anything else the guest says: one line, printable, bounded.
pub(crate) fn label(from: &str) -> String {
    let printable = text::printable(text::cut(from, LABEL_BYTES_MAX)).replace(['\n', '\t'], " ");
    printable.trim().to_owned()
}

/// An artifact's name: a label without a folder.
pub(crate) fn file_name(from: &str) -> String {
    let name = label(from).replace(['/', '\\'], "_");
    let name = text::cut(&name, FILE_NAME_BYTES_MAX);
    if matches!(name, "" | "." | "..") {
        "artifact".to_owned()
    } else {
        name.to_owned()
    }
}

/// A message of the guest, fit to be shown.
pub(crate) fn message(from: &str) -> String {
    text::printable(text::cut(from, VERDICT_BYTES_MAX)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_name_is_a_file_name() {
        assert_eq!(file_name("../../etc/passwd"), ".._.._etc_passwd");
        assert_eq!(file_name(".."), "artifact");
        assert_eq!(file_name("a\0\nb"), "a b");
        assert_eq!(file_name(&"x".repeat(5_000)).len(), FILE_NAME_BYTES_MAX);
    }
}
