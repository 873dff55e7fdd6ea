//! What a converter of one format implements, and what it reads from.

use super::head::{Head, Shape};
use super::session::{Session, Stop};
use crate::csv::TableReader;
use crate::host::Input;
use crate::json::JsonReader;
use crate::model::LogLevel;
use crate::reader::InputReader;
use crate::xml::XmlReader;

/// How sure a format is that an input is its own. Of equals, the first in the plugin's list gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recognition {
    /// It is not.
    No,
    /// Nothing speaks against it; taken only when a look at the whole input finds nothing better.
    Fallback,
    /// It looks like it.
    Likely,
    /// It has what only this format has.
    Certain,
}

impl From<bool> for Recognition {
    fn from(is_certain: bool) -> Self {
        if is_certain { Self::Certain } else { Self::No }
    }
}

/// One format of a plugin, usually a unit struct.
pub trait Format: Sync {
    /// Its name, such as `semgrep-json`.
    fn name(&self) -> &'static str;

    /// The tools that write it.
    fn tools(&self) -> &'static [&'static str];

    /// Whether an input is of this format, by what stands at its beginning; never by its name. Ask for
    /// keys that only this format has, and for several: one may be missing in a damaged first record.
    fn recognise(&self, head: &Head) -> Recognition;

    /// Walks the input. Each record goes to [`Session::emit`], [`Session::lose`] or
    /// [`Session::leave_out`]; what the tool says it did not look at goes to [`Session::gap`]; the
    /// tool's name and version go to [`Session::tool_is`], also before an early end.
    ///
    /// # Errors
    /// [`Stop`] when the envelope cannot be read on. A record's own trouble is no reason to stop.
    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop>;

    /// Whether [`Format::convert`] only learns on the way that the input is of this format, and then
    /// says so by [`Session::recognised`]. Until it does, an end is `unrecognized`.
    fn confirms(&self) -> bool {
        false
    }
}

/// The input of a conversion, at its first byte. Each method starts the reading in its own way.
pub struct Source<'input> {
    pub(super) input: &'input mut dyn Input,
    pub(super) head: &'input Head,
}

impl<'input> Source<'input> {
    /// What is known about it already.
    pub fn head(&self) -> &'input Head {
        self.head
    }

    /// What its uploader or its tool calls it.
    pub fn name(&self) -> String {
        self.input.name()
    }

    /// As one JSON document; see [`super::members`], [`super::each`] and [`super::objects`]. JSON lines
    /// have [`super::json_lines`].
    ///
    /// # Errors
    /// [`Stop`] of the reading.
    pub fn json(self) -> Result<JsonReader<'input>, Stop> {
        Ok(JsonReader::open(self.input)?)
    }

    /// As one XML document; see [`super::walk`].
    ///
    /// # Errors
    /// [`Stop`] of the reading.
    pub fn xml(self) -> Result<XmlReader<'input>, Stop> {
        Ok(XmlReader::open(self.input)?)
    }

    /// As a table with a header row; see [`super::rows`].
    ///
    /// # Errors
    /// [`Stop`] of the reading.
    pub fn table(self) -> Result<TableReader<'input>, Stop> {
        Ok(TableReader::open(self.input, self.head.separator())?)
    }

    /// As bytes, for text of other kinds (see [`super::lines`]) and for captures.
    pub fn bytes(self) -> InputReader<'input> {
        InputReader::new(self.input)
    }
}

/// The empty list, which many tools write when they have nothing to say: it does not name its tool.
///
/// For the end of the list of a plugin that has such tools.
#[derive(Debug, Clone, Copy)]
pub struct EmptyList;

impl Format for EmptyList {
    fn name(&self) -> &'static str {
        "empty-list"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["any tool that writes `[]` when it found nothing"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        is_empty_list(head)
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        let mut reader = source.json()?;
        super::each(&mut reader, session, "", |_, _| Ok(()))?;
        reader.finish()?;
        let message = "the report is an empty list: it names no tool, and nothing that was found";
        session.tell(LogLevel::Info, "nothing-listed", message, None);
        Ok(())
    }
}

/// The empty list where it is no report: what names neither a tool nor a target cannot be told from a scan
/// that reached nobody, and must not be read as "nothing found".
///
/// For the end of the list of a plugin whose tools say something of every target that lives.
#[derive(Debug, Clone, Copy)]
pub struct RefusedEmptyList {
    /// Who writes it, and when.
    pub tools: &'static [&'static str],
    /// Why it is refused.
    pub problem: &'static str,
}

impl Format for RefusedEmptyList {
    fn name(&self) -> &'static str {
        EmptyList.name()
    }

    fn tools(&self) -> &'static [&'static str] {
        self.tools
    }

    fn recognise(&self, head: &Head) -> Recognition {
        is_empty_list(head)
    }

    fn convert(&self, _source: Source<'_>, _session: &mut Session<'_>) -> Result<(), Stop> {
        Err(Stop::Broken(self.problem.to_owned()))
    }
}

fn is_empty_list(head: &Head) -> Recognition {
    (head.shape() == Shape::Array && head.is_empty()).into()
}
