//! The log in the folder of a target, or the terminal's text: points between lines of dashes.
//!
//! It names no target: the folder does. What stands around the points is the terminal's talk, or data of
//! the target; neither is taken over.

use tamiz_sdk::model::Span;
use tamiz_sdk::report::{Format, Head, Recognition, Record, Session, Shape, Source, Stop, lines};

use super::{Point, TOOL, emit};

/// What stands in front of the points.
const HEADINGS: [&str; 2] = [
    "sqlmap identified the following injection point(s)",
    "sqlmap resumed the following injection point(s)",
];

/// What stands around them.
const DASHES: &str = "---";

/// What the lines of a point begin with, but for the first.
const INDENT: &[u8] = b"    ";

pub(crate) struct SqlmapLog;

/// A point that is being read.
#[derive(Default)]
struct Open {
    name: String,
    span: Option<Span>,
    parameter: String,
    place: String,
    techniques: Vec<String>,
    payload: String,
}

impl Record for Open {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn span(&self) -> Span {
        self.span.unwrap_or(Span::new(0, 0))
    }
}

impl Format for SqlmapLog {
    fn name(&self) -> &'static str {
        "sqlmap-log"
    }

    fn tools(&self) -> &'static [&'static str] {
        &["sqlmap"]
    }

    fn recognise(&self, head: &Head) -> Recognition {
        let is_heading = |line: &str| HEADINGS.iter().any(|heading| line.starts_with(heading));
        (head.shape() == Shape::Text && head.lines().any(is_heading)).into()
    }

    fn convert(&self, source: Source<'_>, session: &mut Session<'_>) -> Result<(), Stop> {
        session.tool_is(TOOL, None);
        let mut open: Option<Open> = None;
        let mut part = Part::Talk;
        lines(source, session, |session, line| {
            let text = line.text();
            let text = text.trim();
            if HEADINGS.iter().any(|heading| text.starts_with(heading)) {
                part = Part::Heading;
            } else if text == DASHES && part == Part::Heading {
                part = Part::Points;
            } else if text == DASHES {
                part = Part::Talk;
                close(session, open.take())?;
            } else if let Some(parameter) = text.strip_prefix("Parameter: ")
                && part == Part::Points
            {
                close(session, open.take())?;
                let (name, place) = parameter.rsplit_once(" (").unwrap_or((parameter, ""));
                open = Some(Open {
                    name: line.name(),
                    span: Some(line.span()),
                    parameter: name.to_owned(),
                    place: place.trim_end_matches(')').to_owned(),
                    ..Open::default()
                });
            } else if let Some(point) = open.as_mut() {
                if line.bytes.starts_with(INDENT) {
                    point.add(text, line.span());
                } else {
                    close(session, open.take())?;
                }
            }
            Ok(())
        })?;
        if part != Part::Talk {
            let problem = "the input ends in front of the dashes behind the points of injection";
            return Err(Stop::Ended(problem.to_owned()));
        }
        Ok(())
    }
}

/// Where in the log a line stands.
#[derive(PartialEq, Eq)]
enum Part {
    Talk,
    Heading,
    Points,
}

impl Open {
    fn add(&mut self, line: &str, span: Span) {
        if let Some(own) = self.span.as_mut() {
            own.length = span.offset.saturating_add(span.length).saturating_sub(own.offset);
        }
        if let Some(title) = line.strip_prefix("Title: ") {
            self.techniques.push(title.to_owned());
        } else if let Some(payload) = line.strip_prefix("Payload: ")
            && self.payload.is_empty()
        {
            payload.clone_into(&mut self.payload);
        }
    }
}

fn close(session: &mut Session<'_>, open: Option<Open>) -> Result<(), Stop> {
    let Some(mut open) = open else { return Ok(()) };
    let techniques = std::mem::take(&mut open.techniques);
    let point = Point {
        url: "",
        place: &open.place,
        parameter: &open.parameter,
        techniques,
        payload: &open.payload,
        database: "",
    };
    emit(session, &open, &point)
}
