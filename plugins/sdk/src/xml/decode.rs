//! The document's bytes as text, and the way back from a place in the text to one in the input.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::limits::XML_DAMAGES;

/// How a document's bytes are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Encoding {
    #[default]
    Utf8,
    /// ISO-8859-1, read as windows-1252, as browsers do: the bytes that differ are controls in the one
    /// and quotation marks in the other.
    OneByte,
}

/// A damaged place, which reads as U+FFFD.
#[derive(Debug)]
struct Damage {
    /// Where its U+FFFD starts in the text of the whole document.
    at: u64,
    /// What to add to a place behind it to come to the input's offset.
    shift_after: i64,
}

/// A part of the document as text.
#[derive(Debug, Default)]
pub(super) struct Text {
    encoding: Encoding,
    /// The part that is kept.
    pub(super) window: String,
    /// Where the window starts in the text of the whole document.
    base: u64,
    /// The input's offset of the window's start, for one-byte encodings.
    base_source: u64,
    /// A place in the window whose offset was computed last: the next is counted from there.
    anchor: Cell<(usize, u64)>,
    /// The first bytes of a character that is not complete yet.
    carry: Vec<u8>,
    damages: VecDeque<Damage>,
    /// The shift before the first of `damages`.
    shift: i64,
    /// The shift behind everything.
    shift_end: i64,
    /// More damaged places than are kept apart: it is another encoding.
    pub(super) hopeless: bool,
}

impl Text {
    /// `skipped` bytes of the input (a byte-order mark) are no text. `None` for an encoding that is not
    /// read.
    pub(super) fn new(declared: Option<&str>, skipped: u64) -> Option<Self> {
        let encoding = match declared.map(str::to_ascii_lowercase).as_deref() {
            None | Some("utf-8" | "utf8" | "us-ascii" | "ascii") => Encoding::Utf8,
            Some("iso-8859-1" | "iso8859-1" | "latin1" | "latin-1" | "windows-1252" | "cp1252") => {
                Encoding::OneByte
            }
            Some(_) => return None,
        };
        let shift = i64::try_from(skipped).unwrap_or(0);
        Some(Self {
            encoding,
            window: String::new(),
            base: 0,
            base_source: skipped,
            anchor: Cell::new((0, skipped)),
            carry: Vec::new(),
            damages: VecDeque::new(),
            shift,
            shift_end: shift,
            hopeless: false,
        })
    }

    /// Appends bytes of the input; `ended` when they are the last.
    pub(super) fn push(&mut self, bytes: &[u8], ended: bool) {
        match self.encoding {
            Encoding::OneByte => self.window.extend(bytes.iter().map(|&byte| one_byte(byte))),
            Encoding::Utf8 if self.carry.is_empty() => self.push_utf8(bytes, ended),
            Encoding::Utf8 => {
                let mut joined = std::mem::take(&mut self.carry);
                joined.extend_from_slice(bytes);
                self.push_utf8(&joined, ended);
            }
        }
    }

    fn push_utf8(&mut self, mut bytes: &[u8], ended: bool) {
        loop {
            match str::from_utf8(bytes) {
                Ok(text) => {
                    self.window.push_str(text);
                    return;
                }
                Err(error) => {
                    let (valid, rest) = bytes.split_at(error.valid_up_to());
                    self.window.push_str(str::from_utf8(valid).unwrap_or_default());
                    let length = match error.error_len() {
                        Some(length) => length,
                        None if ended => rest.len(),
                        None => {
                            self.carry = rest.to_vec();
                            return;
                        }
                    };
                    self.damage(length);
                    bytes = &rest[length..];
                }
            }
        }
    }

    /// Writes U+FFFD for so many bytes.
    fn damage(&mut self, bytes: usize) {
        const REPLACEMENT_BYTES: i64 = 3;
        let at = self.base + self.window.len() as u64;
        self.window.push(char::REPLACEMENT_CHARACTER);
        self.shift_end += i64::try_from(bytes).unwrap_or(0) - REPLACEMENT_BYTES;
        if self.damages.len() >= XML_DAMAGES {
            self.hopeless = true;
            return;
        }
        let shift_after = self.shift_end;
        self.damages.push_back(Damage { at, shift_after });
    }

    /// Whether the text between two places of the window had to be repaired.
    pub(super) fn is_damaged(&self, start: usize, end: usize) -> bool {
        let (start, end) = (self.base + start as u64, self.base + end as u64);
        self.damages
            .iter()
            .any(|damage| (start..end).contains(&damage.at))
    }

    /// The input's offset of a place in the window.
    pub(super) fn offset(&self, position: usize) -> u64 {
        if self.encoding == Encoding::OneByte {
            let (mut place, mut offset) = self.anchor.get();
            if position < place {
                (place, offset) = (0, self.base_source);
            }
            let between = self.window.get(place..position).unwrap_or_default();
            offset += between.chars().count() as u64;
            self.anchor.set((position, offset));
            return offset;
        }
        let place = self.base + position as u64;
        let shift = self
            .damages
            .iter()
            .rev()
            .find(|damage| damage.at < place)
            .map_or(self.shift, |damage| damage.shift_after);
        place.saturating_add_signed(shift)
    }

    /// Forgets the window's beginning.
    pub(super) fn drop_before(&mut self, position: usize) {
        let source = self.offset(position);
        self.window.drain(..position);
        self.base += position as u64;
        self.base_source = source;
        self.anchor.set((0, source));
        while let Some(first) = self.damages.front()
            && first.at < self.base
        {
            self.shift = first.shift_after;
            self.damages.pop_front();
        }
    }
}

/// The encoding that a declaration at the start of some bytes names, if there is one.
pub(super) fn declared_encoding(start: &[u8]) -> Option<String> {
    let rest = start.strip_prefix(b"<?xml")?;
    let end = rest.windows(2).position(|pair| pair == b"?>")?;
    let declaration = String::from_utf8_lossy(&rest[..end]).into_owned();
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let name = value.get(1..)?.split(quote).next()?;
    Some(name.trim().to_owned())
}

/// A byte of windows-1252.
fn one_byte(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte & 0x1f)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::{Text, declared_encoding};

    #[test]
    fn declarations_name_their_encoding() {
        for (start, name) in [
            (
                &b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?><a/>"[..],
                Some("ISO-8859-1"),
            ),
            (b"<?xml version='1.0' encoding = 'utf-8'?>", Some("utf-8")),
            (b"<?xml version=\"1.0\"?><a encoding=\"x\"/>", None),
            (b"<a/>", None),
        ] {
            assert_eq!(declared_encoding(start).as_deref(), name);
        }
        assert!(Text::new(Some("UTF-16"), 0).is_none());
        assert!(Text::new(Some("EUC-JP"), 0).is_none());
    }

    #[test]
    fn offsets_are_the_inputs_own() {
        for chunk in [1, 2, 100] {
            let mut text = Text::new(None, 3).expect("UTF-8");
            let bytes = "aé".as_bytes().iter().copied().chain(*b"\xff\xe2\x82bc\xe2\x82");
            let bytes: Vec<u8> = bytes.collect();
            for piece in bytes.chunks(chunk) {
                text.push(piece, false);
            }
            text.push(b"", true);
            assert_eq!(text.window, "aé\u{fffd}\u{fffd}bc\u{fffd}");
            let place = |text: &Text, what: char| text.window.find(what).expect("there");
            let (a, b) = (place(&text, 'a'), place(&text, 'b'));
            assert_eq!((text.offset(a), text.offset(b)), (3, 3 + 6));
            assert!(text.is_damaged(0, b) && !text.is_damaged(b, b + 2));
            text.drop_before(b);
            assert_eq!((text.offset(0), text.offset(1)), (9, 10));
        }
        let mut text = Text::new(Some("latin1"), 0).expect("one byte");
        text.push(b"caf\xe9 \x93x\x94!", true);
        assert_eq!(text.window, "café “x”!");
        let end = text.window.len();
        assert_eq!(text.offset(end), 9);
        text.drop_before("café".len());
        assert_eq!((text.offset(0), text.offset(1)), (4, 5));
    }
}
