//! Reports of any size, grown from the real ones among the plugins' cases.
//!
//! A report is its real beginning, its real records over and over, and its real end. In each copy of a
//! record some names and numbers are others, character by character: a letter becomes a letter and a
//! digit a digit, so that no length, no escape and no type changes. The same size gives the same bytes.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::Outcome;

/// What a report is grown from.
pub(super) struct Seed {
    beginning: Vec<u8>,
    records: Vec<Record>,
    between: &'static [u8],
    end: Vec<u8>,
}

struct Record {
    text: Vec<u8>,
    /// Places of letters and digits that are others in each copy.
    varied: Vec<usize>,
}

impl Seed {
    /// From a report's text: `records` are parts of it, in order; `marks` stand in front of the words
    /// and numbers that vary.
    pub(super) fn new(text: &str, records: &[&str], between: &'static str, marks: &[&str]) -> Outcome<Self> {
        let offset = |part: &str| (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return Err("a seed without records".into());
        };
        let beginning = text.get(..offset(first)).ok_or("a record from elsewhere")?;
        let end = text
            .get(offset(last) + last.len()..)
            .ok_or("a record from elsewhere")?;
        let record = |record: &&str| Record {
            text: record.as_bytes().to_vec(),
            varied: marks.iter().flat_map(|mark| varied(record, mark)).collect(),
        };
        Ok(Self {
            beginning: beginning.into(),
            records: records.iter().map(record).collect(),
            between: between.as_bytes(),
            end: end.into(),
        })
    }

    /// Writes a report of at least `bytes` bytes; answers how many it has and how many records.
    pub(super) fn write(&self, path: &Path, bytes: u64) -> io::Result<(u64, u64)> {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        file.write_all(&self.beginning)?;
        let (mut written, mut records) = (self.beginning.len() as u64, 0_u64);
        let mut copy = Vec::new();
        while records == 0 || written < bytes {
            let index = usize::try_from(records).unwrap_or(usize::MAX) % self.records.len();
            copy.clear();
            if records > 0 {
                copy.extend_from_slice(self.between);
            }
            if let Some(record) = self.records.get(index) {
                let start = copy.len();
                copy.extend_from_slice(&record.text);
                vary(&mut copy, start, &record.varied, records);
            }
            file.write_all(&copy)?;
            written += copy.len() as u64;
            records += 1;
        }
        file.write_all(&self.end)?;
        file.flush()?;
        Ok((written + self.end.len() as u64, records))
    }
}

/// The longest word behind each `mark`, and behind a mark of a number the number: where its characters
/// stand. Escapes are left alone.
fn varied(record: &str, mark: &str) -> Vec<usize> {
    let mut places = Vec::new();
    for (start, _) in record.match_indices(mark) {
        let start = start + mark.len();
        let value = record.get(start..).unwrap_or_default();
        let value = value
            .split(['"', '<', ',', '}', '\\', '\n'])
            .next()
            .unwrap_or_default();
        let mut best = 0..0;
        let mut begin = 0;
        for (index, character) in value.char_indices().chain([(value.len(), ' ')]) {
            if !character.is_ascii_alphanumeric() {
                if index - begin > best.len() {
                    best = begin..index;
                }
                begin = index + character.len_utf8();
            }
        }
        // A number must not begin with a nought.
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let skipped = usize::from(is_number && best.len() > 1);
        places.extend((best.start + skipped..best.end).map(|place| start + place));
    }
    places
}

fn vary(copy: &mut [u8], start: usize, places: &[usize], number: u64) {
    let mut state = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for place in places {
        state = state.rotate_left(7).wrapping_mul(0x2545_f491_4f6c_dd1d);
        let pick = (state >> 40) as u8;
        if let Some(byte) = copy.get_mut(start + place) {
            *byte = match *byte {
                b'0'..=b'9' => b'1' + pick % 9,
                b'a'..=b'z' => b'a' + pick % 26,
                b'A'..=b'Z' => b'A' + pick % 26,
                other => other,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn copies_differ_in_what_is_marked_and_in_nothing_else() {
        let text = r#"[{"p":"a/bcd.e","n":17},{"p":"\n","n":0}]"#;
        let records = [&text[1..23], &text[24..40]];
        let seed = Seed::new(text, &records, ",", &["\"p\":\"", "\"n\":"]).expect("parts");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report");
        let (bytes, records) = seed.write(&path, 200).expect("written");
        let grown = std::fs::read_to_string(&path).expect("read");
        assert_eq!((grown.len() as u64, records), (bytes, 10));
        assert!(grown.starts_with("[{\"p\":\"a/"), "{grown}");
        let list: Vec<serde_json::Value> = serde_json::from_str(&grown).expect("JSON");
        assert_eq!(list[1]["p"], "\n");
        assert_ne!(list[0]["p"], list[2]["p"]);
        assert_eq!(list[0]["p"].as_str().map(str::len), Some(7));
    }
}
