//! One element of a report's array after the other, with everything that may be wrong with it.

use serde::Deserialize;
use tamiz_sdk::json::lenient::{Field, Object};
use tamiz_sdk::json::{JsonReader, Located, repair};
use tamiz_sdk::limits::{JSON_DEPTH, RECORD_BYTES};
use tamiz_sdk::model::{LogLevel, Span};

use crate::session::{Session, Stop};

/// Short values of the envelope: versions, names, addresses.
const SMALL_VALUE_BYTES: usize = 4096;

/// Goes through the array that comes next. `handle` gets each element's bytes and name, such as
/// `results[3]`; elements that are too large or too deep are lost before it.
pub(crate) fn each(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    array: &str,
    mut handle: impl FnMut(&mut Session<'_>, Element<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    reader.enter_array()?;
    let mut index = 0_u32;
    while reader.next_element()? {
        match reader.value(RECORD_BYTES)? {
            Located::Whole { bytes, span } => handle(
                session,
                Element {
                    bytes,
                    span,
                    array,
                    index,
                },
            )?,
            Located::TooLarge { span } => {
                let message = format!(
                    "{array}[{index}] has {} bytes, at most {RECORD_BYTES} are read",
                    span.length
                );
                session.lose("record-too-large", &message, span);
            }
            Located::TooDeep { span } => {
                let message = format!("{array}[{index}] is nested deeper than {JSON_DEPTH} levels");
                session.lose("record-too-deep", &message, span);
            }
        }
        index = index.saturating_add(1);
        session.advance(reader);
    }
    Ok(())
}

/// One element of an array.
#[derive(Clone, Copy)]
pub(crate) struct Element<'reader> {
    bytes: &'reader [u8],
    /// Where it stood.
    pub(crate) span: Span,
    array: &'reader str,
    index: u32,
}

impl Element<'_> {
    /// Its name, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{}[{}]", self.array, self.index)
    }

    /// Reads it as an object, if need be with its damaged characters replaced; `repaired` keeps the
    /// bytes that the answer then borrows from. Answers why when it cannot be read.
    pub(crate) fn read<'record, T: Deserialize<'record>>(
        &'record self,
        session: &mut Session<'_>,
        repaired: &'record mut Vec<u8>,
    ) -> Result<T, String> {
        match object(self.bytes) {
            Ok(value) => Ok(value),
            Err(problem) => {
                *repaired = repair(self.bytes).ok_or(problem)?;
                let value = object(repaired)?;
                session.partial = true;
                let message = format!("{}: characters that are not Unicode were replaced", self.name());
                session.tell(LogLevel::Warn, "text-not-unicode", &message, Some(self.span));
                Ok(value)
            }
        }
    }

    /// Tells which fields have another type than they should.
    pub(crate) fn tell_wrong(&self, session: &mut Session<'_>, fields: &[(&str, bool)]) {
        for (field, _) in fields.iter().filter(|(_, is_wrong)| *is_wrong) {
            let message = format!("{}: `{field}` has another type than expected", self.name());
            session.tell(LogLevel::Warn, "field-unreadable", &message, Some(self.span));
        }
    }
}

fn object<'record, T: Deserialize<'record>>(bytes: &'record [u8]) -> Result<T, String> {
    match serde_json::from_slice::<Field<Object<T>>>(bytes) {
        Ok(Field::Present(Object(value))) => Ok(value),
        Ok(Field::Absent | Field::Wrong) => Err("it is not an object".to_owned()),
        Err(error) => Err(without_place(&error)),
    }
}

/// A parser's message without its line and column, which count from the record's start; the
/// diagnostic's span says where the record is.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or(&message).to_owned()
}

/// A short string of the envelope; nothing for another type or a long one.
pub(crate) fn small_text(reader: &mut JsonReader<'_>) -> Result<Option<String>, Stop> {
    match reader.value(SMALL_VALUE_BYTES)? {
        Located::Whole { bytes, .. } => Ok(serde_json::from_slice(bytes).ok()),
        Located::TooLarge { .. } | Located::TooDeep { .. } => Ok(None),
    }
}

/// A value of the envelope, as an object of known shape; nothing for one that is not.
pub(crate) fn small_object<T: for<'any> Deserialize<'any>>(
    reader: &mut JsonReader<'_>,
) -> Result<Option<T>, Stop> {
    match reader.value(RECORD_BYTES)? {
        Located::Whole { bytes, .. } => Ok(object(bytes).ok()),
        Located::TooLarge { .. } | Located::TooDeep { .. } => Ok(None),
    }
}

/// From an offset before a value up to the reader's place behind it.
pub(crate) fn span_since(reader: &JsonReader<'_>, start: u64) -> Span {
    let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Span {
        offset: bounded(start),
        length: bounded(reader.offset() - start),
    }
}
