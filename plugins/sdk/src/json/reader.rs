//! The walk through a document's envelope.

use super::error::JsonError;
use super::value_end::ValueEnd;
use crate::limits::{JSON_DEPTH, KEY_BYTES};
use crate::reader::{ChunkReader, Source};
use crate::text::clean_line;

/// Bytes of unexpected content that an error message quotes.
const QUOTE_BYTES: usize = 24;

/// What a value is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true`, `false` or `null`
    Word,
}

impl Kind {
    /// With its article, for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Word => "a bare word",
        }
    }
}

/// A value that was taken out of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located<'reader, P> {
    /// All of it, until the next call.
    Whole {
        /// The value's bytes; balanced, otherwise unchecked.
        bytes: &'reader [u8],
        /// Where it stood.
        span: P,
    },
    /// Skipped: larger than asked for.
    TooLarge {
        /// Where it stood.
        span: P,
    },
    /// Skipped: nested deeper than [`JSON_DEPTH`].
    TooDeep {
        /// Where it stood.
        span: P,
    },
}

/// Reads one document from an input; see [`crate::json`].
///
/// Every value has to be consumed by exactly one of `value`, `skip`, `enter_object` or
/// `enter_array`; after entering, `next_key` or `next_element` go through the members until they
/// answer that there are no more.
pub struct JsonReader<S: Source> {
    source: ChunkReader<S>,
    window: Vec<u8>,
    position: usize,
    window_offset: u64,
    ended: bool,
    /// For each level that was entered: whether a member was seen already.
    levels: Vec<bool>,
    loose_ends: bool,
}

impl<S: Source> JsonReader<S> {
    /// Nothing is read yet; [`JsonReader::start`] has to come first.
    pub fn new(source: S) -> Self {
        Self {
            source: ChunkReader::new(source),
            window: Vec::new(),
            position: 0,
            window_offset: 0,
            ended: false,
            levels: Vec::new(),
            loose_ends: false,
        }
    }

    /// Looks at the first bytes, as [`JsonReader::start`] does.
    ///
    /// # Errors
    /// As [`JsonReader::start`].
    pub fn open(source: S) -> Result<Self, JsonError<S::Error>> {
        let mut reader = Self::new(source);
        reader.start()?;
        Ok(reader)
    }

    /// Starts again at the document's first byte.
    ///
    /// # Errors
    /// As [`JsonReader::open`]; with [`JsonError::Io`] from the rewind itself the reading can go on
    /// where it was.
    pub fn rewind(&mut self) -> Result<(), JsonError<S::Error>> {
        self.source.rewind().map_err(|source| self.io_error(source))?;
        self.window.clear();
        self.levels.clear();
        (self.position, self.window_offset, self.ended) = (0, 0, false);
        self.start()
    }

    /// The source, wherever its reading stands.
    pub fn into_source(self) -> S {
        self.source.into_source()
    }

    /// Takes what a tool writes that puts its envelope together by hand: a comma in front of the first
    /// member or behind the last, and an object where a key should be, which ends the one before it.
    pub fn allow_loose_ends(&mut self) {
        self.loose_ends = true;
    }

    /// The offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.window_offset + self.position as u64
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`JsonError`] when nothing, or nothing that starts a value, comes.
    pub fn kind(&mut self) -> Result<Kind, JsonError<S::Error>> {
        match self.peek()? {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'"' => Ok(Kind::String),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' | b'f' | b'n' => Ok(Kind::Word),
            _ => Err(self.syntax("a value")),
        }
    }

    /// The bytes that come next, at most `bytes` and fewer only at the input's end: a look ahead, to
    /// decide how to read what comes.
    ///
    /// # Errors
    /// [`JsonError::Io`] when the platform cannot or will not read on.
    pub fn ahead(&mut self, bytes: usize) -> Result<&[u8], JsonError<S::Error>> {
        self.ensure(bytes)?;
        let rest = &self.window[self.position..];
        Ok(&rest[..rest.len().min(bytes)])
    }

    /// Enters an object; [`JsonReader::next_key`] goes on.
    ///
    /// # Errors
    /// [`JsonError`] when none comes, or too many levels were entered.
    pub fn enter_object(&mut self) -> Result<(), JsonError<S::Error>> {
        self.enter(b'{', "an object")
    }

    /// Enters an array; [`JsonReader::next_element`] goes on.
    ///
    /// # Errors
    /// [`JsonError`] when none comes, or too many levels were entered.
    pub fn enter_array(&mut self) -> Result<(), JsonError<S::Error>> {
        self.enter(b'[', "an array")
    }

    /// The next member's key, with the reader before its value; none at the object's end.
    ///
    /// # Errors
    /// [`JsonError`] when the object goes on otherwise.
    pub fn next_key(&mut self) -> Result<Option<String>, JsonError<S::Error>> {
        if !self.next_member(b'}', "`,` or `}`")? {
            return Ok(None);
        }
        let byte = self.peek()?;
        if byte == b'{' && self.loose_ends {
            self.levels.pop();
            return Ok(None);
        }
        if byte != b'"' {
            return Err(self.syntax("a key"));
        }
        let offset = self.offset();
        let Located::Whole { bytes, .. } = self.value(KEY_BYTES)? else {
            return Err(JsonError::TooLong { offset });
        };
        let Ok(key) = serde_json::from_slice::<String>(bytes) else {
            return Err(JsonError::Syntax {
                offset,
                expected: "a key in UTF-8",
                found: quote(bytes),
            });
        };
        if self.peek()? != b':' {
            return Err(self.syntax("`:`"));
        }
        self.position += 1;
        Ok(Some(key))
    }

    /// Whether another element comes, with the reader before it.
    ///
    /// # Errors
    /// [`JsonError`] when the array goes on otherwise.
    pub fn next_element(&mut self) -> Result<bool, JsonError<S::Error>> {
        self.next_member(b']', "`,` or `]`")
    }

    /// Takes a whole value, if it has at most `limit_bytes`; a larger one is skipped.
    ///
    /// # Errors
    /// [`JsonError`] when the value has no end, or none starts here.
    pub fn value(&mut self, limit_bytes: usize) -> Result<Located<'_, S::Place>, JsonError<S::Error>> {
        let start = self.seek_value()?;
        let mut end = ValueEnd::new(JSON_DEPTH);
        let mut seen = 0;
        let length = loop {
            if let Some(length) = self.advance_value(&mut end, &mut seen)? {
                break length;
            }
            if seen > limit_bytes {
                return Ok(Located::TooLarge {
                    span: self.skip_rest(start, end, seen)?,
                });
            }
        };
        let bytes_start = self.position;
        self.position += length;
        let span = S::place(start, self.offset());
        if end.too_deep() {
            return Ok(Located::TooDeep { span });
        }
        if length > limit_bytes {
            return Ok(Located::TooLarge { span });
        }
        Ok(Located::Whole {
            bytes: &self.window[bytes_start..self.position],
            span,
        })
    }

    /// Skips a value of any size.
    ///
    /// # Errors
    /// [`JsonError`] when the value has no end, is nested too deep, or none starts here.
    pub fn skip(&mut self) -> Result<S::Place, JsonError<S::Error>> {
        let start = self.seek_value()?;
        let mut end = ValueEnd::new(JSON_DEPTH);
        let span = if matches!(self.kind()?, Kind::Number | Kind::Word) {
            self.value(KEY_BYTES)?;
            S::place(start, self.offset())
        } else {
            self.skip_counting(start, &mut end)?
        };
        if end.too_deep() {
            Err(JsonError::TooDeep { offset: start })
        } else {
            Ok(span)
        }
    }

    /// Checks that nothing but white space follows.
    ///
    /// # Errors
    /// [`JsonError::Trailing`] when something does.
    pub fn finish(&mut self) -> Result<(), JsonError<S::Error>> {
        let offset = self.offset();
        match self.peek() {
            Err(JsonError::Ended { .. }) => Ok(()),
            Err(other) => Err(other),
            Ok(_) => {
                self.ensure(QUOTE_BYTES)?;
                Err(JsonError::Trailing {
                    offset,
                    found: quote(&self.window[self.position..]),
                })
            }
        }
    }

    /// Looks at the first bytes: drops a UTF-8 byte-order mark, refuses other encodings
    /// and what is no text.
    ///
    /// # Errors
    /// [`JsonError::Empty`], [`JsonError::Encoding`], [`JsonError::Foreign`] or [`JsonError::Io`].
    pub fn start(&mut self) -> Result<(), JsonError<S::Error>> {
        self.ensure(4)?;
        if let Some(what) = foreign_format(&self.window) {
            return Err(JsonError::Foreign { what });
        }
        if let Some(encoding) = foreign_encoding(&self.window) {
            return Err(JsonError::Encoding { encoding });
        }
        if self.window.starts_with(b"\xef\xbb\xbf") {
            self.position = 3;
        }
        match self.peek() {
            Err(JsonError::Ended { offset }) => Err(JsonError::Empty { bytes: offset }),
            Err(other) => Err(other),
            Ok(_) => Ok(()),
        }
    }

    fn enter(&mut self, bracket: u8, expected: &'static str) -> Result<(), JsonError<S::Error>> {
        if self.peek()? != bracket {
            return Err(self.syntax(expected));
        }
        if self.levels.len() >= JSON_DEPTH as usize {
            return Err(JsonError::TooDeep {
                offset: self.offset(),
            });
        }
        self.position += 1;
        self.levels.push(false);
        Ok(())
    }

    fn next_member(&mut self, close: u8, expected: &'static str) -> Result<bool, JsonError<S::Error>> {
        let seen = self.levels.last().copied().unwrap_or(false);
        let byte = self.peek()?;
        if byte == close {
            self.position += 1;
            self.levels.pop();
            return Ok(false);
        }
        if seen || (self.loose_ends && byte == b',') {
            if byte != b',' {
                return Err(self.syntax(expected));
            }
            self.position += 1;
            if self.loose_ends && self.peek()? == close {
                self.position += 1;
                self.levels.pop();
                return Ok(false);
            }
        }
        if let Some(level) = self.levels.last_mut() {
            *level = true;
        }
        Ok(true)
    }

    /// Moves to the next value's first byte and answers its offset.
    fn seek_value(&mut self) -> Result<u64, JsonError<S::Error>> {
        self.kind()?;
        Ok(self.offset())
    }

    /// Looks for the end of the value at `position` in what is in the window, or reads more.
    /// `seen` bytes of it were looked at before.
    fn advance_value(
        &mut self,
        end: &mut ValueEnd,
        seen: &mut usize,
    ) -> Result<Option<usize>, JsonError<S::Error>> {
        let bytes = &self.window[self.position + *seen..];
        let bare = *seen == 0
            && bytes
                .first()
                .is_some_and(|byte| !matches!(byte, b'{' | b'[' | b'"'));
        if bare {
            return self.bare_word().map(Some);
        }
        if let Some(length) = end.advance(bytes) {
            return Ok(Some(*seen + length));
        }
        *seen = self.window.len() - self.position;
        if self.more()? {
            Ok(None)
        } else {
            Err(JsonError::Ended {
                offset: self.window_end(),
            })
        }
    }

    /// The length of a number or word: up to a separator, a bracket or white space.
    fn bare_word(&mut self) -> Result<usize, JsonError<S::Error>> {
        loop {
            let bytes = &self.window[self.position..];
            let end = bytes
                .iter()
                .position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t'));
            let length = end.unwrap_or(bytes.len());
            if length > KEY_BYTES {
                return Err(JsonError::TooLong {
                    offset: self.offset(),
                });
            }
            // At the end of the input a bare word may still be a whole document.
            if end.is_some() || !self.more()? {
                let word = &self.window[self.position..self.position + length];
                let right = serde_json::from_slice::<&serde_json::value::RawValue>(word).is_ok();
                return if right {
                    Ok(length)
                } else {
                    Err(self.syntax("a value"))
                };
            }
        }
    }

    /// Goes on to the end of a value that is too large to be kept; `seen` bytes were looked at.
    fn skip_rest(
        &mut self,
        start: u64,
        mut end: ValueEnd,
        seen: usize,
    ) -> Result<S::Place, JsonError<S::Error>> {
        self.position += seen;
        self.skip_counting(start, &mut end)
    }

    fn skip_counting(&mut self, start: u64, end: &mut ValueEnd) -> Result<S::Place, JsonError<S::Error>> {
        loop {
            if let Some(length) = end.advance(&self.window[self.position..]) {
                self.position += length;
                return Ok(S::place(start, self.offset()));
            }
            self.position = self.window.len();
            if !self.more()? {
                return Err(JsonError::Ended {
                    offset: self.window_end(),
                });
            }
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Result<u8, JsonError<S::Error>> {
        loop {
            let rest = &self.window[self.position..];
            if let Some(index) = rest
                .iter()
                .position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
            {
                self.position += index;
                return Ok(self.window[self.position]);
            }
            self.position = self.window.len();
            if !self.more()? {
                return Err(JsonError::Ended {
                    offset: self.window_end(),
                });
            }
        }
    }

    /// Reads another chunk behind what is still needed; whether there was one.
    fn more(&mut self) -> Result<bool, JsonError<S::Error>> {
        if self.ended {
            return Ok(false);
        }
        self.window.drain(..self.position);
        self.window_offset += self.position as u64;
        self.position = 0;
        let count = self
            .source
            .append_chunk(&mut self.window)
            .map_err(|source| self.io_error(source))?;
        self.ended = count == 0;
        Ok(!self.ended)
    }

    /// Reads until so many bytes lie ahead, if the input has them.
    fn ensure(&mut self, bytes: usize) -> Result<(), JsonError<S::Error>> {
        while self.window.len() - self.position < bytes && self.more()? {}
        Ok(())
    }

    fn window_end(&self) -> u64 {
        self.window_offset + self.window.len() as u64
    }

    /// The quote has the same length however the input comes in chunks.
    fn syntax(&mut self, expected: &'static str) -> JsonError<S::Error> {
        if let Err(error) = self.ensure(QUOTE_BYTES) {
            return error;
        }
        JsonError::Syntax {
            offset: self.offset(),
            expected,
            found: quote(&self.window[self.position..]),
        }
    }

    fn io_error(&self, source: S::Error) -> JsonError<S::Error> {
        JsonError::Io {
            offset: self.window_end(),
            source,
        }
    }
}

/// Content as an error message shows it: short and printable.
fn quote(bytes: &[u8]) -> String {
    if bytes.first() == Some(&0) {
        return "a NUL byte".to_owned();
    }
    let shown = &bytes[..bytes.len().min(QUOTE_BYTES)];
    format!(
        "`{}`",
        clean_line(&String::from_utf8_lossy(shown), QUOTE_BYTES * 2).text
    )
}

/// What the first bytes give away, if it is not UTF-8.
pub fn foreign_encoding(start: &[u8]) -> Option<&'static str> {
    match start {
        [0xff, 0xfe, 0, 0, ..] => Some("UTF-32LE"),
        [0, 0, 0xfe, 0xff, ..] => Some("UTF-32BE"),
        [0xff, 0xfe, ..] => Some("UTF-16LE"),
        [0xfe, 0xff, ..] => Some("UTF-16BE"),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => {
            Some("UTF-16LE without a byte-order mark")
        }
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => {
            Some("UTF-16BE without a byte-order mark")
        }
        _ => None,
    }
}

/// What people hand in by mistake.
pub fn foreign_format(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x1f, 0x8b, ..] => Some("gzip-compressed"),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some("a zip archive"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF"),
        [0x7f, b'E', b'L', b'F', ..] => Some("an ELF program"),
        [0, b'a', b's', b'm', ..] => Some("a wasm program"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use crate::json::{JsonError, JsonReader, Located};
    use crate::memory::MemoryInput;

    #[test]
    fn an_envelope_with_loose_ends_is_read_where_that_is_allowed() {
        let text = br#"{"a":[1,2,],{"b":[,3,],}{"c":4}"#;
        let mut input = MemoryInput::new("report", &text[..]).with_chunk_bytes(3);
        let mut reader = JsonReader::open(&mut input).expect("text");
        reader.allow_loose_ends();
        let mut seen = Vec::new();
        while reader.kind().is_ok() {
            reader.enter_object().expect("an object");
            while let Some(key) = reader.next_key().expect("a key or the end") {
                seen.push(key);
                if reader.kind().expect("a value") != Kind::Array {
                    reader.skip().expect("a number");
                    continue;
                }
                reader.enter_array().expect("an array");
                while reader.next_element().expect("a number or the end") {
                    let span = reader.skip().expect("a number");
                    seen.push(span.offset.to_string());
                }
            }
        }
        assert_eq!(seen, ["a", "6", "8", "b", "19", "c"]);

        let mut input = MemoryInput::new("report", &text[..]);
        let mut reader = JsonReader::open(&mut input).expect("text");
        reader.enter_object().expect("an object");
        reader.next_key().expect("a key");
        reader.skip().expect("an array, or so it seems");
        assert!(matches!(reader.next_key(), Err(JsonError::Syntax { .. })));
    }

    /// Reads an array of objects and answers each element's text, or what was wrong.
    fn elements(text: &[u8], chunk_bytes: usize, limit_bytes: usize) -> Result<Vec<String>, JsonError> {
        let mut input = MemoryInput::new("report", text).with_chunk_bytes(chunk_bytes);
        let mut reader = JsonReader::open(&mut input)?;
        let mut seen = Vec::new();
        reader.enter_array()?;
        while reader.next_element()? {
            seen.push(match reader.value(limit_bytes)? {
                Located::Whole { bytes, span } => {
                    assert_eq!(
                        bytes,
                        &text[span.offset as usize..(span.offset + span.length) as usize]
                    );
                    String::from_utf8_lossy(bytes).into_owned()
                }
                Located::TooLarge { span } => format!("too large: {}", span.length),
                Located::TooDeep { span } => format!("too deep: {}", span.length),
            });
        }
        reader.finish()?;
        Ok(seen)
    }

    #[track_caller]
    fn check(text: &[u8], expected: &Result<Vec<&str>, JsonError>) {
        for chunk_bytes in [1, 2, 3, 7, 64, 1 << 20] {
            let seen = elements(text, chunk_bytes, 100);
            match (&seen, expected) {
                (Ok(seen), Ok(expected)) => assert_eq!(seen, expected),
                (Err(seen), Err(expected)) => assert_eq!(seen, expected),
                _ => panic!("{seen:?} is not {expected:?} at chunk size {chunk_bytes}"),
            }
        }
    }

    #[test]
    fn records_come_one_by_one() {
        check(
            br#" [ {"a":[1,{}]} , "x]" ,null,-1.5e3,[] ]  "#,
            &Ok(vec![r#"{"a":[1,{}]}"#, r#""x]""#, "null", "-1.5e3", "[]"]),
        );
        check(b"[]", &Ok(vec![]));
        check(b"\xef\xbb\xbf[1]", &Ok(vec!["1"]));
    }

    #[test]
    fn large_and_deep_records_are_skipped_and_the_next_is_read() {
        let large = format!(r#"[1,"{}",{{"a":"{}"}},2]"#, "x".repeat(99), "y".repeat(500));
        check(
            large.as_bytes(),
            &Ok(vec!["1", "too large: 101", "too large: 508", "2"]),
        );
        let deep = format!("[{}{},2]", "[".repeat(129), "]".repeat(129));
        for chunk_bytes in [1, 64, 1000] {
            let seen = elements(deep.as_bytes(), chunk_bytes, 1000);
            assert_eq!(seen, Ok(vec!["too deep: 258".to_owned(), "2".to_owned()]));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        check(b"", &Err(JsonError::Empty { bytes: 0 }));
        check(b" \n ", &Err(JsonError::Empty { bytes: 3 }));
        check(b"[1,{\"a\":2", &Err(JsonError::Ended { offset: 9 }));
        check(b"[1", &Err(JsonError::Ended { offset: 2 }));
        check(
            b"\xff\xfe[\0]\0",
            &Err(JsonError::Encoding { encoding: "UTF-16LE" }),
        );
        check(
            b"[\x001\0]\0",
            &Err(JsonError::Encoding {
                encoding: "UTF-16LE without a byte-order mark",
            }),
        );
        check(b"[1]", &Ok(vec!["1"]));
    }

    #[test]
    fn wrong_syntax_names_what_was_expected() {
        for (text, message) in [
            (
                &b"<!doctype html>"[..],
                "not JSON at byte 0: expected an array, found `<!doctype html>`",
            ),
            (b"[1 2]", "not JSON at byte 3: expected `,` or `]`, found `2]`"),
            (b"[NaN]", "not JSON at byte 1: expected a value, found `NaN]`"),
            (b"[1.2.3]", "not JSON at byte 1: expected a value, found `1.2.3]`"),
            (
                b"[\x00]",
                "not JSON at byte 1: expected a value, found a NUL byte",
            ),
            (
                b"[1]\n{\"a\":1}",
                "the document ends at byte 3, but `{\"a\":1}` follows",
            ),
        ] {
            let error = elements(text, 1 << 20, 100).expect_err("wrong");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn an_object_is_walked_by_its_keys() {
        let text = br#"{"a":1,"b\u0041":{"c":[[],{}]},"d":[{"e":2}]}"#;
        for chunk_bytes in [1, 7, 1000] {
            let mut input = MemoryInput::new("report", &text[..]).with_chunk_bytes(chunk_bytes);
            let mut reader = JsonReader::open(&mut input).expect("starts well");
            let mut keys = Vec::new();
            for _ in 0..2 {
                assert_eq!(reader.kind(), Ok(Kind::Object));
                reader.enter_object().expect("an object");
                while let Some(key) = reader.next_key().expect("well formed") {
                    reader.skip().expect("well formed");
                    keys.push(key);
                }
                reader.finish().expect("nothing follows");
                reader.rewind().expect("memory can be read again");
            }
            assert_eq!(keys, ["a", "bA", "d", "a", "bA", "d"]);
        }
    }

    #[test]
    fn skipping_refuses_what_is_too_deep() {
        let text = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
        let mut input = MemoryInput::new("report", text.as_bytes()).with_chunk_bytes(4096);
        let mut reader = JsonReader::open(&mut input).expect("starts well");
        assert_eq!(reader.skip(), Err(JsonError::TooDeep { offset: 0 }));
    }
}
