//! The elements of an array somewhere in a JSON document.

use tamiz_sdk::json::Kind;
use tamiz_sdk::json::stream::{JsonError, JsonReader, Located};
use tamiz_sdk::limits::{JSON_DEPTH, RECORD_BYTES};

use crate::ByteSource;
use crate::fields;
use crate::pick::Picker;
use crate::row::{Ending, Row, Step};

pub(crate) struct JsonArray<S: ByteSource> {
    reader: JsonReader<S>,
    /// The way to the array.
    tokens: Vec<String>,
    picker: Picker,
    /// What was entered on the way, the array included.
    entered: Vec<Kind>,
    begun: bool,
}

/// Why the walk stops.
enum Stop<E> {
    Ended(Ending),
    Source(E),
}

impl<E> From<JsonError<E>> for Stop<E> {
    fn from(error: JsonError<E>) -> Self {
        match error {
            JsonError::Io { source, .. } => Self::Source(source),
            JsonError::Empty { .. } | JsonError::Ended { .. } => Self::Ended(Ending::Truncated),
            _ => Self::Ended(Ending::Malformed),
        }
    }
}

impl<S: ByteSource> JsonArray<S> {
    pub(crate) fn new(source: S, tokens: Vec<String>, picker: Picker) -> Self {
        Self {
            reader: JsonReader::new(source),
            tokens,
            picker,
            entered: Vec::new(),
            begun: false,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Step, S::Error> {
        match self.step() {
            Ok(step) => Ok(step),
            Err(Stop::Ended(ending)) => Ok(Step::End(ending)),
            Err(Stop::Source(error)) => Err(error),
        }
    }

    pub(crate) fn into_source(self) -> S {
        self.reader.into_source()
    }

    fn step(&mut self) -> Result<Step, Stop<S::Error>> {
        if !self.begun {
            self.begun = true;
            self.reader.start()?;
            self.descend()?;
        }
        if self.reader.next_element()? {
            return Ok(Step::Row(self.element()?));
        }
        self.entered.pop();
        self.leave()?;
        Ok(Step::End(Ending::Whole))
    }

    fn element(&mut self) -> Result<Row, Stop<S::Error>> {
        Ok(match self.reader.value(RECORD_BYTES)? {
            Located::Whole { bytes, span } => Row::of(span, self.picker.pick(bytes)),
            Located::TooLarge { span } => Row::unreadable(
                span,
                format!("it has more than {RECORD_BYTES} bytes, which is all that is read of one"),
            ),
            Located::TooDeep { span } => {
                Row::unreadable(span, format!("it is nested deeper than {JSON_DEPTH} levels"))
            }
        })
    }

    /// Enters what is on the way, and the array.
    fn descend(&mut self) -> Result<(), Stop<S::Error>> {
        for token in &self.tokens {
            let kind = self.reader.kind()?;
            let found = match kind {
                Kind::Object => {
                    self.reader.enter_object()?;
                    seek_member(&mut self.reader, token)?
                }
                Kind::Array => {
                    self.reader.enter_array()?;
                    seek_element(&mut self.reader, token)?
                }
                _ => false,
            };
            if !found {
                return Err(Stop::Ended(Ending::Malformed));
            }
            self.entered.push(kind);
        }
        self.reader.enter_array()?;
        self.entered.push(Kind::Array);
        Ok(())
    }

    /// Reads what stands around the array to the document's end.
    fn leave(&mut self) -> Result<(), Stop<S::Error>> {
        while let Some(kind) = self.entered.pop() {
            while match kind {
                Kind::Object => self.reader.next_key()?.is_some(),
                _ => self.reader.next_element()?,
            } {
                self.reader.skip()?;
            }
        }
        Ok(self.reader.finish()?)
    }
}

fn seek_member<S: ByteSource>(reader: &mut JsonReader<S>, token: &str) -> Result<bool, JsonError<S::Error>> {
    while let Some(key) = reader.next_key()? {
        if key == token {
            return Ok(true);
        }
        reader.skip()?;
    }
    Ok(false)
}

fn seek_element<S: ByteSource>(reader: &mut JsonReader<S>, token: &str) -> Result<bool, JsonError<S::Error>> {
    let Some(index) = fields::index(token) else {
        return Ok(false);
    };
    for _ in 0..index {
        if !reader.next_element()? {
            return Ok(false);
        }
        reader.skip()?;
    }
    reader.next_element()
}
