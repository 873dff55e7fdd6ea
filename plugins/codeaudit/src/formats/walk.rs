//! Short ways through documents that are one object or one array.

use serde_json::value::RawValue;
use tamiz_sdk::json::{JsonReader, Kind};
use tamiz_sdk::report::{Element, Session, Source, Stop, each, members};

/// A document that is one object: `handle` is [`members`]'s.
pub(super) fn object(
    source: Source<'_>,
    session: &mut Session<'_>,
    handle: impl FnMut(&mut JsonReader<'_>, &mut Session<'_>, &str, Kind) -> Result<bool, Stop>,
) -> Result<(), Stop> {
    let mut reader = source.json()?;
    members(&mut reader, session, handle)?;
    Ok(reader.finish()?)
}

/// A document that is one array of records.
pub(super) fn list(
    source: Source<'_>,
    session: &mut Session<'_>,
    handle: impl FnMut(&mut Session<'_>, Element<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut reader = source.json()?;
    each(&mut reader, session, "", handle)?;
    Ok(reader.finish()?)
}

/// Reads a list of the envelope, each of whose entries says that something was not looked at.
pub(super) fn gaps(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    array: &str,
    describe: impl Fn(&serde_json::Value) -> String,
) -> Result<(), Stop> {
    /// One entry, shown as it is when `describe` makes nothing of it.
    const ENTRY_BYTES_MAX: usize = 64 * 1024;
    reader.enter_array()?;
    let mut index = 0_u32;
    while reader.next_element()? {
        let start = reader.offset();
        let entry = match reader.value(ENTRY_BYTES_MAX)? {
            tamiz_sdk::json::Located::Whole { bytes, .. } => serde_json::from_slice(bytes).ok(),
            _ => None,
        };
        let said = entry.as_ref().map(&describe).filter(|said| !said.is_empty());
        let message = match said {
            Some(said) => format!("the tool reports: {said}"),
            None => format!("{array}[{index}] could not be read"),
        };
        let at = tamiz_sdk::report::span_since(reader, start);
        session.gap("tool-error", &message, Some(at));
        index = index.saturating_add(1);
    }
    Ok(())
}

/// A text in a loose value; empty for anything else.
pub(super) fn text<'value>(value: &'value serde_json::Value, key: &str) -> &'value str {
    value
        .get(key)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

/// The entries of a list inside a record, each to be read by itself; none when it is no list.
pub(super) fn parts(list: Option<&RawValue>) -> Vec<&RawValue> {
    list.and_then(|list| serde_json::from_str(list.get()).ok())
        .unwrap_or_default()
}
