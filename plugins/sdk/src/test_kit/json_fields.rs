//! The members of the objects of JSON documents, with their places in the text.

use std::ops::Range;

use super::faults::Field;

/// Elements of each array that take part.
const ELEMENTS_MAX: usize = 3;

/// Levels that are gone into; deeper documents take no part.
const LEVELS_MAX: usize = 60;

/// The members of all documents in a text, one after the other as in JSON lines; none when it is
/// something else.
pub(super) fn json_fields(bytes: &[u8]) -> Vec<Field> {
    let mut scan = Scan {
        bytes,
        position: 0,
        fields: Vec::new(),
    };
    let mut documents = 0;
    loop {
        scan.blank();
        if scan.position >= bytes.len() {
            return scan.fields;
        }
        if scan.value(0, documents < ELEMENTS_MAX).is_none() {
            return Vec::new();
        }
        documents += 1;
    }
}

struct Scan<'text> {
    bytes: &'text [u8],
    position: usize,
    fields: Vec<Field>,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.position += 1)
    }

    /// Reads over a value; its members take part if `kept`.
    fn value(&mut self, level: usize, kept: bool) -> Option<Range<usize>> {
        self.blank();
        let start = self.position;
        match self.peek()? {
            b'{' if level < LEVELS_MAX => self.object(level, kept)?,
            b'[' if level < LEVELS_MAX => self.array(level, kept)?,
            b'"' => self.string()?,
            _ => {
                while self.peek().is_some_and(|byte| !b",]} \t\r\n".contains(&byte)) {
                    self.position += 1;
                }
            }
        }
        (self.position > start).then_some(start..self.position)
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            match self.peek()? {
                b'"' => {
                    self.position += 1;
                    return Some(());
                }
                b'\\' => self.position += 2,
                _ => self.position += 1,
            }
        }
    }

    fn array(&mut self, level: usize, kept: bool) -> Option<()> {
        self.take(b'[')?;
        self.blank();
        let mut index = 0;
        while self.peek()? != b']' {
            self.value(level + 1, kept && index < ELEMENTS_MAX)?;
            index += 1;
            self.blank();
            if self.peek()? == b',' {
                self.position += 1;
                self.blank();
            }
        }
        self.take(b']')
    }

    fn object(&mut self, level: usize, kept: bool) -> Option<()> {
        let start = self.position;
        let first_field = self.fields.len();
        let mut own = Vec::new();
        self.take(b'{')?;
        self.blank();
        let mut comma = None;
        while self.peek()? != b'}' {
            let key_start = self.position;
            self.string()?;
            let key = key_start..self.position;
            self.blank();
            self.take(b':')?;
            let value = self.value(level + 1, kept)?;
            self.blank();
            let mut dropped = comma.unwrap_or(key_start)..value.end;
            if self.peek()? == b',' {
                // The first member goes with the comma behind it, any other with the one in front.
                if comma.is_none() {
                    dropped.end = self.position + 1;
                }
                comma = Some(self.position);
                self.position += 1;
                self.blank();
            }
            if kept {
                own.push((key, value, dropped));
            }
        }
        self.take(b'}')?;
        for (key, value, dropped) in own {
            let other = match self.bytes.get(value.start)? {
                b'"' | b'n' => "7",
                b'{' => "[]",
                b'[' => "{}",
                _ => "\"x\"",
            };
            self.fields.push(Field {
                faults: vec![(dropped, ""), (value.clone(), "null"), (value, other)],
                inside: start..self.position,
                name: String::from_utf8_lossy(&self.bytes[key]).into_owned(),
            });
        }
        // In the order of the text, outer members first.
        self.fields[first_field..].sort_by_key(|field| field.faults[0].0.start);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::json_fields;

    #[test]
    fn every_member_is_damaged_in_three_ways() {
        let text = r#"{"a":1, "b":[{"c":"x"},{"d":{}}]}"#;
        let mut damaged = Vec::new();
        for field in json_fields(text.as_bytes()) {
            for (range, replacement) in field.faults {
                let mut copy = text.to_owned();
                copy.replace_range(range, replacement);
                serde_json::from_str::<serde_json::Value>(&copy).expect(&copy);
                damaged.push(copy);
            }
        }
        assert_eq!(damaged.len(), 12);
        assert!(
            damaged.contains(&r#"{ "b":[{"c":"x"},{"d":{}}]}"#.to_owned()),
            "{damaged:#?}"
        );
        assert!(damaged.contains(&r#"{"a":1, "b":[{"c":"x"},{}]}"#.to_owned()));
        assert!(damaged.contains(&r#"{"a":1, "b":{}}"#.to_owned()));
    }
}
