//! A first walk for what stands behind the records that it belongs to: tools that sort their keys name
//! the server after what they found.

use std::collections::BTreeMap;

use serde_json::Value;
use tamiz_sdk::json::{JsonError, JsonReader, Kind, Located};
use tamiz_sdk::report::Stop;

/// Objects that are looked at; a report of more targets than this names the first ones' only.
const OBJECTS_MAX: usize = 20_000;

/// Bytes of a value that is looked at: an address with what surrounds it.
const VALUE_BYTES: usize = 16 * 1024;

/// Some members of an object.
pub(crate) type Members = BTreeMap<String, Value>;

/// Members of each object of a list: the document's own (`list` is empty), or that under a key of it. A
/// document that is one object, without a key to look under, is a list of one. The reader is at the
/// first byte again afterwards.
pub(crate) fn members_of(
    reader: &mut JsonReader<'_>,
    list: &str,
    keys: &[&str],
) -> Result<Vec<Members>, Stop> {
    let mut objects = Vec::new();
    // What is wrong with the document is found again, and told, by who reads it.
    let _ = collect(reader, list, keys, &mut objects);
    reader.rewind()?;
    Ok(objects)
}

fn collect(
    reader: &mut JsonReader<'_>,
    list: &str,
    keys: &[&str],
    objects: &mut Vec<Members>,
) -> Result<(), JsonError> {
    if list.is_empty() {
        return match reader.kind()? {
            Kind::Array => elements(reader, keys, objects),
            Kind::Object => object(reader, keys, objects),
            _ => Ok(()),
        };
    }
    reader.enter_object()?;
    while let Some(key) = reader.next_key()? {
        if key == list && reader.kind()? == Kind::Array {
            elements(reader, keys, objects)?;
        } else {
            reader.skip()?;
        }
    }
    Ok(())
}

fn elements(reader: &mut JsonReader<'_>, keys: &[&str], objects: &mut Vec<Members>) -> Result<(), JsonError> {
    reader.enter_array()?;
    while objects.len() < OBJECTS_MAX && reader.next_element()? {
        if reader.kind()? == Kind::Object {
            object(reader, keys, objects)?;
        } else {
            reader.skip()?;
            objects.push(Members::new());
        }
    }
    Ok(())
}

fn object(reader: &mut JsonReader<'_>, keys: &[&str], objects: &mut Vec<Members>) -> Result<(), JsonError> {
    let place = objects.len();
    objects.push(Members::new());
    reader.enter_object()?;
    while let Some(key) = reader.next_key()? {
        if !keys.contains(&key.as_str()) {
            reader.skip()?;
            continue;
        }
        let value = match reader.value(VALUE_BYTES)? {
            Located::Whole { bytes, .. } => serde_json::from_slice(bytes).ok(),
            Located::TooLarge { .. } | Located::TooDeep { .. } => None,
        };
        if let (Some(value), Some(members)) = (value, objects.get_mut(place)) {
            members.insert(key, value);
        }
    }
    Ok(())
}

/// A text or number among members, as text.
pub(crate) fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}
