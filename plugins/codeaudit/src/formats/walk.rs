//! Short ways through documents that are one object or one array.

use tamiz_sdk::json::{JsonError, JsonReader, Kind};
use tamiz_sdk::limits::RECORD_BYTES;
use tamiz_sdk::model::{LogLevel, Span};
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

/// One object after the other, as tools write that append a report per repository or file.
pub(super) fn objects_in_a_row(
    source: Source<'_>,
    session: &mut Session<'_>,
    mut handle: impl FnMut(&mut JsonReader<'_>, &mut Session<'_>, &str, Kind) -> Result<bool, Stop>,
) -> Result<(), Stop> {
    let mut reader = source.json()?;
    loop {
        members(&mut reader, session, &mut handle)?;
        match reader.finish() {
            Ok(()) => return Ok(()),
            Err(JsonError::Trailing { .. }) if reader.kind()? == Kind::Object => {}
            Err(error) => return Err(error.into()),
        }
    }
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

/// Tells that a record's list of places was longer than is kept.
pub(super) fn tell_cut(session: &mut Session<'_>, element: &Element<'_>, field: &str, is_cut: bool) {
    if is_cut {
        let message = format!("`{field}` was cut, it is longer than is kept");
        session.note(LogLevel::Info, "field-cut", element, &message);
    }
}

/// A text in a loose value; empty for anything else.
pub(super) fn text<'value>(value: &'value serde_json::Value, key: &str) -> &'value str {
    value
        .get(key)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

/// An entry of an array that is kept until what stands behind it is known.
pub(super) struct Kept {
    name: String,
    bytes: Vec<u8>,
    span: Span,
}

impl Kept {
    pub(super) fn element(&self) -> Element<'_> {
        Element::named(&self.name, &self.bytes, self.span)
    }
}

/// Keeps the entries of the array that comes next, also those in front of an early end. What they
/// may have together is what one record may have; beyond that they are lost.
pub(super) fn keep(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    array: &str,
    kept: &mut Vec<Kept>,
) -> Result<(), Stop> {
    let mut room = RECORD_BYTES;
    each(reader, session, array, |session, element| {
        let Some(rest) = room.checked_sub(element.bytes().len().saturating_add(size_of::<Kept>())) else {
            session.lose_record("record-too-large", &element, "is one more than is kept at once");
            return Ok(());
        };
        room = rest;
        kept.push(Kept {
            name: element.name(),
            bytes: element.bytes().to_vec(),
            span: element.span,
        });
        Ok(())
    })
}
