//! Which records of a report say what an earlier one said already: occurrences of that finding.
//!
//! Two records are equal when all that they say is: every text, severity, id, place and extra. Only where
//! in the report they stood is left aside. Converters merge nothing away, so that every record is counted
//! here, once, for a task and for a report that is converted on somebody's own machine.
//!
//! Not here: findings that are alike, such as the same flaw on another line; see `fingerprint`.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::finding::Finding;
use crate::identity::PartHash;

/// The hash of what a finding says, of its JSON without its origin: the first half of its SHA-256.
pub fn content_hash(said: &[u8]) -> PartHash {
    let mut half = PartHash::default();
    let bytes = half.len();
    half.copy_from_slice(&Sha256::digest(said)[..bytes]);
    half
}

/// What a record of a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<Name> {
    /// The first to say so.
    Finding(Name),
    /// It says what an earlier one said.
    Occurrence {
        /// The finding that was the first.
        of: Name,
        /// Its number among the occurrences of that finding, from 1.
        ordinal: u32,
    },
}

/// The records of one report so far.
///
/// Memory per distinct finding: the hash, the name and a number, 37 bytes where names are ids, with the
/// slack of a hash table at most twice that.
#[derive(Debug)]
pub struct Records<Name> {
    known: HashMap<PartHash, (Name, u32)>,
    said: Vec<u8>,
    content: PartHash,
}

impl<Name> Default for Records<Name> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            said: Vec::new(),
            content: PartHash::default(),
        }
    }
}

impl<Name: Copy> Records<Name> {
    /// Compares a finding with all before it; if it is the first of its kind, `name` names it.
    ///
    /// # Errors
    /// When the finding has no JSON form, which none of ours has not.
    pub fn add(
        &mut self,
        finding: &mut Finding,
        name: impl FnOnce() -> Name,
    ) -> Result<Record<Name>, serde_json::Error> {
        let origin = finding.origin.take();
        self.said.clear();
        let written = serde_json::to_writer(&mut self.said, finding);
        finding.origin = origin;
        written?;
        self.content = content_hash(&self.said);
        if let Some((of, ordinal)) = self.known.get_mut(&self.content) {
            *ordinal += 1;
            return Ok(Record::Occurrence {
                of: *of,
                ordinal: *ordinal,
            });
        }
        let name = name();
        self.known.insert(self.content, (name, 0));
        Ok(Record::Finding(name))
    }

    /// The last added finding as JSON without its origin, so that it need not be written twice.
    pub fn said(&self) -> &[u8] {
        &self.said
    }

    /// The hash of that.
    pub const fn content(&self) -> PartHash {
        self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Span;
    use crate::finding::tests::plain;

    fn at(offset: u32) -> Finding {
        Finding {
            origin: Some(Span {
                input: 0,
                offset,
                length: 9,
            }),
            ..plain()
        }
    }

    #[test]
    fn a_record_that_says_nothing_new_is_an_occurrence_of_the_first() {
        let mut records = Records::default();
        let mut number = 0;
        let mut add = |mut finding: Finding| {
            number += 1;
            let record = records.add(&mut finding, || number).unwrap();
            let said: Finding = serde_json::from_slice(records.said()).unwrap();
            assert_eq!(
                said,
                Finding {
                    origin: None,
                    ..finding.clone()
                }
            );
            (record, finding.origin)
        };
        let other = Finding {
            message: "another".into(),
            ..at(20)
        };
        let origin = at(0).origin;
        assert_eq!(add(at(0)), (Record::Finding(1), origin));
        assert_eq!(add(at(10)).0, Record::Occurrence { of: 1, ordinal: 1 });
        assert_eq!(add(other.clone()).0, Record::Finding(3));
        assert_eq!(add(at(30)).0, Record::Occurrence { of: 1, ordinal: 2 });
        assert_eq!(add(other).0, Record::Occurrence { of: 3, ordinal: 1 });
    }

    #[test]
    fn every_field_but_the_origin_makes_another_finding() {
        let mut records = Records::default();
        records.add(&mut plain(), || ()).unwrap();
        let text = serde_json::to_value(plain()).unwrap();
        let fields = text.as_object().unwrap();
        for (field, value) in fields.iter().filter(|(field, _)| *field != "origin") {
            let mut changed = fields.clone();
            let other = match (field.as_str(), value) {
                ("severity", _) => "low".into(),
                ("confidence", _) => "medium".into(),
                ("locations", _) => serde_json::json!([{ "kind": "domain", "name": "a.example" }]),
                ("cwe", _) => serde_json::json!([1]),
                (_, serde_json::Value::Array(_)) => serde_json::json!(["x"]),
                (_, serde_json::Value::Object(_)) => serde_json::json!({ "x": 1 }),
                _ => "x".into(),
            };
            changed.insert(field.clone(), other);
            let mut finding: Finding = serde_json::from_value(changed.into()).unwrap();
            assert_eq!(
                records.add(&mut finding, || ()).unwrap(),
                Record::Finding(()),
                "{field}"
            );
        }
    }
}
