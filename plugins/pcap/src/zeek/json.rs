//! Zeek's JSON logs: one object per line, whose keys have dots in them (`id.orig_h`).
//!
//! A file is one log, told by its keys; logs that were merged say which they are in `_path`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use tamiz_sdk::report::{Format, Head, Recognition, Session, Source, Stop, json_lines};

use super::{Line, Log, TOOL, conversation, line};
use crate::observed::{Observed, completeness};

/// The format.
pub(crate) struct Json;

struct Object(BTreeMap<String, String>);

impl Line for Object {
    fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// A set or a vector, as the tables write one.
fn texts(entries: &[Value]) -> String {
    let texts: Vec<&str> = entries.iter().filter_map(Value::as_str).collect();
    texts.join(",")
}

impl Object {
    fn new(members: serde_json::Map<String, Value>) -> Self {
        let texts = members.into_iter().filter_map(|(key, value)| match value {
            Value::String(text) => Some((key, text)),
            Value::Number(number) => Some((key, number.to_string())),
            Value::Bool(value) => Some((key, value.to_string())),
            Value::Array(entries) => Some((key, texts(&entries))),
            Value::Null | Value::Object(_) => None,
        });
        Self(texts.collect())
    }

    /// Which log it is from.
    fn log(&self) -> (Log, Cow<'_, str>) {
        match self.field("_path") {
            "" => {
                let (log, name) = Log::of_fields(|key| self.0.contains_key(key));
                (log, name.into())
            }
            path => (Log::of_path(path), path.into()),
        }
    }
}

impl Format for Json {
    fn name(&self) -> &'static str {
        "zeek-json"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["zeek"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        // Keys with dots in them cannot be asked for; each log has one of these.
        let keys = [
            "uid",
            "uids",
            "note",
            "fuid",
            "fingerprint",
            "_path",
            "peer",
            "host",
            "sig_id",
            "node",
            "id",
        ];
        let sure = |prefix: &str| {
            let has = |key: &str| head.has(&format!("{prefix}{key}"));
            has("ts") && keys.iter().any(|key| has(key))
        };
        if sure("") || sure("[].") {
            Recognition::Likely
        } else {
            Recognition::No
        }
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let input = source.name();
        let mut observed = Observed::default();
        let read = json_lines(source, session, |session, element| {
            let mut repaired = Vec::new();
            let members = element.read_or_lose::<serde_json::Map<String, Value>>(session, &mut repaired);
            let Some(members) = members else {
                return Ok(());
            };
            let object = Object::new(members);
            if object.0.is_empty() {
                session.lose_record("record-unreadable", &element, "has no field that a log has");
                return Ok(());
            }
            let (log, path) = object.log();
            if log == Log::Conn {
                observed.flow(&conversation(&object));
            }
            line(log, &path, &object, session, &element)
        });
        observed.finish(&input, "zeek-json", completeness(&read, session), session);
        read
    }
}
