//! A walk over one JSON record. What is passed over is checked for its balance, what is taken as a whole.
//!
//! Not here: which values are wanted (`pick`).

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;
use tamiz_sdk::json::stream::{rest_length, value_length};

use crate::values::TooMuchText;

/// Why a record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    message: String,
    /// It ends too early.
    pub(crate) is_cut: bool,
}

impl Problem {
    pub(crate) fn at(position: usize, expected: &str) -> Self {
        Self {
            message: format!("it is no JSON at its byte {position}: expected {expected}"),
            is_cut: false,
        }
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self {
            message: format!("it is no JSON: {error}"),
            is_cut: error.is_eof(),
        }
    }
}

impl From<TooMuchText> for Problem {
    fn from(error: TooMuchText) -> Self {
        Self {
            message: error.to_string(),
            is_cut: false,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// A place in a record, and whether a member was passed in the container that was entered last.
pub(crate) struct Scan<'record> {
    text: &'record str,
    position: usize,
    /// Nothing of the container that was entered last was passed yet.
    fresh: bool,
}

impl<'record> Scan<'record> {
    pub(crate) const fn new(text: &'record str) -> Self {
        Self {
            text,
            position: 0,
            fresh: false,
        }
    }

    /// The next byte.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// Moves to the value that comes next and answers where it starts.
    pub(crate) fn seek_value(&mut self) -> Result<usize, Problem> {
        self.skip_blanks();
        match self.peek() {
            Some(_) => Ok(self.position),
            None => Err(self.wrong("a value")),
        }
    }

    /// Enters the object or array whose bracket comes next.
    pub(crate) const fn enter(&mut self) {
        self.position += 1;
        self.fresh = true;
    }

    /// The next member's key, with the scan before its value; nothing at the object's end.
    pub(crate) fn next_key(&mut self) -> Result<Option<Cow<'record, str>>, Problem> {
        if !self.next_member(b'}')? {
            return Ok(None);
        }
        self.skip_blanks();
        let start = self.position;
        self.skip_string()?;
        let key = unquoted(&self.text[start..self.position])?;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.wrong("`:`"));
        }
        self.position += 1;
        Ok(Some(key))
    }

    /// Whether another element comes.
    pub(crate) fn next_element(&mut self) -> Result<bool, Problem> {
        self.next_member(b']')
    }

    fn next_member(&mut self, close: u8) -> Result<bool, Problem> {
        let is_first = std::mem::take(&mut self.fresh);
        self.skip_blanks();
        match self.peek() {
            Some(byte) if byte == close => {
                self.position += 1;
                Ok(false)
            }
            Some(b',') if !is_first => {
                self.position += 1;
                Ok(true)
            }
            Some(_) if is_first => Ok(true),
            _ => Err(self.wrong("`,` or the end")),
        }
    }

    /// Goes behind the end of the array that was entered.
    pub(crate) fn leave(&mut self) -> Result<(), Problem> {
        let length = rest_length(&self.text.as_bytes()[self.position..]);
        self.pass(length, "`]`")
    }

    /// Goes behind the value that comes next.
    pub(crate) fn skip_value(&mut self) -> Result<(), Problem> {
        self.seek_value()?;
        self.fresh = false;
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'{' | b'[') => {
                let length = value_length(&self.text.as_bytes()[self.position..]);
                self.pass(length, "the end of a value")
            }
            _ => self.skip_word(),
        }
    }

    /// The value that was passed since `start`: a text decoded, nothing for null, anything else as it stands.
    pub(crate) fn text_since(&self, start: usize) -> Result<Option<Cow<'record, str>>, Problem> {
        let json = &self.text[start..self.position];
        match json.as_bytes().first() {
            Some(b'"') => Ok(Some(unquoted(json)?)),
            Some(b'n') => Ok(None),
            _ => {
                serde_json::from_str::<&RawValue>(json)?;
                Ok(Some(Cow::Borrowed(json)))
            }
        }
    }

    /// Checks that nothing but white space follows.
    pub(crate) fn finish(&mut self) -> Result<(), Problem> {
        self.skip_blanks();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("its end")),
        }
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text.as_bytes()[self.position..];
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
        self.position += blanks.count();
    }

    fn skip_string(&mut self) -> Result<(), Problem> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("a key"));
        }
        let bytes = self.text.as_bytes();
        let mut place = self.position + 1;
        while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(place..).unwrap_or_default()) {
            if bytes[place + found] == b'"' {
                self.position = place + found + 1;
                return Ok(());
            }
            place += found + 2;
        }
        self.pass(None, "the end of a text")
    }

    /// A number, `true`, `false` or `null`.
    fn skip_word(&mut self) -> Result<(), Problem> {
        let rest = &self.text.as_bytes()[self.position..];
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
        let word = &rest[..rest.iter().position(ends).unwrap_or(rest.len())];
        let is_number = word
            .first()
            .is_some_and(|byte| matches!(byte, b'-' | b'0'..=b'9'))
            && word.last().is_some_and(u8::is_ascii_digit)
            && word
                .iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        if !is_number && !matches!(word, b"true" | b"false" | b"null") {
            // what ends with the record may be the beginning of a right one
            let is_cut = word.len() == rest.len();
            return Err(Problem {
                is_cut,
                ..Problem::at(self.position, "a value")
            });
        }
        self.position += word.len();
        Ok(())
    }

    fn pass(&mut self, length: Option<usize>, expected: &str) -> Result<(), Problem> {
        let Some(length) = length else {
            self.position = self.text.len();
            return Err(self.wrong(expected));
        };
        self.position += length;
        Ok(())
    }

    fn wrong(&self, expected: &str) -> Problem {
        Problem {
            is_cut: self.position >= self.text.len(),
            ..Problem::at(self.position, expected)
        }
    }
}

/// What stands between the quotes.
fn unquoted(json: &str) -> Result<Cow<'_, str>, Problem> {
    if memchr::memchr(b'\\', json.as_bytes()).is_some() {
        return Ok(Cow::Owned(serde_json::from_str(json)?));
    }
    Ok(Cow::Borrowed(json.get(1..json.len() - 1).unwrap_or_default()))
}
