//! Records of an XML document.

use super::record::Record;
use super::session::{Session, Stop};
use crate::model::{LogLevel, Span};
use crate::xml::{Node, Step, XmlError, XmlReader};

impl From<XmlError> for Stop {
    fn from(error: XmlError) -> Self {
        let message = error.to_string();
        match error {
            XmlError::Ended { .. } => Self::Ended(message),
            XmlError::Io { .. } => Self::Refused(message),
            _ => Self::Broken(message),
        }
    }
}

/// What [`walk`] comes to.
pub enum Event<'reader> {
    /// An element of the envelope begins: its name and attributes.
    Open(Node<'reader>),
    /// An element of the envelope ends: its name.
    Close(&'reader str),
    /// One of the elements that were asked for, whole.
    Record(XmlRecord<'reader>),
}

/// An element that was asked for, with everything in it.
#[derive(Clone, Copy)]
pub struct XmlRecord<'reader> {
    /// The element.
    pub node: Node<'reader>,
    index: u32,
    span: Span,
}

impl Record for XmlRecord<'_> {
    fn name(&self) -> String {
        format!("{}[{}]", self.node.name(), self.index)
    }

    fn span(&self) -> Span {
        self.span
    }
}

/// Goes through a document to its end. Elements named in `records` come whole, and one that cannot be
/// read is lost; so do those named in `details`, small ones that are no records, such as the tool's
/// version. All others come as [`Event::Open`] and [`Event::Close`].
///
/// # Errors
/// [`Stop`] of the reading, or of `handle`.
pub fn walk(
    reader: &mut XmlReader<'_>,
    session: &mut Session<'_>,
    records: &[&str],
    details: &[&str],
    mut handle: impl FnMut(&mut Session<'_>, Event<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let trees: Vec<&str> = records.iter().chain(details).copied().collect();
    let mut counts = vec![0_u32; trees.len()];
    loop {
        match reader.step(&trees)? {
            None => return Ok(()),
            Some(Step::Open(node)) => handle(session, Event::Open(node))?,
            Some(Step::Close(name)) => handle(session, Event::Close(name))?,
            Some(Step::Tree {
                node,
                span,
                repaired,
                unknown_entity,
            }) => {
                let index = count(&trees, &mut counts, node.name());
                let record = XmlRecord { node, index, span };
                if repaired {
                    session.partial = true;
                    let message = "characters that are not Unicode were replaced";
                    session.note(LogLevel::Warn, "text-not-unicode", &record, message);
                }
                if unknown_entity {
                    let message = "a reference to an unknown entity stays as it is";
                    session.note(LogLevel::Info, "entity-unknown", &record, message);
                }
                handle(session, Event::Record(record))?;
            }
            Some(Step::Lost {
                name,
                span,
                code,
                problem,
            }) => {
                let index = count(&trees, &mut counts, name);
                let message = format!("{name}[{index}] at byte {} {problem}", span.offset);
                if records.contains(&name) {
                    session.lose(code, &message, span);
                } else {
                    session.unread(code, &message, Some(span));
                }
            }
        }
        session.advance(reader.offset());
    }
}

/// How many of a name there were before.
fn count(trees: &[&str], counts: &mut [u32], name: &str) -> u32 {
    let place = trees.iter().position(|tree| *tree == name);
    let Some(count) = place.and_then(|place| counts.get_mut(place)) else {
        return 0;
    };
    let before = *count;
    *count = count.saturating_add(1);
    before
}
