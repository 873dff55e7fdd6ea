//! JSON read strictly: an object that says a key twice is refused, because two readers could
//! disagree about which of the two holds.

use std::fmt;

use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Number, Value};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A GraphQL value that was read strictly.
pub(super) struct Strict(pub(super) Value);

/// Reads one JSON text as a value. `serde_json` bounds its depth at 128.
pub(super) fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(bytes).map(|Strict(value)| value)
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = IndexMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            let shown = tamiz_core::text::cut(&key, 100).to_owned();
            if object.insert(Name::new(key), value).is_some() {
                return Err(A::Error::custom(format_args!(
                    "the key `{shown}` stands there twice"
                )));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_said_twice_is_refused_at_every_depth() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"v":{"list":[{"a":1,"a":1}]}}"#] {
            assert!(
                read(text.as_bytes())
                    .unwrap_err()
                    .to_string()
                    .contains("`a` stands there twice"),
                "{text}"
            );
        }
        assert!(read(br#"{"a":1,"b":[1.5,-3,"x",null,true]}"#).is_ok());
    }

    #[test]
    fn depth_text_after_the_value_and_broken_utf8_are_refused() {
        assert!(read("[".repeat(10_000).as_bytes()).is_err());
        assert!(read(b"{} {}").is_err());
        assert!(read(b"{\"a\":\"\xff\"}").is_err());
    }
}
