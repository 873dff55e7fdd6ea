//! Picking fields of one JSON record, without building what is not asked for.

use std::borrow::Cow;

use serde_json::value::RawValue;
use tamiz_sdk::json::repair;

use crate::fields;
use crate::scan::{Problem, Scan};
use crate::values::Values;

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
    pub(crate) fn pick(&self, record: &[u8]) -> Result<Vec<Option<String>>, Problem> {
        let refused = match str::from_utf8(record).map(|text| self.pick_text(text)) {
            Ok(Ok(values)) => return Ok(values),
            Ok(Err(error)) => error,
            Err(error) => Problem::at(error.valid_up_to(), "UTF-8"),
        };
        match repair(record) {
            Some(repaired) => self.pick_text(&String::from_utf8_lossy(&repaired)),
            None => Err(refused),
        }
    }

    fn pick_text(&self, text: &str) -> Result<Vec<Option<String>>, Problem> {
        if self.fields == 0 {
            let record: &RawValue = serde_json::from_str(text)?;
            let mut values = Values::new(1);
            values.put(0, Some(Cow::Borrowed(record.get())));
            return Ok(values.finish()?);
        }
        let mut values = Values::new(self.fields);
        let mut scan = Scan::new(text);
        self.root.pick(&mut scan, &mut values)?;
        scan.finish()?;
        Ok(values.finish()?)
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

    /// Goes through the value that comes next. As deep as the deepest field, whatever the record's depth.
    fn pick(&self, scan: &mut Scan<'_>, values: &mut Values) -> Result<(), Problem> {
        let start = scan.seek_value()?;
        match scan.peek() {
            Some(b'{') if !self.members.is_empty() => self.pick_members(scan, values)?,
            Some(b'[') if !self.members.is_empty() => self.pick_elements(scan, values)?,
            _ => scan.skip_value()?,
        }
        let Some((last, others)) = self.picked.split_last() else {
            return Ok(());
        };
        // after too much the record is only gone through: one that was cut off is to be told apart
        if values.is_over() {
            return Ok(());
        }
        let value = scan.text_since(start)?;
        for number in others {
            values.put(*number, value.as_deref().map(Cow::Borrowed));
        }
        values.put(*last, value);
        Ok(())
    }

    fn pick_members(&self, scan: &mut Scan<'_>, values: &mut Values) -> Result<(), Problem> {
        scan.enter();
        while let Some(key) = scan.next_key()? {
            match self.members.iter().find(|member| *member.key == *key) {
                Some(member) => member.node.pick(scan, values)?,
                None => scan.skip_value()?,
            }
        }
        Ok(())
    }

    fn pick_elements(&self, scan: &mut Scan<'_>, values: &mut Values) -> Result<(), Problem> {
        scan.enter();
        let Some(last) = self.members.iter().filter_map(|member| member.index).max() else {
            return scan.leave();
        };
        for number in 0..=last {
            if !scan.next_element()? {
                return Ok(());
            }
            match self.members.iter().find(|member| member.index == Some(number)) {
                Some(member) => member.node.pick(scan, values)?,
                None => scan.skip_value()?,
            }
        }
        scan.leave()
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
        check(br#"{"a":1,"a":null}"#, &["/a", "/a"], &[None, None]);
    }

    #[test]
    fn the_last_index_there_could_be_is_only_absent() {
        let last = format!("/{}", usize::MAX);
        check(b"[1,2]", &[&last, "/1"], &[None, Some("2")]);
        let object = format!("{{\"{}\":1}}", usize::MAX);
        check(object.as_bytes(), &[&last], &[Some("1")]);
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
    fn what_is_no_json_is_refused() {
        let picker = Picker::new(&["/a".to_owned()]).unwrap();
        for record in [
            &b"{\"a\":1,\"b\":yes}"[..],
            b"{\"a\":1,\"b\":1-e}",
            b"{\"a\":[1 2]}",
            b"{\"a\":01}",
            b"{\"a\" 1}",
            b"{\"a\":1,}",
            b"{\"a\":1 \"b\":2}",
            b"{\"a\":\"\\x\"}",
            b"{,}",
            b"{\"a\":}",
            b"{\"a\":1}x",
            b"{\"a\":1",
            b"",
            b"{a:1}",
        ] {
            assert!(picker.pick(record).is_err(), "{record:?}");
        }
        let deep = format!("{{\"b\":{}{},\"a\":1}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(picker.pick(deep.as_bytes()).unwrap(), [Some("1".to_owned())]);
    }
}
