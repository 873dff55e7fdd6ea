//! Picking fields of one JSON record, without building what is not asked for.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tamiz_sdk::json::repair;

use crate::fields;

/// The fields of a record as a tree of keys.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    root: Node,
    /// None at all: the record's text is the one value.
    fields: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// Which fields are this value.
    picked: Vec<usize>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    key: String,
    /// The element, if the value turns out to be an array.
    index: Option<usize>,
    node: Node,
}

impl Picker {
    /// # Errors
    /// A field is no JSON Pointer.
    pub(crate) fn new(fields: &[String]) -> Result<Self, String> {
        let mut root = Node::default();
        for (number, field) in fields.iter().enumerate() {
            let mut node = &mut root;
            for key in fields::pointer(field)? {
                node = node.member(key);
            }
            node.picked.push(number);
        }
        Ok(Self {
            root,
            fields: fields.len(),
        })
    }

    /// The values of one record. Characters that are no Unicode read as U+FFFD.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn pick(&self, record: &[u8]) -> Result<Vec<Option<String>>, serde_json::Error> {
        let refused = match str::from_utf8(record).map(|text| self.pick_text(text)) {
            Ok(Ok(values)) => return Ok(values),
            Ok(Err(error)) => error,
            Err(error) => serde::de::Error::custom(error),
        };
        match repair(record) {
            Some(repaired) => self.pick_text(&String::from_utf8_lossy(&repaired)),
            None => Err(refused),
        }
    }

    fn pick_text(&self, text: &str) -> Result<Vec<Option<String>>, serde_json::Error> {
        if self.fields == 0 {
            let record: &RawValue = serde_json::from_str(text)?;
            return Ok(vec![Some(record.get().to_owned())]);
        }
        let mut values = vec![None; self.fields];
        let mut deserializer = serde_json::Deserializer::from_str(text);
        self.root.pick(&mut values, &mut deserializer)?;
        deserializer.end()?;
        Ok(values)
    }
}

impl Node {
    fn member(&mut self, key: String) -> &mut Self {
        let place = self.members.iter().position(|member| member.key == key);
        let place = place.unwrap_or_else(|| {
            self.members.push(Member {
                index: fields::index(&key),
                key,
                node: Self::default(),
            });
            self.members.len() - 1
        });
        &mut self.members[place].node
    }

    fn pick<'de, D: Deserializer<'de>>(
        &self,
        values: &mut [Option<String>],
        deserializer: D,
    ) -> Result<(), D::Error> {
        if self.picked.is_empty() {
            return deserializer.deserialize_any(Inside { node: self, values });
        }
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
        let value = text(raw.get()).map_err(serde::de::Error::custom)?;
        for number in &self.picked {
            values[*number].clone_from(&value);
        }
        if self.members.is_empty() {
            return Ok(());
        }
        let mut again = serde_json::Deserializer::from_str(raw.get());
        let inside = Inside { node: self, values };
        again.deserialize_any(inside).map_err(serde::de::Error::custom)
    }
}

/// A value as a plugin gets it: a text decoded, nothing for null, anything else as it stands.
fn text(json: &str) -> Result<Option<String>, serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map(Some),
        Some(b'n') => Ok(None),
        _ => Ok(Some(json.to_owned())),
    }
}

/// Goes through a value for what is asked of its members.
struct Inside<'pick> {
    node: &'pick Node,
    values: &'pick mut [Option<String>],
}

impl<'de> DeserializeSeed<'de> for Inside<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.node.pick(self.values, deserializer)
    }
}

impl<'de> Visitor<'de> for Inside<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(member) = members.next_key_seed(Key(&self.node.members))? {
            match member {
                Some(number) => members.next_value_seed(Inside {
                    node: &self.node.members[number].node,
                    values: &mut *self.values,
                })?,
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for number in 0.. {
            let wanted = self
                .node
                .members
                .iter()
                .find(|member| member.index == Some(number));
            let more = match wanted {
                Some(member) => elements
                    .next_element_seed(Inside {
                        node: &member.node,
                        values: &mut *self.values,
                    })?
                    .is_some(),
                None => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Which of the members a key is, without keeping it.
struct Key<'pick>(&'pick [Member]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|member| member.key == key))
    }
}

#[cfg(test)]
mod tests {
    use super::Picker;

    #[track_caller]
    fn check(record: &[u8], fields: &[&str], expected: &[Option<&str>]) {
        let fields: Vec<String> = fields.iter().map(|it| (*it).to_owned()).collect();
        let values = Picker::new(&fields).unwrap().pick(record).unwrap();
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        assert_eq!(values, expected, "{}", String::from_utf8_lossy(record));
    }

    #[test]
    fn values_are_picked_at_any_depth_and_in_the_order_asked_for() {
        let record = br#"{"b":[{"c":1},{"c":-2.50e3}],"a":"x\n\u00e9","n":null,"t":true,"o":{ "k" : [ ] }}"#;
        check(
            record,
            &[
                "/b/1/c", "/a", "/n", "/t", "/o", "/o/k", "/none", "/a/b", "/b/7", "/a",
            ],
            &[
                Some("-2.50e3"),
                Some("x\né"),
                None,
                Some("true"),
                Some(r#"{ "k" : [ ] }"#),
                Some("[ ]"),
                None,
                None,
                None,
                Some("x\né"),
            ],
        );
        check(b"7", &["", "/a"], &[Some("7"), None]);
        check(
            br#"{"a/b":{"~":1,"":2}}"#,
            &["/a~1b/~0", "/a~1b/"],
            &[Some("1"), Some("2")],
        );
        check(br#"{"a":1,"a":2,"0":3}"#, &["/a", "/0"], &[Some("2"), Some("3")]);
    }

    #[test]
    fn without_fields_the_record_comes_as_it_stands() {
        check(br#"{"a": [1, 2 ]}"#, &[], &[Some(r#"{"a": [1, 2 ]}"#)]);
    }

    #[test]
    fn damaged_characters_are_replaced() {
        check(b"{\"a\":\"caf\xe9\"}", &["/a"], &[Some("caf\u{fffd}")]);
        check(
            br#"{"a":"\ud800x","b":1}"#,
            &["/a", "/b"],
            &[Some("\u{fffd}x"), Some("1")],
        );
        check(b"[\"\xff\"]", &[], &[Some("[\"\u{fffd}\"]")]);
    }

    #[test]
    fn what_is_no_json_is_refused_wherever_it_stands() {
        let picker = Picker::new(&["/a".to_owned()]).unwrap();
        for record in [
            &b"{\"a\":1,\"b\":tru}"[..],
            b"{\"a\":1}x",
            b"{\"a\":1",
            b"",
            b"{a:1}",
            b"{\"a\":\"\x01\"}",
        ] {
            assert!(picker.pick(record).is_err(), "{record:?}");
        }
        let deep = format!("{{\"b\":{}{},\"a\":1}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(picker.pick(deep.as_bytes()).unwrap(), [Some("1".to_owned())]);
    }
}
