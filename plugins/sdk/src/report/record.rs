//! One record of a report after the other, with everything that may be wrong with it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::{Session, Stop};
use crate::json::lenient::{Field, Object};
use crate::json::{JsonReader, Kind, Located, repair};
use crate::limits::{JSON_DEPTH, RECORD_BYTES};
use crate::model::{LogLevel, Span};

/// Short values of the envelope: versions, names, addresses.
const SMALL_VALUE_BYTES: usize = 4096;

/// What a diagnostic can name: an element of an array, a line, a row, an XML element.
pub trait Record {
    /// Its name, for messages: `results[3]`, `line 17`, `item[4]`.
    fn name(&self) -> String;

    /// Where it stood in the input.
    fn span(&self) -> Span;
}

/// Goes through the array that comes next. `handle` gets each element, named such as `results[3]`;
/// elements that are too large or too deep are lost before it.
///
/// # Errors
/// [`Stop`] of the reading, or of `handle`.
pub fn each(
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
                    place: Place::Index(array, index),
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
        session.advance(reader.offset());
    }
    Ok(())
}

/// Goes through an array of objects that hold records themselves: `handle` gets the reader in front
/// of each object (to be read with [`members`] and [`each`]) and the object's name, such as
/// `Results[2]`. An element that is no object is lost.
///
/// # Errors
/// [`Stop`] of the reading, or of `handle`.
pub fn objects(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    array: &str,
    mut handle: impl FnMut(&mut JsonReader<'_>, &mut Session<'_>, &str) -> Result<(), Stop>,
) -> Result<(), Stop> {
    reader.enter_array()?;
    let mut index = 0_u32;
    while reader.next_element()? {
        let name = format!("{array}[{index}]");
        if reader.kind()? == Kind::Object {
            handle(reader, session, &name)?;
        } else {
            let span = reader.skip()?;
            session.lose(
                "record-unreadable",
                &format!("{name} could not be read: it is not an object"),
                span,
            );
        }
        index = index.saturating_add(1);
        session.advance(reader.offset());
    }
    Ok(())
}

/// Goes through the object that comes next. `handle` gets each key and its value's kind, with the
/// reader before the value: it consumes the value and answers true, or leaves it and answers false.
///
/// # Errors
/// [`Stop`] of the reading, or of `handle`.
pub fn members(
    reader: &mut JsonReader<'_>,
    session: &mut Session<'_>,
    mut handle: impl FnMut(&mut JsonReader<'_>, &mut Session<'_>, &str, Kind) -> Result<bool, Stop>,
) -> Result<(), Stop> {
    reader.enter_object()?;
    while let Some(key) = reader.next_key()? {
        let kind = reader.kind()?;
        if !handle(reader, session, &key, kind)? {
            reader.skip()?;
        }
        session.advance(reader.offset());
    }
    Ok(())
}

/// One JSON record: an array's element, a line, or the member of an object whose keys are data.
#[derive(Clone, Copy)]
pub struct Element<'reader> {
    bytes: &'reader [u8],
    /// Where it stood.
    pub span: Span,
    place: Place<'reader>,
}

#[derive(Clone, Copy)]
enum Place<'reader> {
    Index(&'reader str, u32),
    Line(u64),
    Named(&'reader str),
}

impl Record for Element<'_> {
    fn name(&self) -> String {
        match self.place {
            Place::Index(array, index) => format!("{array}[{index}]"),
            Place::Line(number) => format!("line {number}"),
            Place::Named(name) => name.to_owned(),
        }
    }

    fn span(&self) -> Span {
        self.span
    }
}

impl<'reader> Element<'reader> {
    /// A record with a name of its own, such as a member of an object.
    pub fn named(name: &'reader str, bytes: &'reader [u8], span: Span) -> Self {
        let place = Place::Named(name);
        Self { bytes, span, place }
    }

    pub(super) fn line(number: u64, bytes: &'reader [u8], span: Span) -> Self {
        let place = Place::Line(number);
        Self { bytes, span, place }
    }

    /// Its text.
    pub fn bytes(&self) -> &'reader [u8] {
        self.bytes
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        Record::name(self)
    }

    /// Reads it as an object, if need be with its damaged characters replaced; `repaired` keeps the
    /// bytes that the answer then borrows from.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read<'record, T: Deserialize<'record>>(
        &'record self,
        session: &mut Session<'_>,
        repaired: &'record mut Vec<u8>,
    ) -> Result<T, String> {
        let problem = match unicode(self.bytes).and_then(object) {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        *repaired = repair(self.bytes).ok_or(problem)?;
        let value = unicode(repaired).and_then(object)?;
        session.partial = true;
        let message = format!("{}: characters that are not Unicode were replaced", self.name());
        session.tell(LogLevel::Warn, "text-not-unicode", &message, Some(self.span));
        Ok(value)
    }

    /// As [`Element::read`]; a record that cannot be read is lost and told.
    pub fn read_or_lose<'record, T: Deserialize<'record>>(
        &'record self,
        session: &mut Session<'_>,
        repaired: &'record mut Vec<u8>,
    ) -> Option<T> {
        match self.read(session, repaired) {
            Ok(value) => Some(value),
            Err(problem) => {
                let message = format!("{} could not be read: {problem}", self.name());
                session.lose("record-unreadable", &message, self.span);
                None
            }
        }
    }

    /// A part of this element, such as an entry of its list `messages`, as an element of its own with
    /// its place in the input. Parts come from fields of type [`RawValue`].
    pub fn part<'part>(&self, name: &'part str, part: &'part RawValue) -> Element<'part> {
        let bytes = part.get().as_bytes();
        // A part of repaired bytes lies elsewhere: then it is said to stand where the whole does.
        let start = (bytes.as_ptr() as usize).wrapping_sub(self.bytes.as_ptr() as usize);
        let span = match u32::try_from(start) {
            Ok(start) if start < self.span.length => Span {
                input: self.span.input,
                offset: self.span.offset.saturating_add(start),
                length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            },
            _ => self.span,
        };
        Element::named(name, bytes, span)
    }

    /// Tells which fields have another type than they should.
    pub fn tell_wrong(&self, session: &mut Session<'_>, fields: &[(&str, bool)]) {
        session.tell_wrong(self, fields);
    }
}

fn unicode(bytes: &[u8]) -> Result<&str, String> {
    str::from_utf8(bytes).map_err(|_| "it is not Unicode".to_owned())
}

/// From text, so that its strings need not be looked at one by one whether they are Unicode.
fn object<'record, T: Deserialize<'record>>(text: &'record str) -> Result<T, String> {
    match serde_json::from_str::<Field<Object<T>>>(text) {
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
///
/// # Errors
/// [`Stop`] of the reading.
pub fn small_text(reader: &mut JsonReader<'_>) -> Result<Option<String>, Stop> {
    match reader.value(SMALL_VALUE_BYTES)? {
        Located::Whole { bytes, .. } => Ok(serde_json::from_slice(bytes).ok()),
        Located::TooLarge { .. } | Located::TooDeep { .. } => Ok(None),
    }
}

/// A value of the envelope, as an object of known shape; nothing for one that is not.
///
/// # Errors
/// [`Stop`] of the reading.
pub fn small_object<T: for<'any> Deserialize<'any>>(reader: &mut JsonReader<'_>) -> Result<Option<T>, Stop> {
    match reader.value(RECORD_BYTES)? {
        Located::Whole { bytes, .. } => Ok(object(&String::from_utf8_lossy(bytes)).ok()),
        Located::TooLarge { .. } | Located::TooDeep { .. } => Ok(None),
    }
}

/// From an offset before a value up to the reader's place behind it.
pub fn span_since(reader: &JsonReader<'_>, start: u64) -> Span {
    span(start, reader.offset())
}

/// The span between two offsets; beyond 4 GiB, which the platform refuses, it sticks to the end.
pub(crate) fn span(start: u64, end: u64) -> Span {
    let bounded = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Span::new(bounded(start), bounded(end.saturating_sub(start)))
}
